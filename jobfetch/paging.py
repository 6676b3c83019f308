"""How a list of jobs goes on after a page: by a token, a page number, an offset or a link, as small callable values.

Each gives the request for the next page, or None at the end. They keep no state: what a walk has seen is in the `Page`.
"""

from __future__ import annotations

from urllib.parse import parse_qsl, urlencode, urljoin, urlsplit

from msgspec import Struct
from msgspec.structs import replace

from jobfetch.errors import BadReply
from jobfetch.model import Reply, Request, origin, safe_url


class Page(Struct, frozen=True, kw_only=True):
    """One page that came: what was asked, what was answered, and how many items came here and so far.

    `fresh` of them are new, and the longest page so far had `longest`. `promised` is how many there are in all, where every
    page has told the same number.
    """

    request: Request
    reply: Reply
    count: int
    listed: int
    fresh: int
    longest: int
    promised: int | None = None


def with_query(url: str, **changes: str) -> str:
    """A URL whose query says this as well, in place of what it said under the same names."""
    parts = urlsplit(url)
    kept = [pair for pair in parse_qsl(parts.query, keep_blank_values=True) if pair[0] not in changes]
    return parts._replace(query=urlencode([*kept, *changes.items()])).geturl()


class Cursor(Struct, frozen=True, kw_only=True):
    """The token at `path` goes along as `param`; absent, null or empty text ends the list."""

    path: str
    param: str

    def __call__(self, page: Page) -> Request | None:
        """The request for the next page."""
        token = page.reply.document.text(self.path)
        return replace(page.request, url=with_query(page.request.url, **{self.param: token})) if token else None


class PageNumber(Struct, frozen=True, kw_only=True):
    """Pages are numbered from `first`; an empty page ends the list, and so does the last job that was promised.

    The promise is believed on a page that is not full, or shorter than one before: it may be capped, or count the page only.
    `size` is what the query calls the number of jobs that a page may hold.
    """

    param: str
    first: int = 1
    size: str | None = None

    def __call__(self, page: Page) -> Request | None:
        """The request for the next page."""
        if _at_end(page, self.size):
            return None
        number = _told(page.request.url, self.param, self.first) + 1
        return replace(page.request, url=with_query(page.request.url, **{self.param: str(number)}))


class Offset(Struct, frozen=True, kw_only=True):
    """`param` says how many items to leave out; the end is told as with page numbers."""

    param: str
    size: str | None = None

    def __call__(self, page: Page) -> Request | None:
        """The request for the next page."""
        if _at_end(page, self.size):
            return None
        offset = _told(page.request.url, self.param, 0) + page.count
        return replace(page.request, url=with_query(page.request.url, **{self.param: str(offset)}))


class NextUrl(Struct, frozen=True, kw_only=True):
    """The whole address of the next page stands at `path`; one that leads to another origin is not followed."""

    path: str

    def __call__(self, page: Page) -> Request | None:
        """The request for the next page. `BadReply` where it would leave the service."""
        link = page.reply.document.text(self.path)
        if not link:
            return None
        try:
            target = urljoin(page.request.url, link)
        except ValueError:
            target = ""
        if origin(target) != origin(page.request.url):
            raise BadReply(f"{safe_url(page.request.url)} leads on to another origin; not followed")
        return replace(page.request, url=target)


def _at_end(page: Page, size: str | None) -> bool:
    # more than was promised came: then nobody knows, and only an empty page is the end
    full = max(page.longest, _told(page.request.url, size, 0) if size else 0)
    # a service that gives its last page again, in the place of one that is empty, has come to its end as well
    return not page.count or (page.listed == page.promised and (page.count < full or not page.fresh))


def _told(url: str, param: str, otherwise: int) -> int:
    said = dict(parse_qsl(urlsplit(url).query)).get(param, "")
    return int(said) if said.isdecimal() else otherwise
