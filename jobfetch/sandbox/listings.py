"""Plays lists of jobs that come in pages: Exabase's with a cursor, JustCrawl's with page numbers."""

import base64
import binascii
from collections.abc import Callable, Iterable, Mapping

from msgspec import Struct

from jobfetch.sandbox import batches
from jobfetch.sandbox.play import Call, Script, dumped
from jobfetch.sandbox.wire import Reply

_MANY = 120
_MARK = "after:"


class Listed(Struct, frozen=True):
    """A job as a list names it."""

    job_id: str
    state: str
    kind: str = "default"


class Listing(Struct, frozen=True):
    """The jobs of one list, with the way in which its pages lead on."""

    jobs: tuple[Listed, ...]
    following: Callable[[int, int], str] = lambda start, limit: cursor(start + limit)
    """The cursor that leads on, given where the page began and how long it may be."""


Render = Callable[[Call, Listed], object]
"""How a service shows a job in its list."""

Refuse = Callable[[int, str], Script]


def cursor(start: int) -> str:
    """A cursor that nobody should look into; it needs quoting in a URL."""
    return base64.b64encode(f"{_MARK}{start}".encode()).decode()


def _start(text: str) -> int:
    """Where a cursor leads, or -1 where nobody gave it out."""
    try:
        mark = base64.b64decode(text, validate=True).decode()
    except (binascii.Error, ValueError):
        return -1
    place = mark.removeprefix(_MARK)
    return int(place) if mark.startswith(_MARK) and place.isdecimal() else -1


def members(state: str) -> tuple[Listed, ...]:
    """Many jobs that are all done."""
    return tuple(Listed(job_id, state) for job_id in batches.members(_MANY))


def listings(others: Iterable[Listed]) -> Mapping[str, Listing]:
    """All lists of a service that reads cursors, by the base that a client asks for; the usual one has no name."""
    done = members("completed")
    return {
        "": Listing((*done, *others)),
        "base-done": Listing(done),
        "base-empty": Listing(()),
        "base-endless": Listing(done, lambda _start, limit: cursor(limit)),
        "base-bad-cursor": Listing(done, lambda _start, _limit: "broken"),
    }


def by_cursor(listing: Listing, call: Call, render: Render, refuse: Refuse, *, most: int) -> Reply:
    """One page of a list whose pages lead on by a cursor; null ends it."""
    query = call.request.query
    jobs = _filtered(listing.jobs, state=query.get("state"), kind=query.get("kind"))
    limit = _number(query.get("limit", "50"), most)
    start = _start(query["cursor"]) if query.get("cursor") else 0
    if not limit:
        return refuse(400, f"limit must be a number from 1 to {most}")(call)
    if not 0 <= start <= len(jobs):
        return refuse(400, "Invalid cursor")(call)
    ends = start + limit >= len(jobs)
    page = [render(call, job) for job in jobs[start : start + limit]]
    return dumped({"items": page, "nextCursor": None if ends else listing.following(start, limit)})


def by_number(jobs: tuple[Listed, ...], call: Call, render: Render, refuse: Refuse, *, most: int) -> Reply:
    """One page of a list whose pages have numbers from 1; the total says when it ends."""
    query = call.request.query
    jobs = _filtered(jobs, state=query.get("status"), kind=query.get("workflowId"))
    size, number = _number(query.get("pageSize", "25"), most), _number(query.get("page", "1"), len(jobs) + 1)
    if not size or not number:
        return refuse(400, f"page and pageSize must be numbers from 1, and pageSize at most {most}")(call)
    page = [render(call, job) for job in jobs[(number - 1) * size : number * size]]
    return dumped({"items": page, "total": len(jobs)})


def _number(text: str, most: int) -> int:
    return int(text) if text.isdecimal() and 1 <= int(text) <= most else 0


def _filtered(jobs: tuple[Listed, ...], *, state: str | None, kind: str | None) -> tuple[Listed, ...]:
    return tuple(job for job in jobs if state in {None, "", job.state} and kind in {None, "", job.kind})
