"""Many requests over real connections: each thread keeps its own, uses it again, and lets go of everything at the end."""

import io
import itertools
import socket
import time
from collections.abc import Callable, Iterator
from concurrent.futures import ThreadPoolExecutor
from datetime import UTC, datetime
from pathlib import Path

import pytest

from jobfetch.model import Deadline, Purpose, Request
from jobfetch.spec import PLAIN_ERRORS
from jobfetch.transport import Transport
from jobfetch.transport.reaper import Reaper
from jobfetch.transport.wire import Wire

from .program import until
from .raw import Peer, RawServer, reply

Serve = Callable[..., RawServer]
Make = Callable[..., Transport]

KEPT = reply(b'{"a": 1}', "Connection: keep-alive")


@pytest.fixture
def transport() -> Iterator[Make]:
    """A factory of transports with real connections."""
    wires = []

    def make(seconds: float = 60.0, retries: int = 0) -> Transport:
        deadline = Deadline(time.monotonic() + seconds, time.monotonic)
        wires.append(Wire(deadline=deadline, user_agent="jobfetch/test"))
        return Transport(
            wires[-1],
            deadline=deadline,
            errors=PLAIN_ERRORS,
            retries=retries,
            now=lambda: datetime.now(UTC),
            sleep=lambda _: None,
            notify=lambda _: None,
        )

    yield make
    for wire in wires:
        wire.close()


def asked(peer: Peer) -> bool:
    """Whether another request came over the same connection."""
    read = b""
    while not read.endswith(b"\r\n\r\n"):
        more = peer.line.recv(4096)
        if not more:
            return False
        read += more
    return True


def patient(peer: Peer) -> None:
    """Answer every request that comes over a connection."""
    peer.send(KEPT)
    while asked(peer):
        peer.send(KEPT)


def test_requests_one_after_another_share_a_connection(serve: Serve, transport: Make) -> None:
    server, here = serve(patient), transport()
    for number in range(20):
        here.send(Request(url=f"{server.url}/{number}"))
    assert len(server.heads) == 1


def test_a_file_and_a_redirect_leave_the_connection_as_it_was(serve: Serve, transport: Make) -> None:
    def talk(peer: Peer) -> None:
        moved = reply(b"", "Location: /file", "Connection: keep-alive", status="302 Found")
        for answer in itertools.cycle((moved, KEPT)):
            peer.send(answer)
            if not asked(peer):
                return

    server, here = serve(talk), transport()
    for _ in range(3):
        sink = io.BytesIO()
        here.send(Request(url=f"{server.url}/job", purpose=Purpose.RESULT), sink=sink)
        assert sink.getvalue() == b'{"a": 1}'
    assert len(server.heads) == 1


def test_every_thread_has_a_connection_of_its_own_and_no_more(serve: Serve, transport: Make) -> None:
    server, here = serve(patient), transport()
    with ThreadPoolExecutor(8) as pool:
        replies = list(pool.map(lambda number: here.send(Request(url=f"{server.url}/{number}")), range(200)))
    assert {reply.body for reply in replies} == {b'{"a": 1}'}
    assert len(server.heads) <= 8


def test_a_connection_that_was_closed_in_the_meantime_is_no_trouble(serve: Serve, transport: Make) -> None:
    closed: list[int] = []

    def talk(peer: Peer) -> None:
        peer.send(KEPT)
        peer.line.close()
        closed.append(peer.number)

    server, here = serve(talk), transport()
    for number in range(1, 4):
        here.send(Request(url=server.url))
        until(lambda: len(closed) == number)  # noqa: B023 - asked at once
    assert len(server.heads) == 3


def test_more_origins_than_are_kept_are_all_asked_again_and_again(serve: Serve, transport: Make) -> None:
    servers, here = [serve(patient) for _ in range(12)], transport()
    for server in servers * 3:
        assert here.send(Request(url=server.url)).body == b'{"a": 1}'


@pytest.mark.skipif(not Path("/proc/self/fd").exists(), reason="descriptors can be counted on Linux only")
@pytest.mark.parametrize("kept", ["keep-alive", "close"])
def test_no_descriptor_is_left_over(serve: Serve, kept: str) -> None:
    def talk(peer: Peer) -> None:
        peer.send(reply(b'{"a": 1}', f"Connection: {kept}"))
        while kept == "keep-alive" and asked(peer):
            peer.send(reply(b'{"a": 1}', f"Connection: {kept}"))

    server = serve(talk)
    before = len(list(Path("/proc/self/fd").iterdir()))
    wire = Wire(deadline=Deadline(time.monotonic() + 60, time.monotonic), user_agent="jobfetch/test")
    for _ in range(3):
        assert wire.exchange(Request(url=server.url), f"{server.url}/", {}).ok
    wire.close()
    until(lambda: len(list(Path("/proc/self/fd").iterdir())) <= before)


def test_a_request_that_began_later_may_have_to_be_over_first() -> None:
    here, there = socket.socketpair()
    reaper = Reaper()
    with here, there, reaper.watching(time.monotonic() + 3600), reaper.watching(time.monotonic() + 0.2) as soon:
        there.settimeout(30)
        soon.hold(here)
        assert there.recv(1) == b""  # closed on time, with nothing sent
        assert soon.fired


def test_a_rest_that_the_service_itself_does_not_have_is_asked_for_whole(serve: Serve, transport: Make) -> None:
    body = b"x" * 1000
    answers = [
        reply(body[:400], "Content-Length: 1000", 'ETag: "1"'),
        reply(b"", "Content-Range: bytes */1000", status="416 Range Not Satisfiable"),
        reply(body, 'ETag: "1"'),
    ]
    server = serve(lambda peer: peer.send(answers[peer.number - 1]))
    sink = io.BytesIO()
    told = transport(retries=1).send(Request(url=server.url, purpose=Purpose.RESULT), sink=sink)
    assert (told.status, sink.getvalue()) == (200, body)
