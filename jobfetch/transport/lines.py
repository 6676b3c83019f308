"""The connections of one thread: opened by requests and urllib3, closed on time by the reaper, asked again directly.

Opening a connection takes all that the libraries know: proxies, TLS, authorities. To ask over one that is open takes
the standard library alone, which leaves out most of what a small request costs.
"""

from __future__ import annotations

import http
import http.client
import logging
import socket
import threading
from collections.abc import Callable, Mapping
from typing import Any

import requests
import urllib3
from requests.adapters import HTTPAdapter
from urllib3.connection import HTTPConnection, HTTPSConnection
from urllib3.connectionpool import ConnectionPool, HTTPConnectionPool, HTTPSConnectionPool

from jobfetch.model import origin
from jobfetch.transport.reaper import Watch
from jobfetch.transport.replies import Answer, Directly, Heard, Indirectly, broken, head_of, target_of
from jobfetch.transport.trust import Trust

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
        line, target = self._lines.get(origin(url)), target_of(url)
        if line is None or not line.is_connected or not target.isprintable() or " " in target or not target.isascii():
            return None
        if line.sock.gettimeout() != seconds:
            line.sock.settimeout(seconds)
        self.hold(line.line)
        try:
            line.sock.sendall(head_of(line, target, headers))
            answer = Answer(line.sock, method="GET")
            try:
                answer.begin()
            except BaseException:
                answer.close()
                raise
        except (http.client.HTTPException, OSError) as error:
            raise broken(line, error) from None
        if answer.will_close:
            line.close()
        return Directly(line, answer)

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
            return Indirectly(self.send(request, stream=True, **options))
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
        response_class = Answer
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
