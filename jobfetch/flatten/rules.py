"""Row rules, read once: paths as steps, and where each common column finds its value."""

from __future__ import annotations

import math
import re
from collections.abc import Callable, Mapping
from dataclasses import dataclass, replace
from typing import Any

import msgspec

from jobfetch.errors import UsageError
from jobfetch.model import elements
from jobfetch.spec import RowRules, Rows

_SEGMENT = re.compile(r"(?P<key>[^.\[\]{}*]+|\*)(?P<many>\[\]|\{\})?")
_PLACE = re.compile(r"(?:(?P<pick>min|max)\((?P<list>.+)\[\]\.(?P<of>\w+)\)|(?P<name>.+)\[(?P<number>\d+)\])")

#: Opens a list and gives the token of a common column, None where there is none.
Pick = Callable[[bytes], bytes | None]


@dataclass(frozen=True, slots=True)
class Step:
    """One segment of a path: a key or `*`; its elements (`[]`), or its lists side by side (`{}`)."""

    key: str
    many: bool
    beside: bool = False


@dataclass(frozen=True, slots=True)
class Place:
    """Where a common column finds its value: a field, or something within a field that is a list."""

    name: str
    pick: Pick | None = None

    def of(self, own: Mapping[str, bytes]) -> bytes | None:
        """The token, None where nothing is."""
        raw = own.get(self.name)
        return raw if raw is None or self.pick is None else self.pick(raw)


@dataclass(frozen=True, slots=True)
class Kind:
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
    found = [_SEGMENT.fullmatch(segment) for segment in path.split(".")]
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
    def pick(raw: bytes) -> bytes | None:
        inside = elements(raw)
        return bytes(inside[number]) if number < len(inside) else None

    return pick


def _extreme(key: str, *, largest: bool) -> Pick:
    """The smallest or largest number of a key over the objects of a list: an edge of the box around a shape."""
    shape = msgspec.defstruct("Point", [("value", msgspec.Raw, msgspec.field(name=key))], gc=False)
    decoder: Any = msgspec.json.Decoder(list[shape])  # type: ignore[valid-type]
    best = max if largest else min

    def pick(raw: bytes) -> bytes | None:
        try:
            tokens = [bytes(point.value) for point in decoder.decode(raw)]
            numbers = [*map(float, tokens)]
        except (msgspec.MsgspecError, ValueError):
            # what is no list of points has no edge
            return None
        return tokens[numbers.index(best(numbers))] if numbers and all(map(math.isfinite, numbers)) else None

    return pick
