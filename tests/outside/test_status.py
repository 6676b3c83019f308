"""`status` asks once about each job and fetches nothing."""

import json

import pytest

from jobfetch.sandbox import Sandbox

from .program import Program

# within this process, where nothing speaks against it
pytestmark = pytest.mark.here


@pytest.mark.parametrize(
    ("provider", "jobs", "code"),
    [
        ("playment", ("done", "masks"), 0),
        ("playment", ("never",), 75),
        ("playment", ("done", "never"), 75),
        ("playment", ("not-found",), 5),
        ("playment", ("gone",), 7),
        ("cognite", ("600",), 75),
        ("cognite", ("800",), 75),
        ("cognite", ("801",), 8),
        ("cognite", ("200", "404"), 8),
    ],
)
def test_the_exit_code_tells_how_the_jobs_stand(
    jobfetch: Program, provider: str, jobs: tuple[str, ...], code: int
) -> None:
    assert jobfetch("status", provider, *jobs).code == code


def test_nothing_is_fetched(jobfetch: Program, sandbox: Sandbox) -> None:
    assert jobfetch("status", "playment", "done", "masks", "refused-link").code == 0
    assert [one.path.rpartition("/")[2] for one in sandbox.asked()] == ["done", "masks", "refused-link"]
    assert {one.origin for one in sandbox.asked()} == {"api"}


def test_each_job_is_asked_for_once(jobfetch: Program, sandbox: Sandbox) -> None:
    jobfetch("status", "playment", "never", "never", "after-3")
    assert len(sandbox.asked()) == 2


def test_each_job_has_a_line_with_its_state(jobfetch: Program) -> None:
    run = jobfetch("status", "playment", "done", "never", "not-found")
    lines = [line.split("\t") for line in run.out.decode().splitlines()]
    assert [line[0] for line in lines] == ["done", "never", "not-found"]
    assert [line[1] for line in lines] == ["succeeded", "running", "not_found"]


def test_the_verdict_carries_what_is_known_of_each_job(jobfetch: Program) -> None:
    run = jobfetch("status", "cognite", "801", "404", "--json")
    data = run.verdict["data"]
    assert [one["job_id"] for one in data] == ["801", "404"]
    assert (data[0]["state"], data[0]["failed_items"]) == ("partial", 1)
    assert (data[1]["state"], data[1]["outcome"]) == (None, "not_found")
    assert json.dumps(data[0]["created_at"]).endswith('Z"')


def test_the_service_is_not_hurried_by_retries_beyond_those_asked_for(jobfetch: Program, sandbox: Sandbox) -> None:
    assert jobfetch("status", "playment", "unavailable", "--retries", "2").code == 10
    assert len(sandbox.asked()) == 3
