"""What only requests knows: the way through a proxy, how an odd address is written, whether there is a .netrc.

It is imported where one of these turns up, since that takes as long as a whole reply. Everything else goes over `lines`.
"""

from __future__ import annotations

import contextlib
import logging
import socket
import threading
from collections.abc import Iterator, Mapping
from typing import Any

import requests
import urllib3
from requests.adapters import HTTPAdapter
from urllib3.connection import HTTPConnection, HTTPSConnection
from urllib3.connectionpool import HTTPConnectionPool, HTTPSConnectionPool

from jobfetch.model import safe_url
from jobfetch.transport.lines import in_time
from jobfetch.transport.reading import Answer
from jobfetch.transport.reaper import Watch
from jobfetch.transport.replies import Broken, Heard, How, Message, fields
from jobfetch.transport.trust import Trust

#: Whether this thread is in a request of ours.
_asking = threading.local()


def _logged_without_query(record: logging.LogRecord) -> bool:
    """A program that has urllib3 log every request gets no signature of a link from ours into its log."""
    if getattr(_asking, "here", False) and isinstance(record.args, tuple):
        record.args = tuple(each.partition("?")[0] if isinstance(each, str) else each for each in record.args)
    return True


def prepared(url: str) -> str:
    """An address as it is asked: names and characters as they go over the line.

    Raises:
        ValueError: it is none.

    """
    made = requests.PreparedRequest()
    try:
        made.prepare_url(url, None)
    except (requests.RequestException, UnicodeError) as error:
        raise ValueError(str(error)) from None
    return made.url or ""


def proxies_for(url: str) -> dict[str, str]:
    """The proxies that the environment or the system names, by the scheme that they are for; empty to go there directly."""
    named = requests.utils.get_environ_proxies(url)
    return named if requests.utils.select_proxy(url, named) else {}


def proxy_for(url: str) -> str | None:
    """The proxy for a URL, without a user in it; None where it is asked directly."""
    proxy = requests.utils.select_proxy(url, proxies_for(url))
    return safe_url(proxy) if proxy else None


def netrc_of(url: str) -> bool:
    """Whether a .netrc holds a login for a URL's host: other programs would send it, this one does not."""
    return requests.utils.get_netrc_auth(url) is not None


class Adapter(HTTPAdapter):
    """requests' adapter over connections that the reaper can close; it belongs to one thread."""

    def __init__(self, trust: Trust) -> None:
        self._trust = trust
        self._watch: Watch | None = None
        # the same function for all of them is there once, and is nothing to the requests of anybody else
        logging.getLogger(urllib3.connectionpool.__name__).addFilter(_logged_without_query)
        super().__init__(max_retries=0, pool_maxsize=1)

    def hold(self, line: socket.socket) -> None:
        """A connection carries the request that is watched over this line."""
        if self._watch:
            self._watch.hold(line)

    def let_go(self, line: socket.socket) -> None:
        """A connection needs this line no longer; the body that is still in it may."""
        if not self._watch or not self._watch.keep(line):
            line.close()

    def ask(
        self, message: Message, watch: Watch, proxies: Mapping[str, str], *, connect: float, answer: float
    ) -> Heard:
        """The reply to a request through one of these proxies; so many seconds for the connection and for the reply.

        Raises:
            Broken: there is no reply.

        """
        request = requests.PreparedRequest()
        # the address has been prepared, and the headers are checked: once is enough, it is what costs most here
        request.method, request.url, request.body = message.method, message.url, message.body or None
        request.headers = {**message.headers}  # type: ignore[assignment]  # any mapping does
        self._watch, _asking.here = watch, True
        try:
            with _told():
                return Indirectly(self.send(request, stream=True, timeout=(connect, answer), proxies=proxies))
        finally:
            _asking.here = False

    def build_connection_pool_key_attributes(self, request: Any, verify: Any, cert: Any = None) -> Any:
        """Where a pool leads, and whom it trusts: that is the same context for all of them."""
        home, options = super().build_connection_pool_key_attributes(request, verify, cert)
        return home, {**options, **({"ssl_context": self._trust.context()} if home["scheme"] == "https" else {})}

    def cert_verify(self, conn: Any, url: str, verify: Any, cert: Any) -> None:
        """Name no authorities to a pool, which would read them anew for each connection: it has its context."""

    def build_response(self, req: Any, resp: Any) -> requests.Response:
        """The reply without what nobody asks of it here: no cookies, no guess at an encoding."""
        response = requests.Response()
        response.status_code, response.headers, response.raw = resp.status, resp.headers, resp
        response.request, response.url = req, req.url
        return response

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
        plain = type("Pool", (HTTPConnectionPool,), {"ConnectionCls": _reapable(HTTPConnection, self)})
        secure = type("SecurePool", (HTTPSConnectionPool,), {"ConnectionCls": _reapable(HTTPSConnection, self)})
        return {"http": plain, "https": secure}


def _reapable(base: Any, adapter: Adapter) -> Any:
    """urllib3's connection class, extended: the adapter gets the line of every request before it can block."""

    class Connection(base):  # type: ignore[misc]  # the base is a parameter
        response_class = Answer
        line: socket.socket | None = None

        def _new_conn(self) -> socket.socket:
            try:
                sock: socket.socket = in_time(self.timeout, super()._new_conn)
            except TimeoutError:
                raise requests.exceptions.ConnectTimeout from None
            # a twin of the descriptor: TLS takes the socket itself over
            self.line = sock.dup()
            adapter.hold(self.line)
            return sock

        def request(self, *args: Any, **kwargs: Any) -> None:
            if self.line:
                adapter.hold(self.line)
            super().request(*args, **kwargs)

        def close(self) -> None:
            line, self.line = self.line, None
            if line:
                adapter.let_go(line)
            super().close()

    return Connection


class Indirectly:
    """A reply that comes through requests."""

    def __init__(self, response: requests.Response) -> None:
        self._response = response
        self.status = response.status_code
        self.headers: Mapping[str, str] = fields(response.headers.items())
        self.length: int | None = response.raw.length_remaining
        # `Answer` takes chunks apart, and urllib3 would take a size that is cut for the last one
        response.raw.chunked = False

    def read(self) -> bytes:
        """A whole body of known length."""
        with _told():
            body: bytes = self._response.raw.read(decode_content=False)
        return body

    def pieces(self, most: int) -> Iterator[bytes]:
        """A body as it comes: nothing that came before a cut is lost in a buffer that waits to be full."""
        raw = self._response.raw
        with _told():
            while piece := raw.read1(most, decode_content=False):
                yield piece

    def close(self) -> None:
        """Give the connection back, or close it where something is left in it."""
        self._response.close()


@contextlib.contextmanager
def _told() -> Iterator[None]:
    """An error of the libraries' in the block says how no whole reply came; none of its text, which holds whole URLs."""
    try:
        yield
    except (requests.RequestException, urllib3.exceptions.HTTPError, OSError) as error:
        raise Broken(_how(error)) from None


def _how(error: Exception) -> How:
    if "CERTIFICATE_VERIFY_FAILED" in str(error):
        return How.UNTRUSTED
    causes = (error, error.__cause__, *error.args)
    for how, kinds in _KINDS.items():
        if any(isinstance(cause, kinds) for cause in causes):
            return how
    # the adapter wraps what goes wrong before the body: this is the body's own, and no reset
    is_body = isinstance(error, urllib3.exceptions.ProtocolError) and not any(
        isinstance(arg, OSError) for arg in error.args
    )
    return How.CUT if is_body else How.UNREACHABLE


#: Kinds of errors by what they mean; the first that fits.
_KINDS: dict[How, tuple[type[Exception], ...]] = {
    How.CONTRADICTS: (requests.exceptions.InvalidHeader, urllib3.exceptions.InvalidHeader),
    How.NO_SUCH_PROXY: (requests.exceptions.InvalidProxyURL, requests.exceptions.InvalidSchema),
    How.NO_PROXY: (requests.exceptions.ProxyError,),
    How.NO_CONNECTION_IN_TIME: (requests.exceptions.ConnectTimeout, urllib3.exceptions.ConnectTimeoutError),
    How.NO_ANSWER_IN_TIME: (requests.exceptions.ReadTimeout, urllib3.exceptions.ReadTimeoutError),
    How.CUT: (
        urllib3.exceptions.IncompleteRead,
        urllib3.exceptions.InvalidChunkLength,
        urllib3.exceptions.DecodeError,
    ),
}
