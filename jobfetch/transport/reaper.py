"""Closes connections whose time is up: a read timeout bounds only the gaps, so a dripping reply could go on for ever."""

from __future__ import annotations

import contextlib
import socket
import threading
import time
from collections.abc import Iterator
from contextlib import contextmanager

from msgspec import Struct, field

#: Seconds after which the thread looks whether there is anything left to watch.
_LONGEST_SLEEP = 60.0


class Watch(Struct, eq=False, dict=True):
    """One request in flight: when it must be over, and the line to close then."""

    ends: float
    line: socket.socket | None = None
    fired: bool = False
    _kept: bool = False
    _lock: threading.Lock = field(default_factory=threading.Lock)

    def hold(self, line: socket.socket) -> None:
        """Name the line that carries the request; closed at once where the time is already up."""
        with self._lock:
            self._drop()
            self.line = line
            if self.fired:
                _shut(self.line)

    def keep(self, line: socket.socket) -> bool:
        """Whether this very line is held here: it stays open then, and is closed when the request is over."""
        with self._lock:
            self._kept = self._kept or self.line is line
            return self.line is line

    def release(self) -> None:
        """The request is over."""
        with self._lock:
            self._drop()

    def _drop(self) -> None:
        if self.line and self._kept:
            self.line.close()
        self.line, self._kept = None, False

    def fire(self) -> None:
        """Close the line: whoever waits for it wakes up."""
        with self._lock:
            self.fired = True
            if self.line:
                _shut(self.line)


def _shut(line: socket.socket) -> None:
    with contextlib.suppress(OSError):  # it may have ended by itself in the meantime
        line.shutdown(socket.SHUT_RDWR)


class Reaper:
    """One thread for all requests of a transport, started with the first and gone at `close`, or some time after the last.

    It sleeps until the first of them must be over: requests that come and go in the meantime do not wake it.
    """

    def __init__(self) -> None:
        self._watches: set[Watch] = set()
        self._changed = threading.Condition()
        #: when the thread looks next, on `time.monotonic`; None where there is no thread
        self._looks_at: float | None = None

    @contextmanager
    def watching(self, ends: float) -> Iterator[Watch]:
        """Watch one request until the block is left; `ends` is on `time.monotonic`."""
        watch = Watch(ends)
        with self._changed:
            self._watches.add(watch)
            if self._looks_at is None:
                self._looks_at = ends
                threading.Thread(target=self._run, name="jobfetch-reaper", daemon=True).start()
            elif ends < self._looks_at:
                self._changed.notify()
        try:
            yield watch
        finally:
            with self._changed:
                self._watches.discard(watch)
            watch.release()

    def close(self) -> None:
        """Nothing more is to be watched: the thread ends with the last request that still is."""
        with self._changed:
            self._changed.notify()

    def _run(self) -> None:
        with self._changed:
            while self._watches:
                now = time.monotonic()
                due = {watch for watch in self._watches if watch.ends <= now}
                self._watches -= due
                for watch in due:
                    watch.fire()
                self._looks_at = min((watch.ends for watch in self._watches), default=now + _LONGEST_SLEEP)
                self._looks_at = min(self._looks_at, now + _LONGEST_SLEEP)
                self._changed.wait(self._looks_at - now)
            self._looks_at = None
