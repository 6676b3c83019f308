"""Asking for a token, and reading the answer: OAuth2 client credentials, or a login that gives a JWT as plain text.

It sends nothing by itself: requests go through the `send` of whoever asks.
"""

from __future__ import annotations

import base64
import math
import re
from collections.abc import Mapping

from msgspec import Struct

from jobfetch.errors import BadReply, CredentialsError
from jobfetch.model import Purpose, Reply, Request, decode, safe_url
from jobfetch.spec import PLAIN_ERRORS, ClientCredentials, Kind, Login, Provider, needed

#: What a token is taken to live for where the service does not say, in seconds.
UNSAID_LIFETIME = 300.0


class Token(Struct, frozen=True):
    """An access token, and its life in seconds."""

    value: str
    lifetime: float


def login_request(
    provider: Provider, scheme: Login, params: Mapping[str, str], username: str, password: str
) -> Request:
    """The JSON post that gives a token as plain text."""
    return Request(
        url=needed(params, scheme.token_url, provider.name),
        method="POST",
        json={"username": username, "password": password},
        purpose=Purpose.TOKEN,
        accept="text/plain, application/json",
    )


def read_login(reply: Reply, wall: float) -> Token:
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
    return _token(value, (expiry(value) or wall + UNSAID_LIFETIME) - wall)


def expiry(jwt: str) -> float | None:
    """The `exp` of a JWT, seconds since 1970; None where there is none to be read."""
    payload = jwt.split(".")[1] if jwt.count(".") == 2 else ""  # noqa: PLR2004 - header, payload, signature
    try:
        expiry = decode(base64.urlsafe_b64decode(payload + "=" * (-len(payload) % 4)))["exp"]
        return float(expiry)
    except (BadReply, ValueError, TypeError, KeyError, OverflowError):
        return None


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


def read_token(reply: Reply) -> Token:
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
    return _token(value, seconds)


def _token(value: str, seconds: float) -> Token:
    return Token(value, max(0.0, seconds) if math.isfinite(seconds) else UNSAID_LIFETIME)


def _unreadable(reply: Reply) -> BadReply:
    kind = reply.media_type or "no content type"
    return BadReply(
        f"{safe_url(reply.url)} answered no token that can be read (HTTP {reply.status}, {kind})",
        hint="is token_url right?",
    )
