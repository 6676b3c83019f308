"""Rows on their way from a result into a table: many at once, column by column, in the service's own JSON tokens.

It knows no rule and no format: `flatten` makes blocks, `export` writes them.
"""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Mapping, Sequence
from functools import cached_property
from itertools import chain, repeat
from typing import Any, Protocol, Self, TypeVar

import msgspec
from msgspec import Struct, field

from jobfetch.errors import BadReply
from jobfetch.model import decode

#: A JSON value as the service wrote it; empty where a row has none.
Token = bytes | msgspec.Raw

_Any = TypeVar("_Any")

#: One row: column -> the service's own JSON token.
Row = dict[str, bytes]


class Column(Struct, frozen=True, dict=True):
    """A token a row, and all of them one behind the other: much can be told of that at once.

    Where tokens come several times in a row, `few` holds each once, `joined` is made of these, and `times` tells how often
    each comes.
    """

    tokens: Sequence[Token]
    joined: bytes
    few: Sequence[Token]
    times: Sequence[int] | None = None

    @cached_property
    def lengths(self) -> bytes | None:
        """How long each of the few is, a byte each; None where one is longer than that tells."""
        try:
            return bytes(map(len, self.few))
        except ValueError:
            return None

    def all_within(self, most: int) -> bool:
        """Whether none of the tokens is longer."""
        lengths = self.lengths
        return (
            max(map(len, self.few)) <= most if lengths is None else not lengths.translate(None, bytes(range(most + 1)))
        )

    @classmethod
    def of(cls, tokens: Sequence[Token]) -> Self:
        """A column of these tokens."""
        return cls(tokens, b"".join(tokens), tokens)

    @classmethod
    def spread(cls, few: Sequence[Token], times: Sequence[int]) -> Self:
        """A column in which each of these tokens comes so many times."""
        return cls(repeated(few, times), b"".join(few), few, times)

    def replaced(self, few: Sequence[Token]) -> Self:
        """The same column with other tokens in the place of its few."""
        return self.of(few) if self.times is None else self.spread(few, self.times)


def repeated(few: Iterable[_Any], times: Iterable[int]) -> list[_Any]:
    """Each of these so many times."""
    return [*chain.from_iterable(map(repeat, few, times))]


class Block(Struct, frozen=True):
    """Rows of one job that follow each other: what all of them share, and a token a row for every other column.

    An empty token stands for a column that a row does not have, which is not the same as null.
    """

    count: int
    same: Mapping[str, bytes]
    own: Mapping[str, Column] = field(default_factory=dict)

    def columns(self) -> Iterator[str]:
        """The columns of these rows, in no order."""
        yield from self.same
        yield from self.own

    def tokens(self, name: str) -> Sequence[Token]:
        """The token of a column in every row."""
        return self.own[name].tokens if name in self.own else [self.same.get(name, b"")] * self.count

    def job_of(self, number: int) -> str:
        """The job that a row belongs to; nothing where it does not tell."""
        return text(self.tokens("job_id")[number])

    def rows(self) -> Iterator[Row]:
        """Each row for itself."""
        for number in range(self.count):
            own = {name: bytes(column.tokens[number]) for name, column in self.own.items()}
            yield {**self.same, **{name: token for name, token in own.items() if token}}


def blocks(rows: Iterable[Row]) -> Iterator[Block]:
    """Rows as blocks of one."""
    return (Block(1, row) for row in rows)


#: Bytes of tokens, and blocks, that are made one, whichever is reached first.
_FULL = 64 * 1024
_MANY = 1000


def fewer(source: Iterable[Block]) -> Iterator[Block]:
    """The same rows in blocks as large as is good for those who go through them column by column."""
    some: list[Block] = []
    size = 0
    for block in source:
        some.append(block)
        size += sum(map(len, block.same.values())) + sum(len(column.joined) for column in block.own.values())
        if size >= _FULL or len(some) >= _MANY:
            yield _as_one(some)
            some, size = [], 0
    if some:
        yield _as_one(some)


def _as_one(some: Sequence[Block]) -> Block:
    """The rows of all these blocks."""
    if len(some) == 1:
        return some[0]
    same: dict[str, bytes] = {}
    own: dict[str, Column] = {}
    for name in dict.fromkeys(name for block in some for name in block.columns()):
        first = some[0].same.get(name)
        if first is not None and all(block.same.get(name) == first for block in some):
            same[name] = first
        else:
            own[name] = Column.of([*chain.from_iterable(block.tokens(name) for block in some)])
    return Block(sum(block.count for block in some), same, own)


class Source(Protocol):
    """Where blocks come from: stretches that can be walked anew, each by itself, and in other processes as well."""

    @property
    def processes(self) -> int:
        """How many processes are worth having."""

    def stretches(self) -> Iterable[Any]:
        """All stretches; the same each time."""

    def blocks(self, stretch: Any) -> Iterable[Block]:
        """The rows of a stretch."""

    def through(self, stretch: Any) -> None:
        """Hear that the rows of a stretch have been taken up."""


class Held(Struct, frozen=True):
    """Blocks that are in memory already."""

    rows: Sequence[Block]
    processes: int = 1

    def stretches(self) -> Iterable[Sequence[Block]]:
        """All of them are one stretch."""
        return (self.rows,)

    def blocks(self, stretch: Sequence[Block]) -> Iterable[Block]:
        """The blocks."""
        return stretch

    def through(self, stretch: Sequence[Block]) -> None:
        """Nobody is told."""


def text(token: Token) -> str:
    """A JSON token as the text of a table cell: strings decoded, null empty, everything else as written.

    `BadReply` where the text cannot be written down: half of a surrogate pair is no character.
    """
    raw = bytes(token)
    if raw[:1] != b'"':
        return "" if raw == b"null" else raw.decode()
    if b"\\" not in raw:
        return raw[1:-1].decode()
    try:
        decoded: str = decode(raw)
    except BadReply:
        raise BadReply("holds half of a surrogate pair, which is no character", hint=HALF_HINT) from None
    return decoded


HALF_HINT = "-f ndjson keeps it as it was sent, and so does the record"
