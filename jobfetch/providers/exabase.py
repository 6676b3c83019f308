"""Exabase v2 extract jobs: the status reply is the result; text comes in windows, files behind links; API key.

Source: https://docs.exabase.io (get extraction job result, about extraction)
"""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from urllib.parse import parse_qsl, urlencode, urljoin, urlsplit

from jobfetch.errors import BadReply
from jobfetch.model import (
    Asset,
    Document,
    Json,
    Parts,
    Purpose,
    Reply,
    Request,
    Send,
    State,
    origin,
)
from jobfetch.paging import Cursor
from jobfetch.spec import (
    Address,
    Auth,
    ErrorRules,
    HeaderKey,
    JobApi,
    ListApi,
    Param,
    Provider,
    RowRules,
    Rows,
    Schedule,
    Words,
    links,
    number_of,
)

_LINKS = frozenset({"url", "thumbnail"})
#: What the service has made that is no web page, so that one in its place tells of an error.
_NO_PAGES = frozenset({"thumbnail", "pdfRender", "screenshot", "image", "favicon", "transcript"})
#: Chunks that one window holds; the documents' own links ask for as many.
_WINDOW = 20


def _headers(params: Mapping[str, str]) -> Mapping[str, str]:
    return {"X-Exabase-Base-Id": params["base_id"]} if params.get("base_id") else {}


def _warnings(reply: Reply) -> tuple[str, ...]:
    if reply.document.get("extraction.common.infected") is True:
        return ("exabase says that this file is infected; take care with --assets",)
    return ()


def _chunks(address: Address, document: Document) -> Parts | None:
    """Every window of the text, from the first to `chunkCount`; the link itself names only the first."""
    told, link = document.get("extraction.common.chunkCount"), _link(address, document.get("links.chunks"))
    count = number_of(told) if told else 0
    if link is None or count == 0:
        return None
    return Parts("chunks", _windows(address, link, count), ("items", "chunks", "data"), count or 0)


def _windows(address: Address, link: str, count: int | None) -> Iterator[Request]:
    if count is None:
        raise BadReply("exabase tells a chunkCount that is no number, so nobody knows how many chunks there are")
    for start in range(1, count + 1, _WINDOW):
        yield _request(address, _window(link, start, min(start + _WINDOW - 1, count)), "application/json")


def _window(link: str, start: int, end: int) -> str:
    parts = urlsplit(link)
    kept = [
        (name, value) for name, value in parse_qsl(parts.query, keep_blank_values=True) if name not in {"start", "end"}
    ]
    return parts._replace(query=urlencode([*kept, ("start", start), ("end", end)])).geturl()


def _request(address: Address, url: str, accept: str = "*/*") -> Request:
    # the base id belongs to the service itself: a link on any other host is asked bare
    home = origin(url) == origin(address.base_url)
    return Request(url=url, purpose=Purpose.RESULT, headers=_headers(address.params) if home else {}, accept=accept)


def _assets(_: Send, address: Address, result: bytes) -> Iterator[Asset]:
    """The original, and every file that the extraction names: renders, screenshot, transcript, thumbnail, pages."""
    document = Document(result)
    seen: set[str] = set()
    original = _link(address, document.get("links.download"))
    found = [] if original is None else [("links.download", original)]
    # web.url is where the page came from, and no file of the service
    found += [(path, url) for path, url in links(document.raw("extraction") or b"null", _LINKS, "extraction")]
    for path, url in found:
        if url not in seen and path != "extraction.web.url":
            seen.add(url)
            # what was crawled may well be a web page
            yield Asset(path, _request(address, url), page=_NO_PAGES.isdisjoint(path.split(".")))


def _link(address: Address, told: Json) -> str | None:
    """The address that stands under `links`, which may be relative to the reply's own; None where nothing stands there.

    What cannot be one, a bare word among it, is no address that can be asked: whoever tries is told so, and it counts as lost.
    """
    if not told:
        return None
    try:
        scheme = urlsplit(told).scheme if isinstance(told, str) else "none"
        if not isinstance(told, str) or scheme not in {"", "http", "https"}:
            return ""
        relative = not scheme and ("/" in told or told.startswith("?"))
        return urljoin(address.url(PROVIDER.job.path), told) if relative else told
    except ValueError:
        return ""


PROVIDER = Provider(
    name="exabase",
    title="Exabase extract",
    docs="https://docs.exabase.io",
    base_url=lambda _: "https://api.exabase.io",
    settings=(Param(name="base_id", help="id of a base; the parent workspace where it is left out"),),
    auth=Auth(
        secrets=(Param(name="api_key", help="API key", env={"EXABASE_API_KEY": "{}"}),),
        schemes=(HeaderKey(secret="api_key", header="X-Api-Key"),),
        check="/v2/extract?limit=1",
    ),
    errors=ErrorRules(
        code=("error.code", "code"),
        message=("error.message", "message", "error", "detail"),
        request_id=("error.request_id", "requestId"),
        request_id_headers=("x-request-id", "x-trace-id"),
    ),
    job=JobApi(
        example="123e4567-e89b-12d3-a456-426614174000",
        path="/v2/extract/{job_id}",
        id="id",
        words=Words(
            path="state",
            states={
                "pending": State.QUEUED,
                "processing": State.RUNNING,
                "completed": State.SUCCEEDED,
                "failed": State.FAILED,
                "cleaned": State.GONE,
            },
        ),
        headers=_headers,
        message=("message",),
        error=("error.message", "error", "message"),
        created="createdAt",
        warnings=_warnings,
        assets=_assets,
        parts=_chunks,
        # 1000 requests an hour on the free plan, for all jobs together
        schedule=Schedule(start=4.0, cap=30.0, gap=3.6),
    ),
    listing=ListApi(
        path="/v2/extract",
        items="items",
        word="state",
        after=Cursor(path="nextCursor", param="cursor"),
        params=(
            Param(
                name="state",
                help="list only jobs in this state",
                choices=("pending", "processing", "completed", "failed", "cleaned"),
            ),
            Param(name="kind", help="list only jobs of this kind, for example document"),
        ),
        query={"state": "state", "kind": "kind"},
        fixed={"limit": "50"},
    ),
    rate="1000/h",
    rows=RowRules(
        kinds=(
            Rows(
                each=("$",),
                kind="job",
                columns={"item_id": ("id",), "label": ("kind",), "text": ("name",)},
            ),
        ),
        parts=Rows(
            each=("$",),
            kind="chunk",
            columns={"text": ("text",), "page": ("pageNumber",)},
            copies={"item_id": ("sequence", "id")},
        ),
    ),
    retention="results are kept for one day after the job was created; then its state is `cleaned`",
    limits=("1000 requests an hour on the free plan, 5000 on scale, shared by all keys",),
)
