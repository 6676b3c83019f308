"""A login: user name and password as JSON for a JWT as plain text, which tells itself how long it lives."""

import base64
import json
from collections.abc import Callable, Mapping
from typing import Any

import pytest

from jobfetch.credentials.tokens import UNSAID_LIFETIME, Token, read_login
from jobfetch.errors import BadReply, ConfigError, CredentialsError, JobfetchError
from jobfetch.model import Purpose, Reply, Request
from jobfetch.providers import expertai

from ..signing import signing

HOME = "https://extract.expert.ai/beta"
JOB = f"{HOME}/status/1"
LOGIN = "https://developer.expert.ai/oauth2/token"
PARAMS = {"base_url": HOME, "token_url": LOGIN}
SECRETS = {"username": "me@example.com", "password": "pässwörd \n"}
WALL = 1_700_000_000.0


def jwt(payload: Any) -> str:
    """A JWT with this payload; bytes stand as they are."""
    body = payload if isinstance(payload, bytes) else json.dumps(payload).encode()
    return f"eyJhbGciOiJub25lIn0.{base64.urlsafe_b64encode(body).decode().rstrip('=')}.c2lnbmF0dXJl"


def at_expertai(secrets: Mapping[str, str], send: Callable[[Request], Reply], **more: str) -> Any:
    return signing(expertai.PROVIDER, PARAMS | more, secrets, send)


def never(request: Request) -> Reply:
    raise AssertionError("somebody logged in")


@pytest.fixture
def login(reply: Callable[..., Reply]) -> Callable[..., Token]:
    """Read one answer of the login: `login(b"...", status=401)`."""

    def read(body: bytes | str, *, content_type: str | None = "text/plain", **how: Any) -> Token:
        sent = body.encode() if isinstance(body, str) else body
        return read_login(reply(sent, url=f"{LOGIN}?key=SECRET", content_type=content_type, **how), WALL)

    return read


# --- asking ---


def test_a_login_posts_user_name_and_password_as_json() -> None:
    asked: list[Request] = []

    def send(request: Request) -> Reply:
        asked.append(request)
        return Reply(200, {"content-type": "text/plain"}, jwt({}).encode(), request.url)

    assert at_expertai(SECRETS, send).headers(JOB) == {"Authorization": f"Bearer {jwt({})}"}
    [request] = asked
    assert (request.method, request.url, request.purpose) == ("POST", LOGIN, Purpose.TOKEN)
    assert (request.json, request.form, dict(request.headers)) == (SECRETS, None, {})
    assert "text/plain" in request.accept


def test_nobody_logs_in_before_the_first_request_and_for_another_origin() -> None:
    source = at_expertai(SECRETS, never)
    assert [source.headers(url) for url in (LOGIN, "https://extract.expert.ai.evil.test/", "http://x/")] == [{}] * 3


def test_a_token_that_is_refused_is_replaced_by_another_login() -> None:
    tokens = iter([jwt({"n": 1}), jwt({"n": 2})])
    source = at_expertai(SECRETS, lambda request: Reply(200, {}, next(tokens).encode(), request.url))
    assert source.renew(source.headers(JOB)) is True
    assert source.headers(JOB) == {"Authorization": f"Bearer {jwt({'n': 2})}"}


def test_a_ready_token_makes_a_login_needless() -> None:
    assert at_expertai({"token": "ready", **SECRETS}, never).headers(JOB) == {"Authorization": "Bearer ready"}


def test_a_password_without_a_user_name_asks_for_it() -> None:
    with pytest.raises(CredentialsError, match="expertai needs username") as caught:
        at_expertai({"password": "p"}, never)
    assert "EAI_USERNAME" in (caught.value.hint or "")


def test_a_user_name_without_a_password_asks_for_it() -> None:
    with pytest.raises(CredentialsError, match="expertai needs password") as caught:
        at_expertai({"username": "me"}, never)
    assert "EAI_PASSWORD" in (caught.value.hint or "")
    assert "none is set" not in caught.value.message


def test_without_any_secret_every_place_for_one_is_named() -> None:
    with pytest.raises(CredentialsError, match="none is set") as caught:
        at_expertai({}, never)
    for place in ("JOBFETCH_EXPERTAI_TOKEN", "JOBFETCH_EXPERTAI_PASSWORD", "EAI_USERNAME", "EAI_PASSWORD"):
        assert place in (caught.value.hint or "")


def test_a_login_needs_an_address() -> None:
    with pytest.raises(ConfigError, match="expertai needs token_url"):
        at_expertai(SECRETS, never, token_url="")


# --- how long a token lives ---


@pytest.mark.parametrize(
    ("exp", "lifetime"),
    [(WALL + 3600, 3600), (int(WALL) + 40, 40.0), (WALL, 0.0), (WALL - 3600, 0.0), (str(int(WALL) + 3600), 3600)],
)
def test_a_token_lives_until_the_end_that_it_tells(login: Callable[..., Token], exp: Any, lifetime: float) -> None:
    assert login(jwt({"exp": exp})) == Token(jwt({"exp": exp}), lifetime)


@pytest.mark.parametrize(
    "token",
    [
        jwt({}),
        jwt({"exp": None}),
        jwt({"exp": "soon"}),
        jwt({"exp": [1]}),
        jwt({"exp": {}}),
        jwt([1]),
        jwt("exp"),
        jwt(b"{"),
        jwt(b"\xff\xfe"),
        jwt(b""),
        "header.not+base64=.signature",
        "an-opaque-token",
        "opaque.token",
        "one.two.three.four",
    ],
)
def test_a_token_that_does_not_tell_its_life_is_good_for_a_while(login: Callable[..., Token], token: str) -> None:
    assert login(token) == Token(token, UNSAID_LIFETIME)


@pytest.mark.parametrize("exp", [b"1e400", b"-1e400", b"9" * 400, b'"nan"', b'"inf"', b"true", b"0", b"-5"])
def test_an_odd_life_does_not_lose_the_token(login: Callable[..., Token], exp: bytes) -> None:
    token = login(jwt(b'{"exp":' + exp + b"}"))
    assert token.value == jwt(b'{"exp":' + exp + b"}")
    assert 0 <= token.lifetime < float("inf")


# --- reading a token ---


@pytest.mark.parametrize("content_type", ["text/plain", "text/plain; charset=UTF-8", "application/json", None])
def test_a_token_may_come_under_these_types(login: Callable[..., Token], content_type: str | None) -> None:
    assert login(jwt({}), content_type=content_type).value == jwt({})


@pytest.mark.parametrize("around", ["{}\n", " {}\r\n", '"{}"', '"{}"\n'])
def test_white_space_and_quotes_are_no_part_of_a_token(login: Callable[..., Token], around: str) -> None:
    assert login(around.format(jwt({}))).value == jwt({})


@pytest.mark.parametrize(
    ("body", "how"),
    [
        ("<html>Sign in</html>", {"content_type": "text/html"}),
        (jwt({}), {"content_type": "text/html"}),
        ("", {}),
        ("short", {}),
        ("two words of text", {}),
        ("line\nbreak-in-a-token", {}),
        ("tökën-in-another-script", {}),
        (b"\xff\xfe\x00binary", {}),
        ('{"access_token": "in-json"}', {"content_type": "application/json"}),
        (jwt({}), {"status": 404}),
        (jwt({}), {"status": 500}),
        (jwt({}), {"status": 302}),
    ],
)
def test_an_answer_without_a_token_asks_for_the_url_to_be_checked(
    login: Callable[..., Token], body: bytes | str, how: dict[str, Any]
) -> None:
    with pytest.raises(BadReply, match=r"developer\.expert\.ai/oauth2/token answered no token") as caught:
        login(body, **how)
    assert caught.value.hint == "is token_url right?"
    assert "SECRET" not in caught.value.message


@pytest.mark.parametrize(
    ("status", "body", "said"),
    [
        (401, b'{"message": "Bad credentials"}', "Bad credentials"),
        (401, b"Bad credentials", "no reason given"),
        (401, b"", "no reason given"),
        (403, b'{"error": "locked", "error_description": "Too many logins"}', "Too many logins"),
    ],
)
def test_a_refused_login_is_a_matter_of_credentials(
    login: Callable[..., Token], status: int, body: bytes, said: str
) -> None:
    with pytest.raises(CredentialsError, match=rf"refused the login \(HTTP {status}\): {said}") as caught:
        login(body, status=status, x_request_id="r-1")
    assert caught.value.request_id == "r-1"
    assert "SECRET" not in caught.value.message


@pytest.mark.parametrize(
    "answer",
    [
        Reply(401, {"content-type": "application/json"}, b'{"message": "no"}', LOGIN),
        Reply(404, {"content-type": "text/html"}, b"<html>", LOGIN),
        Reply(200, {"content-type": "text/plain"}, b"what?", LOGIN),
    ],
)
def test_no_error_shows_who_tried_to_log_in(answer: Reply) -> None:
    with pytest.raises(JobfetchError) as caught:
        at_expertai(SECRETS, lambda _: answer).headers(JOB)
    for secret in SECRETS.values():
        assert secret not in f"{caught.value.message} {caught.value.hint}"
