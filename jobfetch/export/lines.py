"""Rows as CSV, NDJSON or JSON: a stable column order, and every number as the service wrote it."""

from __future__ import annotations

import re
from collections.abc import Iterable, Iterator, Sequence
from itertools import repeat
from typing import BinaryIO

from msgspec import Struct

from jobfetch.blocks import Block, Column, Token, repeated, text
from jobfetch.errors import BadReply
from jobfetch.export.columns import is_numeric
from jobfetch.model import encode
from jobfetch.spec import COMMON_COLUMNS

#: What a spreadsheet takes for the beginning of a formula.
_FORMULA = re.compile(rb"[=+\-@\t\r]")
_NULL = b"\nnull\n"
_ANY_FORMULA = re.compile(rb'"[=+\-@\t\r]')


class Csv(Struct, frozen=True):
    """Cells and lines of a CSV table; null is an empty cell."""

    delimiter: bytes
    safe: bool

    def header(self, columns: Sequence[str]) -> bytes:
        """The first line."""
        names = (self._harmless(name.encode()) for name in columns)
        return self.delimiter.join(self._quoted(name, alone=len(columns) == 1) for name in names) + b"\n"

    def write(self, columns: Sequence[str], lines: Iterable[bytes], file: BinaryIO) -> None:
        """A whole table."""
        file.write(self.header(columns))
        file.writelines(lines)

    def lines(self, block: Block, columns: Sequence[str]) -> bytes:
        """The lines of some rows."""
        alone = len(columns) == 1
        parts: list[Iterable[Token]] = []
        for times, names in _changing_together(block, columns):
            if times is None:
                parts += (self._cells(block.own[name], name, block, alone=alone) for name in names)
            else:
                few = zip(*(self._few(name, len(times), block, alone=alone) for name in names), strict=True)
                parts.append(repeated(map(self.delimiter.join, few), times))
        return b"\n".join(map(self.delimiter.join, zip(*parts, strict=True))) + b"\n"

    def _few(self, name: str, many: int, block: Block, *, alone: bool) -> Iterable[Token]:
        """A cell for each of the values that come several times."""
        column = block.own.get(name)
        if column is None:
            return repeat(self._cell(block.same.get(name, b""), name, block, alone=alone), many)
        return self._cells(Column.of(column.few), name, block, alone=alone)

    def _cells(self, column: Column, name: str, block: Block, *, alone: bool) -> Sequence[Token]:
        tokens, joined = column.tokens, column.joined
        if alone or self._are_odd(joined):
            return [self._cell(bytes(token), name, block, alone=alone) for token in tokens]
        if is_numeric(joined):
            return tokens
        # no token holds a line break, and none holds a quote but a string around itself
        cells = b"\n" + b"\n".join(tokens) + b"\n"
        if b"null" in joined:
            # of two that follow each other, the first time takes one
            cells = cells.replace(_NULL, b"\n\n").replace(_NULL, b"\n\n")
        return cells[1:-1].replace(b'"', b"").split(b"\n")

    def _are_odd(self, joined: bytes) -> bool:
        """Whether any of these tokens may want a look of its own."""
        if b"\\" in joined or self.delimiter in joined or (b'"' in joined and (b"[" in joined or b"{" in joined)):
            return True
        return self.safe and _ANY_FORMULA.search(joined) is not None

    def _cell(self, token: bytes, name: str, block: Block, *, alone: bool) -> bytes:
        cell = b"" if token in {b"", b"null"} else token
        if token[:1] == b'"':
            cell = self._harmless(said(token, name, block))
        return self._quoted(cell, alone=alone)

    def _harmless(self, text: bytes) -> bytes:
        return b"'" + text if self.safe and _FORMULA.match(text) else text

    def _quoted(self, cell: bytes, *, alone: bool) -> bytes:
        # a line without anything in it is no row to most readers
        if (alone and not cell) or b'"' in cell or self.delimiter in cell or b"\n" in cell or b"\r" in cell:
            return b'"' + cell.replace(b'"', b'""') + b'"'
        return cell


def _changing_together(block: Block, columns: Sequence[str]) -> Iterator[tuple[Sequence[int] | None, list[str]]]:
    """Columns side by side whose values come equally often, with these numbers; None for one with a value a row.

    What all rows share goes with what stands before it.
    """
    times: Sequence[int] | None = None
    names: list[str] = []
    for name in columns:
        column = block.own.get(name)
        theirs = column.times if column else times
        if names and ((column and theirs is None) or (times is not None and theirs != times)):
            yield times or [block.count], names
            times, names = None, []
        if column and theirs is None:
            yield None, [name]
        else:
            times = theirs
            names.append(name)
    if names:
        yield times or [block.count], names


def said(token: bytes, name: str, block: Block) -> bytes:
    """The text of a string, in UTF-8; an error names the job and the column."""
    if b"\\" not in token:
        return token[1:-1]
    try:
        return text(token).encode()
    except BadReply as error:
        job = block.job_of(next(number for number, each in enumerate(block.tokens(name)) if bytes(each) == token))
        raise BadReply(f"job {job}, column {name!r}: {error.message}", hint=error.hint) from None


def objects(block: Block, columns: Sequence[str]) -> bytes:
    """Rows as an object a line: the common columns always, then the row's own by name; what is absent stays absent.

    With `columns` those and no others, in their order.
    """
    names = columns or [*COMMON_COLUMNS, *sorted({*block.columns()} - {*COMMON_COLUMNS})]
    parts: list[Iterable[Token]] = []
    constant: list[bytes] = []
    for name in names:
        key, column = b"," + encode(name) + b":", block.own.get(name)
        absent = b"null" if name in COMMON_COLUMNS else b""
        if column is None:
            token = block.same.get(name, absent)
            constant += [key, token] if token else []
            continue
        tokens = column.tokens
        if all(tokens):
            constant.append(key)
            parts += [repeat(b"".join(constant), block.count), tokens]
            constant = []
        else:
            parts.append(repeat(b"".join(constant), block.count))
            parts.append([key + bytes(token or absent) if token or absent else b"" for token in tokens])
            constant = []
    parts.append(repeat(b"".join(constant), block.count))
    lines = list(map(b"".join, zip(*parts, strict=True)))
    return b"".join(b"{" + line[1:] + b"}\n" for line in lines)


def write_lines(_: object, lines: Iterable[bytes], file: BinaryIO) -> None:
    """Objects that come a line each, as they are."""
    file.writelines(lines)


def write_json(_: object, lines: Iterable[bytes], file: BinaryIO) -> None:
    """Objects that come a line each, some lines at a time, as one JSON list."""
    start = b"[\n"
    for some in lines:
        file.write(start + some[:-1].replace(b"}\n{", b"},\n{"))
        start = b",\n"
    file.write(b"\n]\n" if start != b"[\n" else b"[]\n")
