"""Every way a command can end: the exit codes, and the errors that carry them; nothing here does anything.

JobfetchError
├─ UsageError          2   the command line asks for something that cannot be
├─ ConfigError         3   a setting is missing or wrong
├─ CredentialsError    4   absent, refused, or without permission
│  ├─ Unauthorized         the service refuses the credential itself
│  └─ Forbidden            the credential may not see this job; it may see others
├─ NotFound            5   the service does not know the job, batch or project
├─ JobFailed           6   the job failed or was cancelled at the service
├─ ResultGone          7   the result is gone for good
├─ Partial             8   finished, but something of it failed
├─ Unavailable        10   network or service trouble outlasted the retries
│  └─ NoResult             the job has ended, and its result is not to be had for now
├─ BadReply           11   a reply that nobody can read or act on
│  ├─ NotJson              an answer of another kind, a web page most often
│  └─ CutReply             it ended before it was whole, every time
├─ DiskError          12   full, read-only, permission
│  └─ InTheWay             one file cannot stand where it belongs; others can
├─ FolderLocked       13   another run holds the folder
├─ StillRunning       75   not waited for, or the deadline passed
│  └─ TooSoon              nothing was asked: the rate, or the service, allows it after the deadline only
├─ Interrupted       130   Ctrl-C
├─ ReaderGone        141   whoever read standard output went away
└─ Terminated        143   SIGTERM, SIGHUP
"""

from __future__ import annotations

import re
from enum import IntEnum
from typing import TYPE_CHECKING, Any, ClassVar

if TYPE_CHECKING:
    from datetime import datetime


class Exit(IntEnum):
    """Exit codes, a promise to scripts: a meaning never changes once published."""

    DONE = 0
    BUG = 1
    USAGE = 2
    CONFIG = 3
    CREDENTIALS = 4
    NOT_FOUND = 5
    FAILED = 6
    GONE = 7
    PARTIAL = 8
    UNAVAILABLE = 10
    BAD_REPLY = 11
    DISK = 12
    LOCKED = 13
    RUNNING = 75
    INTERRUPTED = 130
    READER_GONE = 141
    TERMINATED = 143

    @property
    def outcome(self) -> str:
        """The word for this code in a verdict, for example `not_found`."""
        return self.name.lower()

    @property
    def retryable(self) -> bool:
        """Whether the same line, run again later, may well end better."""
        return self in {
            Exit.PARTIAL,
            Exit.UNAVAILABLE,
            Exit.LOCKED,
            Exit.RUNNING,
            Exit.INTERRUPTED,
            Exit.TERMINATED,
        }


#: What each code means, as the README prints it.
MEANINGS: dict[Exit, str] = {
    Exit.DONE: "all that was asked for is there",
    Exit.BUG: "a bug in jobfetch (traceback with -v, never with local variables)",
    Exit.USAGE: "usage: the command line asks for something that cannot be",
    Exit.CONFIG: "configuration missing or wrong",
    Exit.CREDENTIALS: "credentials absent, refused or without permission",
    Exit.NOT_FOUND: "the service does not know the job, batch or project",
    Exit.FAILED: "the job failed or was cancelled at the service; its partial result is kept",
    Exit.GONE: "the result is gone for good (expired, cleaned, refunded)",
    Exit.PARTIAL: "partial: finished, but some items or jobs failed",
    Exit.UNAVAILABLE: "network or service trouble outlasted the retries",
    Exit.BAD_REPLY: "a reply that nobody can read or act on (HTML, cut, a redirect elsewhere, an unknown refusal)",
    Exit.DISK: "local disk: full, read-only, no permission",
    Exit.LOCKED: "another run holds this folder",
    Exit.RUNNING: "still running: not waited for, or the deadline passed; `retry_at` says when to come back",
    Exit.INTERRUPTED: "interrupted (Ctrl-C); the same line goes on",
    Exit.READER_GONE: "the reader of standard output went away",
    Exit.TERMINATED: "terminated (SIGTERM, or the terminal is gone); the same line goes on",
}


#: What a text is made of. Words are looked at one by one: a pattern for whole addresses takes for ever on long texts.
_WORD = re.compile(r"[^\s'\"<>]+")
_END = re.compile(r"[?#]")
#: Characters of a message that say enough; a service may send any number.
_MOST_SAID = 4000


def shortened(text: str) -> str:
    """The beginning of a text that is too long to be read."""
    return text if len(text) <= _MOST_SAID else f"{text[:_MOST_SAID]}... ({len(text)} characters)"


def without_queries(text: str) -> str:
    """Text in which addresses have neither a user nor a query: both may be as good as a key."""
    return _WORD.sub(lambda word: _bare(word[0]), text) if "://" in text or "?" in text else text


def without_addresses(text: str, told: str) -> str:
    """Text in which `told` stands in the place of every address, and of what has a query and may be one without its scheme."""
    return _WORD.sub(lambda word: _replaced(word[0], told), text) if "://" in text or "?" in text else text


def _bare(word: str) -> str:
    scheme, mark, rest = word.partition("://")
    if not mark:
        place, _, query = word.partition("?")
        return place + _CUT if "=" in query and _may_be_place(place) else word
    rest = _END.split(rest, maxsplit=1)[0]
    host, slash, path = rest.partition("/")
    return f"{scheme}://{host.rpartition('@')[2]}{slash}{path}"


def _may_be_place(text: str) -> bool:
    """Whether a query may stand behind this: not behind a path into JSON, which has brackets."""
    return ("." in text or "/" in text) and text[-1] not in "[("


def _replaced(word: str, told: str) -> str:
    scheme, mark, rest = word.partition("://")
    if not mark:
        return told if "=" in word.partition("?")[2] or _CUT in word else word
    name = scheme[len(scheme.rstrip(_SCHEME)) :]
    return f"{scheme[: len(scheme) - len(name)]}{told}{rest[len(rest.rstrip(':;,.)')) :]}"


#: What is left of the query of an address without a scheme: it says that there was one.
_CUT = "?..."
_SCHEME = "abcdefghijklmnopqrstuvwxyzABCDEFGHIJKLMNOPQRSTUVWXYZ0123456789+.-"


class JobfetchError(Exception):
    """What went wrong, for a person (`message`), what to do next (`hint`), and for a script (`exit`).

    `code` and `request_id` are the service's own. `retry_at` is an aware datetime, where one is known.
    No message ever holds a secret or the query of a URL.
    """

    exit: ClassVar[Exit] = Exit.BUG
    #: whether a wait goes on after it: the next look may find the service well again
    transient: ClassVar[bool] = False

    def __init__(
        self,
        message: str,
        *,
        hint: str | None = None,
        code: str | None = None,
        request_id: str | None = None,
        retry_at: datetime | None = None,
    ) -> None:
        # the service's own words may hold a signed link
        self.message = without_queries(message)
        super().__init__(self.message)
        self.hint = hint
        self.code = code
        self.request_id = request_id
        self.retry_at = retry_at
        #: whether the retries that it deserves have been spent on it already
        self.settled = False
        #: what came all the same, for whoever called the library: the record of a job that failed
        self.result: Any = None


class UsageError(JobfetchError):
    """The command line asks for something that cannot be."""

    exit = Exit.USAGE


class ConfigError(JobfetchError):
    """A setting is missing or wrong; the message names the file, the key and the line where they are known."""

    exit = Exit.CONFIG


class CredentialsError(JobfetchError):
    """A credential is absent, was refused, or lacks permission."""

    exit = Exit.CREDENTIALS


class Unauthorized(CredentialsError):
    """The service refuses the credential itself, in answer to one request."""


class Forbidden(CredentialsError):
    """A good credential that may not see this job; it may see others."""


class NotFound(JobfetchError):
    """The service does not know the job, batch or project."""

    exit = Exit.NOT_FOUND


class JobFailed(JobfetchError):
    """The job failed or was cancelled at the service."""

    exit = Exit.FAILED


class ResultGone(JobfetchError):
    """The result existed and is gone for good."""

    exit = Exit.GONE


class Partial(JobfetchError):
    """The job is finished, and some of its items failed."""

    exit = Exit.PARTIAL


class Unavailable(JobfetchError):
    """Network or service trouble outlasted the retries."""

    exit = Exit.UNAVAILABLE
    transient = True


class NoResult(Unavailable):
    """A job has ended, and its result is not to be had for now; of other jobs it says nothing."""


class BadReply(JobfetchError):
    """The service answered something that nobody can read or act on."""

    exit = Exit.BAD_REPLY


class NotJson(BadReply):
    """An answer of another kind where JSON was promised: a web page, most often."""


class CutReply(BadReply):
    """A reply ended before it was whole, every time it was asked for."""

    transient = True


class DiskError(JobfetchError):
    """A local file could not be written or read."""

    exit = Exit.DISK


class InTheWay(DiskError):
    """What stands in the place of one file is none, or its name is too long: of other files that says nothing."""


class FolderLocked(JobfetchError):
    """Another run holds the folder."""

    exit = Exit.LOCKED


class StillRunning(JobfetchError):
    """The job has not ended: it was not waited for, or the deadline came first."""

    exit = Exit.RUNNING


class TooSoon(StillRunning):
    """Nothing was asked: neither our own rate nor the service allows it before the deadline."""


class Interrupted(JobfetchError):
    """Ctrl-C."""

    exit = Exit.INTERRUPTED


class ReaderGone(JobfetchError):
    """Whoever read standard output went away."""

    exit = Exit.READER_GONE


class Terminated(JobfetchError):
    """SIGTERM, or SIGHUP: the terminal is gone."""

    exit = Exit.TERMINATED


class Signalled(KeyboardInterrupt):
    """A signal has ended the program: like Ctrl-C, nothing on its way takes it for trouble of its own."""


_KINDS: tuple[type[JobfetchError], ...] = (
    UsageError,
    ConfigError,
    CredentialsError,
    NotFound,
    JobFailed,
    ResultGone,
    Partial,
    Unavailable,
    BadReply,
    DiskError,
    FolderLocked,
    StillRunning,
)


def recorded(code: int, message: str, word: str | None = None) -> JobfetchError:
    """An error that was written down with its exit code, to be told again."""
    shape = next((kind for kind in _KINDS if kind.exit == code), BadReply)
    return shape(message, code=word)
