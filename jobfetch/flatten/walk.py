"""Goes through one result by the row rules, down to the smallest things, with what stands beside the way."""

from __future__ import annotations

from collections.abc import Callable, Iterator, Mapping, Sequence
from typing import Protocol

import msgspec
from msgspec import Struct, field
from msgspec.structs import replace

from jobfetch.blocks import Block, Column, Row, Token
from jobfetch.flatten.leaves import beside_common, is_left_out, leaves_of, own_leaves, together
from jobfetch.flatten.long import Large
from jobfetch.flatten.node import Node, Result
from jobfetch.flatten.plans import Maker
from jobfetch.flatten.rules import Kind, Step, compiled_kind
from jobfetch.flatten.shapes import Opened, Shape
from jobfetch.model import compact, decode, elements, encode, members
from jobfetch.spec import RowRules, Sheets


class Walker:
    """Row rules at work: a result in, blocks of rows out. It learns how elements look from one result to the next."""

    def __init__(self, rules: RowRules, make: Callable[[Kind], Makes] = Maker) -> None:
        self._rules = rules
        kinds = map(compiled_kind, rules.kinds)
        self._kinds = [Learned(kind, make(kind)) for kind in kinds]

    @property
    def paths(self) -> Iterator[list[Step]]:
        """Every path of every kind."""
        return (steps for learned in self._kinds for steps in learned.kind.paths)

    def ways(self, whole: Node) -> list[tuple[Learned, list[Step]]]:
        """The ways through a result."""
        return _ways(self._kinds, whole.members)

    @property
    def lists(self) -> frozenset[str]:
        """The dotted names of the lists that may be long: the first on every way."""
        return frozenset(name for steps in self.paths for name in _first_list(steps))

    def __call__(self, result: Result) -> Iterator[Block]:
        """Every row of a result, without the columns that name the job."""
        whole, rules = Node.of(result), self._rules
        if isinstance(result, Large):
            walked = {name for _, steps in self.ways(whole) for name in _first_list(steps)}
            # a list that no way leads through is a cell like any other
            whole = Node.of(result.keeping_away(walked))
        walks = [Walk(learned, steps, rules) for learned, steps in self.ways(whole)]
        taken = frozenset(name for walk in walks for name in walk.names())
        tops = {walk.steps[0].key for walk in walks}
        beside = {rules.at_top(key): node.raw for key, node in whole.members.items() if key not in tops}
        carried = together(leaves_of(beside, rules.left_out)) if walks and "$" not in tops else {}
        found = False
        for walk in walks:
            for block in walk.blocks(whole, carried, taken):
                found = True
                yield block
        if not found and carried:
            yield Block(1, {"kind": encode(rules.top or "job"), **carried})
        if not walks:
            yield from (Block(1, {"kind": encode(rules.top or "job")} | row) for row in _unruled(whole, rules))


_EVERY_MEMBER = Step("*", many=False)


class Makes(Protocol):
    """Makes rows of fields; see `plans`."""

    def row(self, carried: Row, own: Row, kind: str) -> Row:
        """One row."""

    def block(self, opened: Opened, carried: Row, kind: str) -> Block | None:
        """Many at once, or None."""


class Learned(Struct, frozen=True):
    """A row kind, what makes its rows, and how its elements have looked so far, by place."""

    kind: Kind
    make: Makes
    shapes: dict[str, Shape] = field(default_factory=dict)

    @classmethod
    def of(cls, kind: Kind) -> Learned:
        """A row kind of which nothing is known yet."""
        return cls(kind, Maker(kind))


def _first_list(steps: list[Step]) -> Iterator[str]:
    number = next((number for number, step in enumerate(steps) if step.many), None)
    keys = [step.key for step in steps[: (number or 0) + 1]]
    if number is not None and not {"*", "$"} & {*keys} and not steps[number].beside:
        yield ".".join(keys)


def _ways(kinds: list[Learned], top: Mapping[str, Node]) -> list[tuple[Learned, list[Step]]]:
    """The ways through this result: for every kind the first of its paths that is there, and no path walked twice.

    The whole result is a way where there is no other.
    """
    ways: list[tuple[Learned, list[Step]]] = []
    for learned in kinds:
        kind = learned.kind
        if kind.rule.when and not _is(top, *kind.rule.when):
            continue
        for steps in kind.paths:
            choose = len(kind.paths) > 1 or kind.rule.when or steps[0].key in {"$", "*"} or steps[-1].beside
            there = not ways if steps[0].key == "$" else has(top, steps) if choose else steps[0].key in top
            if there and not any(_same_way(steps, walked) for _, walked in ways):
                ways.append((learned, steps))
                break
    return ways


def _is(top: Mapping[str, Node], key: str, value: str) -> bool:
    return key in top and top[key].opens == b'"' and decode(top[key].raw) == value


def has(level: Mapping[str, Node], steps: list[Step]) -> bool:
    """Whether a result has anything at a path (an empty list counts, a missing key does not)."""
    step, rest = steps[0], steps[1:]
    if step.key == "*":
        return bool(level)
    node = level.get(step.key)
    if node is None:
        return False
    if not rest:
        return not step.beside or any(member.opens == b"[" for member in node.members.values())
    if rest[0].key == "*" or node.opens in {b"n", b'"'}:
        return rest[0].key == "*"
    if not step.many or node.opens != b"[":
        return has(node.members, rest)
    empty = next(iter(node.elements), None) is None
    return empty or (node.may_hold(rest[0].key) and any(has(element.members, rest) for element in node.elements))


def _same_way(steps: list[Step], walked: list[Step]) -> bool:
    return [step.key for step in steps] == [step.key for step in walked][: len(steps)]


def _unruled(whole: Node, rules: RowRules) -> Iterator[Row]:
    """Rows of a result that no rule fits: its own fields, one row for each element where it is a list."""
    for element in whole.elements or [whole]:
        row = _fields(element, rules) if element.opens == b"{" else {"value": compact(bytes(element.raw))}
        if row:
            yield beside_common(row)


def _fields(node: Node, rules: RowRules) -> Row:
    """The fields of an object as one row, without those that are left out."""
    kept = {
        key: member.raw for key, member in node.members.items() if not is_left_out(rules.at_top(key), rules.left_out)
    }
    return together(leaves_of(kept, {}))


class Walk(Struct, frozen=True):
    """One row kind on its way through one result."""

    learned: Learned
    steps: list[Step]
    rules: RowRules
    #: levels that other rows hold
    taken: frozenset[str] = field(default_factory=frozenset)

    @property
    def kind(self) -> Kind:
        """The row kind."""
        return self.learned.kind

    def names(self) -> Iterator[str]:
        """The dotted name of every level that this way passes."""
        keys = [step.key for step in self.steps]
        yield from (".".join(keys[: number + 1]) for number in range(1, len(keys)))

    def whole(self, node: Node) -> Block:
        """The one row of a result that is a row as a whole."""
        return self._one({}, _fields(node, self.rules), self.kind.rule.kind or self.kind.rule.empty)

    def blocks(self, whole: Node, carried: Row, taken: frozenset[str]) -> Iterator[Block]:
        """Every row of this kind in a result; `taken` are levels that other rows hold."""
        if self.steps[0].key == "$":
            yield self.whole(whole)
            return
        walk = replace(self, taken=taken)
        yield from walk.down(whole, self.steps, self.kind.rule.kind, carried, "")

    def down(self, level: Node, steps: list[Step], kind: str | None, carried: Row, name: str) -> Iterator[Block]:
        """The rows below one level, or a row of what is carried where nothing is there."""
        step, found, members = steps[0], False, level.members
        below = members if step.key == "*" else {step.key: members[step.key]} if step.key in members else {}
        block = self._members(below, kind, carried, name) if steps == [_EVERY_MEMBER] and kind else None
        if block:
            yield block
            return
        for key, node in below.items():
            word = (kind or key) if step.key == "*" else kind
            here = name if step.key == "*" else f"{name}.{key}".lstrip(".")
            with_name = carried
            if step.key == "*" and self.kind.rule.member:
                with_name = together([*carried.items(), (self.kind.rule.member, encode(key))])
            for block in self._at(node, steps, word, with_name, here):
                found = True
                yield block
        if not found and name:
            yield self._one(carried, {}, self.kind.rule.empty)

    def _one(self, carried: Row, own: Row, word: str) -> Block:
        return Block(1, self.learned.make.row(carried, own, word))

    def _at(self, node: Node, steps: list[Step], kind: str | None, carried: Row, here: str) -> Iterator[Block]:
        """The rows of what stands at one step of the way."""
        step, rest = steps[0], steps[1:]
        word = kind or here.rpartition(".")[2]
        if step.beside and node.opens == b"{":
            yield from self._side_by_side(node, word, carried, here)
            return
        many = step.many and not step.beside
        if many and not rest and node.opens == b"[":
            yield from self._list(node, word, carried, f"{here} {word}")
            return
        for element in node.each(many=many):
            if not rest or element.opens != b"{":
                yield self._one(carried, own_leaves(element.raw), word)
            else:
                beside = self._beside(element, here, rest[0])
                yield from self.down(element, rest, kind, together([*carried.items(), *beside.items()]), here)

    def _beside(self, level: Node, name: str, step: Step) -> Row:
        """What stands on a level beside the way down; a way through every member leaves nothing beside it."""
        if step.key == "*":
            return {}
        beside = {f"{name}.{key}": node.raw for key, node in level.members.items() if key != step.key}
        return together(leaves_of({k: raw for k, raw in beside.items() if k not in self.taken}, self.rules.left_out))

    def _side_by_side(self, node: Node, word: str, carried: Row, here: str) -> Iterator[Block]:
        """A row for every index of the lists of an object; what is no list is carried."""
        named = {f"{here}.{key}": member for key, member in node.members.items()}
        lists = {name: elements(member.raw) for name, member in named.items() if member.opens == b"["}
        others = {name: member.raw for name, member in named.items() if member.opens != b"["}
        carried = together([*carried.items(), *leaves_of(others, self.rules.left_out)])
        many = max(map(len, lists.values()), default=0)
        for number in range(many):
            cells = ((name, compact(bytes(found[number]))) for name, found in lists.items() if number < len(found))
            yield self._one(carried, together(cells), word)
        if others and not many:
            yield self._one(carried, {}, self.kind.rule.empty)

    def _members(self, below: Mapping[str, Node], kind: str, carried: Row, name: str) -> Block | None:
        """All members of an object at once, each a row; None where they are not alike."""
        if not below or any(node.opens != b"{" for node in below.values()):
            return None
        shape, called = self.learned.shapes.setdefault(f"{name} {kind}", Shape()), self.kind.rule.member
        opened = _at_once(shape, b"[" + b",".join(node.raw for node in below.values()) + b"]")
        if opened is None or called in carried or called in opened.fields:
            return None
        named = {called: Column.of([*map(encode, below)])} if called else {}
        return self.learned.make.block(Opened(opened.count, opened.fields | named), carried, kind)

    def _list(self, node: Node, word: str, carried: Row, place: str) -> Iterator[Block]:
        """The elements of a list: at once where they are alike, one by one otherwise."""
        sheets, shape = self.kind.rule.sheets, self.learned.shapes.setdefault(place, Shape())
        sizes = sheets.sizes(members(raw) for window in node.windows() for raw in elements(window)) if sheets else {}
        for window in node.windows():
            opened = _at_once(shape, window)
            block = opened and self.learned.make.block(opened, carried, word)
            if block:
                yield on_sheets(block, sizes)
                continue
            for element in elements(window):
                if bytes(element) != b"null":
                    yield on_sheets(self._one(carried, own_leaves(element), word), sizes)


def _at_once(shape: Shape, raw: bytes | msgspec.Raw) -> Opened | None:
    """A list, opened; what does not look like the elements before it is learned, and tried once more."""
    return shape.opened(raw) or (shape.opened(raw) if shape.learn(raw) else None)


_EDGES = (("x_min", 0), ("y_min", 1), ("x_max", 0), ("y_max", 1))


def on_sheets(block: Block, sizes: Mapping[bytes, tuple[float, ...]]) -> Block:
    """The same rows, edges of boxes as parts of their page where its size is known."""
    if not sizes:
        return block
    own, same = dict(block.own), dict(block.same)
    pages = _tokens(block, "page")
    for name, side in _EDGES:
        edges = [
            Sheets.part(bytes(edge), size[side], size[side + 2]) if edge and (size := sizes.get(bytes(page))) else edge
            for edge, page in zip(_tokens(block, name), pages, strict=True)
        ]
        if name in same and block.count == 1:
            same[name] = bytes(edges[0])
        elif same.pop(name, None) or name in own:
            own[name] = Column.of(edges)
    return Block(block.count, same, own)


def _tokens(block: Block, name: str) -> Sequence[Token]:
    return block.own[name].tokens if name in block.own else [block.same.get(name, b"")] * block.count
