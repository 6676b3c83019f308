"""Cognite Data Fusion, vision extract jobs: the status reply is the result; OAuth2 or a ready token.

Source: https://docs.cognite.com/20230101/vision/retrieve-results-from-a-feature-extraction-job-on-images
"""

from __future__ import annotations

import re
from collections.abc import Iterator, Mapping
from urllib.parse import urlsplit

from jobfetch.model import FailedItem, Json, Reply, State
from jobfetch.spec import (
    Auth,
    ClientCredentials,
    ErrorRules,
    HeaderKey,
    JobApi,
    Kind,
    Param,
    Provider,
    RowRules,
    Rows,
    Schedule,
    Words,
    text_of,
)


def _base_url(params: Mapping[str, str]) -> str | None:
    cluster = params.get("cluster")
    return f"https://{cluster}.cognitedata.com" if cluster else None


def _default_scopes(params: Mapping[str, str]) -> str | None:
    # Entra ID refuses a request without a scope; Cognite's own issuer and Auth0 need none from us
    if urlsplit(params.get("token_url", "")).hostname != "login.microsoftonline.com":
        return None
    base = urlsplit(params["base_url"])
    return f"{base.scheme}://{base.netloc}/.default"


def _not_among_projects(reply: Reply, params: Mapping[str, str]) -> str | None:
    """A token is good for some projects; the service lists them."""
    seen = [text_of(project.get("projectUrlName")) for project in _objects(reply.document.get("projects"))]
    if not seen or params.get("project") in seen:
        return None
    return (
        f"the credential does not reach project {params.get('project')!r}; it reaches {', '.join(filter(None, seen))}"
    )


def _headers(params: Mapping[str, str]) -> Mapping[str, str]:
    # x-cdp-app is how a client names itself to the service
    version = params.get("cdf_version")
    return {"x-cdp-app": "jobfetch", **({"cdf-version": version} if version else {})}


def _kind(reply: Reply) -> Kind | None:
    """The service says itself whether to ask again; a bare 500 is not worth repeating at once."""
    if reply.headers.get("cdf-is-auto-retryable", "").strip().lower() == "true":
        return Kind.RETRY
    return Kind.OUTAGE if reply.status == 500 else None  # noqa: PLR2004 - HTTP's own number


def _failed_items(reply: Reply) -> tuple[FailedItem, ...]:
    """Both channels of failure: `failedItems` (whole batches) and the older `errorMessage` of an item."""
    batches = _objects(reply.document.get("failedItems"))
    from_batches = [
        FailedItem(_item_id(item), text_of(batch.get("errorMessage")))
        for batch in batches
        for item in [*_objects(batch.get("items"))] or [{}]
    ]
    # a look into every item costs; the word itself is there or it is not, once for the job where that has one
    told = reply.body.count(b'"errorMessage"') > (reply.document.raw("errorMessage") is not None)
    own = _objects(reply.document.get("items")) if told else ()
    from_items = [FailedItem(_item_id(item), text_of(item["errorMessage"])) for item in own if item.get("errorMessage")]
    return (*from_batches, *from_items)


def _objects(value: Json) -> Iterator[dict[str, Json]]:
    return (item for item in value if isinstance(item, dict)) if isinstance(value, list) else iter(())


def _item_id(item: dict[str, Json]) -> str | None:
    return text_of(item.get("fileExternalId") or item.get("fileId"))


#: The sibling jobs of vision extract, which are asked for in the same way.
_KINDS = {
    kind: f"/api/v1/projects/{{project}}/context/{path}/{{job_id}}"
    for kind, path in {
        "vision/extract": "vision/extract",
        "diagram/detect": "diagram/detect",
        "diagram/convert": "diagram/convert",
        "entitymatching": "entitymatching/jobs",
    }.items()
}


def _of_box(corner: str) -> tuple[str, ...]:
    return (f"textRegion.{corner}", f"boundingBox.{corner}", f"objectDetection.boundingBox.{corner}")


#: The edges of what is no box: polygons, lines, and regions of a diagram.
_EDGES = {
    f"{axis}_{end}": tuple(
        f"{end}({shape}.vertices[].{axis})"
        for shape in ("polygon", "polyline", "objectDetection.polygon", "objectDetection.polyline", "region")
    )
    for axis in "xy"
    for end in ("min", "max")
}
_FILE = ("items.fileExternalId", "items.fileId")

PROVIDER = Provider(
    name="cognite",
    title="Cognite Data Fusion, vision extract",
    docs="https://docs.cognite.com/20230101/vision/retrieve-results-from-a-feature-extraction-job-on-images",
    base_url=_base_url,
    base_url_from="cluster",
    base_url_env={"CDF_URL": "{}", "COGNITE_BASE_URL": "{}"},
    settings=(
        Param(name="project", help="CDF project", env={"CDF_PROJECT": "{}", "COGNITE_PROJECT": "{}"}, required=True),
        Param(name="cluster", help="CDF cluster, for example westeurope-1", env={"CDF_CLUSTER": "{}"}),
        Param(
            name="kind",
            help="kind of job: " + ", ".join(_KINDS),
            default="vision/extract",
            choices=tuple(_KINDS),
        ),
        Param(name="cdf_version", help="value of the cdf-version header, for example beta"),
        Param(
            name="token_url",
            help="OAuth2 token endpoint",
            env={
                "IDP_TOKEN_URL": "{}",
                "COGNITE_TOKEN_URL": "{}",
                "IDP_TENANT_ID": "https://login.microsoftonline.com/{}/oauth2/v2.0/token",
                "IDP_AUTHORITY_URL": "{}/oauth2/v2.0/token",
                "COGNITE_AUTHORITY_URL": "{}/oauth2/v2.0/token",
            },
        ),
        Param(
            name="scopes",
            help="OAuth2 scopes, separated by spaces or commas",
            env={"IDP_SCOPES": "{}", "COGNITE_TOKEN_SCOPES": "{}"},
        ),
        Param(name="audience", help="OAuth2 audience (Auth0)", env={"IDP_AUDIENCE": "{}"}),
        Param(name="client_id", help="OAuth2 client id", env={"IDP_CLIENT_ID": "{}", "COGNITE_CLIENT_ID": "{}"}),
    ),
    auth=Auth(
        secrets=(
            Param(name="token", help="a ready OIDC access token", env={"CDF_TOKEN": "{}", "COGNITE_TOKEN": "{}"}),
            Param(
                name="client_secret",
                help="OAuth2 client secret",
                env={"IDP_CLIENT_SECRET": "{}", "COGNITE_CLIENT_SECRET": "{}"},
            ),
        ),
        schemes=(
            HeaderKey(secret="token", header="Authorization", prefix="Bearer "),
            ClientCredentials(
                secret="client_secret",
                client_id="client_id",
                token_url="token_url",
                scopes="scopes",
                audience="audience",
                default_scopes=_default_scopes,
            ),
        ),
        check="/api/v1/token/inspect",
        objection=_not_among_projects,
    ),
    errors=ErrorRules(
        code=("error.code",),
        message=("error.message", "error", "message"),
        kind=_kind,
    ),
    job=JobApi(
        example="123",
        path=_KINDS["vision/extract"],
        kinds=_KINDS,
        id="jobId",
        # the siblings want the token of their first reply back on every later look
        echo=("x-job-token",),
        words=Words(
            path="status",
            states={
                "Queued": State.QUEUED,
                "Running": State.RUNNING,
                "Distributing": State.RUNNING,
                "Distributed": State.RUNNING,
                "Collecting": State.RUNNING,
                "Completed": State.SUCCEEDED,
                "Failed": State.FAILED,
            },
        ),
        id_pattern=re.compile(r"0|[1-9][0-9]{0,18}"),
        id_help="a whole number without leading zeros",
        headers=_headers,
        error=("errorMessage",),
        partial=_failed_items,
        created="createdTime",
        started="startTime",
        finished="statusTime",
        schedule=Schedule(start=2.0, cap=15.0),
    ),
    rows=RowRules(
        kinds=(
            Rows(
                # vision, diagram detection, entity matching; other items as they are
                each=("items[].predictions.*[]", "items[].annotations[]", "items[].matches[]", "items[]"),
                columns={
                    "label": ("label", "objectDetection.label"),
                    "text": ("text",),
                    "score": ("confidence", "objectDetection.confidence", "score"),
                    "page": ("region.page",),
                    "x_min": _of_box("xMin"),
                    "y_min": _of_box("yMin"),
                    "x_max": _of_box("xMax"),
                    "y_max": _of_box("yMax"),
                },
                copies={"item_id": (*_FILE, "fileExternalId", "fileId"), **_EDGES},
            ),
            Rows(
                each=("failedItems[].items[]",),
                kind="failed_item",
                empty="failed_item",
                columns={"text": ("failedItems.errorMessage",)},
                copies={"item_id": ("fileExternalId", "fileId")},
            ),
        ),
        left_out={
            "job.status": "in the record as provider_state",
            "job.jobId": "in the record and in the column job_id",
            "job.createdTime": "in the record as created_at",
            "job.startTime": "in the record as started_at",
            "job.statusTime": "in the record as finished_at",
            "job.errorMessage": "in the record as error",
            "job.parameters": "what the job was asked for, the same for every row; in the record",
        },
    ),
    limits=(
        "20 jobs at a time in a project",
        "boxes are parts of the picture from 0 to 1; of polygons and lines, the edges",
    ),
    notes=("Cognite retires the vision API on 2027-02-17.",),
)
