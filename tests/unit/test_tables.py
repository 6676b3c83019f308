"""Tables: hostile values arrive as they were sent, or are an error that says where; nothing is silently changed."""

import csv
import io
import json
import sqlite3
from collections.abc import Callable
from decimal import Decimal
from itertools import groupby
from pathlib import Path
from typing import Any

import pyarrow.parquet
import pytest
from hypothesis import given
from hypothesis import strategies as st

from jobfetch import flatten
from jobfetch.blocks import Block, Column, Held
from jobfetch.errors import BadReply, UsageError
from jobfetch.export import Survey, Table, packing, parquet, schema_of, table_for, tables, write_table
from jobfetch.flatten.shapes import Shape
from jobfetch.model import Format
from jobfetch.spec import COMMON_COLUMNS, RowRules, Rows

RULES = RowRules(
    kinds=(
        Rows(
            each=("items[]",),
            kind="thing",
            columns={"label": ("label", "object.label"), "text": ("text",), "score": ("score",)},
            copies={"item_id": ("id",), "x_min": ("min(points[].x)",)},
        ),
    )
)

HOSTILE = [
    'quotes "" and \'',
    "two\r\nlines",
    "cr\ralone",
    "nul\x00inside",
    "\u202etxt.exe\u202c",
    "=cmd|'/c calc'!A1",
    "😀é",
    "\ufeff",
    "'",
    " ",
    "a;b\tc|d,e",
    "null",
    "007",
]
NUMBERS = [
    "9223372036854775807",
    "9223372036854775808",
    "-9223372036854775808",
    "123456789012345678901234567890",
    "0.10",
    "-0.0",
    "-0",
    "1E5",
    "1e400",
    "1e-400",
    "0.1234567890123456789",
    "0.30000000000000004",
]


def sent(items: str) -> bytes:
    return b'{"items":[' + items.encode() + b"]}"


def blocks(*bodies: bytes, rules: RowRules = RULES) -> list[Block]:
    walk, _ = flatten.walker(rules)
    return [block for number, body in enumerate(bodies) for block in walk("acme", str(number), body)]


@pytest.fixture
def written(tmp_path: Path) -> Callable[..., Path]:
    def write(shape: str, source: list[Block], **how: Any) -> Path:
        path = tmp_path / f"rows.{shape}"
        with path.open("w+b") as file:
            write_table(Table(format=Format(shape), **how), Held(source), file)
        return path

    return write


def lines_of(path: Path, delimiter: str = ",") -> list[dict[str, str]]:
    return list(csv.DictReader(io.StringIO(path.read_bytes().decode(), newline=""), delimiter=delimiter, strict=True))


def column(path: Path, name: str) -> list[Any]:
    if path.suffix == ".sqlite":
        with sqlite3.connect(path) as database:
            return [value for (value,) in database.execute(f'SELECT "{name}" FROM rows')]
    if path.suffix == ".parquet":
        found: list[Any] = pyarrow.parquet.read_table(path)[name].to_pylist()
        return found
    return [line[name] for line in lines_of(path)]


# --- many at once are the same as one by one ---

LEAF: st.SearchStrategy[Any] = (
    st.none() | st.booleans() | st.integers() | st.text(max_size=4) | st.just([]) | st.just({}) | st.just([{"x": 2}])
)
OBJECTS = st.dictionaries(
    st.sampled_from(["label", "object", "text", "score", "id", "points", "kind", "a.b", "a", "é"]),
    LEAF | st.dictionaries(st.sampled_from(["label", "b", "x"]), LEAF, max_size=3),
    max_size=6,
)


@given(st.lists(st.lists(OBJECTS, max_size=5), min_size=1, max_size=4))
def test_elements_opened_at_once_give_the_rows_that_each_gives_alone(lists: list[list[Any]]) -> None:
    learned, _ = flatten.walker(RULES)
    for items in [*lists, *lists]:
        body = json.dumps({"items": items}, separators=(",", ":")).encode()
        together = [row for block in learned("acme", "7", body) for row in block.rows()]
        alone = [
            row
            for item in items
            for row in flatten.compiled(RULES)("acme", "7", json.dumps({"items": [item, 5]}).encode())
            if row.get("value") != b"5"
        ]
        assert together == alone or not items


MEMBERS = RowRules(
    kinds=(
        Rows(
            each=("items[].frames.*",),
            kind="frame",
            member="frame",
            columns={"label": ("label", "items.label")},
            copies={"item_id": ("id", "items.id"), "x_min": ("min(points[].x)",)},
        ),
    )
)
FRAMES = st.dictionaries(st.text(max_size=2), OBJECTS | LEAF, max_size=4)


@given(
    st.lists(st.fixed_dictionaries({"frames": FRAMES}, optional={"id": LEAF, "label": LEAF, "frame": LEAF}), max_size=3)
)
def test_members_opened_at_once_give_the_rows_that_each_gives_alone(items: list[Any]) -> None:
    body = json.dumps({"items": items}, separators=(",", ":")).encode()
    learned, _ = flatten.walker(MEMBERS)
    together = [[row for block in learned("acme", "7", body) for row in block.rows()] for _ in range(2)]
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(Shape, "opened", lambda *_: None)
        alone = list(flatten.compiled(MEMBERS)("acme", "7", body))
    assert together == [alone, alone]


def test_like_members_are_opened_at_once() -> None:
    frames = ",".join(f'"{number}":{{"id":{number},"points":[{{"x":{number}}}]}}' for number in range(5))
    [block] = blocks(sent(f'{{"frames":{{{frames}}}}}'), rules=MEMBERS)
    assert [(row["frame"], row["x_min"]) for row in block.rows()] == [(b'"%d"' % n, b"%d" % n) for n in range(5)]


def test_like_elements_are_opened_at_once() -> None:
    bodies = [sent('{"text":"a","score":1},{"text":"b","score":2},{"text":"c"}')] * 3
    assert [block.count for block in blocks(*bodies)] == [3, 3, 3]


@pytest.mark.parametrize(
    "odd",
    [
        '{"text":"a","new":1}',
        '{"text":"a","score":null}',
        '{"text":{"a":1},"score":1}',
        '{"text":"a", "score":1}',
        '{"t\\u0065xt":"a","score":1}',
        "5",
        "null",
        "{}",
        '{"text":"a","score":{}}',
        '{"score":1,"text":"a"}',
    ],
)
def test_an_odd_element_among_like_ones_loses_nothing(odd: str) -> None:
    like = '{"text":"b","score":1}'
    walk, _ = flatten.walker(RULES)
    list(walk("acme", "7", sent(f"{like},{like}")))
    found = [row for block in walk("acme", "7", sent(f"{like},{odd},{like}")) for row in block.rows()]
    assert found == list(flatten.compiled(RULES)("acme", "7", sent(f"{like},{odd},{like}")))
    alone = [] if odd == "null" else list(flatten.compiled(RULES)("acme", "7", sent(f"{odd},7")))[:1]
    assert found[1:-1] == alone


# --- hostile values ---


@pytest.mark.parametrize("shape", ["csv", "parquet", "sqlite"])
@pytest.mark.parametrize("alike", [1, 3])
def test_any_text_arrives_as_it_was_sent(shape: str, alike: int, written: Callable[..., Path]) -> None:
    bodies = [sent(",".join([json.dumps({"text": text, f"n {text}": 1})] * alike)) for text in HOSTILE]
    path = written(shape, blocks(*bodies, *bodies))
    assert column(path, "text") == [text for text in HOSTILE for _ in range(alike)] * 2


@pytest.mark.parametrize("shape", ["csv", "parquet", "sqlite"])
@pytest.mark.parametrize("number", NUMBERS)
def test_any_number_arrives_as_it_was_sent(shape: str, number: str, written: Callable[..., Path]) -> None:
    found = column(written(shape, blocks(sent(f'{{"own":{number},"score":{number}}},{{"own":{number}}}'))), "own")
    assert len(found) == 2
    for value in found:
        assert value == number if isinstance(value, str) else Decimal(repr(value)) == Decimal(number)


@pytest.mark.parametrize("number", ["9223372036854775808", "1e400", "0.1234567890123456789", "-0"])
def test_a_number_that_no_type_holds_is_text_or_a_double_that_holds_it(
    number: str, written: Callable[..., Path]
) -> None:
    path = written("parquet", blocks(sent(f'{{"own":{number}}}'), sent('{"own":1}')))
    found = column(path, "own")
    assert found == [number, "1"] if number != "-0" else str(found[0]) == "-0.0"


def test_a_text_in_a_column_of_numbers_makes_it_text_and_changes_none(written: Callable[..., Path]) -> None:
    source = blocks(sent('{"score":0.50}'), sent('{"score":"high"}'))
    assert column(written("parquet", source), "score") == ["0.50", "high"]
    assert column(written("sqlite", source), "score") == ["0.50", "high"]


def test_empty_and_null_differ_where_the_format_can_tell(written: Callable[..., Path]) -> None:
    source = blocks(sent('{"own":""},{"own":null},{"a":1}'))
    assert column(written("parquet", source), "own") == ["", None, None]
    assert column(written("sqlite", source), "own") == ["", None, None]
    lines = [json.loads(line) for line in written("ndjson", source).read_text().splitlines()]
    assert [line.get("own", "absent") for line in lines] == ["", None, "absent"]


@pytest.mark.parametrize("shape", ["csv", "parquet", "sqlite"])
def test_half_of_a_surrogate_pair_is_an_error_that_names_job_and_column(
    shape: str, written: Callable[..., Path]
) -> None:
    half = b'"a\\ud800b"'
    for block in (
        Block(1, {"own": half, "job_id": b'"1"'}),
        Block(2, {"job_id": b'"1"'}, {"own": Column.of([half] * 2)}),
    ):
        with pytest.raises(BadReply, match=r"job 1, column 'own': holds half of a surrogate pair"):
            written(shape, [block])


@pytest.mark.parametrize(
    ("body", "said"),
    [
        (b'{"items":[{"a":1,"a":2}]}', "the key 'a' stands twice"),
        (b'{"items":[{"a":{"b":1,"b":2}},{"a":{"b":1}}]}', "the key 'b' stands twice"),
        (b'{"items":[],"items":[1]}', "the key 'items' stands twice"),
        (b'{"items":[{"a":NaN}]}', "not JSON"),
        (b'{"items":[{"\\ud800":1}]}', "not JSON"),
        (b'{"items":' + b'[{"a":' * 100_000, "deeply"),
    ],
    ids=["twice", "twice within", "twice at the top", "NaN", "half a key", "deep"],
)
def test_what_cannot_be_told_is_an_error_that_names_the_job(body: bytes, said: str) -> None:
    with pytest.raises(BadReply, match=r"acme job 1: .*" + said):
        blocks(sent('{"a":1},{"a":1}'), body)


def test_a_key_that_stands_twice_among_like_elements_is_found() -> None:
    like = '{"a":1,"b":2}'
    with pytest.raises(BadReply, match="the key 'a' stands twice"):
        blocks(sent(f"{like},{like}"), sent(f'{like},{{"a":1,"a":3,"b":2}},{like}'))


def test_two_hundred_levels_are_one_dotted_name_or_one_cell(written: Callable[..., Path]) -> None:
    deep = '{"a":' * 200 + "1" + "}" * 200
    lists = "[" * 200 + "1" + "]" * 200
    [line] = lines_of(written("csv", blocks(sent(f'{{"d":{deep},"l":{lists}}}'))))
    assert line["d" + ".a" * 200] == "1"
    assert line["l"] == lists


@pytest.mark.parametrize("shape", ["csv", "parquet"])
def test_ten_thousand_columns_are_ten_thousand_columns(shape: str, written: Callable[..., Path]) -> None:
    body = sent(json.dumps({f"c{number}": number for number in range(10_000)}))
    assert column(written(shape, blocks(body)), "c9999") in ([9999], ["9999"])


def test_more_columns_than_sqlite_holds_are_an_error_that_says_what_to_do(written: Callable[..., Path]) -> None:
    source = blocks(sent(json.dumps({f"c{number}": number for number in range(2000)})))
    with pytest.raises(UsageError, match="sqlite holds 2000 columns, and this table has 2012"):
        written("sqlite", source)
    assert column(written("sqlite", source, columns=("c7",)), "c7") == [7]


def test_columns_that_differ_in_case_alone_are_both_in_sqlite(written: Callable[..., Path]) -> None:
    path = written("sqlite", blocks(sent('{"Text":1,"TEXT":2,"text":"t"}')))
    with sqlite3.connect(path) as database:
        found = database.execute("SELECT * FROM rows")
        assert {1, 2, "t"} <= set(found.fetchone())


def test_a_column_that_comes_late_is_in_every_line(
    monkeypatch: pytest.MonkeyPatch, written: Callable[..., Path]
) -> None:
    monkeypatch.setattr(tables, "LOOKED_AT", 3)
    source = blocks(*[sent(f'{{"a":{number}}}') for number in range(10)], sent('{"b":1}'), sent('{"a":2}'))
    path = written("csv", source)
    assert [*lines_of(path)[0]] == [*COMMON_COLUMNS, "a", "b"]
    assert column(path, "b") == [""] * 10 + ["1", ""]
    monkeypatch.undo()
    assert path.read_bytes() == written("csv", source).read_bytes()


LATE = ["1", "0.5", '"abc"', "true", "null", "[1]", "1e400", "9223372036854775808", "12345678901234567"]


@pytest.mark.parametrize("shape", ["csv", "ndjson", "parquet", "sqlite"])
@pytest.mark.parametrize("first", LATE)
def test_a_value_of_another_kind_that_comes_late_is_written_like_one_that_comes_early(
    first: str, shape: str, monkeypatch: pytest.MonkeyPatch, written: Callable[..., Path]
) -> None:
    for late in LATE:
        source = blocks(*[sent(f'{{"own":{token},"score":{token}}}') for token in (first, first, late)])
        early = written(shape, source).read_bytes()
        with monkeypatch.context() as patch:
            patch.setattr(tables, "LOOKED_AT", 1)
            patch.setattr("jobfetch.blocks._MANY", 1)
            assert written(shape, source).read_bytes() == early, (first, late)


@pytest.mark.parametrize("wide", ["12345678901234567", "-9223372036854775807"])
def test_an_integer_that_no_double_holds_is_not_made_one(wide: str, written: Callable[..., Path]) -> None:
    source = blocks(sent(f'{{"own":{wide},"score":{wide}}}'), sent('{"own":0.5,"score":1}'))
    for shape in ("parquet", "sqlite"):
        assert column(written(shape, source), "own") == [wide, "0.5"]
        assert column(written(shape, source), "score") == [wide, "1"]
    alone = blocks(sent(f'{{"own":{wide}}}'), sent('{"own":1}'))
    assert column(written("parquet", alone), "own") == [int(wide), 1]


@pytest.mark.parametrize("shape", ["csv", "parquet", "sqlite"])
@pytest.mark.parametrize("nested", ['[""]', '["a"]', '{"b":""}', "[[],[]]"])
def test_a_list_among_texts_stays_a_list(shape: str, nested: str, written: Callable[..., Path]) -> None:
    tokens = [b'"x"', nested.encode(), b'"y"']
    source = [Block(3, {}, {"own": Column.of(tokens)})]
    assert column(written(shape, source), "own") == ["x", nested, "y"]


# --- what is asked for ---


def test_formulas_are_neutralised_where_that_is_asked_for_and_numbers_are_not(written: Callable[..., Path]) -> None:
    texts = ["=1+1", "+1", "-1", "@SUM(A1)", "\t=1", "a=1"]
    source = blocks(*[sent(json.dumps({"text": text, "own": -1})) for text in texts])
    items = ",".join(json.dumps({"text": text, "own": -1}, separators=(",", ":")) for text in texts)
    together = blocks(sent(items))
    assert [block.count for block in together] == [len(texts)]
    for made in (source, together):
        path = written("csv", made, csv_safe=True)
        assert column(path, "text") == ["'=1+1", "'+1", "'-1", "'@SUM(A1)", "'\t=1", "a=1"]
        assert set(column(path, "own")) == {"-1"}
        assert column(written("csv", made), "text") == texts


def test_a_name_that_is_a_formula_is_neutralised_as_well(written: Callable[..., Path]) -> None:
    path = written("csv", blocks(sent('{"=cmd()|x":1}')), csv_safe=True)
    assert path.read_text().splitlines()[0].endswith(",'=cmd()|x")


def test_columns_are_those_that_were_chosen_in_their_order(written: Callable[..., Path]) -> None:
    source = blocks(sent('{"a":1,"text":"t"},{"b":2}'))
    assert [[*line.items()] for line in lines_of(written("csv", source, columns=("text", "a")))] == [
        [("text", "t"), ("a", "1")],
        [("text", ""), ("a", "")],
    ]
    lines = written("ndjson", source, columns=("a", "text")).read_text().splitlines()
    assert lines == ['{"a":1,"text":"t"}', '{"text":null}']


def test_a_row_of_one_empty_cell_is_a_line_that_readers_see(written: Callable[..., Path]) -> None:
    source = blocks(sent('{"a":1},{"b":2},{"b":3}'), sent('{"b":1},{"b":2}'))
    assert column(written("csv", source, columns=("a",)), "a") == ["1", "", "", "", ""]


@pytest.mark.parametrize("delimiter", [";", "|", "\t", ":"])
def test_another_delimiter_separates_and_is_quoted(delimiter: str, written: Callable[..., Path]) -> None:
    source = blocks(*[sent('{"text":"a;b|c\\td:e"},{"text":"x"},{"text":"y, z"}')] * 2)
    lines = lines_of(written("csv", source, delimiter=delimiter), delimiter)
    assert [line["text"] for line in lines] == ["a;b|c\td:e", "x", "y, z"] * 2


@pytest.mark.parametrize("said", ["", "ab", '"', "\n", "1", "x", ".", "-"])
def test_what_cannot_stand_between_cells_is_refused(said: str) -> None:
    if said:
        with pytest.raises(UsageError, match="cannot stand between cells"):
            table_for(Path("x.csv"), delimiter=said)


@pytest.mark.parametrize(
    ("name", "shape", "packing", "delimiter"),
    [
        ("x.csv", "csv", "", ","),
        ("x.tsv", "csv", "", "\t"),
        ("x.CSV.gz", "csv", "gz", ","),
        ("x.jsonl.zst", "ndjson", "zst", ","),
        ("x.parquet", "parquet", "", ","),
        ("x.db", "sqlite", "", ","),
        ("a.b.json", "json", "", ","),
    ],
)
def test_a_files_name_tells_its_format(name: str, shape: str, packing: str, delimiter: str) -> None:
    assert table_for(Path(name)) == Table(format=Format(shape), packing=packing, delimiter=delimiter)


@pytest.mark.parametrize(
    ("name", "options"),
    [("x", {}), ("x.txt", {}), ("x.parquet.gz", {}), ("x.ndjson", {"delimiter": ";"}), ("x.db", {"csv_safe": True})],
)
def test_what_no_table_can_be_is_a_usage_error(name: str, options: dict[str, Any]) -> None:
    with pytest.raises(UsageError):
        table_for(Path(name), **options)


@pytest.mark.parametrize("module", ["pyarrow", "zstandard"])
def test_an_extra_that_is_missing_is_named(
    module: str, monkeypatch: pytest.MonkeyPatch, written: Callable[..., Path]
) -> None:
    def missing(name: str) -> Any:
        raise ImportError(name)

    monkeypatch.setattr(parquet, "find_spec", lambda _: None)
    monkeypatch.setattr(packing, "import_module", missing)
    shape, packed, extra = ("parquet", "", "parquet") if module == "pyarrow" else ("csv", "zst", "zstd")
    with pytest.raises(UsageError) as caught:
        written(shape, [], packing=packed)
    assert f"pipx install --force '.[{extra}]'" in (caught.value.hint or "")


def test_the_schema_tells_columns_types_and_values() -> None:
    survey = write_table(
        Table(format=Format.NDJSON), Held(blocks(sent('{"a":1,"b":[1],"c":true},{"a":2.5}'))), io.BytesIO()
    )
    told = json.loads(schema_of(Table(format=Format.NDJSON), survey))
    by_name = {each["name"]: each for each in told["columns"]}
    assert (told["schema"], told["rows"]) == ("jobfetch.table/1", 2)
    assert [*by_name] == [*COMMON_COLUMNS, "a", "b", "c"]
    assert {name: by_name[name]["type"] for name in "abc"} == {"a": "double", "b": "json", "c": "boolean"}
    assert by_name["a"]["values"] == ["number"]


# --- however rows come, the same table ---

VALUES: st.SearchStrategy[Any] = (
    st.none()
    | st.booleans()
    | st.integers(-(2**70), 2**70)
    | st.floats(allow_nan=False, allow_infinity=False)
    | st.text(max_size=5)
    | st.sampled_from([*HOSTILE, "", "null", "-1", "[1]", "{}", "a,b", "x" * 300, "\\", '"'])
    | st.sampled_from([[], {}, [1], ["a"], [None], [{"a": 1}]])
)
TABLES = st.lists(st.dictionaries(st.sampled_from(["own", "text", "score", "page"]), VALUES), min_size=1, max_size=12)


def told(rows: list[dict[str, Any]], *, escaped: bool) -> list[dict[str, bytes]]:
    """Each value as its JSON token."""
    return [
        {name: json.dumps(value, ensure_ascii=escaped, separators=(",", ":")).encode() for name, value in row.items()}
        for row in rows
    ]


def one_by_one(rows: list[dict[str, bytes]]) -> list[Block]:
    return [Block(1, row) for row in rows]


def at_once(rows: list[dict[str, bytes]]) -> list[Block]:
    names = {name for row in rows for name in row}
    return [Block(len(rows), {}, {name: Column.of([row.get(name, b"") for row in rows]) for name in names})]


def several_times(rows: list[dict[str, bytes]]) -> list[Block]:
    names = {name for row in rows for name in row}
    times = [len([*same]) for _, same in groupby(rows)]
    few = [next(same) for _, same in groupby(rows)]
    return [Block(len(rows), {}, {name: Column.spread([row.get(name, b"") for row in few], times) for name in names})]


TOKENS = st.lists(
    st.one_of(
        st.sampled_from(
            [each.encode() for each in [*NUMBERS, "7", "0.5", "9007199254740993", "null", '"a"', "[]", ""]]
        ),
        st.from_regex(rb"-?(0|[1-9][0-9]{0,24})(\.[0-9]{1,22})?(e-?[0-9]{1,3})?", fullmatch=True),
    ),
    min_size=1,
    max_size=8,
)


@pytest.mark.parametrize("shape", ["csv", "parquet"])
@given(TOKENS)
def test_a_schema_says_the_same_however_rows_come(shape: str, tokens: list[bytes]) -> None:
    rows = [{"own": token} if token else {} for token in tokens]
    said = []
    for made in (one_by_one(rows), at_once(rows), [each for part in (rows[:3], rows[3:]) for each in at_once(part)]):
        survey = Survey(exact=shape == "parquet")
        for block in made:
            survey.add(block)
        said.append(schema_of(Table(format=Format(shape)), survey))
    assert said[0] == said[1] == said[2]


@given(TABLES, st.booleans(), st.integers(1, 5))
def test_rows_give_the_same_table_one_by_one_at_once_and_several_times(
    values: list[dict[str, Any]], escaped: bool, times: int
) -> None:
    rows = [row for row in told(values, escaped=escaped) for _ in range(times)]
    for shape in ("csv", "ndjson", "parquet", "sqlite"):
        found = []
        for made in (one_by_one(rows), at_once(rows), several_times(rows)):
            file = io.BytesIO()
            write_table(Table(format=Format(shape)), Held(made), file)
            found.append(file.getvalue())
        if shape == "parquet":
            found = [pyarrow.parquet.read_table(io.BytesIO(each)).to_pylist() for each in found]
        assert found[0] == found[1] == found[2], shape


@given(TABLES, st.booleans())
def test_any_value_is_in_its_cell_in_every_format(values: list[dict[str, Any]], escaped: bool) -> None:
    rows = told(values, escaped=escaped)
    for made in (one_by_one(rows), at_once(rows)):
        file = io.BytesIO()
        write_table(Table(format=Format.CSV), Held(made), file)
        cells = list(csv.DictReader(io.StringIO(file.getvalue().decode(), newline=""), strict=True))
        file = io.BytesIO()
        write_table(Table(format=Format.PARQUET), Held(made), file)
        typed = pyarrow.parquet.read_table(file).to_pylist()
        for value, token, cell, held in zip(values, rows, cells, typed, strict=True):
            for name, raw in token.items():
                assert cell[name] == (
                    value[name] if isinstance(value[name], str) else "" if raw == b"null" else raw.decode()
                )
                assert (
                    held[name] == value[name]
                    if isinstance(held[name], type(value[name]))
                    else same_number(held[name], raw)
                )
            assert all(held[name] is None for name in held.keys() - token.keys())


def same_number(held: Any, raw: bytes) -> bool:
    """Whether text or a number gives back what was sent."""
    return held == raw.decode() if isinstance(held, str) else Decimal(repr(held)) == Decimal(raw.decode())
