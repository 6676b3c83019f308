"""expert.ai Extract Beta: the status reply is the result, failures come with HTTP 200; user name and password for a JWT.

Source: https://docs.expert.ai/extract/latest (status, layout-document-async), and its OpenAPI document.
"""

from __future__ import annotations

import base64
import binascii
import struct
import zlib
from collections.abc import Iterator

from jobfetch.errors import BadReply
from jobfetch.model import Document, FailedItem, Reply, State, decode, elements, encode, members
from jobfetch.spec import (
    Auth,
    ErrorRules,
    HeaderKey,
    JobApi,
    Login,
    Param,
    Provider,
    RowRules,
    Rows,
    Schedule,
    Sheets,
    Words,
    number_of,
)

#: Bytes that the words of one page may unpack to: a page holds some thousand words of some ten bytes.
_MOST_OF_A_PAGE = 64 * 1024 * 1024


def _progress(reply: Reply) -> float | None:
    current = reply.document.get("current")
    known = isinstance(current, int | float) and not isinstance(current, bool) and 0 <= current <= 100  # noqa: PLR2004
    return float(current) if known else None


def _failed_pages(reply: Reply) -> tuple[FailedItem, ...]:
    """Pages that were not analysed; the service counts them and does not name them."""
    count = number_of(reply.document.get("result.header.errorPages")) or 0
    return tuple(FailedItem(None, f"one of {count} pages that were not analysed") for _ in range(min(count, 10_000)))


_EDGES = ("x_min", "y_min", "x_max", "y_max")
_SHEETS = Sheets(key="type", word="page", page="page", box="bbox")


def words(result: bytes) -> Iterator[dict[str, bytes]]:
    """The words of every page, with the layout element they belong to and their box, as parts of the page.

    Each page is base64 of gzip of records: UTF-8 text, a zero byte, five little-endian int32 (layout element, x_min,
    y_min, x_max, y_max), and, from some versions of the service, four zero bytes between records.
    """
    document = Document(result)
    sizes = _SHEETS.sizes(map(members, elements(document.raw("result.layout") or b"null")))
    for page, packed in enumerate(elements(document.raw("result.words") or b"null"), start=1):
        left, top, width, height = sizes.get(encode(page), (0.0, 0.0, 0.0, 0.0))
        for text, element, *box in _records(_unpacked(page, decode(packed)), page):
            yield {
                "item_id": encode(element),
                "kind": encode("word"),
                "text": encode(text),
                "page": encode(page),
                **{
                    name: Sheets.part(encode(edge), start, length) if length else encode(edge)
                    for name, edge, start, length in zip(_EDGES, box, (left, top) * 2, (width, height) * 2, strict=True)
                },
            }


def _unpacked(page: int, packed: object) -> bytes:
    if not packed:  # a page that was not analysed
        return b""
    try:
        if not isinstance(packed, str):
            raise BadReply(f"the words of page {page} are no text")
        stream = zlib.decompressobj(wbits=31)
        data = stream.decompress(base64.b64decode(packed, validate=True), _MOST_OF_A_PAGE)
    except (binascii.Error, zlib.error, ValueError):
        raise BadReply(
            f"the words of page {page} cannot be unpacked", hint="the record has them as they came"
        ) from None
    if stream.unconsumed_tail or stream.unused_data or not stream.eof:
        raise BadReply(f"the words of page {page} are cut, or too many", hint="the record has them as they came")
    return data


def _records(data: bytes, page: int) -> Iterator[tuple[str, int, int, int, int, int]]:
    at = 0
    while at < len(data):
        end = data.find(b"\0", at)
        if end < 0 or end + 21 > len(data):
            raise BadReply(f"the words of page {page} end in the middle", hint="the record has them as they came")
        try:
            text = data[at:end].decode()
        except UnicodeDecodeError:
            raise BadReply(f"the words of page {page} are not UTF-8") from None
        yield (text, *struct.unpack_from("<5i", data, end + 1))
        at = end + 21
        if data[at : at + 4] == b"\0\0\0\0":
            at += 4


PROVIDER = Provider(
    name="expertai",
    title="expert.ai Extract Beta",
    docs="https://docs.expert.ai/extract/latest",
    base_url=lambda _: "https://extract.expert.ai/beta",
    settings=(
        Param(
            name="token_url",
            help="where user name and password give a token",
            default="https://developer.expert.ai/oauth2/token",
        ),
    ),
    auth=Auth(
        secrets=(
            Param(name="token", help="a ready token (JWT)"),
            Param(name="username", help="user name", env={"EAI_USERNAME": "{}"}),
            Param(name="password", help="password", env={"EAI_PASSWORD": "{}"}),
        ),
        schemes=(
            HeaderKey(secret="token", header="Authorization", prefix="Bearer "),
            Login(secret="password", username="username", token_url="token_url"),
        ),
    ),
    errors=ErrorRules(
        code=("error.code", "code"),
        message=("message", "error.message", "error"),
        details=("_embedded.errors",),
    ),
    job=JobApi(
        example="sample",
        path="/status/{job_id}",
        words=Words(
            path="state",
            states={
                "PENDING": State.QUEUED,
                "PROGRESS": State.RUNNING,
                "SUCCESS": State.SUCCEEDED,
                "FAILURE": State.FAILED,
                "ABORTED": State.CANCELLED,
            },
        ),
        id_help="the taskId (or task_id) that the submission answered",
        progress=_progress,
        message=("message",),
        error=("message",),
        partial=_failed_pages,
        schedule=Schedule(start=2.0, cap=10.0, stuck_after=300.0),
    ),
    rows=RowRules(
        kinds=(
            Rows(
                each=("result.layout[]",),
                kind="element",
                empty="result",
                columns={
                    "kind": ("type",),
                    "label": ("label",),
                    "text": ("content",),
                    "page": ("page",),
                    # the service spells it both ways; to many readers of tables that would be one name twice
                    "isHead": ("isHead", "isHEad"),
                },
                copies={
                    "item_id": ("id",),
                    "x_min": ("bbox[0]",),
                    "y_min": ("bbox[1]",),
                    "x_max": ("bbox[2]",),
                    "y_max": ("bbox[3]",),
                },
                sheets=_SHEETS,
            ),
        ),
        named={"words": words},
        left_out={
            "job.current": "in the record as progress",
            "job.message": "in the record",
            "job.state": "in the record as provider_state",
            "job.total": "the scale of progress",
            "result.header": "about the document as a whole; in the record",
            "result.words": "packed; --rows words gives them, one row a word",
        },
    ),
    limits=(
        "14 MB and 500 pages a document",
        "boxes are parts of the page from 0 to 1, from its top left; pixels at 100 DPI where the layout has no such page",
    ),
)
