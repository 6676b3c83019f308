"""Plays an identity provider: client credentials in, short-lived tokens out, and all that can go wrong there."""

import hashlib
import hmac
import secrets
import time
from collections.abc import Mapping
from urllib.parse import parse_qsl

from jobfetch.sandbox import shared, wire
from jobfetch.sandbox.play import Call, Script, always, dumped, first, perform, route
from jobfetch.sandbox.wire import Reply

CLIENT_ID = "sandbox-client"
CLIENT_SECRET = 'sbx-client/secret+with=awkward%20"chars&ü'  # noqa: S105 - made up, opens nothing but a sandbox
TOKEN_PREFIX = "sbx+token/"  # noqa: S105 - made up, opens nothing but a sandbox
READY_TOKEN = f"{TOKEN_PREFIX}ready-made=="
"""A token that is good without asking for one."""

_KEY = b"this key signs the tokens of a sandbox and protects nothing"
LIFE = 3600
"""Seconds for which a usual token is good."""
SHORT_LIFE = 31
"""A client that renews 30 seconds ahead renews this one almost at once."""


def issued(lifetime: int) -> str:
    """A fresh token, good for so many seconds and unlike any other."""
    claim = f"{secrets.token_hex(6)}.{int(time.time()) + lifetime}"
    return f"{TOKEN_PREFIX}{claim}.{_mark(claim)}=="


def is_good(token: str) -> bool:
    """Whether a token was issued here and has not expired."""
    if token == READY_TOKEN:
        return True
    claim, _, mark = token.removeprefix(TOKEN_PREFIX).removesuffix("==").rpartition(".")
    return mark == _mark(claim) and int(claim.partition(".")[2]) > time.time()


def _mark(claim: str) -> str:
    return hmac.new(_KEY, claim.encode(), hashlib.sha256).hexdigest()[:16]


def _grant(lifetime: int) -> Script:
    def answer(call: Call) -> Reply:
        form = dict(parse_qsl(call.request.body.decode(errors="replace")))
        if form.get("grant_type") != "client_credentials":
            return _error(400, "unsupported_grant_type", "grant_type must be client_credentials")
        if (form.get("client_id"), form.get("client_secret")) != (CLIENT_ID, CLIENT_SECRET):
            return _error(401, "invalid_client", "The client id or the client secret is wrong")
        return dumped({"access_token": issued(lifetime), "token_type": "Bearer", "expires_in": lifetime})

    return answer


def _error(status: int, error: str, description: str) -> Reply:
    return dumped({"error": error, "error_description": description}, status=status)


def _echo(call: Call) -> Reply:
    form = dict(parse_qsl(call.request.body.decode(errors="replace")))
    return _error(401, "invalid_client", f"The secret '{form.get('client_secret')}' is wrong")


_well = _grant(LIFE)


def unlucky(well: Script, away: Reply, elsewhere: str) -> Mapping[str, Script]:
    """The endpoints at which a service that gives out tokens has trouble that is not of its own kind."""
    return {
        "token-html": always(shared.HTML),
        "token-not-json": always(shared.NOT_JSON),
        "token-elsewhere": shared.redirect(302, lambda call: f"{call.site.storage_url}{elsewhere}"),
        "token-unavailable": always(away),
        "token-unavailable-then-well": first(2, always(away), well),
        "token-cut": shared.sent(well, wire.cut),
        "token-reset": shared.sent(well, wire.reset),
        "token-slow-headers": shared.sent(well, wire.drip_head),
        "token-slow-body": shared.sent(well, wire.drip_body),
        "token-stall": shared.sent(well, wire.stall),
    }


_KINDS: Mapping[str, Script] = {
    "token": _well,
    "token-short": _grant(SHORT_LIFE),
    "token-refuses": always(_error(401, "invalid_client", "This client may not sign in")),
    "token-echo": _echo,
    "token-empty": always(dumped({"token_type": "Bearer", "expires_in": LIFE})),
    **unlucky(_well, _error(503, "temporarily_unavailable", "Try again later"), "/elsewhere-token"),
}


def token(call: Call) -> Reply:
    """Answer at `/oauth2/token` and at its unlucky sisters, `/oauth2/token-html` and so on."""
    kind = call.parts["kind"]
    script = _KINDS.get(kind)
    return perform(call, "idp", kind, "token", script) if script else shared.nothing_here()


def _bait(_call: Call) -> Reply:
    return dumped({"access_token": issued(LIFE), "token_type": "Bearer", "expires_in": LIFE})


BAIT = (route("GET", "/elsewhere-token", _bait), route("POST", "/elsewhere-token", _bait))
"""What a client finds on the storage that lets itself be sent there with its secret: a token that works."""

SECRETS = (CLIENT_SECRET, TOKEN_PREFIX)


def environment(url: str) -> dict[str, str]:
    """The settings that lead a client here."""
    return {
        "TOKEN_URL": f"{url}/oauth2/token",
        "CLIENT_ID": CLIENT_ID,
        "CLIENT_SECRET": CLIENT_SECRET,
        "SCOPES": f"{url}/.default",
    }
