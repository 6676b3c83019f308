"""JustCrawl: one look is the job, then its row, then why there is none; never more."""

import json
from collections.abc import Callable
from contextlib import suppress
from datetime import UTC, datetime, timedelta
from itertools import product
from typing import Any

import pytest

from jobfetch.errors import (
    BadReply,
    CredentialsError,
    Forbidden,
    JobfetchError,
    NotFound,
    NotJson,
    ResultGone,
    Unavailable,
)
from jobfetch.model import Purpose, Reply, Request, State, Status
from jobfetch.providers import justcrawl
from jobfetch.spec import Address, Kind, look

HOST = "https://api.justcrawl.io"
JOB_ID = "2489E9AD-2EE2-8E00-8EC9-32D5F69181C0"
JOB = f"{HOST}/api/v1/jobs/{JOB_ID}"
ROW = f"{HOST}/api/v1/extraction/results/{JOB_ID}"
POINTER = f"{HOST}/api/v1/jobs/{JOB_ID}/result"
AT = Address(base_url=HOST, params={}, job_id=JOB_ID)
NOW = datetime(2026, 1, 1, tzinfo=UTC)
NOT_THROUGH = ["pending", "queued", "running", "processing", "waiting_retry", "extracting", "failed", "canceled"]


def answer(status: int = 200, body: Any = None, **headers: str) -> Reply:
    """A reply in JSON; `answer(202, {"retryAfterSeconds": 5}, retry_after="5")`."""
    spelled = {"content-type": "application/json"} | {name.replace("_", "-"): text for name, text in headers.items()}
    return Reply(status, spelled, json.dumps({} if body is None else body).encode(), HOST)


def page(status: int = 200) -> Reply:
    return Reply(status, {"content-type": "text/html"}, b"<html></html>", HOST)


def job(word: str, **more: Any) -> Reply:
    return answer(200, {"id": JOB_ID, "status": word, "createdAt": "2026-04-15T12:00:00Z", **more})


class Service:
    """Answers three addresses, each as it is told to, and nothing else; notes what was asked."""

    def __init__(self, job: Reply, row: Reply | None = None, pointer: Reply | None = None) -> None:
        self.asked: list[str] = []
        self._answers = {JOB: job, ROW: row, POINTER: pointer}

    def send(self, request: Request) -> Reply:
        self.asked.append(request.url)
        assert (request.method, request.purpose, dict(request.headers)) == ("GET", Purpose.API, {})
        reply = self._answers[request.url]
        assert reply, f"{request.url} was asked for nothing"
        return Reply(reply.status, reply.headers, reply.body, request.url)

    def look(self) -> Status:
        return look(justcrawl.PROVIDER, self.send, AT, lambda: NOW)


# --- the job ---


@pytest.mark.parametrize("word", NOT_THROUGH)
def test_a_job_that_is_not_through_is_asked_for_and_nothing_else(word: str) -> None:
    service = Service(job(word))
    assert service.look().provider_state == word
    assert service.asked == [JOB]


@pytest.mark.parametrize(
    ("told", "reason"),
    [
        ({"errorType": "fetch_error", "errorMessage": "The page answered 403"}, "The page answered 403"),
        ({"errorType": "fetch_error", "errorMessage": ""}, "fetch_error"),
        ({"errorType": "fetch_error", "errorMessage": None}, "fetch_error"),
    ],
)
def test_a_failed_job_says_why(told: dict[str, Any], reason: str) -> None:
    status = Service(job("failed", **told)).look()
    assert status.state is State.FAILED
    assert status.error
    assert status.error.message == reason


def test_a_cancelled_job_was_cancelled() -> None:
    assert Service(job("canceled")).look().state is State.CANCELLED


@pytest.mark.parametrize(
    ("reply", "error"),
    [
        (answer(401, {"error": "Missing or invalid authentication token"}), CredentialsError),
        (answer(403, {"error": "Insufficient permissions", "missing": ["jobs:read"]}), Forbidden),
        (answer(404, {"error": "Resource not found"}), NotFound),
        (answer(500, {"error": "Something went wrong"}), Unavailable),
        (page(), NotJson),
        (page(503), Unavailable),
    ],
)
def test_a_job_that_cannot_be_asked_for_ends_the_look(reply: Reply, error: type[JobfetchError]) -> None:
    service = Service(reply)
    with pytest.raises(error):
        service.look()
    assert service.asked == [JOB]


# --- its row ---


@pytest.mark.parametrize("word", ["completed", "extraction_done"])
def test_a_row_that_has_landed_is_the_result(word: str) -> None:
    service = Service(job(word, completedAt="2026-04-15T12:00:04Z"), answer(200, {"id": "row"}))
    status = service.look()
    assert (status.state, status.provider_state, status.result) == (State.SUCCEEDED, word, None)
    assert (status.reply.document.get("id"), status.created_at) == ("row", "2026-04-15T12:00:00.000Z")
    assert service.asked == [JOB, ROW]


@pytest.mark.parametrize("word", ["completed", "extraction_done"])
def test_a_row_that_is_being_written_is_waited_for(word: str) -> None:
    service = Service(job(word), answer(202, {"indexingPending": True, "status": "extraction_done"}))
    assert service.look().state is State.RUNNING
    assert service.asked == [JOB, ROW]


def test_a_job_that_is_extracted_and_has_no_row_is_still_running() -> None:
    service = Service(job("extraction_done"), answer(404, {"error": "Resource not found"}))
    assert service.look().state is State.RUNNING
    assert service.asked == [JOB, ROW]


@pytest.mark.parametrize("word", ["completed", "extraction_done"])
@pytest.mark.parametrize(
    ("row", "error"),
    [
        (answer(401, {"error": "Missing or invalid authentication token"}), CredentialsError),
        (answer(403, {"error": "Insufficient permissions", "missing": ["jobs:read"]}), Forbidden),
        (answer(409, {"error": "Conflict"}), BadReply),
        (answer(410, {"message": "Expired"}), ResultGone),
        (answer(429, {"error": "Slow down"}), Unavailable),
        (answer(503, {"error": "Away"}), Unavailable),
        (page(), NotJson),
        (page(502), Unavailable),
        (Reply(200, {"content-type": "application/json"}, b'{"id":', ROW), BadReply),
    ],
)
def test_a_row_that_is_refused_ends_the_look(word: str, row: Reply, error: type[JobfetchError]) -> None:
    service = Service(job(word), row)
    with pytest.raises(error):
        service.look()
    assert service.asked == [JOB, ROW]


def test_a_500_before_the_job_is_completed_is_trouble_of_the_service() -> None:
    service = Service(job("extraction_done"), answer(500, {"error": "Something went wrong"}))
    with pytest.raises(Unavailable, match="Something went wrong"):
        service.look()
    assert service.asked == [JOB, ROW]


def test_missing_permissions_are_told() -> None:
    row = answer(403, {"error": "Insufficient permissions", "missing": ["jobs:read"]})
    with pytest.raises(Forbidden, match=r'Insufficient permissions; missing: \["jobs:read"\]'):
        Service(job("completed"), row).look()


def test_a_refused_row_says_when_to_come_back() -> None:
    with pytest.raises(Unavailable) as caught:
        Service(job("completed"), answer(503, retry_after="7")).look()
    assert caught.value.retry_at == NOW + timedelta(seconds=7)


# --- how long a row is waited for ---

UNREADABLE = [{}, {"retryAfterSeconds": 0}, {"retryAfterSeconds": -1}, {"retryAfterSeconds": "abc"}]


def wait_of(body: dict[str, Any], **headers: str) -> float | None:
    return Service(job("extraction_done"), answer(202, body, **headers)).look().retry_after


@pytest.mark.parametrize("body", UNREADABLE)
def test_a_hint_that_cannot_be_read_is_no_hint(body: dict[str, Any]) -> None:
    assert wait_of(body) is None


@pytest.mark.parametrize("body", UNREADABLE)
def test_a_header_counts_where_the_body_says_nothing(body: dict[str, Any]) -> None:
    assert wait_of(body, retry_after="5") == 5


@pytest.mark.parametrize("header", ["", "0", "-5", "soon"])
def test_the_body_counts_where_the_header_says_nothing(header: str) -> None:
    assert wait_of({"retryAfterSeconds": 7}, retry_after=header) == 7


@pytest.mark.parametrize(("told", "header", "expected"), [(7, "5", 7), (5, "7", 7), (5, "5", 5), (999999, "5", 86400)])
def test_of_both_the_longer_counts(told: int, header: str, expected: float) -> None:
    assert wait_of({"retryAfterSeconds": told}, retry_after=header) == expected


def test_a_hint_is_cut_to_a_day() -> None:
    assert wait_of({"retryAfterSeconds": 999999}) == 86400


def test_a_202_without_a_body_waits_as_its_header_says() -> None:
    empty = Reply(202, {"retry-after": "5"}, b"", ROW)
    status = Service(job("extraction_done"), empty).look()
    assert (status.state, status.retry_after) == (State.RUNNING, 5)


# --- why there is no row ---


@pytest.mark.parametrize("row", [404, 500])
@pytest.mark.parametrize(
    "pointer",
    [
        answer(410, {"expiredAt": "2026-04-16T00:00:00Z", "message": "Expired"}),
        page(410),
        answer(404, {"error": "No result", "reason": "credit_refunded"}),
    ],
)
def test_a_row_that_is_gone_for_good_is_gone(row: int, pointer: Reply) -> None:
    service = Service(job("completed"), answer(row, {"error": "x"}), pointer)
    assert service.look().state is State.GONE
    assert service.asked == [JOB, ROW, POINTER]


@pytest.mark.parametrize("row", [404, 500])
def test_a_job_that_was_refunded_is_gone(row: int) -> None:
    refunded = job("completed", creditOutcome="refunded")
    assert Service(refunded, answer(row), answer(404, {"error": "No result"})).look().state is State.GONE


@pytest.mark.parametrize("row", [404, 500])
@pytest.mark.parametrize("outcome", ["kept", "pending", "not_charged", None])
@pytest.mark.parametrize(
    "pointer",
    [
        answer(200, {"resultUrl": "https://raw.s3.amazonaws.com/body.html"}),
        answer(404, {"error": "No result"}),
        answer(404, {"error": "No result", "reason": "not_yet"}),
        answer(401, {"error": "x"}),
        answer(500, {"error": "x"}),
        page(404),
        page(200),
    ],
)
def test_a_completed_job_without_a_row_is_trouble_that_may_pass(row: int, outcome: str | None, pointer: Reply) -> None:
    service = Service(job("completed", creditOutcome=outcome), answer(row, {"error": "x"}), pointer)
    with pytest.raises(Unavailable, match="is completed, and holds no result row") as caught:
        service.look()
    assert caught.value.transient
    assert service.asked == [JOB, ROW, POINTER]


def test_a_pointer_that_nobody_can_read_is_no_reason_to_give_up() -> None:
    empty = Reply(404, {"content-type": "application/json"}, b"", POINTER)
    with pytest.raises(Unavailable, match="holds no result row"):
        Service(job("completed"), answer(404), empty).look()


# --- how much is asked ---


@pytest.mark.parametrize("word", [*NOT_THROUGH, "completed", "extraction_done", "never heard of"])
def test_a_look_never_asks_more_than_three_times_and_nothing_twice(word: str) -> None:
    for row, pointer in product((200, 202, 401, 403, 404, 410, 429, 500, 503), (200, 401, 404, 410, 500)):
        service = Service(job(word), answer(row, {"error": "x"}), answer(pointer, {"error": "x"}))
        with suppress(JobfetchError):
            service.look()
        assert service.asked == [JOB, ROW, POINTER][: len(service.asked)]


def test_a_500_in_place_of_a_row_is_not_repeated_at_once() -> None:
    read = justcrawl.PROVIDER.errors.read
    at_row, at_job = read(Reply(500, {}, b"", ROW)), read(Reply(500, {}, b"", JOB))
    assert (at_row and at_row.kind, at_job and at_job.kind) == (Kind.OUTAGE, Kind.RETRY)


# --- the page as it was crawled ---


@pytest.fixture
def linked() -> Callable[[Any], list[tuple[str, Request, bool]]]:
    """What is linked by a reply of the pointer."""

    def find(body: Any) -> list[tuple[str, Request, bool]]:
        service = Service(job("completed"), None, answer(200, body))
        assert justcrawl.PROVIDER.job.assets
        found = [(a.path, a.request, a.page) for a in justcrawl.PROVIDER.job.assets(service.send, AT, b"{}")]
        assert service.asked == [POINTER]
        return found

    return find


def test_a_signed_link_is_asked_bare(linked: Callable[..., Any]) -> None:
    [(path, request, page)] = linked({"resultUrl": "https://raw.s3.amazonaws.com/b?X-Amz-Signature=S"})
    assert (path, request.url, page) == ("resultUrl", "https://raw.s3.amazonaws.com/b?X-Amz-Signature=S", True)
    assert (dict(request.headers), request.purpose) == ({}, Purpose.RESULT)


@pytest.mark.parametrize("link", [{}, {"resultUrl": None}, {"resultUrl": ""}])
def test_a_stored_page_is_asked_of_the_service(linked: Callable[..., Any], link: dict[str, Any]) -> None:
    [(path, request, page)] = linked({"blobKey": "org/body.html", **link})
    assert (path, request.url, page) == ("blobKey", f"{ROW}/raw", True)


@pytest.mark.parametrize("body", [{}, {"resultUrl": 7}, {"blobKey": ""}, {"blobKey": None}])
def test_without_either_there_is_no_page(linked: Callable[..., Any], body: dict[str, Any]) -> None:
    assert linked(body) == []


@pytest.mark.parametrize("mixed_up", ["job", "row"])
def test_a_reply_that_is_about_another_job_is_refused(mixed_up: str) -> None:
    other = JOB_ID.replace("2", "3")
    told = {JOB: {"id": JOB_ID, "status": "completed"}, ROW: {"id": "row", "jobId": JOB_ID}}
    told[JOB if mixed_up == "job" else ROW]["id" if mixed_up == "job" else "jobId"] = other
    with pytest.raises(BadReply, match=f"answered about {other}"):
        look(justcrawl.PROVIDER, lambda request, **_: answer(body=told[request.url]), AT, lambda: NOW)
