"""What is written to a file is heard beside: all of it, in its order, and nothing of what was taken back."""

import hashlib
import io
import threading

import pytest

from jobfetch.errors import BadReply
from jobfetch.fetch import hearing as module
from jobfetch.fetch.hearing import Ear, checked_json, hashed, overheard

PIECE = b"0123456789abcdef" * 4096


@pytest.fixture(params=["short", "long"], autouse=True)
def _length(request: pytest.FixtureRequest, monkeypatch: pytest.MonkeyPatch) -> None:
    """Everything is heard at the end, or by a thread from the first piece on."""
    monkeypatch.setattr(module, "SHORT", 10**9 if request.param == "short" else 0)


def sha256(data: bytes) -> str:
    return hashlib.sha256(data).hexdigest()


def listeners() -> int:
    return sum(thread.name == "jobfetch-ears" for thread in threading.enumerate())


def test_every_ear_hears_what_lies_in_the_file() -> None:
    with overheard(file := io.BytesIO(), hashed, checked_json) as sink:
        for piece in (b'["', *[PIECE] * 50, b'"]'):
            sink.write(piece)
        assert sink.heard() == [sha256(file.getvalue()), None]
    assert file.getvalue() == b'["' + PIECE * 50 + b'"]'


def test_what_was_taken_back_is_forgotten() -> None:
    with overheard(file := io.BytesIO(), hashed, checked_json) as sink:
        sink.write(b"<html>")
        sink.seek(0)
        sink.truncate()
        sink.write(b"{}")
        assert sink.heard() == [sha256(b"{}"), None]
    assert file.getvalue() == b"{}"


def test_an_empty_file_is_heard_as_such() -> None:
    with overheard(io.BytesIO(), hashed) as sink:
        assert sink.heard() == [sha256(b"")]


def test_what_an_ear_complains_of_is_raised_at_the_end_and_holds_nobody_up() -> None:
    with overheard(io.BytesIO(), checked_json) as sink:
        for _ in range(module.MOST_WAITING * 3):
            sink.write(PIECE)
        with pytest.raises(BadReply, match="neither a JSON object nor a list"):
            sink.heard()


def test_whoever_gives_up_leaves_no_thread_behind() -> None:
    def give_up() -> None:
        with overheard(io.BytesIO(), hashed) as sink:
            sink.write(PIECE)
            raise KeyError

    with pytest.raises(KeyError):
        give_up()
    for thread in threading.enumerate():
        if thread.name == "jobfetch-ears":
            thread.join(60)
    assert listeners() == 0


def test_a_slow_ear_is_waited_for_and_hears_everything() -> None:
    go_on, heard = threading.Event(), bytearray()

    def slow() -> Ear:
        def feed(data: bytes) -> None:
            go_on.wait(60)
            heard.extend(data)

        return Ear(feed, lambda: len(heard), beside=True)

    with overheard(io.BytesIO(), slow) as sink:
        for _ in range(module.MOST_WAITING - 1):
            sink.write(b"x" * 10)
        go_on.set()
        assert sink.heard() == [(module.MOST_WAITING - 1) * 10]
