"""Plays expert.ai's login: a name and a password in, a JWT out as plain text, and all that can go wrong there."""

import base64
import hashlib
import hmac
import json
import secrets
import time
from collections.abc import Mapping

from jobfetch.sandbox import idp, shared
from jobfetch.sandbox.play import Call, Script, always, dumped, perform, route
from jobfetch.sandbox.wire import Reply

USERNAME = "rehearsal@expert.example"
PASSWORD = "sbx-pass/\"double\" & 'single' 100%25 \\n=+ pässwörd€"  # noqa: S105 - made up, opens nothing but a sandbox
OPAQUE = "sbx-opaque/token+of=a%20kind=="
"""A token that is good and no JWT, so that nobody can read when it ends."""

PREFIX = "/expert.ai"
"""The login lives on a host of its own; here a folder keeps it apart from the other identity provider."""

_KEY = b"this key signs the logins of a sandbox and protects nothing"


def _packed(value: bytes) -> str:
    return base64.urlsafe_b64encode(value).rstrip(b"=").decode()


TOKEN_PREFIX = _packed(json.dumps({"alg": "HS256", "kid": "sandbox-login", "typ": "JWT"}).encode()) + "."
"""What all its tokens begin with."""


def issued(lifetime: int) -> str:
    """A fresh JWT, good for so many seconds and unlike any other."""
    now = int(time.time())
    claims = {"sub": USERNAME, "jti": secrets.token_hex(6), "iat": now, "exp": now + lifetime}
    signed = TOKEN_PREFIX + _packed(json.dumps(claims).encode())
    return f"{signed}.{_mark(signed)}"


def is_good(token: str) -> bool:
    """Whether a token was issued here and has not expired."""
    signed, _, mark = token.rpartition(".")
    if token == OPAQUE or not signed or mark != _mark(signed):
        return token == OPAQUE
    claims = signed.removeprefix(TOKEN_PREFIX)
    known = json.loads(base64.urlsafe_b64decode(claims + "=" * (-len(claims) % 4)))
    return bool(known["exp"] > time.time())


def _mark(signed: str) -> str:
    return _packed(hmac.new(_KEY, signed.encode(), hashlib.sha256).digest())


def _text(text: str) -> Reply:
    return Reply(headers=(("Content-Type", "text/plain;charset=UTF-8"),), body=text.encode())


def _refusal(status: int, message: str) -> Reply:
    return dumped({"message": message}, status=status)


def _asked(call: Call) -> Mapping[str, object]:
    try:
        asked = json.loads(call.request.body)
    except ValueError:
        return {}
    return asked if isinstance(asked, dict) else {}


def _guarded(script: Script) -> Script:
    """Give to those only who send the right name and password, as JSON that says so."""

    def answer(call: Call) -> Reply:
        if not call.request.headers.get("content-type", "").startswith("application/json"):
            return _refusal(415, "Content-Type must be application/json")
        asked = _asked(call)
        if (asked.get("username"), asked.get("password")) != (USERNAME, PASSWORD):
            return _refusal(401, "The name or the password is wrong")
        return script(call)

    return answer


def _jwt(lifetime: int) -> Script:
    return _guarded(lambda _call: _text(issued(lifetime)))


def _echo(call: Call) -> Reply:
    return _refusal(401, f"The password '{_asked(call).get('password')}' is wrong")


_well = _jwt(idp.LIFE)

_KINDS: Mapping[str, Script] = {
    "token": _well,
    "token-short": _jwt(idp.SHORT_LIFE),
    "token-not-jwt": _guarded(always(_text(OPAQUE))),
    "token-json": _guarded(lambda _call: dumped({"access_token": issued(idp.LIFE), "expires_in": idp.LIFE})),
    "token-quoted": _guarded(lambda _call: dumped(issued(idp.LIFE))),
    "token-line": _guarded(lambda _call: _text(f"{issued(idp.LIFE)}\n")),
    "token-empty": _guarded(always(_text(""))),
    "token-refuses": always(_refusal(401, "This user may not sign in")),
    "token-echo": _echo,
    **idp.unlucky(_well, _refusal(503, "Try again later"), "/elsewhere-login"),
}


def token(call: Call) -> Reply:
    """Answer at the login and at its unlucky sisters."""
    kind = call.parts["kind"]
    script = _KINDS.get(kind)
    return perform(call, "login", kind, "token", script) if script else shared.nothing_here()


def _bait(_call: Call) -> Reply:
    return _text(issued(idp.LIFE))


BAIT = (route("GET", "/elsewhere-login", _bait), route("POST", "/elsewhere-login", _bait))
"""What a client finds on the storage that lets itself be sent there with its password: a token that works."""

SECRETS = (USERNAME, PASSWORD, TOKEN_PREFIX, OPAQUE)
