"""Rows as the table `rows` of an SQLite database: int64 and double where they hold every number, text elsewhere."""

from __future__ import annotations

import contextlib
import shutil
import sqlite3
from collections.abc import Callable, Iterable, Mapping, Sequence
from itertools import chain
from typing import BinaryIO

from jobfetch.blocks import Block, Token
from jobfetch.disk import CHUNK, scratch
from jobfetch.errors import DiskError, UsageError
from jobfetch.export.values import readers

#: Columns that a table of SQLite may have, as it is usually built.
MOST_COLUMNS = 2000

_DECLARED = {"string": "TEXT", "json": "TEXT", "int64": "INTEGER", "double": "REAL", "boolean": "BOOLEAN"}


def piece(block: Block, types: Mapping[str, str]) -> list[tuple[object, ...]]:
    """Some rows, a value a column."""
    columns = [_column(block, name, reader) for name, reader in readers(types).items()]
    return [*zip(*columns, strict=True)]


def write(types: Mapping[str, str], pieces: Iterable[list[tuple[object, ...]]], file: BinaryIO) -> None:
    """A database of one table. It is made aside, since SQLite wants a file of its own, and then copied whole."""
    if len(types) > MOST_COLUMNS:
        raise UsageError(
            f"sqlite holds {MOST_COLUMNS} columns, and this table has {len(types)}",
            hint="choose some with --columns, or take another format",
        )
    with scratch() as place:
        path = place / "rows.sqlite"
        try:
            with contextlib.closing(sqlite3.connect(path, isolation_level=None)) as database:
                _fill(database, types, chain.from_iterable(pieces))
        except sqlite3.DatabaseError as error:
            raise _explained(error) from None
        with path.open("rb") as whole:
            shutil.copyfileobj(whole, file, CHUNK)


def _fill(database: sqlite3.Connection, types: Mapping[str, str], rows: Iterable[tuple[object, ...]]) -> None:
    # nobody else sees this file, and it is of no use before it is whole
    database.execute("PRAGMA journal_mode = OFF")
    database.execute("PRAGMA synchronous = OFF")
    names = distinct(types)
    declared = ", ".join(f"{_quoted(name)} {_DECLARED[kind]}" for name, kind in zip(names, types.values(), strict=True))
    database.execute(f"CREATE TABLE rows ({declared})")
    database.execute("BEGIN")
    # each value goes in by its place: no text of a service is ever part of a statement
    line = f"INSERT INTO rows VALUES ({', '.join('?' * len(types))})"  # noqa: S608 - question marks only
    database.executemany(line, rows)
    database.execute("COMMIT")


def _column(block: Block, name: str, read: Callable[[Token, str, Block], object]) -> Sequence[object]:
    if name in block.own:
        return [read(token, name, block) for token in block.own[name].tokens]
    return [read(block.same.get(name, b""), name, block)] * block.count


def distinct(names: Iterable[str]) -> list[str]:
    """The names of columns, told apart: to SQLite, `Text` and `text` are one, and a zero byte ends a name."""
    taken: set[str] = set()
    found = []
    for name in names:
        free = name.replace("\0", "\N{SYMBOL FOR NULL}")
        while free.lower() in taken:
            free += "~"
        taken.add(free.lower())
        found.append(free)
    return found


def _quoted(name: str) -> str:
    return '"' + name.replace('"', '""') + '"'


def _explained(error: sqlite3.DatabaseError) -> Exception:
    if "full" in str(error) or "disk I/O" in str(error):
        return DiskError(f"the temporary folder: {error}", hint="free some space, or set TMPDIR to another place")
    return UsageError(f"sqlite cannot hold this table: {error}", hint="choose fewer --columns, or another format")
