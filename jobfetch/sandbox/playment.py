"""Plays Playment (GT Studio): jobs, and the attachments that lead to signed links on the storage."""

import re
from collections.abc import Callable
from urllib.parse import unquote

from msgspec.structs import replace

from jobfetch.sandbox import attachments, batches, shared, storage
from jobfetch.sandbox.play import (
    Call,
    Case,
    Script,
    Service,
    dumped,
    first,
    heard,
    perform,
    route,
    sample,
)
from jobfetch.sandbox.wire import Reply

NAME = "playment"
PROJECT = "905ea3ee-6f62-4bb7-8c31-471e486d9202"
SAMPLE_ID = "3f3e8675-ca69-46d7-aa34-96f90fcbb732"
API_KEY = 'sbx-key/with+awkward=chars%20"inside'

_CODES = {401: "unauthorized_request", 403: "unauthorized", 404: "not_found", 429: "too_many_requests"}
_TRY_AGAIN = "Something went wrong on our end. Please try again after some time."
_IN_BUCKET = re.compile(rf"https://{re.escape(attachments.HOST)}/([^/]+)/(.+)")


def _coded(code: str, message: str, status: int = 400) -> Script:
    return lambda _call: dumped({"success": False, "error": {"code": code, "message": message}}, status=status)


def _refuse(status: int, message: str) -> Script:
    return _coded(_CODES.get(status, f"http_{status}"), message, status)


def _told(status: str, result: Callable[[Call], str | None]) -> Script:
    """The published job with its own id, in this state and with this result."""

    def answer(call: Call) -> Reply:
        reply = sample(NAME, "job")
        reply["data"].update(job_id=call.job_id, status=status, result=result(call))
        return dumped(reply)

    return answer


def _result_url(call: Call) -> str:
    return attachments.url(call.job_id, "sample-result.json")


def _word(word: str) -> Script:
    return _told(word, lambda _call: "")


_done = _told("completed", _result_url)
_empty = _word("completed")

VOICE = shared.Voice(
    name=NAME, done=_done, running=_word("in_progress"), word=_word, refuse=_refuse, credential="x-api-key"
)


def _statuses() -> tuple[Case, ...]:
    """The cases that are decided by what the job says."""
    refusals = (
        ("api-error", "api_error", _TRY_AGAIN, 10, "400 with a code that asks to try again, every time"),
        ("auth-failure", "auth-failure", "Authentication failed", 4, "400 that says the key is wrong"),
        ("unauthorized", "unauthorized", "No access to this project", 4, "400 that says the project is not yours"),
        ("no-project", "resource_error", "project_id not found", 5, "400 that says there is no such project"),
        ("usage-error", "GE_0001", "Malformed job id", 11, "400 that says the request is wrong"),
    )
    return (
        *(
            Case(name=name, what=what, status=_coded(code, message), exit_code=exit_code)
            for name, code, message, exit_code, what in refusals
        ),
        Case(name="bare-401", what="401 without a body", status=lambda _call: Reply(status=401), exit_code=4),
        Case(
            name="fs-0000",
            what="400 with a code that asks to try again twice, then done",
            status=first(2, _coded("FS_0000", _TRY_AGAIN), _done),
        ),
        Case(
            name="empty-result",
            what="says completed and never has a result",
            status=_empty,
            exit_code=75,
        ),
        Case(
            name="empty-then-filled",
            what="says completed without a result twice, then with one",
            status=first(2, _empty, _done),
        ),
        Case(
            name="hostile",
            what="a nasty state, then done with control characters, escapes, formulas and odd numbers",
            status=shared.strange_then(VOICE, _done),
            more={"file": attachments.file("hostile")},
        ),
    )


def _id(case: Case) -> str:
    return SAMPLE_ID if case.name == "sample" else case.name


_CASES = {_id(case): case for case in (*shared.cases(VOICE), *_statuses(), *attachments.cases(_done))}
_MENDS = Case(
    name="mends",
    what="refused at the first look, done at every other",
    status=first(1, _refuse(418, "Short and stout: not today"), _done),
)
_ALL = {f"after-{looks}": shared.after(VOICE, looks) for looks in range(1, 100)} | {"mends": _MENDS} | _CASES


def _case(job_id: str) -> Case:
    known = _CASES["done"] if batches.is_member(job_id) else _CASES["not-found"]
    return _ALL.get(job_id, known)


def _with_key(script: Script) -> Script:
    refusal = _coded("auth-failure", "Authentication failed: the x-api-key is missing or wrong")
    return lambda call: (script if call.request.headers.get("x-api-key") == API_KEY else refusal)(call)


def _in_project(script: Script) -> Script:
    refusal = _coded("resource_error", "project_id not found")
    return _with_key(lambda call: (script if call.parts["project"] == PROJECT else refusal)(call))


def _job(call: Call) -> Reply:
    job_id = call.parts["job_id"]
    return perform(call, NAME, job_id, "status", _case(job_id).status)


def _told_in_list(call: Call, job_id: str) -> str:
    """How far a job is, as its batch shows it."""
    reply = heard(perform(call, NAME, job_id, "status", _case(job_id).status))
    return str(reply["data"]["status"])


def _attachment(call: Call) -> Reply:
    """Redirect to a signed link, for a URL that points into the bucket."""
    url = call.request.query.get("url")
    if not url:
        return _coded("GE_0002", "Parameter url is missing")(call)
    found = _IN_BUCKET.fullmatch(url)
    if not found:
        return _coded("FS_0007", "Attachment is not accessible")(call)
    job_id, name = unquote(found[1]), unquote(found[2])
    call = replace(call, parts={"name": name})
    return perform(call, NAME, job_id, f"link {name}", _case(job_id).more.get("link", attachments.usual_link))


def _stored(call: Call) -> Reply:
    job_id, name = call.parts["job_id"], call.parts["name"]
    stage, usual = ("mask", attachments.usual_mask) if name.endswith(".png") else ("file", attachments.usual_file)
    return perform(call, NAME, job_id, f"file {name}", _case(job_id).more.get(stage, usual))


def _environment(url: str) -> dict[str, str]:
    return {
        "JOBFETCH_PLAYMENT_BASE_URL": url,
        "JOBFETCH_PLAYMENT_PROJECT": PROJECT,
        "JOBFETCH_PLAYMENT_API_KEY": API_KEY,
    }


SERVICE = Service(
    name=NAME,
    cases=tuple(_CASES.items()),
    routes=(
        route("GET", "/v1/projects/{project}/jobs/{job_id}", _in_project(_job)),
        route(
            "GET",
            "/v1/projects/{project}/batch/{batch_id}",
            _in_project(lambda call: batches.page(call, _told_in_list)),
        ),
        route("GET", "/v1/projects/{project}/details", _in_project(batches.details)),
        route("GET", "/v1/attachments", _with_key(_attachment)),
    ),
    stored=(
        route("GET", f"/{attachments.BUCKET}/{{job_id}}/(?P<name>.+)", storage.guarded(_stored)),
        route("GET", "/elsewhere/playment/{job_id}", lambda call: _done(replace(call, job_id=call.parts["job_id"]))),
    ),
    environment=_environment,
    secrets=(API_KEY,),
)
