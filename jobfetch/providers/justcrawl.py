"""JustCrawl extraction results: the job endpoint tells the state, the result endpoint holds the row; bearer key.

Source: https://justcrawl.io/docs (get extraction result for a job, jobs), and the OpenAPI behind it. The host that the
published page names answers every path with a web page; api.justcrawl.io is the real one.
"""

from __future__ import annotations

from collections.abc import Iterator
from datetime import datetime

from msgspec.structs import replace

from jobfetch.errors import BadReply, NoResult
from jobfetch.model import Asset, Document, Purpose, Reply, Request, Send, State, Status
from jobfetch.paging import PageNumber
from jobfetch.spec import (
    Address,
    Auth,
    Bulk,
    ErrorRules,
    HeaderKey,
    JobApi,
    Kind,
    ListApi,
    Param,
    Provider,
    RowRules,
    Rows,
    Schedule,
    Words,
    read_status,
    refuse_another,
    wait_asked,
)

_JOB = "/api/v1/jobs/{job_id}"
_ROW = "/api/v1/extraction/results/{job_id}"
_POINTER = "/api/v1/jobs/{job_id}/result"


def _kind(reply: Reply) -> Kind | None:
    """A 500 in place of a row says that the job is done and no row landed: asking again at once does not help."""
    return Kind.OUTAGE if reply.status == 500 and "/extraction/results/" in reply.url else None  # noqa: PLR2004


def _get(address: Address, path: str) -> Request:
    return Request(url=address.url(path))


def _probe(send: Send, address: Address, now: datetime) -> Status:
    """One look: the job's state; once it is through, its row, which may land a little later, or be gone."""
    check = PROVIDER.errors.check
    job = read_status(PROVIDER, address, check(send(_get(address, _JOB)), now), now)
    completed = job.state is State.SUCCEEDED
    if not completed and job.provider_state != "extraction_done":
        return job
    row = send(_get(address, _ROW))
    if row.status == 202 or (row.status == 404 and not completed):  # noqa: PLR2004 - HTTP's own numbers
        told = "retryAfterSeconds" if row.body else None
        return replace(job, state=State.RUNNING, retry_after=wait_asked(row, told, now))
    if completed and row.status in {404, 500}:
        return _without_row(send, address, job)
    refuse_another(check(row, now), address, "jobId")
    return replace(job, state=State.SUCCEEDED, reply=row)


def _without_row(send: Send, address: Address, job: Status) -> Status:
    """A job that is completed and has no row: gone for good where the service says so, else trouble."""
    pointer = send(_get(address, _POINTER))
    if (
        _reason(pointer) == "credit_refunded"
        or pointer.status == 410  # noqa: PLR2004 - HTTP's own number
        or job.reply.document.get("creditOutcome") == "refunded"
    ):
        return replace(job, state=State.GONE)
    raise NoResult(
        f"justcrawl says that job {address.job_id} is completed, and holds no result row for it",
        hint="the row may still land: run the same line again later, or ask the service about the job",
    )


def _reason(reply: Reply) -> str | None:
    try:
        return reply.document.text("reason")
    except BadReply:  # it says nothing that can be read
        return None


def _bulk(address: Address, job_ids: tuple[str, ...]) -> Request:
    return Request(url=address.url("/api/v1/jobs/batch-status"), method="POST", json={"jobIds": [*job_ids]})


#: What a list may be narrowed by: our name, the service's, and what it means.
_FILTERS = (
    ("status", "status", "list only jobs in this state, in the service's own word"),
    ("workflow_id", "workflowId", "list only jobs of this workflow"),
    ("schedule_id", "scheduleId", "list only jobs of this schedule"),
    ("domain", "domain", "list only jobs of this domain"),
    ("tag", "tag", "list only jobs with this tag"),
    ("created_after", "createdAfter", "list only jobs made after this time (ISO 8601)"),
    ("created_before", "createdBefore", "list only jobs made before this time"),
    ("updated_after", "updatedAfter", "list only jobs changed after this time"),
    ("updated_before", "updatedBefore", "list only jobs changed before this time"),
)


def _assets(send: Send, address: Address, result: bytes) -> Iterator[Asset]:
    """The page as it was crawled: behind a signed link, or through the service where it only names a key."""
    reply = PROVIDER.errors.check(send(_get(address, _POINTER)))
    link = reply.document.first("resultUrl")
    if isinstance(link, str):
        yield Asset("resultUrl", Request(url=link, purpose=Purpose.RESULT, accept="*/*"), page=True)
    elif reply.document.first("blobKey"):
        # this path wants the row's own id
        row = replace(address, job_id=Document(result).text("id") or address.job_id)
        raw = Request(url=row.url(f"{_ROW}/raw"), purpose=Purpose.RESULT, accept="*/*")
        yield Asset("blobKey", raw, page=True)


def _records(path: str, *, text: tuple[str, ...], when: str | None = None) -> Rows:
    return Rows(
        each=(path,),
        when=("dataType", when) if when else None,
        kind="record",
        empty="record",
        columns={"label": ("dataType",), "text": text, "score": ("qualityComposite",)},
        copies={"item_id": ("id",)},
    )


PROVIDER = Provider(
    name="justcrawl",
    title="JustCrawl extraction results",
    docs="https://justcrawl.io/docs",
    base_url=lambda _: "https://api.justcrawl.io",
    base_url_env={"JUSTCRAWL_BASE_URL": "{}"},
    settings=(),
    auth=Auth(
        secrets=(Param(name="api_key", help="API key (sr_live_...)", env={"JUSTCRAWL_API_KEY": "{}"}),),
        schemes=(HeaderKey(secret="api_key", header="Authorization", prefix="Bearer "),),
        check="/api/v1/jobs?pageSize=1",
    ),
    errors=ErrorRules(
        # a quota error has its code where others have their words
        code=("error.code", "reason", "error"),
        message=("error.message", "message", "error"),
        request_id=("error.request_id",),
        details=("missing", "error.param"),
        codes={
            "auth_missing": Kind.CREDENTIALS,
            "auth_invalid": Kind.CREDENTIALS,
            "auth_forbidden": Kind.FORBIDDEN,
            "auth_org_mismatch": Kind.FORBIDDEN,
            "auth_code_expired": Kind.CREDENTIALS,
            "auth_code_consumed": Kind.CREDENTIALS,
        },
        kind=_kind,
    ),
    job=JobApi(
        example="2489E9AD-2EE2-8E00-8EC9-32D5F69181C0",
        path=_JOB,
        id="id",
        words=Words(
            path="status",
            states={
                "pending": State.QUEUED,
                "queued": State.QUEUED,
                "running": State.RUNNING,
                "processing": State.RUNNING,
                "waiting_retry": State.RUNNING,
                "extracting": State.RUNNING,
                "extraction_done": State.RUNNING,
                "completed": State.SUCCEEDED,
                "failed": State.FAILED,
                "canceled": State.CANCELLED,
                "cancelled": State.CANCELLED,
            },
        ),
        probe=_probe,
        message=("creditNote",),
        error=("errorMessage", "errorType"),
        created="createdAt",
        finished="completedAt",
        assets=_assets,
        schedule=Schedule(start=2.0, factor=1.5, cap=15.0),
    ),
    listing=ListApi(
        path="/api/v1/jobs",
        items="items",
        word="status",
        total="total",
        after=PageNumber(param="page", size="pageSize"),
        params=tuple(Param(name=name, help=text) for name, _, text in _FILTERS),
        query={name: theirs for name, theirs, _ in _FILTERS},
        fixed={"page": "1", "pageSize": "100"},
        bulk=Bulk(ask=_bulk, most=100),
    ),
    rows=RowRules(
        # what stands at the top is the record's own, whatever kind of page it is of
        top="",
        kinds=(
            # lists of equal length, the same place in each of them one product
            _records("normalized{}", when="bestseller", text=("normalized.product_titles",)),
            _records("normalized.products[]", when="product_list", text=("title",)),
            _records("$", text=("normalized.title",)),
        ),
        left_out={"jobId": "in the column job_id"},
    ),
    retention="as the organisation has set it (document_expiry_days); signed links to raw pages last about 15 minutes",
    limits=("5 jobs in flight for an organisation",),
    notes=(
        "The host of the published page, dashboard.justcrawl.io, answers with a web page; api.justcrawl.io is right.",
    ),
)
