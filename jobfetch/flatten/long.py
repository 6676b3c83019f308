"""A result that is too long to be held: its long lists stay where they lie, and come in windows; the rest is opened.

The parser knows whole documents only. So a list is cut where a comma stands between two of its elements: what lies
between two such places, with brackets around it, is a list of its own, and parses.
"""

from __future__ import annotations

import codecs
import io
import re
from collections.abc import Callable, Iterator
from collections.abc import Set as AbstractSet
from itertools import chain, pairwise, zip_longest

import msgspec
from msgspec import Struct
from msgspec.structs import replace

from jobfetch.errors import BadReply

#: So many bytes from so far on; fewer at the end.
Read = Callable[[int, int], bytes]

WINDOW = 256 * 1024
#: So much is looked through for the first comma between two elements: with one that is known, others are found quickly.
FIRST = 64 * 1024
#: An element, or another value that is held as a whole.
LONGEST = 256 * 1024 * 1024
#: What stands in the place of a list that comes in windows.
ELSEWHERE = b'["\\u0000 elsewhere"]'

#: Places that are tried before the window is looked through for one.
_GUESSES = 4
_MARK = 8

# a text may be long: what is no escape is passed over at once, and nothing is remembered of it
_TOKEN = re.compile(rb'"[^"\\]*(?:\\.[^"\\]*)*"|[\[\]{},:]|[^\s"\[\]{},:]+', re.DOTALL)
_BREAK = re.compile(rb'"[^"\\]*(?:\\.[^"\\]*)*"|[\[\]{},]', re.DOTALL)


class Span(Struct, frozen=True):
    """A list that stays where it is: what reads it, where its first element begins, and where it was cut since."""

    read: Read
    bounds: list[int]

    def all(self) -> bytes:
        """The list as a whole."""
        return self._list(self.bounds[0], self.bounds[-1])

    def windows(self) -> Iterator[bytes]:
        """The list, as lists of so many elements that they are held easily."""
        for start, end in pairwise(self.bounds):
            yield self._list(start, end)

    def _list(self, start: int, end: int) -> bytes:
        return b"[" + readable(self.read(start, end - start - 1)) + b"]"


def readable(data: bytes) -> bytes:
    """The same bytes. `BadReply` where they are not UTF-8: nobody else looks at what is only passed on."""
    try:
        check_text(data)
    except UnicodeDecodeError:
        raise BadReply("it is not UTF-8", hint="ask the service for the job again, or mend the file") from None
    return data


def check_text(data: bytes) -> None:
    """`UnicodeDecodeError` where this is not UTF-8; what is long is never held as text, which may be four times as long."""
    if len(data) <= WINDOW:
        data.decode()
        return
    decoder = codecs.getincrementaldecoder("utf-8")()
    for start in range(0, len(data), WINDOW):
        decoder.decode(data[start : start + WINDOW])
    decoder.decode(b"", final=True)


class Large(Struct, frozen=True):
    """A result without its long lists, and where these are, by dotted name."""

    short: bytes
    spans: dict[str, Span]
    #: reads all of it
    whole: Callable[[], bytes]

    def __bytes__(self) -> bytes:
        """All of it, in memory."""
        return self.whole()

    def keeping_away(self, names: AbstractSet[str]) -> Large | bytes:
        """The same, with no list left where it lies but those of these names."""
        if self.spans.keys() <= names:
            return self
        between = self.short.split(ELSEWHERE)
        if len(between) != len(self.spans) + 1:
            # the service sent the very mark
            return self.whole()
        lists = [ELSEWHERE if name in names else span.all() for name, span in self.spans.items()]
        short = b"".join(chain.from_iterable(zip_longest(between, lists, fillvalue=b"")))
        return replace(self, short=short, spans={name: span for name, span in self.spans.items() if name in names})


def cut(read: Read, start: int) -> Iterator[tuple[bytes, int]]:
    """A list from its first element on, in windows, each with the place behind it; the last one is behind the list.

    `BadReply` where the list does not end.
    """
    at, size, mark = start, min(FIRST, WINDOW), b""
    while True:
        # what was read before is let go first: an element may be long
        text = b""
        text = read(at, size)
        place = _guessed(text, mark) if mark else None
        ended = False
        if place is None:
            place, ended = _looked_for(text)
        if place is None:
            if len(text) < size or size >= LONGEST:
                raise BadReply("a list does not end, or an element of it is too long to be held")
            size *= 4
            continue
        at, size, mark = at + place + 1, WINDOW, text[place - 1 : place + _MARK]
        yield b"".join((b"[", memoryview(text)[:place], b"]")), at
        if ended:
            return


def _guessed(text: bytes, mark: bytes) -> int | None:
    """A comma like the last one: where what stands before it is a list, that is proof."""
    end = len(text)
    for _ in range(_GUESSES):
        end = text.rfind(mark, len(text) // 2, end)
        if end < 0:
            return None
        try:
            msgspec.json.decode(b"[" + text[: end + 1] + b"]", type=msgspec.Raw)
        except msgspec.MsgspecError:
            continue
        return end + 1
    return None


def _looked_for(text: bytes) -> tuple[int | None, bool]:
    """The last comma between two elements, or the end of the list and True; None where neither is there."""
    depth, last, at = 0, None, 0
    while match := _BREAK.search(text, at):
        # what begins like a string and is none ends beyond the window
        if b'"' in text[at : match.start()]:
            break
        token, at = match[0], match.end()
        if token in b"[{":
            depth += 1
        elif token in b"]}":
            depth -= 1
            if depth < 0:
                return match.start(), True
        elif token == b"," and depth == 0:
            last = match.start()
    return last, False


def shortened(read: Read, names: frozenset[str], whole: Callable[[], bytes]) -> Large:
    """A document, with the lists of these names left where they are where they are long. `BadReply` where it is no JSON."""
    # one behind the other at once: each of millions of small pieces would weigh more than it holds
    short = io.BytesIO()
    spans: dict[str, Span] = {}
    scan = _Scan(read)
    for token in scan.tokens():
        if token != b"[" or (name := scan.name()) not in names or name in spans:
            short.write(token)
            continue
        span = Span(read, [scan.at, *(end for _, end in cut(read, scan.at))])
        if len(span.bounds) > 2:  # noqa: PLR2004 - more than one window
            short.write(ELSEWHERE)
            spans[name] = span
        else:
            short.write(span.all())
        scan.leave(span.bounds[-1])
    return Large(short.getvalue(), spans, whole)


class _Scan:
    """Goes over a document token by token, and knows where it is."""

    def __init__(self, read: Read) -> None:
        self._read = read
        self._text = b""
        self._base = 0
        self._next = 0
        self._ended = False
        #: the key of every object that is open, None in a list
        self._keys: list[bytes | None] = []
        self._last = b""

    @property
    def at(self) -> int:
        """The place behind the last token."""
        return self._base + self._next

    def name(self) -> str:
        """The dotted name of the list that has just been opened; nothing where it stands in another, or a key has a dot."""
        keys = self._keys[:-1]
        if None in keys or any(b"." in key or b"\\" in key for key in keys if key):
            return ""
        return ".".join(key.decode("utf-8", "replace") for key in keys if key)

    def leave(self, end: int) -> None:
        """Go on behind the list that has just been opened."""
        self._keys.pop()
        self._text, self._base, self._next, self._ended = b"", end, 0, False

    def tokens(self) -> Iterator[bytes]:
        """Every token; white space is none."""
        while token := self._token():
            if token == b"{":
                self._keys.append(b"")
            elif token == b"[":
                self._keys.append(None)
            elif token in {b"}", b"]"}:
                if not self._keys:
                    raise BadReply("a bracket is closed that was never opened")
                self._keys.pop()
            elif token == b":" and self._keys and self._keys[-1] is not None:
                self._keys[-1] = self._last[1:-1]
            self._last = token
            yield token

    def _token(self) -> bytes:
        while True:
            match = _TOKEN.search(self._text, self._next)
            # what begins like a string and is none yet, or ends where the text does, may go on
            if match and b'"' not in self._text[self._next : match.start()]:
                if match.end() < len(self._text) or self._ended:
                    self._next = match.end()
                    return match[0]
            elif self._ended:
                if self._text[self._next :].strip():
                    raise BadReply("it ends in the middle of a string")
                return b""
            self._read_on()

    def _read_on(self) -> None:
        size = WINDOW if self._next else max(WINDOW, 4 * len(self._text))
        if size > LONGEST:
            raise BadReply("it holds a string that is too long to be held")
        self._base, self._next = self.at, 0
        self._text = self._read(self._base, size)
        self._ended = len(self._text) < size
