"""Closes connections whose time is up: a read timeout bounds only the gaps, so a dripping reply could go on for ever."""

from __future__ import annotations

import contextlib
import socket
import threading
import time
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass, field


@dataclass(eq=False)
class Watch:
    """One request in flight: when it must be over, and the line to close then."""

    ends: float
    line: socket.socket | None = None
    fired: bool = False
    lock: threading.Lock = field(default_factory=threading.Lock)

    def hold(self, line: socket.socket) -> None:
        """Name the line that carries the request; closed at once where the time is already up."""
        with self.lock:
            self._drop()
            # a twin of the descriptor: the connection may let go of its own before the body is read
            self.line = line.dup()
            if self.fired:
                _shut(self.line)

    def release(self) -> None:
        """The request is over."""
        with self.lock:
            self._drop()

    def _drop(self) -> None:
        if self.line:
            self.line.close()
        self.line = None

    def fire(self) -> None:
        """Close the line: whoever waits for it wakes up."""
        with self.lock:
            self.fired = True
            if self.line:
                _shut(self.line)


def _shut(line: socket.socket) -> None:
    with contextlib.suppress(OSError):  # it may have ended by itself in the meantime
        line.shutdown(socket.SHUT_RDWR)


class Reaper:
    """One thread for all requests of a transport, started with the first and gone with the last."""

    def __init__(self) -> None:
        self._watches: set[Watch] = set()
        self._changed = threading.Condition()
        self._running = False

    @contextmanager
    def watching(self, ends: float) -> Iterator[Watch]:
        """Watch one request until the block is left; `ends` is on `time.monotonic`."""
        watch = Watch(ends)
        with self._changed:
            self._watches.add(watch)
            if not self._running:
                self._running = True
                threading.Thread(target=self._run, name="jobfetch-reaper", daemon=True).start()
            self._changed.notify()
        try:
            yield watch
        finally:
            with self._changed:
                self._watches.discard(watch)
            watch.release()

    def _run(self) -> None:
        while True:
            with self._changed:
                if not self._watches and not self._changed.wait(1.0) and not self._watches:
                    self._running = False
                    return
                now = time.monotonic()
                due = {watch for watch in self._watches if watch.ends <= now}
                self._watches -= due
                if not due:
                    ends = min((watch.ends for watch in self._watches), default=now)
                    self._changed.wait(min(ends - now, 60.0))
            for watch in due:
                watch.fire()
