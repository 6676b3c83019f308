"""A JSON value on the way to its rows: opened where it is looked into, and then once only."""

from __future__ import annotations

from collections.abc import Iterator
from functools import cached_property

import msgspec

from jobfetch.flatten.leaves import members_of
from jobfetch.model import elements, opens


class Node:
    """A value, and where it stands."""

    def __init__(self, raw: bytes | msgspec.Raw, name: str = "") -> None:
        self.raw: bytes | msgspec.Raw = raw
        self.name = name
        #: the first byte, which tells its kind
        self.opens = opens(raw)

    @cached_property
    def members(self) -> dict[str, Node]:
        """The members of an object, none of them lost; nothing for any other value."""
        name = f"{self.name}." if self.name else ""
        return {key: Node(raw, name + key) for key, raw in members_of(self.raw, self.name).items()}

    @cached_property
    def elements(self) -> list[Node]:
        """The elements of a list; nothing for any other value."""
        return [Node(raw, self.name) for raw in elements(self.raw)]

    def each(self, *, many: bool) -> Iterator[Node]:
        """The elements where a list of many is meant, else the value itself; null is nothing."""
        found = self.elements if many and self.opens == b"[" else [self]
        return (node for node in found if node.opens != b"n")

    def windows(self) -> Iterator[bytes | msgspec.Raw]:
        """A list as lists of so many elements that they are held easily."""
        yield self.raw
