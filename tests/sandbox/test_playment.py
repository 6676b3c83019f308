"""Playment's jobs, batches and attachments, as the sandbox plays them."""

import json
from collections.abc import Callable
from typing import Any
from urllib.parse import parse_qsl, quote, urlencode

import pytest

from jobfetch.sandbox import BATCHES, Sandbox

Ask = Callable[..., Any]

SAMPLE = "3f3e8675-ca69-46d7-aa34-96f90fcbb732"
PUBLISHED = {
    "data": {
        "project_id": "905ea3ee-6f62-4bb7-8c31-471e486d9202",
        "reference_id": "001",
        "job_id": SAMPLE,
        "batch_id": "468b6ae3-e98d-4d08-9427-b6e7a016054c",
        "status": "completed",
        "work_flow_id": "51bb440c-f0ed-4286-8984-ea399cbc1f9w",
        "priority_weight": 5,
        "tag": "2aae1234-acac-1234-eeff-12a22a237bbc",
        "result": f"https://playment-data-uploads.s3.ap-south-1.amazonaws.com/{SAMPLE}/sample-result.json",
    },
    "success": True,
}
PUBLISHED_IN_BATCH = {
    "id": "fde5ert6-eb32-481a-807a-03a0428ca836",
    "reference_id": "001",
    "status": "completed",
    "frames": 1,
    "annotations": 1,
    "priority_weight": 5,
    "tag": "sample-task",
    "viewer_url": "",
}


def pages(playment: Ask, batch_id: str, most: int = 5) -> list[dict[str, Any]]:
    token: str | None = ""
    seen: list[dict[str, Any]] = []
    while token is not None and len(seen) < most:
        seen.append(playment(f"batch/{batch_id}?page_token={token}").json()["data"])
        token = seen[-1].get("next_page_token") or None
    return seen


def test_the_sample_job_is_the_published_one_with_its_id_in_the_result(playment: Ask) -> None:
    *waiting, last = (playment(f"jobs/{SAMPLE}").json() for _ in range(3))
    assert [job["data"]["result"] for job in waiting] == ["", ""]
    assert last == PUBLISHED


def test_a_wrong_key_is_a_400_with_a_code(playment: Ask) -> None:
    reply = playment("jobs/done", key="guess")
    assert (reply.status, reply.json()["error"]["code"]) == (400, "auth-failure")


def test_a_wrong_project_is_a_400_with_a_code(playment: Ask) -> None:
    reply = playment("/v1/projects/other/jobs/done")
    assert (reply.status, reply.json()["error"]["code"]) == (400, "resource_error")


@pytest.mark.parametrize(
    ("job_id", "code"),
    [
        ("fs-0000", "FS_0000"),
        ("api-error", "api_error"),
        ("auth-failure", "auth-failure"),
        ("unauthorized", "unauthorized"),
        ("no-project", "resource_error"),
        ("usage-error", "GE_0001"),
    ],
)
def test_all_of_its_own_failures_are_400_and_differ_by_code(playment: Ask, job_id: str, code: str) -> None:
    reply = playment(f"jobs/{job_id}")
    assert (reply.status, reply.json()["success"], reply.json()["error"]["code"]) == (400, False, code)


def test_a_bare_401_has_no_body(playment: Ask) -> None:
    reply = playment("jobs/bare-401")
    assert (reply.status, reply.body) == (401, b"")


def test_completed_may_come_before_the_result(playment: Ask) -> None:
    jobs = [playment("jobs/empty-then-filled").json()["data"] for _ in range(3)]
    assert [(job["status"], bool(job["result"])) for job in jobs] == [
        ("completed", False),
        ("completed", False),
        ("completed", True),
    ]


def test_an_unknown_job_is_not_found(playment: Ask) -> None:
    assert playment("jobs/nobody").status == 404


@pytest.mark.parametrize(("batch_id", "end"), [("batch-250", {}), ("batch-250-empty", ""), ("batch-250-null", None)])
def test_250_jobs_come_on_three_pages_that_end_in_their_own_way(playment: Ask, batch_id: str, end: Any) -> None:
    seen = pages(playment, batch_id)
    assert [len(page["jobs"]) for page in seen] == [100, 100, 50]
    assert seen[-1].get("next_page_token", {}) == end
    assert len({job["id"] for page in seen for job in page["jobs"]}) == 250


def test_a_job_in_a_batch_has_the_published_fields(playment: Ask) -> None:
    [page] = pages(playment, "batch-3")
    assert page["jobs"][0] == PUBLISHED_IN_BATCH | {"id": "job-0001"}


def test_an_endless_batch_repeats_its_token(playment: Ask) -> None:
    tokens = [page["next_page_token"] for page in pages(playment, "batch-endless")]
    assert len(tokens) == 5
    assert len(set(tokens)) == 1


def test_a_token_nobody_gave_out_is_refused(playment: Ask) -> None:
    led = pages(playment, "batch-bad-token", most=1)[0]["next_page_token"]
    for token in (led, "17", "-1"):
        reply = playment(f"batch/batch-bad-token?page_token={token}")
        assert (reply.status, reply.json()["error"]["code"]) == (400, "invalid_request_error")


@pytest.mark.parametrize("batch_id", BATCHES)
def test_every_job_that_a_batch_names_can_be_asked_for(playment: Ask, batch_id: str) -> None:
    jobs = pages(playment, batch_id, most=1)[0]["jobs"][:20]
    missing = [job["id"] for job in jobs if playment(f"jobs/{quote(job['id'], safe='')}").status == 404]
    assert missing == []


def test_the_project_lists_its_batches(playment: Ask) -> None:
    listed = playment("details").json()["data"]["batches"]
    assert [batch["id"] for batch in listed] == list(BATCHES)
    assert playment("batch/nobody").status == 400


def test_an_attachment_is_a_redirect_to_a_signed_link_on_the_other_origin(link: Ask, sandbox: Sandbox) -> None:
    place = link("done")
    assert place.startswith(sandbox.storage_url)
    query = dict(parse_qsl(place.partition("?")[2]))
    assert {"X-Amz-Algorithm", "X-Amz-Expires", "X-Amz-Signature"} <= set(query)


@pytest.mark.parametrize(
    ("query", "code"), [("", "GE_0002"), (urlencode({"url": "https://elsewhere.example/a/b.json"}), "FS_0007")]
)
def test_an_attachment_needs_a_url_into_the_bucket(playment: Ask, query: str, code: str) -> None:
    assert playment(f"/v1/attachments?{query}").json()["error"]["code"] == code


def test_a_result_lists_annotations(link: Ask, ask: Ask) -> None:
    reply = ask(link("done"))
    assert reply.headers["content-type"] == "application/json"
    assert len(reply.json()["data"]["annotations_data"]["annotations"]) == 2


def test_a_video_has_annotations_for_each_frame(link: Ask, ask: Ask) -> None:
    [tracker] = ask(link("frames")).json()["data"]["annotation_data"]["annotations"]
    assert list(tracker["frames"]) == ["frame001", "frame002"]


def test_masks_are_attachments_of_their_own_in_colours_of_the_legend(playment: Ask, link: Ask, ask: Ask) -> None:
    result = ask(link("masks")).json()["data"]
    assert "#03f561" in result["legend"]
    for annotation in result["annotations_data"]["annotations"]:
        found = playment(f"/v1/attachments?{urlencode({'url': annotation['url']})}")
        assert ask(found.headers["location"]).body.startswith(b"\x89PNG")


def test_one_of_two_masks_may_be_lost(link: Ask, ask: Ask) -> None:
    assert [ask(link("masks-missing", f"masks/mask-{n}.png")).status for n in (1, 2)] == [200, 404]


def test_the_first_link_may_be_expired(link: Ask, ask: Ask) -> None:
    first, second = ask(link("expired-link")), ask(link("expired-link"))
    assert (first.status, b"Request has expired" in first.body) == (403, True)
    assert second.status == 200


def test_every_link_may_be_refused(link: Ask, ask: Ask) -> None:
    assert [ask(link("refused-link")).status for _ in range(3)] == [403, 403, 403]


def test_the_storage_may_answer_a_page_or_not_say_what_it_answers(link: Ask, ask: Ask) -> None:
    assert ask(link("link-html")).headers["content-type"].startswith("text/html")
    plain = ask(link("octet-stream"))
    assert plain.headers["content-type"] == "binary/octet-stream"
    assert "data" in json.loads(plain.body)


def test_a_big_attachment_has_some_megabytes(link: Ask, ask: Ask) -> None:
    assert len(ask(link("big-attachment")).body) > 2_000_000


def test_odd_numbers_stay_as_they_are_written(link: Ask, ask: Ask) -> None:
    body = ask(link("hostile")).body
    for number in (b"0.10", b"1E5", b"123456789012345678901234567890", b"9223372036854775808"):
        assert number in body
