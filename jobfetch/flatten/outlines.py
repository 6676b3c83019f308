"""How a whole result looks: the objects on the way down to its rows, what stands beside the way, and what opens all of it."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from operator import attrgetter
from typing import Any

import msgspec
from msgspec import Struct, field

from jobfetch.flatten.leaves import members_of
from jobfetch.flatten.rules import Step
from jobfetch.flatten.shapes import Tree, Way
from jobfetch.model import elements, encode, opens

Keys = tuple[str, ...]


class Many(Struct, frozen=True):
    """A list on the way down: what all of its elements look like, None where they are the rows."""

    tree: Tree | None


class Level(Struct, frozen=True):
    """The objects of one level above the rows: how their fields and the list below are taken out of them."""

    ways: list[Way]
    inside: Any
    names: list[Keys]
    #: bytes of an object beside its tokens and the list
    weight: int
    #: fields that steer the way, by number: they must be the same in every object
    fixed: dict[int, bytes]
    #: what fields are called in a row, by number; others are left out
    carried: dict[int, str]


class NoOutlineError(Exception):
    """A result that is gone through one by one: what is on its way is not alike."""


class Seen(Struct):
    """What one result holds: the rows and where they are, and the tokens beside the way."""

    rows: list[msgspec.Raw] = field(default_factory=list)
    place: Keys = ()
    tokens: dict[Keys, set[bytes]] = field(default_factory=dict)

    def tree(self, raw: bytes | msgspec.Raw, steps: Sequence[Step], keys: Keys) -> Tree:
        """How an object on the way looks. `NoOutlineError` where it holds anything that is not alike."""
        inside = members_of(raw, "")
        key = next(iter(inside), "") if steps[0].key == "*" and len(inside) == 1 else steps[0].key
        if key not in inside or steps[0].beside:
            raise NoOutlineError
        return {
            name: self._below(value, steps, (*keys, name)) if name == key else self._beside(value, (*keys, name))
            for name, value in inside.items()
        }

    def _below(self, raw: msgspec.Raw, steps: Sequence[Step], keys: Keys) -> Tree | Many:
        rest = steps[1:]
        if not steps[0].many and rest:
            return self.tree(raw, rest, keys)
        found = elements(raw) if steps[0].many else []
        if not found:
            raise NoOutlineError
        if not rest:
            self.rows += found
            self.place = keys
            return Many(None)
        trees = [self.tree(element, rest, keys) for element in found]
        if any(each != trees[0] for each in trees):
            raise NoOutlineError
        return Many(trees[0])

    def _beside(self, raw: msgspec.Raw, keys: Keys) -> Tree | None:
        inside = members_of(raw, "") if opens(raw) == b"{" else {}
        if not inside:
            self.tokens.setdefault(keys, set()).add(bytes(raw))
            return None
        return {key: self._beside(value, (*keys, key)) for key, value in inside.items()}


def struct_of(tree: Tree, row: Any) -> type[msgspec.Struct]:
    """What opens an object on the way: it has these members, all of them and no others."""

    def shape(inner: Any) -> Any:
        if isinstance(inner, Many):
            return list[row if inner.tree is None else struct_of(inner.tree, row)]  # type: ignore[misc]
        return msgspec.Raw if inner is None else struct_of(inner, row)

    fields = [(f"f{number}", shape(inner)) for number, inner in enumerate(tree.values())]
    rename = {f"f{number}": key for number, key in enumerate(tree)}
    return msgspec.defstruct("Object", fields, rename=rename, forbid_unknown_fields=True, frozen=True, gc=False)


def sample_of(tree: Tree, keys: Keys, tokens: dict[Keys, bytes], row: bytes) -> bytes:
    """One result of a form, with these tokens and one row."""

    def value(inner: Any, here: Keys) -> bytes:
        if isinstance(inner, Many):
            return b"[" + (row if inner.tree is None else sample_of(inner.tree, here, tokens, row)) + b"]"
        return tokens[here] if inner is None else sample_of(inner, here, tokens, row)

    return b"{" + b",".join(encode(key) + b":" + value(tree[key], (*keys, key)) for key in tree) + b"}"


class _Found(Struct):
    """What an object on the way holds: where its fields and its list stand in the struct."""

    places: list[str] = field(default_factory=list)
    names: list[Keys] = field(default_factory=list)
    weight: int = 0
    inside: str = ""
    below: tuple[Tree | None, Keys] = (None, ())


def levels_of(tree: Tree, keys: Keys, fixed: dict[Keys, bytes], called: dict[Keys, str]) -> Iterator[Level]:
    """The levels from here down; `fixed` are the tokens of the fields that steer the way, `called` what fields are called."""
    found = _Found()
    _look(tree, keys, "", found)
    yield Level(
        ways=[(attrgetter(place), None) for place in found.places],
        inside=attrgetter(found.inside),
        names=found.names,
        weight=found.weight,
        fixed={number: fixed[name] for number, name in enumerate(found.names) if name in fixed},
        carried={number: called[name] for number, name in enumerate(found.names) if name in called},
    )
    below, here = found.below
    if below is not None:
        yield from levels_of(below, here, fixed, called)


def _look(tree: Tree, keys: Keys, above: str, found: _Found) -> None:
    # an object of n members has n names and colons, n - 1 commas and two braces
    found.weight += 1
    for number, (key, inner) in enumerate(tree.items()):
        place, here = f"{above}f{number}", (*keys, key)
        found.weight += len(encode(key)) + 2
        if isinstance(inner, Many):
            found.inside, found.below = place, (inner.tree, here)
        elif inner is None:
            found.places.append(place)
            found.names.append(here)
        else:
            _look(inner, here, f"{place}.", found)
