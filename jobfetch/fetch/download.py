"""A batch download, every step in order: its folders one after the other, then the jobs that still run, together.

folder: lock -> sweep -> manifest -> list -> jobs -> what was left -> (wait) -> failures, tables
"""

from __future__ import annotations

import random
from collections.abc import Callable, Iterable, Iterator
from contextlib import ExitStack
from datetime import timedelta
from functools import partial
from pathlib import Path

from msgspec import Struct

from jobfetch import disk, locks
from jobfetch.errors import DiskError, Exit, InTheWay, JobfetchError, StillRunning, TooSoon
from jobfetch.fetch.attempt import IN_THE_WAY, refuse_late
from jobfetch.fetch.batch import TICK, Folder, ends_all
from jobfetch.fetch.plan import Books, Plan
from jobfetch.fetch.sources import Source, batched
from jobfetch.manifest import ASSETS, LOCK, Header, Manifest

Finish = Callable[[Folder], None]

#: Failed walks of a list in a row that a wait survives.
MOST_FAILED_ROUNDS = 5


class Target(Struct, frozen=True, kw_only=True):
    """One folder to fill, and the jobs that belong into it."""

    place: Path
    header: Header
    source: Source


class _Open(Struct):
    """A folder that is being worked on."""

    folder: Folder
    source: Source
    stack: ExitStack
    #: whether its list has been gone through, as far as that can be
    listed: bool = False
    #: whether nobody tells of many of its jobs at once any more
    alone: bool = False
    #: rounds in a row in which the list broke, and how the last one did
    failures: int = 0
    trouble: JobfetchError | None = None
    #: whether the disk refused here, so that nothing more is written
    refused: bool = False

    @property
    def waits(self) -> bool:
        """Whether there is anything to come back for."""
        return bool(self.folder.pending or self.trouble)


def download(plan: Plan, books: Books, targets: Iterable[Target], finish: Finish) -> None:
    """Fill every folder; what the jobs came to stands in the books.

    `finish` is called for each folder once nothing more is to come, unless the disk itself refuses there.

    Raises:
        JobfetchError: what ended the run for a reason of its own, after everything else was put in order.

    """
    problems: list[JobfetchError] = []
    kept: list[_Open] = []
    with ExitStack() as all_of_them:
        try:
            for opened in _opened(plan, books, targets, problems):
                all_of_them.enter_context(opened.stack)
                _go_through(opened, problems)
                if plan.waiting.wait and opened.waits and opened.folder.may_ask():
                    kept.append(opened)
                else:
                    _end(opened, finish, problems)
                if _over(plan, books):
                    break
        except JobfetchError as error:
            # what no other folder would get past; those that are open are put in order all the same
            books.ending = books.ending or error
        _wait(plan, books, kept, problems)
        for opened in kept:
            _end(opened, finish, problems)
    _conclude(plan, books, problems)


def _opened(plan: Plan, books: Books, targets: Iterable[Target], problems: list[JobfetchError]) -> Iterator[_Open]:
    """Each folder, open. One that cannot be worked in is a problem of its own, and the others are visited."""
    for target in targets:
        try:
            opened = _begin(plan, books, target)
        except JobfetchError as error:
            problems.append(_advised(error))
            continue
        yield opened


def _advised(error: JobfetchError) -> JobfetchError:
    """An error of one folder, whose files nobody has named: what stands in the place of one is to go, not another name to come."""
    if isinstance(error, InTheWay):
        error.hint = IN_THE_WAY
    return error


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
        # before the lock is gone, which another run may be waiting for
        claim = disk.Claim()
        stack.callback(claim.end)
        return _Open(Folder(plan, books, manifest, claim), target.source, stack.pop_all())


def _go_through(opened: _Open, problems: list[JobfetchError]) -> None:
    """Go once through the jobs of a folder: those that are listed, and later on those that still run."""
    folder, source, before = opened.folder, opened.source, opened.folder.books.ending
    try:
        if opened.listed:
            asked = _asked_for(opened)
            folder.go(batched(asked) if opened.alone else source.again(asked))
        else:
            folder.go(source.first(), live=source.live)
            if left := [*left_behind(folder.manifest, source, folder.plan)]:
                folder.go(batched(left))
    except TooSoon:
        # while files were looked through
        folder.books.cut_short = True
    except JobfetchError as error:
        _tripped(opened, error, problems)
    else:
        opened.listed, opened.failures, opened.trouble = True, 0, None
    ending = folder.books.ending
    opened.refused |= ending is not before and isinstance(ending, DiskError)


def left_behind(manifest: Manifest, source: Source, plan: Plan) -> Iterator[str]:
    """Jobs on record that are not all there, and that the list names no more: they are asked for all the same.

    `TooSoon` where time is up, or a signal comes, while files are looked through.
    """
    check = partial(refuse_late, plan)
    for entry in manifest.entries(but=source.seen) if source.whole else ():
        if not entry.done or not entry.intact(manifest.folder, verify=plan.verify, check=check):
            yield entry.job_id


def _tripped(opened: _Open, error: JobfetchError, problems: list[JobfetchError]) -> None:
    """A list broke off. While one waits that is no outcome until it has happened too often; then each job is asked about."""
    plan, books = opened.folder.plan, opened.folder.books
    opened.failures += 1
    if ends_all(error):
        books.ending = books.ending or error
    elif plan.waiting.wait and error.transient and opened.failures < MOST_FAILED_ROUNDS:
        opened.trouble = error
        return
    elif opened.listed:
        plan.watcher.passed(type(error)(f"{error.message}; its jobs are asked for one by one from now on"))
    else:
        problems.append(error)
    opened.listed, opened.alone, opened.failures, opened.trouble = True, True, 0, None


def _end(opened: _Open, finish: Finish, problems: list[JobfetchError]) -> None:
    """Put a folder in order and let go of it, whatever came of others; it may be gone itself."""
    folder, books = opened.folder, opened.folder.books
    try:
        with opened.stack:
            if opened.trouble and not opened.listed:
                _left_unlisted(books, opened.trouble)
            folder.close()
            if not opened.refused:
                finish(folder)
    except JobfetchError as error:
        if isinstance(error, DiskError) and not isinstance(error, InTheWay):
            books.ending = books.ending or error
        else:
            problems.append(_advised(error))


def _left_unlisted(books: Books, trouble: JobfetchError) -> None:
    """Count a list that has not come while one waited: its trouble was no outcome yet, and counts like a job that runs."""
    why = f"the deadline came before the list did; last: {trouble.message}"
    books.tally.add(
        None, None, Exit.RUNNING, StillRunning(why, hint="run the same line again later", retry_at=trouble.retry_at)
    )


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


def _wait(plan: Plan, books: Books, folders: list[_Open], problems: list[JobfetchError]) -> None:
    """Ask about the jobs that still run, round after round, until none is left or the deadline is near."""
    interval, last = plan.waiting.schedule.start, False
    while not last and (left := [opened for opened in folders if opened.waits]) and not _over(plan, books):
        pause, last = _pause(plan, interval, min(map(_due, left)))
        interval = min(interval * plan.waiting.schedule.factor, plan.waiting.schedule.cap)
        if pause >= plan.waiting.deadline.left():
            return
        _sleep(plan, books, pause)
        for opened in left:
            if opened.folder.may_ask():
                _go_through(opened, problems)


def _due(opened: _Open) -> float:
    now = opened.folder.plan.waiting.deadline.clock()
    return min((pending.due for pending in opened.folder.pending.values()), default=now)


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
    many = opened.source.many and not opened.alone
    return tuple(job_id for job_id, each in pending.items() if many or each.due <= now)
