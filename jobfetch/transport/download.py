"""A body on its way into a file: what came is kept when the line breaks, and only the rest is asked for again.

The rest is taken only where the server proves that it continues the same file (RFC 9110, sections 13.1.5 and 14.4);
otherwise everything is asked for anew.
"""

from __future__ import annotations

import re
from collections.abc import Callable, Mapping
from datetime import datetime, timedelta

from msgspec import Struct

from jobfetch.errors import BadReply, CutReply
from jobfetch.model import Reply, Sink, http_date, safe_url

_STRONG_TAG = re.compile(r'"[\x21\x23-\x7e]*"')
_RANGE = re.compile(r"bytes ([0-9]{1,19})-([0-9]{1,19})/([0-9]{1,19})")
_LENGTH = re.compile(r"[0-9]{1,19}")
#: A date names one version of a file only if the file has not changed for so long when it is sent.
_SETTLED = timedelta(seconds=60)

_PART, _NO_SUCH_PART = 206, 416


class Download(Struct, kw_only=True):
    """How much of one body lies in `file`, and what names the version that it is of."""

    file: Sink
    now: Callable[[], datetime]
    #: bytes that are kept
    have: int = 0
    #: bytes of the whole body, where the server has told
    total: int | None = None
    #: what came, so that a rest is asked for nowhere else: the address without its query, where signatures live
    source: str = ""
    #: an entity tag or a date, as the server wrote it; empty where nothing names the version
    version: str = ""
    asking: bool = False

    def ask(self, url: str) -> Mapping[str, str]:
        """The headers that ask this address for the rest; none where there is no rest, or it comes from elsewhere."""
        self.asking = bool(self.have and self.version) and safe_url(url) == self.source
        return {"Range": f"bytes={self.have}-", "If-Range": self.version} if self.asking else {}

    def begin(self, reply: Reply) -> bool:
        """Make ready for the body of a good reply; whether it is wanted, which a rest is not that does not fit.

        Raises:
            BadReply: a part came, and everything was asked for; or there is no file in it; or nobody can say how long it is.

        """
        if reply.status == _PART and not self.asking:
            raise BadReply(f"{safe_url(reply.url)} sent a part of the file, although all of it was asked for")
        if reply.status == _PART:
            if self._continues(reply):
                return True
            self.drop()
            return False
        if not reply.brings_all:
            raise BadReply(f"{safe_url(reply.url)} answered with HTTP {reply.status}, which brings no file")
        self.drop()
        length = _length(reply)
        if "content-encoding" not in reply.headers:  # what is packed is counted and cut where its file is not
            self.total = length
            self.source, self.version = safe_url(reply.url), self._version(reply)
        return True

    def write(self, chunk: bytes) -> None:
        """Keep what came."""
        self.file.write(chunk)
        self.have += len(chunk)

    def end(self, reply: Reply) -> None:
        """The body has ended: `CutReply` where it is not as long as it was said to be."""
        if self.total is not None and self.have != self.total:
            raise CutReply(f"{safe_url(reply.url)} sent {self.have} bytes of a file of {self.total}")

    def refused(self, reply: Reply) -> bool:
        """Whether the rest was asked for and is not to be had by itself; everything will be asked for then."""
        refused = self.asking and (reply.status == _NO_SUCH_PART or (reply.status == _PART and not self.have))
        if refused:
            self.drop()
        return refused

    def drop(self) -> None:
        """Forget what came."""
        self.have, self.total, self.source, self.version = 0, None, "", ""
        self.file.seek(0)
        self.file.truncate()

    def _continues(self, reply: Reply) -> bool:
        """Whether a part is exactly the rest of what is kept: from its end to the end of the same file."""
        told = _RANGE.fullmatch(reply.headers.get("content-range", "").strip())
        if not told or "content-encoding" in reply.headers:
            return False
        first, last, total = map(int, told.groups())
        if first != self.have or last != total - 1 or (self.total or total) != total:
            return False
        # some servers do not look at If-Range: a part says of which version it is, and only a date may be left out
        tag, changed = (reply.headers.get(name, "").strip() for name in ("etag", "last-modified"))
        if tag != self.version and (self.version.startswith('"') or tag or changed not in {"", self.version}):
            return False
        self.total = total
        return True

    def _version(self, reply: Reply) -> str:
        """What names this version beyond doubt: a strong entity tag, or a date that is old enough where there is none."""
        tag, changed = reply.headers.get("etag", "").strip(), reply.headers.get("last-modified", "").strip()
        if tag:
            return tag if _STRONG_TAG.fullmatch(tag) else ""
        date = http_date(changed)
        sent = http_date(reply.headers.get("date", "")) or self.now()
        return changed if date and changed.isascii() and changed.isprintable() and sent - date >= _SETTLED else ""


def _length(reply: Reply) -> int | None:
    """The length that a reply is said to have; `BadReply` where that is none, or two (RFC 9110, section 8.6)."""
    said = reply.headers.get("content-length", "").strip()
    if not said:
        return None
    told = {each.strip() for each in said.split(",")}
    length = told.pop()
    if told or not _LENGTH.fullmatch(length):
        raise BadReply(f"{safe_url(reply.url)} sent a file of {said[:40]!r} bytes, which is no length")
    return int(length)
