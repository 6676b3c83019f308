"""A batch download, every step in order: its folders one after the other, then the jobs that still run, together.

folder: lock -> sweep -> manifest -> list -> jobs -> what was left -> (wait) -> failures, tables
"""

from __future__ import annotations

import random
from collections.abc import Callable, Iterable, Iterator
from contextlib import ExitStack
from datetime import timedelta
from pathlib import Path

from msgspec import Struct

from jobfetch import disk, locks
from jobfetch.errors import DiskError, Exit, FolderLocked, JobfetchError, StillRunning
from jobfetch.fetch.batch import MOST_FAILED_ROUNDS, TICK, Folder
from jobfetch.fetch.plan import Books, Plan
from jobfetch.fetch.service import ends_the_run
from jobfetch.fetch.sources import Source, batched
from jobfetch.manifest import ASSETS, LOCK, Header, Manifest

Finish = Callable[[Folder], None]


class Target(Struct, frozen=True, kw_only=True):
    """One folder to fill, and the jobs that belong into it."""

    place: Path
    header: Header
    source: Source


class _Open(Struct, frozen=True):
    """A folder that is being worked on."""

    folder: Folder
    source: Source
    stack: ExitStack


def download(plan: Plan, books: Books, targets: Iterable[Target], finish: Finish) -> None:
    """Fill every folder; what the jobs came to stands in the books.

    `finish` is called for each folder once nothing more is to come, unless the disk itself refuses.

    Raises:
        JobfetchError: what ended the run for a reason of its own, after everything else was put in order.

    """
    problems: list[JobfetchError] = []
    kept: list[_Open] = []
    with ExitStack() as all_of_them:
        try:
            for opened in _opened(plan, books, targets, problems):
                all_of_them.enter_context(opened.stack)
                problems += [broke] if (broke := _first(opened)) else []
                if plan.waiting.wait and opened.folder.pending and opened.folder.may_go_on():
                    kept.append(opened)
                else:
                    _end(opened, finish)
                if _over(plan, books):
                    break
        except JobfetchError as error:
            # what no other folder would get past; those that are open are put in order all the same
            books.ending = books.ending or error
        try:
            _wait(plan, books, kept)
        except JobfetchError as error:
            problems.append(error)
        for opened in kept:
            _end(opened, finish)
    _conclude(plan, books, problems)


def _opened(plan: Plan, books: Books, targets: Iterable[Target], problems: list[JobfetchError]) -> Iterator[_Open]:
    """Each folder, open. One in which another run is at work is a problem of its own, and the others are visited."""
    for target in targets:
        try:
            opened = _begin(plan, books, target)
        except FolderLocked as locked:
            problems.append(locked)
            continue
        yield opened


def _begin(plan: Plan, books: Books, target: Target) -> _Open:
    """Lock a folder, clean it, and open its manifest."""
    place = disk.folder(target.place)
    with ExitStack() as stack:
        stack.enter_context(locks.locked(place / LOCK, 0.0))
        below = ASSETS if plan.wanted.assets else None
        disk.sweep(place, below)
        # what was given up in flight leaves nothing behind either
        stack.callback(disk.sweep, place, below)
        manifest = stack.enter_context(Manifest.begin(place, target.header))
        return _Open(Folder(plan, books, manifest), target.source, stack.pop_all())


def _first(opened: _Open) -> JobfetchError | None:
    """Go through the jobs of a folder; the error of the list, if it broke."""
    folder, source = opened.folder, opened.source
    try:
        folder.go(source.first())
        entries = folder.manifest.entries(left=True) if source.whole else ()
        # on record, not there, and not named any more: asked for all the same
        if left := [entry.job_id for entry in entries if not entry.done and not source.named(entry.job_id)]:
            folder.go(batched(left))
    except JobfetchError as error:
        if isinstance(error, DiskError) or ends_the_run(error):
            folder.books.ending = folder.books.ending or error
        return error
    return None


def _end(opened: _Open, finish: Finish) -> None:
    folder, books = opened.folder, opened.folder.books
    with opened.stack:
        folder.close()
        try:
            if not isinstance(books.ending, DiskError):
                finish(folder)
        except JobfetchError as error:
            books.ending = books.ending or error


def _over(plan: Plan, books: Books) -> bool:
    return bool(plan.stop.asked or books.ending or books.cut_short)


def _conclude(plan: Plan, books: Books, problems: list[JobfetchError]) -> None:
    """Raise what ended the run for a reason of its own; where only time was up, that counts like a job that runs."""
    reasons = [error for error in (books.ending, plan.stop.error, *problems) if error]
    for other in problems:
        if other is not reasons[0]:
            plan.watcher.passed(other)
    if reasons:
        raise reasons[0]
    if books.cut_short:
        books.tally.add(None, None, Exit.RUNNING, _time_was_up(plan))


def _time_was_up(plan: Plan) -> StillRunning:
    error = StillRunning(
        "time was up before every job was asked for", hint="run the same line again; --timeout gives it longer"
    )
    if closed := plan.closed():
        error.retry_at = plan.service.now() + timedelta(seconds=closed)
    return error


# --- waiting ---


def _wait(plan: Plan, books: Books, folders: list[_Open]) -> None:
    """Ask about the jobs that still run, round after round, until none is left or the deadline is near."""
    interval, failures, last = plan.waiting.schedule.start, 0, False
    while not last and (left := [opened for opened in folders if opened.folder.pending]) and not _over(plan, books):
        pause, last = _pause(plan, interval, min(_due(opened) for opened in left))
        interval = min(interval * plan.waiting.schedule.factor, plan.waiting.schedule.cap)
        if pause >= plan.waiting.deadline.left():
            return
        _sleep(plan, books, pause)
        try:
            for opened in left:
                if opened.folder.may_go_on():
                    opened.folder.go(opened.source.again(_asked_for(opened)))
            failures = 0
        except JobfetchError as error:
            failures += 1
            if not error.transient or failures >= MOST_FAILED_ROUNDS:
                raise


def _due(opened: _Open) -> float:
    return min(pending.due for pending in opened.folder.pending.values())


def _pause(plan: Plan, interval: float, due: float) -> tuple[float, bool]:
    """Seconds until the next round, never less than the service asks for; and whether it is the last before the end."""
    schedule, deadline = plan.waiting.schedule, plan.waiting.deadline
    left = deadline.left()
    pause = interval * random.uniform(1 - schedule.jitter, 1 + schedule.jitter)  # noqa: S311 - no secret
    last = pause >= left
    if last:
        pause = left - min(2.0, left / 4)
    return max(pause, due - deadline.clock()), last


def _sleep(plan: Plan, books: Books, seconds: float) -> None:
    clock = plan.waiting.deadline.clock
    ends = clock() + seconds
    while clock() < ends and not plan.stop.asked:
        plan.watcher.progressed(books.progress)
        plan.stop.sleep(min(TICK, max(0.0, ends - clock())))


def _asked_for(opened: _Open) -> tuple[str, ...]:
    """The jobs of a round: those that want to be asked by now, or all of them where one question tells of many."""
    now = opened.folder.plan.waiting.deadline.clock()
    pending = opened.folder.pending
    return tuple(job_id for job_id, each in pending.items() if opened.source.many or each.due <= now)
