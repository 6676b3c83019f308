"""Plays JustCrawl: one job with two endpoints that tell of it, rows that land late, and raw pages in a storage."""

import json
from collections.abc import Iterable, Mapping

from msgspec.structs import replace

from jobfetch.sandbox import batches, crawls, listings, shared, storage
from jobfetch.sandbox.listings import Listed
from jobfetch.sandbox.play import Call, Case, Script, Service, dumped, first, heard, perform, route
from jobfetch.sandbox.wire import Reply

NAME = "justcrawl"
API_KEY = "sr_live_5b0e3f9a7c2d4e618f0a1b2c3d4e5f60"

_MOST = 100
"""Jobs on a page, and in one question about many."""

VOICE = shared.Voice(
    name=NAME,
    done=crawls.done(),
    running=crawls.running,
    word=crawls.word,
    refuse=crawls.flat,
    credential="authorization",
)


def _indexing() -> Iterable[Case]:
    usual = crawls.seconds(5)
    table: tuple[tuple[str, crawls.Wait | None, crawls.Wait | None, str], ...] = (
        ("indexing", usual, usual, "with Retry-After: 5 and retryAfterSeconds 5"),
        ("indexing-header", usual, None, "with Retry-After alone"),
        ("indexing-body", None, usual, "with retryAfterSeconds alone"),
        ("indexing-larger-body", crawls.seconds(1), crawls.seconds(1, more=1), "with the larger hint in the body"),
        ("indexing-silent", None, None, "without a hint"),
        ("indexing-zero", lambda _call: 0, lambda _call: 0, "with 0 for a hint"),
        ("indexing-negative", lambda _call: -1, lambda _call: -1, "with -1 for a hint"),
        ("indexing-text", lambda _call: "abc", lambda _call: "abc", "with abc for a hint"),
    )
    for name, header, body, what in table:
        script = first(1, crawls.word("running"), first(2, crawls.indexing(header, body), VOICE.done))
        yield Case(name=name, what=f"not found while it runs, then 202 {what}, then done", status=script)
    yield Case(
        name="indexing-long",
        what="202 with 999999 seconds for a hint, every time",
        status=crawls.indexing(lambda _call: 999999, lambda _call: 999999),
        exit_code=75,
    )


def _refusals() -> Iterable[Case]:
    table = (
        ("quota", crawls.quota, 4, "402, no credits left"),
        ("no-permission", crawls.no_permission, 4, "403 that names the permission to ask for"),
        (
            "structured-forbidden",
            crawls.structured(403, "auth_org_mismatch", "This job belongs to another organisation"),
            4,
            "403 as a structured error",
        ),
        (
            "structured-error",
            crawls.structured(409, "job_terminal", "The job has ended and cannot be changed"),
            11,
            "a refusal that fits no question, as a structured error",
        ),
    )
    for name, status, exit_code, what in table:
        yield Case(name=name, what=what, status=status, exit_code=exit_code)
    busy = crawls.flat(429, "Too many requests")
    what = "429 without Retry-After twice, then done"
    yield Case(name="rate-limited-bare", what=what, status=first(2, busy, VOICE.done))


def _endings() -> Iterable[Case]:
    failed = first(1, crawls.word("running"), crawls.failed)
    expired, refunded = {"pointer": crawls.expired_pointer}, {"pointer": crawls.refunded_pointer}
    table: tuple[tuple[str, Script, Mapping[str, Script], int, str], ...] = (
        ("fails", failed, {}, 6, "fails at the service"),
        ("canceled", crawls.word("canceled"), {}, 6, "was cancelled, a word that only some pages know"),
        ("expired", crawls.expired, expired, 7, "completed, no row, and the page expired"),
        ("expired-500", crawls.expired_broken, expired, 7, "completed, 500 in place of the row, and the page expired"),
        ("refunded", crawls.refunded, refunded, 7, "completed, no row, and the credit was refunded"),
        ("row-lost", crawls.lost, {}, 10, "completed, and 500 in place of the row every time"),
        ("row-lost-404", crawls.rowless, {}, 10, "completed, and no row every time"),
        ("row-late", first(2, crawls.rowless, VOICE.done), {}, 0, "completed, and the row lands two looks later"),
        (
            "row-late-500",
            first(2, crawls.lost, VOICE.done),
            {},
            0,
            "completed, 500 in place of the row twice, then done",
        ),
        ("transient-500", first(2, crawls.shaken, VOICE.done), {}, 0, "500 in place of the row twice, then done"),
    )
    for name, status, more, exit_code, what in table:
        yield Case(name=name, what=what, status=status, more=more, exit_code=exit_code)
    yield Case(
        name="waiting-retry",
        what="waiting_retry, pending, extracting, processing, extraction_done, then done",
        status=shared.words(VOICE, "waiting_retry", "pending", "extracting", "processing", "extraction_done"),
    )


def _pages() -> Iterable[Case]:
    for name, what in (
        ("product", "a row of one product"),
        ("product-list", "a row with a list of products"),
        ("bestseller", "a row of lists that belong together by their index"),
        ("article", "a row with an article"),
    ):
        yield Case(name=name, what=what, status=crawls.done(name))
    hostile = shared.strange_then(VOICE, crawls.done("hostile"))
    what = "a nasty state, then done with control characters, escapes, formulas and odd numbers"
    yield Case(name="hostile", what=what, status=hostile)
    lost = {"body": crawls.no_page, "raw": crawls.absent}
    expired = {"pointer": first(1, crawls.presigned(age=2 * storage.LINK_LIVES), crawls.presigned())}
    table: tuple[tuple[str, Mapping[str, Script], int, str], ...] = (
        ("assets", {}, 0, "every linked file is there, with --assets"),
        ("assets-blob", {"pointer": crawls.by_key}, 0, "the raw page has a key in place of a link, with --assets"),
        ("assets-expired-link", expired, 0, "the first link to the raw page is expired, with --assets"),
        ("assets-missing", lost, 8, "one linked file is lost: 8 with --assets, 0 without"),
    )
    for name, more, exit_code, what in table:
        yield Case(name=name, what=what, status=VOICE.done, more=more, exit_code=exit_code)


def _id(case: Case) -> str:
    return crawls.SAMPLE_ID if case.name == "sample" else case.name


_CASES = {_id(case): case for case in (*shared.cases(VOICE), *_indexing(), *_refusals(), *_endings(), *_pages())}
_ALL = {f"after-{looks}": shared.after(VOICE, looks) for looks in range(1, 100)} | _CASES
_LISTED = (
    *(replace(job, kind="workflow-done") for job in listings.members("completed")),
    Listed("after-1", "running"),
    Listed("waiting-retry", "waiting_retry"),
    Listed("fails", "failed"),
    Listed("expired", "completed"),
)
_JOBS_OF_ROWS = {crawls.row_id(job_id): job_id for job_id in (*_ALL, *(job.job_id for job in _LISTED))}


def _case(job_id: str) -> Case:
    known = _CASES["done"] if batches.is_member(job_id) else _CASES["not-found"]
    return _ALL.get(job_id, known)


def _with_key(script: Script) -> Script:
    refusal = crawls.flat(401, "Missing or invalid authentication token")
    return lambda call: (script if call.request.headers.get("authorization") == f"Bearer {API_KEY}" else refusal)(call)


def _looks(call: Call, job_id: str) -> int:
    """How far a job got: the two endpoints tell of one job, so the one that was asked more often decides."""
    return max(call.site.memory.looks(NAME, job_id, place) for place in crawls.PLACES)


def _state(call: Call, job_id: str, place: str) -> Reply:
    call.site.memory.look(NAME, job_id, place)
    return _case(job_id).status(replace(call, job_id=job_id, look=_looks(call, job_id), parts={"place": place}))


def _seen(call: Call) -> Reply:
    return _state(call, call.parts["job_id"], call.parts["place"])


def _pointer(call: Call) -> Reply:
    """Point at the raw page of a job that is done, as far as its case lets that be known."""
    job_id = call.parts["job_id"]
    case = _case(job_id)
    now = replace(call, job_id=job_id, look=max(1, _looks(call, job_id)), parts={"place": crawls.JOB})
    there = case.name != "not-found" and heard(case.status(now)).get("status") in {None, "completed"}
    script = case.more.get("pointer", crawls.presigned()) if there else crawls.no_pointer
    return perform(call, NAME, job_id, "pointer", script)


def _raw(call: Call) -> Reply:
    job_id = _JOBS_OF_ROWS.get(call.parts["row_id"], call.parts["row_id"])
    case = _case(job_id)
    usual = crawls.absent if case.name == "not-found" else crawls.page
    return perform(call, NAME, job_id, "raw", case.more.get("raw", usual))


def _body(call: Call) -> Reply:
    job_id = call.parts["job_id"]
    return perform(call, NAME, job_id, "body", _case(job_id).more.get("body", crawls.page))


def _list(call: Call) -> Reply:
    return listings.by_number(_LISTED, call, _item, crawls.flat, most=_MOST)


def _item(call: Call, job: Listed) -> object:
    state = job.state
    if state not in {"completed", "failed"}:
        # it goes on while the list is read again and again
        state = heard(_state(call, job.job_id, crawls.JOB)).get("status", state)
    return heard(crawls.job(state, workflowId=job.kind)(replace(call, job_id=job.job_id)))


def _batch_status(call: Call) -> Reply:
    """The states of many jobs at once, a look at each; those that nobody knows are left out without a word."""
    try:
        asked = json.loads(call.request.body)["jobIds"]
        known = [job_id for job_id in asked if _case(job_id).name != "not-found"]
    except (ValueError, KeyError, TypeError):
        asked = known = []
    if not isinstance(asked, list) or not 1 <= len(asked) <= _MOST:
        return crawls.flat(400, f"jobIds must have 1 to {_MOST} ids")(call)
    return dumped([_brief(call, job_id) for job_id in known])


def _brief(call: Call, job_id: str) -> object:
    state = heard(_state(call, job_id, crawls.JOB))
    fields = {name: state.get(name) for name in ("purpose", "parentJobId", "updatedAt")}
    return {"id": job_id, "status": state.get("status", "running"), "currentNodeId": None, **fields}


def _bait(call: Call) -> Reply:
    """A job and a row in one, so that it looks done to whoever lets itself be sent here."""
    call = replace(call, job_id=call.parts["job_id"])
    return dumped(heard(crawls.row("product")(call)) | {"status": "completed"})


def _environment(url: str) -> dict[str, str]:
    return {"JOBFETCH_JUSTCRAWL_BASE_URL": url, "JOBFETCH_JUSTCRAWL_API_KEY": API_KEY}


SERVICE = Service(
    name=NAME,
    cases=tuple(_CASES.items()),
    routes=(
        route("POST", "/api/v1/jobs/batch-status", _with_key(_batch_status)),
        route("GET", "/api/v1/jobs", _with_key(_list)),
        route("GET", "/api/v1/(?P<place>jobs|extraction/results)/{job_id}", _with_key(_seen)),
        route("GET", "/api/v1/jobs/{job_id}/result", _with_key(_pointer)),
        route("GET", "/api/v1/extraction/results/{row_id}/raw", _with_key(_raw)),
    ),
    stored=(
        route("GET", f"{crawls.BUCKET}/{{job_id}}/body.html", storage.guarded(_body)),
        route("GET", "/elsewhere/justcrawl/{job_id}", _bait),
    ),
    environment=_environment,
    secrets=(API_KEY,),
)
