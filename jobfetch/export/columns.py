"""The columns of a table: their names in order, what they hold, and the types that follow."""

from __future__ import annotations

import math
import re
from collections.abc import Mapping, Sequence
from enum import IntFlag

from msgspec import Struct, field

from jobfetch.blocks import Block, Column, Token
from jobfetch.spec import COMMON_COLUMNS, NUMBER_COLUMNS

_NUMERIC = b"0123456789+-.eE"
_INTEGER = b"0123456789-"
#: A number of so few bytes has at most 15 digits: a double gives every one of them back.
_SURELY_DOUBLE = 15
_SURELY_INT64 = 18
_POWER = re.compile(rb"[eE]")
_INT64 = range(-(1 << 63), 1 << 63)


class Kinds(IntFlag):
    """What kinds of JSON value were seen in a column."""

    NONE = 0
    NULL = 1
    BOOLEAN = 2
    INTEGER = 4
    NUMBER = 8
    TEXT = 16
    #: lists and empty objects, as compact JSON
    NESTED = 32
    #: numbers that neither int64 nor double give back as they are
    UNFIT = 64
    #: integers that int64 gives back, and double does not
    WIDE = 128


# plain numbers: they are put together for every column of every block
_INT, _FLOAT, _TEXT = int(Kinds.INTEGER), int(Kinds.NUMBER), int(Kinds.TEXT)
_BY_FIRST: dict[bytes, int] = {b'"': _TEXT, b"n": int(Kinds.NULL)}
_BY_FIRST |= dict.fromkeys((b"[", b"{"), int(Kinds.NESTED)) | dict.fromkeys((b"t", b"f"), int(Kinds.BOOLEAN))
_TOLD_BY_FIRST = frozenset({*_BY_FIRST, b""})


def are_plain(joined: bytes, tokens: Sequence[Token]) -> bool:
    """Whether tokens, which stand one behind the other in `joined`, are strings, and none of them needs decoding.

    Where nothing is escaped, a string has two quotes; a list or an object may have any number.
    """
    if joined[:1] != b'"' or b"\\" in joined or joined.count(b'"') < 2 * len(tokens):
        return False
    if b"[" in joined or b"{" in joined:
        return all(bytes(token)[:1] == b'"' for token in tokens)
    return joined.count(b'"') == 2 * len(tokens)


def is_numeric(joined: bytes) -> bool:
    """Whether tokens that stand one behind the other are numbers, all of them."""
    return not joined.translate(None, _NUMERIC)


def kinds_of(column: Column, *, exact: bool) -> int:
    """What kinds of value these are, the same however many are looked at together.

    `exact` looks at every digit of a number that a double may not give back; whether int64 holds an integer is always seen.
    """
    joined, tokens = column.joined, column.few
    if is_numeric(joined):
        if not joined:
            return Kinds.NONE
        if joined.translate(None, _INTEGER):
            return _FLOAT | _odd(column, exact=exact)
        if b"-0" not in joined:
            return _INT if column.all_within(_SURELY_DOUBLE) else _INT | _long(tokens, exact=exact)
    elif are_plain(joined, tokens):
        return _TEXT
    first = {bytes(token)[:1] for token in tokens}
    if first <= _TOLD_BY_FIRST:
        return sum({_BY_FIRST.get(each, 0) for each in first})
    found = 0
    for token in tokens:
        found |= kind_of(bytes(token), exact=exact)
    return found


def _long(tokens: Sequence[Token], *, exact: bool) -> int:
    """What the long ones of these numbers are."""
    found = 0
    for token in tokens:
        found |= kind_of(bytes(token), exact=exact) if len(token) > _SURELY_DOUBLE else 0
    return found


def _odd(column: Column, *, exact: bool) -> int:
    """What the numbers are that need a look of their own: long ones, and those with a power of ten where it is exact.

    Where each has a point, none is an integer.
    """
    found, joined, tokens = 0, column.joined, column.few
    if (exact or joined.count(b".") < len(tokens)) and not column.all_within(_SURELY_DOUBLE):
        found |= _long(tokens, exact=exact)
    if exact and (b"e" in joined or b"E" in joined):
        text = b",".join(tokens)
        for power in _POWER.finditer(text):
            start, end = text.rfind(b",", 0, power.start()) + 1, text.find(b",", power.end())
            found |= kind_of(text[start : end if end >= 0 else None], exact=True)
    return found


def kind_of(token: bytes, *, exact: bool) -> int:
    """What kind of value one token is."""
    if not token:
        return Kinds.NONE
    known = _BY_FIRST.get(token[:1])
    if known is not None:
        return known
    integer = not token.translate(None, _INTEGER)
    # minus zero is a double: no integer gives it back
    if integer and token != b"-0":
        if len(token) <= _SURELY_DOUBLE:
            return _INT
        if len(token) > _SURELY_INT64 and int(token[:64]) not in _INT64:
            return _INT | Kinds.UNFIT
        return _INT if int(float(token)) == int(token) else _INT | Kinds.WIDE
    short = len(token) <= _SURELY_DOUBLE and b"e" not in token and b"E" not in token
    return _FLOAT if not exact or short or _is_double(token) else _FLOAT | Kinds.UNFIT


def _is_double(token: bytes) -> bool:
    """Whether a double gives a number back, digit for digit: as many as the service wrote."""
    value = float(token)
    return math.isfinite(value) and _digits(token) == _digits(repr(value).encode())


def _digits(token: bytes) -> tuple[bool, bytes, int]:
    """Sign, digits without zeros around them, and the power of ten of the last: equal for equal numbers."""
    mantissa, _, power = token.lower().partition(b"e")
    whole, _, part = mantissa.lstrip(b"-+").partition(b".")
    digits = (whole + part).lstrip(b"0")
    kept = digits.rstrip(b"0")
    if not kept:
        return mantissa.startswith(b"-"), b"", 0
    # a power of so many digits belongs to no double
    exponent = int(power[:20] or b"0") - len(part) + len(digits) - len(kept)
    return mantissa.startswith(b"-"), kept, exponent


class Survey(Struct):
    """What the rows of a table hold, found as they pass: which columns there are, and what is in them."""

    exact: bool = False
    rows: int = 0
    seen: dict[str, int] = field(default_factory=lambda: dict.fromkeys(COMMON_COLUMNS, 0))
    #: tokens that are the same in block after block, looked at once
    _known: dict[str, bytes] = field(default_factory=dict)

    def add(self, block: Block) -> bool:
        """Take notice of some rows; whether they hold anything that those before did not."""
        self.rows += block.count
        known = self._known
        found: dict[str, int] = {}
        for name, token in block.same.items():
            if known.get(name) != token:
                known[name] = token
                found[name] = kind_of(token, exact=self.exact)
        for name, column in block.own.items():
            found[name] = kinds_of(column, exact=self.exact)
        return self.merge(found)

    def merge(self, found: Mapping[str, int]) -> bool:
        """Take notice of what other rows hold; whether that is news."""
        seen, news = self.seen, False
        for name, kinds in found.items():
            before = seen.get(name)
            if before is None or kinds & ~before:
                seen[name] = (before or 0) | kinds
                news = True
        return news

    def copy(self) -> Survey:
        """The same, to be told of other rows."""
        return Survey(self.exact, self.rows, dict(self.seen))

    def kinds(self, name: str) -> Kinds:
        """What was seen in a column."""
        return Kinds(self.seen.get(name, 0))

    def columns(self, chosen: Sequence[str] = ()) -> list[str]:
        """Those that were chosen, in their order; else the common ones, then every other by name."""
        return list(chosen) or [*COMMON_COLUMNS, *sorted(set(self.seen) - set(COMMON_COLUMNS))]

    def types(self, chosen: Sequence[str] = ()) -> dict[str, str]:
        """The type of each of these columns."""
        return {name: type_of(name, self.kinds(name)) for name in self.columns(chosen)}


def type_of(name: str, kinds: Kinds) -> str:
    """The type of a column: `string`, `int64`, `double`, `boolean` or `json`; text wherever nothing else holds it all.

    The common columns are declared, so that a table without a single score has the same type for it.
    """
    held = kinds & ~Kinds.NULL
    if name in COMMON_COLUMNS:
        declared = NUMBER_COLUMNS.get(name, "string")
        fits = _TYPES[declared] if declared in NUMBER_COLUMNS.values() else held
        return declared if held & ~fits == Kinds.NONE else "string"
    for word, fits in _TYPES.items():
        if held & ~fits == Kinds.NONE:
            return word
    return "string"


_TYPES: Mapping[str, Kinds] = {
    "string": Kinds.NONE,
    "boolean": Kinds.BOOLEAN,
    "int64": Kinds.INTEGER | Kinds.WIDE,
    "double": Kinds.INTEGER | Kinds.NUMBER,
    "json": Kinds.NESTED,
}
