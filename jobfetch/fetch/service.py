"""A provider with an address, what is wanted of it, and its replies told apart: its own, and those of foreign storage."""

from __future__ import annotations

from collections.abc import Callable
from datetime import datetime
from functools import cached_property
from pathlib import Path
from typing import BinaryIO, Protocol

from msgspec import Struct, field

from jobfetch import disk, poll
from jobfetch.errors import (
    BadReply,
    ConfigError,
    CredentialsError,
    DiskError,
    Forbidden,
    Interrupted,
    InTheWay,
    JobfetchError,
    NoResult,
    ReaderGone,
    StillRunning,
    Terminated,
    UsageError,
)
from jobfetch.export import Table, to_stdout
from jobfetch.model import (
    Deadline,
    Format,
    Json,
    Reply,
    Request,
    Sink,
    Status,
    origin,
    safe_url,
)
from jobfetch.spec import PLAIN_ERRORS, Address, Provider, Schedule, look


class Sender(Protocol):
    """Sends a request with credentials for their own origin; a good body goes into `sink` where one is given."""

    def __call__(self, request: Request, *, sink: Sink | None = None) -> Reply:
        """The reply, after the retries that it deserved."""


class Service(Struct, frozen=True, kw_only=True):
    """A provider with an address, and the way to ask it."""

    provider: Provider
    address: Address
    send: Sender
    now: Callable[[], datetime]
    #: headers that are to be sent back with the next look, by job; of those that run
    echoes: dict[str, dict[str, str]] = field(default_factory=dict)
    #: takes secrets out of a JSON value that goes into a file
    scrub: Callable[[Json], Json] = lambda value: value

    def at(self, job_id: str) -> Address:
        """The address of one job."""
        return Address(base_url=self.address.base_url, params=self.address.params, job_id=job_id)

    def look(self, job_id: str) -> Status:
        """Ask once about one job; what its last reply asked to be sent back is sent back."""
        echo = self.echoes.get(job_id, {})
        status = look(self.provider, self.send, self.at(job_id), self.now, echo)
        if self.provider.job.echo:
            headers = status.reply.headers
            told = {name: headers[name] for name in self.provider.job.echo if name in headers}
            echo = echo | {name: value for name, value in told.items() if value.isascii() and value.isprintable()}
            if echo and not status.state.terminal:
                self.echoes[job_id] = echo
            else:
                self.echoes.pop(job_id, None)
        return status

    def follow(self, request: Request, sink: Sink | None = None) -> Reply:
        """Ask for what a result links to; a secure service's link to an insecure address is not followed."""
        if self.address.base_url.startswith("https:") and not request.url.lower().startswith("https:"):
            raise BadReply(f"{safe_url(request.url)} is a link from https to plain http; not followed")
        return self.send(request, sink=sink)

    def foreign(self, reply: Reply) -> bool:
        """Whether somebody else than the service itself answered: storage at the end of a link."""
        return reply.bare or origin(reply.url) != origin(self.address.base_url)


class Waiting(Struct, frozen=True, kw_only=True):
    """How long and how patiently to wait."""

    deadline: Deadline
    wait: bool
    schedule: Schedule
    watcher: poll.Watcher
    sleep: Callable[[float], None]


class Wanted(Struct, frozen=True, kw_only=True, dict=True):
    """What is to become of the results: without an `output`, `take` gets each of them, whole."""

    format: Format
    output: Path | None = None
    folder: bool = False
    assets: bool = False
    rows: str | None = None
    reproducible: bool = False
    allow_partial: bool = False
    query: Callable[[bytes], bytes] | None = None
    #: how a table is written; by its format alone where nothing else is said
    layout: Table | None = None
    #: to the folder, where a manifest keeps its books: it is swept then, and synced before a line is written
    claim: disk.Claim | None = None
    #: takes what has no file of its own to go to
    take: Callable[[BinaryIO], None] = to_stdout

    @property
    def recorded(self) -> bool:
        """Whether a manifest keeps the books of the folder."""
        return self.claim is not None

    def path(self, job_id: str) -> str | None:
        """Where one job's file goes; None where it has none. Text, since a batch asks for every job."""
        if self.output is None or not self.folder:
            return None if self.output is None else str(self.output)
        return f"{self._place}{disk.safe_name(job_id)}.json"

    @cached_property
    def _place(self) -> str:
        """The folder as what a name is put behind."""
        return str(self.output / "_")[:-1] if self.output else ""

    @property
    def shape(self) -> Table:
        """How the table of all jobs is written."""
        return self.layout or Table(format=self.format)

    @property
    def table(self) -> Path | None:
        """Where the table of all jobs goes; None where it has none."""
        return self.output / f"rows.{self.format}" if self.output and self.folder else self.output


#: Bytes of a stored result that are worth a second look: a refusal is short.
SMALL = 1024 * 1024

#: Errors that end the whole run, since no other job would fare better.
_RUN_ERRORS = (CredentialsError, ConfigError, DiskError, UsageError, Interrupted, Terminated, ReaderGone)


def ends_the_run(error: JobfetchError) -> bool:
    """Whether an error ends the whole run, and not only the job that met it."""
    return isinstance(error, _RUN_ERRORS) and not isinstance(error, (Forbidden, InTheWay))


# --- the result ---


def resolved(service: Service, job_id: str, status: Status, sink: Sink | None) -> Reply:
    """The reply to the result request; a link that is refused is resolved anew once, from the job itself."""
    for is_anew in (False, True):
        request = (service.look(job_id) if is_anew else status).result
        if request is None:
            raise StillRunning(
                f"job {job_id} has taken its result back: it is being worked on again",
                hint="run the same line again later",
            )
        reply = service.follow(request, sink)
        if not refused_link(service, reply):
            reply = checked(service, reply)
            # what goes into a file is looked at where it begins, and may have come in parts
            return reply if sink else _brought(reply)
    raise NoResult(
        f"the link to the result of job {job_id} is refused, also after it was resolved anew",
        hint="run the same line again later",
    )


def _brought(reply: Reply) -> Reply:
    if not reply.brings_all:
        raise BadReply(f"{safe_url(reply.url)} answered with HTTP {reply.status}, which brings no result")
    return reply


def refused_link(service: Service, reply: Reply) -> bool:
    """Whether storage refuses a link, so that it is worth resolving anew."""
    # only storage at the end of a link refuses like this: a signature that has run out, or is not there yet
    return service.foreign(reply) and 400 <= reply.status < 500  # noqa: PLR2004 - the meaning of 4xx


def checked(service: Service, reply: Reply) -> Reply:
    """The reply itself when it is good; by the service's rules where it is its own, else by its status."""
    if not service.foreign(reply):
        return service.provider.errors.check(reply, service.now())
    try:
        return PLAIN_ERRORS.check(reply, service.now())
    except CredentialsError as error:
        # no credential of ours was there: its owner refuses the link, and nothing follows for other jobs
        raise BadReply(error.message.replace("the credentials", "the link"), code=error.code) from None
