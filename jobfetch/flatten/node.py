"""A JSON value on the way to its rows: opened where it is looked into, and then once only."""

from __future__ import annotations

import re
from collections.abc import Iterable, Iterator, Mapping
from functools import cached_property

import msgspec

from jobfetch.flatten.leaves import members_of
from jobfetch.flatten.long import ELSEWHERE, WINDOW, Large, Span, cut
from jobfetch.model import elements, encode, opens

Result = bytes | Large
_LIST = ord("[")


class Node:
    """A value, and where it stands. A long list may lie elsewhere: then it is read whenever it is walked."""

    def __init__(self, raw: bytes | msgspec.Raw, name: str = "", spans: Mapping[str, Span] | None = None) -> None:
        self.raw: bytes | msgspec.Raw = raw
        self.name = name
        #: the first byte, which tells its kind
        self.opens = opens(raw)
        self._spans = spans

    @classmethod
    def of(cls, result: Result) -> Node:
        """The top of a result."""
        return cls(result.short, spans=result.spans) if isinstance(result, Large) else cls(result)

    @cached_property
    def members(self) -> dict[str, Node]:
        """The members of an object, none of them lost; nothing for any other value."""
        name = f"{self.name}." if self.name else ""
        return {key: Node(raw, name + key, self._spans) for key, raw in members_of(self.raw, self.name).items()}

    @cached_property
    def elements(self) -> Iterable[Node]:
        """The elements of a list; nothing for any other value."""
        return _Elements(self, self._span) if self._span else [Node(raw, self.name) for raw in elements(self.raw)]

    def each(self, *, many: bool) -> Iterator[Node]:
        """The elements where a list of many is meant, else the value itself; null is nothing."""
        found = self.elements if many and self.opens == b"[" else [self]
        return (node for node in found if node.opens != b"n")

    def may_hold(self, key: str) -> bool:
        """Whether this key may stand anywhere in a value: it does not where none of its bytes do, and none is escaped."""
        found = re.compile(re.escape(encode(key)) + rb"|\\")
        held = self._span.windows() if self._span else [self.raw]
        return any(found.search(memoryview(each)) for each in held)

    def windows(self) -> Iterator[bytes | msgspec.Raw]:
        """A list as lists of so many elements that they are held easily."""
        if self._span:
            return self._span.windows()
        if len(self.raw) <= WINDOW or self.opens != b"[":
            return iter([bytes(self.raw)])
        # no copy of what is long is made
        view = memoryview(self.raw)
        begins = next(number for number in range(len(view)) if view[number] == _LIST) + 1
        return (window for window, _ in cut(lambda start, size: bytes(view[start : start + size]), begins))

    @property
    def _span(self) -> Span | None:
        return self._spans.get(self.name) if self._spans and bytes(self.raw) == ELSEWHERE else None


class _Elements:
    """The elements of a list that lies elsewhere, read anew whenever they are walked."""

    def __init__(self, node: Node, span: Span) -> None:
        self._name = node.name
        self._span = span

    def __iter__(self) -> Iterator[Node]:
        return (Node(raw, self._name) for window in self._span.windows() for raw in elements(window))
