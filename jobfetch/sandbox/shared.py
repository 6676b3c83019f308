"""The behaviours that every service shows alike, said in each one's own voice."""

import gzip
import time
from collections.abc import Callable, Iterable
from email.utils import formatdate
from urllib.parse import quote

from msgspec import Struct
from msgspec.structs import replace

from jobfetch.sandbox import wire
from jobfetch.sandbox.play import Call, Case, Script, always, changed, dumped, first, later
from jobfetch.sandbox.wire import Reply, Way

HTML = Reply(
    headers=(("Content-Type", "text/html; charset=utf-8"),),
    body=b"<!doctype html>\n<html><head><title>Sign in</title></head><body><div id=root></div></body></html>\n",
)
"""The page that a wrong host, a proxy or a login wall answers in place of JSON."""

NOT_JSON = Reply(headers=(("Content-Type", "application/json"),), body=b'{"status": "Completed", "items": [}')

NASTY = "no\x1b[31m red\x1b[0m \u202etxt.exe\u202c \"quoted\" 'and'\r\nnew line\ttab \x07\x00 =cmd()"
"""Text that no terminal, log or spreadsheet should get as it is."""

STRANGE = "\x1b[2JHibernating\u202e\n=cmd()"


class Voice(Struct, frozen=True, kw_only=True):
    """How one service says what all services say."""

    name: str
    done: Script
    running: Script
    word: Callable[[str], Script]
    """Says that a job is in the state that this word names."""
    refuse: Callable[[int, str], Script]
    """Says no with this HTTP status and this message."""
    credential: str
    """The header that carries the credential."""


def sent(script: Script, way: Way) -> Script:
    """Send what a script answers in this way."""
    return changed(script, lambda reply: replace(reply, way=way))


def headed(script: Script, name: str, value: Callable[[Call], str]) -> Script:
    """Add a header to what a script answers."""

    def answer(call: Call) -> Reply:
        reply = script(call)
        return replace(reply, headers=(*reply.headers, (name, value(call))))

    return answer


def zipped(reply: Reply) -> Reply:
    """The same reply with a gzip body."""
    return replace(reply, headers=(*reply.headers, ("Content-Encoding", "gzip")), body=gzip.compress(reply.body))


def words(voice: Voice, *sequence: str) -> Script:
    """Say one state after the other, then be done."""
    script = voice.done
    for word in reversed(sequence):
        script = first(1, voice.word(word), later(1, script))
    return script


def redirect(status: int, where: Callable[[Call], str]) -> Script:
    """Send the client somewhere else."""
    return lambda call: Reply(status=status, headers=(("Location", where(call)),))


def seconds(wait: float) -> Callable[[Call], str]:
    """A Retry-After in seconds; it is a whole number, so never less than one."""
    return lambda call: str(max(1, round(wait * call.site.pace)))


def date(wait: float) -> Callable[[Call], str]:
    """A Retry-After as a date; dates have whole seconds, so one more makes sure that it lies ahead."""
    return lambda call: formatdate(time.time() + 1 + max(1, wait * call.site.pace), usegmt=True)


def after(voice: Voice, looks: int, *, name: str = "", what: str = "") -> Case:
    """A job that is done when it was looked at so many times before."""
    return Case(
        name=name or f"after-{looks}",
        what=what or f"still running at the first {looks} looks, then done; any number from 1 to 99 works",
        status=first(looks, voice.running, later(looks, voice.done)),
    )


def cases(voice: Voice) -> tuple[Case, ...]:
    """All behaviours that need nothing but a voice."""
    return (*_endings(voice), *_refusals(voice), *_trouble(voice), *_broken(voice), *_detours(voice))


def _endings(voice: Voice) -> Iterable[Case]:
    yield Case(name="done", what="finished at the first look", status=voice.done)
    yield after(voice, 2, name="sample", what="the published sample: queued, running, then done")
    yield after(voice, 3)
    yield Case(name="never", what="runs for ever", status=voice.running, exit_code=75)
    yield Case(
        name="unknown-word",
        what="a state that nobody documented at the first two looks, then done",
        status=words(voice, "Hibernating", "Hibernating"),
    )
    yield Case(name="gzip", what="finished, in a gzip body", status=changed(voice.done, zipped))


def _refusals(voice: Voice) -> Iterable[Case]:
    table = (
        ("refused-token", 401, 4, "the credential is refused every time", "Unauthorized"),
        ("forbidden", 403, 4, "the credential may not see this job", "Access to this job is denied"),
        ("not-found", 404, 5, "no such job; any id that is not listed here answers the same", "Job not found"),
        ("gone", 410, 7, "the result expired and was deleted", "The result of this job has expired"),
        ("teapot", 418, 11, "a refusal that nobody documented", "Short and stout: this job cannot be brewed"),
        ("hostile-error", 422, 11, "a refusal full of control characters, escapes and formulas", NASTY),
    )
    for name, status, exit_code, what, message in table:
        yield Case(name=name, what=what, status=voice.refuse(status, message), exit_code=exit_code)
    yield Case(name="echo-secret", what="a refusal that repeats the credential", status=_echo(voice, 403), exit_code=4)


def _echo(voice: Voice, status: int) -> Script:
    def answer(call: Call) -> Reply:
        secret = call.request.headers.get(voice.credential, "")
        link = f"{call.site.url}{call.request.path}?key={quote(secret, safe='')}"
        return voice.refuse(status, f"'{secret}' may not see this job, see {link}")(call)

    return answer


def _trouble(voice: Voice) -> Iterable[Case]:
    busy = voice.refuse(429, "Too many requests")
    away = voice.refuse(503, "Service unavailable")
    table = (
        ("rate-limited", busy, seconds(1), "429 with Retry-After: 1 twice, then done"),
        ("rate-limited-date", busy, date(1), "429 with Retry-After as a date twice, then done"),
    )
    for name, refusal, when, what in table:
        yield Case(name=name, what=what, status=first(2, headed(refusal, "Retry-After", when), voice.done))
    yield Case(
        name="rate-limited-long",
        what="429 with Retry-After: 7200 every time",
        status=headed(busy, "Retry-After", lambda _call: "7200"),
        exit_code=75,
    )
    yield Case(name="unavailable-then-well", what="503 twice, then done", status=first(2, away, voice.done))
    yield Case(name="unavailable", what="503 every time", status=away, exit_code=10)
    error = voice.refuse(500, "Internal server error")
    yield Case(name="error-500", what="500 every time", status=error, exit_code=10)


def _broken(voice: Voice) -> Iterable[Case]:
    yield Case(name="html", what="200 with a web page in place of JSON", status=always(HTML), exit_code=11)
    yield Case(name="not-json", what="says that it is JSON and is not", status=always(NOT_JSON), exit_code=11)
    table = (
        ("cut-body", wire.cut, 11, "the reply ends in the middle, every time"),
        ("reset", wire.reset, 10, "the connection is reset in place of a reply, every time"),
        ("slow-headers", wire.drip_head, 75, "headers that drip for ever"),
        ("slow-body", wire.drip_body, 75, "a body that drips for ever"),
        ("stall", wire.stall, 75, "takes the request and says nothing"),
    )
    for name, way, exit_code, what in table:
        script = sent(voice.done, way)
        yield Case(name=name, what=what, status=script, exit_code=exit_code)
    for name, way, what in (
        ("cut-once", wire.cut, "the first reply ends in the middle, then done"),
        ("reset-once", wire.reset, "the first connection is reset, then done"),
    ):
        yield Case(name=name, what=what, status=first(1, sent(voice.done, way), voice.done))


TROUBLES: tuple[Reply, ...] = (
    dumped({"error": "Service unavailable"}, status=503),
    dumped({"error": "Bad gateway"}, status=502),
    dumped({"error": "Too many requests"}, status=429, headers=(("Retry-After", "1"),)),
    replace(dumped({"status": "completed"}), way=wire.cut),
    replace(dumped({}), way=wire.reset),
    HTML,
)
"""What any request may be answered where there is trouble."""


def _detours(voice: Voice) -> Iterable[Case]:
    yield Case(
        name="redirect-same",
        what="redirected once on the same host, then done",
        status=lambda call: (voice.done if "again" in call.request.query else _SAME)(call),
    )
    yield Case(name="redirect-loop", what="redirected in circles", status=_LOOP, exit_code=11)
    elsewhere = redirect(302, lambda call: f"{call.site.storage_url}/elsewhere/{voice.name}/{call.job_id}")
    yield Case(name="redirect-elsewhere", what="redirected to another host", status=elsewhere, exit_code=11)


_SAME = redirect(307, lambda call: f"{call.request.path}?again=1")
_LOOP = redirect(302, lambda call: f"{call.site.url}{call.request.path}?turn={call.look}")


def strange_then(voice: Voice, script: Script) -> Script:
    """A state with a nasty name at the first look, then what the script says."""
    return first(1, voice.word(STRANGE), later(1, script))


def nothing_here(status: int = 404, message: str = "nothing is served here") -> Reply:
    """What a path that no service knows is answered."""
    return dumped({"error": message}, status=status)
