"""Signs requests for the origin that may see the credential, and renews what can be renewed, once for all threads.

It sends nothing by itself: a token is asked for through the `send` it is handed.
"""

from __future__ import annotations

import threading
from collections.abc import Callable, Mapping
from functools import partial

from msgspec import Struct

from jobfetch.credentials.cache import Cache, Key
from jobfetch.credentials.sources import Credential, Held
from jobfetch.credentials.store import Secrets
from jobfetch.credentials.tokens import Token, expiry, login_request, read_login, read_token, token_request
from jobfetch.errors import ConfigError
from jobfetch.model import Send, origin
from jobfetch.places import Value
from jobfetch.spec import ClientCredentials, HeaderKey, Login, Provider, Scheme


class StaticKey:
    """A key or ready token in one header; renewed only where the place it came from may give another."""

    def __init__(
        self, header: str, value: str, home: tuple[str, str, int], again: Callable[[str], str] | None = None
    ) -> None:
        self._header = header
        self._value = value
        self._home = home
        self._again = again
        self._lock = threading.Lock()

    def headers(self, url: str) -> Mapping[str, str]:
        """The header for our own origin, none for any other."""
        return {self._header: self._value} if origin(url) == self._home else {}

    def renew(self, used: Mapping[str, str]) -> bool:
        """Whether there is another key than the refused one now; a wait may be longer than the life of several keys."""
        with self._lock:
            if self._again and used.get(self._header) == self._value:
                self._value = self._again(self._value)
            return used.get(self._header) != self._value


class _Held(Struct, frozen=True):
    """A token in use, and when (on the monotonic clock) to have another."""

    value: str
    renew_at: float


class TokenSource:
    """One token for all threads, renewed before it expires and once after a refusal.

    `ask` gives a token and the seconds that it may be used for; it is handed the token that was refused, if one was.
    """

    def __init__(
        self,
        ask: Callable[[str | None], tuple[str, float]],
        home: tuple[str, str, int],
        clock: Callable[[], float],
        learn: Callable[[str], None],
    ) -> None:
        self._ask = ask
        self._home = home
        self._clock = clock
        self._learn = learn
        self._token: _Held | None = None
        self._lock = threading.Lock()

    def headers(self, url: str) -> Mapping[str, str]:
        """The bearer header for our own origin, none for any other."""
        if origin(url) != self._home:
            return {}
        with self._lock:
            if self._token is None or self._clock() >= self._token.renew_at:
                self._token = self._new(None)
            return {"Authorization": f"Bearer {self._token.value}"}

    def renew(self, used: Mapping[str, str]) -> bool:
        """Drop the refused token; another thread may have replaced it already."""
        with self._lock:
            if self._token and used.get("Authorization") == f"Bearer {self._token.value}":
                self._token = self._new(self._token.value)
        return True

    def _new(self, refused: str | None) -> _Held:
        value, seconds = self._ask(refused)
        self._learn(value)
        return _Held(value, self._clock() + seconds)


Signer = StaticKey | TokenSource


def signer(
    provider: Provider,
    params: Mapping[str, str],
    credential: Credential,
    *,
    send: Send,
    cache: Cache,
    clock: Callable[[], float],
    learn: Callable[[str], None],
    profile: str | None = None,
) -> Signer:
    """What signs requests to a provider with its credential; `learn` hears of every new secret.

    Raises:
        ConfigError: a setting that the scheme needs is missing, or a secret cannot stand in a header.

    """
    home, scheme = origin(params["base_url"]), credential.scheme
    for name, value in credential.values.items():
        if any("\ud800" <= char <= "\udfff" for char in value.text):
            raise ConfigError(f"the {name} of {provider.name} is not UTF-8", hint="check how it was written")
    if isinstance(scheme, HeaderKey):
        again = partial(_another, provider, scheme, credential.again, learn) if credential.again else None
        return StaticKey(scheme.header, _header_value(provider, scheme, credential.secret), home, again)
    key = token_key(provider, params, scheme, credential.values, profile)
    if isinstance(scheme, Login):
        username = credential.values[scheme.username].text
        login = login_request(provider, scheme, params, username, credential.secret)
        return TokenSource(partial(_kept, cache, key, lambda: read_login(send(login), cache.now())), home, clock, learn)
    request = token_request(provider, scheme, params, credential.secret)
    return TokenSource(partial(_kept, cache, key, lambda: read_token(send(request))), home, clock, learn)


def _kept(cache: Cache, key: Key, make: Callable[[], Token], refused: str | None) -> tuple[str, float]:
    def made() -> tuple[str, float]:
        token = make()
        return token.value, token.lifetime

    return cache.get(key, made, refused)


def token_key(
    provider: Provider,
    params: Mapping[str, str],
    scheme: ClientCredentials | Login,
    values: Mapping[str, Value],
    profile: str | None,
) -> Key:
    """Under which key the token of a credential is kept between runs: who asks, where, and for what."""
    who = values[scheme.username].text if isinstance(scheme, Login) else params.get(scheme.client_id, "")
    named = (scheme.token_url,) if isinstance(scheme, Login) else (scheme.token_url, scheme.scopes, scheme.audience)
    home = origin(params.get("base_url") or provider.base_url(params) or "")
    parts = (who, *map(str, home), *(params.get(name, "") for name in named))
    return Key(provider=provider.name, profile=profile, parts=parts, secret=values[scheme.secret].text)


def is_ready(scheme: Scheme) -> bool:
    """Whether the secret signs as it is; otherwise it is for a token, which is renewed."""
    return isinstance(scheme, HeaderKey)


def expires(
    provider: Provider, params: Mapping[str, str], held: Held, cache: Cache, profile: str | None
) -> float | None:
    """When a credential ends, in seconds since 1970, as far as that can be told without asking anybody."""
    if held.scheme is None:
        return None
    secret = held.values[held.scheme.secret].text
    if not secret:
        entry = cache.peek(held.kept) if held.kept else None
        return entry.expires_at if entry else None
    if isinstance(held.scheme, HeaderKey):
        return expiry(secret)
    entry = cache.peek(token_key(provider, params, held.scheme, held.values, profile))
    return entry.expires_at if entry else None


def _another(
    provider: Provider, scheme: HeaderKey, again: Callable[[str], Secrets], learn: Callable[[str], None], refused: str
) -> str:
    """Open the place of a refused key anew; the key that stands there now, as a header's value."""
    secret = again(refused.removeprefix(scheme.prefix)).get(scheme.secret)
    if not secret:
        return refused
    learn(secret)
    return _header_value(provider, scheme, secret)


def _header_value(provider: Provider, scheme: HeaderKey, secret: str) -> str:
    if not secret.isascii() or not secret.isprintable():
        raise ConfigError(
            f"the {scheme.secret} of {provider.name} holds characters that no HTTP header can carry",
            hint="a line break or a blank may have slipped in with a copy and paste",
        )
    return scheme.prefix + secret
