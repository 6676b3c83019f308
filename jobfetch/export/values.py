"""JSON tokens as the values of formats with types: text, int64, double, boolean, null."""

from __future__ import annotations

from collections.abc import Callable, Mapping

from jobfetch.blocks import Block, Token
from jobfetch.export.lines import said

#: Reads a token of a column; the block says whose it is.
Read = Callable[[Token, str, Block], object]


def readers(types: Mapping[str, str]) -> dict[str, Read]:
    """How the tokens of each column are read."""
    return {name: _READERS[kind] for name, kind in types.items()}


def _text(token: Token, name: str, block: Block) -> str | None:
    raw = bytes(token)
    if raw in {b"", b"null"}:
        return None
    return said(raw, name, block).decode() if raw[:1] == b'"' else raw.decode()


def _int64(token: Token, _: str, __: Block) -> int | None:
    raw = bytes(token)
    return None if raw in {b"", b"null"} else int(raw)


def _double(token: Token, _: str, __: Block) -> float | None:
    raw = bytes(token)
    return None if raw in {b"", b"null"} else float(raw)


def _boolean(token: Token, _: str, __: Block) -> bool | None:
    raw = bytes(token)
    return None if raw in {b"", b"null"} else raw == b"true"


_READERS: dict[str, Read] = {"string": _text, "json": _text, "int64": _int64, "double": _double, "boolean": _boolean}
