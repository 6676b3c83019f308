"""Whether what comes is JSON: a block at a time comes to the same as all at once."""

import json
import tracemalloc
from collections.abc import Callable, Iterable
from typing import Any

import msgspec
import pytest
from hypothesis import given
from hypothesis import strategies as st

from jobfetch import jsonfile
from jobfetch.errors import BadReply

ODD = ['"],[{', "\\", "\\\\", '\\"', '"', "é\u2028", "😀" * 9, "x" * 60, "\x00\n", ""]
texts = st.one_of(st.sampled_from(ODD), st.text(max_size=20))
values = st.recursive(
    st.one_of(st.none(), st.booleans(), st.integers(), st.floats(allow_nan=False, allow_infinity=False), texts),
    lambda inner: st.one_of(st.lists(inner, max_size=6), st.dictionaries(texts, inner, max_size=6)),
    max_leaves=40,
)
documents = st.one_of(st.lists(values, max_size=8), st.dictionaries(texts, values, max_size=8))
blocks = st.sampled_from([1, 7, 30, 64, 300])


def check(pieces: Iterable[bytes], block: int = jsonfile.BLOCK) -> None:
    """Hand over the pieces one by one."""
    reading = jsonfile.Check(block)
    for piece in pieces:
        reading.feed(piece)
    reading.end()


def cut(body: bytes, size: int) -> list[bytes]:
    return [body[start : start + size] for start in range(0, len(body), size)]


def passes(body: bytes, block: int) -> bool:
    try:
        check(cut(body, max(1, block // 2)), block)
    except BadReply:
        return False
    return True


def is_json(body: bytes) -> bool:
    try:
        body.decode()
        msgspec.json.decode(body, type=msgspec.Raw)
    except (msgspec.MsgspecError, UnicodeDecodeError, RecursionError):
        return False
    return body.lstrip()[:1] in {b"{", b"["}


@pytest.fixture(autouse=True)
def _small_start(monkeypatch: pytest.MonkeyPatch) -> None:
    """Even a short document is read in blocks."""
    monkeypatch.setattr(jsonfile, "_START", 8)


@given(documents, st.booleans(), st.sampled_from([None, 1]), blocks)
def test_every_document_passes_wherever_it_is_cut(document: Any, plain: bool, indent: int | None, block: int) -> None:
    assert passes(json.dumps(document, ensure_ascii=plain, indent=indent).encode("utf-8", "replace"), block)


@given(documents, st.integers(0), st.sampled_from([b"", *(bytes([byte]) for byte in b'{}[],:"\\u0d\xff ')]), blocks)
def test_a_document_with_a_wrong_byte_passes_only_where_it_is_json_all_the_same(
    document: Any, place: int, byte: bytes, block: int
) -> None:
    body = json.dumps(document).encode()
    place %= len(body) + 1
    for spoilt in (body[:place] + byte + body[place + 1 :], body[:place] + byte + body[place:], body[:place]):
        assert passes(spoilt, block) == is_json(spoilt)


WRONG = {
    "a comma after the last": b"[" + b"1," * 50 + b"]",
    "a comma before the first": b'[{"a":[' + b"[]," * 9 + b"[,1" + b",2" * 50 + b"]]}]",
    "two commas": b"[" + b"1," * 50 + b",1]",
    "one bracket too many": b"[" + b"1," * 50 + b"1]]",
    "one bracket too few": b"[[" + b"1," * 50 + b"1]",
    "another bracket": b"[" + b"1," * 50 + b"1}",
    "two documents": b"{" + b'"a":1,' * 50 + b'"a":1}{"a":1}',
    "a string without an end": b'["' + b"x" * 500,
    "a line end in a string": b'["' + b"x" * 500 + b"\n" + b"x" * 500 + b'"]',
    "half an escape": b'["' + b"x" * 500 + rb"\u00" + b'x"]',
    "half a character": b'["' + b"x" * 500 + rb"\ud83d" + b"x" * 500 + b'"]',
    "a key without a value": b"{" + b'"a":1,' * 50 + b'"a"}',
    "a list with a key": b"[" + b"1," * 50 + b'"a":1]',
    "no utf-8": b'["' + b"x" * 500 + b"\xff" + b"x" * 500 + b'"]',
    "utf-8 that is cut": b'["' + b"x" * 500 + b"\xc3" + b'"]',
    "deeper than anybody reads": b"[" * 5000 + b"]" * 5000,
}


@pytest.mark.parametrize("body", WRONG.values(), ids=WRONG)
def test_what_is_no_json_is_found_out_in_blocks_as_well(body: bytes) -> None:
    assert not is_json(body)
    assert not any(passes(body, block) for block in (1, 16, 100, 10_000))


@pytest.mark.parametrize("escape", [r"\ud83d\ude00", r"\\", r"\"", r"\u0041\ud83d\ude00", r"\n"])
@pytest.mark.parametrize("shift", range(12))
def test_an_escape_is_never_cut_in_two(escape: str, shift: int) -> None:
    assert passes(b'{"a":"' + b"x" * shift + escape.encode() * 200 + b'"}', 50)


def test_a_key_longer_than_anything_is_refused_and_not_held(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(jsonfile, "LONGEST_PIECE", 1000)
    with pytest.raises(BadReply, match="more than 1000 bytes"):
        check(cut(b'{"' + b"k" * 5000 + b'": 1}', 100), block=100)


LARGE: dict[str, Callable[[], list[bytes]]] = {
    "one string": lambda: [b'{"a":"', *[b"0123456789abcdef" * 4096] * 512, b'"}'],
    "many objects": lambda: [b'[{"a":0}', *[b',{"text":"word","box":{"x":[1,2.5]}}' * 2000] * 400, b"]"],
    "a list of lists": lambda: [b'{"a":[0', *[b",[[],[]],1" * 4000] * 600, b"]}"],
}


@pytest.mark.parametrize("name", LARGE)
def test_what_is_large_is_read_over_in_little_memory(name: str) -> None:
    pieces = LARGE[name]()
    assert sum(map(len, pieces)) > 16_000_000
    tracemalloc.start()
    try:
        check(pieces)
        _, peak = tracemalloc.get_traced_memory()
    finally:
        tracemalloc.stop()
    assert peak < 8_000_000
