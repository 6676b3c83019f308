"""Work spread over the processor's cores: some stretches are worked at by processes of their own, what comes of them comes in order.

A helper is forked from this process, and knows all that it knows. Nothing depends on one: a stretch that a helper did not
finish, whatever became of it, is worked at here, so that an error is raised here and in its place.
"""

from __future__ import annotations

import os
import signal
import sys
from collections.abc import Callable, Iterable, Iterator
from contextlib import contextmanager
from itertools import cycle, islice
from typing import Any, BinaryIO, TypeVar

from msgspec import Struct

#: More of them wait for the one that puts everything together.
MOST_HELPERS = 4
#: Bytes that a helper may be ahead.
_AHEAD = 1024 * 1024
_SIZE = 8

Stretch = TypeVar("Stretch")
Piece = TypeVar("Piece")


def cores() -> int:
    """How many processes are worth having at once: one where none can be forked well."""
    return min(MOST_HELPERS, len(os.sched_getaffinity(0))) if sys.platform == "linux" else 1


@contextmanager
def spread(
    stretches: Callable[[], Iterable[Stretch]],
    work: Callable[[Stretch], Iterable[Piece]],
    *,
    through: Callable[[Stretch], None] = lambda _: None,
    processes: int = 1,
) -> Iterator[Iterator[Piece]]:
    """All pieces that `work` makes of all stretches, in order, made by so many helpers, or here where that is one.

    `stretches` is walked by everybody, and must give the same each time. `through` hears of each that has been taken up
    whole. Helpers are gone when the block is left.
    """
    helpers: list[_Helper] = []
    try:
        for number in range(processes if processes > 1 else 0):
            # each hears of those before it
            helpers.append(_forked(number, processes, stretches, work, helpers))
        yield _pieces(stretches(), work, through, helpers)
    finally:
        for helper in helpers:
            helper.end()


def _pieces(
    stretches: Iterable[Stretch],
    work: Callable[[Stretch], Iterable[Piece]],
    through: Callable[[Stretch], None],
    helpers: list[_Helper],
) -> Iterator[Piece]:
    turns = cycle(helpers) if helpers else cycle([None])
    for stretch, helper in zip(stretches, turns, strict=False):
        done = 0
        for piece in helper.pieces() if helper else ():
            done += 1
            yield piece
        if helper is None or helper.gone:
            yield from islice(work(stretch), done, None)
        through(stretch)


class _Helper(Struct):
    """A process that works at every so-manieth stretch, and the pipe that its pieces come through."""

    process: int
    pipe: BinaryIO
    gone: bool = False

    def pieces(self) -> Iterator[Any]:
        """The pieces of its next stretch; fewer where the helper is gone."""
        import pickle  # noqa: PLC0415 - what is not spread needs none of it

        while not self.gone:
            size = int.from_bytes(self.pipe.read(_SIZE), "little")
            told = self.pipe.read(size) if size else b""
            self.gone = not size or len(told) < size
            if not self.gone:
                piece = pickle.loads(told)  # noqa: S301 - of a process of ours, through a pipe that nobody else has
                if piece is None:
                    return
                yield piece

    def end(self) -> None:
        """End it, wherever it is."""
        self.pipe.close()
        os.kill(self.process, signal.SIGKILL)
        os.waitpid(self.process, 0)


def _forked(
    number: int,
    helpers: int,
    stretches: Callable[[], Iterable[Stretch]],
    work: Callable[[Stretch], Iterable[Piece]],
    before: list[_Helper],
) -> _Helper:
    ours, theirs = os.pipe()
    process = os.fork()
    if process:
        os.close(theirs)
        return _Helper(process, os.fdopen(ours, "rb"))
    try:
        for each in (signal.SIGINT, signal.SIGTERM, signal.SIGHUP):
            signal.signal(each, signal.SIG_DFL)
        # whoever holds an end to read keeps the others from hearing that nobody reads any more
        for fd in (ours, *(helper.pipe.fileno() for helper in before)):
            os.close(fd)
        with os.fdopen(theirs, "wb", buffering=0) as pipe:
            _widen(theirs)
            for stretch in islice(stretches(), number, None, helpers):
                for piece in work(stretch):
                    _send(pipe, piece)
                _send(pipe, None)
    finally:
        # no handler, no buffer and no temporary file of the other process is this one's to end; what went wrong is met there
        os._exit(0)
    raise AssertionError


def _send(pipe: BinaryIO, piece: object) -> None:
    import pickle  # noqa: PLC0415 - likewise

    told = pickle.dumps(piece, pickle.HIGHEST_PROTOCOL)
    rest = memoryview(len(told).to_bytes(_SIZE, "little") + told)
    while rest:
        rest = rest[pipe.write(rest) :]


def _widen(pipe: int) -> None:
    import fcntl  # noqa: PLC0415 - not everywhere

    try:
        fcntl.fcntl(pipe, fcntl.F_SETPIPE_SZ, _AHEAD)
    except OSError:
        # it holds less then: the helpers wait more often
        return
