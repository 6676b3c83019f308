"""The values that travel through the program: requests, replies, states and outcomes; no input or output here."""

from __future__ import annotations

import hashlib
import re
from collections import Counter
from collections.abc import Callable, Iterable, Mapping
from datetime import UTC, datetime, timedelta
from enum import StrEnum
from functools import cached_property, lru_cache
from typing import Any, Protocol
from urllib.parse import urlsplit

import msgspec
from msgspec import Struct, field

from jobfetch.errors import BadReply, Exit, JobfetchError, NotJson

#: What a service may put into a reply: anything that JSON can say.
Json = Any

#: A hint is obeyed up to this many seconds; more is cut to it.
LONGEST_HINT = 24 * 3600.0


class State(StrEnum):
    """What a job has come to, in one vocabulary for all services."""

    QUEUED = "queued"
    RUNNING = "running"
    SUCCEEDED = "succeeded"
    PARTIAL = "partial"
    FAILED = "failed"
    CANCELLED = "cancelled"
    GONE = "gone"

    @property
    def terminal(self) -> bool:
        """Whether the job has ended, well or not."""
        return self not in _UNENDED


_UNENDED = frozenset({State.QUEUED, State.RUNNING})


class Format(StrEnum):
    """What a result is kept as."""

    JSON = "json"
    NDJSON = "ndjson"
    CSV = "csv"
    PARQUET = "parquet"
    SQLITE = "sqlite"
    RAW = "raw"

    @property
    def tabular(self) -> bool:
        """Whether all jobs go into one table."""
        return self in {Format.NDJSON, Format.CSV, Format.PARQUET, Format.SQLITE}


class Purpose(StrEnum):
    """What a request is for: it decides where redirects may lead, and whether a credential goes along."""

    API = "api"  # status, listing: never leaves its origin
    TOKEN = "token"  # noqa: S105 - a kind of request, not a secret
    RESULT = "result"  # result or attachment: may lead to foreign storage, bare


class Request(Struct, frozen=True, kw_only=True):
    """One HTTP request, whole: an absolute URL, headers without credentials, and a form or JSON body or none."""

    url: str
    method: str = "GET"
    headers: Mapping[str, str] = field(default_factory=dict)
    form: Mapping[str, str] | None = None
    json: Mapping[str, Json] | None = None
    purpose: Purpose = Purpose.API
    accept: str = "application/json"


class Reply(Struct, frozen=True, dict=True):
    """One HTTP reply, body read: header names in lower case, `url` the one that answered (after redirects)."""

    status: int
    headers: Mapping[str, str]
    body: bytes
    url: str = ""
    #: whether it was asked for without a credential, since a redirect had led elsewhere: what it refuses says nothing of ours
    bare: bool = False

    @property
    def brings_all(self) -> bool:
        """Whether its body is all that was asked for, as it is or as a proxy has changed it: 202 and 204 bring nothing."""
        return self.status in {200, 203}

    @property
    def ok(self) -> bool:
        """Whether the status is 2xx."""
        return 200 <= self.status < 300  # noqa: PLR2004 - the meaning of 2xx

    @property
    def media_type(self) -> str:
        """The content type without its parameters, in lower case; empty where none was sent."""
        return self.headers.get("content-type", "").partition(";")[0].strip().lower()

    @cached_property
    def document(self) -> Document:
        """The body as JSON, opened as far as it is looked into. `BadReply` where it is not JSON."""
        promised_json(self)
        try:
            return Document(self.body)
        except BadReply as error:
            raise BadReply(f"{safe_url(self.url)}: {error.message}") from None


def promised_json(reply: Reply) -> str | None:
    """Check that the reply claims to be JSON; a warning where it only may be; `BadReply` where it says otherwise."""
    media_type = reply.media_type
    if media_type == "application/json" or media_type.endswith("+json"):
        return None
    where = safe_url(reply.url)
    if media_type in {"", "text/plain", "application/octet-stream", "binary/octet-stream"}:
        return f"{where} sent JSON as {media_type or 'no content type'}; accepted, since it parses"
    raise NotJson(
        f"{where} answered {media_type} instead of JSON (HTTP {reply.status})",
        hint="wrong host, or a proxy that answers for it? check base_url with `jobfetch providers show`",
    )


class Document:
    """A JSON body that is opened only where it is looked into: the rest stays the service's own bytes."""

    def __init__(self, body: bytes) -> None:
        self._root = body.removeprefix(b"\xef\xbb\xbf")
        if opens(self._root) not in {b"{", b"["}:
            raise BadReply("the reply is neither a JSON object nor a list")
        try:
            self._root.decode()
        except UnicodeDecodeError:
            raise BadReply("the reply is not UTF-8") from None
        # opening the top reads over the whole body, so whatever is no JSON is found here
        self._opened: dict[str, Mapping[str, msgspec.Raw]] = {"": members(self._root)}

    @property
    def whole(self) -> bytes:
        """The whole body."""
        return self._root

    def raw(self, path: str) -> bytes | None:
        """The bytes at a dotted path (`data.status`; the empty path is the whole body), None where nothing is."""
        if not path:
            return self._root
        if "." not in path:
            value = self._opened[""].get(path)
            return None if value is None else bytes(value)
        parent, _, key = path.rpartition(".")
        if parent not in self._opened:
            whole = self.raw(parent)
            self._opened[parent] = {} if whole is None else members(whole)
        value = self._opened[parent].get(key)
        return None if value is None else bytes(value)

    def get(self, path: str) -> Json:
        """The value at a dotted path; None where nothing is."""
        raw = self.raw(path)
        return None if raw is None else decode(raw)

    def first(self, *paths: str) -> Json:
        """The first value that is neither absent, null nor empty text."""
        return next((value for path in paths if (value := self.get(path)) not in (None, "")), None)

    def text(self, *paths: str) -> str | None:
        """The first filled value as text; numbers as written, structures as compact JSON."""
        for path in paths:
            raw = self.raw(path) or b"null"
            if raw not in {b"null", b'""'}:
                return str(decode(raw)) if raw[:1] == b'"' else compact(raw).decode()
        return None


def members(raw: bytes | msgspec.Raw) -> dict[str, msgspec.Raw]:
    """The members of a JSON object, each still raw; nothing for any other kind of value."""
    opened: dict[str, msgspec.Raw] = _parse(raw, dict[str, msgspec.Raw]) if opens(raw) == b"{" else {}
    return opened


def elements(raw: bytes | msgspec.Raw) -> list[msgspec.Raw]:
    """The elements of a JSON array, each still raw; nothing for any other kind of value."""
    opened: list[msgspec.Raw] = _parse(raw, list[msgspec.Raw]) if opens(raw) == b"[" else []
    return opened


def opens(raw: bytes | msgspec.Raw) -> bytes:
    """The first byte of a JSON value, which tells its kind."""
    first = bytes(memoryview(raw)[:1])
    return bytes(raw).lstrip()[:1] if first.isspace() else first


def decode(raw: bytes | msgspec.Raw) -> Json:
    """A JSON value as Python objects. `BadReply` where it is not JSON."""
    return _parse(raw, Json)


def encode(value: Json) -> bytes:
    """A value as compact JSON."""
    return msgspec.json.encode(value)


def typed(words: str) -> str:
    """What was typed, which is UTF-8 whatever the locale took it for. `UnicodeError` where it is not."""
    return words.encode("utf-8", "surrogateescape").decode()


def compact(body: bytes) -> bytes:
    """The same JSON tokens without the white space between them. `BadReply` where it is not JSON."""
    try:
        return msgspec.json.format(body, indent=-1)
    except (msgspec.MsgspecError, RecursionError) as error:
        raise _not_json(body, error) from None


def _parse(raw: bytes | msgspec.Raw, shape: Any) -> Any:
    try:
        return msgspec.json.decode(raw, type=shape)
    except (msgspec.MsgspecError, UnicodeDecodeError, RecursionError) as error:
        raise _not_json(raw, error) from None


def _not_json(raw: bytes | msgspec.Raw, error: Exception) -> BadReply:
    # msgspec's text names positions, never content; the others could quote the body
    if (half := half_pair(bytes(raw))) is not None:
        why = f"half of a surrogate pair at byte {half}, which is no character"
    elif isinstance(error, msgspec.MsgspecError):
        why = str(error).removeprefix("JSON is malformed: ")
    else:
        why = "nested too deeply" if isinstance(error, RecursionError) else "not UTF-8"
    return BadReply(f"the reply is not JSON: {why}")


# what is escaped, whole pairs among it, is passed over; a surrogate that is left stands alone
_HALF = re.compile(
    rb"\\(?:u[dD][89abAB][0-9a-fA-F]{2}\\u[dD][c-fC-F][0-9a-fA-F]{2}|u[dD][89a-fA-F][0-9a-fA-F]{2}()|[^u]|u)", re.DOTALL
)


def half_pair(data: bytes) -> int | None:
    """Where JSON escapes half of a surrogate pair, which is no character; None where it nowhere does."""
    return next((match.start() for match in _HALF.finditer(data) if match[1] is not None), None)


class Deadline(Struct, frozen=True):
    """The moment by which a whole command must have ended, on a monotonic clock."""

    ends: float
    clock: Callable[[], float]

    def left(self) -> float:
        """Seconds that remain, never below zero."""
        return max(0.0, self.ends - self.clock())


class FailedItem(Struct, frozen=True):
    """One part of a job that failed, although the job as a whole ended."""

    item_id: str | None
    message: str | None


class JobError(Struct, frozen=True):
    """Why a job failed, in the service's own words."""

    message: str
    code: str | None = None


class Status(Struct, frozen=True, kw_only=True):
    """What one look at a job tells. Times are RFC 3339 UTC, progress is percent, `retry_after` seconds."""

    state: State
    provider_state: str | None
    reply: Reply
    result: Request | None = None
    progress: float | None = None
    message: str | None = None
    error: JobError | None = None
    failed_items: tuple[FailedItem, ...] = ()
    created_at: str | None = None
    started_at: str | None = None
    finished_at: str | None = None
    retry_after: float | None = None
    warnings: tuple[str, ...] = ()


class Asset(Struct, frozen=True):
    """A linked file: where in the result its link stands, and the request that brings it.

    A web page in its place is an error page, unless `page` says that it is what the link leads to.
    """

    path: str
    request: Request
    page: bool = False


class Parts(Struct, frozen=True):
    """Parts of a result that come window by window: their name, the requests, where they stand, how many there are."""

    name: str
    requests: Iterable[Request]
    paths: tuple[str, ...]
    count: int


class StoredAsset(Struct, frozen=True, kw_only=True):
    """A linked file as it was stored: `file` relative to the record; null where it could not be had."""

    path: str
    file: str | None
    bytes: int | None
    sha256: str | None
    error: str | None = None


class Outcome(Struct, frozen=True, kw_only=True):
    """What one job of a run came to: a value, also when it is an error."""

    job_id: str
    state: State | None
    exit: Exit
    files: tuple[str, ...] = ()
    error: JobfetchError | None = None
    #: the linked files, those included that could not be had
    linked: tuple[StoredAsset, ...] = ()
    #: length and SHA-256 of the file of its own, the first of `files`, where a manifest keeps the books
    digest: tuple[int, str] | None = None


class Tally(Struct):
    """What many jobs came to, counted: of the outcomes themselves it keeps one error for each exit code."""

    counts: Counter[str] = field(default_factory=Counter)
    exits: Counter[Exit] = field(default_factory=Counter)
    errors: dict[Exit, tuple[str | None, JobfetchError]] = field(default_factory=dict)
    retry_at: datetime | None = None

    def add(self, job_id: str | None, state: State | None, code: Exit, error: JobfetchError | None = None) -> None:
        """Count one job, or what kept jobs from being asked for (without an id)."""
        if job_id is not None:
            self.counts[str(state or code.outcome)] += 1
        self.exits[code] += 1
        if error:
            self.errors.setdefault(code, (job_id, error))
            if error.retry_at:
                self.retry_at = min(self.retry_at or error.retry_at, error.retry_at)

    def put_off(self, moment: datetime) -> None:
        """Nobody is to come back before this moment."""
        self.retry_at = self.retry_at and max(self.retry_at, moment)

    @property
    def exit(self) -> Exit:
        """The one exit code of all of them."""
        return combined([*self.exits])


class Verdict(Struct, frozen=True, kw_only=True):
    """What a whole command came to, as `--json` prints it."""

    exit: Exit
    counts: Mapping[str, int] = field(default_factory=dict)
    outputs: tuple[str, ...] = ()
    error: JobfetchError | None = None
    provider: str | None = None
    job_id: str | None = None
    retry_at: datetime | None = None
    data: Json = None

    def as_json(self) -> dict[str, Json]:
        """The verdict object with its keys in the promised order."""
        error = self.error and {
            "code": self.error.code or self.error.exit.outcome,
            "message": self.error.message,
            "hint": self.error.hint,
            "provider": self.provider,
            "job_id": self.job_id,
            "request_id": self.error.request_id,
        }
        verdict = {
            "ok": self.exit is Exit.DONE,
            "exit_code": int(self.exit),
            "outcome": self.exit.outcome,
            "retryable": self.exit.retryable,
            "retry_at": rfc3339(self.retry_at),
            "counts": dict(self.counts),
            "outputs": list(self.outputs),
            "error": error,
        }
        return verdict if self.data is None else {**verdict, "data": self.data}


def combined(exits: list[Exit]) -> Exit:
    """The one exit code of many jobs: all there 0, none failed and some running 75, all alike theirs, otherwise 8."""
    bad = {code for code in exits if code not in {Exit.DONE, Exit.RUNNING}}
    if not bad:
        return Exit.RUNNING if Exit.RUNNING in exits else Exit.DONE
    return bad.pop() if len(bad) == 1 and len(set(exits)) == 1 else Exit.PARTIAL


def fingerprint(text: str) -> int:
    """128 bits that stand for a text: what is remembered of an id or a page, of which there may be very many."""
    return int.from_bytes(hashlib.blake2b(text.encode("utf-8", "surrogatepass"), digest_size=16).digest(), "big")


class Sink(Protocol):
    """Where a body goes: a file that is written from its start, and anew where it must be."""

    def write(self, data: bytes, /) -> object:
        """Add to what is there."""

    def seek(self, offset: int, /) -> int:
        """Go to the start."""

    def truncate(self) -> int:
        """Forget what follows."""


#: Sends a request and gives the reply, whatever its status; raises where no reply could be had.
Send = Callable[[Request], Reply]


# --- addresses ---


def origin(url: str) -> tuple[str, str, int]:
    """Scheme, host and port of a URL: what a credential is bound to. What is no address is nobody's origin.

    Nor is what two parsers may read differently: a backslash ends the host for some of them.
    """
    if "\\" in url or " " in url or not url.isprintable():
        return "", url, 0
    # most URLs of a run lead to a few places
    place = _PLACE.match(url)
    return (place and _origin_of(place[0])) or ("", url, 0)


#: What stands before the path, the query and the fragment.
_PLACE = re.compile(r"[^/?#]*(//[^/?#]*)?")


@lru_cache(maxsize=1024)
def _origin_of(url: str) -> tuple[str, str, int] | None:
    try:
        parts = urlsplit(url)
        port = parts.port or (443 if parts.scheme == "https" else 80)
    except ValueError:
        return None
    return parts.scheme.lower(), (parts.hostname or "").lower(), port


def safe_url(url: str) -> str:
    """A URL fit for messages: without user, password, query and fragment, where signatures live."""
    try:
        parts = urlsplit(url)
    except ValueError:
        return "the service"
    place = parts.netloc.rpartition("@")[2]
    return f"{parts.scheme}://{place}{parts.path}" if place else "the service"


# --- times ---


def rfc3339(moment: datetime | None) -> str | None:
    """An aware datetime as RFC 3339 UTC with milliseconds, for example `2026-01-31T09:30:00.000Z`."""
    if moment is None:
        return None
    return moment.astimezone(UTC).isoformat(timespec="milliseconds").replace("+00:00", "Z")


def timestamp(value: Json) -> str | None:
    """A service's time as RFC 3339 UTC: milliseconds since 1970, or ISO 8601 (UTC where it names no zone)."""
    if value is None:
        return None
    try:
        if isinstance(value, int | float) and not isinstance(value, bool):
            return rfc3339(datetime.fromtimestamp(value / 1000, UTC))
        return rfc3339(_in_zone(datetime.fromisoformat(value)))
    except (TypeError, ValueError, OverflowError, OSError):
        return None  # a time that nobody can read is no reason to refuse a result


def _in_zone(moment: datetime) -> datetime:
    return moment if moment.tzinfo else moment.replace(tzinfo=UTC)


def http_date(text: str) -> datetime | None:
    """A date as HTTP headers write it; None where it cannot be read."""
    from email.utils import parsedate_to_datetime  # noqa: PLC0415 - most replies name no date, and it takes a while

    try:
        return _in_zone(parsedate_to_datetime(text))
    except (TypeError, ValueError, OverflowError):
        return None


#: HTTP's number for one request too many.
TOO_MANY = 429


def retry_after(reply: Reply, now: datetime) -> float | None:
    """Seconds that the Retry-After header asks for (a number or a date); None where it cannot be read."""
    asked = reply.headers.get("retry-after", "").strip()
    if not asked:
        return None
    if re.fullmatch(r"[0-9]+(\.[0-9]+)?(\s*,\s*[0-9]+(\.[0-9]+)?)*", asked):
        # said twice, the longer one counts
        return hint(max(map(float, asked.split(","))))
    until = http_date(asked)
    # against the server's own clock where it tells it: ours may be wrong by hours
    return hint((until - (http_date(reply.headers.get("date", "")) or now)).total_seconds()) if until else None


def come_back(reply: Reply, now: datetime) -> datetime | None:
    """The moment that the Retry-After header asks to wait for."""
    seconds = retry_after(reply, now)
    return None if seconds is None else now + timedelta(seconds=seconds)


def hint(value: Json) -> float | None:
    """A wait in seconds as a service may put it into a body: None unless a positive number, cut to 24 h."""
    if isinstance(value, bool) or not isinstance(value, int | float) or not value > 0:
        return None
    return float(min(value, LONGEST_HINT))
