"""Several jobs in one line: what comes out, in which order, and the one exit code for all."""

import csv
import io
import json
import re
from pathlib import Path

import pytest

from jobfetch.sandbox import BATCHES, Sandbox

from .program import Program, tree

# within this process, where nothing speaks against it
pytestmark = pytest.mark.here

WAIT = ("--wait", "--interval", "0.1", "--retries", "0")


def test_records_come_as_each_job_ends(jobfetch: Program) -> None:
    with jobfetch.start("get", "playment", "never", "done", *WAIT) as process:
        assert process.stdout
        assert json.loads(process.stdout.readline())["job_id"] == "done"
        assert process.poll() is None
        process.kill()


def test_the_first_that_ends_is_the_first_that_is_told(jobfetch: Program) -> None:
    run = jobfetch("get", "cognite", "1005", "1001", "200", *WAIT)
    assert [json.loads(line)["job_id"] for line in run.out.splitlines()] == ["200", "1001", "1005"]


@pytest.mark.parametrize("shape", ["csv", "ndjson"])
def test_a_table_is_sorted_by_job_whatever_ends_first(jobfetch: Program, out: Path, shape: str) -> None:
    jobs = ["1003", "800", "200", "1001"]
    assert jobfetch("get", "cognite", *jobs, *WAIT, "-f", shape, "-o", out / "rows", "--allow-partial").code == 0
    text = (out / "rows").read_text()
    lines = (
        list(csv.DictReader(io.StringIO(text))) if shape == "csv" else [json.loads(row) for row in text.splitlines()]
    )
    order = [line["job_id"] for line in lines]
    assert order == sorted(order)
    assert set(order) == set(jobs)


def test_a_table_is_the_same_in_whatever_order_jobs_are_named(jobfetch: Program) -> None:
    one = jobfetch("get", "cognite", "200", "800", "203", *WAIT, "-f", "csv")
    other = jobfetch("get", "cognite", "203", "200", "800", *WAIT, "-f", "csv")
    assert one.out == other.out


@pytest.mark.parametrize(
    ("jobs", "code"),
    [
        ("200 1001 205", 0),
        ("200 750", 75),
        ("750 4292", 75),
        ("600", 6),
        ("404 405", 5),
        ("404 410", 8),
        ("200 600", 8),
        ("600 750", 8),
        ("200 404 750", 8),
        ("800 801", 8),
        ("500 503", 10),
        ("110 418", 11),
        ("403 200", 8),
    ],
)
def test_the_exit_code_of_many_jobs_is_the_one_that_is_promised(jobfetch: Program, jobs: str, code: int) -> None:
    ids = jobs.split()
    wait = WAIT if {"600", "800", "1001"} & {*ids} else ("--retries", "1")
    run = jobfetch("get", "cognite", *ids, *wait, "--timeout", "2", "--json")
    assert run.code == code, run.said
    assert json.loads(run.said)["exit_code"] == code


def test_the_verdict_counts_every_job_once(jobfetch: Program, out: Path) -> None:
    ids = ("200", "205", "200", "600", "800", "404", "410", "750")
    verdict = jobfetch("get", "cognite", *ids, *WAIT, "--timeout", "2", "--json", "-o", out).verdict
    told = {"failed": 1, "gone": 1, "not_found": 1, "partial": 1, "running": 1, "succeeded": 2}
    assert list(verdict["counts"].items()) == list(told.items())
    assert sorted(verdict["outputs"]) == [str(out / f"{job_id}.json") for job_id in ("200", "205", "600", "800")]


def test_a_job_that_is_named_twice_is_asked_for_once(jobfetch: Program, sandbox: Sandbox) -> None:
    run = jobfetch("get", "playment", "done", "done", "done")
    assert len(run.out.splitlines()) == 1
    assert sum("/jobs/done" in one.path for one in sandbox.asked()) == 1


@pytest.mark.parametrize("shape", ["json", "raw"])
def test_several_jobs_fill_a_folder(jobfetch: Program, out: Path, shape: str) -> None:
    place = out / "made" / "on the way"
    assert jobfetch("get", "playment", "done", "masks", "-f", shape, "-o", place).code == 0
    files = {name: json.loads(whole) for name, whole in tree(place).items()}
    assert list(files) == ["done.json", "masks.json"]
    assert all(("schema" in whole) == (shape == "json") for whole in files.values())


def test_a_single_job_goes_into_a_folder_that_is_named_as_one(jobfetch: Program, out: Path) -> None:
    assert jobfetch("get", "cognite", "200", "-o", f"{out}/new/").code == 0
    assert list(tree(out)) == ["new/200.json"]


def test_several_jobs_do_not_fit_into_a_file(jobfetch: Program, sandbox: Sandbox, out: Path) -> None:
    (out / "file").write_text("mine")
    assert jobfetch("get", "cognite", "200", "205", "-o", out / "file").code == 2
    assert tree(out) == {"file": b"mine"}
    assert sandbox.asked() == ()


def test_raw_bytes_of_several_jobs_need_a_folder(jobfetch: Program, sandbox: Sandbox) -> None:
    assert jobfetch("get", "playment", "done", "masks", "-f", "raw").code == 2
    assert sandbox.asked() == ()


def test_linked_files_lie_beside_their_record(jobfetch: Program, out: Path) -> None:
    assert jobfetch("get", "playment", "masks", "done", "--assets", "-o", out).code == 0
    record = json.loads((out / "masks.json").read_bytes())
    assert [asset["file"] for asset in record["assets"]] == ["masks.assets/0001.png", "masks.assets/0002.png"]
    assert all((out / asset["file"]).stat().st_size == asset["bytes"] for asset in record["assets"])


def test_awkward_ids_become_names_that_every_platform_takes(jobfetch: Program, out: Path) -> None:
    ids = BATCHES["batch-awkward"].jobs
    assert jobfetch("get", "playment", "-o", out, "--", *ids, "../../escape", "job-0001").code == 8
    names = [path.name for path in out.iterdir()]
    assert len({name.casefold() for name in names}) == len(ids) + 1
    assert all(re.fullmatch(r"[A-Za-z0-9_][A-Za-z0-9_~.-]*\.json", name) for name in names)
    assert {json.loads((out / name).read_bytes())["job_id"] for name in names} == {*ids, "job-0001"}


def test_a_record_is_the_same_bytes_every_time(jobfetch: Program) -> None:
    line = ("get", "playment", "done", "masks", "--reproducible")
    once, again = jobfetch(*line).out, jobfetch(*line).out
    assert once == again
    assert b"fetched_at" not in once


def test_a_refused_credential_ends_the_run_for_all(jobfetch: Program, sandbox: Sandbox) -> None:
    run = jobfetch("get", "playment", "done", "masks", "--json", JOBFETCH_PLAYMENT_API_KEY="wrong")
    assert run.code == 4
    assert len(sandbox.asked()) == 1
