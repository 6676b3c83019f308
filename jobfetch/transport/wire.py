"""One request on the wire, and what came back: over a line of our own, or through a proxy by what requests knows.

It does not retry, does not follow redirects, and knows nothing of credentials: it gets headers and sends them.
"""

from __future__ import annotations

import os
import re
import sys
import threading
import time
import zlib
from collections.abc import Iterator, Mapping
from typing import TYPE_CHECKING, Any
from urllib.parse import urlencode, urlsplit

from msgspec import Struct

from jobfetch.errors import BadReply, ConfigError, CutReply, JobfetchError, StillRunning, TooSoon, Unavailable
from jobfetch.model import Deadline, Purpose, Reply, Request, encode, origin, safe_url
from jobfetch.signals import imported
from jobfetch.transport.download import Download
from jobfetch.transport.lines import Lines
from jobfetch.transport.reaper import Reaper, Watch
from jobfetch.transport.replies import Broken, Heard, How, Message
from jobfetch.transport.trust import Trust

if TYPE_CHECKING:
    from jobfetch.transport.indirect import Adapter

#: Bytes that may be held in memory to be parsed.
PARSE_LIMIT = 512 * 1024 * 1024
#: Bytes of an error page that are worth reading.
ERROR_LIMIT = 1024 * 1024

CONNECT_TIMEOUT = 10.0
READ_TIMEOUT = 30.0
#: A status or token reply is small: one that takes longer than this is dripping, unless it has proved to be large.
SMALL_REPLY_TIMEOUT = 300.0
SMALL = 1024 * 1024
CHUNK = 256 * 1024
#: Bytes of a file that are taken from a connection at once, where so many are there.
PIECE = 512 * 1024

#: An address that goes over the line as it is written: nothing to quote or to unquote, no segment that begins with a dot,
#: nothing that could be a user or a fragment. Others are prepared by requests, which takes longer than a small request.
_PLAIN = re.compile(
    r"(?P<place>https?://[^/?#@\\\s]+)(?P<path>(/[A-Za-z0-9_~-][A-Za-z0-9._~-]*)*/?)(\?[A-Za-z0-9._~=&-]+)?"
)
#: A place in it that needs no preparing either: names in small letters, and a port that is one.
_PLAIN_PLACE = re.compile(
    r"https?://[a-z0-9]([a-z0-9-]{0,61}[a-z0-9])?(\.[a-z0-9]([a-z0-9-]{0,61}[a-z0-9])?){0,20}"
    r"(:([1-9][0-9]{0,3}|[1-5][0-9]{4}|6[0-4][0-9]{3}))?"
)
_MOST_PLACES = 1000


class _Ways(Struct, eq=False):
    """How one thread gets to the services."""

    lines: Lines
    #: through proxies, where there are any
    adapter: Adapter | None = None


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
        self._ways: dict[threading.Thread, _Ways] = {}
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
        with self._reaper.watching(ends) as watch:
            try:
                reply = self._exchange(watch, request, url, headers, download)
            except Broken as broken:
                # a wait that ends with the deadline may end a moment before somebody closes the line
                if not watch.fired and self._deadline.left() > 0:
                    raise _told(broken, url) from None
            else:
                # a line that was closed on time looks like the end of a body that named no length
                if not watch.fired:
                    return reply
            raise self._too_late(url)

    def address(self, url: str) -> str:
        """The URL as it will be connected to, without a user in it: what is checked is what is asked."""
        plain = _PLAIN.fullmatch(url)
        if plain and (plain["place"] in self._places or _PLAIN_PLACE.fullmatch(plain["place"])):
            return url if plain["path"] else f"{plain['place']}/{url[plain.end('place') :]}"
        try:
            parts = urlsplit(_indirect().prepared(url))
            if "\\" in url or not parts.hostname or parts.scheme not in {"http", "https"}:
                raise ValueError  # noqa: TRY301 - the same answer as for what cannot be prepared
            address: str = parts._replace(netloc=parts.netloc.rpartition("@")[2]).geturl()
        except ValueError:
            raise BadReply(f"{safe_url(url)} is no address that can be asked", hint="check base_url") from None
        if plain and address == url and len(self._places) < _MOST_PLACES:
            self._places.add(plain["place"])
        return address

    def close(self) -> None:
        """Close every connection, so that the process can end at once."""
        for ways in [*self._ways.values()]:
            ways.lines.close()
            if ways.adapter:
                ways.adapter.close()
        self._reaper.close()

    def _exchange(
        self, watch: Watch, request: Request, url: str, headers: Mapping[str, str], download: Download | None
    ) -> Reply:
        left = self._time_for(request)
        packed = download is None and request.accept == "application/json"
        message = self._message(request, url, headers, packed=packed)
        heard = self._ask(message, watch, connect=min(CONNECT_TIMEOUT, left), answer=min(READ_TIMEOUT, left))
        try:
            return self._read(watch, heard, url, download)
        finally:
            heard.close()

    def _ask(self, message: Message, watch: Watch, *, connect: float, answer: float) -> Heard:
        ways, proxies = self._own_ways(), self._proxies_for(message.url)
        if not proxies:
            return ways.lines.ask(message, watch, connect=connect, answer=answer)
        if ways.adapter is None:
            ways.adapter = _indirect().Adapter(self._trust)
        return ways.adapter.ask(message, watch, proxies, connect=connect, answer=answer)

    def _read(self, watch: Watch, heard: Heard, url: str, download: Download | None) -> Reply:
        reply = Reply(heard.status, heard.headers, b"", url)
        if reply.ok and download is not None:
            if download.begin(reply):
                for piece in _body(heard, PIECE, url):
                    download.write(piece)
                download.end(reply)
            return reply
        limit = self._parse_limit if reply.ok else ERROR_LIMIT
        if 0 < (heard.length or 0) <= min(limit, CHUNK) and "content-encoding" not in reply.headers:
            body = heard.read()  # small, and as long as it says: no need to look for its end
        else:
            body = b"".join(self._timed(watch, _limited(_body(heard, CHUNK, url), reply, limit)))
        return Reply(reply.status, reply.headers, body, url)

    def _timed(self, watch: Watch, pieces: Iterator[bytes]) -> Iterator[bytes]:
        """A body; once it has proved to be large it is a result, which may take all the time that is left."""
        came = 0
        for piece in pieces:
            came += len(piece)
            if came > SMALL:
                watch.ends = max(watch.ends, time.monotonic() + self._deadline.left())
            yield piece

    def _too_late(self, url: str) -> JobfetchError:
        if self._deadline.left() > 0:
            return Unavailable(f"{safe_url(url)} took over {SMALL_REPLY_TIMEOUT:.0f} s for one reply")
        return StillRunning(f"the deadline passed while {safe_url(url)} was answering")

    def _time_for(self, request: Request) -> float:
        left = self._deadline.left()
        if left <= 0:
            raise TooSoon("the deadline passed")
        return left if request.purpose is Purpose.RESULT else min(left, SMALL_REPLY_TIMEOUT)

    def _message(self, request: Request, url: str, headers: Mapping[str, str], *, packed: bool) -> Message:
        body, about_body = _body_of(request)
        whole = {
            "User-Agent": self._user_agent,
            "Accept": request.accept,
            # what is stored as it comes has a length that means bytes, and a rest that can be asked for
            "Accept-Encoding": "gzip" if packed else "identity",
            **headers,
            **about_body,
        }
        for name, value in whole.items():
            if not value.isascii() or not value.isprintable():
                raise ConfigError(f"the header {name} cannot carry its value", hint="look for stray characters in it")
        return Message(request.method, url, whole, body)

    def _own_ways(self) -> _Ways:
        if not hasattr(self._local, "ways"):
            with self._lock:
                free = next((thread for thread in self._ways if not thread.is_alive()), None)
                self._local.ways = self._ways.pop(free) if free else _Ways(Lines(self._trust))
                self._ways[threading.current_thread()] = self._local.ways
        ways: _Ways = self._local.ways
        return ways

    def _proxies_for(self, url: str) -> dict[str, str]:
        """The proxies on the way to a URL; most have none, and to find that out costs nothing."""
        home = origin(url)
        if home not in self._proxies:
            self._proxies[home] = _indirect().proxies_for(url) if _may_have_proxies() else {}
        return self._proxies[home]


def _indirect() -> Any:
    """What knows more ways; requests, which it needs, takes as long to import as a whole reply."""
    return imported("jobfetch.transport.indirect")


def _may_have_proxies() -> bool:
    """Whether the environment names proxies, or the system may, as it can on macOS and Windows."""
    return sys.platform in {"darwin", "win32", "cygwin"} or any(name.lower().endswith("_proxy") for name in os.environ)


def _body_of(request: Request) -> tuple[bytes, dict[str, str]]:
    """What goes out after the head, and what the head says of it."""
    if request.json is not None:
        body, kind = encode(request.json), "application/json; charset=utf-8"
    elif request.form:
        body, kind = urlencode(request.form).encode(), "application/x-www-form-urlencoded"
    else:
        return b"", {} if request.method == "GET" else {"Content-Length": "0"}
    return body, {"Content-Type": kind, "Content-Length": str(len(body))}


#: How packed bodies are unpacked; both were asked for by nobody but the first, and some send the second all the same.
_WINDOWS = {
    "gzip": (zlib.MAX_WBITS | 16,),
    "x-gzip": (zlib.MAX_WBITS | 16,),
    # the standard wants a head here (RFC 9110, 8.4.1.2), which is often left out
    "deflate": (zlib.MAX_WBITS, -zlib.MAX_WBITS),
}


def _body(heard: Heard, most: int, url: str) -> Iterator[bytes]:
    """A body, unpacked, as it comes.

    Raises:
        BadReply: it is packed in a way that nobody asked for.

    """
    packed = heard.headers.get("content-encoding", "").strip().lower()
    if packed in {"", "identity"}:
        return heard.pieces(most)
    if packed not in _WINDOWS:
        raise BadReply(
            f"{safe_url(url)} packed its reply in a way that was not asked for: {packed[:40]}",
            hint="a proxy in between may have changed the reply",
        )
    return _unpacked(heard.pieces(CHUNK), _WINDOWS[packed])


#: How every pack of gzip begins: another may follow the first.
_GZIP = b"\x1f\x8b"


def _unpacked(pieces: Iterator[bytes], windows: tuple[int, ...]) -> Iterator[bytes]:
    """A packed body, unpacked a piece at a time; a pack that ends before its end is an error."""
    pack, begun = zlib.decompressobj(windows[0]), False
    for piece in pieces:
        rest = piece
        while rest:
            if pack.eof:
                # another may follow; zeros, and what is no pack, is not looked at, nor its end
                if not _GZIP.startswith(rest[: len(_GZIP)]):
                    return
                pack = zlib.decompressobj(windows[0])
            try:
                data = pack.decompress(rest, CHUNK)
            except zlib.error:
                if begun or len(windows) == 1:
                    raise Broken(How.CUT) from None
                windows = windows[1:]
                pack = zlib.decompressobj(windows[0])
                continue
            begun = True
            if data:
                yield data
            rest = pack.unused_data if pack.eof else pack.unconsumed_tail
    if begun and not pack.eof:
        raise Broken(How.CUT)


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


def _told(broken: Broken, url: str) -> JobfetchError:
    """Our error for a reply that did not come whole."""
    shape, text, advice = _TROUBLE[broken.how]
    return shape(f"{safe_url(url)} {text}", hint=advice)


_TROUBLE: dict[How, tuple[type[JobfetchError], str, str]] = {
    How.UNREACHABLE: (Unavailable, "cannot be reached", "check the network, base_url and the proxy variables"),
    How.NO_CONNECTION_IN_TIME: (Unavailable, "did not accept a connection in time", "check the network and base_url"),
    How.NO_ANSWER_IN_TIME: (Unavailable, "did not answer in time", "run the same line again later"),
    How.CUT: (
        CutReply,
        "sent a reply that ended before it was whole",
        "run the same line again; a proxy in between may be cutting replies",
    ),
    How.CONTRADICTS: (
        BadReply,
        "sent headers that contradict each other",
        "a proxy in between may have changed the reply",
    ),
    How.UNTRUSTED: (
        BadReply,
        "has a certificate that is not trusted here",
        "name the authority's file with --ca-bundle or REQUESTS_CA_BUNDLE; verification is never switched off",
    ),
    How.NO_SUCH_PROXY: (
        ConfigError,
        "is to be reached through a proxy that cannot be used",
        "check HTTP_PROXY, HTTPS_PROXY and ALL_PROXY: http or https proxies only",
    ),
    How.NO_PROXY: (
        Unavailable,
        "cannot be reached through the proxy",
        "check HTTP_PROXY, HTTPS_PROXY and NO_PROXY",
    ),
}
