"""A few threads that run what they are given; what comes of it is taken by the one thread that keeps the books."""

from __future__ import annotations

import contextlib
import queue
import threading
from collections.abc import Callable
from types import TracebackType
from typing import Any, Self, TypeVar

from msgspec import Struct

from jobfetch.errors import Interrupted, JobfetchError, StillRunning, Terminated
from jobfetch.model import Deadline

T = TypeVar("T")


class Came(Struct, frozen=True):
    """What one piece of work gave: a value, or the error that it raised."""

    lane: str
    value: Any = None
    error: BaseException | None = None
    #: whether it was not begun
    left: bool = False


class Workers:
    """Lanes of threads, each with work of its own; all results come in through one door.

    The threads are daemons: one that hangs in a request does not keep the program from ending.
    """

    def __init__(self, ends: Callable[[Came], bool] = lambda _: False, **lanes: int) -> None:
        """Lanes with so many threads each; `ends` is told of all that comes, where it comes: is it the end of everything?"""
        self._most = lanes
        self._ends = ends
        self._halted = False
        self._work: dict[str, queue.SimpleQueue[Callable[[], Any] | None]] = {
            name: queue.SimpleQueue() for name in lanes
        }
        self._threads: dict[str, list[threading.Thread]] = {name: [] for name in lanes}
        self._came: queue.SimpleQueue[Came | None] = queue.SimpleQueue()
        #: pieces of work that are given and have not come back, by lane
        self.busy: dict[str, int] = dict.fromkeys(lanes, 0)

    def __enter__(self) -> Self:
        return self

    def __exit__(self, kind: type[BaseException] | None, error: BaseException | None, at: TracebackType | None) -> None:
        self.halt()
        for lane, threads in self._threads.items():
            for _ in threads:
                self._work[lane].put(None)

    @property
    def in_flight(self) -> int:
        """All pieces of work that have not come back."""
        return sum(self.busy.values())

    def give(self, lane: str, work: Callable[[], Any]) -> None:
        """Have this done by a thread of a lane."""
        self.busy[lane] += 1
        self._work[lane].put(work)
        if len(self._threads[lane]) < min(self.busy[lane], self._most[lane]):
            thread = threading.Thread(target=self._run, args=(lane,), name=f"jobfetch-{lane}", daemon=True)
            self._threads[lane].append(thread)
            thread.start()

    def take(self, seconds: float) -> list[Came]:
        """Everything that came back, waiting so long for the first; nothing where somebody woke us."""
        try:
            first = self._came.get(timeout=seconds)
        except queue.Empty:
            return []
        found = [first] if first else []
        while not self._came.empty():
            found += [came] if (came := self._came.get()) else []
        for came in found:
            self.busy[came.lane] -= 1
        return found

    def wake(self) -> None:
        """End a wait for results; safe in a signal handler."""
        self._came.put(None)

    def halt(self) -> None:
        """Begin nothing more: work that nobody has begun comes back as it is."""
        self._halted = True

    def _run(self, lane: str) -> None:
        while work := self._work[lane].get():
            if self._halted:
                self._came.put(Came(lane, left=True))
                continue
            try:
                came = Came(lane, value=work())
            except BaseException as error:  # noqa: BLE001 - raised again by whoever keeps the books
                came = Came(lane, error=error)
            try:
                # at once, before this thread begins another
                if self._ends(came):
                    self._halted = True
            finally:
                self._came.put(came)


class Stop:
    """How often the user has asked to stop, by signals: once to end in order, twice to end at once."""

    def __init__(self) -> None:
        self.error: JobfetchError | None = None
        self.asked = 0
        # a queue, since its locks can be taken again where a signal cuts in
        self._heard: queue.SimpleQueue[None] = queue.SimpleQueue()
        #: called with each signal, so that no wait goes on
        self.wakes: list[Callable[[], None]] = []

    def hear(self, *, terminated: bool) -> None:
        """A signal came; safe in a signal handler."""
        self.asked += 1
        kind, word = (Terminated, "terminated") if terminated else (Interrupted, "interrupted")
        self.error = self.error or kind(word, hint="run the same line again: it goes on where this run stopped")
        self._heard.put(None)
        for wake in self.wakes:
            wake()

    def sleep(self, seconds: float) -> None:
        """Sleep, or until a signal comes."""
        if not self.asked:
            with contextlib.suppress(queue.Empty):
                self._heard.get(timeout=seconds)


#: Seconds between two looks whether a signal came that nothing woke us for.
_LOOK = 1.0


def aside(work: Callable[[], T], deadline: Deadline, stop: Stop) -> T | None:
    """What work gives that a thread aside does, since neither a signal nor the deadline is to wait for it.

    None where a signal came; `StillRunning` where the deadline did.
    """
    with Workers(aside=1) as workers:
        stop.wakes.append(workers.wake)
        try:
            workers.give("aside", work)
            while not stop.asked:
                if (left := deadline.left()) <= 0:
                    raise StillRunning("the deadline passed", hint="--timeout gives it longer")
                for came in workers.take(min(_LOOK, left)):
                    if came.error:
                        raise came.error
                    found: T = came.value
                    return found
        finally:
            stop.wakes.remove(workers.wake)
    return None
