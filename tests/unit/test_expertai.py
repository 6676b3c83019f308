"""expert.ai: words that come packed, pages that were not analysed, and failures that come with HTTP 200."""

import base64
import gzip
import json
import struct
from datetime import UTC, datetime
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from jobfetch.errors import BadReply, Forbidden
from jobfetch.model import Reply, State, Status
from jobfetch.providers import expertai
from jobfetch.providers.expertai import words
from jobfetch.spec import Address, look

PUBLISHED = "H4sIAK+FKGIC/ytJLS5hYGJgYEgB4lQgrgHiIiAGAEjL9hsZAAAA"
AT = Address(base_url="https://extract.expert.ai/beta", params={}, job_id="t")
NOW = datetime(2026, 1, 1, tzinfo=UTC)
COLUMNS = ("text", "item_id", "x_min", "y_min", "x_max", "y_max")
ZEROS = b"\0\0\0\0"

#: A word: text, layout element, box.
Word = tuple[str, int, int, int, int, int]

MANY: list[Word] = [("21-PT-1019", 2, 1, 2, 3, 4), ("", 3, 5, 6, 7, 8), ("é漢👩", 4, -1, -2, 2**31 - 1, -(2**31))]

TEXT = st.text().filter(lambda text: "\0" not in text)
EDGE = st.integers(-(2**31), 2**31 - 1)
WORD = st.tuples(TEXT, st.integers(1, 2**24 - 1), EDGE, EDGE, EDGE, EDGE)


def one(word: Word) -> bytes:
    return word[0].encode() + b"\0" + struct.pack("<5i", *word[1:])


def packed(data: bytes) -> str:
    return base64.b64encode(gzip.compress(data, mtime=0)).decode()


def result(*pages: Any) -> bytes:
    return json.dumps({"result": {"words": list(pages)}}).encode()


def words_of(*pages: Any) -> list[Word]:
    rows = [{name: json.loads(cell) for name, cell in row.items()} for row in words(result(*pages))]
    return [tuple(row[name] for name in COLUMNS) for row in rows]


# --- words ---


def test_the_published_sample_holds_one_word() -> None:
    assert words_of(PUBLISHED) == [("test", 2, 100, 101, 124, 114)]


def test_a_word_tells_its_kind_and_page_as_well() -> None:
    [row] = words(result(PUBLISHED))
    assert (row["kind"], row["page"]) == (b'"word"', b"1")


@pytest.mark.parametrize("between", [b"", ZEROS])
def test_many_words_are_read_with_and_without_zeros_between_them(between: bytes) -> None:
    assert words_of(packed(between.join(one(word) for word in MANY))) == MANY


def test_zeros_after_the_last_word_are_no_word() -> None:
    assert words_of(packed(b"".join(one(word) + ZEROS for word in MANY))) == MANY


@pytest.mark.parametrize("between", [b"", ZEROS])
@given(page=st.lists(WORD, max_size=5))
def test_any_words_are_read_back(between: bytes, page: list[Word]) -> None:
    assert words_of(packed(between.join(one(word) for word in page))) == page


def test_every_page_has_its_number() -> None:
    pages = [packed(b""), packed(one(MANY[0])), packed(one(MANY[2]))]
    assert [row["page"] for row in words(result(*pages))] == [b"2", b"3"]


@pytest.mark.parametrize("body", [b"{}", b'{"result":null}', b'{"result":{}}', b'{"result":{"words":null}}', result()])
def test_a_result_without_words_has_none(body: bytes) -> None:
    assert list(words(body)) == []


@pytest.mark.parametrize(
    ("page", "said"),
    [
        (PUBLISHED[:-3], "cannot be unpacked"),
        (PUBLISHED[:-8], "cut"),
        (PUBLISHED[:20], "cut"),
        ("not base64 at all!", "cannot be unpacked"),
        (f"{PUBLISHED[:8]}!{PUBLISHED[8:]}", "cannot be unpacked"),
        ("é", "cannot be unpacked"),
        (base64.b64encode(b"not gzip").decode(), "cannot be unpacked"),
        (base64.b64encode(gzip.compress(b"x", mtime=0)[:10] + b"\xff" * 20).decode(), "cannot be unpacked"),
        (7, "no text"),
        ([PUBLISHED], "no text"),
        (packed(b"test"), "end in the middle"),
        (packed(one(MANY[0])[:-1]), "end in the middle"),
        (packed(one(MANY[0]) + b"\0\0"), "end in the middle"),
        (packed(b"\xff" + one(MANY[0])), "not UTF-8"),
        (base64.b64encode(gzip.compress(one(MANY[0]), mtime=0) * 2).decode(), "cut, or too many"),
    ],
)
def test_words_that_cannot_be_read_name_their_page(page: Any, said: str) -> None:
    with pytest.raises(BadReply, match="the words of page 2 .*" + said):
        words_of(PUBLISHED, page)


@pytest.mark.parametrize("page", [None, ""])
def test_a_page_that_was_not_analysed_has_no_words_and_hides_no_others(page: Any) -> None:
    assert words_of(page, PUBLISHED) == words_of(PUBLISHED)


def test_a_page_that_unpacks_without_end_is_refused(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(expertai, "_MOST_OF_A_PAGE", 1000)
    with pytest.raises(BadReply, match="too many"):
        words_of(packed(one(MANY[0]) * 100))


def test_no_page_may_unpack_to_more_than_memory_can_hold() -> None:
    assert expertai._MOST_OF_A_PAGE <= 64 * 1024 * 1024


# --- states ---


def looked(body: Any) -> Status:
    reply = Reply(200, {"content-type": "application/json"}, json.dumps(body).encode(), AT.base_url)
    return look(expertai.PROVIDER, lambda _: reply, AT, lambda: NOW)


def success(error_pages: Any) -> Status:
    return looked({"state": "SUCCESS", "current": 100, "result": {"header": {"errorPages": error_pages}}})


@pytest.mark.parametrize(("count", "told"), [(1, 1), (2, 2), (10**9, 10_000), (2.0, 2), ("2", 2)])
def test_pages_that_were_not_analysed_make_a_job_partial_however_they_are_counted(count: Any, told: int) -> None:
    status = success(count)
    assert (status.state, len(status.failed_items)) == (State.PARTIAL, told)
    assert f"one of {int(count)} pages" in (status.failed_items[0].message or "")


@pytest.mark.parametrize("count", [0, 0.0, "0", -1, None, "two", [], {}])
def test_without_such_pages_a_job_is_whole(count: Any) -> None:
    assert (success(count).state, success(count).failed_items) == (State.SUCCEEDED, ())


@pytest.mark.parametrize(("word", "state"), [("FAILURE", State.FAILED), ("ABORTED", State.CANCELLED)])
def test_a_failure_comes_with_http_200_and_its_message(word: str, state: State) -> None:
    status = looked({"current": 0, "message": "the file is protected", "state": word})
    assert (status.state, status.progress) == (state, 0.0)
    assert status.error
    assert status.error.message == "the file is protected"


def test_a_message_of_a_job_at_work_is_no_error() -> None:
    status = looked({"current": 35, "message": "page conversion", "state": "PROGRESS"})
    assert (status.message, status.error, status.progress) == ("page conversion", None, 35.0)


@pytest.mark.parametrize("word", ["RETRY", "STARTED", "REVOKED"])
def test_a_word_of_the_engine_beneath_does_not_end_a_job(word: str) -> None:
    assert looked({"state": word}).state is State.RUNNING


@pytest.mark.parametrize("current", [None, "35", True, [], {}])
def test_what_is_no_number_is_no_progress(current: Any) -> None:
    assert looked({"state": "PROGRESS", "current": current}).progress is None


# --- refusals ---


def refusal(body: Any) -> str:
    reply = Reply(403, {"content-type": "application/json"}, json.dumps(body).encode(), AT.base_url)
    with pytest.raises(Forbidden) as caught:
        look(expertai.PROVIDER, lambda _: reply, AT, lambda: NOW)
    return caught.value.message


def test_a_refusal_tells_its_message_and_what_is_embedded_in_it() -> None:
    said = refusal({"message": "Access denied", "_embedded": {"errors": [{"message": "No active subscription"}]}})
    assert "Access denied" in said
    assert "No active subscription" in said


@pytest.mark.parametrize("embedded", [None, {}, {"errors": []}, {"errors": None}])
def test_nothing_embedded_hides_no_message(embedded: Any) -> None:
    assert "Access denied" in refusal({"message": "Access denied", "_embedded": embedded})
