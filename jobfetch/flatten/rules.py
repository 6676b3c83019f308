"""Row rules, read once: paths as steps, and where each common column finds its value."""

from __future__ import annotations

import math
import re
from collections.abc import Callable, Mapping, Sequence
from functools import cache
from itertools import accumulate, chain, pairwise
from operator import attrgetter
from typing import Any

import msgspec
from msgspec import Struct
from msgspec.structs import replace

from jobfetch.blocks import Token
from jobfetch.errors import UsageError
from jobfetch.model import elements, typed
from jobfetch.spec import RowRules, Rows

_SEGMENT = re.compile(r"(?P<key>[^.\[\]{}*]+|\*)(?P<many>\[\]|\{\})?")
#: The tokens of the smallest and the largest number.
_Pair = tuple[bytes, bytes]
_NO_EDGES = (b"", b"")

_PLACE = re.compile(r"(?:(?P<pick>min|max)\((?P<list>.+)\[\]\.(?P<of>\w+)\)|(?P<name>.+)\[(?P<number>\d+)\])")

#: Opens some lists and gives a token of each, empty where there is none.
Pick = Callable[[Sequence[Token]], list[bytes]]


class Step(Struct, frozen=True):
    """One segment of a path: a key or `*`; its elements (`[]`), or its lists side by side (`{}`)."""

    key: str
    many: bool
    beside: bool = False


class Place(Struct, frozen=True):
    """Where a common column finds its value: a field, or something within a field that is a list."""

    name: str
    pick: Pick | None = None

    def of(self, own: Mapping[str, bytes]) -> bytes | None:
        """The token, None where nothing is."""
        raw = own.get(self.name)
        return raw if raw is None or self.pick is None else self.pick([raw])[0]


class Kind(Struct, frozen=True):
    """A row kind, read once: its paths as steps, and the places of each copied column."""

    rule: Rows
    paths: list[list[Step]]
    copies: list[tuple[str, list[Place]]]


def compiled_kind(rule: Rows) -> Kind:
    """A row kind, read."""
    return Kind(
        rule,
        [steps(path) for path in rule.each],
        [(column, [_place(name) for name in names]) for column, names in rule.copies.items()],
    )


def steps(path: str) -> list[Step]:
    """A path as steps. `UsageError` where it is none."""
    if path == "$":
        return [Step("$", many=False)]
    try:
        found = [_SEGMENT.fullmatch(segment) for segment in typed(path).split(".")]
    except UnicodeError:
        raise UsageError(
            f"--rows {path[:80]!r} is not UTF-8", hint="write the names as the records have them"
        ) from None
    read = [Step(each["key"], bool(each["many"]), each["many"] == "{}") for each in found if each]
    if len(read) != len(found) or any(step.beside for step in read[:-1]):
        raise UsageError(
            f"--rows {path!r} is no path",
            hint="write names with dots between them, [] for every element and * for every member, "
            "for example items[].predictions.*[]",
        )
    return read


def by_path(rules: RowRules, path: str) -> RowRules:
    """The rules that explode a result by a path of the user's own, with the common columns of the provider."""
    steps(path)
    columns: dict[str, tuple[str, ...]] = {}
    copies: dict[str, tuple[str, ...]] = {}
    for kind in rules.kinds:
        for merged, more in ((columns, kind.columns), (copies, kind.copies)):
            for column, names in more.items():
                merged[column] = tuple(dict.fromkeys((*merged.get(column, ()), *names)))
    own = Rows(each=(path,), columns=columns, copies=copies, member="member" if "*" in path else None)
    return replace(rules, kinds=(own,))


def _place(text: str) -> Place:
    match = _PLACE.fullmatch(text)
    if not match:
        return Place(text)
    if match["number"]:
        return Place(match["name"], _element(int(match["number"])))
    return Place(match["list"], _extreme(match["of"], largest=match["pick"] == "max"))


def _element(number: int) -> Pick:
    def pick(tokens: Sequence[Token]) -> list[bytes]:
        lists = map(elements, tokens)
        return [bytes(found[number]) if number < len(found) else b"" for found in lists]

    return pick


def _extreme(key: str, *, largest: bool) -> Pick:
    """The smallest or largest number of a key over the objects of a list: an edge of the box around a shape."""
    edges = _edges(key)
    return lambda tokens: [pair[largest] for pair in edges(tokens)]


@cache
def _edges(key: str) -> Callable[[Sequence[Token]], list[_Pair]]:
    """Gives the smallest and the largest number of a key over the objects of each list."""
    shape = msgspec.defstruct("Point", [("value", msgspec.Raw, msgspec.field(name=key))], gc=False)
    decoder: Any = msgspec.json.Decoder(list[list[shape]])  # type: ignore[valid-type]
    value = attrgetter("value")
    # both edges are asked for, one after the other
    last: tuple[Sequence[Token], list[_Pair]] = ((), [])

    def edges(tokens: Sequence[Token]) -> list[_Pair]:
        nonlocal last
        seen, known = last
        if seen is not tokens:
            known = found(tokens)
            last = tokens, known
        return known

    def found(tokens: Sequence[Token]) -> list[_Pair]:
        try:
            lists = decoder.decode(b"[" + b",".join([token or b"[]" for token in tokens]) + b"]")
            values = [*map(value, chain.from_iterable(lists))]
            numbers = [*map(float, values)]
        except (msgspec.MsgspecError, ValueError):
            # what is no list of points has no edge, and the others have theirs
            return [_NO_EDGES] if len(tokens) == 1 else [pair for token in tokens for pair in found([token])]
        ends = [*accumulate(map(len, lists), initial=0)]
        return [_pair(numbers[start:end], values[start:end]) for start, end in pairwise(ends)]

    return edges


def _pair(numbers: list[float], values: list[msgspec.Raw]) -> _Pair:
    if not numbers:
        return _NO_EDGES
    low, high = min(numbers), max(numbers)
    if not (math.isfinite(low) and math.isfinite(high)):
        return _NO_EDGES
    return bytes(values[numbers.index(low)]), bytes(values[numbers.index(high)])
