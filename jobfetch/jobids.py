"""Job ids from a file or a pipe, as they come: one a line, a column of a CSV table, or a key of NDJSON objects."""

from __future__ import annotations

import collections
import contextlib
import csv
import itertools
import os
import select
import sys
from collections.abc import Iterable, Iterator
from pathlib import Path
from typing import Any, Self

from jobfetch.errors import BadReply, UsageError
from jobfetch.model import decode
from jobfetch.spec import text_of

#: What a column or key of ids is called, unless the user names another.
NAMES = ("job_id", "id")
STDIN = "standard input"
#: What may stand between the columns of a table.
_DELIMITERS = (",", ";", "\t")


class Ids:
    """The ids that a file holds, or standard input for `-`, in its order; `UsageError` names the line that is wrong.

    A file that cannot be read, or that begins wrong, is refused at once; all else is read as it is needed.
    """

    def __init__(self, source: str, key: str | None = None) -> None:
        self._name = STDIN if source == "-" else source
        path = Path(source)
        #: whether whoever names them may wait for one job before naming the next: a pipe or a terminal
        self.live = source == "-" or not (path.is_file() or path.is_dir() or not path.exists())
        # which may have nothing to say yet, and says everything once
        if not self.live:
            next(_read(source, key, _Lines()), None)
        self._lines = _Lines()
        self._ids = _read(source, key, self._lines)

    def __iter__(self) -> Self:
        return self

    def __next__(self) -> str:
        return next(self._ids)

    def at_hand(self) -> bool:
        """Whether the next one, or the end, is there already, so that nobody need wait for it."""
        return self._lines.at_hand()

    def where(self) -> str:
        """Where the last one stands."""
        return f"{self._name} line {self._lines.number}"


def _read(source: str, key: str | None, lines: _Lines) -> Iterator[str]:
    if source == "-":
        with _stdin() as stream:
            yield from ids(_text(lines.of(stream), STDIN), STDIN, key)
        return
    try:
        with Path(source).open("rb", buffering=0) as file:
            yield from ids(_text(lines.of(file), source), source, key)
    except OSError as error:
        raise UsageError(f"--jobs {source}: {error.strerror}", hint="name a file that can be read, or -") from None


@contextlib.contextmanager
def _stdin() -> Iterator[Any]:
    """Standard input through a reader of its own: a thread that waits in Python's own one keeps it from ending."""
    if not sys.stdin:
        raise UsageError("--jobs -: standard input is closed")
    try:
        twin = os.dup(sys.stdin.fileno())
    except OSError:  # what stands in its place is no file
        yield sys.stdin.buffer
        return
    with os.fdopen(twin, "rb", buffering=0) as stream:
        yield stream


class _Lines:
    """The lines of a stream, each as soon as it is there: a reader of Python's own waits for a whole buffer of them."""

    def __init__(self) -> None:
        #: how many have been given out
        self.number = 0
        self._stream: Any = None
        self._whole: collections.deque[bytes] = collections.deque()

    def of(self, stream: Any) -> Iterator[bytes]:
        """Every line of an open file that has no buffer, with its end."""
        self._stream = stream
        rest = [b""]
        while piece := stream.read(_PIECE):
            first, *others = piece.split(b"\n")
            rest.append(first)
            if others:
                self._whole += [b"".join(rest), *others[:-1]]
                rest = [others[-1]]
            while self._whole:
                self.number += 1
                yield self._whole.popleft() + b"\n"
        if last := b"".join(rest):
            self.number += 1
            yield last

    def at_hand(self) -> bool:
        """Whether to go on is not to wait."""
        if self._whole or self._stream is None or not hasattr(select, "poll"):
            return True
        look = select.poll()
        try:
            look.register(self._stream, select.POLLIN)
        except OSError:  # no file of the system's: it is all there
            return True
        return bool(look.poll(0))


_PIECE = 64 * 1024


def ids(lines: Iterable[str], where: str, key: str | None = None) -> Iterator[str]:
    """The ids in lines of text; the first that is not empty tells their kind: `{` opens NDJSON, a header is CSV.

    A header is taken for one where it has a column `job_id` or `id` beside others, or the one that `key` names.
    """
    numbered = ((number, line.rstrip("\r\n")) for number, line in enumerate(lines, start=1))
    filled = (pair for pair in numbered if pair[1].strip())
    first = next(filled, None)
    if first is None:
        return
    rest = itertools.chain([first], filled)
    if first[1].lstrip().startswith("{"):
        yield from _objects(rest, where, key)
    elif first[1].lstrip().startswith("["):
        raise UsageError(
            f"{where} is a JSON list", hint="write one id or one object a line, for example with jq -c '.[]'"
        )
    elif found := _column(first[1], where, key):
        yield from _cells(rest, where, *found)
    else:
        yield from (line.strip() for _, line in rest)


def _objects(rest: Iterable[tuple[int, str]], where: str, key: str | None) -> Iterator[str]:
    names = (key,) if key else NAMES
    for number, line in rest:
        try:
            value = decode(line.encode())
        except BadReply:
            raise UsageError(f"{where} line {number} is not JSON", hint="one object a line") from None
        found = (value.get(name) for name in names) if isinstance(value, dict) else iter(())
        job_id = next((each for each in found if each not in (None, "")), None)
        if not isinstance(job_id, str | int) or isinstance(job_id, bool):
            raise UsageError(f"{where} line {number} has no {' or '.join(names)}", hint="--jobs-key names another key")
        yield str(text_of(job_id))


def _column(header: str, where: str, key: str | None) -> tuple[str, str] | None:
    """The column of ids and what separates it from others, where the first line is the header of a table."""
    first: list[str] = []
    for delimiter in _DELIMITERS:
        try:
            columns = next(csv.reader([header], delimiter=delimiter), [])
        except csv.Error as error:
            raise UsageError(f"{where} line 1 is no id and no header of a table: {error}") from None
        first = first or columns
        known = {column.strip().casefold(): column for column in reversed(columns)}
        named = key if key in columns else None if key else next((known[name] for name in NAMES if name in known), None)
        if named is not None:
            return named, delimiter
    if key:
        raise UsageError(f"{where} has no column {key!r} (there is: {', '.join(first)[:200]})")
    return None


def _cells(rest: Iterable[tuple[int, str]], where: str, column: str, delimiter: str) -> Iterator[str]:
    # a cell may hold line ends, which the reader wants to see
    last = 0

    def lines() -> Iterator[str]:
        nonlocal last
        for number, line in rest:
            last = number
            yield line + "\n"

    try:
        for row in csv.DictReader(lines(), strict=True, delimiter=delimiter):
            job_id = (row.get(column) or "").strip()
            if not job_id:
                raise UsageError(f"{where} line {last} has nothing in the column {column!r}")
            yield job_id
    except csv.Error as error:
        raise UsageError(f"{where} line {last} is no CSV: {error}") from None


def _text(lines: Iterable[bytes], where: str) -> Iterator[str]:
    for number, line in enumerate(lines, start=1):
        try:
            yield line.removeprefix(b"\xef\xbb\xbf").decode() if number == 1 else line.decode()
        except UnicodeDecodeError:
            raise UsageError(f"{where} line {number} is not UTF-8") from None
