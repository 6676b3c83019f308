"""From fields to rows: which field goes into which column. One rule, for one thing or for the columns of many at once.

For many, one row is made with marks in the place of values: where they come out, whole columns go.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator, Mapping
from typing import Any

from msgspec import Struct, field

from jobfetch.blocks import Block, Column, Row
from jobfetch.flatten.leaves import free
from jobfetch.flatten.rules import Kind, Place
from jobfetch.flatten.shapes import Opened
from jobfetch.model import compact, encode, opens
from jobfetch.spec import COMMON_COLUMNS

#: Plans that are remembered: more of them are data in the place of names.
MOST_PLANS = 1000

_SPACES = (b" ", b"\n", b"\t", b"\r")
_UNFILLED = frozenset({b"", b"null", b'""'})


class Plan(Struct, frozen=True):
    """Where fields go: column -> a field of many elements, or one that is carried, or something within one.

    It holds where the fields in `filled` are filled in every element.
    """

    own: dict[str, str]
    carried: dict[str, str]
    picked: dict[str, Place]
    same: Row
    filled: tuple[str, ...]
    #: columns that are filled from elsewhere where nothing is picked
    contended: frozenset[str]


class Maker(Struct, frozen=True):
    """Makes the rows of one kind."""

    kind: Kind
    _plans: dict[tuple[object, ...], Plan] = field(default_factory=dict)

    def row(self, carried: Row, own: Row, kind: str, found: Callable[[Place, Row], bytes | None] = Place.of) -> Row:
        """One row: the common columns filled from a thing's own fields and what is carried, then all the others."""
        own = dict(own)
        for name, raw in carried.items():
            own[free(name, own)] = raw
        row: Row = {"kind": encode(kind)}
        for column, places in self.kind.copies:
            filled = next((raw for place in places if (raw := found(place, own) or b"") not in _UNFILLED), None)
            if filled is not None:
                row[column] = filled
        for column, names in self.kind.rule.columns.items():
            there = [name for name in names if name in own]
            # of several the first that is filled; where none is, the column says null like the field itself
            taken = next((name for name in there if own[name] != b"null"), there[0] if there else None)
            if taken is not None:
                row[column] = own.pop(taken)
        for name, raw in own.items():
            row[free(name, row, COMMON_COLUMNS)] = raw
        return row

    def block(self, opened: Opened, carried: Row, kind: str) -> Block | None:
        """One block of many elements; None where each wants a look of its own."""
        plan = self._plan(opened, carried, kind)
        fields = {name: _compacted(column) for name, column in opened.fields.items()}
        if not all(_UNFILLED.isdisjoint(map(bytes, fields[name].few)) for name in plan.filled):
            return None
        own = {column: fields[name] for column, name in plan.own.items()}
        same = {**plan.same, **{column: carried[name] for column, name in plan.carried.items()}}
        for column, place in plan.picked.items():
            if place.name in fields and place.pick:
                lists = fields[place.name]
                picked = lists.replaced([*map(_filled, place.pick(lists.few))])
                if column in plan.contended and not all(picked.few):
                    return None
                own |= {column: picked} if picked.joined else {}
            elif filled := _filled(place.of(carried)):
                same[column] = filled
        return Block(opened.count, same, own)

    def _plan(self, opened: Opened, carried: Row, kind: str) -> Plan:
        unfilled = (token in _UNFILLED for token in carried.values())
        key = (kind, *opened.fields, None, *carried, None, *unfilled)
        plan = self._plans.get(key)
        if plan is None:
            if len(self._plans) >= MOST_PLANS:
                self._plans.clear()
            plan = self._plans[key] = self._planned(opened, carried, kind)
        return plan

    def _planned(self, opened: Opened, carried: Row, kind: str) -> Plan:
        marks: dict[bytes, tuple[str, Any]] = {}

        def mark(where: str, what: Any) -> bytes:
            name = b"\0%d" % len(marks)
            marks[name] = (where, what)
            return name

        def found(place: Place, fields: Row) -> bytes | None:
            picks = place.pick is not None and place.name in fields
            return mark("picked", place) if picks else fields.get(place.name)

        own = {name: mark("own", name) for name in opened.fields}
        above = {name: token if token in _UNFILLED else mark("carried", name) for name, token in carried.items()}
        row = self.row(above, own, kind, found)
        out: dict[str, dict[str, Any]] = {"own": {}, "carried": {}, "picked": {}}
        same: Row = {}
        for column, token in row.items():
            where, what = marks.get(token, ("", None))
            if where:
                out[where][column] = what
            else:
                same[column] = token
        contended = frozenset(column for column, places in self.kind.copies if len(places) > 1)
        return Plan(same=same, filled=tuple(self._contended(opened.fields, carried)), contended=contended, **out)

    def _contended(self, own: Mapping[str, object], carried: Row) -> Iterator[str]:
        """The fields for which it matters in each row whether they are filled: others wait for the same column."""
        # of two fields of one name, the carried one has another only where the element has its own
        yield from (name for name in own if name in carried)
        for column, names in self.kind.rule.columns.items():
            # where a kind of its own is missing, the kind of the rule stands in
            if column == "kind" or sum(name in own or name in carried for name in names) > 1:
                yield from (name for name in names if name in own)
        for _, places in self.kind.copies:
            there = [place for place in places if place.name in own or place.name in carried]
            yield from (place.name for place in there if place.name in own and (place.pick is None or len(there) > 1))


def _filled(token: bytes | None) -> bytes:
    return b"" if token is None or token in _UNFILLED else token


def _compacted(column: Column) -> Column:
    """The same column, lists in it without white space."""
    joined = column.joined
    if (b"[" not in joined and b"{" not in joined) or not any(space in joined for space in _SPACES):
        return column
    return column.replaced(
        [compact(bytes(each)) if each and opens(each) in {b"[", b"{"} else each for each in column.few]
    )
