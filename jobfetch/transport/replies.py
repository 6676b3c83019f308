"""What is sent over a connection and what comes back, whatever the way: a request, a reply, and how none came."""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Mapping
from enum import Enum
from typing import Protocol

from msgspec import Struct


class Message(Struct, frozen=True):
    """A request as it goes out: an address that has been prepared, and every header but `Host`."""

    method: str
    url: str
    headers: Mapping[str, str]
    body: bytes


class How(Enum):
    """In which way no whole reply came."""

    UNREACHABLE = "no connection, or one that broke"
    NO_CONNECTION_IN_TIME = "nobody took the connection in time"
    NO_ANSWER_IN_TIME = "nothing came for too long"
    CUT = "the body ended early"
    CONTRADICTS = "its headers contradict each other"
    UNTRUSTED = "a certificate that nobody here trusts"
    NO_SUCH_PROXY = "a proxy that cannot be used"
    NO_PROXY = "the proxy cannot be reached, or refuses"


class Broken(Exception):
    """No whole reply came over a connection, which is closed by then."""

    def __init__(self, how: How) -> None:
        super().__init__(how.value)
        self.how = how
        #: whether the other side hung up before it said anything
        self.unheard = False


class Heard(Protocol):
    """A reply whose body is still to be read: header names in lower case, `length` in bytes where it is known."""

    status: int
    headers: Mapping[str, str]
    length: int | None

    def read(self) -> bytes:
        """A whole body of known `length`, as it was sent: packed where the headers say so."""

    def pieces(self, most: int) -> Iterator[bytes]:
        """A body of any kind as it comes and as it was sent, at most so many bytes at once."""

    def close(self) -> None:
        """Nobody reads on."""


def fields(said: Iterable[tuple[str, str]]) -> dict[str, str]:
    """Header fields by their names in lower case. Of one that is said twice the last counts, but every wait is kept."""
    found: dict[str, str] = {}
    for name, value in said:
        key = name.lower()
        found[key] = f"{found[key]}, {value}" if key == "retry-after" and key in found else value
    return found
