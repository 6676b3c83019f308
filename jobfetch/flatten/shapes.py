"""Opens a long list of like elements at once: a typed decoder, made from the elements that were seen before.

It never guesses: a list that is not accounted for byte by byte is given back unopened, to be gone through one by one.
"""

from __future__ import annotations

from collections.abc import Callable, Iterable, Iterator, Sequence
from copy import deepcopy
from functools import reduce
from operator import attrgetter, or_
from typing import Any

import msgspec
from msgspec import Struct, field

from jobfetch.blocks import Column
from jobfetch.flatten.leaves import dotted
from jobfetch.model import compact, elements, encode, members, opens

#: Fields that a shape may have: more are data in the place of names.
MOST_FIELDS = 500
#: Lists that may fail before a shape is no longer tried, unless more have come out well.
PATIENCE = 16

#: key -> what stands there: more of it where it is an object, None where it is a leaf.
Tree = dict[str, Any]
_Path = tuple[str, ...]
#: What takes a member out of a struct, and the ways within the member where that is a struct as well.
Way = tuple[Callable[[Any], Any], Sequence["Way"] | None]


class Opened(Struct, frozen=True):
    """The elements of one list: how many, and a column for every field; empty where an element has none."""

    count: int
    fields: dict[str, Column]


class Fields(Struct):
    """The fields that elements have had so far, and how all of them are taken out of many elements at once."""

    #: what opens one element; it knows the fields of now
    struct: Any = None
    names: list[str] = field(default_factory=list)
    #: whether these are names: too many of them are data, and two may look the same
    fit: bool = True
    _tree: Tree = field(default_factory=dict)
    _ways: Sequence[Way] = ()
    #: bytes of an element that has every field, beside its tokens
    _weight: int = 0

    @property
    def keys(self) -> Iterable[str]:
        """The keys of the elements themselves."""
        return self._tree.keys()

    def learn(self, found: Iterable[msgspec.Raw]) -> bool:
        """Remember how elements look; whether there was anything new."""
        before = len(_paths(self._tree))
        for element in found:
            if opens(element) == b"{":
                _merge(self._tree, element)
        paths = _paths(self._tree)
        self.names = [reduce(dotted, path, "") for path in paths]
        self.fit = len(paths) <= MOST_FIELDS and len({*self.names}) == len(paths)
        if not self.fit or len(paths) == before:
            return False
        self._ways = _ways(self._tree)
        self._weight = _weight(self._tree, iter([Column.of([b"0"])] * len(paths)), 1)[1] + 1
        try:
            self.struct = _struct(self._tree)
        except ValueError:  # a key that the decoder cannot look for
            self.fit = False
        return True

    def copy(self) -> Fields:
        """The same fields, to learn more of."""
        return Fields(_tree=deepcopy(self._tree))

    def sample(self, tokens: Sequence[bytes]) -> bytes:
        """An element with these tokens, in the order of the names."""
        return _sample(self._tree, iter(tokens))

    def columns(self, found: Sequence[Any]) -> list[Column]:
        """A column for every field, of elements that were opened."""
        return [*columns_of(self._ways, found)]

    def accounted(self, count: int, columns: list[Column]) -> int:
        """How long the compact list must be that holds these tokens and nothing else: brackets and commas are in it."""
        tokens = sum(len(column.joined) for column in columns)
        if all(all(column.tokens) for column in columns):
            return 1 + tokens + count * (self._weight + 1)
        _, weight = _weight(self._tree, iter(columns), count)
        return 1 + tokens + weight + 2 * count


class Shape(Struct):
    """How the elements of a list have looked so far."""

    _fields: Fields = field(default_factory=Fields)
    _decoder: Any = None
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
            columns = self._fields.columns(found)
            if self._fields.accounted(len(found), columns) == len(raw) and all(map(are_leaves, columns)):
                named = zip(self._fields.names, columns, strict=True)
                return Opened(len(found), {name: column for name, column in named if column.joined})
            tight = compact(bytes(raw))
            if len(tight) < len(raw):
                return self.opened(tight)
        self._failed += 1
        return None

    def learn(self, raw: bytes | msgspec.Raw) -> bool:
        """Remember how the elements of a list look; whether there was anything new."""
        if self._failed > PATIENCE + self._tried // 2:
            return False
        news = self._fields.learn(elements(raw))
        if not self._fields.fit:
            self._failed, self._decoder = 1 << 62, None
        elif news:
            self._decoder = msgspec.json.Decoder(list[self._fields.struct])  # type: ignore[name-defined]
        return news and self._fields.fit


def columns_of(ways: Iterable[Way], found: Sequence[Any]) -> Iterator[Column]:
    """The columns of things that were opened."""
    for get, inside in ways:
        there = [*map(get, found)]
        if inside is None:
            yield Column.of(there)
        else:
            yield from columns_of(inside, there)


def are_leaves(column: Column) -> bool:
    """Whether no object hides among these tokens but empty ones."""
    if b"{" not in column.joined:
        return True
    return all(bytes(token) == b"{}" or bytes(token)[:1] != b"{" for token in column.tokens)


def _merge(tree: Tree, element: msgspec.Raw) -> None:
    for key, raw in members(element).items():
        inside = opens(raw) == b"{" and bool(members(raw))
        known = tree.setdefault(key, {} if inside else None)
        if inside and known is not None:
            _merge(known, raw)


def _paths(tree: Tree, above: _Path = ()) -> list[_Path]:
    return [
        path
        for key, inner in tree.items()
        for path in ([(*above, key)] if inner is None else _paths(inner, (*above, key)))
    ]


def _ways(tree: Tree) -> list[Way]:
    """The way to each leaf of a struct: fields are numbered, since a key may be any text."""
    return [
        (attrgetter(f"f{number}"), None if inner is None else _ways(inner))
        for number, inner in enumerate(tree.values())
    ]


def _struct(tree: Tree) -> type[msgspec.Struct]:
    fields: list[Any] = []
    for number, inner in enumerate(tree.values()):
        shape: Any = msgspec.Raw if inner is None else _struct(inner)
        fields.append((f"f{number}", shape, msgspec.field(default_factory=shape)))
    rename = {f"f{number}": key for number, key in enumerate(tree)}
    return msgspec.defstruct("Element", fields, rename=rename, forbid_unknown_fields=True, frozen=True, gc=False)


def _sample(tree: Tree, tokens: Iterator[bytes]) -> bytes:
    inside = (encode(k) + b":" + (next(tokens) if v is None else _sample(v, tokens)) for k, v in tree.items())
    return b"{" + b",".join(inside) + b"}"


def _weight(tree: Tree, columns: Iterator[Column], count: int) -> tuple[list[bool] | None, int]:
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
