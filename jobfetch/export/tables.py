"""A table of rows, in the format that is asked for: one way in for every command, constant memory, the same bytes each time."""

from __future__ import annotations

from collections.abc import Iterable, Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import BinaryIO

from jobfetch.blocks import Block
from jobfetch.errors import UsageError
from jobfetch.export import lines
from jobfetch.export.columns import Kinds, Survey, surveyed, type_of
from jobfetch.export.database import write_sqlite
from jobfetch.export.packing import packed, packing_of
from jobfetch.export.parquet import write_parquet
from jobfetch.model import Format, encode

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

#: Rows that are looked at before the first is written, in the hope that the columns are all there by then.
LOOKED_AT = 5000

_TAB = {"tab": "\t", r"\t": "\t"}


@dataclass(frozen=True, slots=True, kw_only=True)
class Table:
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
    return Table(
        format=form,
        columns=tuple(dict.fromkeys(name for name in (columns or "").split(",") if name)),
        delimiter=_delimiter(said),
        csv_safe=csv_safe,
        packing=packing,
    )


def _delimiter(said: str) -> str:
    mark = _TAB.get(said, said)
    if len(mark) != 1 or not mark.isascii() or mark.isalnum() or mark in '"+-.\\\r\n\0[]{}':
        raise UsageError(f"--delimiter {said!r} cannot stand between cells", hint="take for example ';', '|' or tab")
    return mark


def write_table(table: Table, source: Iterable[Block], file: BinaryIO) -> Survey:
    """Write every row; `source` is walked once or twice, and held never. What the rows hold is told."""
    with packed(table.packing, file) as out:
        if table.format in {Format.SQLITE, Format.PARQUET}:
            survey = surveyed(source, exact=True)
            names = survey.columns(table.columns)
            types = {name: type_of(name, survey.kinds(name)) for name in names}
            write = write_sqlite if table.format is Format.SQLITE else write_parquet
            write(types, source, out)
            return survey
        survey = Survey()
        if table.format is Format.CSV:
            return _write_csv(table, source, out, survey)
        objects = (lines.objects(block, table.columns or None) for block in _noticed(source, survey))
        if table.format is Format.JSON:
            lines.write_json(objects, out)
        else:
            out.writelines(objects)
        return survey


def _noticed(source: Iterable[Block], survey: Survey) -> Iterator[Block]:
    for block in source:
        survey.add(block)
        yield block


def _write_csv(table: Table, source: Iterable[Block], out: BinaryIO, survey: Survey) -> Survey:
    """A header and a line a row.

    Rows are written while columns are still looked for. Where a new one comes up behind them, the rest is only looked
    at, and then everything is written once more with all columns.
    """
    csv = lines.Csv(table.delimiter.encode(), table.csv_safe)
    start, held = out.tell(), list[Block]()
    columns: list[str] = []
    blocks = iter(source)
    for block in blocks:
        survey.add(block)
        held.append(block)
        if survey.rows >= LOOKED_AT:
            break
    columns = survey.columns(table.columns)
    out.write(csv.header(columns))
    out.writelines(csv.lines(block, columns) for block in held)
    for block in blocks:
        known = len(survey.seen)
        survey.add(block)
        if len(survey.seen) > known and not table.columns:
            for rest in blocks:
                survey.add(rest)
            out.seek(start)
            out.truncate()
            columns = survey.columns()
            out.write(csv.header(columns))
            out.writelines(csv.lines(again, columns) for again in source)
            return survey
        out.write(csv.lines(block, columns))
    return survey


def schema_of(table: Table, survey: Survey) -> bytes:
    """What stands beside a table: its columns in order, the type of each, and whether it may be null."""
    told = []
    for name in survey.columns(table.columns):
        kinds = survey.kinds(name)
        # integers are numbers as well
        values = [str(kind.name).lower() for kind in kinds if kind is not Kinds.INTEGER or Kinds.NUMBER not in kinds]
        told.append({"name": name, "type": type_of(name, kinds), "values": values})
    head = encode({"schema": SCHEMA, "format": table.format, "rows": survey.rows})[:-1]
    return head + b',"columns":[\n' + b",\n".join(encode(each) for each in told) + b"\n]}\n"
