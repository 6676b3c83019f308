"""Opens a long list of like elements at once: a typed decoder, made from the elements that were seen before.

It never guesses: a list that is not accounted for byte by byte is given back unopened, to be gone through one by one.
"""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from dataclasses import dataclass, field
from operator import attrgetter, or_
from typing import Any

import msgspec

from jobfetch.blocks import Column, Token
from jobfetch.model import elements, encode, members, opens

#: Fields that a shape may have: more are data in the place of names.
MOST_FIELDS = 500
#: Lists that may fail before a shape is no longer tried, unless more have come out well.
PATIENCE = 16

#: key -> what stands there: more of it where it is an object, None where it is a leaf.
_Tree = dict[str, Any]
_Path = tuple[str, ...]


@dataclass(frozen=True, slots=True)
class Opened:
    """The elements of one list: how many, and a column for every field; empty where an element has none."""

    count: int
    fields: dict[str, Column]


@dataclass(slots=True)
class Shape:
    """How the elements of a list have looked so far."""

    _tree: _Tree = field(default_factory=dict)
    _names: list[str] = field(default_factory=list)
    _decoder: Any = None
    _get: Any = None
    #: bytes of an element that has every field, beside its tokens
    _weight: int = 0
    _tried: int = 0
    _failed: int = 0

    def opened(self, raw: bytes | msgspec.Raw) -> Opened | None:
        """A list, opened; None where its elements must be gone through one by one."""
        if self._decoder is None or self._failed > PATIENCE + self._tried // 2:
            return None
        self._tried += 1
        try:
            found = self._decoder.decode(raw)
        except msgspec.MsgspecError:
            found = None
        if found:
            rows = map(self._get, found)
            tokens: list[Sequence[Token]] = [*zip(*rows, strict=True)] if len(self._names) > 1 else [[*rows]]
            columns = [*map(Column.of, tokens)]
            if self._accounted(len(found), columns) == len(raw) and all(map(_are_leaves, columns)):
                return Opened(len(found), {n: c for n, c in zip(self._names, columns, strict=True) if c.joined})
        self._failed += 1
        return None

    def _accounted(self, count: int, columns: list[Column]) -> int:
        """How long the compact list must be that holds these tokens and nothing else: brackets and commas are in it."""
        tokens = sum(len(column.joined) for column in columns)
        if all(all(column.tokens) for column in columns):
            return 1 + tokens + count * (self._weight + 1)
        _, weight = _weight(self._tree, iter(columns), count)
        return 1 + tokens + weight + 2 * count

    def learn(self, raw: bytes | msgspec.Raw) -> bool:
        """Remember how the elements of a list look; whether there was anything new."""
        if self._failed > PATIENCE + self._tried // 2:
            return False
        before = len(_paths(self._tree))
        for element in elements(raw):
            if opens(element) == b"{":
                _merge(self._tree, element)
        paths = _paths(self._tree)
        self._names = [".".join(path) for path in paths]
        if len(paths) > MOST_FIELDS or len({*self._names}) < len(paths):
            self._failed, self._decoder = 1 << 62, None
            return False
        if len(paths) > before:
            self._get = attrgetter(*_places(self._tree))
            self._weight = _weight(self._tree, iter([Column.of([b"0"])] * len(paths)), 1)[1] + 1
            try:
                self._decoder = msgspec.json.Decoder(list[_struct(self._tree)])  # type: ignore[misc]
            except ValueError:  # a key that the decoder cannot look for
                self._failed, self._decoder = 1 << 62, None
        return len(paths) > before


def _are_leaves(column: Column) -> bool:
    """Whether no object hides among these tokens but empty ones."""
    if b"{" not in column.joined:
        return True
    return all(bytes(token) == b"{}" or bytes(token)[:1] != b"{" for token in column.tokens)


def _merge(tree: _Tree, element: msgspec.Raw) -> None:
    for key, raw in members(element).items():
        inside = opens(raw) == b"{" and bool(members(raw))
        known = tree.setdefault(key, {} if inside else None)
        if inside and known is not None:
            _merge(known, raw)


def _paths(tree: _Tree, above: _Path = ()) -> list[_Path]:
    return [
        path
        for key, inner in tree.items()
        for path in ([(*above, key)] if inner is None else _paths(inner, (*above, key)))
    ]


def _places(tree: _Tree, above: str = "") -> list[str]:
    """Where each leaf stands in the struct: fields are numbered, since a key may be any text."""
    return [
        place
        for number, inner in enumerate(tree.values())
        for place in ([f"{above}f{number}"] if inner is None else _places(inner, f"{above}f{number}."))
    ]


def _struct(tree: _Tree) -> type[msgspec.Struct]:
    fields: list[Any] = []
    for number, inner in enumerate(tree.values()):
        shape: Any = msgspec.Raw if inner is None else _struct(inner)
        fields.append((f"f{number}", shape, msgspec.field(default_factory=shape)))
    rename = {f"f{number}": key for number, key in enumerate(tree)}
    return msgspec.defstruct("Element", fields, rename=rename, forbid_unknown_fields=True, frozen=True, gc=False)


def _weight(tree: _Tree, columns: Iterator[Column], count: int) -> tuple[list[bool] | None, int]:
    """In which elements an object is there (None: in all), and the bytes of its members' names, colons and commas.

    An object of n members takes n names, n colons, n - 1 commas and two braces: two marks a member, and one more, which
    is counted where the object itself is a member.
    """
    anywhere: list[bool] | None = [False] * count
    total = 0
    for key, inner in tree.items():
        if inner is None:
            tokens = next(columns).tokens
            there = None if all(tokens) else [bool(token) for token in tokens]
        else:
            there, inside = _weight(inner, columns, count)
            total += inside + (count if there is None else sum(there))
        total += (len(encode(key)) + 2) * (count if there is None else sum(there))
        anywhere = None if there is None or anywhere is None else [*map(or_, anywhere, there)]
    return anywhere, total
