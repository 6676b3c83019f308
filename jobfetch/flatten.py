"""From a result to rows: the row rules of a provider, compiled; numbers stay as the service wrote them.

It knows no file and no format: a row is a mapping of column to the service's own JSON token.
"""

from __future__ import annotations

import re
from collections.abc import Callable, Iterable, Iterator, Mapping
from dataclasses import dataclass

import msgspec

from jobfetch.model import compact, decode, elements, encode, members, opens
from jobfetch.spec import COMMON_COLUMNS, RowRules, Rows

#: One row: column -> the service's own JSON token.
Row = dict[str, bytes]


def compiled(rules: RowRules) -> Callable[[str, str, bytes], Iterator[Row]]:
    """Row rules, compiled: (provider, job id, result) -> rows, each a mapping of column to JSON token.

    Numbers stay as the service wrote them, lists stay compact JSON. A result that none of the rules fits gives one
    row of its own fields, so that nothing is lost.
    """
    kinds = [_compiled(kind) for kind in rules.kinds]

    def rows_of(provider: str, job_id: str, result: bytes) -> Iterator[Row]:
        start = {"provider": encode(provider), "job_id": encode(job_id)}
        top = members(result)
        walks = _walks(kinds, top)
        tops = {walk.steps[0].key for walk in walks}
        beside = {f"{rules.top}.{key}": raw for key, raw in top.items() if key not in tops}
        carried = _named(_leaves_of(beside, rules.left_out)) if walks and "$" not in tops else {}
        rows = (row for walk in walks for row in walk.rows(top, carried, rules))
        first = next(rows, {"kind": encode(rules.top), **carried} if carried else None)
        for row in (first, *rows) if first else ():
            yield start | row
        if not walks:
            for row in _unruled(result, rules):
                yield start | {"kind": encode(rules.top)} | row

    return rows_of


def part_rows(rules: RowRules, provider: str, job_id: str, parts: Iterable[bytes]) -> Iterator[Row]:
    """The rows of parts that came window by window, each part a JSON value."""
    kind = _compiled(rules.parts or Rows(each=("$",), kind="part"))
    walk = _Walk(kind, kind.paths[0])
    for part in parts:
        for row in walk.rows(members(part), {}, RowRules(kinds=())):
            yield {"provider": encode(provider), "job_id": encode(job_id)} | row


def view(rules: RowRules, name: str, provider: str, job_id: str, result: bytes) -> Iterator[Row]:
    """The rows of another view of a result, by its name."""
    for row in rules.named[name](result):
        yield {"provider": encode(provider), "job_id": encode(job_id)} | row


@dataclass(frozen=True, slots=True)
class _Step:
    """One segment of a path: a key or `*`, and whether its elements are meant."""

    key: str
    many: bool


@dataclass(frozen=True, slots=True)
class _Place:
    """Where a common column finds its value: a field, or an element of a field that is a list."""

    name: str
    element: int | None

    def of(self, own: Row) -> bytes | None:
        raw = own.get(self.name)
        if raw is None or self.element is None:
            return raw
        inside = elements(raw)
        return bytes(inside[self.element]) if self.element < len(inside) else None


@dataclass(frozen=True, slots=True)
class _Kind:
    """A row kind, read once: its paths as steps, and where each copied column finds its value."""

    rule: Rows
    paths: list[list[_Step]]
    copies: list[tuple[str, list[_Place]]]


def _compiled(rule: Rows) -> _Kind:
    paths = [[_Step(text.removesuffix("[]"), text.endswith("[]")) for text in path.split(".")] for path in rule.each]
    return _Kind(rule, paths, [(column, [_place(name) for name in names]) for column, names in rule.copies.items()])


def _place(name: str) -> _Place:
    match = re.fullmatch(r"(.+)\[(\d+)\]", name)
    return _Place(match[1], int(match[2])) if match else _Place(name, None)


def _walks(kinds: list[_Kind], top: Mapping[str, msgspec.Raw]) -> list[_Walk]:
    """The ways through this result: for every kind the first of its paths that is there, and no path walked twice."""
    walks: list[_Walk] = []
    for kind in kinds:
        for steps in kind.paths:
            choose = len(kind.paths) > 1 or steps[0].key == "$"
            there = _has(top, steps) if choose else steps[0].key in top
            if there and not any(_same_way(steps, walk.steps) for walk in walks):
                walks.append(_Walk(kind, steps))
                break
    return walks


def _has(level: Mapping[str, msgspec.Raw], steps: list[_Step]) -> bool:
    """Whether a result has anything at a path (an empty list counts, a missing key does not)."""
    step, rest = steps[0], steps[1:]
    if not rest or step.key == "*":
        return step.key in {"*", "$"} or step.key in level
    raw = level.get(step.key)
    if raw is None:
        return False
    inside = elements(raw) if step.many and opens(raw) == b"[" else [raw]
    return not inside or any(_has(members(element), rest) for element in inside) or rest[0].key == "*"


def _same_way(steps: list[_Step], walked: list[_Step]) -> bool:
    return [step.key for step in steps] == [step.key for step in walked][: len(steps)]


def _unruled(result: bytes, rules: RowRules) -> Iterator[Row]:
    """Rows of a result that no rule fits: its own fields, one row for each element where it is a list."""
    for element in elements(result) or [msgspec.Raw(compact(result))]:
        kept = {
            key: raw for key, raw in members(element).items() if not _is_left_out(f"{rules.top}.{key}", rules.left_out)
        }
        row = _named(_leaves_of(kept, {})) if opens(element) == b"{" else {"value": compact(bytes(element))}
        if row:
            yield _beside_common(row)


class _Walk:
    """One row kind on its way through one result."""

    def __init__(self, kind: _Kind, steps: list[_Step]) -> None:
        self.rule = kind.rule
        self.copies = kind.copies
        self.steps = steps
        self._left_out: Mapping[str, str] = {}

    def rows(self, top: Mapping[str, msgspec.Raw], carried: Row, rules: RowRules) -> Iterator[Row]:
        """Every row of this kind under the opened top of a result."""
        if self.steps[0].key == "$":
            kept = {key: raw for key, raw in top.items() if not _is_left_out(f"{rules.top}.{key}", rules.left_out)}
            yield self._row({}, _named(_leaves_of(kept, {})), self.rule.kind or self.rule.empty)
            return
        self._left_out = rules.left_out
        for leaf, kind, parents in self._walk(top, self.steps, self.rule.kind, {}, ""):
            yield self._row(_named([*carried.items(), *parents.items()]), _own(leaf), kind)

    def _walk(
        self, level: Mapping[str, msgspec.Raw], steps: list[_Step], kind: str | None, parents: Row, name: str
    ) -> Iterator[tuple[msgspec.Raw | None, str, Row]]:
        """Each element at the end of the path, with its kind and what its parents carry; None for an empty level."""
        step, rest = steps[0], steps[1:]
        found = False
        for key, raw in level.items() if step.key == "*" else _only(level, step.key):
            word = (kind or key) if step.key == "*" else kind
            if step.key == "*" and self.rule.member:
                parents = {**parents, self.rule.member: encode(key)}
            here = name if step.key == "*" else f"{name}.{key}".lstrip(".")
            for element in elements(raw) if step.many and opens(raw) == b"[" else (raw,):
                if bytes(element) == b"null":
                    continue
                found = True
                if not rest or opens(element) != b"{":
                    yield element, word or here.rpartition(".")[2], parents
                else:
                    inside = members(element)
                    yield from self._walk(inside, rest, word, self._and_beside(parents, inside, here, rest[0]), here)
        if not found and name:
            yield None, self.rule.empty, parents

    def _and_beside(self, parents: Row, level: Mapping[str, msgspec.Raw], name: str, step: _Step) -> Row:
        return _named([*parents.items(), *_beside(level, name, step, self._left_out).items()])

    def _row(self, carried: Row, own: Row, kind: str) -> Row:
        for name, raw in carried.items():
            own[_free(name, own)] = raw
        row: Row = {"kind": encode(kind)}
        for column, places in self.copies:
            found = (place.of(own) for place in places)
            filled = next((raw for raw in found if raw not in {None, b"null", b'""'}), None)
            if filled is not None:
                row[column] = filled
        for column, names in self.rule.columns.items():
            taken = next((name for name in names if own.get(name, b"null") != b"null"), None)
            if taken is not None:
                row[column] = own.pop(taken)
        for name, raw in own.items():
            row[_free(name, row, COMMON_COLUMNS)] = raw
        return row


def _only(level: Mapping[str, msgspec.Raw], key: str) -> list[tuple[str, msgspec.Raw]]:
    return [(key, level[key])] if key in level else []


def _beside(level: Mapping[str, msgspec.Raw], name: str, step: _Step, left_out: Mapping[str, str]) -> Row:
    """What stands on a level beside the way down; a way through every member leaves nothing beside it."""
    if step.key == "*":
        return {}
    return _named(_leaves_of({f"{name}.{key}": raw for key, raw in level.items() if key != step.key}, left_out))


def _own(leaf: msgspec.Raw | None) -> Row:
    """An element's own fields; one that is no object is a field `value`."""
    if leaf is None:
        return {}
    return _named(_leaves_of(members(leaf), {})) if opens(leaf) == b"{" else {"value": compact(bytes(leaf))}


def _named(leaves: Iterable[tuple[str, bytes]]) -> Row:
    """Leaves as cells of one row, none over another where their names are the same."""
    row: Row = {}
    for name, raw in leaves:
        row[_free(name, row)] = raw
    return row


def _beside_common(own: Row) -> Row:
    row: Row = {}
    for name, raw in own.items():
        row[_free(name, row, COMMON_COLUMNS)] = raw
    return row


def _free(name: str, taken: Mapping[str, bytes], reserved: tuple[str, ...] = ()) -> str:
    """The name itself, or with marks behind it where another field has it already: nothing may be overwritten."""
    while name in taken or name in reserved:
        name += "~"
    return name


def _leaves_of(level: Mapping[str, msgspec.Raw], left_out: Mapping[str, str]) -> Iterator[tuple[str, bytes]]:
    for name, raw in level.items():
        if not _is_left_out(name, left_out):
            yield from _leaves(name, raw)


def _leaves(name: str, raw: msgspec.Raw) -> Iterator[tuple[str, bytes]]:
    """Every leaf under a value, dotted; lists and empty objects are leaves, as compact JSON."""
    inside = members(raw) if opens(raw) == b"{" else {}
    if not inside:
        yield name, compact(bytes(raw)) if opens(raw) in {b"[", b"{"} else bytes(raw)
    for key, member in inside.items():
        yield from _leaves(f"{name}.{key}" if name else key, member)


def _is_left_out(name: str, left_out: Mapping[str, str]) -> bool:
    return any(name == prefix or name.startswith(prefix + ".") for prefix in left_out)


def text(raw: bytes) -> str:
    """A JSON token as the text of a table cell: strings decoded, null empty, everything else as written."""
    if raw[:1] == b'"':
        decoded: str = decode(raw)
        return decoded
    return "" if raw == b"null" else raw.decode()
