"""The foreign storage: another origin with signed links, as S3 has them."""

import hashlib
import hmac
import re
from collections.abc import Callable
from datetime import UTC, datetime, timedelta
from urllib.parse import urlencode

from msgspec.structs import replace

from jobfetch.sandbox.play import Call, Script
from jobfetch.sandbox.wire import Reply

_KEY = b"this key signs the links of a sandbox and protects nothing"
_DATE = "%Y%m%dT%H%M%SZ"
_RANGE = re.compile(r"bytes=(\d*)-(\d*)$")

LINK_LIVES = 300
"""Seconds for which a signed link is good."""


def signed(call: Call, path: str, *, age: int = 0) -> str:
    """A link to a quoted path on the storage, good for a while from its birth, which may lie in the past."""
    born = (datetime.now(UTC) - timedelta(seconds=age)).strftime(_DATE)
    query = {
        "X-Amz-Algorithm": "AWS4-HMAC-SHA256",
        "X-Amz-Credential": f"SANDBOX/{born[:8]}/ap-south-1/s3/aws4_request",
        "X-Amz-Date": born,
        "X-Amz-Expires": str(LINK_LIVES),
        "X-Amz-SignedHeaders": "host",
        "X-Amz-Signature": _signature(path, born, str(LINK_LIVES)),
    }
    return f"{call.site.storage_url}{path}?{urlencode(query)}"


def forged(link: str) -> str:
    """The same link with a signature that is wrong."""
    return re.sub(r"(X-Amz-Signature=)\w+", rf"\g<1>{'0' * 64}", link)


def _signature(path: str, born: str, lives: str) -> str:
    return hmac.new(_KEY, f"{path}\n{born}\n{lives}".encode(), hashlib.sha256).hexdigest()


def guarded(script: Script) -> Script:
    """Serve what a script answers to those only who bring a good link and no other credential."""

    def answer(call: Call) -> Reply:
        return _refusal(call) or ranged(call, _tagged(script(call)))

    return answer


def denied(status: int, code: str, message: str) -> Reply:
    """An error as S3 says it."""
    text = (
        '<?xml version="1.0" encoding="UTF-8"?>\n'
        f"<Error><Code>{code}</Code><Message>{message}</Message><RequestId>SANDBOX</RequestId></Error>"
    )
    return Reply(status=status, headers=(("Content-Type", "application/xml"),), body=text.encode())


def _refusal(call: Call) -> Reply | None:
    query = call.request.query
    if "authorization" in call.request.headers:
        return denied(
            400, "InvalidArgument", "Only one auth mechanism allowed; only the X-Amz-Algorithm query parameter"
        )
    born, lives = query.get("X-Amz-Date", ""), query.get("X-Amz-Expires", "")
    if query.get("X-Amz-Signature") != _signature(call.request.path, born, lives):
        return denied(403, "AccessDenied", "Access Denied")
    if datetime.strptime(born, _DATE).replace(tzinfo=UTC) + timedelta(seconds=int(lives)) < datetime.now(UTC):
        return denied(403, "AccessDenied", "Request has expired")
    return None


def _tagged(reply: Reply) -> Reply:
    tag = hashlib.md5(reply.body, usedforsecurity=False).hexdigest()
    marks = (("ETag", f'"{tag}"'), ("Accept-Ranges", "bytes"), ("Last-Modified", "Tue, 29 Oct 2024 12:19:06 GMT"))
    return replace(reply, headers=(*reply.headers, *marks))


def ranged(call: Call, reply: Reply) -> Reply:
    """The part that was asked for, if the whole is there and still what the client began with."""
    headers = call.request.headers
    wanted = _RANGE.match(headers.get("range", ""))
    unchanged = headers.get("if-range", reply.header("ETag")) == reply.header("ETag")
    if reply.status != 200 or not wanted or not unchanged:  # noqa: PLR2004 - 200 is a word of HTTP
        return reply
    size = len(reply.body)
    start, stop = _bounds(wanted[1], wanted[2], size)
    if start >= stop:
        unsatisfied = denied(416, "InvalidRange", "The requested range is not satisfiable")
        return replace(unsatisfied, headers=(*unsatisfied.headers, ("Content-Range", f"bytes */{size}")))
    place = ("Content-Range", f"bytes {start}-{stop - 1}/{size}")
    return replace(reply, status=206, headers=(*reply.headers, place), body=reply.body[start:stop])


def _bounds(start: str, end: str, size: int) -> tuple[int, int]:
    if start:
        return int(start), min(size, int(end) + 1) if end else size
    return (max(0, size - int(end)), size) if end else (0, 0)


def link_to(path: Callable[[Call], str], *, age: int = 0) -> Script:
    """Redirect to a signed link."""
    return lambda call: Reply(status=302, headers=(("Location", signed(call, path(call), age=age)),))


def forged_link_to(path: Callable[[Call], str]) -> Script:
    """Redirect to a link that the storage refuses."""
    return lambda call: Reply(status=302, headers=(("Location", forged(signed(call, path(call)))),))
