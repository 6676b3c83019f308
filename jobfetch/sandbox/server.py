"""The sandbox itself: reads requests off the wire, lets the services answer them, keeps a log of what was asked."""

import random
import socket
import threading
import time
import uuid
from collections import deque
from collections.abc import Iterator
from email.utils import formatdate
from functools import partial
from types import TracebackType
from typing import BinaryIO, Self
from urllib.parse import parse_qsl, unquote

from msgspec import Struct
from msgspec.structs import asdict, replace

from jobfetch.sandbox.behaviours import SERVICES
from jobfetch.sandbox.listener import Listener
from jobfetch.sandbox.play import Call, Memory, Request, Route, Site, dumped
from jobfetch.sandbox.shared import TROUBLES, nothing_here
from jobfetch.sandbox.storage import denied
from jobfetch.sandbox.wire import Line, Reply

API = "api"
STORAGE = "storage"
LOG_PATH = "/__sandbox__/requests"
MOST_REQUESTS = 100_000
"""So many requests are remembered; older ones are forgotten."""
MOST_BODY = 1_000_000
"""Bytes that a request's body may have."""
_MOST_LINE = 65_536
_MOST_HEADERS = 200

_ROUTES: dict[str, tuple[Route, ...]] = {
    API: tuple(route for service in SERVICES for route in service.routes),
    STORAGE: tuple(route for service in SERVICES for route in service.stored),
}


class Asked(Struct, frozen=True):
    """One request as the sandbox received it."""

    origin: str
    """`api` or `storage`."""
    method: str
    path: str
    """With the query, as received."""
    headers: tuple[tuple[str, str], ...]
    """As received, in their original case."""
    body: bytes
    at: float
    """On the monotonic clock."""
    status: int
    """What it was answered with; 0 where the client got no status."""

    def keeps_alive(self) -> bool:
        """Whether the client wants to ask more over the same connection."""
        return all(name.lower() != "connection" or value.lower() != "close" for name, value in self.headers)


class Unreadable(ValueError):
    """A request that the sandbox does not take; the connection ends with it."""

    def __init__(self, status: int, why: str) -> None:
        super().__init__(why)
        self.reply = nothing_here(status, why)


class Sandbox:
    """Plays all services on one port and a foreign storage on another, from start to stop.

    `trouble` is the share of requests that go wrong in some way, whatever was asked.
    """

    def __init__(
        self,
        *,
        port: int = 0,
        storage_port: int = 0,
        pace: float = 1.0,
        host: str = "127.0.0.1",
        trouble: float = 0.0,
    ) -> None:
        self._address = {API: (host, port), STORAGE: (host, storage_port)}
        self._pace = pace
        self._trouble = trouble
        self._memory = Memory()
        self._asked: deque[Asked] = deque(maxlen=MOST_REQUESTS)
        self._closing = threading.Event()
        self._listeners: list[Listener] = []
        self._site = Site(url="", storage_url="", pace=pace, memory=self._memory)

    def __enter__(self) -> Self:
        self.start()
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        self.stop()

    @property
    def url(self) -> str:
        """Where the services are, once started."""
        return self._site.url

    @property
    def storage_url(self) -> str:
        """Where the foreign storage is, once started."""
        return self._site.storage_url

    def start(self) -> None:
        """Listen on both ports and answer, in threads of its own."""
        self._closing.clear()
        try:
            for origin, (host, port) in self._address.items():
                self._listeners.append(Listener(host, port, partial(self._serve, origin)))
        except OSError:
            self.stop()
            raise
        api, storage = self._listeners
        self._site = replace(self._site, url=api.url, storage_url=storage.url)

    def stop(self) -> None:
        """Hang up on everybody and free both ports; replies that drip or stall end here too."""
        self._closing.set()
        while self._listeners:
            self._listeners.pop().stop()

    def asked(self) -> tuple[Asked, ...]:
        """All requests so far, in the order of their arrival."""
        return tuple(self._asked.copy())

    def clear(self) -> None:
        """Forget what was asked and where each job stands."""
        self._asked.clear()
        self._memory.clear()

    def environment(self) -> dict[str, str]:
        """What a client needs in its environment to talk to this sandbox."""
        return {name: value for service in SERVICES for name, value in service.environment(self.url).items()}

    def _serve(self, origin: str, connection: socket.socket) -> None:
        """Answer one request after the other until either side has enough."""
        line = Line(connection, self._closing, self._pace)
        with connection.makefile("rb") as incoming:
            while self._exchange(origin, line, incoming):
                pass

    def _exchange(self, origin: str, line: Line, incoming: BinaryIO) -> bool:
        try:
            asked = read_request(origin, incoming, line)
        except Unreadable as error:
            line.send(error.reply.head() + error.reply.body)
            return False
        if asked is None:
            return False
        reply = self._answer(asked)
        body = b"" if asked.method == "HEAD" else reply.body
        return reply.way(line, reply.head(), body) and asked.keeps_alive()

    def _answer(self, asked: Asked) -> Reply:
        if asked.origin == API and asked.path == LOG_PATH:
            return self._control(asked.method)
        call = Call(request=_parsed(asked), site=self._site)
        if self._trouble and random.random() < self._trouble:  # noqa: S311 - no secret
            reply = _named(asked.origin, random.choice(TROUBLES))  # noqa: S311 - likewise
        else:
            reply = _named(asked.origin, _route(asked.origin, call))
        # before the reply leaves: a client that has its answer finds its request in the log
        self._asked.append(replace(asked, status=reply.heard_as()))
        return reply

    def _control(self, method: str) -> Reply:
        if method == "DELETE":
            self.clear()
            return Reply(status=204)
        return dumped([asdict(asked) | {"body": asked.body.decode("utf-8", "replace")} for asked in self.asked()])


def read_request(origin: str, incoming: BinaryIO, line: Line) -> Asked | None:
    """Read one request, or nothing where the client has hung up."""
    first = incoming.readline(_MOST_LINE)
    if not first.endswith(b"\n"):
        return None
    at = time.monotonic()
    words = first.decode("latin-1").split()
    if len(words) != 3 or words[2] not in {"HTTP/1.1", "HTTP/1.0"}:  # noqa: PLR2004 - method, target, version
        raise Unreadable(400, "the request line is no HTTP/1.1")
    headers = tuple(_read_headers(incoming))
    if words[2] == "HTTP/1.0":
        headers += (("Connection", "close"),)
    body = _read_body({name.lower(): value for name, value in headers}, incoming, line)
    return Asked(origin, words[0], words[1], headers, body, at, 0)


def _read_headers(incoming: BinaryIO) -> Iterator[tuple[str, str]]:
    for _ in range(_MOST_HEADERS):
        text = incoming.readline(_MOST_LINE).decode("latin-1")
        name, colon, value = text.partition(":")
        if not text.strip():
            return
        if not colon:
            raise Unreadable(400, "a header has no colon")
        yield name, value.strip()
    raise Unreadable(431, "more headers than anybody needs")


def _read_body(headers: dict[str, str], incoming: BinaryIO, line: Line) -> bytes:
    if "transfer-encoding" in headers:
        raise Unreadable(411, "a request's body must say how long it is")
    length = headers.get("content-length", "0")
    if not length.isdecimal() or int(length) > MOST_BODY:
        raise Unreadable(413, f"a request's body may have {MOST_BODY} bytes")
    if "expect" in headers:
        line.send(b"HTTP/1.1 100 Continue\r\n\r\n")
    return incoming.read(int(length))


def _parsed(asked: Asked) -> Request:
    path, _, query = asked.path.partition("?")
    return Request(
        method=asked.method,
        path=path,
        query=dict(parse_qsl(query, keep_blank_values=True)),
        headers={name.lower(): value for name, value in asked.headers},
        body=asked.body,
    )


def _route(origin: str, call: Call) -> Reply:
    method = "GET" if call.request.method == "HEAD" else call.request.method
    for route in _ROUTES[origin]:
        if route.method == method and (found := route.pattern.fullmatch(call.request.path)):
            parts = {name: unquote(value) for name, value in found.groupdict().items()}
            return route.script(replace(call, parts=parts))
    return nothing_here() if origin == API else denied(403, "AccessDenied", "Access Denied")


def _named(origin: str, reply: Reply) -> Reply:
    name = "x-request-id" if origin == API else "x-amz-request-id"
    marks = ((name, str(uuid.uuid4())), ("Date", formatdate(usegmt=True)))
    return replace(reply, headers=(*reply.headers, *marks))
