"""Who may see which credential, and how tokens are renewed: once, for all threads."""

import threading
from collections.abc import Callable, Mapping
from concurrent.futures import ThreadPoolExecutor
from typing import Any

import pytest

from jobfetch.credentials.signing import StaticKey, TokenSource
from jobfetch.credentials.tokens import UNSAID_LIFETIME, Token, read_token
from jobfetch.errors import BadReply, ConfigError, CredentialsError
from jobfetch.model import Purpose, Reply, Request, origin
from jobfetch.providers import cognite, playment

from ..signing import signing

HOME = "https://api.example.com"
JOB = f"{HOME}/jobs/1"
FOREIGN = [
    "http://api.example.com/jobs/1",
    "https://api.example.com:8443/jobs/1",
    "https://example.com/",
    "https://api.example.com.evil.test/",
    "https://api.example.com@evil.test/",
    "https://login.example.com/token",
]
PARAMS = {
    "base_url": HOME,
    "project": "p",
    "client_id": "me",
    "token_url": "https://login.example.com/token",
}


class Issuer:
    """Gives token after token, and counts them."""

    def __init__(self, lifetime: float = 100.0) -> None:
        self.now = 0.0
        self.issued = 0
        self.learned: list[str] = []
        self._lifetime = lifetime

    def ask(self, _refused: str | None) -> tuple[str, float]:
        self.issued += 1
        return f"T{self.issued}", self._lifetime

    def source(self) -> TokenSource:
        return TokenSource(self.ask, origin(HOME), lambda: self.now, self.learned.append)


@pytest.fixture
def issuer() -> Issuer:
    return Issuer()


def never(request: Request) -> Reply:
    raise AssertionError("a token was asked for")


def at_cognite(secrets: Mapping[str, str], send: Callable[[Request], Reply] = never, **more: Any) -> Any:
    return signing(cognite.PROVIDER, PARAMS | more, secrets, send)


def form_of(**more: str) -> Request:
    """The request that is sent for a token with these settings."""
    asked: list[Request] = []

    def send(request: Request) -> Reply:
        asked.append(request)
        return Reply(200, {"content-type": "application/json"}, b'{"access_token": "t"}', request.url)

    at_cognite({"client_secret": "s"}, send, **more).headers(JOB)
    return asked[0]


# --- keys ---


def test_a_key_is_for_our_own_origin() -> None:
    key = StaticKey("x-api-key", "K", origin(HOME))
    assert key.headers(JOB) == {"x-api-key": "K"}


@pytest.mark.parametrize("url", FOREIGN)
def test_no_other_origin_gets_a_key(url: str) -> None:
    assert StaticKey("x-api-key", "K", origin(HOME)).headers(url) == {}


def test_a_key_is_never_renewed() -> None:
    assert StaticKey("x-api-key", "K", origin(HOME)).renew({"x-api-key": "K"}) is False


def test_a_key_is_renewed_as_often_as_its_place_gives_another() -> None:
    asked: list[str] = []

    def again(refused: str) -> str:
        asked.append(refused)
        return {"K1": "K2", "K2": "K3", "K3": "K3"}[refused]

    key = StaticKey("x-api-key", "K1", origin(HOME), again)
    assert [key.renew({"x-api-key": value}) for value in ("K1", "K2", "K3")] == [True, True, False]
    assert asked == ["K1", "K2", "K3"]
    assert key.headers(JOB) == {"x-api-key": "K3"}


def test_a_key_that_another_thread_has_renewed_already_is_not_asked_for_again() -> None:
    key = StaticKey("x-api-key", "K1", origin(HOME), lambda _: "K2")
    assert [key.renew({"x-api-key": "K1"}) for _ in range(2)] == [True, True]
    assert key.headers(JOB) == {"x-api-key": "K2"}


# --- tokens ---


def test_a_token_is_asked_for_with_the_first_request_and_kept(issuer: Issuer) -> None:
    source = issuer.source()
    assert issuer.issued == 0
    assert [source.headers(JOB) for _ in range(3)] == [{"Authorization": "Bearer T1"}] * 3
    assert issuer.issued == 1


@pytest.mark.parametrize("url", FOREIGN)
def test_no_other_origin_gets_a_token_or_makes_us_ask_for_one(issuer: Issuer, url: str) -> None:
    assert issuer.source().headers(url) == {}
    assert issuer.issued == 0


def test_every_new_token_is_learned_so_that_it_is_never_shown(issuer: Issuer) -> None:
    source = issuer.source()
    source.renew(source.headers(JOB))
    assert issuer.learned == ["T1", "T2"]


def test_a_token_is_renewed_before_it_expires(issuer: Issuer) -> None:
    source = issuer.source()
    source.headers(JOB)
    issuer.now = 99.9
    assert source.headers(JOB) == {"Authorization": "Bearer T1"}
    issuer.now = 100.0
    assert source.headers(JOB) == {"Authorization": "Bearer T2"}


def test_a_refused_token_is_replaced(issuer: Issuer) -> None:
    source = issuer.source()
    assert source.renew(source.headers(JOB)) is True
    assert source.headers(JOB) == {"Authorization": "Bearer T2"}


def test_only_the_token_that_was_refused_is_replaced(issuer: Issuer) -> None:
    source = issuer.source()
    old = source.headers(JOB)
    source.renew(old)
    assert source.renew(old) is True
    assert (issuer.issued, source.headers(JOB)) == (2, {"Authorization": "Bearer T2"})


def test_many_threads_share_one_token(issuer: Issuer) -> None:
    source, together = issuer.source(), threading.Barrier(16)

    def sign(_: int) -> Mapping[str, str]:
        together.wait()
        return source.headers(JOB)

    with ThreadPoolExecutor(16) as pool:
        signed = list(pool.map(sign, range(16)))
    assert signed == [{"Authorization": "Bearer T1"}] * 16
    assert issuer.issued == 1


def test_many_threads_that_are_refused_together_renew_once(issuer: Issuer) -> None:
    source, together = issuer.source(), threading.Barrier(16)
    refused = source.headers(JOB)

    def renew(_: int) -> bool:
        together.wait()
        return source.renew(refused)

    with ThreadPoolExecutor(16) as pool:
        assert all(pool.map(renew, range(16)))
    assert issuer.issued == 2


def test_a_token_that_could_not_be_had_is_asked_for_again() -> None:
    answers: list[str | CredentialsError] = [CredentialsError("no"), "T"]

    def ask(_: str | None) -> tuple[str, float]:
        answer = answers.pop(0)
        if isinstance(answer, CredentialsError):
            raise answer
        return answer, 100.0

    source = TokenSource(ask, origin(HOME), lambda: 0.0, lambda _: None)
    with pytest.raises(CredentialsError):
        source.headers(JOB)
    assert source.headers(JOB) == {"Authorization": "Bearer T"}


# --- asking for a token ---


def test_a_token_is_asked_for_with_the_fields_of_the_standard() -> None:
    request = form_of(scopes="a b", audience="https://aud.example.com")
    assert (request.method, request.url, request.purpose) == ("POST", PARAMS["token_url"], Purpose.TOKEN)
    assert request.form == {
        "grant_type": "client_credentials",
        "client_id": "me",
        "client_secret": "s",
        "scope": "a b",
        "audience": "https://aud.example.com",
    }


def test_fields_without_a_value_are_left_out() -> None:
    assert set(form_of().form or {}) == {"grant_type", "client_id", "client_secret"}


@pytest.mark.parametrize("scopes", ["a b", "a,b", " a , b ", "a  b"])
def test_scopes_are_separated_by_blanks_or_commas(scopes: str) -> None:
    assert (form_of(scopes=scopes).form or {})["scope"] == "a b"


def test_entra_is_asked_for_the_scope_of_the_api_by_default() -> None:
    entra = "https://login.microsoftonline.com/tenant/oauth2/v2.0/token"
    assert (form_of(token_url=entra).form or {})["scope"] == f"{HOME}/.default"


def test_a_scope_of_the_user_comes_before_the_default() -> None:
    entra = "https://login.microsoftonline.com/tenant/oauth2/v2.0/token"
    assert (form_of(token_url=entra, scopes="mine").form or {})["scope"] == "mine"


def test_the_secret_is_in_no_part_of_the_url() -> None:
    assert "s3cret" not in form_of().url


@pytest.mark.parametrize("lacking", ["client_id", "token_url"])
def test_a_setting_that_a_token_needs_is_asked_for_by_name(lacking: str) -> None:
    with pytest.raises(ConfigError, match=f"cognite needs {lacking} together with client_secret"):
        at_cognite({"client_secret": "s"}, never, **{lacking: ""})


# --- which secret ---


def test_a_ready_token_comes_before_a_client_secret() -> None:
    key = at_cognite({"token": "ready", "client_secret": "s"})
    assert key.headers(JOB) == {"Authorization": "Bearer ready"}


def test_a_key_goes_into_the_header_of_the_service() -> None:
    key = signing(playment.PROVIDER, PARAMS, {"api_key": "K"}, never)
    assert key.headers(JOB) == {"x-api-key": "K"}


@pytest.mark.parametrize("secrets", [{}, {"token": ""}, {"api_key": "of another service"}])
def test_without_a_secret_every_place_for_one_is_named(secrets: dict[str, str]) -> None:
    with pytest.raises(CredentialsError, match="none is set") as caught:
        at_cognite(secrets)
    for place in ("JOBFETCH_COGNITE_TOKEN", "JOBFETCH_COGNITE_CLIENT_SECRET", "CDF_TOKEN", "--secret-stdin"):
        assert place in (caught.value.hint or "")


@pytest.mark.parametrize("secret", ["line\nbreak", "line\r\nX-Evil: 1", "café", "nul\x00"])
def test_a_secret_that_no_header_can_carry_is_refused_without_being_shown(secret: str) -> None:
    with pytest.raises(ConfigError, match="characters that no HTTP header can carry") as caught:
        at_cognite({"token": secret})
    assert secret not in f"{caught.value.message} {caught.value.hint}"


# --- reading a token ---


@pytest.fixture
def token_of(reply: Callable[..., Reply]) -> Callable[..., Token]:
    def read(body: bytes, **how: Any) -> Token:
        return read_token(reply(body, url="https://login.example.com/token?key=SECRET", **how))

    return read


@pytest.mark.parametrize(
    ("expires_in", "lifetime"),
    [
        ("3600", 3600),
        ('"3600"', 3600),
        ("3599.5", 3599.5),
        ("0", 0.0),
        ("-5", 0.0),
        ("null", UNSAID_LIFETIME),
        ('"soon"', UNSAID_LIFETIME),
        ('""', UNSAID_LIFETIME),
        ("[]", UNSAID_LIFETIME),
        ("{}", UNSAID_LIFETIME),
    ],
)
def test_a_token_lives_as_long_as_it_says(token_of: Callable[..., Token], expires_in: str, lifetime: float) -> None:
    assert token_of(f'{{"access_token": "T", "expires_in": {expires_in}}}'.encode()) == Token("T", lifetime)


@pytest.mark.parametrize("expires_in", ["9" * 400, "1e400", '"nan"', '"inf"', "true", '"1e400"'])
def test_an_odd_lifetime_does_not_lose_the_token(token_of: Callable[..., Token], expires_in: str) -> None:
    token = token_of(f'{{"access_token": "T", "expires_in": {expires_in}}}'.encode())
    assert token.value == "T"
    assert token.lifetime >= 0


def test_a_token_without_a_lifetime_is_good_for_a_while(token_of: Callable[..., Token]) -> None:
    assert token_of(b'{"access_token": "T"}').lifetime == UNSAID_LIFETIME


@pytest.mark.parametrize(
    ("body", "how"),
    [
        (b"<html>Sign in</html>", {"content_type": "text/html"}),
        (b"<html>Sign in</html>", {"content_type": "text/html", "status": 404}),
        (b"", {}),
        (b"nope", {}),
        (b"[]", {}),
        (b"{}", {}),
        (b'{"access_token": null}', {}),
        (b'{"access_token": ""}', {}),
        (b'{"access_token": 7}', {}),
        (b'{"access_token": {"a": 1}}', {}),
        (b'{"access_token": "line\\nbreak"}', {}),
        (b'{"access_token": "caf\\u00e9"}', {}),
        (b'{"token": "T"}', {}),
        (b'{"access_token": "T"', {}),
        (b"T", {"content_type": "text/plain"}),
    ],
)
def test_an_answer_without_a_token_that_can_be_read_asks_for_the_url_to_be_checked(
    token_of: Callable[..., Token], body: bytes, how: dict[str, Any]
) -> None:
    with pytest.raises(BadReply, match=r"login\.example\.com/token answered no token") as caught:
        token_of(body, **how)
    assert caught.value.hint == "is token_url right?"
    assert "SECRET" not in caught.value.message


@pytest.mark.parametrize(
    ("body", "status"),
    [
        (b'{"error": "invalid_client", "error_description": "wrong secret"}', 401),
        (b'{"error": "invalid_client", "error_description": "wrong secret"}', 400),
        (b'{"error": "invalid_scope"}', 400),
        (b'{"message": "Forbidden"}', 403),
        (b"", 401),
        (b"<html>", 403),
    ],
)
def test_a_refusal_is_a_matter_of_credentials(token_of: Callable[..., Token], body: bytes, status: int) -> None:
    with pytest.raises(CredentialsError, match="gave no token"):
        token_of(body, status=status)


def test_a_refusal_repeats_the_endpoints_own_words(token_of: Callable[..., Token]) -> None:
    with pytest.raises(CredentialsError, match="wrong secret") as caught:
        token_of(b'{"error": "invalid_client", "error_description": "wrong secret"}', status=401, x_request_id="r-1")
    assert (caught.value.code, caught.value.request_id) == ("invalid_client", "r-1")


def test_a_token_in_a_refusal_is_not_used(token_of: Callable[..., Token]) -> None:
    with pytest.raises(CredentialsError):
        token_of(b'{"access_token": "T", "error": "invalid_client"}', status=400)


def test_an_unreadable_answer_is_never_quoted(token_of: Callable[..., Token]) -> None:
    with pytest.raises(BadReply) as caught:
        token_of(b'{"acess_token": "hunter2"}')
    assert "hunter2" not in f"{caught.value.message} {caught.value.hint}"
