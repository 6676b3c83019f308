"""Rows on their way from a result into a table: many at once, column by column, in the service's own JSON tokens.

It knows no rule and no format: `flatten` makes blocks, `export` writes them.
"""

from __future__ import annotations

from collections.abc import Callable, Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass, field
from itertools import chain, repeat
from typing import Self

import msgspec

from jobfetch.errors import BadReply
from jobfetch.model import decode

#: A JSON value as the service wrote it; empty where a row has none.
Token = bytes | msgspec.Raw

#: One row: column -> the service's own JSON token.
Row = dict[str, bytes]


@dataclass(frozen=True, slots=True)
class Column:
    """A token a row, and all of them one behind the other: much can be told of that at once.

    Where tokens come several times in a row, `few` holds each once, `joined` is made of these, and `times` tells how often
    each comes.
    """

    tokens: Sequence[Token]
    joined: bytes
    few: Sequence[Token]
    times: Sequence[int] | None = None

    @classmethod
    def of(cls, tokens: Sequence[Token]) -> Self:
        """A column of these tokens."""
        return cls(tokens, b"".join(tokens), tokens)

    @classmethod
    def spread(cls, few: Sequence[Token], times: Sequence[int]) -> Self:
        """A column in which each of these tokens comes so many times."""
        return cls(repeated(few, times), b"".join(few), few, times)

    def changed(self, change: Callable[[Token], Token]) -> Self:
        """The same column with every token changed."""
        few = [*map(change, self.few)]
        return self.of(few) if self.times is None else self.spread(few, self.times)


def repeated(few: Iterable[Token], times: Iterable[int]) -> list[Token]:
    """Each of these tokens so many times."""
    return [*chain.from_iterable(map(repeat, few, times))]


@dataclass(frozen=True, slots=True)
class Block:
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

    def rows(self) -> Iterator[Row]:
        """Each row for itself."""
        for number in range(self.count):
            own = {name: bytes(column.tokens[number]) for name, column in self.own.items()}
            yield {**self.same, **{name: token for name, token in own.items() if token}}


def blocks(rows: Iterable[Row]) -> Iterator[Block]:
    """Rows as blocks of one."""
    return (Block(1, row) for row in rows)


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
