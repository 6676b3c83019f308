"""The connections of one thread: opened by requests and urllib3, closed on time by the reaper, asked again directly.

Opening a connection takes all that the libraries know: proxies, TLS, authorities. To ask over one that is open takes
the standard library alone, which leaves out most of what a small request costs.
"""

from __future__ import annotations

import http
import http.client
import logging
import re
import socket
import threading
from collections.abc import Callable, Iterable, Mapping
from http.client import HTTPMessage
from typing import Any, Protocol

import requests
import urllib3
from requests.adapters import HTTPAdapter
from urllib3.connection import HTTPConnection, HTTPSConnection
from urllib3.connectionpool import ConnectionPool, HTTPConnectionPool, HTTPSConnectionPool

from jobfetch.model import origin
from jobfetch.transport.reaper import Watch
from jobfetch.transport.trust import Trust


class Heard(Protocol):
    """A reply whose body is still to be read: header names in lower case, `length` in bytes where it is known."""

    status: int
    headers: Mapping[str, str]
    length: int | None

    def read(self) -> bytes:
        """A whole body that is not packed."""

    def raw(self) -> Any:
        """A body of any kind, as urllib3 knows it."""

    def close(self) -> None:
        """Nobody reads on."""


#: Origins whose connections a thread keeps, the same number that the pool manager keeps.
_ORIGINS = 10


#: Whether this thread is in a request of ours.
_asking = threading.local()


def _logged_without_query(record: logging.LogRecord) -> bool:
    """A program that has urllib3 log every request gets no signature of a link from ours into its log."""
    if getattr(_asking, "here", False) and isinstance(record.args, tuple):
        record.args = tuple(each.partition("?")[0] if isinstance(each, str) else each for each in record.args)
    return True


class Adapter(HTTPAdapter):
    """requests' adapter over connections that the reaper can close; what is the same for every request is done once.

    It belongs to one thread, so that a connection to each origin is all it needs.
    """

    def __init__(self, trust: Trust) -> None:
        self._trust = trust
        self._watch: Watch | None = None
        self._pools: dict[tuple[str, str, int], ConnectionPool] = {}
        #: connections that lead to an origin itself, with no proxy in between
        self._lines: dict[tuple[str, str, int], Any] = {}
        # the same function for all of them is there once, and is nothing to the requests of anybody else
        logging.getLogger(urllib3.connectionpool.__name__).addFilter(_logged_without_query)
        super().__init__(max_retries=0, pool_connections=_ORIGINS, pool_maxsize=1)

    def watched_by(self, watch: Watch | None) -> None:
        """Have the reaper's eye on whatever is asked from now on, or nobody's."""
        self._watch = watch

    def hold(self, line: socket.socket) -> None:
        """A connection carries the request that is watched over this line."""
        if self._watch:
            self._watch.hold(line)

    def let_go(self, line: socket.socket) -> None:
        """A connection needs this line no longer; the body that is still in it may."""
        if not self._watch or not self._watch.keep(line):
            line.close()

    def ask(self, url: str, headers: Mapping[str, str], seconds: float) -> Heard | None:
        """The reply to a GET over a connection that is open and idle; None where there is none.

        Raises:
            requests.ReadTimeout: nothing came for so many seconds.
            requests.ConnectionError: the line broke.

        """
        line, target = self._lines.get(origin(url)), _target(url)
        if line is None or not line.is_connected or not target.isprintable() or " " in target or not target.isascii():
            return None
        if line.sock.gettimeout() != seconds:
            line.sock.settimeout(seconds)
        self.hold(line.line)
        try:
            line.sock.sendall(_head(line, target, headers))
            answer = _Answer(line.sock, method="GET")
            try:
                answer.begin()
            except BaseException:
                answer.close()
                raise
        except (http.client.HTTPException, OSError) as error:
            raise _broken(line, error) from None
        if answer.will_close:
            line.close()
        return _Directly(line, answer)

    def opened(self, scheme: str, line: Any) -> None:
        """A connection leads to its host itself, and carries a request there."""
        self._lines[scheme, line.host.lower(), line.port] = line

    def get_connection_with_tls_context(self, request: Any, verify: Any, proxies: Any = None, cert: Any = None) -> Any:
        """The pool of the request's origin, whose proxy and authorities stay what they are."""
        home = origin(request.url)
        if home not in self._pools:
            if len(self._pools) == _ORIGINS:  # the manager is about to forget the oldest of them
                self._forget()
            self._pools[home] = super().get_connection_with_tls_context(request, verify, proxies=proxies, cert=cert)
        return self._pools[home]

    def build_connection_pool_key_attributes(self, request: Any, verify: Any, cert: Any = None) -> Any:
        """Where a pool leads, and whom it trusts: that is the same context for all of them."""
        home, options = super().build_connection_pool_key_attributes(request, verify, cert)
        return home, {**options, **({"ssl_context": self._trust.context()} if home["scheme"] == "https" else {})}

    def cert_verify(self, conn: Any, url: str, verify: Any, cert: Any) -> None:
        """Name no authorities to a pool, which would read them anew for each connection: it has its context."""

    def request_url(self, request: Any, proxies: Any) -> str:
        """What stands in the request line."""
        return super().request_url(request, proxies) if proxies else str(request.path_url)

    def build_response(self, req: Any, resp: Any) -> requests.Response:
        """The reply without what nobody asks of it here: no cookies, no guess at an encoding."""
        response = requests.Response()
        response.status_code, response.headers, response.raw = resp.status, resp.headers, resp
        response.request, response.url = req, req.url
        return response

    def hear(self, request: requests.PreparedRequest, **options: Any) -> Heard:
        """The reply to any request, over a connection that is opened for it where none is."""
        _asking.here = True
        try:
            return _Indirectly(self.send(request, stream=True, **options))
        finally:
            _asking.here = False

    def close(self) -> None:
        """Close every connection."""
        self._forget()
        super().close()

    def _forget(self) -> None:
        # a pool closes its connections once nobody knows it
        self._lines.clear()
        self._pools.clear()

    def init_poolmanager(self, *args: Any, **kwargs: Any) -> None:
        """Have all pools open connections that can be closed on time."""
        super().init_poolmanager(*args, **kwargs)
        self.poolmanager.pool_classes_by_scheme = self._reapable_pools()

    def proxy_manager_for(self, proxy: str, **kwargs: Any) -> Any:
        """The same through a proxy, which may have a certificate of its own."""
        secure = {"proxy_ssl_context": self._trust.context()} if proxy.lower().startswith("https:") else {}
        manager = super().proxy_manager_for(proxy, **secure, **kwargs)
        manager.pool_classes_by_scheme = self._reapable_pools()
        return manager

    def _reapable_pools(self) -> dict[str, type[HTTPConnectionPool]]:
        plain = type("Pool", (HTTPConnectionPool,), {"ConnectionCls": _reapable(HTTPConnection, "http", self)})
        secure = type(
            "SecurePool", (HTTPSConnectionPool,), {"ConnectionCls": _reapable(HTTPSConnection, "https", self)}
        )
        return {"http": plain, "https": secure}


def _reapable(base: Any, scheme: str, adapter: Adapter) -> Any:
    """urllib3's connection class, extended: the adapter gets the line of every request before it can block."""

    class Connection(base):  # type: ignore[misc]  # the base is a parameter
        response_class = _Answer
        line: socket.socket | None = None

        def _new_conn(self) -> socket.socket:
            sock: socket.socket = _in_time(self.timeout, super()._new_conn)
            # a twin of the descriptor: TLS takes the socket itself over
            self.line = sock.dup()
            adapter.hold(self.line)
            return sock

        def request(self, *args: Any, **kwargs: Any) -> None:
            if self.line:
                adapter.hold(self.line)
            super().request(*args, **kwargs)
            if self.proxy is None:
                adapter.opened(scheme, self)

        def close(self) -> None:
            line, self.line = self.line, None
            if line:
                adapter.let_go(line)
            super().close()

    return Connection


def _in_time(seconds: float | None, connect: Callable[[], socket.socket]) -> socket.socket:
    """Connect, or give up after so many seconds: looking up a name has no timeout of its own."""
    outcome: list[socket.socket | BaseException] = []
    given_up = threading.Event()

    def run() -> None:
        try:
            outcome.append(connect())
        except BaseException as error:  # noqa: BLE001 - raised again below, in the thread that asked
            outcome.append(error)
        if given_up.is_set() and isinstance(outcome[0], socket.socket):
            outcome[0].close()

    thread = threading.Thread(target=run, name="jobfetch-connect", daemon=True)
    thread.start()
    thread.join(seconds)
    if thread.is_alive():
        given_up.set()
        raise requests.exceptions.ConnectTimeout
    result = outcome[0]
    if isinstance(result, BaseException):
        raise result
    return result


# --- asking directly ---

#: Where a field goes on in the next line.
_FOLD = re.compile(r"[ \t]*\r?\n[ \t]*")
_PLACE = re.compile(r"https?://[^/?#]*", re.IGNORECASE)
#: A head that can be read at a glance: each field on a line of its own, and a body of known length. There is one way
#: only in which a text can match, so that what does not is found out at once.
_HEAD = re.compile(rb"HTTP/1\.1 ([2-5][0-9]{2}) ([ -~]*)\r\n((?:[!#$%&'*+.^_`|~0-9A-Za-z-]+:[\t -~]*\r\n){1,100})\r\n")
#: Fields that say how long the body is, or what becomes of the connection after it.
_FRAMING = {"content-length", "transfer-encoding", "connection"}
_BODILESS = {204, 304}
#: Heads before the one that answers.
_MOST_HINTS = 20


def _target(url: str) -> str:
    """What stands in the request line for a URL that has been prepared."""
    target = _PLACE.sub("", url, count=1).partition("#")[0]
    return target if target.startswith("/") else f"/{target}"


def _head(line: Any, target: str, headers: Mapping[str, str]) -> bytes:
    """A request without a body; every part of it has been checked for what does not belong there."""
    host = f"[{line.host}]" if ":" in line.host else line.host
    port = "" if line.port == line.default_port else f":{line.port}"
    fields = "".join(f"{name}: {value}\r\n" for name, value in headers.items())
    return f"GET {target} HTTP/1.1\r\nHost: {host}{port}\r\n{fields}\r\n".encode("ascii")


def _broken(line: Any, error: Exception) -> Exception:
    """The standard library's error as one that the wire knows; the connection is closed with it."""
    line.close()
    if isinstance(error, TimeoutError):
        return requests.ReadTimeout()
    if isinstance(error, http.client.IncompleteRead):
        return urllib3.exceptions.ProtocolError("cut")
    return requests.ConnectionError(error)


def _fields(said: Iterable[tuple[str, str]]) -> dict[str, str]:
    """Header fields by their names in lower case. Of one that is said twice the last counts, but every wait is kept."""
    fields: dict[str, str] = {}
    for name, value in said:
        key = name.lower()
        fields[key] = f"{fields[key]}, {value}" if key == "retry-after" and key in fields else value
    return fields


class _Indirectly:
    """A reply that came through requests."""

    def __init__(self, response: requests.Response) -> None:
        self._response = response
        self.status = response.status_code
        self.headers: Mapping[str, str] = _fields(response.headers.items())
        self.length: int | None = response.raw.length_remaining

    def read(self) -> bytes:
        body: bytes = self._response.raw.read()
        return body

    def raw(self) -> Any:
        return self._response.raw

    def close(self) -> None:
        self._response.close()


class _Directly:
    """A reply that came over an open line."""

    def __init__(self, line: Any, answer: http.client.HTTPResponse) -> None:
        self._line = line
        self._answer = answer
        self._unpacking: urllib3.HTTPResponse | None = None
        self.status = answer.status
        self.headers: Mapping[str, str] = _fields(
            (name, _FOLD.sub(" ", value)) for name, value in answer.headers.raw_items()
        )
        self.length: int | None = answer.length

    def read(self) -> bytes:
        try:
            return self._answer.read()
        except (http.client.HTTPException, OSError) as error:
            raise _broken(self._line, error) from None

    def raw(self) -> Any:
        self._unpacking = urllib3.HTTPResponse(
            body=self._answer,
            headers=self.headers,
            status=self.status,
            preload_content=False,
            decode_content=False,
            original_response=self._answer,
            request_method="GET",
            # it closes the connection where the body does not come to its end, and gives it back otherwise
            connection=self._line,
            pool=_KEPT,
        )
        return self._unpacking

    def close(self) -> None:
        if not self._answer.isclosed():  # what is left of the body would be taken for the next reply
            self._line.close()
        if self._unpacking:
            self._unpacking.release_conn()
            self._unpacking.close()
        # here, and not when it is collected: an error that a signal raises there goes to nobody
        self._answer.close()


class _Kept:
    """Stands for a pool: the connection stays where it is."""

    def _put_conn(self, line: Any) -> None:
        """Nothing to do."""


_KEPT: Any = _Kept()


class _Answer(http.client.HTTPResponse):
    """The standard library's reply, whose head is read at a glance where it is a plain one."""

    def begin(self) -> None:
        """Read the head: the first that is an answer, since any number of hints may come before it (RFC 9110, 15.2)."""
        if self.headers is not None:
            return
        for _ in range(_MOST_HINTS):
            self._begin_once()
            if self.status == http.HTTPStatus.SWITCHING_PROTOCOLS or self.status >= http.HTTPStatus.OK:
                return
            self.headers = None
        raise http.client.HTTPException("hints without an answer")

    def _begin_once(self) -> None:
        head = _plain(self.fp.peek(1))
        if head is None:
            super().begin()
            # after anything else than an answer nobody knows what comes next
            self.will_close = self.will_close or self.status == http.HTTPStatus.SWITCHING_PROTOCOLS
            return
        size, self.status, self.reason, self.headers, self.length = head
        self.fp.read(size)
        self.version, self.code, self.msg = 11, self.status, self.headers
        self.chunked = self.will_close = False


def _plain(begun: bytes) -> tuple[int, int, str, HTTPMessage, int] | None:
    """The size of a plain head, its status, reason and fields, and the length of the body; None for any other."""
    match = _HEAD.match(begun)
    if not match or int(match[1]) in _BODILESS:
        return None
    message = HTTPMessage()
    framing: dict[str, list[str]] = {name: [] for name in _FRAMING}
    for line in match[3].decode("ascii").split("\r\n")[:-1]:
        name, _, value = line.partition(":")
        message.set_raw(name, value.strip(" \t"))
        if name.lower() in _FRAMING:
            framing[name.lower()].append(value.strip(" \t"))
    [length, *others] = framing["content-length"] or [""]
    kept_open = [value.lower() for value in framing["connection"]] in ([], ["keep-alive"])
    if others or framing["transfer-encoding"] or not kept_open or not re.fullmatch(r"[0-9]{1,18}", length):
        return None
    return match.end(), int(match[1]), match[2].decode("ascii").strip(), message, int(length)
