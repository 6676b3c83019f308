"""Reads replies off a line, by the standard library: heads strictly, bodies as they come, and what is left behind them.

It is imported once the first request is on its way, which would be waited for in any case.
"""

from __future__ import annotations

import contextlib
import http
import http.client
import io
import re
import socket
import ssl
from collections.abc import Callable, Iterator, Mapping
from email.errors import FirstHeaderLineIsContinuationDefect, MissingHeaderBodySeparatorDefect
from http.client import HTTPMessage
from typing import Any

from jobfetch.transport.replies import Broken, How, fields

#: A head that can be read at a glance: each field on a line of its own, and a body of known length. There is one way
#: only in which a text can match, so that what does not is found out at once.
_HEAD = re.compile(rb"HTTP/1\.1 ([2-5][0-9]{2}) ([ -~]*)\r\n((?:[!#$%&'*+.^_`|~0-9A-Za-z-]+:[\t -~]*\r\n){1,100})\r\n")
#: The line in front of a chunk: its size, and what an extension says of it, which is nobody's business here.
_CHUNK = re.compile(rb"([0-9A-Fa-f]{1,16})[ \t]*(?:;[^\n]*)?\r?\n")
_LONGEST_CHUNK_LINE = 1 << 16
#: Fields that say how long the body is, or what becomes of the connection after it.
_FRAMING = {"content-length", "transfer-encoding", "connection"}
_BODILESS = {204, 304}
#: Heads before the one that answers.
_MOST_HINTS = 20


def _unfolded(value: str) -> str:
    """A field that goes on in the next line, in one."""
    return " ".join(line.strip(" \t") for line in value.splitlines()) if "\n" in value else value


#: What can go wrong while a reply is read.
TROUBLE = (http.client.HTTPException, OSError)


def broken(error: Exception) -> Broken:
    """What the standard library's error means for a reply that was waited for."""
    if isinstance(error, TimeoutError):
        return Broken(How.NO_ANSWER_IN_TIME)
    if isinstance(error, http.client.IncompleteRead):
        return Broken(How.CUT)
    return Broken(How.UNREACHABLE)


class Directly:
    """A reply that comes over a line of our own."""

    def __init__(self, answer: Answer, done: Callable[[bool], None]) -> None:
        """`done` hears, once, whether the line is free for the next request."""
        self._answer = answer
        self._done = done
        self.status = answer.status
        self.headers: Mapping[str, str] = fields((name, _unfolded(value)) for name, value in answer.headers.raw_items())
        self.length: int | None = answer.length

    def read(self) -> bytes:
        """A whole body of known length."""
        try:
            return self._answer.read()
        except TROUBLE as error:
            raise broken(error) from None

    def pieces(self, most: int) -> Iterator[bytes]:
        """A body as it comes: nothing that came before a cut is lost in a buffer that waits to be full."""
        answer = self._answer
        try:
            while piece := answer.read1(most) if answer.length != 0 else b"":
                yield piece
            if answer.length:
                raise http.client.IncompleteRead(b"", answer.length)
        except TROUBLE as error:
            raise broken(error) from None
        answer.ended()

    def close(self) -> None:
        """Let go of the line, which carries no other request where something is left in it."""
        answer = self._answer
        free = answer.isclosed() and not answer.will_close and not answer.left_over
        # here, and not when it is collected: an error that a signal raises there goes to nobody
        answer.close()
        self._done(free)


class _Counted(io.RawIOBase):
    """What comes over a line, counted."""

    def __init__(self, raw: Any) -> None:
        super().__init__()
        self._raw = raw
        self.came = 0
        #: whether TLS ended without a word, as it does where somebody cuts the line
        self.ragged = False

    def readable(self) -> bool:
        """It is read, and nothing else."""
        return True

    def readinto(self, buffer: Any) -> int | None:
        """Whatever is there."""
        try:
            number: int | None = self._raw.readinto(buffer)
        except ssl.SSLEOFError:
            self.ragged, number = True, 0
        self.came += number or 0
        return number

    def close(self) -> None:
        """The line itself stays open."""
        self._raw.close()
        super().close()


class _Head:
    """The lines of a head, as the standard library reads them; it takes the end of the line for the end of the head."""

    def __init__(self, file: Any) -> None:
        self._file = file
        self.last = b""

    def readline(self, limit: int = -1) -> bytes:
        """The next line."""
        self.last = self._file.readline(limit)
        return self.last

    def close(self) -> None:
        """Nothing more is read."""
        self._file.close()


class Answer(http.client.HTTPResponse):
    """The standard library's reply, whose head is read at a glance where it is a plain one, and strictly where it is not.

    Raises:
        Broken: the head is cut, contradicts itself, or says something that nobody can be sure to read as it was meant.

    """

    def __init__(self, sock: Any, *args: Any, **kwargs: Any) -> None:
        self._line = sock
        if isinstance(sock, ssl.SSLSocket):
            # of itself Python takes a line that was cut for one that has come to its end
            sock.suppress_ragged_eofs = False  # type: ignore[attr-defined]  # left out where its types are told
        self._source = _Counted(sock.makefile("rb", buffering=0))
        #: bytes of the head and the body together, where they are known
        self._whole: int | None = None
        #: whether something came behind the reply that nobody has asked for
        self.left_over = False
        super().__init__(self, *args, **kwargs)  # type: ignore[arg-type]  # all that it asks of a socket is a file

    @property
    def nothing_came(self) -> bool:
        """Whether not one byte of it is there."""
        return not self._source.came

    def makefile(self, *_: Any) -> io.BufferedReader:
        """What the reply is read from."""
        return io.BufferedReader(self._source)

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

    def read1(self, n: int = -1) -> bytes:
        """The next piece of the body; one that names no length is cut where TLS does not say that it has ended (RFC 9112, 9.8)."""
        piece = super().read1(n)
        if not piece and self._source.ragged and self.length is None and not self.chunked:
            raise http.client.IncompleteRead(b"")
        return piece

    def ended(self) -> None:
        """The body has been read to its end, and its connection is free for the next request."""
        if not self.isclosed():
            self._close_conn()

    def _close_conn(self) -> None:
        """The end of the body, as the standard library calls it."""
        self.left_over = self._is_left_over()
        if self.left_over:
            # whoever keeps the line sees that it has ended
            with contextlib.suppress(OSError):
                self._line.shutdown(socket.SHUT_RDWR)
        super()._close_conn()  # type: ignore[misc]  # Python's own, and named nowhere else

    def _is_left_over(self) -> bool:
        if not self.headers or self.will_close:
            return False
        if self._whole is not None:
            return self._source.came > self._whole
        with contextlib.suppress(OSError, ValueError):  # nothing is there, says a secure line; or it is closed already
            before = self._line.gettimeout()
            self._line.settimeout(0.0)
            try:
                return bool(self.fp.peek(1))
            finally:
                self._line.settimeout(before)
        return False

    def _begin_once(self) -> None:
        before, head = self._source.came == 0, _plain(self.fp.peek(1))
        if head is None:
            self._begin_strictly()
            # after anything else than an answer nobody knows what comes next
            self.will_close = self.will_close or self.status == http.HTTPStatus.SWITCHING_PROTOCOLS
            return
        size, self.status, self.reason, self.headers, self.length = head
        self.fp.read(size)
        self._whole = size + self.length if before else None
        self.version, self.code, self.msg = 11, self.status, self.headers
        self.chunked = self.will_close = False

    def _begin_strictly(self) -> None:
        file: Any = self.fp
        head: Any = _Head(file)
        self.fp = head
        try:
            super().begin()
        finally:
            # it may have closed the file, and says so by having none
            self.fp = file if self.fp is head else self.fp
        if head.last not in {b"\r\n", b"\n"}:
            raise Broken(How.CUT)
        said = self.headers.get_all
        lengths = {each.strip() for value in said("content-length", []) for each in value.split(",")}
        framing = [each.strip().lower() for value in said("transfer-encoding", []) for each in value.split(",")]
        # of two lengths nobody knows which one is true, and the standard library takes the first (RFC 9112, 6.3); it also
        # takes whatever is framed otherwise than in chunks for plain, and a line that is no field for the end of the head
        if len(lengths) > 1 or framing not in ([], ["chunked"]) or _is_spoilt(self.headers):
            raise Broken(How.CONTRADICTS)

    def _read_next_chunk_size(self) -> int:
        """The size of the next chunk; `ValueError` where the line is cut, which may leave a 0 of it, or is none."""
        size = _CHUNK.fullmatch(self.fp.readline(_LONGEST_CHUNK_LINE))
        if not size:
            raise ValueError
        return int(size[1], 16)


def _is_spoilt(head: HTTPMessage) -> bool:
    """Whether a line of a head is no field, so that it and whatever stands behind it was not read."""
    kinds = (FirstHeaderLineIsContinuationDefect, MissingHeaderBodySeparatorDefect)
    return bool(head.get_payload()) or any(isinstance(defect, kinds) for defect in head.defects)


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
