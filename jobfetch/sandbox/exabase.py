"""Plays Exabase's extract jobs, with the chunks and the files that they link to."""

import json
from collections.abc import Mapping
from typing import Any

from msgspec.structs import replace

from jobfetch.sandbox import batches, chunks, listings, shared, storage
from jobfetch.sandbox.listings import Listed
from jobfetch.sandbox.play import Call, Case, Script, Service, always, dumped, first, heard, perform, route, sample
from jobfetch.sandbox.wire import Reply

NAME = "exabase"
SAMPLE_ID = "123e4567-e89b-12d3-a456-426614174000"
API_KEY = 'sbx-exa/key+with=awkward%20chars"inside'

_MOST_ON_A_PAGE = 100
_PUBLISHED = {404: "Extraction job not found"}
"""The words of the documents, where they have any."""


def _refuse(status: int, message: str) -> Script:
    return chunks.refuse(status, _PUBLISHED.get(status, message))


def _told(name: str, **changes: Any) -> Script:
    """A stored sample with the job's own id and addresses, and with these fields changed."""
    return lambda call: dumped({**json.loads(chunks.placed(call, name)), **changes})


def _verbatim(name: str) -> Script:
    return lambda call: chunks.told(call, name)


def _word(word: str) -> Script:
    return _told("pending", state=word)


def _running(call: Call) -> Reply:
    script = _verbatim("pending") if call.look == 1 else _word("processing")
    return script(call)


def _common(**changes: Any) -> Script:
    """A finished document whose common section says something else."""

    def answer(call: Call) -> Reply:
        reply = json.loads(chunks.placed(call, "document"))
        reply["extraction"]["common"].update(changes)
        return dumped(reply)

    return answer


def _linked_elsewhere(call: Call) -> Reply:
    reply = json.loads(chunks.placed(call, "document"))
    reply["links"] = {name: link.replace(call.site.url, call.site.storage_url) for name, link in reply["links"].items()}
    return dumped(reply)


_done = _verbatim("document")
_cleaned = _told("pending", state="cleaned", links=None)
_failed = _told("pending", state="failed")
_busy = _refuse(429, "Too many requests")
_gone = _refuse(404, "")

VOICE = shared.Voice(name=NAME, done=_done, running=_running, word=_word, refuse=_refuse, credential="x-api-key")


def _published(call: Call) -> Reply:
    """The published example word for word: pending, and yet with every section filled."""
    return dumped(sample(NAME, "published") | {"id": call.job_id})


def _states() -> tuple[Case, ...]:
    """The cases that are decided by what the job says."""
    running = _word("processing")
    return (
        Case(name="fails", what="fails at the service", status=first(1, running, _failed), exit_code=6),
        Case(
            name="cleaned",
            what="the job and its files were deleted after a day",
            status=_cleaned,
            more={"chunks": _gone, "download": _gone},
            exit_code=7,
        ),
        Case(
            name="filled-pending",
            what="pending with the whole published example in it, then done",
            status=first(1, _published, _done),
        ),
        Case(name="rate-limited-bare", what="429 without Retry-After twice, then done", status=first(2, _busy, _done)),
        Case(
            name="extraction-null",
            what="done, with nothing extracted",
            status=_told("document", extraction=None),
            more={"chunks": chunks.window(0)},
        ),
        Case(name="infected", what="done, and the file is said to be infected", status=_common(infected=True)),
        Case(
            name="few-sections",
            what="done, with the common section alone and no count of chunks",
            status=_verbatim("few-sections"),
            more={"chunks": chunks.window(0)},
        ),
        Case(
            name="media",
            what="a video: chunks have times in place of pages",
            status=_verbatim("media"),
            more={"chunks": chunks.window(place=chunks.of_time)},
        ),
        Case(
            name="web",
            what="a web page of one chunk",
            status=_verbatim("web"),
            more={"chunks": chunks.window(1, place=chunks.of_nothing)},
        ),
        Case(
            name="hostile",
            what="a nasty state, then done with control characters, escapes, formulas and odd numbers",
            status=shared.strange_then(VOICE, _verbatim("hostile")),
            more={"chunks": chunks.window(1)},
        ),
    )


def _linked() -> tuple[Case, ...]:
    """The cases that are decided by what the job links to; the job itself is done."""
    window = chunks.window()
    table: tuple[tuple[str, Mapping[str, Script], int, str], ...] = (
        ("assets-chunks", {}, 0, f"{chunks.TOTAL} chunks in windows of {chunks.WINDOW}, the last one short"),
        ("assets-chunks-list", {"chunks": chunks.window(envelope=list)}, 0, "the same chunks as a bare list"),
        (
            "chunks-missing",
            {"chunks": chunks.window(30)},
            8,
            f"{chunks.TOTAL} chunks are announced and 30 come: 8 with --assets, 0 without",
        ),
        (
            "assets-chunks-busy",
            {"chunks": first(2, _busy, window)},
            0,
            "429 without Retry-After for the first two windows asked for, then chunks",
        ),
        ("assets-redirect", {"download": chunks.redirected}, 0, "the processed file is a redirect to the storage"),
    )
    return (
        *(Case(name=name, what=what, status=_done, more=more, exit_code=code) for name, more, code, what in table),
        Case(
            name="assets-elsewhere",
            what="the links for chunks and download lead to another origin, which takes no credentials",
            status=_linked_elsewhere,
        ),
        Case(name="assets", what="every linked file is there, with --assets", status=_verbatim("assets")),
        Case(
            name="assets-missing",
            what="one linked file is lost: 8 with --assets, 0 without",
            status=_verbatim("assets"),
            more={"file": chunks.one_lost},
            exit_code=8,
        ),
    )


def _id(case: Case) -> str:
    return SAMPLE_ID if case.name == "sample" else case.name


_CASES = {_id(case): case for case in (*shared.cases(VOICE), *_states(), *_linked())}
_ALL = {f"after-{looks}": shared.after(VOICE, looks) for looks in range(1, 100)} | _CASES
_LISTS = listings.listings(
    (
        Listed("after-1", "processing", "document"),
        Listed("media", "completed", "video"),
        Listed("web", "completed", "web"),
        Listed("fails", "failed", "document"),
        Listed("cleaned", "cleaned", "document"),
    )
)


def _case(job_id: str) -> Case:
    known = _CASES["few-sections"] if batches.is_member(job_id) else _CASES["not-found"]
    return _ALL.get(job_id, known)


def _with_key(script: Script) -> Script:
    refusal = _refuse(401, "The X-Api-Key is missing or wrong")
    return lambda call: (script if call.request.headers.get("x-api-key") == API_KEY else refusal)(call)


def _stage(stage: str, usual: Script) -> Script:
    """Answer for one stage of a job; whoever asks for an unknown job's hears that there is none."""

    def answer(call: Call) -> Reply:
        job_id = call.parts["job_id"]
        case = _case(job_id)
        unknown = case.name == "not-found"
        script = case.status if stage == "status" or unknown else case.more.get(stage, usual)
        return perform(call, NAME, job_id, f"{stage} {call.parts.get('name', '')}", script)

    return answer


def _list(call: Call) -> Reply:
    listing = _LISTS.get(call.request.headers.get("x-exabase-base-id", ""), _LISTS[""])
    return listings.by_cursor(listing, call, _item, _refuse, most=_MOST_ON_A_PAGE)


def _item(call: Call, job: Listed) -> object:
    name = "few-sections" if job.state == "completed" else "pending"
    shown = json.loads(chunks.placed(replace(call, job_id=job.job_id), name))
    state = job.state
    if state == "processing":
        # it goes on while the list is read again and again
        state = heard(perform(call, NAME, job.job_id, "status ", _case(job.job_id).status)).get("state", state)
    return shown | {"state": state, "kind": job.kind}


def _environment(url: str) -> dict[str, str]:
    return {"JOBFETCH_EXABASE_BASE_URL": url, "JOBFETCH_EXABASE_API_KEY": API_KEY}


_chunks, _download = _stage("chunks", chunks.window()), _stage("download", chunks.original)
_JOB_PATH = "/v2/extract/{job_id}"

SERVICE = Service(
    name=NAME,
    cases=tuple(_CASES.items()),
    routes=(
        route("GET", "/v2/extract", _with_key(_list)),
        route("GET", _JOB_PATH, _with_key(_stage("status", always(shared.nothing_here())))),
        route("GET", f"{_JOB_PATH}/chunks", _with_key(_chunks)),
        route("GET", f"{_JOB_PATH}/download", _with_key(_download)),
    ),
    stored=(
        route("GET", f"{chunks.CDN}/{{job_id}}/{{name}}", chunks.bare(_stage("file", chunks.public_file))),
        route("GET", f"{chunks.BUCKET}/{{job_id}}", storage.guarded(chunks.original)),
        route("GET", f"{_JOB_PATH}/chunks", chunks.bare(_chunks)),
        route("GET", f"{_JOB_PATH}/download", chunks.bare(_download)),
        route("GET", "/elsewhere/exabase/{job_id}", lambda call: _done(replace(call, job_id=call.parts["job_id"]))),
    ),
    environment=_environment,
    secrets=(API_KEY,),
)
