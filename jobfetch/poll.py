"""Decides when to look at a job again: one loop for many jobs, one deadline, the service's hint before our schedule.

It knows nothing of HTTP: a look is a function that gives a status or raises.
"""

from __future__ import annotations

import heapq
import random
import time
from collections.abc import Callable, Iterator, Mapping
from datetime import UTC, datetime, timedelta
from typing import Protocol

from msgspec import Struct

from jobfetch.errors import JobfetchError, StillRunning, TooSoon
from jobfetch.model import Deadline, Status, rfc3339
from jobfetch.spec import Schedule

#: Looks in a row that may fail before the job is given up.
MOST_FAILED_LOOKS = 5


class Ended(Struct, frozen=True):
    """How the wait for one job ended: the last status, if any look came back, and the error, if it did not end well."""

    status: Status | None
    error: JobfetchError | None = None


class Watcher(Protocol):
    """Hears of every look, so that somebody can be told."""

    def looked(self, job_id: str, status: Status, wait: float | None) -> None:
        """A look came back; the next one follows in `wait` seconds, or never."""

    def failed(self, job_id: str, error: JobfetchError, wait: float) -> None:
        """A look failed, and the next one follows in `wait` seconds."""

    def stuck(self, job_id: str, status: Status, seconds: float) -> None:
        """Nothing has moved for so long; said once."""


class _Watch(Struct):
    """What is known of one job that has not ended."""

    job_id: str
    look: Callable[[], Status]
    interval: float
    failures: int = 0
    last: Status | None = None
    moved_at: float = 0.0
    said_stuck: bool = False
    last_look: bool = False


def until_ended(
    looks: Mapping[str, Callable[[], Status]],
    schedule: Schedule,
    deadline: Deadline,
    *,
    wait: bool,
    watcher: Watcher,
    sleep: Callable[[float], None] = time.sleep,
    jitter: Callable[[float, float], float] = random.uniform,
    now: Callable[[], datetime] = lambda: datetime.now(UTC),
) -> Iterator[tuple[str, Ended]]:
    """Each job and how the wait for it ended, as it ends; without `wait` after one look each.

    A job that has not ended by the deadline ends with `StillRunning`, which says when to come back. Errors that are
    not transient end a job at once; transient ones after five looks in a row.
    """
    rules = _Rules(schedule, deadline, wait, watcher, jitter, now)
    heap = [(0.0, number, _Watch(job_id, look, schedule.start)) for number, (job_id, look) in enumerate(looks.items())]
    free_at = 0.0
    while heap:
        due, number, watch = heapq.heappop(heap)
        # the first look at each job comes at once: the gap is for looking again and again
        due = max(due, free_at) if watch.last or watch.failures else due
        if due > deadline.clock():
            sleep(min(due - deadline.clock(), deadline.left()))
        if deadline.left() <= 0:
            yield watch.job_id, _still_running(watch, rules, "the deadline passed")
            continue
        free_at = deadline.clock() + schedule.gap
        ended, pause = _look(watch, rules)
        if ended is not None:
            yield watch.job_id, ended
        else:
            heapq.heappush(heap, (deadline.clock() + pause, number, watch))


class _Rules(Struct, frozen=True):
    """What holds for every job of a run."""

    schedule: Schedule
    deadline: Deadline
    wait: bool
    watcher: Watcher
    jitter: Callable[[float, float], float]
    now: Callable[[], datetime]


def _look(watch: _Watch, rules: _Rules) -> tuple[Ended | None, float]:
    """One look: how the job ended, or how long to pause before the next."""
    try:
        status = watch.look()
    except JobfetchError as error:
        return _after_failure(watch, error, rules)
    watch.failures = 0
    if status.state.terminal:
        rules.watcher.looked(watch.job_id, status, None)
        return Ended(status), 0.0
    return _while_running(watch, status, rules)


def _after_failure(watch: _Watch, error: JobfetchError, rules: _Rules) -> tuple[Ended | None, float]:
    """A look that failed is a tick, not an outcome, until too many have failed in a row."""
    if isinstance(error, StillRunning) and watch.last and not error.retry_at:
        # the deadline fell into the look; what earlier looks told still says when to come back
        return _still_running(watch, rules, error.message), 0.0
    watch.failures += 1
    if not rules.wait or not error.transient or watch.failures >= MOST_FAILED_LOOKS:
        return Ended(watch.last, error), 0.0
    asked = (error.retry_at - rules.now()).total_seconds() if error.retry_at else 0.0
    if watch.last_look or asked >= rules.deadline.left():
        return _still_running(watch, rules, f"the deadline comes before the next look; last: {error.message}", asked), 0
    pause = _pause(watch, asked, rules)
    rules.watcher.failed(watch.job_id, error, pause)
    return None, pause


def _while_running(watch: _Watch, status: Status, rules: _Rules) -> tuple[Ended | None, float]:
    clock = rules.deadline.clock
    before = watch.last
    if before is None or (before.provider_state, before.progress) != (status.provider_state, status.progress):
        watch.moved_at = clock()
        watch.said_stuck = False
    watch.last = status
    asked = status.retry_after or 0.0
    if not rules.wait or watch.last_look or asked >= rules.deadline.left():
        rules.watcher.looked(watch.job_id, status, None)
        why = "the deadline comes before the next look" if rules.wait else "not waited for"
        return _still_running(watch, rules, why), 0.0
    pause = _pause(watch, asked, rules)
    rules.watcher.looked(watch.job_id, status, pause)
    if clock() - watch.moved_at >= rules.schedule.stuck_after and not watch.said_stuck:
        watch.said_stuck = True
        rules.watcher.stuck(watch.job_id, status, clock() - watch.moved_at)
    return None, pause


def _pause(watch: _Watch, asked: float, rules: _Rules) -> float:
    """Seconds until the next look: the schedule with jitter, never less than the service asks for.

    Where the schedule alone would sleep past the deadline, one last look comes shortly before it.
    """
    schedule, left = rules.schedule, rules.deadline.left()
    pause = watch.interval * rules.jitter(1 - schedule.jitter, 1 + schedule.jitter)
    watch.interval = min(watch.interval * schedule.factor, schedule.cap)
    if pause >= left:
        watch.last_look = True
        pause = left - min(2.0, left / 4)
    return max(pause, asked)


def _still_running(watch: _Watch, rules: _Rules, why: str, asked: float | None = None) -> Ended:
    asked = asked or (watch.last.retry_after if watch.last else None)
    back = rules.now() + timedelta(seconds=asked or rules.schedule.start)
    known = f"is still running ({watch.last.provider_state})" if watch.last else "may still be running"
    # of a job that nobody has asked about there is nothing to tell
    kind = StillRunning if watch.last or watch.failures else TooSoon
    error = kind(
        f"job {watch.job_id} {known}: {why}",
        hint=f"{'' if rules.wait else 'add --wait, or '}run the same line again, not before {rfc3339(back)}",
        retry_at=back,
    )
    return Ended(watch.last, error)
