"""A body on its way into a file, heard by a thread beside: hashed, or checked for being JSON, while the rest comes."""

from __future__ import annotations

import hashlib
import queue
import threading
from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager
from typing import Any, BinaryIO

from msgspec import Struct, field

from jobfetch import jsonfile

#: What hears every byte in its order, and what tells in the end what was heard, or raises.
Ear = tuple[Callable[[bytes], None], Callable[[], Any]]

#: Bytes that are heard at the end, all at once: a thread is for more than that.
SHORT = 2 * 1024 * 1024
#: Pieces that wait for a thread which does not keep up.
MOST_WAITING = 16


def hashed() -> Ear:
    """Hears the SHA-256, in hexadecimal digits."""
    digest = hashlib.sha256()
    return digest.update, digest.hexdigest


def checked_json() -> Ear:
    """Hears whether it is JSON; `BadReply` where it is not."""
    check = jsonfile.Check()
    return check.feed, check.end


@contextmanager
def overheard(file: BinaryIO, *ears: Callable[[], Ear]) -> Iterator[Overheard]:
    """The file as something to write to; what the ears heard is told by `heard`."""
    sink = Overheard(file, ears)
    try:
        yield sink
    finally:
        sink.hush()


class Overheard(Struct):
    """A file that is written from its start, perhaps more than once: `truncate` makes every ear forget."""

    file: BinaryIO
    makers: Sequence[Callable[[], Ear]]
    _waiting: list[bytes] = field(default_factory=list)
    _size: int = 0
    _thread: _Listener | None = None

    def write(self, data: bytes, /) -> int:
        """Write, and have it heard."""
        self.file.write(data)
        if self._thread:
            self._thread.queue.put(data)
            return len(data)
        self._waiting.append(data)
        self._size += len(data)
        if self._size > SHORT:
            self._thread = _Listener([maker() for maker in self.makers])
            for each in self._waiting:
                self._thread.queue.put(each)
            self._waiting.clear()
        return len(data)

    def seek(self, offset: int, /) -> int:
        """Go to a place of the file: its start."""
        return self.file.seek(offset)

    def truncate(self) -> int:
        """Begin anew."""
        self.hush()
        self._waiting.clear()
        self._size = 0
        return self.file.truncate()

    def heard(self) -> list[Any]:
        """What each ear has to tell of all that was written; raises what one of them raises."""
        if self._thread:
            ears = self._thread.end()
            self._thread = None
        else:
            ears = [maker() for maker in self.makers]
            for data in self._waiting:
                for feed, _ in ears:
                    feed(data)
        return [tell() for _, tell in ears]

    def hush(self) -> None:
        """Hear no more."""
        if self._thread:
            self._thread.queue.put(None)
            self._thread = None


class _Listener:
    """A thread that feeds some ears; after the first error it only takes what comes."""

    def __init__(self, ears: list[Ear]) -> None:
        self._ears = ears
        self._error: BaseException | None = None
        self.queue: queue.Queue[bytes | None] = queue.Queue(MOST_WAITING)
        self._thread = threading.Thread(target=self._run, name="jobfetch-ears", daemon=True)
        self._thread.start()

    def end(self) -> list[Ear]:
        """The ears, once they have heard everything; raises what one of them raised."""
        self.queue.put(None)
        self._thread.join()
        if self._error:
            raise self._error
        return self._ears

    def _run(self) -> None:
        while (data := self.queue.get()) is not None:
            try:
                for feed, _ in self._ears if self._error is None else ():
                    feed(data)
            except BaseException as error:  # noqa: BLE001 - raised in the thread that asks what was heard
                self._error = error
