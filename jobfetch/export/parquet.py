"""Rows as Parquet, through pyarrow, which is an extra: int64 and double where they hold every number, text elsewhere."""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Mapping, Sequence
from importlib import import_module
from typing import BinaryIO

from jobfetch.blocks import Block
from jobfetch.errors import UsageError
from jobfetch.export.columns import is_numeric, plain_texts
from jobfetch.export.values import Read, readers

#: Rows and bytes of a group, whichever is reached first.
GROUP_ROWS = 32_768
GROUP_BYTES = 8 * 1024 * 1024


def write_parquet(types: Mapping[str, str], source: Iterable[Block], file: BinaryIO) -> None:
    """A Parquet file, compressed with zstd. `UsageError` where pyarrow is not installed."""
    try:
        arrow, parquet = import_module("pyarrow"), import_module("pyarrow.parquet")
    except ImportError:
        raise UsageError(
            "parquet needs pyarrow, which is not installed here", hint="pip install 'jobfetch[parquet]'"
        ) from None
    plain = {"string": arrow.string(), "json": arrow.string(), "int64": arrow.int64()}
    plain |= {"double": arrow.float64(), "boolean": arrow.bool_()}
    schema = arrow.schema([arrow.field(name, plain[kind]) for name, kind in types.items()])
    read = readers(types)
    with parquet.ParquetWriter(file, schema, compression="zstd") as writer:
        for group in _groups(source):
            # a column at a time: values of Python's own take many times the room of Arrow's
            arrays = [
                arrow.array(
                    [value for block in group for value in _values(block, name, kind, read[name])], type=field.type
                )
                for (name, kind), field in zip(types.items(), schema, strict=True)
            ]
            writer.write_table(arrow.Table.from_arrays(arrays, schema=schema))


def _groups(source: Iterable[Block]) -> Iterator[list[Block]]:
    """As many rows as are written together: their bounds are the same in every run."""
    group: list[Block] = []
    rows = size = 0
    for block in source:
        group.append(block)
        rows += block.count
        size += sum(map(len, block.same.values())) + sum(len(column.joined) for column in block.own.values())
        if rows >= GROUP_ROWS or size >= GROUP_BYTES:
            yield group
            group, rows, size = [], 0, 0
    if group:
        yield group


def _values(block: Block, name: str, kind: str, read: Read) -> Sequence[object]:
    column = block.own.get(name)
    if column is None:
        return [read(block.same.get(name, b""), name, block)] * block.count
    joined, tokens = column.joined, column.tokens
    if kind == "double" and is_numeric(joined) and all(tokens):
        return [*map(float, map(bytes, tokens))]
    plain = plain_texts(joined, len(tokens)) if kind == "string" else None
    return plain if plain is not None else [read(token, name, block) for token in tokens]
