"""What is made of a folder once its jobs are through: the list of failures, and the table of everybody's rows.

Both are made from what lies on disk, so that a run which was killed and one that was not end with the same bytes.
"""

from __future__ import annotations

import io
from collections.abc import Callable, Iterator
from itertools import zip_longest
from pathlib import Path
from typing import IO

from jobfetch import disk, export
from jobfetch.errors import Exit
from jobfetch.fetch.attempt import counted
from jobfetch.fetch.rows import maker
from jobfetch.fetch.service import Wanted
from jobfetch.manifest import FAILURES, LOCK, NAME, ROWS, Entry, Manifest, Problem
from jobfetch.model import Format, encode
from jobfetch.spec import Provider

TABLES = tuple(shape for shape in Format if shape.tabular)


def failed(manifest: Manifest, wanted: Wanted) -> Iterator[Entry]:
    """Every job that is not all there and does not run, as last recorded."""
    return (entry for entry in manifest.entries(left=True) if counted(entry, wanted) not in {Exit.DONE, Exit.RUNNING})


def reason(entry: Entry) -> Problem:
    """Why a job counts as failed."""
    said = f"job {entry.job_id} ended, but some of it failed"
    return entry.error or Problem(exit_code=Exit.PARTIAL, code=Exit.PARTIAL.outcome, message=said)


def write_failures(manifest: Manifest, wanted: Wanted) -> Path | None:
    """The list of failures, sorted by id, which `--jobs` takes; no such file where nothing has failed."""
    path = manifest.folder / FAILURES
    lines = _failures(manifest, wanted)
    if (first := next(lines, None)) is None:
        with disk.explained(path):
            path.unlink(missing_ok=True)
        return None
    with disk.replacing(path, swept=True) as file:
        file.write(first)
        file.writelines(lines)
    return path


def _failures(manifest: Manifest, wanted: Wanted) -> Iterator[bytes]:
    # ids only: there may be very many
    bad = sorted(entry.job_id for entry in failed(manifest, wanted))
    for entry in filter(None, map(manifest.last, bad)):
        yield encode({"job_id": entry.job_id, "state": entry.state, "error": reason(entry)}) + b"\n"


def in_order(manifest: Manifest, *wanted: Wanted) -> bool:
    """Whether a folder was left as a run leaves it that came to its end, with one of these as what was wanted.

    Somebody may have been killed between the last line of the manifest and what is made of it.
    """
    folder = manifest.folder
    with disk.explained(folder):
        if (folder / LOCK).exists():
            return False
        written = (folder / NAME).stat().st_mtime_ns
        tables = [folder / f"rows.{shape}" for shape in tables_of(folder, manifest.header.format)]
        # a run that was stopped may not have come to the table that the folder was begun with
        if any(not table.is_file() or table.stat().st_mtime_ns < written for table in tables):
            return False
        path = folder / FAILURES
        there = path.open("rb") if path.is_file() else io.BytesIO()
        with there:
            return any(_same(there, _failures(manifest, each)) for each in wanted)


def _same(file: IO[bytes], lines: Iterator[bytes]) -> bool:
    file.seek(0)
    return all(line == other for line, other in zip_longest(file, lines))


def tables_of(folder: Path, asked: str | None) -> list[Format]:
    """The tables that belong into a folder: the one that is asked for, and those that are there, which must not age."""
    return [shape for shape in TABLES if shape == asked or (folder / f"rows.{shape}").is_file()]


def write_tables(
    provider: Provider,
    wanted: Wanted,
    manifest: Manifest,
    asked: Format | None,
    *,
    anew: bool,
    check: Callable[[], None],
    missing: Callable[[Path], None],
) -> list[Path]:
    """Every table that belongs into a folder of records.

    Where no rows are asked for, they are those of before, unless the table is asked for `anew`. `check` raises where the
    user wants no more; `missing` hears of records that the manifest tells of and that are gone, so that they have no rows.
    """
    written: list[Path] = []
    shapes = tables_of(manifest.folder, asked)
    if not shapes:
        return []
    asked_rows = _remembered(manifest.folder, wanted.rows, anew=anew)
    from jobfetch.fetch.found import Recorded  # noqa: PLC0415 - a run that makes no table does not need it

    rows = Recorded(manifest, maker(provider, asked_rows), check, missing)
    for shape in shapes:
        path = manifest.folder / f"rows.{shape}"
        with disk.replacing(path, swept=True) as file:
            export.write_table(export.Table(format=shape), rows, file)
        written.append(path)
    return written


def _remembered(folder: Path, rows: str | None, *, anew: bool) -> str | None:
    """The rows that tables of a folder are made of: those of its last run that said so, unless a table is asked for `anew`."""
    path = folder / ROWS
    with disk.explained(path):
        before = path.read_text("utf-8", "surrogateescape").strip() if path.is_file() else None
        if rows is None and not anew:
            return before
        if rows is None:
            path.unlink(missing_ok=True)
        elif rows != before:
            with disk.replacing(path, swept=True) as file:
                file.write(f"{rows}\n".encode("utf-8", "surrogateescape"))
    return rows
