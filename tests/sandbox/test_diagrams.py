"""The siblings of Cognite's vision jobs, as the sandbox plays them."""

import json
from collections.abc import Callable
from typing import Any

import pytest

from jobfetch.sandbox import READY_TOKEN, SECRETS, Sandbox

Ask = Callable[..., Any]

PATHS = ("diagram/detect", "diagram/convert", "entitymatching/jobs")


@pytest.fixture
def context(sandbox: Sandbox, ask: Ask) -> Ask:
    """Ask for something below the project's context."""

    def look(path: str, body: str | None = None, **headers: str) -> Any:
        url = f"{sandbox.url}/api/v1/projects/sandbox/context/{path}"
        return ask(url, "POST" if body else "GET", body, authorization=f"Bearer {READY_TOKEN}", **headers)

    return look


@pytest.mark.parametrize("path", PATHS)
def test_the_first_look_gives_a_token_that_all_later_ones_need(context: Ask, path: str) -> None:
    token = context(f"{path}/123").headers["x-job-token"]
    assert any(token.startswith(secret) for secret in SECRETS)
    assert context(f"{path}/123").status == 400
    assert context(f"{path}/123", x_job_token="guess").status == 400
    seen = [context(f"{path}/123", x_job_token=token).json()["status"] for _ in range(2)]
    assert seen == ["Running", "Completed"]


@pytest.mark.parametrize("path", PATHS)
def test_a_token_is_given_with_a_reply_that_can_be_read(context: Ask, path: str) -> None:
    replies = [context(f"{path}/5031") for _ in range(3)]
    assert [(one.status, "x-job-token" in one.headers) for one in replies] == [(503, False), (503, False), (200, True)]


@pytest.mark.parametrize("path", PATHS)
@pytest.mark.parametrize(("job_id", "status"), [("401", 401), ("404", 404), ("999999", 404), ("word", 400)])
def test_the_same_ids_mean_the_same_trouble_as_with_vision(context: Ask, path: str, job_id: str, status: int) -> None:
    assert context(f"{path}/{job_id}").status == status


def test_a_job_that_fails_says_why(context: Ask) -> None:
    token = context("diagram/detect/600").headers["x-job-token"]
    told = context("diagram/detect/600", x_job_token=token).json()
    assert (told["status"], told["jobId"], bool(told["errorMessage"])) == ("Failed", 600, True)


def test_a_detected_annotation_has_a_place_and_entities(context: Ask) -> None:
    first, second = context("diagram/detect/200").json()["items"]
    assert [one["text"] for one in first["annotations"]] == ["21-PT-1019", "21-PT-1020"]
    assert sorted(first["annotations"][0]) == ["confidence", "entities", "region", "text"]
    assert second["annotations"] == []


def test_a_converted_diagram_is_a_picture_on_the_storage(context: Ask, ask: Ask, sandbox: Sandbox) -> None:
    [item] = context("diagram/convert/200").json()["items"]
    links = [item["results"][0][name] for name in ("svgUrl", "pngUrl")]
    assert all(link.startswith(sandbox.storage_url) for link in links)
    assert [ask(link).headers["content-type"] for link in links] == ["image/svg+xml", "image/png"]
    assert ask(links[0], authorization="Bearer any").status == 400


def test_a_matched_entity_has_scores_and_a_lonely_one_has_none(context: Ask) -> None:
    first, second = context("entitymatching/jobs/200").json()["items"]
    assert ([one["score"] for one in first["matches"]], second["matches"]) == ([0.98, 0.41], [])


def test_many_jobs_are_asked_about_at_once_without_a_token(context: Ask) -> None:
    asked = json.dumps({"items": [200, 1001, 110]})
    told = [context("diagram/detect/status", asked).json()["items"] for _ in range(2)]
    assert [[one["status"] for one in many] for many in told] == [
        ["Completed", "Queued", "Queued"],
        ["Completed", "Completed", "Queued"],
    ]
    assert "items" not in told[0][0]


@pytest.mark.parametrize("asked", [{"items": []}, {"items": [1] * 1001}, {}, [], {"items": ["200"]}, {"items": 200}])
def test_a_question_about_too_few_or_too_many_is_refused(context: Ask, asked: Any) -> None:
    assert context("diagram/detect/status", json.dumps(asked)).status == 400


def test_a_question_about_unknown_jobs_names_them(context: Ask) -> None:
    reply = context("diagram/detect/status", json.dumps({"items": [200, 999999]}))
    assert (reply.status, reply.json()["error"]["missing"]) == (400, [{"jobId": 999999}])


def test_another_project_is_refused(sandbox: Sandbox, ask: Ask) -> None:
    url = f"{sandbox.url}/api/v1/projects/other/context/diagram/detect/200"
    assert ask(url, authorization=f"Bearer {READY_TOKEN}").status == 401
