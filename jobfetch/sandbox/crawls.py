"""What JustCrawl says about a job: the two faces of each state, its row, its raw page, and its four kinds of errors."""

import uuid
from collections.abc import Callable
from typing import Any
from urllib.parse import quote

from jobfetch.sandbox import shared, storage
from jobfetch.sandbox.play import Call, Script, dumped, sample, stored_bytes, verbatim
from jobfetch.sandbox.wire import Reply

_SERVICE = "justcrawl"
SAMPLE_ID = "2489E9AD-2EE2-8E00-8EC9-32D5F69181C0"
"""The published id: upper case, and of a version that few validators know."""

JOB, ROW = "jobs", "extraction/results"
PLACES = (JOB, ROW)
"""Where a client may look at a job; the path's part that tells the two apart."""
BUCKET = "/justcrawl-bodies"

_ENDED = {"completed", "failed", "canceled"}
_NOW = "2026-04-15T12:00:04Z"

Wait = Callable[[Call], object]
"""What a reply says about the next look, or None where it says nothing."""


def faces(row: Script, job: Script) -> Script:
    """A state as the result's endpoint shows it, and as the job's does."""
    return lambda call: (row if call.parts["place"] == ROW else job)(call)


def flat(status: int, message: str, /, **more: Any) -> Script:
    """The usual error: a text and nothing else."""
    return lambda _call: dumped({"error": message, **more}, status=status)


def structured(status: int, code: str, message: str) -> Script:
    """The error of a client that asked for structure, though some come without asking."""
    error = {"code": code, "message": message, "docs_url": f"https://docs.example/errors/{code}"}
    return lambda _call: dumped({"error": error | {"request_id": "req-in-the-body"}}, status=status)


quota = flat(402, "QUOTA_EXCEEDED", message="No credits left", plan="free", remainingCredits=0, isTrialExpired=True)
no_permission = flat(403, "Insufficient permissions", missing=["jobs:read"])
absent = flat(404, "Extraction result not found")
broken = flat(500, "Something went wrong")


# --- rows and jobs ---


def row_id(job_id: str) -> str:
    """The id of a job's row, unlike the job's own but in the published case."""
    return job_id if job_id == SAMPLE_ID else str(uuid.uuid5(uuid.NAMESPACE_URL, job_id)).upper()


def row(name: str) -> Script:
    """A stored row with the job's own id; the published job has the published row."""

    def answer(call: Call) -> Reply:
        if call.job_id == SAMPLE_ID:
            return verbatim(stored_bytes(_SERVICE, "published.json"))
        text = stored_bytes(_SERVICE, f"{name}.json").decode()
        return verbatim(text.replace("<rowId>", row_id(call.job_id)).replace("<jobId>", call.job_id).encode())

    return answer


def job(status: str, **changes: Any) -> Script:
    """A job in this state, as its own endpoint shows it."""
    running = {"hasBody": False, "statusCode": None, "creditOutcome": "pending", "completedAt": None}
    own = {} if status in _ENDED else running
    return lambda call: dumped(sample(_SERVICE, "job") | own | {"id": call.job_id, "status": status, **changes})


def done(name: str = "product") -> Script:
    """A job whose row has landed."""
    return faces(row(name), job("completed"))


def word(status: str) -> Script:
    """A job in some other state: it has no row."""
    return faces(absent, job(status))


def running(call: Call) -> Reply:
    """Pending at the first look, then running."""
    return word("pending" if call.look == 1 else "running")(call)


_ERROR = {"errorType": "blocked", "errorMessage": "The page refused all attempts", "hasBody": False}
failed = faces(absent, job("failed", creditOutcome="not_charged", **_ERROR))
_bodiless = job("completed", hasBody=False)
expired = faces(absent, _bodiless)
expired_broken = faces(broken, _bodiless)
refunded = faces(absent, job("completed", hasBody=False, creditOutcome="refunded", creditNote="Credit was refunded"))
rowless = faces(absent, job("completed"))
lost = faces(broken, job("completed"))
shaken = faces(broken, job("running"))


def indexing(header: Wait | None, body: Wait | None) -> Script:
    """Extracted and not yet indexed, with what the header and the body say about the next look."""

    def answer(call: Call) -> Reply:
        hint = {"retryAfterSeconds": body(call)} if body else {}
        headers = (("Retry-After", str(header(call))),) if header else ()
        return dumped({"indexingPending": True, "status": "extraction_done", **hint}, status=202, headers=headers)

    return faces(answer, job("extraction_done"))


def seconds(wait: float, *, more: int = 0) -> Wait:
    """So many seconds at the sandbox's pace, as a number, and some more at any pace."""
    return lambda call: int(shared.seconds(wait)(call)) + more


# --- the raw page ---


def page(_call: Call) -> Reply:
    """The page that was crawled."""
    headers = (("Content-Type", "text/html; charset=utf-8"),)
    return Reply(headers=headers, body=stored_bytes(_SERVICE, "page.html"))


def no_page(_call: Call) -> Reply:
    """What the storage says of a page that it lost."""
    return storage.denied(404, "NoSuchKey", "The specified key does not exist.")


def _path(call: Call) -> str:
    return f"{BUCKET}/{quote(call.job_id, safe='')}/body.html"


def presigned(*, age: int = 0) -> Script:
    """Point at the raw page with a link to the storage."""
    return lambda call: _pointer(resultUrl=storage.signed(call, _path(call), age=age))


def by_key(call: Call) -> Reply:
    """Point at the raw page with a key, which leads to the page only through the service itself."""
    return _pointer(blobKey=f"org/5D1B7C36/{call.job_id}/body.html")


def _pointer(**where: str) -> Reply:
    body = stored_bytes(_SERVICE, "page.html")
    told = {"providerId": "direct", "statusCode": 200, "bodySize": len(body), "contentType": "text/html"}
    return dumped({**where, **told, "latencyMs": 2140})


no_pointer = flat(404, "Result not available")
refunded_pointer = flat(404, "Result not available", reason="credit_refunded")


def expired_pointer(_call: Call) -> Reply:
    """The page outlived the organisation's retention."""
    return dumped({"expiredAt": _NOW, "message": "The result has expired"}, status=410)
