"""A reply, and every way in which its bytes may go wrong on their way to the client."""

import itertools
import socket
import struct
import threading
from collections.abc import Callable, Iterable
from http import HTTPStatus

from msgspec import Struct

GAP = 0.3
"""Seconds between two bytes of a reply that drips, at pace 1."""

_SHORTEST_GAP = 0.001


class Line(Struct, frozen=True):
    """One client's connection, as much of it as a reply needs to be sent or spoilt."""

    connection: socket.socket
    closing: threading.Event
    pace: float

    def send(self, data: bytes) -> None:
        """Send all of it at once."""
        self.connection.sendall(data)

    def drip(self, data: Iterable[int]) -> None:
        """Send a byte at a time until the data, the client's patience or the sandbox ends."""
        gap = max(_SHORTEST_GAP, GAP * self.pace)
        for byte in data:
            self.send(bytes((byte,)))
            if self.closing.wait(gap):
                return

    def wait_until_gone(self) -> None:
        """Say nothing until the client hangs up; a sandbox that stops hangs up for it."""
        while self.connection.recv(4096):
            pass

    def abort(self) -> None:
        """Close with a reset instead of a goodbye: lingering for no time at all does that."""
        self.connection.setsockopt(socket.SOL_SOCKET, socket.SO_LINGER, struct.pack("ii", 1, 0))


def whole(line: Line, head: bytes, body: bytes) -> bool:
    """The reply as it should be; the connection stays usable."""
    line.send(head + body)
    return True


def cut(line: Line, head: bytes, body: bytes) -> bool:
    """Half of the body that the head announces, then the end of the connection."""
    line.send(head + body[: len(body) // 2])
    return False


def reset(line: Line, _head: bytes, _body: bytes) -> bool:
    """A reset connection in place of a reply."""
    line.abort()
    return False


def stall(line: Line, _head: bytes, _body: bytes) -> bool:
    """Silence: the connection stays open and nothing is ever said."""
    line.wait_until_gone()
    return False


def drip_head(line: Line, head: bytes, _body: bytes) -> bool:
    """A head that comes a byte at a time and never ends."""
    endless = itertools.chain(head[:-2], b"X-Padding: ", itertools.repeat(ord("x")))
    line.drip(endless)
    return False


def drip_body(line: Line, head: bytes, body: bytes) -> bool:
    """A prompt head, then a body that comes a byte at a time and stops short of its last one."""
    line.send(head)
    line.drip(body[:-1])
    line.wait_until_gone()
    return False


Way = Callable[[Line, bytes, bytes], bool]
"""How head and body reach the client; True keeps the connection alive."""

UNANSWERED: frozenset[Way] = frozenset((reset, stall, drip_head))
"""The ways in which a client never gets to know a status."""


class Reply(Struct, frozen=True, kw_only=True):
    """What the sandbox answers to one request."""

    status: int = 200
    headers: tuple[tuple[str, str], ...] = ()
    body: bytes = b""
    way: Way = whole

    def header(self, name: str) -> str:
        """The first header of this name, or nothing."""
        return next((value for key, value in self.headers if key.lower() == name.lower()), "")

    def heard_as(self) -> int:
        """The status that the client gets to see, 0 for none."""
        return 0 if self.way in UNANSWERED else self.status

    def head(self) -> bytes:
        """Status line and headers as they stand on the wire."""
        lines = [f"HTTP/1.1 {self.status} {_phrase(self.status)}"]
        lines += [f"{name}: {value}" for name, value in self.headers]
        if not self.header("Content-Length"):
            lines.append(f"Content-Length: {len(self.body)}")
        if self.way is not whole:
            lines.append("Connection: close")
        return ("\r\n".join(lines) + "\r\n\r\n").encode("latin-1")


def _phrase(status: int) -> str:
    try:
        return HTTPStatus(status).phrase
    except ValueError:
        return ""
