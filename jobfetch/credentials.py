"""Secrets and tokens: signs requests for the origins that may see them, and renews what can be renewed, once for all.

It sends nothing by itself: a token is asked for through the `send` it is handed.
"""

from __future__ import annotations

import math
import threading
from collections.abc import Callable, Mapping
from dataclasses import dataclass
from functools import partial

from jobfetch.errors import BadReply, ConfigError, CredentialsError
from jobfetch.model import Purpose, Reply, Request, Send, origin, safe_url
from jobfetch.spec import PLAIN_ERRORS, ClientCredentials, HeaderKey, Kind, Provider, needed

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
    for scheme in provider.auth.schemes:
        secret = secrets.get(scheme.secret)
        if not secret:
            continue
        if isinstance(scheme, HeaderKey):
            return StaticKey(scheme.header, _header_value(provider, scheme, secret), home)
        request = token_request(provider, scheme, params, secret)
        return TokenSource(partial(_ask, request, send, clock), home, clock, learn)
    raise missing(provider)


def missing(provider: Provider) -> CredentialsError:
    """The error for a provider without any secret, with every place that one may come from."""
    names = [param.name for param in provider.auth.secrets]
    variables = [f"JOBFETCH_{provider.name}_{name}".upper() for name in names]
    vendors = [name for param in provider.auth.secrets for name in param.env]
    return CredentialsError(
        f"{provider.name} needs {' or '.join(names)}, and none is set",
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
        raise BadReply(
            f"{safe_url(reply.url)} answered no token that can be read "
            f"(HTTP {reply.status}, {reply.media_type or 'no content type'})",
            hint="is token_url right?",
        )
    try:
        seconds = float(lifetime or "")
    except ValueError:
        seconds = UNSAID_LIFETIME
    seconds = max(0.0, seconds) if math.isfinite(seconds) else UNSAID_LIFETIME
    # a token too short for the leeway still serves for half of its life
    return Token(value, now + max(seconds - LEEWAY, seconds / 2))
