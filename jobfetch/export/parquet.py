"""Rows as Parquet, through pyarrow, which is an extra: int64 and double where they hold every number, text elsewhere."""

from __future__ import annotations

from array import array
from collections.abc import Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass
from importlib import import_module
from importlib.util import find_spec
from itertools import accumulate
from typing import Any, BinaryIO

from jobfetch.blocks import Block, Column, Token, repeated
from jobfetch.errors import UsageError
from jobfetch.export.columns import is_numeric, plain_texts
from jobfetch.export.values import Read, readers

#: Rows and bytes of a group, whichever is reached first.
GROUP_ROWS = 32_768
GROUP_BYTES = 8 * 1024 * 1024
#: What a column may hold together.
_MOST = (1 << 31) - 1


@dataclass(frozen=True, slots=True)
class Cells:
    """Some values of a column on their way to Arrow: texts one behind the other and where each begins, or Python's values.

    A number is still as it was written. Where `times` is given, each value comes so many times.
    """

    #: texts, UTF-8
    joined: bytes = b""
    #: int32, one more than there are texts
    bounds: bytes = b""
    values: Sequence[object] | None = None
    times: Sequence[int] | None = None

    @property
    def size(self) -> int:
        """Bytes, more or less."""
        return len(self.joined) + len(self.bounds) + 8 * len(self.values or ()) + 8 * len(self.times or ())


Piece = tuple[int, list[Cells]]


def available() -> None:
    """`UsageError` where pyarrow is not installed."""
    if not find_spec("pyarrow"):
        raise UsageError("parquet needs pyarrow, which is not installed here", hint="pip install 'jobfetch[parquet]'")


def piece(block: Block, types: Mapping[str, str]) -> Piece:
    """Some rows, column by column."""
    return block.count, [_cells(block, name, types[name], read) for name, read in readers(types).items()]


def _cells(block: Block, name: str, kind: str, read: Read) -> Cells:
    column = block.own.get(name)
    if column is None:
        return Cells(values=[read(block.same.get(name, b""), name, block)], times=[block.count])
    if column.times is not None:
        few = _own(Column.of(column.few), name, kind, read, block)
        return Cells(few.joined, few.bounds, few.values, column.times)
    return _own(column, name, kind, read, block)


def _own(column: Column, name: str, kind: str, read: Read, block: Block) -> Cells:
    if kind in {"int64", "double"} and is_numeric(column.joined) and all(column.tokens):
        return _texts(column.joined, column.tokens)
    if kind == "string" and (plain := plain_texts(column.joined, len(column.tokens))) is not None:
        return _texts(b"".join(plain), plain)
    return Cells(values=[read(token, name, block) for token in column.tokens])


def _texts(joined: bytes, tokens: Sequence[Token]) -> Cells:
    if len(joined) > _MOST:
        raise UsageError("a column of one record is too long for parquet", hint="take csv or ndjson")
    return Cells(joined, array("i", accumulate(map(len, tokens), initial=0)).tobytes())


def write(types: Mapping[str, str], pieces: Iterable[Piece], file: BinaryIO) -> None:
    """A Parquet file, compressed with zstd."""
    arrow, parquet = import_module("pyarrow"), import_module("pyarrow.parquet")
    plain = {"string": arrow.string(), "json": arrow.string(), "int64": arrow.int64()}
    plain |= {"double": arrow.float64(), "boolean": arrow.bool_()}
    schema = arrow.schema([arrow.field(name, plain[kind]) for name, kind in types.items()])
    with parquet.ParquetWriter(file, schema, compression="zstd") as writer:
        for group in _groups(pieces):
            columns = [
                arrow.chunked_array([_array(arrow, cells[number], field.type) for cells in group], type=field.type)
                for number, field in enumerate(schema)
            ]
            writer.write_table(arrow.Table.from_arrays(columns, schema=schema))


def _groups(pieces: Iterable[Piece]) -> Iterator[list[list[Cells]]]:
    """As many rows as are written together: their bounds are the same in every run."""
    group: list[list[Cells]] = []
    rows = size = 0
    for count, cells in pieces:
        group.append(cells)
        rows += count
        size += sum(each.size for each in cells)
        if rows >= GROUP_ROWS or size >= GROUP_BYTES:
            yield group
            group, rows, size = [], 0, 0
    if group:
        yield group


def _array(arrow: Any, cells: Cells, kind: Any) -> Any:
    if cells.values is not None:
        found = arrow.array(cells.values, type=kind)
    else:
        buffers = [None, *map(arrow.py_buffer, (cells.bounds, cells.joined))]
        found = arrow.Array.from_buffers(arrow.string(), len(cells.bounds) // 4 - 1, buffers)
        # an exact look has found that every number is given back
        found = found if kind == arrow.string() else found.cast(kind)
    if cells.times is None:
        return found
    if len(found) == 1:
        return arrow.repeat(found[0], cells.times[0])
    return found.take(arrow.array(repeated(range(len(found)), cells.times), type=arrow.int32()))
