"""Plays what Exabase's jobs link to: text chunks in windows, the processed file, and files on a CDN."""

from collections.abc import Callable, Mapping
from typing import Any
from urllib.parse import quote

from jobfetch.sandbox import storage
from jobfetch.sandbox.play import Call, Script, dumped, stored_bytes, verbatim
from jobfetch.sandbox.wire import Reply

_SERVICE = "exabase"
TOTAL = 42
"""So many chunks a document has."""
WINDOW = 20
"""A reply has no more chunks than this, whatever was asked for."""

CDN = "/exabase-cdn"
BUCKET = "/exabase-files"
LOST = "transcript.vtt"
"""The file that is lost where one is."""

_PAGES = 18
_SECONDS = 184.25
_CREDENTIALS = ("x-api-key", "authorization")

_PDF = ("application/pdf", b"%PDF-1.4\n1 0 obj <</Type /Catalog>> endobj\ntrailer <</Root 1 0 R>>\n%%EOF\n")
_HTML = ("text/html; charset=utf-8", b"<!doctype html>\n<title>Example Domain</title><p>A page for examples</p>\n")
_PNG = ("image/png", stored_bytes("playment", "mask.png"))
_FILES: Mapping[str, tuple[str, bytes]] = {
    "thumbnail.png": _PNG,
    "screenshot.png": _PNG,
    "image.png": _PNG,
    "favicon.png": _PNG,
    "transcript.vtt": ("text/vtt", b"WEBVTT\n\n00:00.000 --> 00:02.000\nThis is pump nineteen.\n"),
    "render.pdf": _PDF,
    "page.html": _HTML,
    "reader.html": _HTML,
}


def placed(call: Call, name: str) -> bytes:
    """A stored sample with the job's own id, whose addresses lead to this sandbox."""
    text = stored_bytes(_SERVICE, f"{name}.json").decode()
    for published, own in (
        ("https://cdn.exabase.io", f"{call.site.storage_url}{CDN}"),
        ("https://api.exabase.io", call.site.url),
        ("<jobId>", call.job_id),
    ):
        text = text.replace(published, own)
    return text.encode()


def refuse(status: int, message: str) -> Script:
    """An error; the documents show none, so it is the plainest."""
    return lambda _call: dumped({"statusCode": status, "message": message}, status=status)


# --- chunks ---


def of_pages(number: int) -> dict[str, Any]:
    """Where a document's chunk stands."""
    return {"pageNumber": 1 + (number - 1) * _PAGES // TOTAL}


def of_time(number: int) -> dict[str, Any]:
    """When a recording's chunk is heard."""
    return {"timeStart": round((number - 1) * _SECONDS / TOTAL, 3), "timeEnd": round(number * _SECONDS / TOTAL, 3)}


def of_nothing(_number: int) -> dict[str, Any]:
    """A web page's chunk says no more than its text."""
    return {}


def enveloped(items: list[Any]) -> object:
    """The way in which lists come elsewhere at this service."""
    return {"items": items}


def window(
    total: int = TOTAL,
    *,
    place: Callable[[int], dict[str, Any]] = of_pages,
    envelope: Callable[[list[Any]], object] = enveloped,
) -> Script:
    """Answer the chunks from start to end, both included and counted from 1."""

    def answer(call: Call) -> Reply:
        bounds = _bounds(call)
        if not bounds:
            return refuse(400, "start and end must be numbers from 1, in this order")(call)
        start, end = bounds
        last = min(end, start + WINDOW - 1, total)
        items = [{"text": _text(n), "sequence": n, **place(n)} for n in range(start, last + 1)]
        return dumped(envelope(items))

    return answer


def _text(number: int) -> str:
    return f"Chunk {number}: pumps, valves and the people who check them.\n"


def _bounds(call: Call) -> tuple[int, int] | None:
    start = call.request.query.get("start", "1")
    if not start.isdecimal():
        return None
    end = call.request.query.get("end", str(int(start) + WINDOW - 1))
    return (int(start), int(end)) if end.isdecimal() and 1 <= int(start) <= int(end) else None


# --- files ---


def original(_call: Call) -> Reply:
    """The processed file itself, with a name that no client should write to."""
    kind, body = _PDF
    disposition = ("Content-Disposition", 'attachment; filename="../../Q1 Report.pdf"')
    return Reply(headers=(("Content-Type", kind), disposition), body=body)


redirected = storage.link_to(lambda call: f"{BUCKET}/{quote(call.job_id, safe='')}")
"""Sends the client to the file on the storage."""


def public_file(call: Call) -> Reply:
    """A file on the CDN."""
    kind, body = _FILES.get(call.parts["name"], ("", b""))
    return Reply(headers=(("Content-Type", kind),), body=body) if kind else _no_such_key()


def one_lost(call: Call) -> Reply:
    """The same, but one of the files is gone."""
    return _no_such_key() if call.parts["name"] == LOST else public_file(call)


def _no_such_key() -> Reply:
    return storage.denied(404, "NoSuchKey", "The specified key does not exist.")


def bare(script: Script) -> Script:
    """Serve those only who bring no credential, so that a client that does is found out."""
    refusal = storage.denied(400, "InvalidArgument", "This storage takes no credentials")
    return lambda call: refusal if any(name in call.request.headers for name in _CREDENTIALS) else script(call)


def told(call: Call, name: str) -> Reply:
    """A stored sample as it is."""
    return verbatim(placed(call, name))
