"""Lists that are too long to be held: cut between elements and nowhere else, whatever stands in them."""

import json
from collections.abc import Callable, Iterator
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from jobfetch import flatten
from jobfetch.errors import BadReply
from jobfetch.flatten import long
from jobfetch.spec import RowRules, Rows

VALUES = st.recursive(
    st.none() | st.booleans() | st.integers() | st.text(st.sampled_from('a,]}[{":\\\n\u00e9'), max_size=8),
    lambda inner: st.lists(inner, max_size=4) | st.dictionaries(st.sampled_from("ab,]"), inner, max_size=3),
    max_leaves=8,
)
RULES = RowRules(kinds=(Rows(each=("data.things[]",), kind="thing"), Rows(each=("lost[]",), kind="lost")))


@pytest.fixture(autouse=True)
def _small_windows(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(long, "WINDOW", 64)
    monkeypatch.setattr(long, "LONGEST", 4096)


def reader(text: bytes) -> Callable[[int, int], bytes]:
    return lambda start, size: text[start : start + size]


def windows(text: bytes) -> list[bytes]:
    return [window for window, _ in long.cut(reader(text), 1)]


@given(st.lists(VALUES, max_size=30), st.booleans(), VALUES)
def test_windows_hold_every_element_once_and_in_order(value: list[Any], spaced: bool, behind: Any) -> None:
    separators = (", ", ": ") if spaced else (",", ":")
    text = json.dumps(value, separators=separators).encode()
    text += b',"behind":' + json.dumps(behind, separators=separators).encode()
    found = [element for window in windows(text) for element in json.loads(window)]
    assert found == value


@given(st.lists(VALUES, max_size=30))
def test_the_place_behind_the_last_window_is_behind_the_list(value: list[Any]) -> None:
    text = json.dumps(value).encode()
    assert [end for _, end in long.cut(reader(text + b"}]}"), 1)][-1] == len(text)


def test_a_window_is_no_larger_than_it_must_be() -> None:
    text = json.dumps([{"number": number} for number in range(1000)]).encode()
    assert max(map(len, windows(text))) <= 64 + 2


@pytest.mark.parametrize("text", [b"[", b"[1,2", b'[{"a":"b', b'["' + b"x" * 5000 + b'"]', b'[{"a":[1,2}'])
def test_a_list_that_does_not_end_is_an_error(text: bytes) -> None:
    with pytest.raises(BadReply):
        windows(text)
    with pytest.raises(BadReply):
        flatten.shortened(reader(b'{"a":' + text), frozenset({"a"}), bytes)


@given(st.lists(VALUES, max_size=30), VALUES, VALUES)
def test_what_is_left_elsewhere_and_what_is_not_are_the_document(things: list[Any], before: Any, after: Any) -> None:
    value = {"before": before, "data": {"x": after, "things": things}, "things": [before], "after": after}
    text = json.dumps(value).encode()
    large = flatten.shortened(reader(text), frozenset({"data.things"}), lambda: text)
    short = json.loads(large.short)
    if "data.things" in large.spans:
        assert len(large.short) < len(text)
        found = [element for window in large.spans["data.things"].windows() for element in json.loads(window)]
        short["data"]["things"] = found
    assert short == value


@pytest.mark.parametrize(
    "value",
    [
        {"data.things": [[number] for number in range(100)]},
        {"other": [{"data": {"things": ["a" * 10] * 100}}]},
        {"data": [{"things": ["a" * 10] * 100}]},
    ],
    ids=["a dot in a key", "within a list", "a list on the way"],
)
def test_a_list_of_another_name_stays_where_it_is(value: Any) -> None:
    text = json.dumps(value).encode()
    large = flatten.shortened(reader(text), frozenset({"data.things"}), lambda: text)
    assert large.spans == {}
    assert json.loads(large.short) == value


@pytest.mark.parametrize("walked", ["data.things", "other"])
def test_a_long_list_that_is_not_utf_8_is_an_error(walked: str) -> None:
    text = json.dumps({"data": {"things": ["a" * 10] * 100}}).encode().replace(b"aa", b"a\xff", 150)
    large = flatten.shortened(reader(text), frozenset({"data.things"}), lambda: text)
    rules = RowRules(kinds=(Rows(each=(f"{walked}[]",), kind="thing"),))
    walk, _ = flatten.walker(rules)
    with pytest.raises(BadReply, match="not UTF-8"):
        list(walk("acme", "7", large))


def test_a_part_that_is_not_utf_8_is_an_error() -> None:
    with pytest.raises(BadReply, match="not UTF-8"):
        list(flatten.part_rows(RULES, "acme", "7", [b'{"a":"b"}', b'{"a":"\xff"}']))


def both(value: Any, rules: RowRules = RULES) -> Iterator[list[dict[str, bytes]]]:
    """The rows of a result that is held, and of one that is not."""
    text = json.dumps(value).encode()
    walk, lists = flatten.walker(rules)
    for result in (text, flatten.shortened(reader(text), lists, lambda: text)):
        yield [row for block in walk("acme", "7", result) for row in block.rows()]


@given(st.lists(VALUES, max_size=30), VALUES, st.lists(VALUES, max_size=30))
def test_the_rows_are_the_same_wherever_a_list_lies(things: list[Any], beside: Any, lost: list[Any]) -> None:
    held, elsewhere = both({"a": beside, "data": {"things": things, "x": beside}, "lost": lost})
    assert held == elsewhere


def test_the_rows_of_a_path_with_choices_are_the_same_wherever_a_list_lies() -> None:
    rules = RowRules(
        kinds=(
            Rows(each=("things[].frames.*",), kind="frame", member="frame_id", empty="thing"),
            Rows(each=("things[]",), kind="thing"),
        )
    )
    for things in ([{"id": n, "frames": {"a": {"n": n}}} for n in range(40)], [{"id": n} for n in range(40)]):
        held, elsewhere = both({"things": things}, rules)
        assert held == elsewhere
        assert len(held) == 40
