"""A connection that is open is asked again: every kind of reply is read to its end, or the connection is given up."""

import contextlib
import gzip
import logging
import re
import socket
import threading
import time
from collections.abc import Callable, Iterator
from contextlib import closing
from datetime import UTC, datetime
from io import BytesIO
from pathlib import Path

import pytest

from jobfetch.errors import BadReply, CutReply, JobfetchError, StillRunning, Unavailable
from jobfetch.model import Deadline, Purpose, Reply, Request, retry_after
from jobfetch.transport import wire as wires
from jobfetch.transport.download import Download
from jobfetch.transport.wire import Wire

from .raw import Peer, RawServer, reply

Serve = Callable[..., RawServer]
Ask = Callable[..., Reply]

OPEN = "Connection: keep-alive"
FIRST, LAST = reply(b'{"first": 1}', OPEN), reply(b'{"last": 1}', OPEN)
BODY = b'{"second": 2}'
PACKED = gzip.compress(BODY)
CHUNKED = (
    b"HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\n\r\n7\r\n"
    + BODY[:7]
    + b"\r\n6\r\n"
    + BODY[7:]
    + b"\r\n0\r\n\r\n"
)


class Line:
    """A server that gives these replies over its first connection, and `LAST` from then on, over whichever."""

    def __init__(self, *replies: bytes) -> None:
        self.replies = [*replies]
        self.heads: list[str] = []

    def __call__(self, peer: Peer) -> None:
        head: str | None = peer.head + "\r\n"
        while head:
            self.heads.append(f"{peer.number} {head}")
            peer.send(self.replies.pop(0) if self.replies and peer.number == 1 else LAST)
            head = _next_head(peer)


def _next_head(peer: Peer) -> str | None:
    read = b""
    while not read.endswith(b"\r\n\r\n"):
        more = peer.line.recv(1)  # and nothing of a body behind it
        if not more:
            return None
        read += more
    return read.decode()


@pytest.fixture
def ask() -> Iterator[Ask]:
    deadline = Deadline(time.monotonic() + 60, time.monotonic)
    with closing(Wire(deadline=deadline, user_agent="jobfetch/test", parse_limit=2_000_000)) as wire:
        yield lambda url, download=None, **more: wire.exchange(Request(url=url, **more), url, {"X-One": "1"}, download)


def over(line: Line) -> list[str]:
    """Which connection carried each request."""
    return [head.partition(" ")[0] for head in line.heads]


GOOD = {
    "plain": reply(BODY, OPEN),
    "fields said twice, and an empty one": reply(BODY, OPEN, "X-Empty:", "X-Twice: a", "X-Twice: b"),
    "chunked": CHUNKED,
    "packed": reply(PACKED, OPEN, "Content-Encoding: gzip"),
    "an empty body": reply(b"", OPEN),
    "no content": b"HTTP/1.1 204 No Content\r\n\r\n",
    "a refusal": reply(b'{"error": "no"}', OPEN, status="404 Not Found"),
    "no reason": reply(BODY, OPEN).replace(b"200 OK", b"200"),
    "a folded header": reply(BODY, OPEN).replace(b"\r\n", b"\r\nX-Folded: a\r\n b\r\n", 1),
    "a header of blanks": reply(BODY, OPEN, "X-Blank: " + " " * 60_000 + "x"),
    "parts of a page": reply(BODY, OPEN, "Content-Type: multipart/mixed; boundary=x"),
    "an interim reply": b"HTTP/1.1 100 Continue\r\n\r\n" + reply(BODY, OPEN),
    "early hints": b"HTTP/1.1 103 Early Hints\r\nLink: </a>; rel=preload\r\n\r\n" * 2 + reply(BODY, OPEN),
    "processing": b"HTTP/1.1 102 Processing\r\n\r\n" + CHUNKED,
    "a length said twice": reply(BODY, OPEN, f"Content-Length: {len(BODY)}", f"content-length: {len(BODY)}"),
    "large": reply(b'{"x": "' + b"y" * 1_000_000 + b'"}', OPEN),
}


@pytest.mark.parametrize("second", GOOD.values(), ids=GOOD)
def test_what_comes_over_an_open_line_is_what_comes_over_a_fresh_one(serve: Serve, ask: Ask, second: bytes) -> None:
    line, fresh = Line(FIRST, second), Line(second)
    server, other = serve(line), serve(fresh)
    ask(f"{server.url}/1")
    again, anew = ask(f"{server.url}/2?a=b#c"), ask(f"{other.url}/2?a=b#c")
    assert (again.status, again.headers, again.body) == (anew.status, anew.headers, anew.body)
    assert ask(f"{server.url}/3").body == b'{"last": 1}'
    assert over(line) == ["1", "1", "1"]
    # what was asked is the same to the letter, but for the port
    sent = [
        each.heads[-1 if each is fresh else 1].partition(" ")[2].replace(str(where.port), "PORT")
        for each, where in ((line, server), (fresh, other))
    ]
    assert sent[0] == sent[1].strip("\r\n") + "\r\n\r\n"


NO_FILE = {
    "accepted, and not there yet": reply(BODY, status="202 Accepted"),
    "no content": b"HTTP/1.1 204 No Content\r\nConnection: close\r\n\r\n",
    "a reset form": reply(b"", status="205 Reset Content"),
    "a part that nobody asked for": reply(BODY, status="206 Partial Content"),
    "a length below nothing": reply(BODY, "Content-Length: -5"),
    "two lengths": reply(BODY, f"Content-Length: {len(BODY)}", "Content-Length: 5"),
    "a length in words": reply(BODY, "Content-Length: ten"),
}


@pytest.mark.parametrize("answer", NO_FILE.values(), ids=NO_FILE)
def test_what_is_no_whole_file_is_none(serve: Serve, ask: Ask, answer: bytes) -> None:
    file = BytesIO()
    download = Download(file=file, now=lambda: datetime.now(UTC))
    with pytest.raises(BadReply):
        ask(serve(lambda peer: peer.send(answer)).url, download, purpose=Purpose.RESULT)
    assert file.getvalue() == b""


def test_a_length_that_is_said_twice_is_one(serve: Serve, ask: Ask) -> None:
    file = BytesIO()
    download = Download(file=file, now=lambda: datetime.now(UTC))
    twice = reply(BODY, *[f"Content-Length: {len(BODY)}"] * 2)
    ask(serve(lambda peer: peer.send(twice)).url, download, purpose=Purpose.RESULT)
    assert (file.getvalue(), download.total) == (BODY, len(BODY))


BAD: dict[str, tuple[bytes, type[JobfetchError]]] = {
    "half a body": (reply(BODY, OPEN, "Content-Length: 50"), CutReply),
    "half a chunk": (CHUNKED[:60], CutReply),
    "a packed body without its end, and of that length": (reply(PACKED[:-9], OPEN, "Content-Encoding: gzip"), CutReply),
    "half a packed body": (
        reply(PACKED[:-9], OPEN, "Content-Encoding: gzip", f"Content-Length: {len(PACKED)}"),
        CutReply,
    ),
    "a chunk's size cut behind its zero": (CHUNKED[: CHUNKED.index(b"\r\n7") + 2] + b"0", CutReply),
    "a chunk's size below nothing": (CHUNKED.replace(b"\r\n6\r\n", b"\r\n-6\r\n"), CutReply),
    "two lengths": (reply(BODY, OPEN, f"Content-Length: {len(BODY)}", "Content-Length: 5"), BadReply),
    "two lengths in one": (reply(BODY, OPEN, f"Content-Length: {len(BODY)}, 5"), BadReply),
    "packed in a way that nobody asked for": (reply(BODY, OPEN, "Content-Encoding: br"), BadReply),
    "half a head": (b"HTTP/1.1 200 OK\r\nContent-Type: image/png\r\nContent-Le", CutReply),
    "a head without its last line": (b"HTTP/1.1 200 OK\r\nContent-Type: image/png\r\n", CutReply),
    "a head of its first line": (b"HTTP/1.1 200 OK\r\n", CutReply),
    "packed and in chunks": (CHUNKED.replace(b"chunked", b"gzip, chunked"), BadReply),
    "in chunks twice": (CHUNKED.replace(b"chunked", b"chunked\r\nTransfer-Encoding: chunked"), BadReply),
    "framed in a way that nobody knows": (reply(BODY, OPEN, "Transfer-Encoding: identity"), BadReply),
    "a line that is no field": (reply(BODY, "no field", OPEN), BadReply),
    "a field with a blank in its name": (reply(BODY, "No Field : x", OPEN), BadReply),
    "a field that begins the head folded": (reply(BODY, OPEN).replace(b"OK\r\n", b"OK\r\n folded\r\n", 1), BadReply),
    "nothing": (b"", Unavailable),
    "no HTTP": (b"SSH-2.0-OpenSSH_9.2\r\n\r\n", Unavailable),
}


@pytest.mark.parametrize(("first", "error"), BAD.values(), ids=BAD)
def test_a_first_reply_that_is_cut_is_an_error(
    serve: Serve, ask: Ask, first: bytes, error: type[JobfetchError]
) -> None:
    with pytest.raises(error):
        ask(serve(lambda peer: peer.send(first)).url)


@pytest.mark.parametrize(("answer", "error"), BAD.values(), ids=BAD)
def test_a_reply_that_is_cut_behind_a_proxy_is_an_error(
    serve: Serve, ask: Ask, monkeypatch: pytest.MonkeyPatch, answer: bytes, error: type[JobfetchError]
) -> None:
    monkeypatch.setenv("HTTP_PROXY", serve(lambda peer: peer.send(answer)).url)
    with pytest.raises(error):
        ask("http://elsewhere.invalid/1")


def test_a_program_that_logs_everything_logs_no_query_of_what_goes_through_a_proxy(
    serve: Serve, ask: Ask, monkeypatch: pytest.MonkeyPatch, caplog: pytest.LogCaptureFixture
) -> None:
    monkeypatch.setenv("HTTP_PROXY", serve(Line(LAST)).url)
    with caplog.at_level(logging.DEBUG):
        ask("http://elsewhere.invalid/a/file?Signature=abc")
    assert "/a/file" in caplog.text
    assert "Signature" not in caplog.text


@pytest.mark.parametrize("behind", [b"\r\n", LAST, b"0\r\n\r\n"])
@pytest.mark.parametrize("answer", [FIRST, CHUNKED], ids=["plain", "chunked"])
@pytest.mark.parametrize("proxied", [False, True])
def test_a_line_with_something_behind_a_reply_is_not_asked_again(
    serve: Serve, ask: Ask, monkeypatch: pytest.MonkeyPatch, behind: bytes, answer: bytes, *, proxied: bool
) -> None:
    line = Line(answer + behind, LAST)
    server = serve(line)
    if proxied:
        monkeypatch.setenv("HTTP_PROXY", server.url)
    url = "http://elsewhere.invalid" if proxied else server.url
    ask(f"{url}/1")
    assert ask(f"{url}/2").body == b'{"last": 1}'
    assert over(line) == ["1", "2"]


@pytest.mark.parametrize("answer", GOOD.values(), ids=GOOD)
def test_what_comes_through_a_proxy_is_what_comes_without(
    serve: Serve, ask: Ask, monkeypatch: pytest.MonkeyPatch, answer: bytes
) -> None:
    bare = ask(serve(Line(answer)).url)
    line = Line(answer)
    monkeypatch.setenv("HTTP_PROXY", serve(line).url)
    proxied = [ask(f"http://elsewhere.invalid/{number}") for number in range(2)]
    assert (proxied[0].status, proxied[0].headers, proxied[0].body) == (bare.status, bare.headers, bare.body)
    assert proxied[1].body == b'{"last": 1}'
    assert over(line) == ["1", "1"]


def hanging_up(peer: Peer) -> None:
    """Answer the first request of each connection, and hang up at the second."""
    peer.send(FIRST if peer.number == 1 else LAST)
    _next_head(peer)


def test_a_line_that_ends_before_a_word_is_left_for_another(serve: Serve, ask: Ask) -> None:
    server = serve(hanging_up)
    assert [ask(f"{server.url}/{number}").body for number in range(3)] == [b'{"first": 1}', *[b'{"last": 1}'] * 2]
    assert len(server.heads) == 3


def test_what_may_do_something_is_never_sent_twice(serve: Serve, ask: Ask) -> None:
    server = serve(hanging_up)
    ask(f"{server.url}/1")
    with pytest.raises(Unavailable):
        ask(f"{server.url}/2", method="POST")
    assert len(server.heads) == 1


def test_a_packed_reply_with_anything_behind_it_is_whole_without_it(serve: Serve, ask: Ask) -> None:
    head = b"HTTP/1.1 200 OK\r\nContent-Encoding: gzip\r\nConnection: close\r\n\r\n"

    def talk(peer: Peer) -> None:
        peer.send(head + PACKED[:-3])
        peer.send(PACKED[-3:] + gzip.compress(b"more")[:1])
        peer.send(gzip.compress(b"more")[1:])
        with contextlib.suppress(OSError):
            while True:  # whoever waits for the end of this waits for ever
                peer.send(bytes(1 << 16))

    assert ask(serve(talk).url).body == BODY + b"more"


@pytest.mark.parametrize("large", [True, False])
def test_a_reply_that_has_proved_to_be_large_may_take_longer_than_a_small_one(
    serve: Serve, ask: Ask, monkeypatch: pytest.MonkeyPatch, *, large: bool
) -> None:
    monkeypatch.setattr(wires, "SMALL_REPLY_TIMEOUT", 1.0)
    monkeypatch.setattr(wires, "SMALL", 10 if large else 1000)

    def talk(peer: Peer) -> None:
        peer.send(b"HTTP/1.1 200 OK\r\nConnection: close\r\n\r\n")
        peer.drip(b"x" * 40)

    server = serve(talk)
    if large:
        assert ask(server.url).body == b"x" * 40
    else:
        with pytest.raises(Unavailable):
            ask(server.url)


@pytest.mark.parametrize(
    ("second", "error"), [each for name, each in BAD.items() if name != "nothing"], ids=[*BAD][:-2] + [*BAD][-1:]
)
def test_a_reply_that_is_cut_is_an_error(serve: Serve, ask: Ask, second: bytes, error: type[JobfetchError]) -> None:
    def talk(peer: Peer) -> None:
        peer.send(FIRST)
        _next_head(peer)
        peer.send(second)

    server = serve(talk)
    ask(f"{server.url}/1")
    with pytest.raises(error):
        ask(f"{server.url}/2")


SPOILT: dict[str, tuple[bytes, type[JobfetchError]]] = {
    "no chunk": (CHUNKED[:60] + b"zz\r\n", CutReply),
    "not packed": (reply(b"plain text " * 100_000, OPEN, "Content-Encoding: gzip"), CutReply),
    "more than may be held": (reply(b'{"x": "' + b"y" * 2_500_000, OPEN, "Content-Length: 3000000"), BadReply),
}


@pytest.mark.parametrize(("second", "error"), SPOILT.values(), ids=SPOILT)
def test_a_line_with_the_rest_of_a_bad_reply_is_not_asked_again(
    serve: Serve, ask: Ask, second: bytes, error: type[JobfetchError]
) -> None:
    line = Line(FIRST, second)
    server = serve(line)
    ask(f"{server.url}/1")
    with pytest.raises(error):
        ask(f"{server.url}/2")
    assert ask(f"{server.url}/3").body == b'{"last": 1}'
    assert over(line) == ["1", "1", "2"]


def test_a_connection_to_a_proxy_is_not_one_to_its_host(
    serve: Serve, ask: Ask, monkeypatch: pytest.MonkeyPatch
) -> None:
    line = Line(FIRST)
    server = serve(line)
    monkeypatch.setenv("HTTP_PROXY", server.url)
    monkeypatch.setenv("NO_PROXY", "127.0.0.1")
    ask("http://elsewhere.invalid/1")
    ask(f"{server.url}/2")
    assert [" ".join(head.split()[:3]) for head in line.heads] == ["1 GET http://elsewhere.invalid/1", "2 GET /2"]


def test_a_line_that_is_to_be_closed_is_closed_and_its_reply_is_read(serve: Serve, ask: Ask) -> None:
    line = Line(FIRST, reply(BODY, "Connection: close"))
    server = serve(line)
    ask(f"{server.url}/1")
    assert ask(f"{server.url}/2").body == BODY
    assert ask(f"{server.url}/3").body == b'{"last": 1}'
    assert over(line) == ["1", "1", "2"]


def test_the_rest_of_an_error_page_is_never_taken_for_the_next_reply(serve: Serve, ask: Ask) -> None:
    # as much of it as is read, and the rest with the next request: nothing tells beforehand that there is more
    page = reply(b"x" * 5 * 256 * 1024, OPEN, "Content-Type: text/html", "Content-Length: 1500000", status="500 Oops")
    line = Line(FIRST, page, b"x" * (1_500_000 - 5 * 256 * 1024) + LAST)
    server = serve(line)
    ask(f"{server.url}/1")
    assert ask(f"{server.url}/2").status == 500
    assert ask(f"{server.url}/3").body == b'{"last": 1}'
    assert over(line) == ["1", "1", "2"]


def test_a_file_comes_over_an_open_line_too(serve: Serve, ask: Ask, tmp_path: Path) -> None:
    line = Line(FIRST, CHUNKED)
    server = serve(line)
    ask(f"{server.url}/1")
    with (tmp_path / "file").open("w+b") as file:
        ask(f"{server.url}/2", Download(file=file, now=lambda: None), purpose=Purpose.RESULT)  # type: ignore[arg-type, return-value]
    assert (tmp_path / "file").read_bytes() == BODY
    assert over(line) == ["1", "1"]


@pytest.mark.parametrize("fresh", [True, False])
def test_a_hint_that_comes_long_before_its_reply_is_no_reply_to_anything(
    serve: Serve, ask: Ask, *, fresh: bool
) -> None:
    hints = threading.Event()

    def talk(peer: Peer) -> None:
        if not fresh:
            peer.send(FIRST)
            _next_head(peer)
        peer.send(b"HTTP/1.1 103 Early Hints\r\n\r\n")
        # the reply goes out once the hint has been sent by itself
        hints.set()
        peer.send(reply(BODY, OPEN))
        while _next_head(peer):
            peer.send(LAST)

    server = serve(talk)
    if not fresh:
        assert ask(f"{server.url}/1").body == b'{"first": 1}'
    assert [ask(f"{server.url}/{number}").body for number in (2, 3)] == [BODY, b'{"last": 1}']
    assert hints.is_set()


@pytest.mark.parametrize("second", [("5", "1"), ("1", "5")])
def test_of_two_waits_the_longer_one_counts(serve: Serve, ask: Ask, second: tuple[str, str]) -> None:
    refusal = reply(b"{}", OPEN, *(f"Retry-After: {wait}" for wait in second), status="429 Too Many Requests")
    server = serve(Line(refusal, refusal))
    for number in range(2):
        assert retry_after(ask(f"{server.url}/{number}"), datetime.now(UTC)) == 5


def test_hints_without_end_are_no_reply(serve: Serve, ask: Ask) -> None:
    server = serve(lambda peer: peer.send(b"HTTP/1.1 103 Early Hints\r\n\r\n" * 100))
    with pytest.raises(Unavailable):
        ask(f"{server.url}/1")


def test_what_a_thread_leaves_open_the_next_one_takes_over(serve: Serve, ask: Ask) -> None:
    line = Line(FIRST, FIRST, FIRST)
    server = serve(line)
    for number in range(3):
        thread = threading.Thread(target=ask, args=(f"{server.url}/{number}",))
        thread.start()
        thread.join()
    assert over(line) == ["1", "1", "1"]


def test_a_line_that_says_nothing_is_closed_at_the_deadline(serve: Serve) -> None:
    def talk(peer: Peer) -> None:
        peer.send(FIRST)
        peer.hold()

    server = serve(talk)
    deadline = Deadline(time.monotonic() + 2, time.monotonic)
    with closing(Wire(deadline=deadline, user_agent="jobfetch/test")) as wire:
        wire.exchange(Request(url=server.url), server.url, {})
        with pytest.raises(StillRunning):
            wire.exchange(Request(url=server.url), server.url, {})


@pytest.mark.parametrize("proxied", [False, True])
def test_a_post_goes_over_the_same_line_with_its_body(
    serve: Serve, ask: Ask, monkeypatch: pytest.MonkeyPatch, *, proxied: bool
) -> None:
    bodies: list[bytes] = []

    def talk(peer: Peer) -> None:
        head: str | None = peer.head + "\r\n"
        while head:
            length = re.search(r"content-length: (\d+)", head, re.IGNORECASE)
            bodies.append(peer.line.recv(int(length[1])) if length and int(length[1]) else b"")
            heads.append(head)
            peer.send(LAST)
            head = _next_head(peer)

    heads: list[str] = []
    server = serve(talk)
    if proxied:
        monkeypatch.setenv("HTTP_PROXY", server.url)
    url = "http://elsewhere.invalid" if proxied else server.url
    ask(f"{url}/1")
    ask(f"{url}/2", method="POST")
    ask(f"{url}/3", method="POST", json={"a": "é"})
    ask(f"{url}/4", method="POST", form={"a": "b c", "d": "&"})
    assert bodies == [b"", b"", '{"a":"é"}'.encode(), b"a=b+c&d=%26"]
    kinds = [re.findall(r"(?i)content-(?:length|type): (.*?)\r", head) for head in heads]
    assert kinds == [[], ["0"], ["application/json; charset=utf-8", "10"], ["application/x-www-form-urlencoded", "11"]]
    assert len(server.heads) == 1


# --- a name with several addresses ---

Named = Callable[..., None]


@pytest.fixture
def named(monkeypatch: pytest.MonkeyPatch) -> Named:
    """Have every name lead to these ports of this machine, in this order."""

    def lead(*ports: int) -> None:
        found = [(socket.AF_INET, socket.SOCK_STREAM, 6, "", ("127.0.0.1", port)) for port in ports]
        monkeypatch.setattr(socket, "getaddrinfo", lambda *_: found)

    return lead


@pytest.fixture
def silent() -> Iterator[int]:
    """A port that takes no connection and turns none away, as a path does that swallows whatever is sent."""
    with socket.create_server(("127.0.0.1", 0), backlog=0) as full, contextlib.ExitStack() as waiting:
        for _ in range(2):
            one = waiting.enter_context(socket.socket())
            one.settimeout(0.0)
            one.connect_ex(full.getsockname())
        yield full.getsockname()[1]


@pytest.fixture
def closed() -> int:
    """A port that turns every connection away."""
    with socket.create_server(("127.0.0.1", 0)) as once:
        port: int = once.getsockname()[1]
    return port


@pytest.mark.parametrize("kind", ["silent", "closed"])
def test_an_address_that_takes_no_connection_keeps_no_other_of_the_same_name_from_being_asked(
    serve: Serve, ask: Ask, named: Named, request: pytest.FixtureRequest, kind: str
) -> None:
    server = serve(Line(FIRST))
    named(request.getfixturevalue(kind), server.port)
    assert ask("http://service.test/one").body == b'{"first": 1}'


def test_of_several_addresses_only_one_is_asked(serve: Serve, ask: Ask, named: Named) -> None:
    first, second = serve(Line(FIRST)), serve(Line(FIRST))
    named(first.port, second.port)
    ask("http://service.test/one")
    assert (len(first.heads), second.heads) == (1, [])


def test_a_name_all_of_whose_addresses_turn_us_away_cannot_be_reached(ask: Ask, named: Named, closed: int) -> None:
    named(closed, closed)
    with pytest.raises(Unavailable, match="cannot be reached"):
        ask("http://service.test/one")


def test_a_name_all_of_whose_addresses_are_silent_takes_no_connection_in_time(
    ask: Ask, named: Named, silent: int, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(wires, "CONNECT_TIMEOUT", 0.5)
    named(silent, silent)
    with pytest.raises(Unavailable, match="did not accept a connection in time"):
        ask("http://service.test/one")
