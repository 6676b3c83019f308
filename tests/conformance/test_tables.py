"""Every sample as a table in every format, read again by somebody else's reader, cell by cell."""

import csv
import io
import json
import sqlite3
from collections.abc import Callable, Iterator
from decimal import Decimal
from pathlib import Path
from typing import Any

import duckdb
import pyarrow.parquet
import pytest

from jobfetch import flatten
from jobfetch.blocks import Block, Held
from jobfetch.export import Survey, Table, schema_of, write_table
from jobfetch.model import Format, compact
from jobfetch.providers import PROVIDERS
from jobfetch.spec import COMMON_COLUMNS, Provider

from .test_providers import SAMPLES, Sample, each_sample

Rows = list[dict[str, Any]]


def blocks_of(sample: Sample) -> list[Block]:
    walk, _ = flatten.walker(sample.provider.rows)
    return list(walk(sample.provider.name, sample.told["job_id"], sample.result))


def stored(sample: Sample) -> Rows:
    """The rows as they must be, numbers as the text that was sent."""
    lines = sample.stored(f"{sample.name}.rows.ndjson").decode().splitlines()
    return [json.loads(line, parse_int=Number, parse_float=Number) for line in lines]


class Number(str):
    """A number as the service wrote it."""

    __slots__ = ()


def cell(value: Any) -> str:
    """What a text column holds of a value."""
    if value is None:
        return ""
    if isinstance(value, bool):
        return str(value).lower()
    return value if isinstance(value, str) else "nested"


def same(found: Any, sent: Any) -> bool:
    """Whether a reader found what was sent: a number by its value, what is nested as JSON, everything else as text."""
    if sent is None:
        return found is None
    if isinstance(sent, bool):
        return found in {sent, int(sent), cell(sent)}
    if isinstance(sent, list | dict):
        return bool(json.loads(found, parse_int=Number, parse_float=Number) == sent)
    if isinstance(sent, Number) and not isinstance(found, str):
        return Decimal(str(found)) == Decimal(sent)
    return bool(found == sent)


@pytest.fixture
def table(tmp_path: Path) -> Callable[..., tuple[Path, Survey]]:
    def write(shape: str, blocks: list[Block], **how: Any) -> tuple[Path, Survey]:
        path = tmp_path / f"rows.{shape}"
        with path.open("w+b") as file:
            survey = write_table(Table(format=Format(shape), **how), Held(blocks), file)
        return path, survey

    return write


def by_csv(path: Path) -> Iterator[dict[str, str]]:
    return csv.DictReader(io.StringIO(path.read_bytes().decode(), newline=""), strict=True)


def by_arrow(path: Path) -> Rows:
    rows: Rows = pyarrow.parquet.read_table(path).to_pylist()
    return rows


def by_duckdb(path: Path) -> Rows:
    with duckdb.connect() as database:
        found = database.execute(f"SELECT * FROM read_parquet('{path}')")
        names = [each[0] for each in found.description or ()]
        return [dict(zip(names, row, strict=True)) for row in found.fetchall()]


def by_sqlite(path: Path) -> Rows:
    with sqlite3.connect(path) as database:
        found = database.execute("SELECT * FROM rows")
        names = [each[0] for each in found.description]
        return [dict(zip(names, row, strict=True)) for row in found]


@each_sample
def test_csv_holds_every_cell(sample: Sample, table: Callable[..., tuple[Path, Survey]]) -> None:
    path, _ = table("csv", blocks_of(sample))
    sent = stored(sample)
    found = list(by_csv(path))
    assert len(found) == len(sent)
    for line, row in zip(found, sent, strict=True):
        assert set(row) <= set(line)
        for name, text in line.items():
            value = row.get(name)
            assert text == cell(value) if not isinstance(value, list | dict) else same(text, value), name


@each_sample
@pytest.mark.parametrize(
    ("shape", "read"),
    [("parquet", by_arrow), ("parquet", by_duckdb), ("sqlite", by_sqlite)],
    ids=["pyarrow", "duckdb", "sqlite3"],
)
def test_a_format_with_types_holds_every_cell(
    sample: Sample, shape: str, read: Callable[[Path], Rows], table: Callable[..., tuple[Path, Survey]]
) -> None:
    path, _ = table(shape, blocks_of(sample))
    sent, found = stored(sample), read(path)
    assert len(found) == len(sent)
    for line, row in zip(found, sent, strict=True):
        assert set(row) <= set(line)
        assert [name for name, value in line.items() if not same(value, row.get(name))] == []


@each_sample
def test_json_holds_the_same_objects_as_ndjson(sample: Sample, table: Callable[..., tuple[Path, Survey]]) -> None:
    path, _ = table("json", blocks_of(sample))
    assert json.loads(path.read_text(), parse_int=Number, parse_float=Number) == stored(sample)


@each_sample
def test_a_schema_names_every_column_with_the_type_that_parquet_has(
    sample: Sample, table: Callable[..., tuple[Path, Survey]]
) -> None:
    path, survey = table("parquet", blocks_of(sample))
    told = json.loads(schema_of(Table(format=Format.PARQUET), survey))
    types = {"string": "string", "json": "string", "int64": "int64", "double": "double", "boolean": "bool"}
    schema = pyarrow.parquet.read_schema(path)
    assert [(each["name"], types[each["type"]]) for each in told["columns"]] == [
        (field.name, str(field.type)) for field in schema
    ]
    assert told["rows"] == len(stored(sample))


@pytest.mark.parametrize("shape", ["csv", "ndjson", "json", "parquet", "sqlite"])
def test_all_samples_twice_give_the_same_bytes(shape: str, table: Callable[..., tuple[Path, Survey]]) -> None:
    blocks = [block for sample in SAMPLES.values() for block in blocks_of(sample)]
    first = table(shape, blocks)[0].read_bytes()
    assert table(shape, blocks)[0].read_bytes() == first


def test_the_common_columns_have_their_types_without_a_single_value(
    table: Callable[..., tuple[Path, Survey]],
) -> None:
    path, _ = table("parquet", [])
    schema = pyarrow.parquet.read_schema(path)
    numbers = {"score": "double", "page": "int64"} | dict.fromkeys(("x_min", "y_min", "x_max", "y_max"), "double")
    assert {field.name: str(field.type) for field in schema} == {
        name: numbers.get(name, "string") for name in COMMON_COLUMNS
    }


@each_sample
def test_a_walker_that_has_learned_gives_the_same_rows(sample: Sample) -> None:
    walk, _ = flatten.walker(sample.provider.rows)
    result = compact(sample.result)
    runs = [[row for block in walk(sample.provider.name, "1", result) for row in block.rows()] for _ in range(3)]
    assert runs[0] == runs[1] == runs[2]


@pytest.mark.parametrize("provider", PROVIDERS.values(), ids=PROVIDERS)
def test_results_opened_together_give_the_rows_that_each_gives_alone(provider: Provider) -> None:
    samples = [sample for sample in SAMPLES.values() if sample.provider is provider]
    jobs = [(str(number), compact(sample.result)) for sample in samples for number in range(3)]
    forms, make = flatten.Forms.of(provider.rows), flatten.compiled(provider.rows)
    alike = 0
    for _ in range(2):
        for some, block in forms.groups(provider.name, jobs):
            rows = [row for job_id, result in some for row in make(provider.name, job_id, result)]
            assert block is None or list(block.rows()) == rows
            alike += block is not None
    # pages with sizes are gone through one by one
    assert (alike == 0) == (provider.name == "expertai")
