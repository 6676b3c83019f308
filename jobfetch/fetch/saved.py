"""Records that lie on disk, read again without asking anybody: where they are, sorted by job id, and their rows.

However many there are, memory holds some of their names and one record, or a part of it where it is large.
"""

from __future__ import annotations

import heapq
import json
import os
import re
from collections.abc import Callable, Iterable, Iterator, Sequence
from contextlib import ExitStack, contextmanager
from dataclasses import dataclass, field, replace
from itertools import groupby, islice
from operator import attrgetter
from pathlib import Path
from typing import IO, BinaryIO

import msgspec

from jobfetch import disk, flatten
from jobfetch.blocks import Block
from jobfetch.errors import BadReply, JobfetchError, UsageError
from jobfetch.fetch.rows import Maker
from jobfetch.flatten import Result
from jobfetch.manifest import NAME, Manifest
from jobfetch.model import Format
from jobfetch.records import SCHEMA

#: Places that are sorted in memory; more of them are sorted in parts, and the parts merged.
AT_ONCE = 50_000
#: Bytes of a record that is not held as a whole.
LARGE = 8 * 1024 * 1024
#: Bytes, and number, of records that are gone through together: so few that the processor's cache holds what becomes of them.
TOGETHER = 64 * 1024
FEW = 500
#: Bytes of a record that is opened at once.
SMALL = 1024 * 1024
#: Bytes in which a record of ours tells its job.
_HEAD = 4096

_BEGINS = re.compile(rb'\s*\{\s*"schema"\s*:\s*"jobfetch\.result/')
_JOB_ID = re.compile(rb'"job_id"\s*:\s*("(?:[^"\\]|\\.)*")')
_PROVIDER = re.compile(rb'"provider"\s*:\s*("(?:[^"\\]|\\.)*")')
# what is escaped, whole pairs among it, is passed over; a surrogate that is left stands alone
_HALF = re.compile(
    rb"\\(?:u[dD][89abAB][0-9a-fA-F]{2}\\u[dD][c-fC-F][0-9a-fA-F]{2}|u[dD][89a-fA-F][0-9a-fA-F]{2}()|[^u]|u)", re.DOTALL
)
_BY_LINES = frozenset({".ndjson", ".jsonl"})


@dataclass(frozen=True, slots=True, order=True)
class Place:
    """Where a record lies: a file, or so many bytes of one."""

    job_id: str
    path: Path
    start: int = 0
    #: None for the whole file
    length: int | None = None
    size: int = field(default=0, compare=False)


class _Asset(msgspec.Struct):
    file: str | None = None


class _Saved(msgspec.Struct):
    """All of a record that rows are made of."""

    provider: str
    job_id: str
    schema: str
    result: msgspec.Raw
    assets: list[_Asset] = []


_RECORDS = msgspec.json.Decoder(_Saved)


def blocks_of(place: Place, make_for: Callable[[str], Maker]) -> Iterator[Block]:
    """The rows of one record; an error names its file. `make_for` gives what makes rows for a provider."""
    with _named(place), place.path.open("rb") as file:
        length = _length(file, place)
        if length > LARGE:
            provider, job_id, assets, result = _large(file, place, length, make_for)
        else:
            record = _small(file, place, length)
            provider, job_id, assets, result = record.provider, record.job_id, record.assets, bytes(record.result)
        yield from make_for(provider).make(job_id, result, _linked(place, assets))


def blocks_of_some(places: Sequence[Place], make_for: Callable[[str], Maker]) -> Iterator[Block]:
    """The rows of a few records in their order, of many at once where their results are alike."""
    read = [*_held(places)]
    for provider, group in groupby(read, key=lambda each: each[1].provider if each[1] else None):
        some = [*group]
        if provider is None:
            for place, _ in some:
                yield from blocks_of(place, make_for)
            continue
        with _named(some[0][0]):
            make = make_for(provider)
        jobs = [(record.job_id, bytes(record.result)) for _, record in some if record]
        rest = (place for place, _ in some)
        for alike, block in make.forms.groups(provider, jobs) if make.forms else [(jobs, None)]:
            theirs = zip(islice(rest, len(alike)), alike, strict=True)
            if block:
                yield block
                continue
            for place, (job_id, result) in theirs:
                with _named(place):
                    yield from make.make(job_id, result, ())


def _held(places: Sequence[Place]) -> Iterator[tuple[Place, _Saved | None]]:
    """Records, read; None for one that wants a look of its own: it is large, or linked files belong to it."""
    for path, group in groupby(places, key=attrgetter("path")):
        with disk.explained(path), path.open("rb") as file:
            for place in group:
                with _named(place):
                    length = _length(file, place)
                    record = _small(file, place, length) if length <= SMALL else None
                yield place, None if record is None or record.assets else record


def _length(file: BinaryIO, place: Place) -> int:
    return (place.length if place.length is not None else file.seek(0, os.SEEK_END)) or 0


def _small(file: BinaryIO, place: Place, length: int) -> _Saved:
    file.seek(place.start)
    return _opened(file.read(length))


@contextmanager
def _named(place: Place) -> Iterator[None]:
    """Says whose record it was."""
    try:
        with disk.explained(place.path):
            yield
    except BadReply as error:
        raise BadReply(f"{place.path} (job {place.job_id}): {error.message}", hint=error.hint) from None


def _large(
    file: BinaryIO, place: Place, length: int, make_for: Callable[[str], Maker]
) -> tuple[str, str, list[_Asset], Result]:
    """A record of which only a part is held: what may be long in it stays in its file."""

    def read(start: int, size: int) -> bytes:
        file.seek(place.start + start)
        return file.read(max(0, min(size, length - start)))

    found = _PROVIDER.search(read(0, _HEAD))
    lists = make_for(json.loads(found[1])).lists if found else frozenset[str]()
    names = frozenset(f"result.{name}" for name in lists)
    large = flatten.shortened(read, names, lambda: bytes(_opened(read(0, length)).result))
    record = _opened(large.short)
    spans = {name.removeprefix("result."): span for name, span in large.spans.items()}
    short = bytes(record.result)
    return record.provider, record.job_id, record.assets, replace(large, short=short, spans=spans) if spans else short


def _opened(data: bytes) -> _Saved:
    try:
        data.decode()
        record = _RECORDS.decode(data)
    except (msgspec.MsgspecError, UnicodeDecodeError, RecursionError) as error:
        raise _unreadable(data, error) from None
    if record.schema != SCHEMA:
        raise BadReply(f"this is a record of another version ({record.schema[:40]})", hint=f"this one reads {SCHEMA}")
    return record


def _unreadable(data: bytes, error: Exception) -> BadReply:
    half = next((match for match in _HALF.finditer(data) if match[1] is not None), None)
    if half:
        said = f"holds half of a surrogate pair at byte {half.start()}, which is no character"
        return BadReply(f"this {said}", hint="ask the service for the job again, or mend the file")
    if isinstance(error, msgspec.MsgspecError):
        said = f"is no record: {error}"
    else:
        said = "is not UTF-8" if isinstance(error, UnicodeDecodeError) else "is nested too deeply"
    return BadReply(f"this {said}", hint="name a folder or a file of records (-f json), not of raw bytes")


def _linked(place: Place, assets: Sequence[_Asset]) -> list[Path]:
    """The linked files that lie beside a record; a name that leads elsewhere is none of ours."""
    names = [asset.file for asset in assets if asset.file]
    return [place.path.parent / name for name in names if ".." not in Path(name).parts and not Path(name).is_absolute()]


# --- where they lie ---


@dataclass(slots=True)
class Saved:
    """The records of some folders and files, sorted by job id; read anew, one at a time, whenever they are walked."""

    make_for: Callable[[str], Maker]
    #: called with the bytes of every record that is through
    read: Callable[[int], None]
    bytes: int = 0
    records: int = 0
    #: files in a folder that are no records
    others: list[Path] = field(default_factory=list)
    _runs: list[Path] = field(default_factory=list)
    _few: list[Place] = field(default_factory=list)

    def find(self, paths: Sequence[Path], scratch: Path, but: Path | None) -> None:
        """Find every record below these paths. `scratch` is a folder for what is too much for memory."""
        every = self._all(paths, but)
        while some := sorted(islice(every, AT_ONCE)):
            self.records += len(some)
            if self._few:
                self._runs.append(_written(self._few, scratch / str(len(self._runs))))
            self._few = some

    def __iter__(self) -> Iterator[Block]:
        """Every row."""
        with ExitStack() as stack:
            runs = [_read(stack.enter_context(run.open(encoding="utf-8"))) for run in self._runs]
            places = (place for place, _ in groupby(heapq.merge(*runs, self._few)))
            for some in _some(places):
                yield from blocks_of_some(some, self.make_for)
                self.read(sum(place.size for place in some))

    def _all(self, paths: Sequence[Path], but: Path | None) -> Iterator[Place]:
        for path in paths:
            with disk.explained(path):
                if not path.exists():
                    raise UsageError(f"{path} is not there", hint="name folders and files of saved records")
                found = self._in_folder(path, but) if path.is_dir() else self._in_file(path)
                for place in found:
                    self.bytes += place.size
                    yield place

    def _in_folder(self, folder: Path, but: Path | None) -> Iterator[Place]:
        """The records of a folder that `batch download` or `get` filled, and of those in it."""
        kept = [folder] if (folder / NAME).is_file() else []
        kept += sorted(path.parent for path in folder.glob(f"*/{NAME}"))
        for each in kept:
            yield from _recorded(each)
        if not kept:
            for path in sorted(folder.glob("*.json")):
                head, size = _head(path)
                if _BEGINS.match(head):
                    yield Place(_job_id(path, head), path, size=size)
                elif path != but:
                    self.others.append(path)

    def _in_file(self, path: Path) -> Iterator[Place]:
        """The record of a file, or those of its lines."""
        with path.open("rb") as file:
            first = file.readline(_HEAD)
            by_lines = path.suffix.lower() in _BY_LINES or (first.endswith(b"}\n") and file.read(1) == b"{")
            if not by_lines:
                head, size = _head(path)
                yield Place(_job_id(path, head), path, size=size)
                return
            for start, length in _lines(file):
                file.seek(start)
                job_id = _job_id(path, file.read(min(_HEAD, length)), start, length)
                yield Place(job_id, path, start, length, length)


def _some(places: Iterable[Place]) -> Iterator[list[Place]]:
    """Places of a few records each, so many that they are held easily."""
    some: list[Place] = []
    size = 0
    for place in places:
        if some and (size + place.size > TOGETHER or len(some) >= FEW):
            yield some
            some, size = [], 0
        some.append(place)
        size += place.size
    if some:
        yield some


def _recorded(folder: Path) -> Iterator[Place]:
    found = Manifest.read(folder)
    if found is None:
        return
    with found as manifest:
        if manifest.header.format == Format.RAW:
            raise UsageError(
                f"{folder} holds the service's bytes (-f raw), and rows are made of records",
                hint="download it into another folder without -f raw",
            )
        for entry in manifest.entries():
            if entry.file and (folder / entry.file).is_file():
                yield Place(entry.job_id, folder / entry.file, size=entry.bytes or 0)


def _head(path: Path) -> tuple[bytes, int]:
    """How a file begins, and how long it is."""
    descriptor = os.open(path, os.O_RDONLY | getattr(os, "O_BINARY", 0))
    try:
        return os.read(descriptor, _HEAD), os.fstat(descriptor).st_size
    finally:
        os.close(descriptor)


def _job_id(path: Path, head: bytes, start: int = 0, length: int | None = None) -> str:
    """The job of a record: by its first bytes where they tell it, else all of it is read."""
    found = _JOB_ID.search(head) if _BEGINS.match(head) else None
    try:
        if found:
            told: str = json.loads(found[1])
            return told
        with path.open("rb") as file:
            file.seek(start)
            return _opened(file.read() if length is None else file.read(length)).job_id
    except (BadReply, ValueError) as error:
        message = error.message if isinstance(error, JobfetchError) else "this is no record"
        raise BadReply(
            f"{path}{f', byte {start}' if start else ''}: {message}", hint="name folders and files of saved records"
        ) from None


def _lines(file: IO[bytes]) -> Iterator[tuple[int, int]]:
    """Where each line begins, and its length; lines of nothing are none. A line may be larger than memory."""
    start = end = 0
    while True:
        file.seek(end)
        chunk = file.read(disk.CHUNK)
        if not chunk:
            break
        at = -1
        while (at := chunk.find(b"\n", at + 1)) >= 0:
            if end + at > start:
                yield start, end + at - start
            start = end + at + 1
        end += len(chunk)
    if end > start:
        yield start, end - start


def _written(places: Iterable[Place], path: Path) -> Path:
    with disk.explained(path), path.open("x", encoding="utf-8") as file:
        for place in places:
            json.dump([place.job_id, str(place.path), place.start, place.length, place.size], file)
            file.write("\n")
    return path


def _read(file: IO[str]) -> Iterator[Place]:
    for line in file:
        job_id, path, start, length, size = json.loads(line)
        yield Place(job_id, Path(path), start, length, size)
