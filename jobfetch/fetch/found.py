"""Where records lie: in the folders and files that were named, sorted by job id, however many there are.

Memory holds some of their names, and the rest lies sorted in a folder aside.
"""

from __future__ import annotations

import heapq
import json
import os
import re
from collections.abc import Callable, Iterable, Iterator, Sequence
from contextlib import ExitStack
from functools import lru_cache
from itertools import groupby, islice
from operator import itemgetter
from pathlib import Path
from typing import IO

from msgspec import Struct, field

from jobfetch import disk
from jobfetch.blocks import Block
from jobfetch.errors import BadReply, JobfetchError, UsageError
from jobfetch.fetch.rows import Maker
from jobfetch.fetch.saved import Place, blocks_of, opened, results_of
from jobfetch.manifest import Manifest, recorded_folders
from jobfetch.model import Format, decode

#: Places that are sorted in memory; more of them are sorted in parts, and the parts merged.
AT_ONCE = 50_000
#: Bytes, and number, of records that are gone through together: so few that the processor's cache holds what becomes of them.
TOGETHER = 128 * 1024
FEW = 500
#: Bytes in which a record of ours tells its job.
_HEAD = 4096

_BEGINS = re.compile(rb'\s*\{\s*"schema"\s*:\s*"jobfetch\.result/')
_JOB_ID = re.compile(rb'"job_id"\s*:\s*("(?:[^"\\]|\\.)*")')
_BY_LINES = frozenset({".ndjson", ".jsonl"})


#: The provider and the result of a record.
Looked = tuple[str, bytes]


class Saved(Struct):
    """The records of some folders and files, sorted by job id; read anew, one at a time, whenever they are walked."""

    make_for: Callable[[str], Maker]
    #: called with the bytes of every record that is through
    read: Callable[[int], None]
    processes: int = 1
    bytes: int = 0
    records: int = 0
    #: files in a folder that are no records
    others: list[Path] = field(default_factory=list)
    #: records that a manifest tells of, and that are not there
    missing: list[Path] = field(default_factory=list)
    #: folders whose manifest has lines that nobody can read, and how many
    unreadable: list[tuple[Path, int]] = field(default_factory=list)
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

    def stretches(self) -> Iterator[Sequence[Place]]:
        """Where all records are, some at a time."""
        with ExitStack() as stack:
            runs = [_read(stack.enter_context(run.open(encoding="utf-8"))) for run in self._runs]
            # what was named twice is there once
            yield from some(next(same) for _, same in groupby(heapq.merge(*runs, self._few), key=itemgetter(0, 1, 2)))

    def first(self) -> Iterator[Looked]:
        """Some records: how they look."""
        return results_of(next(self.stretches(), ()))

    def blocks(self, stretch: Sequence[Place]) -> Iterator[Block]:
        """The rows of some records."""
        return blocks_of(stretch, self.make_for)

    def through(self, stretch: Sequence[Place]) -> None:
        """Tell how much has been read."""
        self.read(sum(place.size for place in stretch))

    def _all(self, paths: Sequence[Path], but: Path | None) -> Iterator[Place]:
        for path in paths:
            with disk.explained(path):
                if not path.exists():
                    raise UsageError(f"{path} is not there", hint="name folders and files of saved records")
                if not path.is_dir() and not path.is_file():
                    raise UsageError(f"{path} is no file", hint="name folders and files of saved records")
                found = self._in_folder(path, but) if path.is_dir() else _in_file(path)
                for place in found:
                    if but and place.path.name == but.name and but.exists() and place.path.samefile(but):
                        raise UsageError(f"{but} is a record that is to be read", hint="name another place with -o")
                    self.bytes += place.size
                    yield place

    def _in_folder(self, folder: Path, but: Path | None) -> Iterator[Place]:
        """The records of a folder that `batch download` or `get` filled, and of those in it."""
        kept = recorded_folders(folder)
        for each in kept:
            yield from self._recorded(each)
        if folder in kept:
            return
        for path in sorted(each for each in folder.iterdir() if each.name.endswith(".json")):
            with disk.explained(path):
                head, size = _head(path) if path.is_file() else (b"", 0)
                if _BEGINS.match(head):
                    yield Place(_job_id(path, head), path, size=size)
                elif path != but and not kept:
                    self.others.append(path)

    def _recorded(self, folder: Path) -> Iterator[Place]:
        found = Manifest.read(folder)
        if found is None:
            return
        with found as manifest:
            if manifest.header.format == Format.RAW:
                raise UsageError(
                    f"{folder} holds the service's bytes (-f raw), and rows are made of records",
                    hint="download it into another folder without -f raw",
                )
            if manifest.unreadable:
                self.unreadable.append((folder, manifest.unreadable))
            for entry in manifest.entries():
                path = entry.path(folder)
                if path and path.is_file():
                    yield Place(entry.job_id, path, size=entry.bytes or 0)
                elif path:
                    self.missing.append(path)


def _in_file(path: Path) -> Iterator[Place]:
    """The record of a file, or those of its lines."""
    with path.open("rb") as file:
        first = file.readline(_HEAD)
        by_lines = path.suffix.lower() in _BY_LINES or (first.endswith(b"}\n") and file.read(1) == b"{")
        if not by_lines:
            head, size = _head(path)
            yield Place(_job_id(path, head), path, size=size)
            return
        for start, length, head in _lines(file):
            if length > len(head) or head.strip():
                yield Place(_job_id(path, head, start, length), path, start, length, length)


def some(places: Iterable[Place]) -> Iterator[list[Place]]:
    """Places of a few records each, so many that they are held easily."""
    few: list[Place] = []
    size = 0
    for place in places:
        if few and (size + place.size > TOGETHER or len(few) >= FEW):
            yield few
            few, size = [], 0
        few.append(place)
        size += place.size
    if few:
        yield few


class Recorded(Struct, frozen=True):
    """The records of one folder that a manifest tells of, sorted by job id; read anew whenever they are walked."""

    manifest: Manifest
    make: Maker
    #: called again and again: raises where the user wants no more
    check: Callable[[], None]
    #: called with each record that the manifest tells of, and that is not there
    missing: Callable[[Path], None]
    # the manifest's file is one, and so is the place in it where something is read
    processes: int = 1

    def stretches(self) -> Iterator[Sequence[Place]]:
        """Where all records are, some at a time."""
        return some(self._places())

    def blocks(self, stretch: Sequence[Place]) -> Iterator[Block]:
        """The rows of some records."""
        return blocks_of(stretch, lambda _: self.make)

    def through(self, _: Sequence[Place]) -> None:
        """Look whether they are still wanted."""
        self.check()

    def _places(self) -> Iterator[Place]:
        for job_id in self.manifest.ids():
            self.check()
            entry = self.manifest.last(job_id)
            path = entry.path(self.manifest.folder) if entry else None
            if entry and path and path.is_file():
                yield Place(job_id, path, size=entry.bytes or 0)
            elif path:
                self.missing(path)


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
            told: str = decode(found[1])
            return told
        with path.open("rb") as file:
            file.seek(start)
            return opened(file.read() if length is None else file.read(length)).job_id
    except (BadReply, ValueError) as error:
        message = error.message if isinstance(error, JobfetchError) else "this is no record"
        raise BadReply(
            f"{path}{f', byte {start}' if start else ''}: {message}", hint="name folders and files of saved records"
        ) from None


def _lines(file: IO[bytes]) -> Iterator[tuple[int, int, bytes]]:
    """Where each line begins, its length, and how it begins. A line may be larger than memory."""
    start = base = 0
    file.seek(0)
    head, chunk = b"", file.read(disk.CHUNK)
    while chunk:
        at = 0
        while (end := chunk.find(b"\n", at)) >= 0:
            if base + end > start:
                yield start, base + end - start, head + chunk[at : min(end, at + _HEAD - len(head))]
            head, at = b"", end + 1
            start = base + at
        head += chunk[at : at + _HEAD - len(head)]
        base += len(chunk)
        chunk = file.read(disk.CHUNK)
    if base > start:
        yield start, base - start, head


def _written(places: Iterable[Place], path: Path) -> Path:
    with disk.explained(path), path.open("x", encoding="utf-8") as file:
        for job_id, where, *span in places:
            file.write(json.dumps([job_id, str(where), *span]) + "\n")
    return path


def _read(file: IO[str]) -> Iterator[Place]:
    for line in file:
        job_id, path, start, length, size = json.loads(line)
        yield Place(job_id, _path(path), start, length, size)


#: Many records may lie in one file.
_path = lru_cache(maxsize=64)(Path)
