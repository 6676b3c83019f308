"""Plays Cognite's vision extract jobs, and the identity provider that issues tokens for them."""

import json
import re
from collections.abc import Mapping
from functools import cache
from typing import Any

from msgspec.structs import replace

from jobfetch.sandbox import diagrams, idp, shared
from jobfetch.sandbox.play import (
    Call,
    Case,
    Route,
    Script,
    Service,
    dumped,
    first,
    perform,
    route,
    sample,
    stored_bytes,
    verbatim,
)
from jobfetch.sandbox.wire import Reply

NAME = "cognite"
PROJECT = "sandbox"
MANY = 20_000
"""So many predictions are in the reply that is big: a few MB."""

_UNAUTHORIZED = dumped({"error": {"code": 401, "message": "Unauthorized"}}, status=401)
_AFTER = 1000
"""Job 1000 + N is done after N looks."""


def _refuse(status: int, message: str) -> Script:
    return lambda _call: dumped({"error": {"code": status, "message": message}}, status=status)


def _told(name: str, **changes: Any) -> Script:
    """A stored sample with the job's own id, and with these fields changed."""
    return lambda call: dumped({**sample(NAME, name), "jobId": int(call.job_id), **changes})


def _running(call: Call) -> Reply:
    script = _told("queued") if call.look == 1 else _word("Running")
    return script(call)


def _word(word: str) -> Script:
    return _told("queued", status=word, startTime=1730204350120)


_done = _told("extract", status="Completed", failedItems=[])


def _partial_progress(call: Call) -> Reply:
    return _told("partial", status="Running", failedItems=[])(call)


def _partial_end(call: Call) -> Reply:
    ready = sample(NAME, "partial")["items"][0]
    second = {
        **ready,
        "fileId": 1236,
        "fileExternalId": "1236",
        "fileInstanceId": {"space": "s", "externalId": "img-3"},
    }
    return _told("partial", items=[ready, second])(call)


@cache
def _many() -> bytes:
    whole = sample(NAME, "extract") | {"status": "Completed", "failedItems": [], "jobId": 0}
    [text] = whole["items"][0]["predictions"]["textPredictions"]
    whole["items"][0]["predictions"]["textPredictions"] = [text | {"text": f"21-PT-{n:05}"} for n in range(MANY)]
    return json.dumps(whole).encode()


def _big(call: Call) -> Reply:
    return verbatim(_many().replace(b'"jobId": 0', f'"jobId": {call.job_id}'.encode()))


def _revoked(call: Call) -> Reply:
    """Running; from the second look on the token seen then is refused and any other is welcome."""
    if call.look == 1:
        return _running(call)
    bearer = _bearer(call)
    refused = call.site.memory.keep(NAME, call.job_id, "revoked", value=bearer)
    return _UNAUTHORIZED if bearer == refused else _done(call)


VOICE = shared.Voice(name=NAME, done=_done, running=_running, word=_word, refuse=_refuse, credential="authorization")

_RETRYABLE = shared.headed(_refuse(500, "Internal server error"), "cdf-is-auto-retryable", lambda _call: "true")

_OWN = (
    Case(
        name="fails",
        what="fails at the service",
        status=first(1, _word("Running"), _told("failed")),
        exit_code=6,
    ),
    Case(
        name="partial",
        what="first one file of three, then done with one file failed",
        status=first(1, _partial_progress, _partial_end),
        exit_code=8,
    ),
    Case(
        name="item-error",
        what="done, and one file bears an error in place of predictions",
        status=_told("item-error"),
        exit_code=8,
    ),
    Case(
        name="distributing",
        what="Distributing, Distributed, Collecting, then done",
        status=shared.words(VOICE, "Distributing", "Distributed", "Collecting"),
    ),
    Case(
        name="unknown-family",
        what="done, with a kind of prediction that nobody documented",
        status=_told("unknown-family"),
    ),
    Case(
        name="retryable-500",
        what="500 that asks to be tried again twice, then done",
        status=first(2, _RETRYABLE, _done),
    ),
    Case(name="big-body", what="done, with a result of some MB", status=_big),
    Case(name="expired-token", what="the token is revoked at the second look, a new one works", status=_revoked),
    Case(
        name="hostile",
        what="a nasty state, then done with control characters, escapes, formulas and odd numbers",
        status=shared.strange_then(VOICE, lambda _call: verbatim(stored_bytes(NAME, "hostile.json"))),
    ),
)

_IDS: Mapping[str, str] = {
    "sample": "123",
    "done": "200",
    "after-3": "1003",
    "never": "750",
    "unknown-word": "201",
    "distributing": "202",
    "unknown-family": "203",
    "big-body": "204",
    "gzip": "205",
    "hostile": "206",
    "fails": "600",
    "partial": "800",
    "item-error": "801",
    "refused-token": "401",
    "expired-token": "4011",
    "forbidden": "403",
    "echo-secret": "4031",
    "not-found": "404",
    "gone": "410",
    "teapot": "418",
    "hostile-error": "422",
    "rate-limited": "429",
    "rate-limited-date": "4291",
    "rate-limited-long": "4292",
    "error-500": "500",
    "retryable-500": "5001",
    "unavailable": "503",
    "unavailable-then-well": "5031",
    "redirect-elsewhere": "302",
    "redirect-same": "307",
    "redirect-loop": "310",
    "html": "110",
    "not-json": "111",
    "cut-body": "101",
    "cut-once": "102",
    "reset": "103",
    "reset-once": "104",
    "slow-headers": "751",
    "slow-body": "752",
    "stall": "753",
}

_CASES = {_IDS[case.name]: case for case in (*shared.cases(VOICE), *_OWN)}
_ALL = {str(_AFTER + looks): shared.after(VOICE, looks) for looks in range(1, 100)} | _CASES


def _bearer(call: Call) -> str:
    scheme, _, value = call.request.headers.get("authorization", "").partition(" ")
    return value if scheme.lower() == "bearer" else ""


def _signed_in(script: Script) -> Script:
    return lambda call: script(call) if idp.is_good(_bearer(call)) else _UNAUTHORIZED


def _job(call: Call) -> Reply:
    job_id = call.parts["job_id"]
    if not re.fullmatch(r"[0-9]{1,19}", job_id):
        return _refuse(400, f"jobId: {job_id!r} is not a valid int64")(call)
    case = _ALL.get(job_id, _CASES[_IDS["not-found"]])
    return perform(call, NAME, job_id, "status", case.status)


def _inspect(_call: Call) -> Reply:
    projects = [{"projectUrlName": PROJECT, "groups": [1]}]
    return dumped({"subject": "sandbox", "projects": projects, "capabilities": []})


def _bait(call: Call) -> Reply:
    """What a client finds that lets itself be sent to another host: a job that looks done."""
    return _done(replace(call, job_id=call.parts["job_id"]))


def _environment(url: str) -> dict[str, str]:
    values = {"BASE_URL": url, "PROJECT": PROJECT, **idp.environment(url)}
    return {f"JOBFETCH_COGNITE_{name}": value for name, value in values.items()}


def _name(job_id: str) -> str:
    """The name of the case that an id stands for, also for those that the table does not list."""
    return _ALL[job_id].name if job_id in _ALL else ""


def _in_project(script: Script) -> Script:
    return _signed_in(lambda call: script(call) if call.parts["project"] == PROJECT else _UNAUTHORIZED)


_CONTEXT = "/api/v1/projects/{project}/context"
_ROUTES: tuple[Route, ...] = (
    route("GET", f"{_CONTEXT}/vision/extract/{{job_id}}", _in_project(_job)),
    *diagrams.routes(_CONTEXT, _refuse, _name, _in_project),
    route("GET", "/api/v1/token/inspect", _signed_in(_inspect)),
    route("POST", "/oauth2/(?P<kind>token[a-z-]*)", idp.token),
)

SERVICE = Service(
    name=NAME,
    cases=tuple(_CASES.items()),
    routes=_ROUTES,
    stored=(route("GET", "/elsewhere/cognite/{job_id}", _bait), *diagrams.STORED, *idp.BAIT),
    environment=_environment,
    secrets=(*idp.SECRETS, diagrams.TOKEN_PREFIX),
)
