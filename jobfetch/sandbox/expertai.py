"""Plays expert.ai's recognition tasks: 200 whatever happens, and a state that tells how it went."""

from collections.abc import Iterable

from msgspec.structs import replace

from jobfetch.sandbox import layouts, logins, shared
from jobfetch.sandbox.play import Call, Case, Script, Service, dumped, first, perform, route
from jobfetch.sandbox.wire import Reply

NAME = "expertai"
BASE = "/beta"

_UNAUTHORIZED = dumped({"message": "Unauthorized"}, status=401)
_NO_SUBSCRIPTION = {"message": "Forbidden", "_embedded": {"errors": [{"message": "No active subscription"}]}}


def _refuse(status: int, message: str) -> Script:
    return lambda _call: dumped({"message": message}, status=status)


def _state(state: str, current: int, message: str) -> Script:
    return lambda _call: dumped({"current": current, "message": message, "state": state})


def _word(word: str) -> Script:
    return _state(word, 35, "page conversion")


_pending = _state("PENDING", 0, "waiting")
_progress = _word("PROGRESS")
_running = first(1, _pending, _progress)
_done = layouts.stored("success")

VOICE = shared.Voice(name=NAME, done=_done, running=_running, word=_word, refuse=_refuse, credential="authorization")


def _bearer(call: Call) -> str:
    scheme, _, value = call.request.headers.get("authorization", "").partition(" ")
    return value if scheme.lower() == "bearer" else ""


def _revoked(call: Call) -> Reply:
    """Running; from the second look on the token seen then is refused and any other is welcome."""
    if call.look == 1:
        return _running(call)
    bearer = _bearer(call)
    refused = call.site.memory.keep(NAME, call.job_id, "revoked", value=bearer)
    return _UNAUTHORIZED if bearer == refused else _done(call)


def _endings() -> Iterable[Case]:
    failure = _state("FAILURE", 0, "The document is encrypted")
    aborted = _state("ABORTED", 35, "The task was aborted")
    table = (
        ("fails", first(1, _progress, failure), 6, "fails at the service"),
        ("aborted", first(1, _progress, aborted), 6, "ends as ABORTED, which only the OpenAPI document knows"),
        ("always-pending", _pending, 75, "pending for ever at 0 percent, as an id that nobody knows may be"),
        ("error-pages", layouts.told("pages", errorPages=2), 8, "done, and two pages were not analysed"),
        ("no-subscription", lambda _call: dumped(_NO_SUBSCRIPTION, status=403), 4, "403 with its reason embedded"),
        ("over-plan", _refuse(413, "Plan limit exceeded"), 11, "413, the plan does not allow so much"),
        ("expired-token", _revoked, 0, "the token is revoked at the second look, a new one works"),
        ("celery-words", shared.words(VOICE, "RECEIVED", "STARTED", "RETRY"), 0, "RECEIVED, STARTED, RETRY, then done"),
    )
    for name, status, exit_code, what in table:
        yield Case(name=name, what=what, status=status, exit_code=exit_code)


def _results() -> Iterable[Case]:
    total = layouts.told("success", more={"total": 100.0})
    table = (
        ("words-plain", layouts.told("pages"), "words as records without a gap"),
        (
            "words-separated",
            layouts.told("pages", gap=layouts.SEPARATOR),
            "words as records with four zeros after each",
        ),
        ("pages", layouts.told("pages"), "three pages, each with words of its own"),
        ("table", layouts.told("table"), "a table: cells with row, column and span, heads spelled in two ways"),
        ("extra-total", first(1, _with_total(_progress), total), "a field that nobody documented, then done with it"),
        ("big-body", layouts.big, "done, with a result of some MB"),
        (
            "hostile",
            shared.strange_then(VOICE, layouts.stored("hostile")),
            "a nasty state, then done with control characters, escapes, formulas and odd numbers",
        ),
    )
    for name, status, what in table:
        yield Case(name=name, what=what, status=status)


def _with_total(script: Script) -> Script:
    return lambda call: replace(reply := script(call), body=reply.body.replace(b"{", b'{"total": 100.0, ', 1))


_CASES = {case.name: case for case in (*shared.cases(VOICE), *_endings(), *_results())}
_ALL = {f"after-{looks}": shared.after(VOICE, looks) for looks in range(1, 100)} | _CASES


def _task(call: Call) -> Reply:
    if not logins.is_good(_bearer(call)):
        return _UNAUTHORIZED
    task_id = call.parts["task_id"]
    return perform(call, NAME, task_id, "status", _ALL.get(task_id, _CASES["not-found"]).status)


def _environment(url: str) -> dict[str, str]:
    return {
        "JOBFETCH_EXPERTAI_BASE_URL": f"{url}{BASE}",
        "JOBFETCH_EXPERTAI_TOKEN_URL": f"{url}{logins.PREFIX}/oauth2/token",
        "JOBFETCH_EXPERTAI_USERNAME": logins.USERNAME,
        "JOBFETCH_EXPERTAI_PASSWORD": logins.PASSWORD,
    }


SERVICE = Service(
    name=NAME,
    cases=tuple(_CASES.items()),
    routes=(
        route("GET", f"{BASE}/status/{{task_id}}", _task),
        route("POST", f"{logins.PREFIX}/oauth2/(?P<kind>token[a-z-]*)", logins.token),
    ),
    stored=(route("GET", "/elsewhere/expertai/{job_id}", _done), *logins.BAIT),
    environment=_environment,
    secrets=logins.SECRETS,
)
