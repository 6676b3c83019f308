"""Rows of a result: one for each smallest thing, and nothing that the service sent is lost."""

import csv
import io
import json
from collections.abc import Sequence
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from jobfetch import flatten
from jobfetch.blocks import Held, blocks
from jobfetch.errors import BadReply
from jobfetch.export import Table, write_table
from jobfetch.model import Format
from jobfetch.spec import COMMON_COLUMNS, RowRules, Rows

RULES = RowRules(
    kinds=(
        Rows(
            each=("items[].found.*[]",),
            columns={"label": ("label", "object.label"), "score": ("confidence",), "x_min": ("box.x",)},
            copies={"item_id": ("items.id",)},
        ),
        Rows(each=("failed[].items[]",), kind="failed_item", empty="failed_item", columns={"text": ("failed.why",)}),
    ),
    left_out={"job.status": "in the record", "job.parameters": "in the record"},
)
FRAMES = RowRules(
    kinds=(
        Rows(each=("annotations[].frames.*",), kind="frame", member="frame_id", empty="annotation"),
        Rows(each=("annotations[]", "data.annotations[]"), kind="annotation", empty="result"),
    ),
    top="result",
)


def written(shape: Format, rows: Sequence[dict[str, bytes]]) -> bytes:
    file = io.BytesIO()
    write_table(Table(format=shape), Held(list(blocks(rows))), file)
    return file.getvalue()


def tokens_of(body: bytes, rules: RowRules = RULES) -> list[dict[str, bytes]]:
    return list(flatten.compiled(rules)("acme", "7", body))


def rows_of(body: Any, rules: RowRules = RULES) -> list[dict[str, Any]]:
    """The rows of a result, values as Python objects and without the two columns that are always the same."""
    rows = [{k: json.loads(v) for k, v in row.items()} for row in tokens_of(json.dumps(body).encode(), rules)]
    assert all((row.pop("provider"), row.pop("job_id")) == ("acme", "7") for row in rows)
    return rows


def found(**families: Any) -> dict[str, Any]:
    return {"items": [{"id": 1, "found": families}]}


# --- which rows ---


def test_every_smallest_thing_is_a_row_with_what_stands_above_it() -> None:
    body = {
        "status": "Done",
        "items": [
            {"id": 1, "found": {"texts": [{"label": "a", "confidence": 0.5}, {"label": "b"}]}},
            {"id": 2, "found": {"people": [{"label": "c"}]}},
        ],
    }
    assert rows_of(body) == [
        {"kind": "texts", "item_id": 1, "label": "a", "score": 0.5, "items.id": 1},
        {"kind": "texts", "item_id": 1, "label": "b", "items.id": 1},
        {"kind": "people", "item_id": 2, "label": "c", "items.id": 2},
    ]


def test_a_family_that_nobody_knows_gives_rows_under_its_own_name() -> None:
    assert rows_of(found(novelties=[{"glow": {"hue": 3}}])) == [
        {"kind": "novelties", "item_id": 1, "glow.hue": 3, "items.id": 1}
    ]


def test_an_item_without_anything_found_is_a_row_all_the_same() -> None:
    empty: list[dict[str, Any]] = [{}, {"found": {}}, {"found": None}, {"found": {"texts": []}}]
    for nothing in empty:
        assert rows_of({"items": [{"id": 1, **nothing}]}) == [{"kind": "item", "item_id": 1, "items.id": 1}]


def test_a_failed_item_is_a_row() -> None:
    body = {"items": [], "failed": [{"why": "no", "items": [{"id": 5}]}]}
    assert rows_of(body) == [{"kind": "failed_item", "text": "no", "id": 5}]


def test_failures_without_items_are_a_row() -> None:
    assert rows_of({"failed": [{"why": "no", "items": []}]}) == [{"kind": "failed_item", "text": "no"}]


def test_what_stands_at_the_top_is_carried_into_every_row() -> None:
    body = found(texts=[{"label": "a"}]) | {"new": {"deep": [1, 2]}, "status": "Done", "parameters": {"t": 1}}
    [row] = rows_of(body)
    assert row["job.new.deep"] == [1, 2]
    assert not [name for name in row if "status" in name or "parameters" in name]


def test_what_stands_at_the_top_is_kept_where_nothing_else_is_found() -> None:
    rows = rows_of({"items": [], "new": {"deep": 1}})
    assert [row.get("job.new.deep") for row in rows] == [1]


def test_a_result_without_anything_gives_no_row() -> None:
    assert rows_of({"status": "Done", "items": []}) == []


def test_a_result_that_no_rule_fits_is_one_row_of_its_own_fields() -> None:
    assert rows_of({"a": {"b": 1}, "status": "Done"}) == [{"kind": "job", "a.b": 1}]


def test_a_list_that_no_rule_fits_is_a_row_an_element() -> None:
    assert rows_of([{"a": 1}, 2, None]) == [
        {"kind": "job", "a": 1},
        {"kind": "job", "value": 2},
        {"kind": "job", "value": None},
    ]


def test_every_member_gives_a_row_that_keeps_its_name() -> None:
    body = {"annotations": [{"_id": "a", "frames": {"001": {"x": 1}, "002": {"x": 2}}}]}
    assert [(row["kind"], row["frame_id"], row["x"]) for row in rows_of(body, FRAMES)] == [
        ("frame", "001", 1),
        ("frame", "002", 2),
    ]


def test_nothing_is_walked_twice() -> None:
    body = {"annotations": [{"_id": "a", "frames": {"001": {"x": 1}}}]}
    assert len(rows_of(body, FRAMES)) == 1


def test_the_first_path_that_is_there_is_walked() -> None:
    assert rows_of({"data": {"annotations": [{"a": 1}]}}, FRAMES) == [{"kind": "annotation", "a": 1}]


# --- odd shapes ---


@pytest.mark.parametrize(
    ("body", "lost"),
    [
        ({"items": "text-77"}, "text-77"),
        ({"items": 77}, 77),
        ({"items": ["text-77"]}, "text-77"),
        ({"items": [["text-77"]]}, ["text-77"]),
        ({"items": {"id": 77}}, 77),
        ({"items": {"found": {"texts": [{"a": 77}]}}}, 77),
        ({"items": [{"found": "text-77"}]}, "text-77"),
        ({"items": [{"found": [77]}]}, [77]),
        ({"items": [{"found": {"texts": "text-77"}}]}, "text-77"),
        ({"items": [{"found": {"texts": {"a": 77}}}]}, 77),
        ({"items": [{"found": {"texts": ["text-77"]}}]}, "text-77"),
        ({"items": [{"found": {"texts": [["text-77"]]}}]}, ["text-77"]),
        ({"failed": "text-77"}, "text-77"),
        ({"failed": [{"items": 77}]}, 77),
        ({"failed": [{"items": [77]}]}, 77),
        ({"items": [None, {"id": 77}]}, 77),
    ],
)
def test_a_scalar_or_list_in_place_of_an_object_is_kept(body: dict[str, Any], lost: Any) -> None:
    assert lost in [value for row in rows_of(body) for value in row.values()]


@pytest.mark.parametrize("body", [{"items": None}, {"items": [None]}, {"items": [{"found": {"texts": [None]}}]}])
def test_null_breaks_nothing(body: dict[str, Any]) -> None:
    assert all(row["kind"] == "item" for row in rows_of(body))


def test_an_empty_object_is_a_cell() -> None:
    assert rows_of(found(texts=[{"attributes": {}}]))[0]["attributes"] == {}


def test_a_list_stays_compact_json_in_its_cell() -> None:
    [row] = tokens_of(b'{"items": [{"found": {"t": [{"points": [ {"x": 0.10}, 1E5 ]}]}}]}')
    assert row["points"] == b'[{"x":0.10},1E5]'


@pytest.mark.parametrize("body", [b'{"items": [{"found": {"t": [{"a": "\\ud800 and more text"}]}}]}', b"{", b"nope"])
def test_a_result_that_nobody_can_read_is_a_bad_reply(body: bytes) -> None:
    def table() -> None:
        written(Format.CSV, tokens_of(body))

    with pytest.raises(BadReply):
        table()


# --- columns ---


def test_a_field_that_goes_into_a_common_column_is_moved() -> None:
    assert rows_of(found(t=[{"label": "a"}])) == [{"kind": "t", "item_id": 1, "label": "a", "items.id": 1}]


def test_of_two_fields_for_one_column_the_first_that_is_filled_goes_and_the_other_stays() -> None:
    [row] = rows_of(found(t=[{"label": None, "object": {"label": "b"}}]))
    assert row["label"] == "b"
    [row] = rows_of(found(t=[{"label": "a", "object": {"label": "b"}}]))
    assert (row["label"], row["object.label"]) == ("a", "b")


@pytest.mark.parametrize("name", [*COMMON_COLUMNS, "value", "items.id"])
def test_a_field_with_the_name_of_a_column_overwrites_nothing(name: str) -> None:
    [row] = tokens_of(json.dumps(found(t=[{"label": "a", name: "mine-77"}])).encode())
    assert b'"mine-77"' in row.values()
    assert row["provider"] == b'"acme"'
    assert row["job_id"] == b'"7"'
    assert row["kind"] == b'"t"'
    assert b"1" in row.values()


@pytest.mark.parametrize(
    "fields",
    [
        {"kind": 71, "kind~": 72, "kind~~": 73},
        {"a.b": 71, "a": {"b": 72}},
        {"": {"a": 71}, "a": 72},
        {"": 71, "x": {"": 72}, "x.": 73},
        {"provider": 71, "provider~": 72},
    ],
    ids=["marks", "dots", "empty name", "empty names", "provider"],
)
@pytest.mark.parametrize("shape", ["element", "parent", "top", "unruled"])
def test_fields_whose_names_collide_are_all_kept(fields: dict[str, Any], shape: str) -> None:
    bodies: dict[str, Any] = {
        "element": {"items": [{"found": {"t": [fields]}}]},
        "parent": {"items": [{**fields, "found": {"t": [{"label": "a"}]}}]},
        "top": {**fields, "items": [{"found": {"t": [{"label": "a"}]}}]},
        "unruled": fields,
    }
    values = {value for row in rows_of(bodies[shape]) for value in row.values() if isinstance(value, int)}
    assert {71, 72} <= values


LEAF = st.integers(1000, 9999) | st.text(st.characters(codec="utf-8"), min_size=5)
NAMES = st.sampled_from(["", "a", "b", "a.b", "id", "kind", "label", "found", "items", "items.id", "value", "value~"])
OBJECTS = st.recursive(
    LEAF, lambda inner: st.lists(inner, max_size=3) | st.dictionaries(NAMES, inner, max_size=4), max_leaves=10
)


def leaves(value: Any) -> list[Any]:
    if isinstance(value, dict):
        return [leaf for member in value.values() for leaf in leaves(member)]
    if isinstance(value, list):
        return [leaf for element in value for leaf in leaves(element)]
    return [value]


@given(
    st.fixed_dictionaries(
        {"items": st.lists(st.fixed_dictionaries({"id": LEAF, "found": st.dictionaries(NAMES, OBJECTS)}), min_size=1)},
        optional={"failed": OBJECTS, "new": OBJECTS},
    )
)
def test_nothing_that_was_sent_is_lost(body: dict[str, Any]) -> None:
    kept = {json.dumps(leaf) for row in rows_of(body) for value in row.values() for leaf in leaves(value)}
    assert {json.dumps(leaf) for leaf in leaves(body)} <= kept


# --- tables ---

NASTY = [
    "",
    "a,b",
    'say "hi"',
    "two\nlines",
    "cr\rhere",
    "crlf\r\n",
    "tab\t",
    "nul\x00",
    " blank ",
    "=1+1",
    "é😀",
    "\ufeff",
    "null",
]


def csv_of(rows: Sequence[dict[str, Any]]) -> tuple[list[str], list[dict[str, str]]]:
    """Rows written and read back with the standard reader."""
    table = written(Format.CSV, [{k: json.dumps(v).encode() for k, v in row.items()} for row in rows])
    reader = csv.DictReader(io.StringIO(table.decode(), newline=""), strict=True)
    lines = list(reader)
    return list(reader.fieldnames or []), lines


def test_the_common_columns_come_first_and_the_others_by_name() -> None:
    header, _ = csv_of([{"b": 1, "kind": "k", "a.b": 2}, {"Z": 3}])
    assert header == [*COMMON_COLUMNS, "Z", "a.b", "b"]


def test_a_table_without_rows_has_its_header() -> None:
    assert csv_of([]) == (list(COMMON_COLUMNS), [])


def test_null_and_absent_are_empty_cells() -> None:
    _, [line, _] = csv_of([{"kind": "k", "a": None}, {"a": 1}])
    assert (line["a"], line["label"]) == ("", "")


@pytest.mark.parametrize("value", NASTY)
def test_any_cell_is_read_back_as_it_was(value: str) -> None:
    _, [line] = csv_of([{"text": value, f"name {value}": value}])
    assert line["text"] == value
    assert line[f"name {value}"] == value


@given(st.lists(st.text(st.characters(codec="utf-8")), min_size=1))
def test_any_table_is_read_back_as_it_was(cells: list[str]) -> None:
    _, lines = csv_of([{"text": cell, "label": "x"} for cell in cells])
    assert [line["text"] for line in lines] == cells


@pytest.mark.parametrize("number", ["9007199254740993", "0.10", "1E5", "1e400", "-0.0", "1" * 30])
def test_a_number_stays_as_written_in_a_table(number: str) -> None:
    table = written(Format.CSV, [{"score": number.encode()}])
    [line] = csv.DictReader(io.StringIO(table.decode()))
    assert line["score"] == number


def test_many_rows_are_one_table() -> None:
    header, lines = csv_of([{"text": str(number), "extra": number} for number in range(2500)])
    assert header[-1] == "extra"
    assert [line["extra"] for line in lines] == [str(number) for number in range(2500)]


# --- the whole result as one row, elements of lists, parts and views ---

WHOLE = RowRules(
    kinds=(Rows(each=("$",), kind="record", columns={"label": ("type",), "text": ("found.title",)}),),
    left_out={"job.secret": "in the record"},
)
BOXES = RowRules(
    kinds=(Rows(each=("items[]",), kind="box", copies={"x_min": ("box[0]",), "y_max": ("box[3]", "top[0]")}),)
)


def test_the_whole_result_may_be_one_row() -> None:
    body = {"type": "t", "found": {"title": "x", "price": 1, "tags": [1]}, "n": None}
    assert rows_of(body, WHOLE) == [
        {"kind": "record", "label": "t", "text": "x", "found.price": 1, "found.tags": [1], "n": None}
    ]


def test_what_is_left_out_is_left_out_of_the_whole() -> None:
    assert rows_of({"secret": {"a": 1}, "secretary": 2}, WHOLE) == [{"kind": "record", "secretary": 2}]


def test_an_element_of_a_list_may_fill_a_column_and_stays_in_the_list() -> None:
    [row] = rows_of({"items": [{"box": [0, 2.50, 3, 4]}]}, BOXES)
    assert row == {"kind": "box", "x_min": 0, "y_max": 4, "box": [0, 2.5, 3, 4]}


@pytest.mark.parametrize("box", [[], None, 7, "abc", {"0": 1}, [None], [""]])
def test_an_element_that_is_not_there_fills_nothing(box: Any) -> None:
    [row] = rows_of({"items": [{"box": box, "id": 1}]}, BOXES)
    assert "x_min" not in row


@pytest.mark.parametrize("more", [[], [{"box": [1, 2, 3, 4], "top": [9]}]])
def test_of_two_elements_for_one_column_the_first_that_is_filled_counts(more: list[Any]) -> None:
    *_, row = rows_of({"items": [*more, {"box": [1, 2], "top": [9]}]}, BOXES)
    assert (row["x_min"], row["y_max"]) == (1, 9)


def test_a_number_in_a_list_stays_as_written() -> None:
    [row] = tokens_of(b'{"items":[{"box":[9007199254740993,0,0,0.10]}]}', BOXES)
    assert (row["x_min"], row["y_max"]) == (b"9007199254740993", b"0.10")


def test_every_part_is_a_row() -> None:
    rules = RowRules(kinds=(), parts=Rows(each=("$",), kind="chunk", columns={"text": ("text",)}))
    rows = list(flatten.part_rows(rules, "acme", "7", [b'{"text":"a","n":0.10}', b'{"text":"b"}']))
    assert rows == [
        {"provider": b'"acme"', "job_id": b'"7"', "kind": b'"chunk"', "text": b'"a"', "n": b"0.10"},
        {"provider": b'"acme"', "job_id": b'"7"', "kind": b'"chunk"', "text": b'"b"'},
    ]


def test_parts_without_a_rule_are_rows_of_their_own_fields() -> None:
    [row] = flatten.part_rows(RowRules(kinds=()), "acme", "7", [b'{"a":{"b":1}}'])
    assert row == {"provider": b'"acme"', "job_id": b'"7"', "kind": b'"part"', "a.b": b"1"}


def test_another_view_names_the_job_in_every_row() -> None:
    rules = RowRules(kinds=(), named={"words": lambda result: iter([{"text": result}])})
    assert list(flatten.view(rules, "words", "acme", "7", b"1")) == [
        {"provider": b'"acme"', "job_id": b'"7"', "text": b"1"}
    ]


def ndjson_of(rows: list[dict[str, bytes]]) -> list[str]:
    return written(Format.NDJSON, rows).decode().splitlines()


def test_a_line_has_the_common_columns_always_and_its_own_by_name() -> None:
    [line] = ndjson_of([{"b": b"1", "kind": b'"k"', "a": b"2"}])
    assert list(json.loads(line)) == [*COMMON_COLUMNS, "a", "b"]


def test_a_column_of_another_row_stays_absent() -> None:
    first, second = ndjson_of([{"a": b"1"}, {"b": b"2"}])
    assert "b" not in json.loads(first)
    assert "a" not in json.loads(second)


@pytest.mark.parametrize(
    "token", ["9007199254740993", "0.10", "1E5", "1e400", '"\\u00e9\\/"', '[1,{"a":0.10}]', "null"]
)
def test_a_token_is_copied_into_a_line(token: str) -> None:
    [line] = ndjson_of([{"a": token.encode()}])
    assert line.endswith(f'"a":{token}}}')


@pytest.mark.parametrize("name", ['quo"te', "back\\slash", "new\nline", "é", ""])
def test_any_name_may_be_a_column(name: str) -> None:
    [line] = ndjson_of([{name: b"1"}])
    assert json.loads(line)[name] == 1


# --- many at once, where something is missing ---


def test_of_like_elements_one_without_a_kind_of_its_own_has_that_of_the_rule() -> None:
    rules = RowRules(kinds=(Rows(each=("items[]",), kind="element", columns={"kind": ("type",)}),))
    rows = rows_of({"items": [{"type": "word", "a": 1}, {"a": 2}, {"type": None, "a": 3}]}, rules)
    assert [row["kind"] for row in rows] == ["word", "element", None]


def test_what_stands_beside_lists_that_are_no_lists_is_kept() -> None:
    rules = RowRules(kinds=(Rows(each=("found{}",), kind="rank", empty="job"),))
    assert rows_of({"id": 1, "found": {"ranks": {"a": 1}, "titles": 5, "prices": []}}, rules) == [
        {"kind": "job", "job.id": 1, "found.ranks.a": 1, "found.titles": 5}
    ]


@pytest.mark.parametrize("alike", [1, 3])
def test_an_empty_name_is_told_alike_however_many_there_are(alike: int) -> None:
    rows = rows_of(
        {"items": [{"": {"x": 1}, "a": {"": {"y": 2}}}] * alike}, RowRules(kinds=(Rows(each=("items[]",), kind="k"),))
    )
    assert rows == [{"kind": "k", "x": 1, "a..y": 2}] * alike


@pytest.mark.parametrize("more", [[], [{"items.label": "own", "a": 1}]])
def test_what_a_carried_field_is_called_does_not_depend_on_neighbours(more: list[Any]) -> None:
    rules = RowRules(kinds=(Rows(each=("items[].parts[]",), kind="thing"),))
    *_, row = rows_of({"items": [{"label": "above", "parts": [*more, {"a": 2}]}]}, rules)
    assert row == {"kind": "thing", "items.label": "above", "a": 2}
