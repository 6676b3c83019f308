"""A JSON body, opened only where it is looked into."""

from collections.abc import Callable

import pytest

from jobfetch.errors import BadReply
from jobfetch.model import Document, Reply, compact, decode

DEEP = 200_000


def test_a_byte_order_mark_is_no_part_of_the_document() -> None:
    assert Document(b'\xef\xbb\xbf{"a": 1}').get("a") == 1


def test_a_byte_order_mark_is_no_part_of_what_is_kept() -> None:
    assert Document(b'\xef\xbb\xbf{"a": 1}').raw("") == b'{"a": 1}'


def test_white_space_around_the_document_does_not_matter() -> None:
    assert Document(b' \r\n\t{"a": 1}\n').get("a") == 1


def test_a_dotted_path_leads_into_objects() -> None:
    assert Document(b'{"a": {"b": {"c": "deep"}}}').get("a.b.c") == "deep"


def test_a_path_into_nothing_is_none() -> None:
    document = Document(b'{"a": {"b": 1}, "list": [{"b": 1}], "text": "b", "null": null}')
    paths = ["x", "a.x", "a.b.x", "list.b", "text.b", "null.b", "null"]
    assert [document.get(path) for path in paths] == [None] * len(paths)


def test_the_empty_path_is_the_whole_body() -> None:
    assert Document(b'{"a": 1}').raw("") == b'{"a": 1}'


def test_a_list_is_a_document_without_members() -> None:
    document = Document(b'[{"a": 1}]')
    assert document.get("a") is None
    assert document.get("") == [{"a": 1}]


def test_of_two_members_with_one_name_the_last_counts() -> None:
    assert Document(b'{"a": 1, "a": 2}').get("a") == 2


def test_a_raw_value_is_the_services_own_bytes() -> None:
    assert Document(b'{"a": {"n": 0.10,  "m": 1E5}}').raw("a") == b'{"n": 0.10,  "m": 1E5}'


def test_first_skips_what_is_absent_null_or_empty() -> None:
    assert Document(b'{"a": null, "b": "", "d": "x"}').first("a", "b", "c", "d") == "x"


def test_first_keeps_zero_and_false() -> None:
    document = Document(b'{"zero": 0, "no": false}')
    assert document.first("zero") == 0
    assert document.first("no") is False


def test_text_of_a_structure_is_compact_json() -> None:
    assert Document(b'{"a": {"b": [1, "x"]}}').text("a") == '{"b":[1,"x"]}'


@pytest.mark.parametrize("number", ["9007199254740993", "123456789012345678901234567890", "0.10", "1E5", "1e400"])
def test_text_of_a_number_is_as_written(number: str) -> None:
    assert Document(b'{"a": ' + number.encode() + b"}").text("a") == number


@pytest.mark.parametrize(
    "body",
    [b"", b"  ", b"nope", b'"text"', b"42", b"null", b"<html></html>"],
    ids=["nothing", "blank", "word", "text", "number", "null", "web page"],
)
def test_what_is_neither_object_nor_list_is_a_bad_reply(body: bytes) -> None:
    with pytest.raises(BadReply, match="neither a JSON object nor a list"):
        Document(body)


@pytest.mark.parametrize(
    "body",
    [
        b'{"a":}',
        b'{"a":1',
        b'{"a":1} more',
        b'{"a":1}{"a":2}',
        b'{"a":NaN}',
        b'{"a":01}',
        b'{"a":1,}',
        b'{"a" 1}',
        b"{'a':1}",
        b'{"a":"\n"}',
        b'{"a":tru}',
    ],
)
def test_malformed_json_is_found_when_the_document_is_opened(body: bytes) -> None:
    with pytest.raises(BadReply, match="not JSON"):
        Document(body)


@pytest.mark.parametrize(
    "body", [b'{"a": "\xff"}', b'{"\xff": 1}', b'{"a": {"b": ["\xff"]}}', b'{"a": "\xed\xa0\x80"}', b'["\xc0\x80"]']
)
def test_text_that_is_not_utf_8_is_a_bad_reply_wherever_it_stands(body: bytes) -> None:
    with pytest.raises(BadReply, match="not UTF-8"):
        Document(body)


def test_half_a_surrogate_pair_is_a_bad_reply() -> None:
    with pytest.raises(BadReply, match="not JSON"):
        Document(rb'{"a": "\ud800 and more text behind it"}').get("a")


def test_half_a_surrogate_pair_in_a_name_is_a_bad_reply() -> None:
    with pytest.raises(BadReply, match="not JSON"):
        Document(rb'{"\udc00 and more text behind it": 1}')


def test_a_whole_surrogate_pair_is_one_character() -> None:
    assert Document(rb'{"a": "\ud83d\ude00"}').get("a") == "😀"


@pytest.mark.parametrize(
    "body",
    [b'{"a":' * DEEP + b"1" + b"}" * DEEP, b'{"a":' + b"[" * DEEP + b"]" * DEEP + b"}"],
    ids=["objects", "lists"],
)
def test_a_bottomless_document_is_a_bad_reply_and_not_a_crash(body: bytes) -> None:
    with pytest.raises(BadReply, match="nested too deeply"):
        Document(body)


def test_the_reason_never_quotes_the_body() -> None:
    with pytest.raises(BadReply) as caught:
        Document(b'{"password": "hunter2" oops}')
    assert "hunter2" not in caught.value.message


def test_a_reply_that_is_no_json_names_who_sent_it_without_the_query(reply: Callable[..., Reply]) -> None:
    with pytest.raises(BadReply, match=r"^https://api\.example\.com/jobs/1: ") as caught:
        _ = reply(b"{").document
    assert "SECRET" not in caught.value.message


@pytest.mark.parametrize("media_type", ["text/html", "text/html; charset=utf-8", "application/xml", "text/xml"])
def test_a_web_page_or_xml_is_never_json(reply: Callable[..., Reply], media_type: str) -> None:
    with pytest.raises(BadReply, match="instead of JSON") as caught:
        _ = reply(b'{"a": 1}', content_type=media_type).document
    assert caught.value.hint


@pytest.mark.parametrize(
    "media_type",
    ["application/json", "Application/JSON; charset=utf-8", "application/problem+json", "text/plain", None],
)
def test_json_may_come_under_these_types(reply: Callable[..., Reply], media_type: str | None) -> None:
    assert reply(b'{"a": 1}', content_type=media_type).document.get("a") == 1


def test_compact_takes_the_white_space_away_and_nothing_else() -> None:
    body = b' { "b" : [ 0.10, 1E5, -0 ],\n "a" : "two  blanks", "b": "\\u00e9\\/" } '
    assert compact(body) == b'{"b":[0.10,1E5,-0],"a":"two  blanks","b":"\\u00e9\\/"}'


@pytest.mark.parametrize("body", [b"", b"{", b'{"a":1,}', b"[" * DEEP + b"]" * DEEP])
def test_compact_refuses_what_is_not_json(body: bytes) -> None:
    with pytest.raises(BadReply, match="not JSON"):
        compact(body)


@pytest.mark.parametrize("text", [rb'{"a":"\ud800"}', rb'{"a":"\ud800x"}', rb'{"a":"\udc00"}'])
def test_half_of_a_surrogate_pair_is_called_what_it_is(text: bytes) -> None:
    with pytest.raises(BadReply, match="half of a surrogate pair at byte 6"):
        decode(text)
