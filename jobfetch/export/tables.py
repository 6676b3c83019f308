"""Rows as CSV or NDJSON: a stable column order, and every number as the service wrote it."""

from __future__ import annotations

import csv
import io
from collections.abc import Callable, Iterable
from typing import BinaryIO

from jobfetch.model import encode
from jobfetch.spec import COMMON_COLUMNS

#: Rows that are put into text before they go to the file.
_AT_ONCE = 1000

Row = dict[str, bytes]


def write_csv(rows: list[Row], file: BinaryIO, text: Callable[[bytes], str]) -> None:
    """CSV with a header: the common columns, then every other one by name; null is an empty cell.

    `text` turns a JSON token into the text of its cell.
    """
    columns = [*COMMON_COLUMNS, *sorted({name for row in rows for name in row} - set(COMMON_COLUMNS))]
    for chunk in _chunks([dict(zip(columns, map(encode, columns), strict=True)), *rows]):
        buffer = io.StringIO()
        writer = csv.writer(buffer, lineterminator="\n")
        writer.writerows([text(row[name]) if name in row else "" for name in columns] for row in chunk)
        file.write(buffer.getvalue().encode())


def write_ndjson(rows: list[Row], file: BinaryIO) -> None:
    """One object a line: the common columns always, then the row's own by name; what is absent stays absent."""
    file.writelines(_object(row) for row in rows)


def _object(row: Row) -> bytes:
    own = sorted(name for name in row if name not in COMMON_COLUMNS)
    cells = [*((name, row.get(name, b"null")) for name in COMMON_COLUMNS), *((name, row[name]) for name in own)]
    return b"{" + b",".join(encode(name) + b":" + raw for name, raw in cells) + b"}\n"


def _chunks(rows: list[Row]) -> Iterable[list[Row]]:
    return (rows[start : start + _AT_ONCE] for start in range(0, len(rows), _AT_ONCE))
