"""Plays Playment's batches: lists of jobs in pages, and every way in which such a list may end."""

import re
from collections.abc import Callable, Mapping
from typing import Any

from msgspec import Struct

from jobfetch.sandbox.play import Call, dumped, sample
from jobfetch.sandbox.wire import Reply

_SERVICE = "playment"
PAGE = 100
"""Jobs on a page; the service leaves no choice."""

_FIRST_TOKEN = 1575822103313046000
_MEMBER = re.compile(r"job-\d{4}")

AWKWARD = ("CON", "nul.txt", "a/b", "a b", "a?b#c&d=e", "50%41", "-rf", "Job-0001", "ünï", "x" * 200, ".hidden", "end.")
"""Job ids that are trouble as file names or in a URL."""

UNFINISHED = ("after-1", "never")
_MIXED = ("job-0001", "job-0002", "after-1", "empty-then-filled", "expired-link", "masks", "hostile")
_FAILING = ("job-0001", "job-0002", "refused-link", "gone", "teapot")


class Batch(Struct, frozen=True):
    """A batch of jobs with the way in which its list ends."""

    what: str
    jobs: tuple[str, ...]
    end: Mapping[str, Any]
    """What the last page says about a next one."""
    following: Callable[[int], str] = lambda start: _token(start + PAGE)
    """The token that leads on, given where the page began."""


def _token(start: int) -> str:
    return str(_FIRST_TOKEN + start)


def members(count: int) -> tuple[str, ...]:
    """The ids of so many jobs that are all done."""
    return tuple(f"job-{number:04}" for number in range(1, count + 1))


def is_member(job_id: str) -> bool:
    """Whether this is the id of a job that only a batch names."""
    return bool(_MEMBER.fullmatch(job_id)) or job_id in AWKWARD


BATCHES: Mapping[str, Batch] = {
    "batch-3": Batch("3 jobs on one page, all done", members(3), {}),
    "batch-0": Batch("no jobs at all", (), {}),
    "batch-250": Batch("250 jobs on 3 pages, all done; the last page names no next one", members(250), {}),
    "batch-250-empty": Batch("the same, ending with an empty token", members(250), {"next_page_token": ""}),
    "batch-250-null": Batch("the same, ending with null for a token", members(250), {"next_page_token": None}),
    "batch-endless": Batch("the second page leads to itself, for ever", members(250), {}, lambda _: _token(PAGE)),
    "batch-bad-token": Batch("the first page leads to a token that is refused", members(250), {}, lambda _: "broken"),
    "batch-mixed": Batch("jobs that all get done, each in its own way", _MIXED, {}),
    "batch-failing": Batch("jobs of which some fail", _FAILING, {}),
    "batch-one-bad": Batch("249 jobs that are done and one that is refused once", (*members(249), "mends"), {}),
    "batch-unfinished": Batch("two jobs that are done and one that never is", (*members(2), "never"), {}),
    "batch-awkward": Batch("jobs whose ids are trouble as file names", AWKWARD, {}),
}


Told = Callable[[Call, str], str]
"""How far a job is that is not done from the start; the list is a look at it."""


def page(call: Call, told: Told) -> Reply:
    """One page of a batch's jobs."""
    batch = BATCHES.get(call.parts["batch_id"])
    token = call.request.query.get("page_token") or _token(0)
    start = int(token) - _FIRST_TOKEN if token.isdecimal() else -1
    if batch is None:
        return _refusal("resource_error", "batch_id not found")
    if start % PAGE or not 0 <= start <= len(batch.jobs):
        return _refusal("invalid_request_error", "Invalid pageToken provided")
    return dumped(_listing(call, batch, start, told))


def _refusal(code: str, message: str) -> Reply:
    return dumped({"success": False, "error": {"code": code, "message": message}}, status=400)


def _listing(call: Call, batch: Batch, start: int, told: Told) -> Any:
    reply = sample(_SERVICE, "batch")
    data = reply["data"]
    [job] = data["jobs"]
    data["id"], data["project_id"] = call.parts["batch_id"], call.parts["project"]
    data["jobs"] = [
        job | {"id": job_id, "status": told(call, job_id) if job_id in UNFINISHED else "completed"}
        for job_id in batch.jobs[start : start + PAGE]
    ]
    del data["next_page_token"]
    ends = start + PAGE >= len(batch.jobs)
    data.update(batch.end if ends else {"next_page_token": batch.following(start)})
    return reply


def details(_call: Call) -> Reply:
    """The project and all its batches."""
    reply = sample(_SERVICE, "details")
    [published] = reply["data"]["batches"]
    reply["data"]["batches"] = [
        published
        | {"id": batch_id, "name": batch_id, "description": batch.what, "total_jobs": len(batch.jobs)}
        | {"completed_jobs": sum(job not in UNFINISHED for job in batch.jobs)}
        for batch_id, batch in BATCHES.items()
    ]
    return dumped(reply)
