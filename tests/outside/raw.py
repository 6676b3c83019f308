"""Servers that say exactly these bytes, and badly behaved ones: a function for each connection."""

import contextlib
import itertools
import socket
import ssl
import struct
import threading
from collections.abc import Callable, Iterable
from dataclasses import dataclass, field
from types import TracebackType
from typing import Self

GAP = 0.05
"""Seconds between two bytes that drip."""

DONE = (
    b'{"status":"Completed","createdTime":1730204346000,"startTime":1730204350120,"statusTime":1730204391007,'
    b'"items":[],"errorMessage":null}'
)
"""A job of Cognite's that is done, whichever it is."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Peer:
    """One connection whose request has been read; `number` counts connections from 1."""

    line: socket.socket
    head: str
    number: int
    closing: threading.Event

    def send(self, data: bytes) -> None:
        self.line.sendall(data)

    def drip(self, data: Iterable[int]) -> None:
        for byte in data:
            self.send(bytes((byte,)))
            if self.closing.wait(GAP):
                return

    def hold(self) -> None:
        """Say no more until the client hangs up."""
        while self.line.recv(4096):
            pass

    def reset(self) -> None:
        self.line.setsockopt(socket.SOL_SOCKET, socket.SO_LINGER, struct.pack("ii", 1, 0))


Talk = Callable[[Peer], None]


@dataclass(slots=True)
class RawServer:
    """Gives every connection to `talk` in a thread of its own, and remembers the heads of all requests."""

    talk: Talk
    host: str = "127.0.0.1"
    security: ssl.SSLContext | None = None
    heads: list[str] = field(default_factory=list)
    _socket: socket.socket = field(init=False)
    _closing: threading.Event = field(default_factory=threading.Event)
    _lines: list[socket.socket] = field(default_factory=list)
    _threads: list[threading.Thread] = field(default_factory=list)

    def __enter__(self) -> Self:
        self._socket = socket.create_server((self.host, 0), backlog=100)
        self._begin(self._accept)
        return self

    def __exit__(self, kind: type[BaseException] | None, error: BaseException | None, at: TracebackType | None) -> None:
        self._closing.set()
        for line in (self._socket, *self._lines):
            with contextlib.suppress(OSError):
                line.shutdown(socket.SHUT_RDWR)
        for thread in self._threads:
            thread.join(5)
        self._socket.close()

    @property
    def port(self) -> int:
        port: int = self._socket.getsockname()[1]
        return port

    @property
    def url(self) -> str:
        return f"{'https' if self.security else 'http'}://{self.host}:{self.port}"

    def _begin(self, work: Callable[..., None], *arguments: object) -> None:
        thread = threading.Thread(target=work, args=arguments, daemon=True)
        self._threads.append(thread)
        thread.start()

    def _accept(self) -> None:
        for number in itertools.count(1):
            try:
                line, _ = self._socket.accept()
            except OSError:
                return
            self._lines.append(line)
            self._begin(self._attend, line, number)

    def _attend(self, line: socket.socket, number: int) -> None:
        # a client may leave in the middle of anything
        with contextlib.suppress(OSError), line:
            if self.security:
                line = self.security.wrap_socket(line, server_side=True)
            with line:
                head = _head(line)
                self.heads.append(head)
                self.talk(Peer(line=line, head=head, number=number, closing=self._closing))


def _head(line: socket.socket) -> str:
    with line.makefile("rb") as incoming:
        lines = list(itertools.takewhile(lambda text: text.strip(), incoming))
    return b"".join(lines).decode("latin-1")


def reply(body: bytes = DONE, *headers: str, status: str = "200 OK", version: str = "HTTP/1.1") -> bytes:
    """A reply that says how long it is and hangs up afterwards; JSON unless the headers say otherwise."""
    said = {text.partition(":")[0].lower() for text in headers}
    usual = {"content-type": "application/json", "content-length": str(len(body)), "connection": "close"}
    lines = [f"{version} {status}", *headers]
    lines += [f"{name}: {value}" for name, value in usual.items() if name not in said]
    return "\r\n".join(lines).encode("latin-1") + b"\r\n\r\n" + body


def saying(data: bytes) -> Talk:
    """Answer every connection with the same bytes."""
    return lambda peer: peer.send(data)
