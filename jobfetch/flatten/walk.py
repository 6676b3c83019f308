"""Goes through one result by the row rules, down to the smallest things, with what stands beside the way.

One row is made in one place (`Walk.row`): of one element, or of the columns of many at once, where a mark stands for
each column.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator, Mapping, Sequence
from dataclasses import dataclass, field

import msgspec

from jobfetch.blocks import Block, Row, Token
from jobfetch.flatten.leaves import (
    beside_common,
    free,
    is_left_out,
    leaves_of,
    members_of,
    own_leaves,
    together,
)
from jobfetch.flatten.rules import Kind, Place, Step, compiled_kind
from jobfetch.flatten.shapes import Opened, Shape
from jobfetch.model import compact, decode, elements, encode, members, opens
from jobfetch.spec import COMMON_COLUMNS, RowRules

_UNFILLED = frozenset({b"", b"null", b'""'})
_MARK = b"\0"


class Walker:
    """Row rules at work: a result in, blocks of rows out. It learns how elements look from one result to the next."""

    def __init__(self, rules: RowRules) -> None:
        self._rules = rules
        self._kinds = [compiled_kind(kind) for kind in rules.kinds]
        self._shapes: dict[str, Shape] = {}

    def __call__(self, result: bytes) -> Iterator[Block]:
        """Every row of a result, without the columns that name the job."""
        top, rules = members_of(result, ""), self._rules
        if not top:
            result = compact(result)
        walks = [Walk(kind, steps, rules, self._shapes) for kind, steps in _ways(self._kinds, top)]
        taken = frozenset(name for walk in walks for name in walk.names())
        tops = {walk.steps[0].key for walk in walks}
        beside = {f"{rules.top}.{key}": raw for key, raw in top.items() if key not in tops}
        carried = together(leaves_of(beside, rules.left_out)) if walks and "$" not in tops else {}
        found = False
        for walk in walks:
            for block in walk.blocks(top, carried, taken):
                found = True
                yield block
        if not found and carried:
            yield Block(1, {"kind": encode(rules.top), **carried})
        if not walks:
            yield from (Block(1, {"kind": encode(rules.top)} | row) for row in _unruled(result, rules))


def _ways(kinds: list[Kind], top: Mapping[str, msgspec.Raw]) -> list[tuple[Kind, list[Step]]]:
    """The ways through this result: for every kind the first of its paths that is there, and no path walked twice.

    The whole result is a way where there is no other.
    """
    ways: list[tuple[Kind, list[Step]]] = []
    for kind in kinds:
        if kind.rule.when and not _is(top, *kind.rule.when):
            continue
        for steps in kind.paths:
            choose = len(kind.paths) > 1 or steps[0].key in {"$", "*"} or steps[-1].beside
            there = not ways if steps[0].key == "$" else _has(top, steps) if choose else steps[0].key in top
            if there and not any(_same_way(steps, walked) for _, walked in ways):
                ways.append((kind, steps))
                break
    return ways


def _is(top: Mapping[str, msgspec.Raw], key: str, value: str) -> bool:
    return key in top and opens(top[key]) == b'"' and decode(top[key]) == value


def _has(level: Mapping[str, msgspec.Raw], steps: list[Step]) -> bool:
    """Whether a result has anything at a path (an empty list counts, a missing key does not)."""
    step, rest = steps[0], steps[1:]
    if step.key == "*":
        return bool(level)
    raw = level.get(step.key)
    if raw is None:
        return False
    if not rest:
        return not step.beside or any(opens(member) == b"[" for member in members(raw).values())
    inside = elements(raw) if step.many and opens(raw) == b"[" else [raw]
    return not inside or any(_has(members(element), rest) for element in inside) or rest[0].key == "*"


def _same_way(steps: list[Step], walked: list[Step]) -> bool:
    return [step.key for step in steps] == [step.key for step in walked][: len(steps)]


def _unruled(result: bytes, rules: RowRules) -> Iterator[Row]:
    """Rows of a result that no rule fits: its own fields, one row for each element where it is a list."""
    for element in elements(result) or [msgspec.Raw(result)]:
        if opens(element) == b"{":
            inside = members_of(element, "").items()
            kept = {key: raw for key, raw in inside if not is_left_out(f"{rules.top}.{key}", rules.left_out)}
            row = together(leaves_of(kept, {}))
        else:
            row = {"value": compact(bytes(element))}
        if row:
            yield beside_common(row)


@dataclass(frozen=True, slots=True)
class Walk:
    """One row kind on its way through one result."""

    kind: Kind
    steps: list[Step]
    rules: RowRules
    shapes: dict[str, Shape]
    taken: frozenset[str] = field(default_factory=frozenset)

    def names(self) -> Iterator[str]:
        """The dotted name of every level that this way passes."""
        keys = [step.key for step in self.steps]
        yield from (".".join(keys[: number + 1]) for number in range(1, len(keys)))

    def whole(self, raw: bytes | msgspec.Raw) -> Iterator[Block]:
        """The one row of a result that is a row as a whole."""
        inside = members_of(raw, "").items()
        kept = {key: value for key, value in inside if not is_left_out(f"{self.rules.top}.{key}", self.rules.left_out)}
        row = self.row({}, together(leaves_of(kept, {})), self.kind.rule.kind or self.kind.rule.empty)
        yield Block(1, row)

    def blocks(self, top: Mapping[str, msgspec.Raw], carried: Row, taken: frozenset[str]) -> Iterator[Block]:
        """Every row of this kind under the opened top of a result; `taken` are levels that other rows hold."""
        if self.steps[0].key == "$":
            yield from self.whole(_joined(top))
            return
        walk = Walk(self.kind, self.steps, self.rules, self.shapes, taken)
        yield from walk.down(top, self.steps, self.kind.rule.kind, carried, "")

    def down(
        self, level: Mapping[str, msgspec.Raw], steps: list[Step], kind: str | None, carried: Row, name: str
    ) -> Iterator[Block]:
        """The rows below one level, or a row of what is carried where nothing is there."""
        step, found = steps[0], False
        for key, raw in level.items() if step.key == "*" else _only(level, step.key):
            word = (kind or key) if step.key == "*" else kind
            here = name if step.key == "*" else f"{name}.{key}".lstrip(".")
            with_name = carried
            if step.key == "*" and self.kind.rule.member:
                with_name = together([*carried.items(), (self.kind.rule.member, encode(key))])
            for block in self._at(raw, steps, word, with_name, here):
                found = True
                yield block
        if not found and name:
            yield Block(1, self.row(carried, {}, self.kind.rule.empty))

    def _at(self, raw: msgspec.Raw, steps: list[Step], kind: str | None, carried: Row, here: str) -> Iterator[Block]:
        """The rows of what stands at one step of the way."""
        step, rest = steps[0], steps[1:]
        word = kind or here.rpartition(".")[2]
        if step.beside and opens(raw) == b"{":
            yield from self._side_by_side(raw, word, carried, here)
            return
        many = step.many and not step.beside and opens(raw) == b"["
        if many and not rest:
            yield from self._list(raw, word, carried, f"{here} {word}")
            return
        for element in elements(raw) if many else (raw,):
            if bytes(element) == b"null":
                continue
            if not rest or opens(element) != b"{":
                yield Block(1, self.row(carried, own_leaves(element), word))
            else:
                inside = members_of(element, here)
                beside = self._beside(inside, here, rest[0])
                yield from self.down(inside, rest, kind, together([*carried.items(), *beside.items()]), here)

    def _beside(self, level: Mapping[str, msgspec.Raw], name: str, step: Step) -> Row:
        """What stands on a level beside the way down; a way through every member leaves nothing beside it."""
        if step.key == "*":
            return {}
        beside = {f"{name}.{key}": raw for key, raw in level.items() if key != step.key}
        return together(
            leaves_of({key: raw for key, raw in beside.items() if key not in self.taken}, self.rules.left_out)
        )

    def _side_by_side(self, raw: msgspec.Raw, word: str, carried: Row, here: str) -> Iterator[Block]:
        """A row for every index of the lists of an object; what is no list is carried."""
        inside = members_of(raw, here)
        lists = {f"{here}.{key}": elements(value) for key, value in inside.items() if opens(value) == b"["}
        others = {f"{here}.{key}": value for key, value in inside.items() if opens(value) != b"["}
        carried = together([*carried.items(), *leaves_of(others, self.rules.left_out)])
        for number in range(max(map(len, lists.values()), default=0)):
            cells = ((key, compact(bytes(found[number]))) for key, found in lists.items() if number < len(found))
            yield Block(1, self.row(carried, together(cells), word))

    # --- the elements at the end of the way ---

    def _list(self, raw: msgspec.Raw, word: str, carried: Row, place: str) -> Iterator[Block]:
        """The elements of a list: at once where they are alike, one by one otherwise."""
        shape = self.shapes.setdefault(place, Shape())
        opened = shape.opened(raw)
        block = opened and self._together(opened, carried, word)
        if block:
            yield block
            return
        each = elements(raw)
        if not opened:
            shape.learn(each)
        for element in each:
            if bytes(element) != b"null":
                yield Block(1, self.row(carried, own_leaves(element), word))

    def _together(self, opened: Opened, carried: Row, word: str) -> Block | None:
        """One block of many elements; None where each wants a look of its own."""
        fields = {name: _compacted(tokens) for name, tokens in opened.fields.items()}
        marks: dict[bytes, Sequence[Token]] = {}

        def mark(tokens: Sequence[Token]) -> bytes:
            name = _MARK + str(len(marks)).encode()
            marks[name] = tokens
            return name

        def found(place: Place, own: Row) -> bytes | None:
            if place.pick is None or place.name not in fields:
                return place.of(own)
            picked = [place.pick(bytes(token)) or b"" for token in fields[place.name]]
            return mark(picked) if any(picked) else None

        own = {name: mark(tokens) for name, tokens in fields.items()}
        if any(not _all_filled(fields[name]) for name in self._contended(fields, carried)):
            return None
        row = self.row(carried, own, word, found)
        same = {name: token for name, token in row.items() if token[:1] != _MARK}
        return Block(opened.count, same, {name: marks[token] for name, token in row.items() if token[:1] == _MARK})

    def _contended(self, own: Mapping[str, object], carried: Row) -> Iterator[str]:
        """The fields for which it matters in each row whether they are filled: others wait for the same column."""
        for names in self.kind.rule.columns.values():
            if sum(name in own or name in carried for name in names) > 1:
                yield from (name for name in names if name in own)
        for _, places in self.kind.copies:
            yield from (place.name for place in places if place.name in own and place.pick is None)
            if len([place for place in places if place.name in own or place.name in carried]) > 1:
                yield from (place.name for place in places if place.name in own)

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


def _all_filled(tokens: Sequence[Token]) -> bool:
    return _UNFILLED.isdisjoint(map(bytes, tokens))


def _compacted(tokens: Sequence[Token]) -> Sequence[Token]:
    """The tokens, lists among them without white space."""
    joined = b"".join(tokens)
    if b"[" not in joined and b"{" not in joined:
        return tokens
    return [compact(bytes(token)) if token and opens(token) in {b"[", b"{"} else token for token in tokens]


def _joined(top: Mapping[str, msgspec.Raw]) -> bytes:
    return b"{" + b",".join(encode(key) + b":" + bytes(raw) for key, raw in top.items()) + b"}"


def _only(level: Mapping[str, msgspec.Raw], key: str) -> list[tuple[str, msgspec.Raw]]:
    return [(key, level[key])] if key in level else []
