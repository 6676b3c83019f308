"""Secrets and tokens: signs requests for the origins that may see them, and renews what can be renewed, once for all.

It sends nothing by itself: a token is asked for through the `send` it is handed.
"""

from __future__ import annotations

import base64
import math
import re
import threading
import time
from collections.abc import Callable, Mapping
from dataclasses import dataclass
from functools import partial

from jobfetch.errors import BadReply, ConfigError, CredentialsError
from jobfetch.model import Purpose, Reply, Request, Send, decode, origin, safe_url
from jobfetch.spec import PLAIN_ERRORS, ClientCredentials, HeaderKey, Kind, Login, Provider, needed

#: A token is renewed when it has fewer seconds than this to live.
LEEWAY = 30.0
#: What a token is taken to live for where the service does not say.
UNSAID_LIFETIME = 300.0


class StaticKey:
    """A key or ready token in one header; there is nothing to renew."""

    def __init__(self, header: str, value: str, home: tuple[str, str, int]) -> None:
        self._headers = {header: value}
        self._home = home

    def headers(self, url: str) -> Mapping[str, str]:
        """The header for our own origin, none for any other."""
        return self._headers if origin(url) == self._home else {}

    def renew(self, used: Mapping[str, str]) -> bool:  # noqa: ARG002 - what every signer takes
        """Never: a refused key stays refused."""
        return False


@dataclass(frozen=True, slots=True)
class Token:
    """An access token, and when (on the monotonic clock) to have another."""

    value: str
    renew_at: float


class TokenSource:
    """OAuth2 client credentials: one token for all threads, renewed before it expires and once after a refusal."""

    def __init__(
        self,
        ask: Callable[[], Token],
        home: tuple[str, str, int],
        clock: Callable[[], float],
        learn: Callable[[str], None],
    ) -> None:
        self._ask = ask
        self._home = home
        self._clock = clock
        self._learn = learn
        self._token: Token | None = None
        self._lock = threading.Lock()

    def headers(self, url: str) -> Mapping[str, str]:
        """The bearer header for our own origin, none for any other."""
        if origin(url) != self._home:
            return {}
        with self._lock:
            if self._token is None or self._clock() >= self._token.renew_at:
                self._token = self._new()
            return {"Authorization": f"Bearer {self._token.value}"}

    def renew(self, used: Mapping[str, str]) -> bool:
        """Drop the refused token; another thread may have replaced it already."""
        with self._lock:
            if self._token and used.get("Authorization") == f"Bearer {self._token.value}":
                self._token = self._new()
        return True

    def _new(self) -> Token:
        token = self._ask()
        self._learn(token.value)
        return token


def signer(
    provider: Provider,
    params: Mapping[str, str],
    secrets: Mapping[str, str],
    *,
    send: Send,
    clock: Callable[[], float],
    learn: Callable[[str], None],
) -> StaticKey | TokenSource:
    """What signs requests to a provider with the secrets that are there; `learn` hears of every new one.

    Raises:
        CredentialsError: no scheme of the provider has its secret.
        ConfigError: a scheme lacks a setting, or a secret cannot stand in a header.

    """
    home = origin(params["base_url"])
    for name, value in secrets.items():
        if any("\ud800" <= char <= "\udfff" for char in value):
            raise ConfigError(f"the {name} of {provider.name} is not UTF-8", hint="check how it was written")
    for scheme in provider.auth.schemes:
        secret = secrets.get(scheme.secret)
        if not secret:
            if isinstance(scheme, Login) and secrets.get(scheme.username):
                raise missing(provider, f"{scheme.secret} as well")
            continue
        if isinstance(scheme, HeaderKey):
            return StaticKey(scheme.header, _header_value(provider, scheme, secret), home)
        if isinstance(scheme, Login):
            ask = partial(_log_in, login_request(provider, scheme, params, secrets), send, clock)
        else:
            ask = partial(_ask, token_request(provider, scheme, params, secret), send, clock)
        return TokenSource(ask, home, clock, learn)
    raise missing(provider)


def login_request(provider: Provider, scheme: Login, params: Mapping[str, str], secrets: Mapping[str, str]) -> Request:
    """The JSON post that gives a token as plain text."""
    if not secrets.get(scheme.username):
        raise missing(provider, f"{scheme.username} as well")
    return Request(
        url=needed(params, scheme.token_url, provider.name),
        method="POST",
        json={"username": secrets[scheme.username], "password": secrets[scheme.secret]},
        purpose=Purpose.TOKEN,
        accept="text/plain, application/json",
    )


def _log_in(request: Request, send: Send, clock: Callable[[], float]) -> Token:
    return read_login(send(request), clock(), time.time())


def read_login(reply: Reply, now: float, wall: float) -> Token:
    """The JWT of a good reply, good until the `exp` in it; 4 where the login is refused, 11 where nobody can read it."""
    trouble = PLAIN_ERRORS.read(reply)
    if trouble and trouble.kind in {Kind.CREDENTIALS, Kind.FORBIDDEN}:
        raise CredentialsError(
            f"{trouble.where} refused the login (HTTP {reply.status}): {trouble.message or 'no reason given'}",
            hint="check the user name and the password",
            code=trouble.code,
            request_id=trouble.request_id,
        )
    # some gateways put the text into quotes
    value = reply.body.strip().strip(b'"').decode("ascii", "replace")
    if trouble or reply.media_type == "text/html" or not re.fullmatch(r"[\w.~+/=-]{8,}", value, re.ASCII):
        raise _unreadable(reply)
    return _token(value, (_expiry(value) or wall + UNSAID_LIFETIME) - wall, now)


def _expiry(jwt: str) -> float | None:
    """The `exp` of a JWT, seconds since 1970; None where there is none to be read."""
    payload = jwt.split(".")[1] if jwt.count(".") == 2 else ""  # noqa: PLR2004 - header, payload, signature
    try:
        expiry = decode(base64.urlsafe_b64decode(payload + "=" * (-len(payload) % 4)))["exp"]
        return float(expiry)
    except (BadReply, ValueError, TypeError, KeyError, OverflowError):
        return None


def missing(provider: Provider, what: str | None = None) -> CredentialsError:
    """The error for a provider without its secrets, with every place that they may come from."""
    names = [param.name for param in provider.auth.secrets]
    variables = [f"JOBFETCH_{provider.name}_{name}".upper() for name in names]
    vendors = [name for param in provider.auth.secrets for name in param.env]
    return CredentialsError(
        f"{provider.name} needs {what or ' or '.join(names) + ', and none is set'}",
        hint=f"set {' or '.join(variables)} (also read: {', '.join(vendors)}), or pipe it to --secret-stdin",
    )


def _header_value(provider: Provider, scheme: HeaderKey, secret: str) -> str:
    if not secret.isascii() or not secret.isprintable():
        raise ConfigError(
            f"the {scheme.secret} of {provider.name} holds characters that no HTTP header can carry",
            hint="a line break or a blank may have slipped in with a copy and paste",
        )
    return scheme.prefix + secret


def token_request(provider: Provider, scheme: ClientCredentials, params: Mapping[str, str], secret: str) -> Request:
    """The form post of RFC 6749, 4.4; fields without a value are left out."""
    why = f" together with {scheme.secret}"
    scopes = params.get(scheme.scopes) or scheme.default_scopes(params) or ""
    form = {
        "grant_type": "client_credentials",
        "client_id": needed(params, scheme.client_id, provider.name, why=why),
        "client_secret": secret,
        "scope": " ".join(scopes.replace(",", " ").split()),
        "audience": params.get(scheme.audience) or "",
    }
    return Request(
        url=needed(params, scheme.token_url, provider.name, why=why),
        method="POST",
        form={name: value for name, value in form.items() if value},
        purpose=Purpose.TOKEN,
    )


def _ask(request: Request, send: Send, clock: Callable[[], float]) -> Token:
    return read_token(send(request), clock())


def read_token(reply: Reply, now: float) -> Token:
    """The token of a good reply; 4 where the endpoint refuses, 11 where nobody can read what it says."""
    try:
        value, lifetime = reply.document.get("access_token"), reply.document.text("expires_in")
    except BadReply:
        value, lifetime = None, None
    trouble = PLAIN_ERRORS.read(reply)
    if trouble and (trouble.code or trouble.message or trouble.kind in {Kind.CREDENTIALS, Kind.FORBIDDEN}):
        code = f" {trouble.code}" if trouble.code else ""
        raise CredentialsError(
            f"{trouble.where} gave no token (HTTP {reply.status}{code}): {trouble.message or 'no reason given'}",
            hint="check client_id, client_secret, scopes and token_url",
            code=trouble.code,
            request_id=trouble.request_id,
        )
    if trouble or not isinstance(value, str) or not value or not (value.isascii() and value.isprintable()):
        raise _unreadable(reply)
    try:
        seconds = float(lifetime or "")
    except ValueError:
        seconds = UNSAID_LIFETIME
    return _token(value, seconds, now)


def _token(value: str, seconds: float, now: float) -> Token:
    seconds = max(0.0, seconds) if math.isfinite(seconds) else UNSAID_LIFETIME
    # a token too short for the leeway still serves for half of its life
    return Token(value, now + max(seconds - LEEWAY, seconds / 2))


def _unreadable(reply: Reply) -> BadReply:
    kind = reply.media_type or "no content type"
    return BadReply(
        f"{safe_url(reply.url)} answered no token that can be read (HTTP {reply.status}, {kind})",
        hint="is token_url right?",
    )
