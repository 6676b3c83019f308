"""Results of one form, opened together: the same rows as one by one, whatever the results hold."""

import json
from collections.abc import Iterator
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from jobfetch import flatten
from jobfetch.blocks import Block, Row
from jobfetch.errors import BadReply
from jobfetch.flatten import Forms
from jobfetch.spec import RowRules, Rows

DEEP = RowRules(
    kinds=(
        Rows(
            each=("items[].found.*[]", "items[].notes[]", "items[]"),
            columns={"text": ("text",), "label": ("label", "box.label"), "score": ("items.sure", "score")},
            copies={"item_id": ("items.id", "id"), "x_min": ("min(items.points[].x)",)},
        ),
        Rows(each=("failed[].items[]",), kind="failed", empty="failed"),
    ),
    left_out={"job.state": "in the record"},
)
WHOLE = RowRules(
    kinds=(Rows(each=("$",), kind="job", columns={"text": ("text",)}),), left_out={"state": "in the record"}, top=""
)
BRANCHED = RowRules(
    kinds=(
        Rows(each=("pages[].words[].*",), kind="word", when=("of", "words")),
        Rows(each=("pages[].lists{}",), kind="beside"),
        Rows(each=("pages[]",), kind="page", member="page"),
        Rows(each=("*[]",), member="name"),
        Rows(each=("$",), kind="whole"),
    ),
    top="",
)
EVERY_RULES = pytest.mark.parametrize("rules", [DEEP, WHOLE, BRANCHED], ids=["deep", "whole", "branched"])
PARTS = ("a", "b")


def sent(value: Any) -> bytes:
    return json.dumps(value, separators=(",", ":")).encode()


def alone(rules: RowRules, *results: bytes) -> list[Row]:
    make = flatten.compiled(rules)
    return [row for number, result in enumerate(results) for row in make("acme", str(number), result)]


def groups(forms: Forms, *results: bytes) -> list[tuple[int, Block | None]]:
    jobs = [(str(number), result) for number, result in enumerate(results)]
    return [(len(some), block) for some, block in forms.groups("acme", jobs)]


def together(forms: Forms, rules: RowRules, *results: bytes) -> Iterator[Row]:
    """As an export does it: at once where that is possible, one by one otherwise."""
    make = flatten.compiled(rules)
    for jobs, block in forms.groups("acme", [(str(number), result) for number, result in enumerate(results)]):
        yield from block.rows() if block else (row for job_id, result in jobs for row in make("acme", job_id, result))


def deep(number: int, **more: Any) -> dict[str, Any]:
    found = [{"text": f"t{number}", "score": 0.5, "box": {"label": "x"}}, {"text": "u", "score": 2}]
    item = {"id": number, "of": {"page": number}, "points": [{"x": 2}, {"x": 1}], "found": {"texts": found}, **more}
    return {"state": "done", "at": f"{number}", "items": [item, item], "failed": []}


LIKE = [sent(deep(number)) for number in range(4)]


def test_results_of_one_form_give_one_block() -> None:
    [(count, block)] = groups(Forms.of(DEEP), *LIKE)
    assert count == 4
    assert block is not None
    assert list(block.rows()) == alone(DEEP, *LIKE)
    assert block.count == 16


def test_whole_results_of_one_form_give_one_block() -> None:
    results = [sent({"id": number, "state": "done", "text": f"t{number}", "data": {"a": [1]}}) for number in range(3)]
    [(count, block)] = groups(Forms.of(WHOLE), *results)
    assert count == 3
    assert block is not None
    assert list(block.rows()) == alone(WHOLE, *results)


def test_every_other_form_gives_a_block_of_its_own() -> None:
    other = sent({"items": [{"id": 1, "notes": [{"text": "n"}]}]})
    found = groups(Forms.of(DEEP), *LIKE, other, other, *LIKE)
    assert [count for count, _ in found] == [4, 2, 4]
    assert all(block for _, block in found)


ODD: list[Any] = [
    {},
    [],
    None,
    5,
    {"items": []},
    {"items": None},
    {**deep(1), "failed": [{"items": [{"id": 1}], "error": "no"}]},
    {**deep(1), "failed": None},
    {**deep(1), "more": 1},
    {**deep(1), "at": {"hour": 1}},
    {**deep(1), "at": [1, 2]},
    {**deep(1), "text": "at the top"},
    deep(1, found={}),
    deep(1, found={"texts": []}),
    deep(1, found={"texts": None}),
    deep(1, found={"texts": [None, {"text": "a"}]}),
    deep(1, found={"texts": [{"text": "a", "new": 1}]}),
    deep(1, found={"texts": [{"text": {"deep": 1}}]}),
    deep(1, found={"others": [{"text": "a"}]}),
    deep(1, found={"texts": [{"text": "a"}], "others": [{"text": "b"}]}),
    deep(1, id=None),
    deep(1, id=""),
    deep(1, points=[]),
    deep(1, points="none"),
    deep(1, sure=1),
    deep(1, of={"page": {"a": 1}}),
    deep(1, of={"page": {}}),
    deep(1, of={}),
    deep(1, notes=[{"text": "n"}]),
]


@pytest.mark.parametrize("odd", [sent(odd) for odd in ODD], ids=range(len(ODD)))
@EVERY_RULES
def test_an_odd_result_among_like_ones_loses_nothing(rules: RowRules, odd: bytes) -> None:
    forms = Forms.of(rules)
    for results in ([*LIKE, odd, *LIKE], [odd, odd, *LIKE], [*LIKE, odd, odd, LIKE[0]]):
        assert list(together(forms, rules, *results)) == alone(rules, *results)


@pytest.mark.parametrize(
    "odd",
    [
        LIKE[0].replace(b":", b": ", 1),
        LIKE[0].replace(b'"at"', b'"\\u0061t"'),
        LIKE[0].replace(b'"text":"u"', b'"t\\u0065xt":"u"'),
        LIKE[0].replace(b'"at":"0"', b'"at":"\\u00000"'),
        LIKE[0].replace(b'"failed":[]', b'"failed":"\\u00001"'),
        LIKE[0].replace(b'"score":2', b'"score":123456789012345678901234567890'),
        LIKE[0].replace(b'{"x":2}', b'{ "x" : 2 }'),
    ],
)
def test_what_is_written_otherwise_is_the_same(odd: bytes) -> None:
    forms = Forms.of(DEEP)
    assert list(together(forms, DEEP, *LIKE, odd, *LIKE)) == alone(DEEP, *LIKE, odd, *LIKE)


@pytest.mark.parametrize("old", [b'"at":"1"', b'"text":"u"', b'"page":1', b'"id":1'])
def test_a_key_that_stands_twice_is_never_passed_over(old: bytes) -> None:
    twice = LIKE[1].replace(old, old + b"," + old)
    found = groups(Forms.of(DEEP), *LIKE, twice)
    assert found[-1][1] is None
    with pytest.raises(BadReply, match="stands twice"):
        alone(DEEP, twice)


def test_results_that_are_never_alike_are_soon_left_to_be_gone_through_one_by_one() -> None:
    forms = Forms.of(DEEP)
    results = [sent({"items": [{f"id{number}": 1, "notes": [{f"n{number}": number}]}]}) for number in range(100)]
    found = list(together(forms, DEEP, *results))
    assert found == alone(DEEP, *results)
    assert groups(forms, *LIKE) == [(4, None)]


LEAF: st.SearchStrategy[Any] = (
    st.none() | st.booleans() | st.integers() | st.text(max_size=3) | st.just([]) | st.just({}) | st.just([{"x": 2}])
)
ROW = st.dictionaries(st.sampled_from(["text", "label", "id", "items.id", "box", "score"]), LEAF, max_size=3)
ITEM = st.fixed_dictionaries(
    {"id": LEAF},
    optional={
        "found": st.dictionaries(st.sampled_from(PARTS), st.lists(ROW | st.none(), max_size=2), max_size=2),
        "notes": st.lists(ROW, max_size=2) | LEAF,
        "words": st.lists(st.dictionaries(st.sampled_from(PARTS), LEAF, max_size=2), max_size=2),
        "lists": st.dictionaries(st.sampled_from(PARTS), st.lists(LEAF, max_size=2) | LEAF, max_size=2),
        "points": st.lists(st.fixed_dictionaries({"x": st.integers()}), max_size=2) | LEAF,
    },
)
RESULT = st.fixed_dictionaries(
    {},
    optional={
        "state": st.just("done"),
        "at": LEAF,
        "of": st.sampled_from(["words", "pages"]),
        "items": st.lists(ITEM, max_size=2) | LEAF,
        "pages": st.lists(ITEM, max_size=2) | LEAF,
        "failed": st.just([]) | st.lists(ITEM, max_size=1),
    },
)


@given(st.lists(RESULT, min_size=1, max_size=3))
@EVERY_RULES
def test_results_opened_together_give_the_rows_that_each_gives_alone(rules: RowRules, results: list[Any]) -> None:
    forms = Forms.of(rules)
    bodies = [sent(result) for result in results for _ in range(2)]
    assert list(together(forms, rules, *bodies, *bodies)) == alone(rules, *bodies, *bodies)
