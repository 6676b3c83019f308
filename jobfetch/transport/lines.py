"""The connections of one thread, straight to the services: opened when they are needed, kept open, closed on time.

A small request over the standard library costs a fifth of one that goes through requests, and to import that takes as
long as a whole reply; so requests is asked only where it knows what this does not (`indirect`).
"""

from __future__ import annotations

import contextlib
import errno
import os
import re
import select
import selectors
import socket
import threading
import time
from collections import deque
from collections.abc import Callable, Iterable
from functools import cache, partial
from typing import TYPE_CHECKING, Any, cast

from jobfetch.model import origin
from jobfetch.signals import imported
from jobfetch.transport.reaper import Watch
from jobfetch.transport.replies import Broken, Heard, How, Message
from jobfetch.transport.trust import Trust

if TYPE_CHECKING:
    from jobfetch.transport.reading import Answer

#: Connections that a thread keeps open while it does not need them, each to another origin.
_MOST_KEPT = 10
#: Seconds after which the next address of a name is tried beside one that is silent (RFC 8305, 5).
_NEXT_ADDRESS = 0.25
_PORTS = {"http": 80, "https": 443}
_PLACE = re.compile(r"https?://[^/?#]*", re.IGNORECASE)

Home = tuple[str, str, int]


class Line:
    """An open connection to an origin."""

    def __init__(self, home: Home, sock: socket.socket, twin: socket.socket) -> None:
        """`twin` is the same line below TLS, for whoever closes it on time."""
        self.home = home
        self.sock = sock
        self.twin = twin
        scheme, name, port = home
        host = f"[{name}]" if ":" in name else name
        self._host = host if port == _PORTS[scheme] else f"{host}:{port}"

    def is_quiet(self) -> bool:
        """Whether nothing came since the last reply, the end of the line included: it can be asked again."""
        return not _readable(self.twin)

    def send(self, message: Message) -> None:
        """A request; every part of it has been checked for what does not belong there."""
        fields = "".join(f"{name}: {value}\r\n" for name, value in message.headers.items())
        head = f"{message.method} {_target_of(message.url)} HTTP/1.1\r\nHost: {self._host}\r\n{fields}\r\n"
        with contextlib.suppress(BrokenPipeError):  # who hangs up in the middle of a request may have said why
            self.sock.sendall(head.encode("ascii") + message.body)

    def close(self) -> None:
        """Give it up."""
        self.twin.close()
        self.sock.close()


class Lines:
    """A connection to each origin that one thread asks."""

    def __init__(self, trust: Trust) -> None:
        self._trust = trust
        #: those that carry no request, the oldest first
        self._kept: dict[Home, Line] = {}
        self._closed = False

    def ask(self, message: Message, watch: Watch, *, connect: float, answer: float) -> Heard:
        """The reply to a request, over the line that is open or a new one; so many seconds for either.

        `watch` gets the line before anything on it can block.

        Raises:
            Broken: there is no reply.
            ConfigError: no authority can be read that would tell whom to trust.

        """
        home = origin(message.url)
        kept = self._kept.pop(home, None)
        if kept and kept.is_quiet():
            watch.hold(kept.twin)
            try:
                return self._over(kept, message, answer)
            except Broken as error:
                # whoever keeps lines for a short while only may have let go of this one just now (RFC 9112, 9.3.1)
                if not error.unheard or message.method != "GET" or watch.fired:
                    raise
        elif kept:
            kept.close()
        return self._over(self._open(home, watch, connect), message, answer)

    def _over(self, line: Line, message: Message, seconds: float) -> Heard:
        heard: Answer | None = None
        try:
            if line.sock.gettimeout() != seconds:  # to set it is a call to the system
                line.sock.settimeout(seconds)
            line.send(message)
            heard = _reading().Answer(line.sock, method=message.method)
            heard.begin()
        except BaseException as error:
            nothing = heard is None or heard.nothing_came
            if heard:
                heard.close()
            line.close()
            if isinstance(error, _reading().TROUBLE):
                told: Broken = _reading().broken(error)
                told.unheard = nothing and told.how is How.UNREACHABLE
                raise told from None
            raise
        told_of: Heard = _reading().Directly(heard, partial(self._done, line))
        return told_of

    def close(self) -> None:
        """Close what carries no request now, and everything else once it does not."""
        self._closed = True
        while self._kept:
            self._kept.popitem()[1].close()

    def _open(self, home: Home, watch: Watch, seconds: float) -> Line:
        scheme, host, port = home
        try:
            sock = _connected(host, port, seconds)
            line = Line(home, sock, sock.dup())
        except TimeoutError:
            raise Broken(How.NO_CONNECTION_IN_TIME) from None
        except (OSError, ValueError, OverflowError):  # a name can be none, and a port too large
            raise Broken(How.UNREACHABLE) from None
        watch.hold(line.twin)
        if scheme == "https":
            self._secure(line, host)
        return line

    def _secure(self, line: Line, host: str) -> None:
        import ssl  # noqa: PLC0415 - nothing of it is needed for http

        try:
            line.sock = self._trust.context().wrap_socket(line.sock, server_hostname=host.rstrip("."))
        except BaseException as error:
            line.close()
            if isinstance(error, ssl.SSLCertVerificationError):
                raise Broken(How.UNTRUSTED) from None
            if isinstance(error, TimeoutError):
                raise Broken(How.NO_CONNECTION_IN_TIME) from None
            if isinstance(error, (OSError, ValueError)):
                raise Broken(How.UNREACHABLE) from None
            raise

    def _done(self, line: Line, free: bool) -> None:  # noqa: FBT001 - what a reply says of its line
        if not free or self._closed:
            line.close()
            return
        self._kept[line.home] = line
        if len(self._kept) > _MOST_KEPT:
            self._kept.pop(next(iter(self._kept))).close()


@cache
def _reading() -> Any:
    """What reads replies: to import it takes a fifth of the time that a service takes to answer, and goes on meanwhile."""
    return imported("jobfetch.transport.reading")


def _target_of(url: str) -> str:
    """What stands in the request line for an address that has been prepared."""
    target = _PLACE.sub("", url, count=1).partition("#")[0]
    return target if target.startswith("/") else f"/{target}"


def _readable(line: socket.socket) -> bool:
    """Whether there is something to read, or the end."""
    if hasattr(select, "poll"):
        poll = select.poll()
        poll.register(line, select.POLLIN)
        return bool(poll.poll(0))
    return bool(select.select([line], [], [], 0)[0])


def _connected(host: str, port: int, seconds: float) -> socket.socket:
    """A connection, or `TimeoutError` after so many seconds."""
    # as bytes: an address has been through its name's encoding, and Python would do that again for every text
    name: Any = host.encode("ascii")
    if _is_number(host):
        sock = socket.create_connection((name, port), seconds)
    else:
        # only to look up a name has no timeout of its own
        sock = in_time(seconds, lambda: _first_of(socket.getaddrinfo(name, port, 0, socket.SOCK_STREAM), seconds))
    # a request goes out in one piece, and the next one waits for its reply
    sock.setsockopt(socket.IPPROTO_TCP, socket.TCP_NODELAY, 1)
    return sock


def _first_of(addresses: Iterable[Any], seconds: float) -> socket.socket:
    """A connection to the first of these that takes one: where one is silent, the next is tried beside it (RFC 8305)."""
    ends, waiting = time.monotonic() + seconds, deque(addresses)
    trouble: OSError = TimeoutError()
    with selectors.DefaultSelector() as trying:
        try:
            while waiting or trying.get_map():
                if (left := ends - time.monotonic()) <= 0:
                    raise TimeoutError
                if waiting:
                    try:
                        trying.register(_begun(*waiting.popleft()), selectors.EVENT_WRITE)
                    except OSError as error:
                        trouble = error
                        continue
                for key, _ in trying.select(min(left, _NEXT_ADDRESS) if waiting else left):
                    sock: Any = trying.unregister(key.fileobj).fileobj
                    if not (code := sock.getsockopt(socket.SOL_SOCKET, socket.SO_ERROR)):
                        sock.settimeout(seconds)
                        return cast("socket.socket", sock)
                    sock.close()
                    trouble = OSError(code, os.strerror(code))
        finally:
            for left_over in [*trying.get_map().values()]:
                cast("socket.socket", left_over.fileobj).close()
    raise trouble


def _begun(family: int, kind: int, protocol: int, _: str, address: Any) -> socket.socket:
    """A socket on its way to an address; `OSError` where there is none."""
    sock = socket.socket(family, kind, protocol)
    sock.settimeout(0.0)
    if (code := sock.connect_ex(address)) not in {0, errno.EINPROGRESS, errno.EWOULDBLOCK}:
        sock.close()
        raise OSError(code, os.strerror(code))
    return sock


def _is_number(host: str) -> bool:
    """Whether a host needs no looking up."""
    for family in (socket.AF_INET, socket.AF_INET6):
        with contextlib.suppress(OSError):
            socket.inet_pton(family, host)
            return True
    return False


def in_time(seconds: float | None, connect: Callable[[], socket.socket]) -> socket.socket:
    """What `connect` gives, or `TimeoutError` after so many seconds; what it gives later is closed."""
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
        for late in outcome:
            if isinstance(late, socket.socket):
                late.close()
        raise TimeoutError
    result = outcome[0]
    if isinstance(result, BaseException):
        raise result
    return result
