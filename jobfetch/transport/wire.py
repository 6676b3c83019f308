"""One request on the wire, and what came back: the only module that knows requests and urllib3.

It does not retry, does not follow redirects, and knows nothing of credentials: it gets headers and sends them.
"""

from __future__ import annotations

import contextlib
import os
import re
import socket
import ssl
import threading
import time
from collections.abc import Callable, Iterator, Mapping
from pathlib import Path
from typing import Any
from urllib.parse import urlsplit

import requests
import urllib3
from requests.adapters import HTTPAdapter
from requests.structures import CaseInsensitiveDict
from urllib3.connection import HTTPConnection, HTTPSConnection
from urllib3.connectionpool import ConnectionPool, HTTPConnectionPool, HTTPSConnectionPool

from jobfetch.errors import BadReply, ConfigError, CutReply, JobfetchError, StillRunning, Unavailable
from jobfetch.model import Deadline, Purpose, Reply, Request, encode, origin, safe_url
from jobfetch.transport.download import Download
from jobfetch.transport.reaper import Reaper, Watch

#: Bytes that may be held in memory to be parsed.
PARSE_LIMIT = 512 * 1024 * 1024
#: Bytes of an error page that are worth reading.
ERROR_LIMIT = 1024 * 1024

CONNECT_TIMEOUT = 10.0
READ_TIMEOUT = 30.0
#: A status or token reply is small: one that takes longer than this is dripping.
SMALL_REPLY_TIMEOUT = 300.0
CHUNK = 256 * 1024

_CA_VARIABLES = ("REQUESTS_CA_BUNDLE", "CURL_CA_BUNDLE", "SSL_CERT_FILE")

#: Preparing a URL is what costs most of a small request. One like this comes out as it went in wherever its place does:
#: nothing to quote or to unquote, no segment that begins with a dot, nothing that could be a user or a fragment.
_PLAIN = re.compile(r"(?P<place>https?://[^/?#@\\\s]+)(/[A-Za-z0-9_~-][A-Za-z0-9._~-]*)+(\?[A-Za-z0-9._~=&-]+)?")
_MOST_PLACES = 1000


class Wire:
    """Connections, one set a thread, with proxies and trusted authorities resolved once."""

    def __init__(
        self,
        *,
        deadline: Deadline,
        user_agent: str,
        ca_bundle: str | None = None,
        parse_limit: int = PARSE_LIMIT,
    ) -> None:
        self._deadline = deadline
        self._user_agent = user_agent
        self._verify = trusted(ca_bundle)
        self._parse_limit = parse_limit
        self._reaper = Reaper()
        self._proxies: dict[tuple[str, str, int], dict[str, str]] = {}
        #: scheme, host and port that came out of `address` as they went in
        self._places: set[str] = set()
        self._local = threading.local()
        self._adapters: list[_Adapter] = []

    def exchange(
        self, request: Request, url: str, headers: Mapping[str, str], download: Download | None = None
    ) -> Reply:
        """Send once and read the reply: into `download` where it is good and one is given, else into memory.

        Raises:
            Unavailable: no connection, no answer, a reset.
            CutReply: the body ended early.
            StillRunning: the deadline came first; the connection is closed by then.
            BadReply: more than may be parsed in memory.

        """
        ends = time.monotonic() + self._time_for(request)
        adapter = self._adapter()
        with self._reaper.watching(ends) as watch, adapter.watched_by(watch):
            try:
                reply = self._exchange(adapter, request, url, headers, download)
            except (requests.RequestException, urllib3.exceptions.HTTPError, OSError) as error:
                if not watch.fired:
                    raise _translated(error, url) from None
            else:
                # a line that was closed on time looks like the end of a body that named no length
                if not watch.fired:
                    return reply
            raise self._too_late(url)

    def address(self, url: str) -> str:
        """The URL as it will be connected to, without a user in it: what is checked is what is asked."""
        plain = _PLAIN.fullmatch(url)
        if plain and plain["place"] in self._places:
            return url
        prepared = requests.PreparedRequest()
        try:
            prepared.prepare_url(url, None)
            parts = urlsplit(prepared.url or "")
            if "\\" in url or not parts.hostname:
                raise ValueError  # noqa: TRY301 - the same answer as for what cannot be prepared
            address = parts._replace(netloc=parts.netloc.rpartition("@")[2]).geturl()
        except (requests.RequestException, UnicodeError, ValueError):
            raise BadReply(f"{safe_url(url)} is no address that can be asked", hint="check base_url") from None
        if plain and address == url and len(self._places) < _MOST_PLACES:
            self._places.add(plain["place"])
        return address

    def close(self) -> None:
        """Close every connection, so that the process can end at once."""
        for adapter in self._adapters:
            adapter.close()

    def _exchange(
        self, adapter: _Adapter, request: Request, url: str, headers: Mapping[str, str], download: Download | None
    ) -> Reply:
        left = self._time_for(request)
        response = adapter.send(
            self._prepared(request, url, headers, packed=download is None and request.accept == "application/json"),
            stream=True,
            timeout=(min(CONNECT_TIMEOUT, left), min(READ_TIMEOUT, left)),
            verify=self._verify,
            proxies=self._proxies_for(url),
        )
        with contextlib.closing(response):
            reply = Reply(response.status_code, {k.lower(): v for k, v in response.headers.items()}, b"", url)
            if reply.ok and download is not None:
                if download.begin(reply):
                    for piece in _pieces(response.raw):
                        download.write(piece)
                    download.end(reply)
                return reply
            limit = self._parse_limit if reply.ok else ERROR_LIMIT
            if (
                0 < (response.raw.length_remaining or 0) <= min(limit, CHUNK)
                and "content-encoding" not in reply.headers
            ):
                body = response.raw.read()  # small, and as long as it says: no need to look for its end
            else:
                body = b"".join(_limited(response.raw.stream(CHUNK, decode_content=True), reply, limit))
            return Reply(reply.status, reply.headers, body, url)

    def _too_late(self, url: str) -> JobfetchError:
        if self._deadline.left() > 0:
            return Unavailable(f"{safe_url(url)} took over {SMALL_REPLY_TIMEOUT:.0f} s for one reply")
        return StillRunning(f"the deadline passed while {safe_url(url)} was answering")

    def _time_for(self, request: Request) -> float:
        left = self._deadline.left()
        if left <= 0:
            raise StillRunning("the deadline passed")
        return left if request.purpose is Purpose.RESULT else min(left, SMALL_REPLY_TIMEOUT)

    def _prepared(
        self, request: Request, url: str, headers: Mapping[str, str], *, packed: bool
    ) -> requests.PreparedRequest:
        whole = {
            "User-Agent": self._user_agent,
            "Accept": request.accept,
            # what is stored as it comes has a length that means bytes, and a rest that can be asked for
            "Accept-Encoding": "gzip" if packed else "identity",
            **headers,
        }
        for name, value in whole.items():
            if not value.isascii() or not value.isprintable():
                raise ConfigError(f"the header {name} cannot carry its value", hint="look for stray characters in it")
        body = None if request.json is None else encode(request.json)
        whole |= {"Content-Type": "application/json; charset=utf-8"} if body else {}
        prepared = requests.PreparedRequest()
        # the address has been prepared, and the headers are checked: once is enough, it is what costs most here
        prepared.method, prepared.url, prepared.headers = request.method, url, CaseInsensitiveDict()
        prepared.prepare_body(body or dict(request.form or {}), None)
        prepared.headers = {**prepared.headers, **whole}  # type: ignore[assignment]  # any mapping does
        return prepared

    def _adapter(self) -> _Adapter:
        if not hasattr(self._local, "adapter"):
            self._local.adapter = _Adapter()
            self._adapters.append(self._local.adapter)
        adapter: _Adapter = self._local.adapter
        return adapter

    def _proxies_for(self, url: str) -> dict[str, str]:
        home = origin(url)
        if home not in self._proxies:
            self._proxies[home] = requests.utils.get_environ_proxies(url)
        return self._proxies[home]


def proxy_for(url: str) -> str | None:
    """The proxy that the environment names for a URL, without a user in it; None where it is asked directly."""
    proxies = requests.utils.get_environ_proxies(url)
    proxy = requests.utils.select_proxy(url, proxies)
    return safe_url(proxy) if proxy else None


def netrc_of(url: str) -> bool:
    """Whether a .netrc holds a login for a URL's host: other programs would send it, this one does not."""
    return requests.utils.get_netrc_auth(url) is not None


def trusted(ca_bundle: str | None) -> str | bool:
    """The file or folder of trusted authorities: the option, the usual variables, or the built-in ones (True)."""
    candidates = [("--ca-bundle", ca_bundle), *((name, os.environ.get(name)) for name in _CA_VARIABLES)]
    name, path = next(((name, path) for name, path in candidates if path), ("", None))
    if path is None:
        return True
    try:
        is_folder = Path(path).is_dir()
        ssl.create_default_context(cafile=None if is_folder else path, capath=path if is_folder else None)
    except (OSError, ValueError) as error:  # ssl.SSLError is an OSError
        reason = "does not exist" if isinstance(error, FileNotFoundError) else "holds no authorities that can be read"
        raise ConfigError(f"{name} names {path}, which {reason}", hint="name a PEM file of authorities") from None
    return path


def _pieces(raw: Any) -> Iterator[bytes]:
    """A body as it comes: nothing that came before a cut is lost in a buffer that waits to be full."""
    if raw.chunked:
        yield from raw.stream(CHUNK, decode_content=True)
        return
    while piece := raw.read1(CHUNK, decode_content=True):
        yield piece


def _limited(chunks: Iterator[bytes], reply: Reply, limit: int) -> Iterator[bytes]:
    read = 0
    for chunk in chunks:
        read += len(chunk)
        if read > limit and reply.ok:
            raise BadReply(
                f"{safe_url(reply.url)} sent more than {limit} bytes, the most that is parsed in memory",
                hint="raise --parse-limit, or store the result untouched: -f raw -o FILE",
            )
        if read > limit:
            return  # an error page: its beginning has said enough
        yield chunk


def _translated(error: Exception, url: str) -> JobfetchError:
    """Our error for one of the libraries'; none of their text, which holds whole URLs."""
    where = safe_url(url)
    if "CERTIFICATE_VERIFY_FAILED" in str(error):
        return BadReply(
            f"{where} has a certificate that is not trusted here",
            hint="name the authority's file with --ca-bundle or REQUESTS_CA_BUNDLE; verification is never switched off",
        )
    causes = (error, error.__cause__, *error.args)
    for kinds, shape, text, advice in _TRANSLATIONS:
        if any(isinstance(cause, kinds) for cause in causes):
            return shape(f"{where} {text}", hint=advice)
    if isinstance(error, urllib3.exceptions.ProtocolError) and not any(isinstance(arg, OSError) for arg in error.args):
        # the adapter wraps what goes wrong before the body: this is the body's own, and no reset
        return CutReply(f"{where} sent a reply that ended before it was whole", hint=_CUT_HINT)
    if isinstance(error, OSError) and not isinstance(error, requests.RequestException):
        raise error  # the sink's: a local disk, which is not for us to explain
    return Unavailable(f"{where} cannot be reached", hint="check the network, base_url and the proxy variables")


_CUT_HINT = "run the same line again; a proxy in between may be cutting replies"

_TRANSLATIONS: tuple[tuple[tuple[type[Exception], ...], type[JobfetchError], str, str], ...] = (
    (
        (requests.exceptions.InvalidProxyURL, requests.exceptions.InvalidSchema),
        ConfigError,
        "is to be reached through a proxy that cannot be used",
        "check HTTP_PROXY, HTTPS_PROXY and ALL_PROXY: http or https proxies only",
    ),
    (
        (requests.exceptions.ProxyError,),
        Unavailable,
        "cannot be reached through the proxy",
        "check HTTP_PROXY, HTTPS_PROXY and NO_PROXY",
    ),
    (
        (requests.exceptions.ConnectTimeout, urllib3.exceptions.ConnectTimeoutError),
        Unavailable,
        "did not accept a connection in time",
        "check the network and base_url",
    ),
    (
        (requests.exceptions.ReadTimeout, urllib3.exceptions.ReadTimeoutError),
        Unavailable,
        "did not answer in time",
        "run the same line again later",
    ),
    (
        (urllib3.exceptions.IncompleteRead, urllib3.exceptions.InvalidChunkLength, urllib3.exceptions.DecodeError),
        CutReply,
        "sent a reply that ended before it was whole",
        _CUT_HINT,
    ),
)


#: Origins whose connections a thread keeps, the same number that the pool manager keeps.
_ORIGINS = 10


class _Adapter(HTTPAdapter):
    """requests' adapter over connections that the reaper can close; what is the same for every request is done once.

    It belongs to one thread, so that a connection to each origin is all it needs.
    """

    def __init__(self) -> None:
        self._watch: Watch | None = None
        self._pools: dict[tuple[str, str, int], ConnectionPool] = {}
        self._verified: set[HTTPConnectionPool] = set()
        super().__init__(max_retries=0, pool_connections=_ORIGINS, pool_maxsize=1)

    @contextlib.contextmanager
    def watched_by(self, watch: Watch) -> Iterator[None]:
        self._watch = watch
        try:
            yield
        finally:
            self._watch = None

    def hold(self, line: socket.socket) -> None:
        """A connection carries the request that is watched over this line."""
        if self._watch:
            self._watch.hold(line)

    def let_go(self, line: socket.socket) -> None:
        """A connection needs this line no longer; the body that is still in it may."""
        if not self._watch or not self._watch.keep(line):
            line.close()

    def get_connection_with_tls_context(self, request: Any, verify: Any, proxies: Any = None, cert: Any = None) -> Any:
        """The pool of the request's origin, whose proxy and authorities stay what they are."""
        home = origin(request.url)
        if home not in self._pools:
            if len(self._pools) == _ORIGINS:  # the manager is about to forget the oldest of them
                self._forget()
            self._pools[home] = super().get_connection_with_tls_context(request, verify, proxies=proxies, cert=cert)
        return self._pools[home]

    def cert_verify(self, conn: Any, url: str, verify: Any, cert: Any) -> None:
        """Name the authorities to a pool once: it looks at the disk."""
        if conn not in self._verified:
            super().cert_verify(conn, url, verify, cert)  # type: ignore[no-untyped-call]  # requests names no types here
            self._verified.add(conn)

    def request_url(self, request: Any, proxies: Any) -> str:
        """What stands in the request line."""
        return super().request_url(request, proxies) if proxies else str(request.path_url)

    def build_response(self, req: Any, resp: Any) -> requests.Response:
        """The reply without what nobody asks of it here: no cookies, no guess at an encoding."""
        response = requests.Response()
        response.status_code, response.headers, response.raw = resp.status, resp.headers, resp
        response.request, response.url = req, req.url
        return response

    def close(self) -> None:
        """Close every connection."""
        self._forget()
        super().close()

    def _forget(self) -> None:
        # a pool closes its connections once nobody knows it
        self._pools.clear()
        self._verified.clear()

    def init_poolmanager(self, *args: Any, **kwargs: Any) -> None:
        super().init_poolmanager(*args, **kwargs)
        self.poolmanager.pool_classes_by_scheme = self._reapable_pools()

    def proxy_manager_for(self, *args: Any, **kwargs: Any) -> Any:
        manager = super().proxy_manager_for(*args, **kwargs)
        manager.pool_classes_by_scheme = self._reapable_pools()
        return manager

    def _reapable_pools(self) -> dict[str, type[HTTPConnectionPool]]:
        plain = type("Pool", (HTTPConnectionPool,), {"ConnectionCls": _reapable(HTTPConnection, self)})
        secure = type("SecurePool", (HTTPSConnectionPool,), {"ConnectionCls": _reapable(HTTPSConnection, self)})
        return {"http": plain, "https": secure}


def _reapable(base: Any, adapter: _Adapter) -> Any:
    """urllib3's connection class, extended: the adapter gets the line of every request before it can block."""

    class Connection(base):  # type: ignore[misc]  # the base is a parameter
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
