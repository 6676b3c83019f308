"""Records that lie on disk, read again without asking anybody, and their rows: of many at once where they are alike.

Memory holds a few records, or a part of one where it is large.
"""

from __future__ import annotations

import json
import os
import re
from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager
from itertools import groupby, islice
from operator import attrgetter
from pathlib import Path
from typing import BinaryIO, NamedTuple, cast

import msgspec
from msgspec.structs import replace

from jobfetch import disk, flatten
from jobfetch.blocks import Block
from jobfetch.errors import BadReply
from jobfetch.fetch.rows import Maker
from jobfetch.flatten import Result
from jobfetch.model import half_pair
from jobfetch.records import SCHEMA

#: Bytes of a record that is not held as a whole.
LARGE = 8 * 1024 * 1024
#: Bytes of a record that is opened at once.
SMALL = 1024 * 1024
#: Bytes in which a record of ours tells its job.
_HEAD = 4096

_PROVIDER = re.compile(rb'"provider"\s*:\s*("(?:[^"\\]|\\.)*")')


class Place(NamedTuple):
    """Where a record lies: a file, or so many bytes of one."""

    job_id: str
    path: Path
    start: int = 0
    #: None for the whole file
    length: int | None = None
    size: int = 0


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


def _blocks_of_one(place: Place, make_for: Callable[[str], Maker]) -> Iterator[Block]:
    """The rows of one record; an error names its file. `make_for` gives what makes rows for a provider."""
    with _named(place), place.path.open("rb") as file:
        length = _length(file, place)
        if length > LARGE:
            provider, job_id, assets, result = _large(file, place, length, make_for)
        else:
            record = _small(file, place, length)
            provider, job_id, assets, result = record.provider, record.job_id, record.assets, bytes(record.result)
        yield from make_for(provider).make(job_id, result, _linked(place, assets))


def blocks_of(places: Sequence[Place], make_for: Callable[[str], Maker]) -> Iterator[Block]:
    """The rows of a few records in their order, of many at once where their results are alike."""
    read = _held(places)
    for provider, group in groupby(read, key=lambda each: each[1].provider if each[1] else None):
        some = [*group]
        if provider is None:
            for place, _ in some:
                yield from _blocks_of_one(place, make_for)
            continue
        with _named(some[0][0]):
            make = make_for(provider)
        jobs = [(record.job_id, bytes(record.result)) for _, record in some if record]
        rest = (place for place, _ in some)
        for alike, block in make.forms.groups(provider, jobs) if make.forms else [(jobs, None)]:
            theirs = [*zip(islice(rest, len(alike)), alike, strict=True)]
            if block:
                yield block
                continue
            for place, (job_id, result) in theirs:
                with _named(place):
                    yield from make.make(job_id, result, ())


def results_of(places: Sequence[Place]) -> Iterator[tuple[str, bytes]]:
    """The provider and the result of a few records, without those that are large."""
    return ((record.provider, bytes(record.result)) for _, record in _held(places) if record)


def _held(places: Sequence[Place]) -> list[tuple[Place, _Saved | None]]:
    """Records, read; None for one that wants a look of its own: it is large, or linked files belong to it."""
    found: list[tuple[Place, _Saved | None]] = []
    for path, group in groupby(places, key=attrgetter("path")):
        # each is read once, and seldom in the order of the file
        with disk.explained(path), path.open("rb", buffering=0) as raw:
            file = cast("BinaryIO", raw)
            for place in group:
                length = _length(file, place)
                try:
                    record = _small(file, place, length) if length <= SMALL else None
                except BadReply as error:
                    raise _of(place, error) from None
                found.append((place, None if record is None or record.assets else record))
    return found


def _length(file: BinaryIO, place: Place) -> int:
    return (place.length if place.length is not None else file.seek(0, os.SEEK_END)) or 0


def _small(file: BinaryIO, place: Place, length: int) -> _Saved:
    file.seek(place.start)
    return opened(file.read(length))


@contextmanager
def _named(place: Place) -> Iterator[None]:
    """Says whose record it was."""
    try:
        with disk.explained(place.path):
            yield
    except BadReply as error:
        raise _of(place, error) from None


def _of(place: Place, error: BadReply) -> BadReply:
    return BadReply(f"{place.path} (job {place.job_id}): {error.message}", hint=error.hint)


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
    large = flatten.shortened(read, names, lambda: bytes(opened(read(0, length)).result))
    record = opened(large.short)
    spans = {name.removeprefix("result."): span for name, span in large.spans.items()}
    short = bytes(record.result)
    return record.provider, record.job_id, record.assets, replace(large, short=short, spans=spans) if spans else short


def opened(data: bytes) -> _Saved:
    """A record, read. `BadReply` where it is none."""
    try:
        flatten.check_text(data)
        record = _RECORDS.decode(data)
    except (msgspec.MsgspecError, UnicodeDecodeError, RecursionError) as error:
        raise _unreadable(data, error) from None
    if record.schema != SCHEMA:
        raise BadReply(f"this is a record of another version ({record.schema[:40]})", hint=f"this one reads {SCHEMA}")
    return record


def _unreadable(data: bytes, error: Exception) -> BadReply:
    if (half := half_pair(data)) is not None:
        said = f"holds half of a surrogate pair at byte {half}, which is no character"
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
