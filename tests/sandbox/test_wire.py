"""What may go wrong between a server and a client, over real sockets."""

import http.client
import socket
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from email.utils import parsedate_to_datetime
from typing import Any
from urllib.parse import urlsplit

import pytest

from jobfetch.sandbox import READY_TOKEN, Sandbox

Ask = Callable[..., Any]


@contextmanager
def asking(sandbox: Sandbox, job_id: int) -> Iterator[socket.socket]:
    """A bare socket that has asked for a job and heard nothing yet."""
    parts = urlsplit(sandbox.url)
    with socket.create_connection((parts.hostname or "", parts.port or 0), timeout=60) as bare:
        path = f"/api/v1/projects/sandbox/context/vision/extract/{job_id}"
        bare.sendall(f"GET {path} HTTP/1.1\r\nHost: x\r\nAuthorization: Bearer {READY_TOKEN}\r\n\r\n".encode())
        yield bare


def test_a_cut_body_is_shorter_than_it_says(vision: Ask) -> None:
    with pytest.raises(http.client.IncompleteRead):
        vision(101)


def test_a_body_may_be_cut_once_only(vision: Ask) -> None:
    with pytest.raises(http.client.IncompleteRead):
        vision(102)
    assert vision(102).json()["status"] == "Completed"


def test_a_connection_may_be_reset(vision: Ask) -> None:
    with pytest.raises(ConnectionResetError):
        vision(103)


def test_a_connection_may_be_reset_once_only(vision: Ask) -> None:
    with pytest.raises(ConnectionResetError):
        vision(104)
    assert vision(104).status == 200


@pytest.mark.parametrize(("job_id", "begins"), [(751, b"HTTP/1.1 200"), (752, b"HTTP/1.1 200 OK\r\n")])
def test_a_reply_may_drip(sandbox: Sandbox, job_id: int, begins: bytes) -> None:
    with asking(sandbox, job_id) as bare:
        received = [bare.recv(1024) for _ in range(20)]
    assert b"".join(received).startswith(begins)
    assert min(len(part) for part in received) == 1


def test_dripping_headers_never_end() -> None:
    with Sandbox(pace=0) as sandbox, asking(sandbox, 751) as bare:
        received = b"".join(bare.recv(1) for _ in range(400))
    assert b"X-Padding: xx" in received
    assert b"\r\n\r\n" not in received


def test_a_stall_says_nothing(sandbox: Sandbox) -> None:
    with asking(sandbox, 753) as bare:
        bare.settimeout(0.2)
        with pytest.raises(TimeoutError):
            bare.recv(1)


@pytest.mark.parametrize("job_id", [751, 752, 753])
def test_the_sandbox_stops_at_once_whatever_hangs(job_id: int) -> None:
    with Sandbox() as sandbox, asking(sandbox, job_id) as bare:
        for _ in range(10_000):
            if sandbox.asked():
                break
            time.sleep(0.001)
        begun = time.monotonic()
        sandbox.stop()
        assert time.monotonic() - begun < 1
        bare.settimeout(5)
        while bare.recv(4096):
            pass


def test_a_page_in_place_of_json_is_a_200(vision: Ask) -> None:
    reply = vision(110)
    assert (reply.status, reply.headers["content-type"]) == (200, "text/html; charset=utf-8")


def test_json_may_be_none(vision: Ask) -> None:
    with pytest.raises(ValueError, match="Expecting"):
        vision(111).json()


def test_a_wait_is_asked_for_in_seconds_twice(vision: Ask) -> None:
    replies = [vision(429) for _ in range(3)]
    assert [(reply.status, reply.headers.get("retry-after")) for reply in replies] == [
        (429, "1"),
        (429, "1"),
        (200, None),
    ]


def test_a_wait_may_be_a_date_that_lies_ahead(vision: Ask) -> None:
    before = time.time()
    assert before < parsedate_to_datetime(vision(4291).headers["retry-after"]).timestamp() < before + 10


def test_a_long_wait_stays_long_at_any_pace(vision: Ask) -> None:
    assert vision(4292).headers["retry-after"] == "7200"


def test_a_service_may_be_away_twice_or_for_ever(vision: Ask) -> None:
    assert [vision(5031).status for _ in range(3)] == [503, 503, 200]
    assert [vision(503).status for _ in range(3)] == [503, 503, 503]


def test_a_redirect_on_the_same_host_leads_to_the_job(vision: Ask) -> None:
    reply = vision(307)
    assert reply.status == 307
    assert vision(reply.headers["location"].rpartition("/")[2]).json()["status"] == "Completed"


def test_a_redirect_may_lead_in_circles(vision: Ask) -> None:
    first = vision(310)
    second = vision(first.headers["location"].rpartition("/")[2])
    assert (first.status, second.status) == (302, 302)


def test_a_redirect_may_lead_to_another_host(vision: Ask, sandbox: Sandbox, ask: Ask) -> None:
    place = vision(302).headers["location"]
    assert place.startswith(sandbox.storage_url)
    assert ask(place).json()["status"] == "Completed"


def test_a_refusal_may_repeat_the_secret(vision: Ask) -> None:
    assert READY_TOKEN in vision(4031).json()["error"]["message"]


def test_a_connection_is_kept_for_the_next_request(sandbox: Sandbox) -> None:
    with asking(sandbox, 200) as bare:
        connections = []
        for _ in range(2):
            connections.append(b"HTTP/1.1 200" in bare.recv(65536))
            bare.sendall(b"GET /nothing HTTP/1.1\r\nHost: x\r\n\r\n")
        assert connections == [True, False]
        assert b"404" in bare.recv(65536)
