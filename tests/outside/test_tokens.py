"""OAuth2: one token for a whole run, and every way in which there may be none."""

from collections.abc import Callable

import pytest

from jobfetch.sandbox import READY_TOKEN, SECRETS, Asked, Sandbox

from .leaks import heard, leaks, repr_of
from .program import Program, Run

# within this process, where nothing speaks against it
pytestmark = pytest.mark.here

InTime = Callable[[Run, float], bool]

WAIT = ("--wait", "--interval", "0.1", "--retries", "1")


def _tokens(sandbox: Sandbox) -> list[Asked]:
    return [one for one in sandbox.asked() if one.path.startswith("/oauth2/")]


def test_several_jobs_share_one_token(jobfetch: Program, sandbox: Sandbox) -> None:
    assert jobfetch("get", "cognite", "200", "205", "1003", "123", *WAIT).code == 0
    assert len(_tokens(sandbox)) == 1


def test_a_token_that_is_revoked_is_asked_for_exactly_once_more(jobfetch: Program, sandbox: Sandbox) -> None:
    assert jobfetch("get", "cognite", "4011", "200", *WAIT).code == 0
    assert len(_tokens(sandbox)) == 2


def test_a_token_that_is_refused_for_ever_is_asked_for_exactly_once_more(jobfetch: Program, sandbox: Sandbox) -> None:
    assert jobfetch("get", "cognite", "401", *WAIT).code == 4
    assert len(_tokens(sandbox)) == 2


def test_a_ready_token_is_used_as_it_is(jobfetch: Program, sandbox: Sandbox) -> None:
    assert jobfetch("get", "cognite", "200", JOBFETCH_COGNITE_TOKEN=READY_TOKEN).code == 0
    assert _tokens(sandbox) == []


def test_a_ready_token_that_is_refused_is_not_tried_again(jobfetch: Program, sandbox: Sandbox) -> None:
    assert jobfetch("get", "cognite", "200", JOBFETCH_COGNITE_TOKEN="stale").code == 4
    assert len(sandbox.asked()) == 1


KINDS = (
    ("token-short", 0),
    ("token-refuses", 4),
    ("token-echo", 4),
    ("token-empty", 11),
    ("token-html", 11),
    ("token-not-json", 11),
    ("token-elsewhere", 11),
    ("token-unavailable", 10),
    ("token-unavailable-then-well", 0),
    ("token-cut", 11),
    ("token-reset", 10),
    ("token-nowhere", 4),
)


@pytest.mark.parametrize(("kind", "code"), KINDS)
def test_each_way_to_get_no_token_has_its_code(jobfetch: Program, sandbox: Sandbox, kind: str, code: int) -> None:
    retries = "2" if kind == "token-unavailable-then-well" else "1"
    run = jobfetch("get", "cognite", "200", "--token-url", f"{sandbox.url}/oauth2/{kind}", "--retries", retries, "-vv")
    assert run.code == code, run.said
    evidence = {"stdout": run.out, "stderr": run.err} | heard(sandbox.asked(), "storage")
    assert leaks(evidence, SECRETS) == []
    assert [one.origin for one in sandbox.asked() if one.origin == "storage"] == []


@pytest.mark.parametrize("kind", ["token-slow-headers", "token-slow-body", "token-stall"])
def test_a_token_that_never_comes_is_given_up_at_the_deadline(
    jobfetch: Program, sandbox: Sandbox, kind: str, in_time: InTime
) -> None:
    run = jobfetch("get", "cognite", "200", "--token-url", f"{sandbox.url}/oauth2/{kind}", "--timeout", "1.5")
    assert run.code == 75
    assert in_time(run, 1.5)


def test_the_secret_goes_to_the_token_endpoint_and_nowhere_else(jobfetch: Program, sandbox: Sandbox) -> None:
    jobfetch("get", "cognite", "200")
    secret = sandbox.environment()["JOBFETCH_COGNITE_CLIENT_SECRET"]
    seen = [one.path for one in sandbox.asked() if leaks({"": repr_of(one)}, [secret])]
    assert seen == ["/oauth2/token"]
