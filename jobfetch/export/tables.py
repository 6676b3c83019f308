"""A table of rows, in the format that is asked for: one way in for every command, constant memory, the same bytes each time."""

from __future__ import annotations

from collections.abc import Callable, Iterable, Iterator
from contextlib import AbstractContextManager
from itertools import chain, islice
from pathlib import Path
from typing import Any, BinaryIO, TypeVar

from msgspec import Struct

from jobfetch.blocks import Block, Source, fewer
from jobfetch.errors import BadReply, UsageError
from jobfetch.export import lines
from jobfetch.export import packing as packings
from jobfetch.export.columns import Kinds, Survey, type_of
from jobfetch.export.packing import packed, packing_of
from jobfetch.model import Format, encode, typed
from jobfetch.spread import spread

SUFFIXES = {
    ".json": Format.JSON,
    ".csv": Format.CSV,
    ".tsv": Format.CSV,
    ".ndjson": Format.NDJSON,
    ".jsonl": Format.NDJSON,
    ".parquet": Format.PARQUET,
    ".sqlite": Format.SQLITE,
    ".sqlite3": Format.SQLITE,
    ".db": Format.SQLITE,
}
SCHEMA = "jobfetch.table/1"

#: Rows, and cells, that are looked at before the first is written, in the hope that the columns are all there by then.
LOOKED_AT = 5000
CELLS_LOOKED_AT = 250_000

#: Rows, what they hold where that is news, and what was made of them.
_Piece = tuple[int, dict[str, int], Any]
_Made = TypeVar("_Made")

_TAB = {"tab": "\t", r"\t": "\t"}


class Table(Struct, frozen=True, kw_only=True):
    """How a table is to be written. `packing` is `gz`, `zst` or nothing; `delimiter` and `csv_safe` are CSV's."""

    format: Format
    columns: tuple[str, ...] = ()
    delimiter: str = ","
    csv_safe: bool = False
    packing: str = ""


def table_for(
    path: Path | None,
    shape: str | None = None,
    *,
    default: Format | None = None,
    columns: str | None = None,
    delimiter: str | None = None,
    csv_safe: bool = False,
) -> Table:
    """A table as it was asked for, by its file's suffixes where nothing else is said; `UsageError` where it cannot be."""
    packing = packing_of(path)
    bare = path.with_suffix("") if path and packing else path
    suffix = bare.suffix.lower() if bare else ""
    form = Format(shape) if shape else SUFFIXES.get(suffix) or default
    if form is None:
        raise UsageError(
            f"{'standard output' if path is None else path} does not tell its format",
            hint="say it with -f csv, ndjson, json, parquet or sqlite",
        )
    if packing and form is Format.PARQUET:
        raise UsageError("parquet is compressed in itself", hint=f"leave .{packing} out of the name")
    if (delimiter or csv_safe) and form is not Format.CSV:
        raise UsageError(f"--delimiter and --csv-safe are for csv, not for {form}")
    said = delimiter or ("\t" if suffix == ".tsv" else ",")
    table = Table(
        format=form,
        columns=_columns(columns or ""),
        delimiter=_delimiter(said),
        csv_safe=csv_safe,
        packing=packing,
    )
    available(table)
    return table


def available(table: Table) -> None:
    """`UsageError` where what a table is written with is not installed: better now than after an hour of waiting."""
    packings.available(table.packing)
    if table.format.tabular:
        _writer(table)


def _columns(said: str) -> tuple[str, ...]:
    try:
        names = typed(said).split(",")
    except UnicodeError:
        hint = "`jobfetch providers show NAME` tells the columns of a provider"
        raise UsageError(f"--columns {said[:80]!r} is not UTF-8", hint=hint) from None
    return tuple(dict.fromkeys(filter(None, names)))


def _delimiter(said: str) -> str:
    mark = _TAB.get(said, said)
    if len(mark) != 1 or not mark.isascii() or mark.isalnum() or mark in '"+-.\\\r\n\0[]{}':
        raise UsageError(f"--delimiter {said!r} cannot stand between cells", hint="take for example ';', '|' or tab")
    return mark


class Writer(Struct, frozen=True):
    """How rows become a file of one format.

    `layout` is what must be known of every row before the first is written, `piece` makes something of some rows that
    another process may have made as well, and `write` puts the pieces together. `exact` looks at numbers digit by digit.
    """

    layout: Callable[[Survey], Any]
    piece: Callable[[Block, Any], Any]
    write: Callable[[Any, Iterator[Any], BinaryIO], None]
    exact: bool = False


def _writer(table: Table) -> Writer:
    if table.format is Format.CSV:
        csv = lines.Csv(table.delimiter.encode(), table.csv_safe)
        return Writer(lambda survey: tuple(survey.columns(table.columns)), csv.lines, csv.write)
    if table.format in {Format.JSON, Format.NDJSON}:
        write = lines.write_json if table.format is Format.JSON else lines.write_lines
        return Writer(lambda _: table.columns, lines.objects, write)
    typed = _parquet() if table.format is Format.PARQUET else _sqlite()
    return Writer(lambda survey: survey.types(table.columns), *typed, exact=True)


def _parquet() -> tuple[Callable[..., Any], Callable[..., None]]:
    from jobfetch.export import parquet  # noqa: PLC0415 - for those who want it

    parquet.available()
    return parquet.piece, parquet.write


def _sqlite() -> tuple[Callable[..., Any], Callable[..., None]]:
    from jobfetch.export import database  # noqa: PLC0415 - likewise

    return database.piece, database.write


def write_table(table: Table, source: Source, file: BinaryIO) -> Survey:
    """Write every row; `source` is walked once or twice, and held never. What the rows hold is told.

    The first rows are looked at, and then all are written as these want it. Where others do not fit, the rest is only
    looked at, and everything is written once more.
    """
    writer = _writer(table)
    run = _Run(writer, source, Survey(exact=writer.exact))
    with packed(table.packing, file) as out:
        start = out.tell()
        first = run.looked_at()
        try:
            run.write(out, *first)
        except _OtherLayoutError:
            run.look_at_the_rest()
            out.seek(start)
            out.truncate()
            try:
                run.write(out)
            except _OtherLayoutError:
                raise BadReply("records changed while they were read", hint="run the same line again") from None
    return run.survey


class _OtherLayoutError(Exception):
    """Rows have come that do not fit what was written so far."""


class _Run(Struct):
    """All rows on their way into a file."""

    writer: Writer
    source: Source
    #: what the rows hold that have been taken up
    survey: Survey
    #: how many stretches have been
    done: int = 0

    def looked_at(self) -> tuple[Iterator[Block], int]:
        """The rows of so many first stretches, which have been looked at: enough to hope that all others are like them."""
        held: list[Block] = []
        number = cells = 0
        for number, stretch in enumerate(self.source.stretches(), start=1):
            blocks = iter(self.source.blocks(stretch))
            for block in blocks:
                self.survey.add(block)
                held.append(block)
                cells += block.count * len(block.own) + len(block.same)
                if self.survey.rows >= LOOKED_AT or cells >= CELLS_LOOKED_AT:
                    return self._to_the_end(held, blocks, stretch), number
            self._through(stretch)
        return iter(held), number

    def _to_the_end(self, held: list[Block], blocks: Iterator[Block], stretch: Any) -> Iterator[Block]:
        yield from held
        yield from blocks
        self._through(stretch)

    def _through(self, stretch: Any) -> None:
        self.done += 1
        self.source.through(stretch)

    def write(self, out: BinaryIO, first: Iterable[Block] = (), skipped: int = 0) -> None:
        """Write all rows: these first, and then those of all stretches but so many. `_OtherLayoutError` where they do not fit."""
        layout = self.writer.layout(self.survey)
        self.survey.rows = 0
        found = self.survey.copy()

        def work(blocks: Iterable[Block]) -> Iterator[_Piece]:
            for block in fewer(blocks):
                news = found.add(block)
                fits = not news or self.writer.layout(found) == layout
                yield block.count, found.seen if news else {}, self.writer.piece(block, layout) if fits else None

        def taken(pieces: Iterable[_Piece]) -> Iterator[Any]:
            for count, seen, piece in pieces:
                if self.survey.merge(seen) and self.writer.layout(self.survey) != layout:
                    raise _OtherLayoutError
                self.survey.rows += count
                yield piece

        with self._spread(lambda stretch: work(self.source.blocks(stretch)), skipped) as rest:
            self.writer.write(layout, taken(chain(work(first), rest)), out)

    def look_at_the_rest(self) -> None:
        """Take notice of the rows that have not been taken up."""
        found = self.survey.copy()

        def work(stretch: Any) -> Iterator[dict[str, int]]:
            return (found.seen for block in fewer(self.source.blocks(stretch)) if found.add(block))

        with self._spread(work, self.done) as rest:
            for seen in rest:
                self.survey.merge(seen)
        self.done = 0

    def _spread(self, work: Callable[[Any], Iterator[_Made]], skipped: int) -> AbstractContextManager[Iterator[_Made]]:
        def stretches() -> Iterable[Any]:
            return islice(self.source.stretches(), skipped, None)

        return spread(stretches, work, through=self._through, processes=self.source.processes)


def schema_of(table: Table, survey: Survey) -> bytes:
    """What stands beside a table: its columns in order, the type of each, and whether it may be null."""
    told = []
    for name in survey.columns(table.columns):
        kinds = survey.kinds(name)
        # integers are numbers as well
        hidden = Kinds.WIDE | (Kinds.INTEGER if Kinds.NUMBER in kinds else Kinds.NONE)
        values = [str(kind.name).lower() for kind in kinds & ~hidden]
        told.append({"name": name, "type": type_of(name, kinds), "values": values})
    head = encode({"schema": SCHEMA, "format": table.format, "rows": survey.rows})[:-1]
    return head + b',"columns":[\n' + b",\n".join(encode(each) for each in told) + b"\n]}\n"
