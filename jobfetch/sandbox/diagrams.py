"""Plays the siblings of Cognite's vision jobs: diagrams and entity matching, whose jobs have tokens of their own."""

import hashlib
import json
import re
from collections.abc import Callable, Iterable, Mapping
from typing import Any

from msgspec import Struct
from msgspec.structs import replace

from jobfetch.sandbox import shared, storage
from jobfetch.sandbox.play import (
    Call,
    Case,
    Route,
    Script,
    dumped,
    first,
    heard,
    perform,
    route,
    sample,
    stored_bytes,
    verbatim,
)
from jobfetch.sandbox.wire import Reply, whole

_SERVICE = "cognite"
_HEADER = "X-Job-Token"
TOKEN_PREFIX = "sbx-job-token/"  # noqa: S105 - made up, opens nothing but a sandbox
BUCKET = "/cognite-diagrams"
MOST = 1000
"""Jobs in one question about many."""

_PICTURES = {"png": ("image/png", stored_bytes("playment", "mask.png")), "svg": ("image/svg+xml", b"<svg/>\n")}
_BRIEF = ("jobId", "status", "createdTime", "startTime", "statusTime", "errorMessage")


class Family(Struct, frozen=True):
    """One kind of jobs."""

    name: str
    path: str
    cases: Mapping[str, Case]
    by_id: Callable[[str], str]
    """The name of the case that a job id stands for."""

    def case(self, job_id: str) -> Case:
        """How this job behaves."""
        return self.cases.get(self.by_id(job_id), self.cases["not-found"])


def families(refuse: Callable[[int, str], Script], by_id: Callable[[str], str]) -> tuple[Family, ...]:
    """All families; the same ids stand for the same behaviours as with vision's jobs."""
    table = (
        ("detect", "diagram/detect/{job_id}", _told("detect")),
        ("convert", "diagram/convert/{job_id}", _converted),
        ("matches", "entitymatching/jobs/{job_id}", _told("matches")),
    )
    return tuple(Family(name, path, _cases(done, refuse), by_id) for name, path, done in table)


def _told(name: str, **changes: Any) -> Script:
    return lambda call: dumped({**sample(_SERVICE, name), "jobId": int(call.job_id), **changes})


def _converted(call: Call) -> Reply:
    """Pictures of a diagram, reached through links to the storage."""
    reply = _told("convert")(call)
    text = reply.body.decode()
    for kind in _PICTURES:
        published = f"https://storage.googleapis.com/cluster/1234/PH-ME-P-0004-001.{kind}"
        text = text.replace(published, storage.signed(call, f"{BUCKET}/{call.job_id}/PH-ME-P-0004-001.{kind}"))
    return verbatim(text.encode())


def _word(word: str) -> Script:
    return _told("queued", status=word, startTime=1730204350120)


def _running(call: Call) -> Reply:
    return (_told("queued") if call.look == 1 else _word("Running"))(call)


def _cases(done: Script, refuse: Callable[[int, str], Script]) -> Mapping[str, Case]:
    voice = shared.Voice(
        name=_SERVICE, done=done, running=_running, word=_word, refuse=refuse, credential="authorization"
    )
    failed = _told("queued", status="Failed", errorMessage="The job could not be run")
    own = (
        Case(name="fails", what="", status=first(1, _word("Running"), failed), exit_code=6),
        Case(name="distributing", what="", status=shared.words(voice, "Distributing", "Distributed", "Collecting")),
    )
    every = (*shared.cases(voice), *own, *(shared.after(voice, looks) for looks in range(1, 100)))
    return {case.name: case for case in every}


# --- job tokens ---


def _token(family: Family, job_id: str) -> str:
    return TOKEN_PREFIX + hashlib.sha256(f"{family.name} {job_id}".encode()).hexdigest()[:24]


def _with_token(family: Family, script: Script, refusal: Script) -> Script:
    """Give a job's token with the first look that the client can read, and ask for it at all later ones."""

    def answer(call: Call) -> Reply:
        job_id, token, memory = call.parts["job_id"], _token(family, call.parts["job_id"]), call.site.memory
        if memory.kept(_SERVICE, family.name, job_id, "token"):
            return (script if call.request.headers.get(_HEADER.lower()) == token else refusal)(call)
        reply = script(call)
        if reply.status != 200 or reply.way is not whole:  # noqa: PLR2004 - 200 is a word of HTTP
            return reply
        memory.keep(_SERVICE, family.name, job_id, "token", value=token)
        return replace(reply, headers=(*reply.headers, (_HEADER, token)))

    return answer


def _look(family: Family) -> Script:
    def answer(call: Call) -> Reply:
        job_id = call.parts["job_id"]
        return perform(call, _SERVICE, job_id, f"status of {family.name}", family.case(job_id).status)

    return answer


def routes(
    base: str, refuse: Callable[[int, str], Script], by_id: Callable[[str], str], guard: Callable[[Script], Script]
) -> Iterable[Route]:
    """What the siblings serve below this path, behind the guard of the service."""
    refusal = refuse(400, f"{_HEADER} is missing or wrong")
    every = families(refuse, by_id)
    yield route("POST", f"{base}/diagram/detect/status", guard(_briefly(every[0], refuse)))
    for family in every:
        script = _with_token(family, _numbered(_look(family), refuse), refusal)
        yield route("GET", f"{base}/{family.path}", guard(script))


def _numbered(script: Script, refuse: Callable[[int, str], Script]) -> Script:
    refusal = refuse(400, "jobId is not a valid int64")
    return lambda call: (script if re.fullmatch(r"[0-9]{1,19}", call.parts["job_id"]) else refusal)(call)


def _briefly(family: Family, refuse: Callable[[int, str], Script]) -> Script:
    """The states of many jobs at once, without their items; a look at each of them."""

    def answer(call: Call) -> Reply:
        asked = _asked(call)
        if not 1 <= len(asked) <= MOST:
            return refuse(400, f"items must have 1 to {MOST} job ids")(call)
        missing = [job_id for job_id in asked if family.case(str(job_id)).name == "not-found"]
        if missing:
            error = {"code": 400, "message": "Job ids not found", "missing": [{"jobId": one} for one in missing]}
            return dumped({"error": error}, status=400)
        return dumped({"items": [_brief(call, family, str(job_id)) for job_id in asked]})

    return answer


def _asked(call: Call) -> list[int]:
    try:
        asked = json.loads(call.request.body)["items"]
    except (ValueError, KeyError, TypeError):
        return []
    return asked if isinstance(asked, list) and all(isinstance(one, int) for one in asked) else []


def _brief(call: Call, family: Family, job_id: str) -> object:
    state = heard(_look(family)(replace(call, parts={"job_id": job_id})))
    known = state or sample(_SERVICE, "queued") | {"jobId": int(job_id)}
    return {name: known[name] for name in _BRIEF}


def _picture(call: Call) -> Reply:
    kind, body = _PICTURES[call.parts["kind"]]
    return Reply(headers=(("Content-Type", kind),), body=body)


STORED = (route("GET", f"{BUCKET}/{{job_id}}/[^/]+\\.(?P<kind>png|svg)", storage.guarded(_picture)),)
