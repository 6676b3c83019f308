"""Every leaf under a value, dotted, and none over another; a key that stands twice in an object is an error."""

from __future__ import annotations

import json
from collections.abc import Iterable, Iterator, Mapping

import msgspec

from jobfetch.blocks import Row
from jobfetch.errors import BadReply
from jobfetch.model import Json, compact, encode, members, opens
from jobfetch.spec import COMMON_COLUMNS


def members_of(raw: bytes | msgspec.Raw, name: str) -> dict[str, msgspec.Raw]:
    """The members of an object, none of them lost; nothing for any other value. `name` is said where a key is there twice."""
    inside = members(raw)
    if inside and not _are_all(raw, inside):
        # white space may be what is not accounted for: without it, few are looked through by what knows every pair
        tight = compact(bytes(raw))
        if not _are_all(tight, members(tight)):
            _refuse_twice(tight, name)
    return inside


def _are_all(raw: bytes | msgspec.Raw, inside: Mapping[str, msgspec.Raw]) -> bool:
    """Whether every byte is accounted for: then no member hides behind another of its name."""
    return len(raw) == len(encode([*inside])) + len(inside) + sum(map(len, inside.values()))


def _refuse_twice(raw: bytes, name: str) -> None:
    def once(pairs: list[tuple[str, Json]]) -> dict[str, Json]:
        found = dict(pairs)
        if len(found) != len(pairs):
            keys = [key for key, _ in pairs]
            twice = next(key for key in keys if keys.count(key) > 1)
            raise BadReply(
                f"the key {twice!r} stands twice in one object{f' ({name})' if name else ''}: which one is meant?",
                hint="-f raw and -f json keep it as it was sent",
            )
        return found

    json.loads(raw, object_pairs_hook=once, parse_int=str, parse_float=str)


def leaves_of(level: Mapping[str, bytes | msgspec.Raw], left_out: Mapping[str, str]) -> Iterator[tuple[str, bytes]]:
    """Every leaf under the members of a level that are not left out."""
    for name, raw in level.items():
        if not is_left_out(name, left_out):
            yield from leaves(name, raw)


def leaves(name: str, raw: bytes | msgspec.Raw) -> Iterator[tuple[str, bytes]]:
    """Every leaf under a value, dotted; lists and empty objects are leaves, as compact JSON."""
    first = opens(raw)
    inside = members_of(raw, name) if first == b"{" else {}
    if not inside:
        yield name, compact(bytes(raw)) if first in {b"[", b"{"} else bytes(raw)
    for key, member in inside.items():
        yield from leaves(dotted(name, key), member)


def dotted(name: str, key: str) -> str:
    """The name of a member."""
    return f"{name}.{key}" if name else key


def is_left_out(name: str, left_out: Mapping[str, str]) -> bool:
    """Whether a name, or what it stands under, is left out of rows."""
    while name:
        if name in left_out:
            return True
        name = name.rpartition(".")[0]
    return False


def own_leaves(element: bytes | msgspec.Raw) -> Row:
    """An element's own fields; one that is no object is a field `value`."""
    if opens(element) == b"{":
        return together(leaf for key, member in members_of(element, "").items() for leaf in leaves(key, member))
    return {"value": compact(bytes(element))}


def together(cells: Iterable[tuple[str, bytes]], reserved: tuple[str, ...] = ()) -> Row:
    """Leaves as cells of one row, none over another where their names are the same."""
    row: Row = {}
    for name, raw in cells:
        row[free(name, row, reserved)] = raw
    return row


def beside_common(own: Row) -> Row:
    """The same cells, none of them in a common column."""
    return together(own.items(), COMMON_COLUMNS)


def free(name: str, taken: Mapping[str, bytes], reserved: tuple[str, ...] = ()) -> str:
    """The name itself, or with marks behind it where another field has it already: nothing may be overwritten."""
    while name in taken or name in reserved:
        name += "~"
    return name
