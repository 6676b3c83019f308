"""What is sent and what comes back over one connection: heads and bodies, read by requests or by the standard library."""

from __future__ import annotations

import http
import http.client
import re
from collections.abc import Iterable, Iterator, Mapping
from http.client import HTTPMessage
from typing import Any, Protocol, cast

import requests
import urllib3

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


class Heard(Protocol):
    """A reply whose body is still to be read: header names in lower case, `length` in bytes where it is known."""

    status: int
    headers: Mapping[str, str]
    length: int | None

    def read(self) -> bytes:
        """A whole body that is not packed."""

    def pieces(self, most: int) -> Iterator[bytes]:
        """A body of known `length` that is not packed, as it comes, at most so many bytes at once."""

    def raw(self) -> Any:
        """A body of any kind, as urllib3 knows it."""

    def close(self) -> None:
        """Nobody reads on."""


def target_of(url: str) -> str:
    """What stands in the request line for a URL that has been prepared."""
    target = _PLACE.sub("", url, count=1).partition("#")[0]
    return target if target.startswith("/") else f"/{target}"


def head_of(line: Any, target: str, headers: Mapping[str, str]) -> bytes:
    """A request without a body; every part of it has been checked for what does not belong there."""
    host = f"[{line.host}]" if ":" in line.host else line.host
    port = "" if line.port == line.default_port else f":{line.port}"
    fields = "".join(f"{name}: {value}\r\n" for name, value in headers.items())
    return f"GET {target} HTTP/1.1\r\nHost: {host}{port}\r\n{fields}\r\n".encode("ascii")


def broken(line: Any, error: Exception) -> Exception:
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


def _pieces(line: Any, answer: Answer, most: int) -> Iterator[bytes]:
    """The body of an answer, as it comes: nothing that came before a cut is lost in a buffer that waits to be full."""
    try:
        while answer.length:
            piece = answer.read1(most)
            if not piece:
                raise http.client.IncompleteRead(b"", answer.length)
            yield piece
    except (http.client.HTTPException, OSError) as error:
        raise broken(line, error) from None
    answer.ended()


class Indirectly:
    """A reply that came through requests."""

    def __init__(self, response: requests.Response) -> None:
        self._response = response
        self.status = response.status_code
        self.headers: Mapping[str, str] = _fields(response.headers.items())
        self.length: int | None = response.raw.length_remaining

    def read(self) -> bytes:
        """A whole body that is not packed."""
        body: bytes = self._response.raw.read()
        return body

    def pieces(self, most: int) -> Iterator[bytes]:
        """A body of known length that is not packed, as it comes."""
        raw = self._response.raw
        answer = cast("Answer", raw._original_response)  # noqa: SLF001 - urllib3 has no other name for it
        yield from _pieces(raw.connection, answer, most)
        raw.release_conn()

    def raw(self) -> Any:
        """A body of any kind."""
        return self._response.raw

    def close(self) -> None:
        """Give the connection back, or close it where something is left in it."""
        self._response.close()


class Directly:
    """A reply that came over an open line."""

    def __init__(self, line: Any, answer: Answer) -> None:
        self._line = line
        self._answer = answer
        self._unpacking: urllib3.HTTPResponse | None = None
        self.status = answer.status
        self.headers: Mapping[str, str] = _fields(
            (name, _FOLD.sub(" ", value)) for name, value in answer.headers.raw_items()
        )
        self.length: int | None = answer.length

    def read(self) -> bytes:
        """A whole body that is not packed."""
        try:
            return self._answer.read()
        except (http.client.HTTPException, OSError) as error:
            raise broken(self._line, error) from None

    def pieces(self, most: int) -> Iterator[bytes]:
        """A body of known length that is not packed, as it comes."""
        return _pieces(self._line, self._answer, most)

    def raw(self) -> Any:
        """A body of any kind."""
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
        """Close the connection where something is left in it."""
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


class Answer(http.client.HTTPResponse):
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

    def ended(self) -> None:
        """The body has been read to its end, and its connection is free for the next request."""
        self._close_conn()  # type: ignore[attr-defined]  # Python's own, and named nowhere else

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
