"""Whether what comes is JSON, found out in constant memory and at the speed of the parser.

The parser knows whole documents only. So what comes is cut into pieces, and each is made a document of its own: what is
open where it begins is opened before it, and closed behind it. A piece that does not parse belongs to no JSON.
"""

from __future__ import annotations

import codecs
import contextlib
import re
from collections.abc import Iterator

import msgspec
from msgspec import Struct

from jobfetch.errors import BadReply
from jobfetch.model import opens

BLOCK = 256 * 1024
#: Bytes without a place to cut that are held at once: a key, a number or white space of that length is no result.
LONGEST_PIECE = 16 * 1024 * 1024
DEEPEST = 1000

#: Bytes that must hold the first bracket.
_START = 4096
#: Bytes of a string that are not worth a cut.
_SHORT = 24
#: Places that are tried before the piece is looked through for one.
_GUESSES = 4
_LONGEST_ESCAPE = 6

_NOT_BRACKETS = bytes(set(range(256)) - set(b"[]{}"))
_CLOSING = bytes.maketrans(b"[{", b"]}")
_LOW_SURROGATE = re.compile(rb"\\u[dD][c-fC-F]")


class Check:
    """JSON that comes in pieces: `feed` each, then `end`; `BadReply` where it is no JSON object or list."""

    def __init__(self, block: int = BLOCK) -> None:
        self._block = block
        self._utf8 = codecs.getincrementaldecoder("utf-8")()
        self._in_character = False
        #: what has come since the last cut was looked for
        self._pieces: list[bytes] = []
        self._fresh = 0
        self._reading: _Reading | None = None

    def feed(self, data: bytes) -> None:
        """Read over the next piece, which may be of any length."""
        with _explained():
            # a block lies in the processor's cache, where it is gone over more than once
            for start in range(0, len(data), self._block):
                self._feed(data[start : start + self._block])

    def _feed(self, data: bytes) -> None:
        self._decode(data)
        self._pieces.append(data)
        self._fresh += len(data)
        if self._fresh >= (self._block if self._reading else max(self._block, _START)):
            self._take().go_on()

    def end(self) -> None:
        """The last piece has come."""
        if not self._reading and not self._fresh:
            raise BadReply("the result is empty")
        with _explained():
            self._utf8.decode(b"", final=True)
            reading = self._take()
            reading.parse(reading.text, b"")

    def _take(self) -> _Reading:
        """The reading, with all that has come."""
        text = b"".join(self._pieces)
        self._pieces.clear()
        self._fresh = 0
        if self._reading:
            self._reading.text += text
            return self._reading
        self._reading = _Reading(text.removeprefix(codecs.BOM_UTF8))
        if opens(self._reading.text[:_START]) not in {b"{", b"["}:
            raise BadReply("the result is neither a JSON object nor a list")
        return self._reading

    def _decode(self, data: bytes) -> None:
        # most results are ASCII, which is found out faster than it is decoded
        if self._in_character or not data.isascii():
            self._utf8.decode(data)
            self._in_character = bool(self._utf8.getstate()[0])


@contextlib.contextmanager
def _explained() -> Iterator[None]:
    try:
        yield
    except (msgspec.MsgspecError, RecursionError, UnicodeDecodeError):
        raise BadReply("the result is not JSON") from None


class _Reading(Struct):
    """How far a file has been read: what is left of it, and what makes that a document."""

    text: bytes
    #: the brackets that are open where the text begins, and what opens them again
    open: bytes = b""
    head: bytes = b""
    #: the comma of the last cut, with what stood before it
    mark: bytes = b""
    #: whether the text begins with the rest of a long string
    in_string: bool = False

    def parse(self, text: bytes, tail: bytes) -> None:
        """Read over a piece; `MsgspecError` where it is not JSON."""
        msgspec.json.decode(b"".join((self.head, text, tail)), type=msgspec.Raw)

    def go_on(self) -> None:
        """Check as much of the text as ends in a good place: a comma, or anywhere within a long string.

        Lists repeat themselves: a comma like the last one is tried first, and where the piece parses that is proof.
        """
        end = len(self.text)
        for _ in range(_GUESSES if self.mark else 0):
            end = self.text.rfind(self.mark, len(self.text) // 2, end)
            if end < 0:
                break
            try:
                self._cut_at_comma(end + len(self.mark) - 1, self.open)
            except msgspec.MsgspecError:
                continue
            return
        self._look_through()

    def _look_through(self) -> None:
        text = self.text
        # an escaped quote is none, and a backslash that is escaped escapes nothing
        masked = text.replace(b"\\\\", b"\\_").replace(b'\\"', b"\\_") if b"\\" in text else text
        if self.in_string and len(text) > _SHORT and masked.find(b'"', 1) < 0:
            self._cut_in_string(_place_in_string(masked), self.open)
            return
        # what stands outside of strings and within, by turns
        parts = masked.split(b'"')
        if len(parts) % 2 == 0 and len(parts[-1]) > _SHORT:
            within = _nested(self.open, parts[0::2])
            before = (parts[-2] if len(parts) > 2 else self.head + parts[0]).rstrip()[-1:]  # noqa: PLR2004 - the first
            if before == b":" or within.endswith(b"["):  # a value, and no key
                self._cut_in_string(_place_in_string(masked), within)
                return
        end = len(masked)
        for number in range(len(parts) - 1, -1, -1):
            start = end - len(parts[number])
            comma = masked.rfind(b",", start, end) if number % 2 == 0 else -1
            if comma >= 0:
                self._cut_at_comma(comma, _nested(self.open, [*parts[0:number:2], masked[start:comma]]))
                return
            end = start - 1
        if len(text) > LONGEST_PIECE:
            raise BadReply(f"the result holds a key, a number or white space of more than {LONGEST_PIECE} bytes")

    def _cut_at_comma(self, comma: int, within: bytes) -> None:
        # another value takes the place of what follows, so that a comma without a value before it is found out
        self.parse(self.text[:comma], (b",0" if within.endswith(b"[") else b',"":0') + _closed(within))
        self.mark, self.in_string = self.text[max(0, comma - 1) : comma + 1], False
        self._cut(self.text[comma + 1 :], within, b"[0,", b'{"":0,')

    def _cut_in_string(self, place: int, within: bytes) -> None:
        self.parse(self.text[:place], b'"' + _closed(within))
        self.mark, self.in_string = b"", True
        self._cut(b'"' + self.text[place:], within, b"[", b'{"":')

    def _cut(self, left: bytes, within: bytes, in_list: bytes, in_object: bytes) -> None:
        outer = b"".join(b"[" if bracket == ord("[") else b'{"":' for bracket in within[:-1])
        self.text, self.open = left, within
        self.head = outer + (in_list if within.endswith(b"[") else in_object)


def _place_in_string(masked: bytes) -> int:
    """Where the string at the end may be cut: not within an escape, nor between the two that make one character."""
    end = len(masked) - _LONGEST_ESCAPE
    last = masked.rfind(b"\\", end - _LONGEST_ESCAPE, end)
    if last < 0:
        return end
    return last - _LONGEST_ESCAPE if _LOW_SURROGATE.match(masked, last) else last


def _nested(open_: bytes, outside: list[bytes]) -> bytes:
    """The brackets that are open after these pieces, which hold no strings. `BadReply` where they do not match."""
    brackets = open_ + b"".join(outside).translate(None, _NOT_BRACKETS)
    for _ in range(DEEPEST):
        left = brackets.replace(b"[]", b"").replace(b"{}", b"")
        if left == brackets:
            break
        brackets = left
    if not brackets or len(brackets) > DEEPEST or brackets.translate(None, b"[{"):
        raise BadReply("the result is not JSON")
    return brackets


def _closed(open_: bytes) -> bytes:
    return open_[::-1].translate(_CLOSING)
