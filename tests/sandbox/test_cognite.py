"""Cognite's vision jobs, as the sandbox plays them."""

import gzip
import json
from collections.abc import Callable
from typing import Any

import pytest

Ask = Callable[..., Any]

PUBLISHED = json.loads("""
{"status": "Queued", "createdTime": 1730204346000, "startTime": 1730204346000, "statusTime": 1730204346000,
 "jobId": 123,
 "items": [{"fileId": 1234, "predictions": {
   "textPredictions": [{"confidence": 0.9, "text": "string",
     "textRegion": {"xMin": 0.5, "xMax": 0.9, "yMin": 0.5, "yMax": 0.9}}],
   "assetTagPredictions": [{"confidence": 0.9, "assetRef": {"id": 1233}, "text": "string",
     "textRegion": {"xMin": 0.5, "xMax": 0.9, "yMin": 0.5, "yMax": 0.9}}],
   "peoplePredictions": [{"label": "person", "confidence": 0.8,
     "boundingBox": {"xMin": 0.5, "xMax": 0.9, "yMin": 0.5, "yMax": 0.9}}]},
   "fileExternalId": "1234"}],
 "errorMessage": null,
 "failedItems": [{"errorMessage": "<string>", "items": [{"fileId": 1234, "fileExternalId": "1234",
   "fileInstanceId": {"space": "space", "externalId": "externalId"}}]}],
 "parameters": {"textDetectionParameters": {"threshold": 0.8},
   "assetTagDetectionParameters": {"threshold": 0.8, "partialMatch": true, "assetSubtreeIds": [1, 2]},
   "peopleDetectionParameters": {"threshold": 0.8}}}
""")


def states(vision: Ask, job_id: int, looks: int) -> list[str]:
    return [vision(job_id).json()["status"] for _ in range(looks)]


def test_a_finished_job_is_the_published_sample_but_for_status_id_and_failures(vision: Ask) -> None:
    assert vision(200).json() == PUBLISHED | {"status": "Completed", "jobId": 200, "failedItems": []}


def test_the_sample_job_is_done_at_the_third_look(vision: Ask) -> None:
    assert states(vision, 123, 4) == ["Queued", "Running", "Completed", "Completed"]


@pytest.mark.parametrize("looks", [1, 3, 99])
def test_a_thousand_and_n_is_done_after_n_looks(vision: Ask, looks: int) -> None:
    seen = states(vision, 1000 + looks, looks + 1)
    assert seen[-1] == "Completed"
    assert "Completed" not in seen[:-1]


def test_two_jobs_do_not_share_their_looks(vision: Ask) -> None:
    states(vision, 1001, 2)
    assert states(vision, 1002, 1) == ["Queued"]


def test_a_failed_job_says_why_and_names_its_files(vision: Ask) -> None:
    vision(600)
    reply = vision(600).json()
    assert (reply["status"], reply["errorMessage"], len(reply["failedItems"])) == ("Failed", "All batches failed", 1)


def test_a_partial_job_shows_one_file_first_and_a_failed_one_at_the_end(vision: Ask) -> None:
    first, last = vision(800).json(), vision(800).json()
    assert (first["status"], len(first["items"]), first["failedItems"]) == ("Running", 1, [])
    assert (last["status"], len(last["items"]), len(last["failedItems"])) == ("Completed", 2, 1)


def test_an_item_may_bear_an_error_in_place_of_predictions(vision: Ask) -> None:
    assert [sorted(item) for item in vision(801).json()["items"]] == [
        ["fileExternalId", "fileId", "predictions"],
        ["errorMessage", "fileExternalId", "fileId"],
    ]


def test_words_that_other_jobs_use_come_before_the_end(vision: Ask) -> None:
    assert states(vision, 202, 4) == ["Distributing", "Distributed", "Collecting", "Completed"]


def test_an_unknown_kind_of_prediction_stands_beside_a_known_one(vision: Ask) -> None:
    [item] = vision(203).json()["items"]
    assert sorted(item["predictions"]) == ["peoplePredictions", "weldSeamPredictions"]


def test_a_big_reply_has_some_megabytes(vision: Ask) -> None:
    reply = vision(204)
    assert len(reply.body) > 2_000_000
    assert reply.json()["jobId"] == 204


def test_a_gzip_body_says_so(vision: Ask) -> None:
    reply = vision(205)
    assert reply.headers["content-encoding"] == "gzip"
    assert json.loads(gzip.decompress(reply.body))["status"] == "Completed"


def test_odd_numbers_stay_as_they_are_written(vision: Ask) -> None:
    vision(206)
    body = vision(206).body
    for number in (b": 0.10", b"1E5", b"123456789012345678901234567890", b"9223372036854775808", b"1e-400"):
        assert number.strip(b": ") in body


def test_a_hostile_job_begins_with_a_state_nobody_should_print(vision: Ask) -> None:
    assert "\x1b" in vision(206).json()["status"]


@pytest.mark.parametrize(
    ("job_id", "status"), [(401, 401), (403, 403), (404, 404), (777, 404), (410, 410), (418, 418), (500, 500)]
)
def test_a_refusal_has_the_services_own_error_body(vision: Ask, job_id: int, status: int) -> None:
    reply = vision(job_id)
    assert reply.status == reply.json()["error"]["code"] == status


def test_an_id_that_is_no_number_is_a_bad_request(vision: Ask) -> None:
    assert vision("abc").status == 400


def test_every_answer_has_a_request_id(vision: Ask) -> None:
    assert vision(200).headers["x-request-id"] != vision(404).headers["x-request-id"]


def test_a_500_may_ask_to_be_tried_again(vision: Ask) -> None:
    replies = [vision(5001) for _ in range(3)]
    assert [reply.status for reply in replies] == [500, 500, 200]
    assert replies[0].headers["cdf-is-auto-retryable"] == "true"
    assert "cdf-is-auto-retryable" not in vision(500).headers


def test_a_token_that_is_revoked_stays_refused_and_a_new_one_works(vision: Ask, token: Ask) -> None:
    old, new = (token().json()["access_token"] for _ in range(2))
    assert [vision(4011, old).status for _ in range(3)] == [200, 401, 401]
    assert vision(4011, new).json()["status"] == "Completed"


def test_a_wrong_token_and_a_wrong_project_look_the_same(sandbox: Any, ask: Ask, vision: Ask, token: Ask) -> None:
    good = token().json()["access_token"]
    elsewhere = f"{sandbox.url}/api/v1/projects/other/context/vision/extract/200"
    for reply in (vision(200, "nonsense"), vision(200, ""), ask(elsewhere, authorization=f"Bearer {good}")):
        assert (reply.status, reply.json()) == (401, {"error": {"code": 401, "message": "Unauthorized"}})


def test_a_good_token_can_be_inspected(sandbox: Any, ask: Ask, token: Ask) -> None:
    good = token().json()["access_token"]
    reply = ask(f"{sandbox.url}/api/v1/token/inspect", authorization=f"Bearer {good}")
    assert reply.json()["projects"][0]["projectUrlName"] == "sandbox"
