"""Sending a request until it has an answer worth giving: retries, redirects, credentials; over a mocked wire."""

import base64
import io
import re
import ssl
from collections.abc import Callable, Iterator, Mapping
from concurrent.futures import ThreadPoolExecutor
from contextlib import closing
from dataclasses import dataclass, field
from datetime import UTC, datetime, timedelta
from pathlib import Path
from typing import Any
from urllib.parse import urlsplit

import certifi
import pytest
import requests
import responses
import urllib3
from hypothesis import example, given
from hypothesis import strategies as st

from jobfetch.errors import BadReply, ConfigError, CutReply, Exit, JobfetchError, StillRunning, Unavailable
from jobfetch.model import Deadline, Purpose, Reply, Request, origin
from jobfetch.providers import cognite, playment
from jobfetch.spec import ErrorRules
from jobfetch.transport import Transport
from jobfetch.transport.trust import Trust
from jobfetch.transport.wire import Wire

NOW = datetime(2026, 1, 1, tzinfo=UTC)
HOME = "https://api.example.com"
JOB = f"{HOME}/jobs/1"
ELSEWHERE = "https://storage.example.net/result.json"
REDIRECTS = [301, 302, 303, 307, 308]


@dataclass
class Key:
    """A signer with one key for one origin, which can be renewed as often as there are values left."""

    values: list[str] = field(default_factory=lambda: ["KEY-1"])
    header: str = "x-api-key"
    renewals: int = 0

    def headers(self, url: str) -> Mapping[str, str]:
        return {self.header: self.values[0]} if origin(url) == origin(HOME) else {}

    def renew(self, used: Mapping[str, str]) -> bool:
        self.renewals += 1
        if len(self.values) == 1:
            return False
        self.values.pop(0)
        return True


@dataclass
class World:
    """A transport on a fake clock, and everything that it did."""

    transport: Transport
    wire: Wire
    time: list[float]
    sleeps: list[float]
    notes: list[str]
    jitters: list[tuple[float, float]]

    def send(self, request: Request, **how: Any) -> Reply:
        return self.transport.send(request, **how)


Make = Callable[..., World]


@pytest.fixture
def service(monkeypatch: pytest.MonkeyPatch) -> Iterator[responses.RequestsMock]:
    """What stands behind a proxy, which is the way that goes through requests."""
    for name in ("HTTP_PROXY", "HTTPS_PROXY"):
        monkeypatch.setenv(name, "http://proxy.test:3128")
    with responses.RequestsMock(assert_all_requests_are_fired=False) as mocked:
        yield mocked


@pytest.fixture
def world() -> Iterator[Make]:
    """A factory of transports: `world(retries=2, seconds=60)`."""
    wires = []

    def make(
        *,
        errors: ErrorRules | None = None,
        retries: int = 4,
        seconds: float = 3600.0,
        jitter: Callable[[float, float], float] = lambda low, high: high,
        parse_limit: int = 1_000_000,
    ) -> World:
        time: list[float] = [0.0]
        sleeps: list[float] = []
        notes: list[str] = []
        jitters: list[tuple[float, float]] = []

        def sleep(wait: float) -> None:
            sleeps.append(wait)
            time[0] += wait

        def jittered(low: float, high: float) -> float:
            jitters.append((low, high))
            return jitter(low, high)

        deadline = Deadline(seconds, lambda: time[0])
        wire = Wire(deadline=deadline, user_agent="jobfetch/test", parse_limit=parse_limit)
        wires.append(wire)
        transport = Transport(
            wire,
            deadline=deadline,
            errors=errors or ErrorRules(),
            retries=retries,
            now=lambda: NOW + timedelta(seconds=time[0]),
            sleep=sleep,
            notify=notes.append,
            jitter=jittered,
        )
        return World(transport, wire, time, sleeps, notes, jitters)

    yield make
    for wire in wires:
        wire.close()


def result(url: str = JOB, **more: Any) -> Request:
    return Request(url=url, purpose=Purpose.RESULT, **more)


def seen(service: responses.RequestsMock) -> list[str]:
    """Every URL that was asked, in order."""
    return [str(call.request.url) for call in service.calls]


def sent(service: responses.RequestsMock, number: int) -> dict[str, str]:
    """The headers of one request, names in lower case."""
    return {name.lower(): str(value) for name, value in service.calls[number].request.headers.items()}


# --- one request ---


def test_a_good_reply_comes_back_whole(service: responses.RequestsMock, world: Make) -> None:
    service.get(JOB, body=b'{"a": 1}', headers={"X-Request-Id": "r1"}, content_type="application/json")
    reply = world().send(Request(url=JOB))
    assert (reply.status, reply.body, reply.headers["x-request-id"], reply.url) == (200, b'{"a": 1}', "r1", JOB)


def test_a_request_says_who_asks_and_what_for(service: responses.RequestsMock, world: Make) -> None:
    service.get(JOB)
    world().send(Request(url=JOB, headers={"cdf-version": "beta"}))
    headers = sent(service, 0)
    assert headers["user-agent"] == "jobfetch/test"
    assert headers["accept"] == "application/json"
    assert headers["cdf-version"] == "beta"
    assert "authorization" not in headers


def test_a_form_is_posted_as_a_form(service: responses.RequestsMock, world: Make) -> None:
    service.post(f"{HOME}/token")
    world().send(Request(url=f"{HOME}/token", method="POST", form={"a": "b c", "d": "é&"}, purpose=Purpose.TOKEN))
    assert service.calls[0].request.body == b"a=b+c&d=%C3%A9%26"
    assert sent(service, 0)["content-type"] == "application/x-www-form-urlencoded"


def test_a_good_body_goes_into_the_sink_and_an_error_does_not(service: responses.RequestsMock, world: Make) -> None:
    service.get(JOB, body=b"not found", status=404)
    service.get(JOB, body=b"the result")
    refused, good = io.BytesIO(), io.BytesIO()
    assert world().send(result(), sink=refused).body == b"not found"
    assert world().send(result(), sink=good).body == b""
    assert (refused.getvalue(), good.getvalue()) == (b"", b"the result")


def test_more_than_the_limit_is_not_parsed(service: responses.RequestsMock, world: Make) -> None:
    service.get(f"{JOB}?key=SECRET", body=b"x" * 101)
    with pytest.raises(BadReply, match="more than 100 bytes") as caught:
        world(parse_limit=100).send(Request(url=f"{JOB}?key=SECRET"))
    assert "--parse-limit" in (caught.value.hint or "")
    assert "SECRET" not in caught.value.message


def test_the_limit_itself_is_parsed(service: responses.RequestsMock, world: Make) -> None:
    service.get(JOB, body=b"x" * 100)
    assert len(world(parse_limit=100).send(Request(url=JOB)).body) == 100


def test_what_is_only_stored_has_no_limit(service: responses.RequestsMock, world: Make) -> None:
    service.get(JOB, body=b"x" * 1000)
    sink = io.BytesIO()
    world(parse_limit=100).send(result(), sink=sink)
    assert len(sink.getvalue()) == 1000


def test_an_endless_error_page_is_cut_and_still_an_error(service: responses.RequestsMock, world: Make) -> None:
    service.get(JOB, body=b"x" * 3_000_000, status=404)
    reply = world().send(Request(url=JOB))
    assert reply.status == 404
    assert len(reply.body) <= 1024 * 1024


# --- retries ---


@pytest.mark.parametrize("status", [408, 425, 429, 500, 502, 503, 504, 520, 599])
def test_trouble_that_may_pass_is_tried_again(service: responses.RequestsMock, world: Make, status: int) -> None:
    service.get(JOB, status=status)
    service.get(JOB, body=b"{}")
    assert world().send(Request(url=JOB)).status == 200
    assert len(service.calls) == 2


@pytest.mark.parametrize("status", [400, 401, 402, 403, 404, 405, 409, 410, 413, 418, 422, 451])
def test_any_other_refusal_is_given_back_at_once(service: responses.RequestsMock, world: Make, status: int) -> None:
    service.get(JOB, status=status)
    assert world().send(Request(url=JOB)).status == status
    assert len(service.calls) == 1


@pytest.mark.parametrize("status", [200, 202, 204])
def test_a_good_reply_is_asked_for_once(service: responses.RequestsMock, world: Make, status: int) -> None:
    service.get(JOB, status=status)
    world().send(Request(url=JOB))
    assert len(service.calls) == 1


@pytest.mark.parametrize("code", ["FS_0000", "FS_0008", "api_error"])
def test_a_code_of_the_service_may_ask_to_try_again(service: responses.RequestsMock, world: Make, code: str) -> None:
    service.get(JOB, status=400, json={"success": False, "error": {"code": code, "message": "on our end"}})
    service.get(JOB, json={"success": True})
    assert world(errors=playment.PROVIDER.errors).send(Request(url=JOB)).status == 200


def test_a_code_of_the_service_may_forbid_it(service: responses.RequestsMock, world: Make) -> None:
    service.get(JOB, status=400, json={"success": False, "error": {"code": "auth-failure", "message": "wrong key"}})
    world(errors=playment.PROVIDER.errors).send(Request(url=JOB))
    assert len(service.calls) == 1


def test_a_bare_500_of_cognite_is_not_tried_again(service: responses.RequestsMock, world: Make) -> None:
    service.get(JOB, status=500)
    assert world(errors=cognite.PROVIDER.errors).send(Request(url=JOB)).status == 500
    assert len(service.calls) == 1


def test_a_500_of_cognite_that_asks_for_it_is(service: responses.RequestsMock, world: Make) -> None:
    service.get(JOB, status=500, headers={"cdf-is-auto-retryable": "true"})
    service.get(JOB)
    assert world(errors=cognite.PROVIDER.errors).send(Request(url=JOB)).status == 200


def test_the_tries_are_counted(service: responses.RequestsMock, world: Make) -> None:
    service.get(f"{JOB}?key=SECRET", status=503, headers={"x-request-id": "r-9"})
    with pytest.raises(Unavailable, match="after 3 tries") as caught:
        world(retries=2).send(Request(url=f"{JOB}?key=SECRET"))
    assert len(service.calls) == 3
    assert caught.value.request_id == "r-9"
    assert "SECRET" not in caught.value.message


def test_no_retries_means_one_try(service: responses.RequestsMock, world: Make) -> None:
    service.get(JOB, status=503)
    with pytest.raises(Unavailable):
        world(retries=0).send(Request(url=JOB))
    assert len(service.calls) == 1


@pytest.mark.parametrize(
    "error",
    [
        requests.ConnectionError("refused"),
        requests.ConnectTimeout("late"),
        requests.ReadTimeout("late"),
        requests.exceptions.ProxyError("proxy"),
        urllib3.exceptions.ProtocolError("reset"),
    ],
    ids=lambda error: type(error).__name__,
)
def test_a_network_that_fails_is_tried_again(service: responses.RequestsMock, world: Make, error: Exception) -> None:
    service.get(JOB, body=error)
    service.get(JOB, body=b"{}")
    assert world().send(Request(url=JOB)).status == 200


def test_a_wait_for_an_answer_that_ends_with_the_deadline_is_the_deadline(
    service: responses.RequestsMock, world: Make
) -> None:
    made = world(seconds=10)

    def late(_: requests.PreparedRequest) -> Any:
        made.time[0] = 10.0
        raise requests.ReadTimeout("late")

    service.add_callback(responses.GET, JOB, late)
    with pytest.raises(StillRunning):
        made.wire.exchange(Request(url=JOB), JOB, {})


def test_a_network_that_keeps_failing_is_unavailable(service: responses.RequestsMock, world: Make) -> None:
    service.get(f"{JOB}?key=SECRET", body=requests.ConnectionError(f"{JOB}?key=SECRET refused"))
    with pytest.raises(Unavailable, match=r"api\.example\.com/jobs/1 cannot be reached") as caught:
        world().send(Request(url=f"{JOB}?key=SECRET"))
    assert caught.value.exit is Exit.UNAVAILABLE
    assert "SECRET" not in caught.value.message
    assert caught.value.__suppress_context__


def test_a_reply_that_is_cut_every_time_is_said_to_be_cut(service: responses.RequestsMock, world: Make) -> None:
    cut = requests.ConnectionError(urllib3.exceptions.IncompleteRead(3, 10))
    service.get(JOB, body=cut)
    with pytest.raises(CutReply):
        world(retries=1).send(Request(url=JOB))
    assert len(service.calls) == 2


def test_a_certificate_that_is_not_trusted_is_not_tried_again(service: responses.RequestsMock, world: Make) -> None:
    service.get(JOB, body=requests.exceptions.SSLError("CERTIFICATE_VERIFY_FAILED"))
    with pytest.raises(BadReply, match="certificate") as caught:
        world().send(Request(url=JOB))
    assert len(service.calls) == 1
    assert "--ca-bundle" in (caught.value.hint or "")


def test_a_full_disk_is_not_taken_for_a_network_that_fails(service: responses.RequestsMock, world: Make) -> None:
    class Full(io.BytesIO):
        def write(self, data: Any) -> int:
            raise OSError(28, "No space left on device")

    service.get(JOB, body=b"result")
    with pytest.raises(OSError, match="No space left"):
        world().send(result(), sink=Full())
    assert len(service.calls) == 1


def test_the_sink_is_emptied_before_another_try(service: responses.RequestsMock, world: Make) -> None:
    sink = io.BytesIO()

    def cut(_: requests.PreparedRequest) -> tuple[int, dict[str, str], bytes]:
        sink.write(b"the first half of a reply that was cut")
        raise requests.ConnectionError(urllib3.exceptions.IncompleteRead(3, 10))

    service.add_callback(responses.GET, JOB, cut)
    service.get(JOB, body=b"whole")
    world().send(result(), sink=sink)
    assert sink.getvalue() == b"whole"


def test_a_token_post_is_tried_again(service: responses.RequestsMock, world: Make) -> None:
    service.post(f"{HOME}/token", status=503)
    service.post(f"{HOME}/token", json={"access_token": "t"})
    request = Request(url=f"{HOME}/token", method="POST", form={"client_secret": "s"}, purpose=Purpose.TOKEN)
    assert world().send(request).status == 200
    assert [call.request.body for call in service.calls] == [b"client_secret=s"] * 2


def test_the_services_codes_mean_nothing_at_a_token_endpoint(service: responses.RequestsMock, world: Make) -> None:
    service.post(f"{HOME}/token", status=400, json={"error": {"code": "FS_0000"}})
    request = Request(url=f"{HOME}/token", method="POST", purpose=Purpose.TOKEN)
    assert world(errors=playment.PROVIDER.errors).send(request).status == 400
    assert len(service.calls) == 1


def test_a_stored_reply_of_the_service_itself_is_not_taken_for_a_refusal(
    service: responses.RequestsMock, world: Make
) -> None:
    service.get(JOB, body=b'{"data": {}, "success": true}', content_type="application/json")
    sink = io.BytesIO()
    assert world(errors=playment.PROVIDER.errors).send(result(), sink=sink).ok
    assert sink.getvalue() == b'{"data": {}, "success": true}'


# --- waiting between tries ---


def test_every_wait_may_be_twice_as_long_up_to_half_a_minute(service: responses.RequestsMock, world: Make) -> None:
    service.get(JOB, status=503)
    here = world(retries=9)
    with pytest.raises(Unavailable):
        here.send(Request(url=JOB))
    assert here.jitters == [(0, bound) for bound in [0.5, 1.0, 2.0, 4.0, 8.0, 16.0, 30.0, 30.0, 30.0]]
    assert here.sleeps == [0.5, 1.0, 2.0, 4.0, 8.0, 16.0, 30.0, 30.0, 30.0]


def test_retry_after_is_obeyed(service: responses.RequestsMock, world: Make) -> None:
    service.get(JOB, status=429, headers={"Retry-After": "17"})
    service.get(JOB)
    here = world()
    here.send(Request(url=JOB))
    assert here.sleeps == [17.0]


def test_retry_after_is_never_undercut(service: responses.RequestsMock, world: Make) -> None:
    service.get(JOB, status=503, headers={"Retry-After": "3"})
    here = world(retries=8, jitter=lambda low, high: low)
    with pytest.raises(Unavailable):
        here.send(Request(url=JOB))
    assert here.sleeps == [3.0] * 8


def test_retry_after_as_a_date_is_held_against_the_servers_clock(service: responses.RequestsMock, world: Make) -> None:
    dates = {"Retry-After": "Wed, 01 Jan 2020 00:00:20 GMT", "Date": "Wed, 01 Jan 2020 00:00:00 GMT"}
    service.get(JOB, status=503, headers=dates)
    service.get(JOB)
    here = world()
    here.send(Request(url=JOB))
    assert here.sleeps == [20.0]


@pytest.mark.parametrize("nonsense", ["", "-5", "soon", "²"])
def test_a_retry_after_that_nobody_can_read_is_ignored(
    service: responses.RequestsMock, world: Make, nonsense: str
) -> None:
    service.get(JOB, status=503, headers={"Retry-After": nonsense})
    service.get(JOB)
    here = world()
    here.send(Request(url=JOB))
    assert here.sleeps == [0.5]


@pytest.mark.parametrize("asked", ["7200", "9999999999"])
def test_a_wait_beyond_the_deadline_ends_it_at_once(service: responses.RequestsMock, world: Make, asked: str) -> None:
    service.get(f"{JOB}?key=SECRET", status=429, headers={"Retry-After": asked, "x-request-id": "r-1"})
    here = world(seconds=3600)
    with pytest.raises(StillRunning) as caught:
        here.send(Request(url=f"{JOB}?key=SECRET"))
    assert here.sleeps == []
    assert caught.value.retry_at == NOW + timedelta(seconds=min(float(asked), 86400))
    assert caught.value.request_id == "r-1"
    assert "SECRET" not in caught.value.message


def test_retries_never_sleep_past_the_deadline(service: responses.RequestsMock, world: Make) -> None:
    service.get(JOB, status=503)
    here = world(retries=50, seconds=10)
    with pytest.raises(StillRunning):
        here.send(Request(url=JOB))
    assert here.time[0] < 10


def test_nothing_is_sent_after_the_deadline(service: responses.RequestsMock, world: Make) -> None:
    service.get(JOB)
    with pytest.raises(StillRunning):
        world(seconds=0).send(Request(url=JOB))
    assert len(service.calls) == 0


def test_the_last_refusal_says_when_to_come_back(service: responses.RequestsMock, world: Make) -> None:
    service.get(JOB, status=429, headers={"Retry-After": "60"})
    with pytest.raises(Unavailable) as caught:
        world(retries=0).send(Request(url=JOB))
    assert caught.value.retry_at == NOW + timedelta(seconds=60)


def test_every_retry_is_told_without_the_query(service: responses.RequestsMock, world: Make) -> None:
    service.get(f"{JOB}?key=SECRET", status=503)
    here = world(retries=2)
    with pytest.raises(Unavailable):
        here.send(Request(url=f"{JOB}?key=SECRET"))
    assert len(here.notes) == 2
    assert not [note for note in here.notes if "SECRET" in note]


# --- redirects ---


@pytest.mark.parametrize("status", REDIRECTS)
def test_a_redirect_within_the_origin_keeps_the_credential(
    service: responses.RequestsMock, world: Make, status: int
) -> None:
    service.get(JOB, status=status, headers={"Location": "/moved"})
    service.get(f"{HOME}/moved", body=b"{}")
    assert world().send(Request(url=JOB, headers={"cdf-version": "beta"}), signer=Key()).url == f"{HOME}/moved"
    assert sent(service, 1)["x-api-key"] == "KEY-1"
    assert sent(service, 1)["cdf-version"] == "beta"


@pytest.mark.parametrize("status", REDIRECTS)
@pytest.mark.parametrize("header", ["x-api-key", "Authorization", "X-Custom"])
def test_a_redirect_to_another_origin_goes_bare(
    service: responses.RequestsMock, world: Make, status: int, header: str
) -> None:
    service.get(JOB, status=status, headers={"Location": ELSEWHERE})
    service.get(ELSEWHERE, body=b"{}")
    request = result(headers={"cdf-version": "beta", "x-cdp-app": "jobfetch"})
    assert world().send(request, signer=Key(header=header)).url == ELSEWHERE
    assert sent(service, 0)[header.lower()] == "KEY-1"
    assert set(sent(service, 1)) <= {"user-agent", "accept", "accept-encoding"}


@pytest.mark.parametrize(
    "other",
    [
        "https://other.example.com/r",
        "https://api.example.com:8443/r",
        "https://example.com/r",
        "https://api.example.com.evil.test/r",
        "https://api.example.com@evil.test/r",
        "//evil.test/r",
        "https://api.example.com./r",
    ],
)
def test_no_other_host_or_port_ever_sees_the_credential(
    service: responses.RequestsMock, world: Make, other: str
) -> None:
    service.get(JOB, status=302, headers={"Location": other})
    service.get(re.compile(".*/r$"), body=b"{}")
    world().send(result(), signer=Key())
    assert "KEY-1" not in str(sent(service, 1))


def test_a_redirect_from_http_to_https_is_another_origin(service: responses.RequestsMock, world: Make) -> None:
    service.get("http://127.0.0.1:8080/r", status=302, headers={"Location": "https://127.0.0.1:8080/r"})
    service.get("https://127.0.0.1:8080/r", body=b"{}")
    request = result("http://127.0.0.1:8080/r", headers={"cdf-version": "beta"})
    world().send(request)
    assert "cdf-version" not in sent(service, 1)


def test_a_credential_does_not_come_back_when_the_chain_returns(service: responses.RequestsMock, world: Make) -> None:
    service.get(JOB, status=302, headers={"Location": ELSEWHERE})
    service.get(ELSEWHERE, status=302, headers={"Location": f"{HOME}/back"})
    service.get(f"{HOME}/back", body=b"{}")
    world().send(result(headers={"cdf-version": "beta"}), signer=Key())
    assert [("x-api-key" in sent(service, hop), "cdf-version" in sent(service, hop)) for hop in range(3)] == [
        (True, True),
        (False, False),
        (False, False),
    ]


@pytest.mark.parametrize("purpose", Purpose)
def test_https_is_never_left_for_http(service: responses.RequestsMock, world: Make, purpose: Purpose) -> None:
    service.get(JOB, status=302, headers={"Location": "http://api.example.com/plain?sig=SECRET"})
    with pytest.raises(BadReply, match="from https to http") as caught:
        world().send(Request(url=JOB, purpose=purpose), signer=Key())
    assert seen(service) == [JOB]
    assert "SECRET" not in caught.value.message


@pytest.mark.parametrize("purpose", [Purpose.API, Purpose.TOKEN])
def test_status_and_token_requests_never_leave_their_origin(
    service: responses.RequestsMock, world: Make, purpose: Purpose
) -> None:
    service.get(JOB, status=302, headers={"Location": f"{ELSEWHERE}?sig=SECRET"})
    with pytest.raises(BadReply, match=r"another origin, https://storage\.example\.net") as caught:
        world().send(Request(url=JOB, purpose=purpose), signer=Key())
    assert seen(service) == [JOB]
    assert "SECRET" not in caught.value.message


def test_a_client_secret_is_never_posted_to_another_origin(service: responses.RequestsMock, world: Make) -> None:
    service.post(f"{HOME}/token", status=307, headers={"Location": "https://evil.test/token"})
    request = Request(url=f"{HOME}/token", method="POST", form={"client_secret": "s"}, purpose=Purpose.TOKEN)
    with pytest.raises(BadReply):
        world().send(request)
    assert seen(service) == [f"{HOME}/token"]


def test_a_loop_of_redirects_ends(service: responses.RequestsMock, world: Make) -> None:
    service.get(JOB, status=302, headers={"Location": f"{JOB}?again=SECRET"})
    with pytest.raises(BadReply, match="redirects without end") as caught:
        world().send(Request(url=JOB))
    assert len(service.calls) == 11
    assert "SECRET" not in caught.value.message


def test_ten_redirects_are_followed(service: responses.RequestsMock, world: Make) -> None:
    for hop in range(10):
        service.get(f"{HOME}/{hop}", status=302, headers={"Location": f"/{hop + 1}"})
    service.get(f"{HOME}/10", body=b"{}")
    assert world().send(Request(url=f"{HOME}/0")).url == f"{HOME}/10"


def test_a_redirect_without_a_location_is_a_bad_reply(service: responses.RequestsMock, world: Make) -> None:
    service.get(JOB, status=302)
    with pytest.raises(BadReply, match="without saying where"):
        world().send(Request(url=JOB))


@pytest.mark.parametrize("location", ["ftp://evil.test/x", "file:///etc/passwd", "javascript:alert(1)", "mailto:a@b.c"])
def test_a_redirect_to_something_else_than_http_is_not_followed(
    service: responses.RequestsMock, world: Make, location: str
) -> None:
    service.get(JOB, status=302, headers={"Location": location})
    with pytest.raises(BadReply):
        world().send(result(), signer=Key())
    assert len(service.calls) == 1


def test_a_part_of_a_reply_is_no_reply(service: responses.RequestsMock, world: Make) -> None:
    service.get(JOB, status=206, json={}, headers={"Content-Range": "bytes 0-1/9"})
    with pytest.raises(BadReply, match="answered with a part"):
        world().send(Request(url=JOB))


@pytest.mark.parametrize(
    "location",
    [
        "https://evil.test:99999/",
        "https://evil.test:abc/",
        "https://[::1/",
        "https://[nonsense]/",
    ],
)
def test_a_redirect_to_no_address_at_all_is_a_bad_reply(
    service: responses.RequestsMock, world: Make, location: str
) -> None:
    service.get(JOB, status=302, headers={"Location": location})
    with pytest.raises(BadReply):
        world().send(result(), signer=Key())
    assert len(service.calls) == 1


@pytest.mark.parametrize("location", ["https://user:word@api.example.com/moved", f"https://user:word@{ELSEWHERE[8:]}"])
def test_a_user_and_password_in_a_location_are_dropped(
    service: responses.RequestsMock, world: Make, location: str
) -> None:
    service.get(f"{HOME}/moved", body=b"{}")
    service.get(ELSEWHERE, body=b"{}")
    service.get(JOB, status=302, headers={"Location": location})
    reply = world().send(result())
    assert "user" not in reply.url
    assert "authorization" not in sent(service, 1)
    assert base64.b64encode(b"user:word").decode() not in str(sent(service, 1))


def test_a_refusal_of_foreign_storage_is_not_read_by_the_services_rules(
    service: responses.RequestsMock, world: Make
) -> None:
    service.get(JOB, status=302, headers={"Location": ELSEWHERE})
    service.get(ELSEWHERE, status=400, json={"error": {"code": "FS_0000"}})
    assert world(errors=playment.PROVIDER.errors).send(result()).status == 400
    assert len(service.calls) == 2


def test_trouble_of_foreign_storage_starts_again_from_the_service(service: responses.RequestsMock, world: Make) -> None:
    service.get(JOB, status=302, headers={"Location": ELSEWHERE})
    service.get(ELSEWHERE, status=503)
    service.get(ELSEWHERE, body=b"{}")
    world().send(result(), signer=Key())
    assert seen(service) == [JOB, ELSEWHERE, JOB, ELSEWHERE]
    assert sent(service, 2)["x-api-key"] == "KEY-1"


# --- credentials ---


def test_a_refused_credential_is_renewed_and_asked_with_once(service: responses.RequestsMock, world: Make) -> None:
    service.get(JOB, status=401)
    service.get(JOB, body=b"{}")
    key = Key(["OLD", "NEW"])
    assert world().send(Request(url=JOB), signer=key).status == 200
    assert [sent(service, number)["x-api-key"] for number in range(2)] == ["OLD", "NEW"]


def test_a_credential_that_stays_refused_is_renewed_only_once(service: responses.RequestsMock, world: Make) -> None:
    service.get(JOB, status=401)
    key = Key(["ONE", "TWO", "THREE", "FOUR"])
    assert world().send(Request(url=JOB), signer=key).status == 401
    assert (len(service.calls), key.renewals) == (2, 1)


def test_a_credential_that_cannot_be_renewed_is_not_tried_again(service: responses.RequestsMock, world: Make) -> None:
    service.get(JOB, status=401)
    assert world().send(Request(url=JOB), signer=Key()).status == 401
    assert len(service.calls) == 1


def test_a_refusal_by_foreign_storage_renews_nothing(service: responses.RequestsMock, world: Make) -> None:
    service.get(JOB, status=302, headers={"Location": ELSEWHERE})
    service.get(ELSEWHERE, status=401)
    key = Key(["ONE", "TWO"])
    world().send(result(), signer=key)
    assert (seen(service), key.renewals) == ([JOB, ELSEWHERE], 0)


@pytest.mark.parametrize("status", [402, 403])
def test_only_a_401_renews(service: responses.RequestsMock, world: Make, status: int) -> None:
    service.get(JOB, status=status)
    key = Key(["ONE", "TWO"])
    world().send(Request(url=JOB), signer=key)
    assert (len(service.calls), key.renewals) == (1, 0)


def test_a_netrc_never_replaces_or_adds_a_credential(
    service: responses.RequestsMock, world: Make, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    netrc = tmp_path / "netrc"
    netrc.write_text("default login somebody password hunter2\nmachine api.example.com login me password hunter2\n")
    monkeypatch.setenv("NETRC", str(netrc))
    service.get(JOB, body=b"{}")
    world().send(Request(url=JOB), signer=Key(header="Authorization"))
    world().send(Request(url=JOB))
    assert sent(service, 0)["authorization"] == "KEY-1"
    assert "authorization" not in sent(service, 1)


@pytest.mark.parametrize("value", ["line\nbreak", "é", "\x00", "tab\t"])
def test_a_header_that_cannot_carry_its_value_is_refused_unsent(
    service: responses.RequestsMock, world: Make, value: str
) -> None:
    service.get(JOB)
    with pytest.raises(ConfigError, match="cdf-version") as caught:
        world().send(Request(url=JOB, headers={"cdf-version": value}))
    assert len(service.calls) == 0
    assert value not in caught.value.message


# --- surroundings ---


def test_proxies_are_looked_up_once_for_an_origin(
    service: responses.RequestsMock, world: Make, monkeypatch: pytest.MonkeyPatch
) -> None:
    looked_up: list[str] = []

    def proxies(url: str) -> dict[str, str]:
        looked_up.append(url)
        return {"https": "http://proxy.test:3128"}

    monkeypatch.setattr(requests.utils, "get_environ_proxies", proxies)
    service.get(JOB)
    service.get(f"{HOME}/other")
    here = world()
    for url in (JOB, JOB, f"{HOME}/other"):
        here.send(Request(url=url))
    assert looked_up == [JOB]


def test_a_proxy_of_the_environment_is_used(
    service: responses.RequestsMock, world: Make, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("HTTPS_PROXY", "http://proxy.example.com:3128")
    service.get(JOB)
    world().send(result())
    used = [call.request.req_kwargs["proxies"].get("https") for call in service.calls]  # type: ignore[attr-defined]
    assert used == ["http://proxy.example.com:3128"]


@pytest.mark.parametrize(
    "environment", [{}, {"no_proxy": "api.example.com"}, {"HTTP_PROXY": "http://proxy.test:3128"}], ids=str
)
def test_what_no_proxy_is_named_for_is_not_asked_through_one(
    service: responses.RequestsMock, world: Make, monkeypatch: pytest.MonkeyPatch, environment: dict[str, str]
) -> None:
    for name in ("HTTP_PROXY", "HTTPS_PROXY"):
        monkeypatch.delenv(name)
    for name, value in environment.items():
        monkeypatch.setenv(name, value)
    service.get(JOB)
    with pytest.raises(AssertionError, match="tried to open a connection"):
        world().send(result())
    assert len(service.calls) == 0


def test_the_option_for_authorities_comes_before_the_variables(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    ours, theirs = tmp_path / "ours.pem", tmp_path / "theirs.pem"
    for path in (ours, theirs):
        path.write_bytes(Path(certifi.where()).read_bytes())
    monkeypatch.setenv("REQUESTS_CA_BUNDLE", str(theirs))
    assert Trust(str(ours)).path == str(ours)
    assert Trust().path == str(theirs)


def test_certificates_and_host_names_are_always_checked() -> None:
    context = Trust().context()
    assert (context.verify_mode, context.check_hostname) == (ssl.CERT_REQUIRED, True)
    assert context.get_ca_certs()


def test_authorities_are_read_once_for_all_connections(monkeypatch: pytest.MonkeyPatch) -> None:
    made: list[ssl.SSLContext] = []
    make = ssl.create_default_context

    def counted(**place: str) -> ssl.SSLContext:
        made.append(make(**place))  # type: ignore[arg-type]  # two texts by name
        return made[-1]

    monkeypatch.setattr(ssl, "create_default_context", counted)
    trust = Trust()
    assert made == []  # where everything is plain http, nobody waits for them
    with ThreadPoolExecutor(8) as pool:
        contexts = {*pool.map(lambda _: trust.context(), range(50))}
    assert contexts == {*made}
    assert len(made) == 1


def test_authorities_that_nobody_can_read_are_a_wrong_setting(tmp_path: Path) -> None:
    (tmp_path / "ca.pem").write_text("no certificate")
    with pytest.raises(ConfigError, match="holds no authorities"):
        Trust(str(tmp_path / "ca.pem")).context()


def test_authorities_that_are_not_there_are_a_wrong_setting(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("SSL_CERT_FILE", "/nowhere/ca.pem")
    with pytest.raises(ConfigError, match=r"SSL_CERT_FILE names /nowhere/ca\.pem"):
        Trust()


@pytest.mark.parametrize("url", ["https://", "nonsense", "https://a b/", "https://x..y/"])
def test_what_is_no_address_is_a_bad_reply_and_not_a_crash(
    service: responses.RequestsMock, world: Make, url: str
) -> None:
    with pytest.raises(JobfetchError):
        world(retries=0).send(Request(url=url))


PIECES = [
    "https://api.example.com",
    "http://API.example.com",
    "https://a.test:8080",
    "/",
    "//",
    ".",
    "..",
    "a",
    "~",
    "%7E",
]
PIECES += [
    "%2f",
    "?",
    "&",
    "=",
    "#",
    "@",
    ":",
    "\\",
    " ",
    "é",
    "user:word@",
    "jobs",
    "1",
    "_",
    "-",
    ";",
    "[",
    "|",
    "\n",
]


@given(st.sampled_from(PIECES[:3]), st.lists(st.lists(st.sampled_from(PIECES), max_size=8).map("".join), max_size=6))
def test_an_address_is_the_same_whatever_was_asked_for_before(place: str, tails: list[str]) -> None:
    deadline = Deadline(1.0, lambda: 0.0)

    def addressed(wire: Wire, url: str) -> str | None:
        try:
            return wire.address(url)
        except BadReply:
            return None

    experienced = Wire(deadline=deadline, user_agent="jobfetch/test")
    for tail in ["/jobs/1", *tails]:
        new = Wire(deadline=deadline, user_agent="jobfetch/test")
        assert addressed(experienced, place + tail) == addressed(new, place + tail)


@pytest.mark.parametrize("url", ["httpx://api.example.com/a", "http+a://api.example.com/a", "ftp://api.example.com/a"])
def test_only_http_is_asked(url: str) -> None:
    with pytest.raises(BadReply):
        Wire(deadline=Deadline(1.0, lambda: 0.0), user_agent="jobfetch/test").address(url)


def test_a_refusal_at_home_of_what_was_asked_bare_says_nothing_of_the_credential(
    service: responses.RequestsMock, world: Make
) -> None:
    service.get(JOB, status=302, headers={"Location": ELSEWHERE})
    service.get(ELSEWHERE, status=302, headers={"Location": f"{HOME}/other"})
    service.get(f"{HOME}/other", status=401)
    key = Key()
    reply = world().send(result(), signer=key)
    assert (reply.status, reply.bare, key.renewals) == (401, True, 0)


PLACES = st.builds(
    "{}://{}{}".format,
    st.sampled_from(["http", "https", "HTTPS"]),
    st.lists(st.sampled_from(["a", "Z", "0", "9", "-", ".", "_", "xn--bcher-kva", "127", "a" * 62]), max_size=8).map(
        "".join
    ),
    st.sampled_from(["", "", ":", ":0", ":80", ":080", ":443", ":8080", ":65535", ":65536", ":x"]),
)
REST = st.lists(st.sampled_from(["/", ".", "..", "a", "Z", "0", "~", "_", "-", "?", "&", "=", "%7E"]), max_size=8).map(
    "".join
)


@given(PLACES, REST)
@example("http://127.0.0.1:8080", "/a?b=c")
@example("https://a.example", "?b=c")
def test_a_plain_address_is_what_requests_would_make_of_it(place: str, rest: str) -> None:
    made = requests.PreparedRequest()
    try:
        made.prepare_url(place + rest, None)
        wanted = made.url if urlsplit(made.url or "").hostname else None
    except (requests.RequestException, ValueError):
        wanted = None
    wire = Wire(deadline=Deadline(1.0, lambda: 0.0), user_agent="jobfetch/test")
    try:
        assert wire.address(place + rest) == wanted
    except BadReply:
        assert wanted is None


def test_a_wait_beyond_the_deadline_is_no_failure_where_the_tries_are_used_up(
    service: responses.RequestsMock, world: Make
) -> None:
    service.get(JOB, status=503, headers={"Retry-After": "7200"})
    with pytest.raises(StillRunning):
        world(retries=0, seconds=60).send(Request(url=JOB))
    with pytest.raises(Unavailable):
        world(retries=0, seconds=8000).send(Request(url=JOB))


# --- the door that all workers share ---


@dataclass
class Door:
    """Stands for the gate, and hears what it is told."""

    told_of: list[str] = field(default_factory=list)
    passed: int = 0
    #: others that are let in while a request is on its way
    beside: int = 0

    def enter(self) -> float:
        """Nobody waits here."""
        return 0.0

    def told(self, reply: Reply, _: float) -> None:
        """Remember whose reply it was."""
        self.told_of.append(reply.url)
        self.passed += self.beside


def test_a_reply_of_another_host_says_nothing_of_the_services_own_door(service: responses.RequestsMock) -> None:
    service.get(JOB, status=429, headers={"Retry-After": "1"})
    service.get(ELSEWHERE, status=503, headers={"Retry-After": "86400"})
    deadline, door = Deadline(3600.0, lambda: 0.0), Door()
    with closing(Wire(deadline=deadline, user_agent="jobfetch/test")) as wire:
        sender = Transport(
            wire,
            deadline=deadline,
            errors=ErrorRules(),
            retries=0,
            now=lambda: NOW,
            sleep=lambda _: None,
            notify=lambda _: None,
            home=HOME,
            gate=door,
        )
        for request in (Request(url=JOB), result(ELSEWHERE)):
            with pytest.raises(JobfetchError):
                sender.send(request)
    assert door.told_of == [JOB]


@pytest.mark.parametrize(("others", "asked"), [(1, 11), (0, 1)])
def test_a_refusal_beside_others_that_are_let_in_costs_no_try_but_not_for_ever(
    service: responses.RequestsMock, others: int, asked: int
) -> None:
    service.get(JOB, status=429, headers={"Retry-After": "1"})
    deadline, door = Deadline(3600.0, lambda: 0.0), Door(passed=1, beside=others)
    with closing(Wire(deadline=deadline, user_agent="jobfetch/test")) as wire:
        how: dict[str, Any] = {"deadline": deadline, "errors": ErrorRules(), "home": HOME, "gate": door}
        sender = Transport(wire, retries=0, now=lambda: NOW, sleep=lambda _: None, notify=lambda _: None, **how)
        with pytest.raises(JobfetchError):
            sender.send(Request(url=JOB))
    assert len(door.told_of) == asked


def test_no_message_holds_the_query_of_a_link_that_a_service_speaks_of() -> None:
    error = BadReply("refused: https://u:p@store.example/a?X-Amz-Signature=abc is too old", hint="x")
    assert (error.message, str(error)) == ("refused: https://store.example/a is too old",) * 2


@pytest.mark.parametrize(
    ("said", "told"),
    [
        ("see store.example/a?sig=1, now", "see store.example/a?... now"),
        ("see s3://u:p@w@bucket/a?sig=1#x", "see s3://bucket/a"),
        ("why? a=b", "why? a=b"),
        ("items[?a.b=='x']", "items[?a.b=='x']"),
    ],
)
def test_what_has_a_query_loses_it_with_or_without_a_scheme(said: str, told: str) -> None:
    assert BadReply(said).message == told
