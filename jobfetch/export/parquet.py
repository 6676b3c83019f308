"""Rows as Parquet, through pyarrow, which is an extra: int64 and double where they hold every number, text elsewhere."""

from __future__ import annotations

from array import array
from collections.abc import Iterable, Iterator, Mapping, Sequence
from importlib import import_module
from importlib.util import find_spec
from itertools import groupby
from typing import Any, BinaryIO, NamedTuple

from jobfetch.blocks import Block, Column
from jobfetch.errors import UsageError
from jobfetch.export.columns import are_plain
from jobfetch.export.values import Read, readers

#: Rows and bytes of a group, whichever is reached first.
GROUP_ROWS = 32_768
GROUP_BYTES = 8 * 1024 * 1024
#: After so many groups, memory that is free is given back: that takes time, too.
_KEPT = 4
_INT32 = array("i").itemsize
#: Quotes of a token that is a text.
_QUOTES = 2
#: Bytes of a piece's column: a group of such pieces is still counted in 32 bits.
_MOST = (1 << 31) - 1 - GROUP_BYTES


class Cells(NamedTuple):
    """Some values of a column on their way to Arrow: texts one behind the other, UTF-8.

    A number, true and false are still as they were written. Where `times` is given, each value comes so many times.
    """

    joined: bytes
    #: how long each token was, nothing where there is none: a byte each, or int32 where they are `wide`
    lengths: bytes
    wide: bool
    #: how much shorter a text is than its token
    quotes: int
    #: int32
    times: bytes | None = None

    @property
    def size(self) -> int:
        """Bytes, more or less."""
        return len(self.joined) + len(self.lengths) + len(self.times or ())

    @property
    def alike(self) -> tuple[object, ...]:
        """What is the same in values that are made one array."""
        return self.times is None, self.wide, self.quotes


Piece = tuple[int, list[Cells]]


def available() -> None:
    """`UsageError` where pyarrow is not installed."""
    if not find_spec("pyarrow"):
        raise UsageError(
            "parquet needs pyarrow, which is not installed here",
            hint="install jobfetch again with its extra: pipx install --force '.[parquet]' (README, Install)",
        )


def piece(block: Block, types: Mapping[str, str]) -> Piece:
    """Some rows, column by column."""
    return block.count, [_cells(block, name, types[name], read) for name, read in readers(types).items()]


def _cells(block: Block, name: str, kind: str, read: Read) -> Cells:
    column = block.own.get(name)
    if column is None:
        column = Column.of([block.same.get(name, b"")])
        return _own(column, name, kind, read, block)._replace(times=_int32([block.count]))
    if column.times is not None:
        few = _own(Column.of(column.few), name, kind, read, block)
        return few._replace(times=_int32(column.times))
    return _own(column, name, kind, read, block)


def _own(column: Column, name: str, kind: str, read: Read, block: Block) -> Cells:
    if b"null" in column.joined:
        column = column.replaced([b"" if bytes(token) == b"null" else token for token in column.few])
    joined = column.joined
    if kind in {"int64", "double", "boolean"}:
        return _texts(joined, column, 0)
    if kind == "string" and are_plain(joined, [*filter(None, column.few)]):
        return _texts(joined.replace(b'"', b""), column, _QUOTES)
    found = [read(token, name, block) for token in column.few]
    texts = [None if text is None else str(text).encode() for text in found]
    lengths = _int32(0 if text is None else len(text) + _QUOTES for text in texts)
    return _fitting(Cells(b"".join(filter(None, texts)), lengths, wide=True, quotes=_QUOTES))


def _texts(joined: bytes, column: Column, quotes: int) -> Cells:
    """Texts as they are in their tokens, without so many quotes."""
    wide = column.lengths is None
    return _fitting(Cells(joined, column.lengths or _int32(map(len, column.few)), wide, quotes))


def _fitting(cells: Cells) -> Cells:
    if len(cells.joined) > _MOST:
        raise UsageError("a column of one record is too long for parquet", hint="take csv or ndjson")
    return cells


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
        for number, group in enumerate(_groups(pieces), start=1):
            columns = [
                _column(arrow, [cells[number] for cells in group], field.type) for number, field in enumerate(schema)
            ]
            writer.write_table(arrow.Table.from_arrays(columns, schema=schema))
            if number % _KEPT == 0:
                # what these groups took is not kept beside what the next will take
                arrow.default_memory_pool().release_unused()


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
    found = (_array(arrow, [*some], kind) for _, some in groupby(group, lambda cells: cells.alike))
    return arrow.chunked_array(found, type=kind)


def _array(arrow: Any, some: Sequence[Cells], kind: Any) -> Any:
    found = _decoded(arrow, some, kind)
    if some[0].times is None:
        return found
    bounds = _sums(arrow, _numbers(arrow, (cells.times or b"" for cells in some), wide=True))
    rows = arrow.nulls(bounds[-1].as_py())
    return found.take(arrow.compute.list_parent_indices(arrow.ListArray.from_arrays(bounds, rows)))


def _decoded(arrow: Any, some: Sequence[Cells], kind: Any) -> Any:
    lengths = _numbers(arrow, (cells.lengths for cells in some), wide=some[0].wide)
    there = lengths.cast(arrow.bool_())
    buffers = [
        there.buffers()[1] if there.false_count else None,
        _sums(arrow, _less(arrow, lengths, some[0].quotes)).buffers()[1],
        arrow.py_buffer(b"".join(cells.joined for cells in some)),
    ]
    found = arrow.Array.from_buffers(arrow.string(), len(lengths), buffers)
    # an exact look has found that every number is given back
    return found if kind == arrow.string() else found.cast(kind)


# Arrow takes no number and no list of Python's here: to look at one, it imports pandas where there is one.


def _less(arrow: Any, lengths: Any, quotes: int) -> Any:
    """Lengths without quotes; none is below nothing."""
    if not quotes:
        return lengths
    compute, count = arrow.compute, len(lengths)
    fewer, nothing = (_numbers(arrow, (_int32([each]) * count,), wide=True) for each in (quotes, 0))
    return compute.max_element_wise(compute.subtract(lengths, fewer), nothing)


def _numbers(arrow: Any, numbers: Iterable[bytes], *, wide: bool) -> Any:
    found = arrow.py_buffer(b"".join(numbers))
    kind, width = (arrow.int32(), _INT32) if wide else (arrow.uint8(), 1)
    return arrow.Array.from_buffers(kind, found.size // width, [None, found]).cast(arrow.int32())


def _sums(arrow: Any, lengths: Any) -> Any:
    """Where each of these begins, and where the last one ends (int32)."""
    nothing = _numbers(arrow, (_int32([0]),), wide=True)
    return arrow.compute.cumulative_sum(arrow.concat_arrays([nothing, lengths]))
