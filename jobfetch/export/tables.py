"""Rows as CSV or NDJSON: a stable column order, and every number as the service wrote it."""

from __future__ import annotations

import re
from collections.abc import Callable, Iterable
from typing import BinaryIO

from jobfetch.model import Format, encode
from jobfetch.spec import COMMON_COLUMNS

# Python's own writer leaves a lone carriage return bare where lines end with a line feed, and cannot read it back
_SPECIAL = re.compile(r'[",\r\n]')

Row = dict[str, bytes]


def write_table(shape: Format, rows: Iterable[Row], file: BinaryIO, text: Callable[[bytes], str]) -> None:
    """Rows in the shape that is asked for; they are walked more than once."""
    if shape is Format.CSV:
        write_csv(rows, file, text)
    else:
        write_ndjson(rows, file)


def write_csv(rows: Iterable[Row], file: BinaryIO, text: Callable[[bytes], str]) -> None:
    """CSV with a header: the common columns, then every other one by name; null is an empty cell.

    The rows are walked twice, first for their columns. `text` turns a JSON token into the text of its cell.
    """
    columns = [*COMMON_COLUMNS, *sorted({name for row in rows for name in row} - set(COMMON_COLUMNS))]
    file.write(_line(columns))
    file.writelines(_line([text(row[name]) if name in row else "" for name in columns]) for row in rows)


def _line(cells: list[str]) -> bytes:
    return (",".join(_quoted(cell) if _SPECIAL.search(cell) else cell for cell in cells) + "\n").encode()


def _quoted(cell: str) -> str:
    return '"' + cell.replace('"', '""') + '"'


def write_ndjson(rows: Iterable[Row], file: BinaryIO) -> None:
    """One object a line: the common columns always, then the row's own by name; what is absent stays absent."""
    file.writelines(_object(row) for row in rows)


def _object(row: Row) -> bytes:
    own = sorted(name for name in row if name not in COMMON_COLUMNS)
    cells = [*((name, row.get(name, b"null")) for name in COMMON_COLUMNS), *((name, row[name]) for name in own)]
    return b"{" + b",".join(encode(name) + b":" + raw for name, raw in cells) + b"}\n"
