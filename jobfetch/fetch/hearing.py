"""A body on its way into a file, heard as it passes: checked for being JSON at once, hashed by a thread beside."""

from __future__ import annotations

import hashlib
import queue
import threading
from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager
from typing import Any, BinaryIO

from msgspec import Struct, field

from jobfetch import jsonfile

#: Bytes that are hashed at the end, all at once: a thread is for more than that.
SHORT = 2 * 1024 * 1024
#: Pieces that wait for a thread which does not keep up.
MOST_WAITING = 8


class Ear(Struct, frozen=True):
    """What hears every byte in its order, and what tells in the end what was heard, or raises.

    One that works `beside` lets others run meanwhile: a thread of its own gains time, where others only lose it.
    """

    feed: Callable[[bytes], None]
    tell: Callable[[], Any]
    beside: bool = False


def hashed() -> Ear:
    """Hears the SHA-256, in hexadecimal digits."""
    digest = hashlib.sha256()
    return Ear(digest.update, digest.hexdigest, beside=True)


def checked_json() -> Ear:
    """Hears whether it is JSON; `BadReply` where it is not."""
    check = jsonfile.Check()
    return Ear(check.feed, check.end)


@contextmanager
def overheard(file: BinaryIO, *ears: Callable[[], Ear]) -> Iterator[Overheard]:
    """The file as something to write to; what the ears heard is told by `heard`."""
    sink = Overheard(file, ears)
    sink.begin()
    try:
        yield sink
    finally:
        sink.hush()


class Overheard(Struct):
    """A file that is written from its start, perhaps more than once: `truncate` makes every ear forget."""

    file: BinaryIO
    makers: Sequence[Callable[[], Ear]]
    _ears: list[Ear] = field(default_factory=list)
    _near: list[Ear] = field(default_factory=list)
    _beside: list[Ear] = field(default_factory=list)
    _waiting: list[bytes] = field(default_factory=list)
    _size: int = 0
    _thread: _Listener | None = None
    _error: Exception | None = None

    def begin(self) -> None:
        """Hear from now on."""
        self._ears = [maker() for maker in self.makers]
        self._near = [ear for ear in self._ears if not ear.beside]
        self._beside = [ear for ear in self._ears if ear.beside]
        self._waiting, self._size, self._error = [], 0, None

    def write(self, data: bytes, /) -> int:
        """Write, and have it heard."""
        self.file.write(data)
        try:
            for ear in self._near if self._error is None else ():
                ear.feed(data)
        except Exception as error:  # noqa: BLE001 - raised to whoever asks what was heard
            self._error = error
        if self._thread:
            self._thread.put(data)
        elif self._beside:
            self._waiting.append(data)
            self._size += len(data)
            if self._size > SHORT:
                self._thread = _Listener(self._beside)
                for each in self._waiting:
                    self._thread.put(each)
                self._waiting = []
        return len(data)

    def seek(self, offset: int, /) -> int:
        """Go to a place of the file: its start."""
        return self.file.seek(offset)

    def truncate(self) -> int:
        """Begin anew."""
        self.hush()
        self.begin()
        return self.file.truncate()

    def heard(self) -> list[Any]:
        """What each ear has to tell of all that was written; raises what one of them raises."""
        if self._thread:
            thread, self._thread = self._thread, None
            thread.end()
        for data in self._waiting:
            for ear in self._beside:
                ear.feed(data)
        if self._error:
            raise self._error
        return [ear.tell() for ear in self._ears]

    def hush(self) -> None:
        """Hear no more."""
        if self._thread:
            self._thread.put(None)
            self._thread = None


class _Listener:
    """A thread that feeds some ears; after the first error it only takes what comes."""

    def __init__(self, ears: list[Ear]) -> None:
        self._ears = ears
        self._error: BaseException | None = None
        self._came: queue.SimpleQueue[bytes | None] = queue.SimpleQueue()
        self._room = threading.Semaphore(MOST_WAITING)
        self._thread = threading.Thread(target=self._run, name="jobfetch-ears", daemon=True)
        self._thread.start()

    def put(self, data: bytes | None) -> None:
        """Have this heard, once there is room; None is the end."""
        self._room.acquire()
        self._came.put(data)

    def end(self) -> None:
        """Wait until everything is heard; raises what an ear raised."""
        self.put(None)
        self._thread.join()
        if self._error:
            raise self._error

    def _run(self) -> None:
        while (data := self._came.get()) is not None:
            try:
                for ear in self._ears if self._error is None else ():
                    ear.feed(data)
            except BaseException as error:  # noqa: BLE001 - raised in the thread that asks what was heard
                self._error = error
            self._room.release()
