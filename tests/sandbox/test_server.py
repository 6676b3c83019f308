"""The sandbox as a server: its log, its manners, its beginning and end."""

import contextlib
import http.client
import json
import socket
import time
from collections.abc import Callable
from concurrent.futures import ThreadPoolExecutor
from typing import Any
from urllib.parse import urlsplit

import pytest

from jobfetch.sandbox import SECRETS, Asked, Sandbox

Ask = Callable[..., Any]


def say(sandbox: Sandbox, text: bytes) -> bytes:
    """Send these bytes and hear all that comes until the sandbox hangs up."""
    parts = urlsplit(sandbox.url)
    with socket.create_connection((parts.hostname or "", parts.port or 0), timeout=60) as bare:
        bare.sendall(text)
        return b"".join(iter(lambda: bare.recv(65536), b""))


def test_a_request_is_logged_as_it_was_received(sandbox: Sandbox, ask: Ask) -> None:
    before = time.monotonic()
    ask(f"{sandbox.url}/some/where?a=%2F&b", "POST", "body", X_Odd_Case="Value")
    [asked] = sandbox.asked()
    assert (asked.origin, asked.method, asked.path) == ("api", "POST", "/some/where?a=%2F&b")
    assert (asked.body, asked.status) == (b"body", 404)
    assert ("X-Odd-Case", "Value") in asked.headers
    assert before <= asked.at <= time.monotonic()


@pytest.mark.parametrize(("job_id", "status"), [(200, 200), (101, 200), (103, 0)])
def test_the_log_says_what_status_the_client_got(sandbox: Sandbox, vision: Ask, job_id: int, status: int) -> None:
    with contextlib.suppress(OSError, http.client.HTTPException):
        vision(job_id)
    assert [asked.status for asked in sandbox.asked()] == [status]


def test_the_log_can_be_read_over_http_and_is_not_part_of_itself(sandbox: Sandbox, ask: Ask) -> None:
    ask(f"{sandbox.url}/here")
    for _ in range(2):
        [asked] = ask(f"{sandbox.url}/__sandbox__/requests").json()
        assert (asked["origin"], asked["path"], asked["status"]) == ("api", "/here", 404)
        assert set(asked) == set(Asked.__struct_fields__)


def test_clearing_the_log_begins_all_jobs_anew(sandbox: Sandbox, ask: Ask, vision: Ask) -> None:
    seen = [vision(123).json()["status"] for _ in range(3)]
    assert ask(f"{sandbox.url}/__sandbox__/requests", "DELETE").status == 204
    assert sandbox.asked() == ()
    assert [vision(123).json()["status"] for _ in range(3)] == seen == ["Queued", "Running", "Completed"]


def test_looks_are_counted_right_from_many_threads(sandbox: Sandbox, vision: Ask) -> None:
    with ThreadPoolExecutor(8) as pool:
        states = [reply.json()["status"] for reply in pool.map(vision, ["1040"] * 80)]
    assert sum(state == "Completed" for state in states) == 40


def test_a_head_request_gets_the_head_alone(sandbox: Sandbox) -> None:
    reply = say(sandbox, b"HEAD /oauth2/nothing HTTP/1.1\r\nConnection: close\r\n\r\n")
    assert reply.startswith(b"HTTP/1.1 404")
    assert reply.endswith(b"\r\n\r\n")


@pytest.mark.parametrize(
    ("text", "status"),
    [
        (b"nonsense\r\n\r\n", 400),
        (b"GET / HTTP/1.1\r\nno colon\r\n\r\n", 400),
        (b"GET / HTTP/1.1\r\n" + b"a: b\r\n" * 300, 431),
        (b"POST / HTTP/1.1\r\nContent-Length: 9999999\r\n\r\n", 413),
        (b"POST / HTTP/1.1\r\nTransfer-Encoding: chunked\r\n\r\n", 411),
    ],
)
def test_what_nobody_should_send_is_refused_and_ends_the_connection(sandbox: Sandbox, text: bytes, status: int) -> None:
    assert say(sandbox, text).startswith(f"HTTP/1.1 {status} ".encode())


def test_an_old_client_is_answered_and_hung_up_on(sandbox: Sandbox) -> None:
    assert say(sandbox, b"GET / HTTP/1.0\r\n\r\n").startswith(b"HTTP/1.1 404")


def test_a_client_that_waits_for_a_go_ahead_gets_it(sandbox: Sandbox) -> None:
    text = b"POST / HTTP/1.1\r\nExpect: 100-continue\r\nContent-Length: 2\r\nConnection: close\r\n\r\nhi"
    assert say(sandbox, text).startswith(b"HTTP/1.1 100 Continue\r\n\r\nHTTP/1.1 404")
    assert sandbox.asked()[-1].body == b"hi"


def test_the_environment_names_what_a_client_needs(sandbox: Sandbox) -> None:
    settings = sandbox.environment()
    assert settings["JOBFETCH_COGNITE_BASE_URL"] == settings["JOBFETCH_PLAYMENT_BASE_URL"] == sandbox.url
    assert settings["JOBFETCH_EXABASE_BASE_URL"] == settings["JOBFETCH_JUSTCRAWL_BASE_URL"] == sandbox.url
    assert settings["JOBFETCH_EXPERTAI_BASE_URL"] == f"{sandbox.url}/beta"
    assert settings["JOBFETCH_EXPERTAI_TOKEN_URL"].startswith(sandbox.url)
    assert settings["JOBFETCH_COGNITE_PROJECT"] == "sandbox"


def test_every_credential_of_the_environment_is_a_known_secret(sandbox: Sandbox) -> None:
    kinds = ("_CLIENT_SECRET", "_API_KEY", "_USERNAME", "_PASSWORD")
    given = {value for name, value in sandbox.environment().items() if name.endswith(kinds)}
    assert len(given) == 6
    assert given < set(SECRETS)


def test_the_two_origins_are_not_the_same(sandbox: Sandbox) -> None:
    assert sandbox.url != sandbox.storage_url


def test_a_sandbox_can_stop_twice_and_start_again(ask: Ask) -> None:
    sandbox = Sandbox()
    for _ in range(2):
        with sandbox:
            assert ask(f"{sandbox.url}/").status == 404
        sandbox.stop()


def test_a_stopped_sandbox_listens_no_more(sandbox: Sandbox, ask: Ask) -> None:
    sandbox.stop()
    with pytest.raises(ConnectionRefusedError):
        ask(f"{sandbox.url}/")


def test_a_port_that_is_taken_is_an_error_and_frees_the_other(sandbox: Sandbox, ask: Ask) -> None:
    taken = urlsplit(sandbox.storage_url).port or 0
    second = Sandbox(storage_port=taken)
    with pytest.raises(OSError, match="in use"):
        second.start()
    assert ask(f"{sandbox.url}/").status == 404


def test_the_port_can_be_chosen(sandbox: Sandbox) -> None:
    port = urlsplit(sandbox.url).port or 0
    sandbox.stop()
    with Sandbox(port=port) as second:
        assert urlsplit(second.url).port == port


def test_the_log_is_json_of_plain_values(sandbox: Sandbox, ask: Ask) -> None:
    ask(f"{sandbox.url}/", "POST", "\xff")
    assert isinstance(json.dumps(ask(f"{sandbox.url}/__sandbox__/requests").json()), str)
