"""Rows as Parquet, through pyarrow, which is an extra: int64 and double where they hold every number, text elsewhere."""

from __future__ import annotations

from array import array
from collections.abc import Iterable, Iterator, Mapping, Sequence
from importlib import import_module
from importlib.util import find_spec
from itertools import chain, groupby
from typing import Any, BinaryIO, NamedTuple

from jobfetch.blocks import Block, Column
from jobfetch.errors import UsageError
from jobfetch.export.columns import are_plain, is_numeric
from jobfetch.export.values import Read, readers

#: Rows and bytes of a group, whichever is reached first.
GROUP_ROWS = 32_768
GROUP_BYTES = 8 * 1024 * 1024
_INT32 = array("i").itemsize
#: Turns a byte into one that is so much less.
_LESS = {less: bytes(max(0, number - less) for number in range(256)) for less in (0, 2)}
#: Bytes of a piece's column: a group of such pieces is still counted in 32 bits.
_MOST = (1 << 31) - 1 - GROUP_BYTES


class Cells(NamedTuple):
    """Some values of a column on their way to Arrow: texts one behind the other with their lengths, or Python's values.

    A number is still as it was written. Where `times` is given, each value comes so many times.
    """

    #: UTF-8
    joined: bytes = b""
    #: a byte each, or int32 where they are `wide`
    lengths: bytes = b""
    wide: bool = False
    values: Sequence[object] | None = None
    #: int32
    times: bytes | None = None

    @property
    def size(self) -> int:
        """Bytes, more or less."""
        return len(self.joined) + len(self.lengths) + 8 * len(self.values or ()) + len(self.times or ())


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
        return Cells(values=[read(block.same.get(name, b""), name, block)], times=_int32([block.count]))
    if column.times is not None:
        few = _own(Column.of(column.few), name, kind, read, block)
        return few._replace(times=_int32(column.times))
    return _own(column, name, kind, read, block)


def _own(column: Column, name: str, kind: str, read: Read, block: Block) -> Cells:
    if kind in {"int64", "double"} and is_numeric(column.joined) and all(column.tokens):
        return _texts(column.joined, column, 0)
    if kind == "string" and are_plain(column.joined, len(column.tokens)):
        return _texts(column.joined.replace(b'"', b""), column, 2)
    return Cells(values=[read(token, name, block) for token in column.tokens])


def _texts(joined: bytes, column: Column, quotes: int) -> Cells:
    """Texts as they are in their tokens, without so many quotes."""
    if len(joined) > _MOST:
        raise UsageError("a column of one record is too long for parquet", hint="take csv or ndjson")
    if column.lengths is not None:
        return Cells(joined, column.lengths.translate(_LESS[quotes]))
    return Cells(joined, _int32(len(token) - quotes for token in column.tokens), wide=True)


def _int32(numbers: Iterable[int]) -> bytes:
    return array("i", numbers).tobytes()


def write(types: Mapping[str, str], pieces: Iterable[Piece], file: BinaryIO) -> None:
    """A Parquet file, compressed with zstd."""
    arrow, parquet, _ = map(import_module, ("pyarrow", "pyarrow.parquet", "pyarrow.compute"))
    plain = {"string": arrow.string(), "json": arrow.string(), "int64": arrow.int64()}
    plain |= {"double": arrow.float64(), "boolean": arrow.bool_()}
    schema = arrow.schema([arrow.field(name, plain[kind]) for name, kind in types.items()])
    # numbers seldom come twice, and looking for those that do takes longer than writing them
    texts = [field.name for field in schema if field.type == arrow.string()]
    with parquet.ParquetWriter(file, schema, compression="zstd", use_dictionary=texts) as writer:
        for group in _groups(pieces):
            columns = [
                _column(arrow, [cells[number] for cells in group], field.type) for number, field in enumerate(schema)
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


def _column(arrow: Any, group: Sequence[Cells], kind: Any) -> Any:
    """The values of one column of a group; those that look alike become one array, however many pieces they came in."""
    alike = groupby(group, lambda cells: (cells.values is None, cells.times is None, cells.wide))
    return arrow.chunked_array([_array(arrow, [*some], kind) for _, some in alike], type=kind)


def _array(arrow: Any, some: Sequence[Cells], kind: Any) -> Any:
    if some[0].values is None:
        bounds = _sums(arrow, b"".join(cells.lengths for cells in some), wide=some[0].wide)
        joined = arrow.py_buffer(b"".join(cells.joined for cells in some))
        found = arrow.Array.from_buffers(arrow.string(), len(bounds) - 1, [None, bounds.buffers()[1], joined])
        # an exact look has found that every number is given back
        found = found if kind == arrow.string() else found.cast(kind)
    else:
        found = arrow.array([*chain.from_iterable(cells.values or () for cells in some)], type=kind)
    if some[0].times is None:
        return found
    bounds = _sums(arrow, b"".join(cells.times or b"" for cells in some), wide=True)
    rows = arrow.nulls(bounds[-1].as_py())
    return found.take(arrow.compute.list_parent_indices(arrow.ListArray.from_arrays(bounds, rows)))


def _sums(arrow: Any, numbers: bytes, *, wide: bool) -> Any:
    """Where each of these begins, whose lengths these are, and where the last one ends."""
    width, kind = (_INT32, arrow.int32()) if wide else (1, arrow.uint8())
    lengths = arrow.py_buffer(bytes(width) + numbers)
    found = arrow.Array.from_buffers(kind, len(numbers) // width + 1, [None, lengths])
    return arrow.compute.cumulative_sum(found.cast(arrow.int32()))
