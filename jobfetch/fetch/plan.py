"""What a batch is to do, what is known of it so far, and who hears of it: shared by all of its folders."""

from __future__ import annotations

from collections.abc import Callable
from datetime import datetime
from functools import cached_property
from typing import Protocol

from msgspec import Struct, field
from msgspec.structs import replace

from jobfetch.errors import JobfetchError
from jobfetch.fetch.service import Service, Waiting, Wanted
from jobfetch.fetch.streak import Streak
from jobfetch.fetch.workers import Stop
from jobfetch.model import Outcome, State, Tally


class Progress(Struct):
    """How far a run has come, in jobs; `total` where it is known."""

    done: int = 0
    failed: int = 0
    skipped: int = 0
    running: int = 0
    in_flight: int = 0
    total: int | None = None
    changed: int = 0
    unchanged: int = 0
    bytes: int = 0

    @property
    def settled(self) -> int:
        """Jobs of which this run knows what they came to."""
        return self.done + self.failed + self.skipped + self.running


class Watcher(Protocol):
    """Hears how a run goes on, in the thread that runs it."""

    def progressed(self, progress: Progress) -> None:
        """Something may have changed; called at least twice a second."""

    def settled(self, outcome: Outcome) -> None:
        """A job was asked for, and what it came to is recorded."""

    def passed(self, problem: JobfetchError) -> None:
        """A folder was left as it is, or its list broke off, beside what the run itself ends with."""


class Plan(Struct, frozen=True, kw_only=True, dict=True):
    """What a run shares over all its folders, and how it is to go about them.

    `named` ids were given by the user, and are asked for whatever was recorded. `closed` gives the seconds for which
    the service wants to be left alone. `wanted` is a record or raw bytes a job, in the manifest's folder.
    """

    service: Service
    waiting: Waiting
    wanted: Wanted
    workers: int
    stop: Stop
    watcher: Watcher
    closed: Callable[[], float] = lambda: 0.0
    named: bool = False
    refresh: bool = False
    verify: bool = False

    @cached_property
    def once(self) -> Waiting:
        """One look at a job: the rounds of a batch do the waiting."""
        return replace(self.waiting, wait=False)


class Books(Struct):
    """What is known of a run so far, over all its folders."""

    tally: Tally = field(default_factory=Tally)
    progress: Progress = field(default_factory=Progress)
    #: the error that ends the run, once there is one
    ending: JobfetchError | None = None
    #: whether jobs were left out because time was up
    cut_short: bool = False
    streak: Streak = field(default_factory=Streak)


class Pending(Struct, frozen=True):
    """A job that has not ended: its state, and when to ask again at the earliest, on the monotonic clock and by date.

    There may be very many of them, so that what was said of each is not kept.
    """

    state: State | None
    due: float
    retry_at: datetime | None
