"""The identity provider that the sandbox plays."""

import time
from collections.abc import Callable
from typing import Any

import pytest

from jobfetch.sandbox import SECRETS, Sandbox

Ask = Callable[..., Any]


def test_a_token_is_a_bearer_token_for_an_hour(token: Ask) -> None:
    reply = token().json()
    assert (reply["token_type"], reply["expires_in"]) == ("Bearer", 3600)
    assert reply["access_token"].startswith(SECRETS)


def test_no_two_tokens_are_alike(token: Ask) -> None:
    assert len({token().json()["access_token"] for _ in range(5)}) == 5


def test_a_token_works_until_it_expires(token: Ask, vision: Ask, monkeypatch: pytest.MonkeyPatch) -> None:
    short = token("token-short").json()
    assert vision(200, short["access_token"]).status == 200
    later = time.time() + short["expires_in"] + 1
    monkeypatch.setattr("jobfetch.sandbox.idp.time.time", lambda: later)
    assert vision(200, short["access_token"]).status == 401


def test_a_token_that_was_tampered_with_is_refused(token: Ask, vision: Ask) -> None:
    head, _, tail = token().json()["access_token"].partition(".")
    assert vision(200, f"{head}.9{tail}").status == 401


@pytest.mark.parametrize("wrong", [{"client_secret": "guess"}, {"client_id": "somebody"}])
def test_wrong_credentials_are_refused(token: Ask, wrong: dict[str, str]) -> None:
    reply = token(**wrong)
    assert (reply.status, reply.json()["error"]) == (401, "invalid_client")


def test_another_grant_is_a_bad_request(token: Ask) -> None:
    assert token(grant_type="password").status == 400


def test_a_token_endpoint_may_refuse_answer_a_page_or_give_nothing(token: Ask) -> None:
    assert token("token-refuses").status == 401
    assert token("token-html").headers["content-type"].startswith("text/html")
    assert "access_token" not in token("token-empty").json()
    assert SECRETS[0] in token("token-echo").json()["error_description"]


def test_a_token_request_sent_elsewhere_would_find_a_token_there(token: Ask, sandbox: Sandbox, ask: Ask) -> None:
    reply = token("token-elsewhere")
    assert reply.status == 302
    assert reply.headers["location"].startswith(sandbox.storage_url)
    assert "access_token" in ask(reply.headers["location"], "POST", "client_secret=leaked").json()
    assert sandbox.asked()[-1].body == b"client_secret=leaked"


def test_a_token_endpoint_that_is_away_comes_back(token: Ask) -> None:
    assert [token("token-unavailable-then-well").status for _ in range(3)] == [503, 503, 200]


def test_an_unknown_kind_of_token_endpoint_is_not_there(token: Ask) -> None:
    assert token("token-nonsense").status == 404
