"""Playment (GT Studio) annotation jobs: the result is an attachment behind a redirect to foreign storage; API key.

Source: https://annotationdocs.telusinternational.com (get job result, attachment access API, error codes)
"""

from __future__ import annotations

from collections.abc import Iterator
from typing import Any

from jobfetch.model import Asset, Purpose, Reply, Request, Send, State
from jobfetch.paging import Cursor
from jobfetch.spec import (
    Address,
    Auth,
    ErrorRules,
    Groups,
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
    links,
)


def _attachment(address: Address, url: str, *, accept: str = "application/json") -> Request:
    # asked through the attachment endpoint: storage itself refuses since 2021-07-15
    where = Address(base_url=address.base_url, params={"url": url})
    return Request(url=where.url("/v1/attachments?url={url}"), purpose=Purpose.RESULT, accept=accept)


def _result(address: Address, reply: Reply) -> Request | None:
    url = reply.document.first("data.result")
    return _attachment(address, url) if isinstance(url, str) else None


def _assets(_: Send, address: Address, result: bytes) -> Iterator[Asset]:
    """Every link that the result keeps under a key `url`: masks and point clouds, each behind the same endpoint."""
    seen: set[str] = set()
    for path, url in links(result, frozenset({"url"})):
        if url not in seen:
            seen.add(url)
            yield Asset(path, _attachment(address, url, accept="*/*"))


def _refused(reply: Reply) -> bool:
    return reply.media_type.endswith("json") and reply.document.get("success") is False


_WRONG_KEY = ("auth-failure", "core.webutil.token_auth", "unauthorized_request")
_NO_ACCESS = ("unauthorized", "core.webutil.auther")
_TRY_AGAIN = ("FS_0000", "FS_0008", "api_error")

# the documents spell the holder both ways, and attachments come with and without the envelope
_EACH_ANNOTATION = tuple(
    f"{envelope}{holder}.annotations[]"
    for envelope in ("data.", "")
    for holder in ("annotations_data", "annotation_data")
)
# the edges of whatever has coordinates: they are parts of the picture already
_SHAPE: dict[str, Any] = {
    "columns": {"label": ("label",)},
    "copies": {
        "item_id": ("_id", "id"),
        **{f"{axis}_{end}": (f"{end}(coordinates[].{axis})",) for axis in "xy" for end in ("min", "max")},
    },
}
_EACH_FRAME = tuple(f"{path}.frames.*" for path in _EACH_ANNOTATION)

PROVIDER = Provider(
    name="playment",
    title="Playment (GT Studio)",
    docs="https://annotationdocs.telusinternational.com",
    base_url=lambda _: "https://api.playment.io",
    settings=(
        Param(name="project", help="project id", required=True),
        Param(name="batch", help="batch id; every batch of the project where it is left out (batch download)"),
    ),
    auth=Auth(
        secrets=(Param(name="api_key", help="API key (Settings, API Keys)", env={"PLAYMENT_API_KEY": "{}"}),),
        schemes=(HeaderKey(secret="api_key", header="x-api-key"),),
        check="/v1/projects/{project}/details",
    ),
    errors=ErrorRules(
        code=("error.code",),
        message=("error.message", "error", "message"),
        # every failure is HTTP 400, the service's own trouble included: only the code tells
        codes={
            **dict.fromkeys(_WRONG_KEY, Kind.CREDENTIALS),
            **dict.fromkeys(_NO_ACCESS, Kind.FORBIDDEN),
            **dict.fromkeys(_TRY_AGAIN, Kind.RETRY),
            "resource_error": Kind.NOT_FOUND,
        },
        refused=_refused,
        retry_statuses=frozenset({408, 425, 429, 443, 444}),
    ),
    job=JobApi(
        example="3f3e8675-ca69-46d7-aa34-96f90fcbb732",
        path="/v1/projects/{project}/jobs/{job_id}",
        id="data.job_id",
        words=Words(path="data.status", states={"completed": State.SUCCEEDED}),
        result=_result,
        assets=_assets,
        # people do the work: hours to days
        schedule=Schedule(start=60.0, cap=900.0),
    ),
    listing=ListApi(
        path="/v1/projects/{project}/batch/{batch}",
        items="data.jobs",
        word="status",
        # 100 jobs a page, and no choice
        after=Cursor(path="data.next_page_token", param="page_token"),
        groups=Groups(path="/v1/projects/{project}/details", items="data.batches", param="batch", total="total_jobs"),
    ),
    rows=RowRules(
        kinds=(
            Rows(each=_EACH_FRAME, kind="frame", member="frame_id", empty="annotation", **_SHAPE),
            Rows(each=_EACH_ANNOTATION, kind="annotation", empty="result", **_SHAPE),
            # masks are painted in colours: which class each stands for
            Rows(
                each=("data.legend.*", "legend.*"),
                kind="legend",
                member="color",
                empty="result",
                columns={"label": ("value",)},
                copies={"item_id": ("color",)},
            ),
            Rows(
                each=("data.video_data.frames[]", "video_data.frames[]"),
                kind="source",
                empty="result",
                copies={"item_id": ("frame_id",)},
            ),
        ),
        top="result",
    ),
    limits=("boxes are parts of the picture from 0 to 1, the edges of an annotation's coordinates",),
)
