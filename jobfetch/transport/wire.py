"""One request on the wire, and what came back: with `lines` and `replies` the only module that knows requests and urllib3.

It does not retry, does not follow redirects, and knows nothing of credentials: it gets headers and sends them.
"""

from __future__ import annotations

import re
import threading
import time
import zlib
from collections.abc import Iterator, Mapping
from typing import Any
from urllib.parse import urlsplit

import requests
import urllib3
from requests.structures import CaseInsensitiveDict

from jobfetch.errors import BadReply, ConfigError, CutReply, JobfetchError, StillRunning, Unavailable
from jobfetch.model import Deadline, Purpose, Reply, Request, encode, origin, safe_url
from jobfetch.transport.download import Download
from jobfetch.transport.lines import Adapter
from jobfetch.transport.reaper import Reaper
from jobfetch.transport.replies import Heard
from jobfetch.transport.trust import Trust

#: Bytes that may be held in memory to be parsed.
PARSE_LIMIT = 512 * 1024 * 1024
#: Bytes of an error page that are worth reading.
ERROR_LIMIT = 1024 * 1024

CONNECT_TIMEOUT = 10.0
READ_TIMEOUT = 30.0
#: A status or token reply is small: one that takes longer than this is dripping.
SMALL_REPLY_TIMEOUT = 300.0
CHUNK = 256 * 1024
#: Bytes of a file that are taken from a connection at once, where so many are there.
PIECE = 512 * 1024

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
        self._trust = Trust(ca_bundle)
        self._parse_limit = parse_limit
        self._reaper = Reaper()
        self._proxies: dict[tuple[str, str, int], dict[str, str]] = {}
        #: scheme, host and port that came out of `address` as they went in
        self._places: set[str] = set()
        self._local = threading.local()
        #: by the thread that asks over them; what a thread that has ended leaves open, the next one takes over
        self._adapters: dict[threading.Thread, Adapter] = {}
        self._lock = threading.Lock()

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
        with self._reaper.watching(ends) as watch:
            adapter.watched_by(watch)
            try:
                reply = self._exchange(adapter, request, url, headers, download)
            except (requests.RequestException, urllib3.exceptions.HTTPError, OSError) as error:
                # a wait that ends with the deadline may end a moment before somebody closes the line
                if not watch.fired and self._deadline.left() > 0:
                    raise _translated(error, url) from None
            else:
                # a line that was closed on time looks like the end of a body that named no length
                if not watch.fired:
                    return reply
            finally:
                adapter.watched_by(None)
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
        for adapter in [*self._adapters.values()]:
            adapter.close()
        self._reaper.close()

    def _exchange(
        self, adapter: Adapter, request: Request, url: str, headers: Mapping[str, str], download: Download | None
    ) -> Reply:
        left = self._time_for(request)
        packed = download is None and request.accept == "application/json"
        whole = self._headers(request, headers, packed=packed)
        read_timeout = min(READ_TIMEOUT, left)
        bare = request.method == "GET" and request.json is None and request.form is None
        heard = adapter.ask(url, whole, read_timeout) if bare else None
        if heard is None:
            heard = adapter.hear(
                _prepared(request, url, whole),
                timeout=(min(CONNECT_TIMEOUT, left), read_timeout),
                proxies=self._proxies_for(url),
            )
        try:
            return self._read(heard, url, download)
        finally:
            heard.close()

    def _read(self, heard: Heard, url: str, download: Download | None) -> Reply:
        reply = Reply(heard.status, heard.headers, b"", url)
        if reply.ok and download is not None:
            if download.begin(reply):
                plain = heard.length is not None and "content-encoding" not in reply.headers
                for piece in heard.pieces(PIECE) if plain else _pieces(heard.raw()):
                    download.write(piece)
                download.end(reply)
            return reply
        limit = self._parse_limit if reply.ok else ERROR_LIMIT
        if 0 < (heard.length or 0) <= min(limit, CHUNK) and "content-encoding" not in reply.headers:
            body = heard.read()  # small, and as long as it says: no need to look for its end
        else:
            body = b"".join(_limited(_pieces(heard.raw()), reply, limit))
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

    def _headers(self, request: Request, headers: Mapping[str, str], *, packed: bool) -> dict[str, str]:
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
        return whole

    def _adapter(self) -> Adapter:
        if not hasattr(self._local, "adapter"):
            with self._lock:
                free = next((thread for thread in self._adapters if not thread.is_alive()), None)
                self._local.adapter = self._adapters.pop(free) if free else Adapter(self._trust)
                self._adapters[threading.current_thread()] = self._local.adapter
        adapter: Adapter = self._local.adapter
        return adapter

    def _proxies_for(self, url: str) -> dict[str, str]:
        home = origin(url)
        if home not in self._proxies:
            self._proxies[home] = requests.utils.get_environ_proxies(url)
        return self._proxies[home]


def _prepared(request: Request, url: str, headers: Mapping[str, str]) -> requests.PreparedRequest:
    body = None if request.json is None else encode(request.json)
    prepared = requests.PreparedRequest()
    # the address has been prepared, and the headers are checked: once is enough, it is what costs most here
    prepared.method, prepared.url, prepared.headers = request.method, url, CaseInsensitiveDict()
    prepared.prepare_body(body or dict(request.form or {}), None)
    told = {"Content-Type": "application/json; charset=utf-8"} if body else {}
    prepared.headers = {**prepared.headers, **headers, **told}  # type: ignore[assignment]  # any mapping does
    return prepared


def proxy_for(url: str) -> str | None:
    """The proxy that the environment names for a URL, without a user in it; None where it is asked directly."""
    proxies = requests.utils.get_environ_proxies(url)
    proxy = requests.utils.select_proxy(url, proxies)
    return safe_url(proxy) if proxy else None


def netrc_of(url: str) -> bool:
    """Whether a .netrc holds a login for a URL's host: other programs would send it, this one does not."""
    return requests.utils.get_netrc_auth(url) is not None


def _pieces(raw: Any) -> Iterator[bytes]:
    """A body as it comes: nothing that came before a cut is lost in a buffer that waits to be full."""
    if raw.headers.get("content-encoding", "").lower() in _GZIP:
        yield from _unpacked(_as_sent(raw, unpack=False))
    else:
        yield from _as_sent(raw, unpack=True)


def _as_sent(raw: Any, *, unpack: bool) -> Iterator[bytes]:
    if raw.chunked:
        yield from raw.stream(CHUNK, decode_content=unpack)
        return
    while piece := raw.read1(CHUNK, decode_content=unpack):
        yield piece


_GZIP = frozenset({"gzip", "x-gzip"})


def _unpacked(pieces: Iterator[bytes]) -> Iterator[bytes]:
    """A packed body, unpacked a piece at a time; a pack that ends before its end is an error, which urllib3 does not see."""
    pack, begun = zlib.decompressobj(zlib.MAX_WBITS | 16), False
    for piece in pieces:
        rest = piece
        while rest:
            begun = True
            try:
                data = pack.decompress(rest, CHUNK)
            except zlib.error as error:
                raise urllib3.exceptions.DecodeError(str(error)) from None
            if data:
                yield data
            rest = pack.unconsumed_tail
            if pack.eof:
                # another may follow; zeros and what is none is not looked at
                rest = pack.unused_data if pack.unused_data.startswith(b"\x1f\x8b") else b""
                if not rest:
                    break
                pack = zlib.decompressobj(zlib.MAX_WBITS | 16)
    if begun and not pack.eof:
        raise urllib3.exceptions.ProtocolError("cut")


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
        (requests.exceptions.InvalidHeader, urllib3.exceptions.InvalidHeader),
        BadReply,
        "sent headers that contradict each other",
        "a proxy in between may have changed the reply",
    ),
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
