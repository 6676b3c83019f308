"""The use-cases, every step in order: READ THIS FIRST. Wait for jobs, fetch what they made, keep it, say what came.

It wires nothing: the network (`send`), the clock and whoever watches are handed in.

    get:  look -> wait -> (result request) -> check -> assets -> record or rows -> file or stdout -> Outcome
"""

from __future__ import annotations

import hashlib
import os
from collections.abc import Callable, Iterable, Iterator
from contextlib import contextmanager
from dataclasses import dataclass, replace
from datetime import datetime
from functools import partial
from pathlib import Path
from typing import BinaryIO, Protocol

from jobfetch import export, flatten, poll, records
from jobfetch.errors import (
    BadReply,
    ConfigError,
    CredentialsError,
    DiskError,
    Exit,
    Forbidden,
    Interrupted,
    JobFailed,
    JobfetchError,
    Partial,
    ReaderGone,
    ResultGone,
    StillRunning,
    Terminated,
    Unavailable,
    UsageError,
)
from jobfetch.model import (
    Asset,
    Deadline,
    FailedItem,
    Format,
    Json,
    Outcome,
    Parts,
    Reply,
    Request,
    State,
    Status,
    StoredAsset,
    compact,
    elements,
    origin,
    promised_json,
    rfc3339,
    safe_url,
)
from jobfetch.spec import PLAIN_ERRORS, Address, Provider, Schedule, look


class Sender(Protocol):
    """Sends a request with credentials for their own origin; a good body goes into `sink` where one is given."""

    def __call__(self, request: Request, *, sink: BinaryIO | None = None) -> Reply:
        """The reply, after the retries that it deserved."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Service:
    """A provider with an address, and the way to ask it."""

    provider: Provider
    address: Address
    send: Sender
    now: Callable[[], datetime]
    #: takes secrets out of a JSON value that goes into a file
    scrub: Callable[[Json], Json] = lambda value: value

    def at(self, job_id: str) -> Address:
        """The address of one job."""
        return Address(base_url=self.address.base_url, params=self.address.params, job_id=job_id)

    def look(self, job_id: str) -> Status:
        """Ask once about one job."""
        return look(self.provider, self.send, self.at(job_id), self.now)

    def looker(self, job_id: str) -> Callable[[], Status]:
        """Asks about one job again and again; each look sends back what the last reply asked to be sent back."""
        echo: dict[str, str] = {}

        def again() -> Status:
            status = look(self.provider, self.send, self.at(job_id), self.now, echo)
            headers = status.reply.headers
            told = {name: headers[name] for name in self.provider.job.echo if name in headers}
            echo.update({name: value for name, value in told.items() if value.isascii() and value.isprintable()})
            return status

        return again

    def follow(self, request: Request, sink: BinaryIO | None = None) -> Reply:
        """Ask for what a result links to; a secure service's link to an insecure address is not followed."""
        if self.address.base_url.startswith("https:") and not request.url.lower().startswith("https:"):
            raise BadReply(f"{safe_url(request.url)} is a link from https to plain http; not followed")
        return self.send(request, sink=sink)

    def foreign(self, reply: Reply) -> bool:
        """Whether somebody else than the service itself answered: storage at the end of a link."""
        return origin(reply.url) != origin(self.address.base_url)


@dataclass(frozen=True, slots=True, kw_only=True)
class Waiting:
    """How long and how patiently to wait."""

    deadline: Deadline
    wait: bool
    schedule: Schedule
    watcher: poll.Watcher
    sleep: Callable[[float], None]


@dataclass(frozen=True, slots=True, kw_only=True)
class Wanted:
    """What is to become of the results: `output` None is standard output."""

    format: Format
    output: Path | None = None
    folder: bool = False
    assets: bool = False
    rows: str | None = None
    reproducible: bool = False
    allow_partial: bool = False
    query: Callable[[bytes], bytes] | None = None

    def path(self, job_id: str) -> Path | None:
        """Where one job's file goes; None for standard output."""
        if self.output is None or not self.folder:
            return self.output
        return self.output / f"{export.safe_name(job_id)}.json"

    @property
    def table(self) -> Path | None:
        """Where the table of all jobs goes; None for standard output."""
        return self.output / f"rows.{self.format}" if self.output and self.folder else self.output


#: Bytes of a stored result that are worth a second look: a refusal is short.
SMALL = 1024 * 1024

#: Errors that end the whole run, since no other job would fare better.
_RUN_ERRORS = (CredentialsError, ConfigError, DiskError, UsageError, Interrupted, Terminated, ReaderGone)


def statuses(service: Service, waiting: Waiting, job_ids: list[str]) -> Iterator[tuple[str, poll.Ended]]:
    """Each job's last status or error, as it ends; nothing is fetched."""
    looks = {job_id: service.looker(job_id) for job_id in job_ids}
    ended = poll.until_ended(
        looks,
        waiting.schedule,
        waiting.deadline,
        wait=waiting.wait,
        watcher=waiting.watcher,
        sleep=waiting.sleep,
        now=service.now,
    )
    for job_id, how in ended:
        if how.error and _ends_the_run(how.error):
            raise how.error
        yield job_id, how


def _ends_the_run(error: JobfetchError) -> bool:
    return isinstance(error, _RUN_ERRORS) and not isinstance(error, Forbidden)


def states(service: Service, waiting: Waiting, job_ids: list[str]) -> Iterator[tuple[Outcome, dict[str, Json]]]:
    """Each job's outcome by its state alone, and what there is to tell of it; nothing is fetched."""
    for job_id, ended in statuses(service, waiting, job_ids):
        status = ended.status
        error = ended.error or (_verdict_on(service, job_id, status) if status else None)
        told = {
            "job_id": job_id,
            "state": status and str(status.state),
            "provider_state": status and status.provider_state,
            "progress": status and status.progress,
            "message": status and status.message,
            "created_at": status and status.created_at,
            "started_at": status and status.started_at,
            "finished_at": status and status.finished_at,
            "failed_items": len(status.failed_items) if status else 0,
            "outcome": (error.exit if error else Exit.DONE).outcome,
            "retry_at": rfc3339(error.retry_at) if error else None,
        }
        yield _ended(job_id, status.state if status else _state_of(error), error), told


def get(
    service: Service, waiting: Waiting, wanted: Wanted, job_ids: list[str], wrote: Callable[[Path, bool], None]
) -> Iterator[Outcome]:
    """Each job's outcome, as it ends; its record is on disk (or on standard output) by then, a table after the last.

    `wrote` hears of the table's file: whether it was written, or an older one was left as it is.
    """
    run = _Run(service, wanted, {})
    if wanted.folder and wanted.output:
        export.folder(wanted.output)
    for job_id, ended in statuses(service, waiting, job_ids):
        if ended.error or not ended.status:
            yield _ended(job_id, ended.status.state if ended.status else _state_of(ended.error), ended.error)
            continue
        try:
            yield job(run, job_id, ended.status)
        except JobfetchError as error:
            if _ends_the_run(error):
                raise
            # the job has ended well or badly, and its result is still to come: the same line fetches it
            yield _ended(job_id, _state_of(error), error)
    _write_table(run, job_ids, wrote)


@dataclass(frozen=True, slots=True)
class _Run:
    """What the jobs of one run share: the service, what is wanted, and the rows so far by job id."""

    service: Service
    wanted: Wanted
    rows: dict[str, list[flatten.Row]]


def job(run: _Run, job_id: str, status: Status) -> Outcome:
    """Fetch and keep what one job that has ended has made."""
    service, wanted = run.service, run.wanted
    if status.state is State.GONE:
        return _ended(job_id, status.state, _verdict_on(service, job_id, status))
    path = None if wanted.format.tabular else wanted.path(job_id)
    files = [] if path is None else [str(path)]
    if wanted.format is Format.RAW and not wanted.assets and status.result:
        _stream(service, job_id, status, path)
    else:
        reply = status.reply if status.result is None else _resolved(service, job_id, status, None)
        result = reply.document.whole
        stored = _assets(service, wanted, job_id, reply) if wanted.assets else ()
        status = _with_failures(status, stored)
        files += [str(_assets_folder(wanted, job_id).parent / asset.file) for asset in stored if asset.file]
        if wanted.format.tabular:
            run.rows[job_id] = _rows(run, job_id, result, stored)
        else:
            pieces = [reply.body] if wanted.format is Format.RAW else _record(run, job_id, status, result, stored)
            with _opened(path) as file:
                file.writelines(pieces)
    forgiven = wanted.allow_partial and status.state is State.PARTIAL
    error = None if forgiven else _verdict_on(service, job_id, status)
    return _ended(job_id, status.state, error, files)


def _rows(run: _Run, job_id: str, result: bytes, stored: tuple[StoredAsset, ...]) -> list[flatten.Row]:
    """The rows of one job: of its result, and of the parts that came window by window."""
    name, rules = run.service.provider.name, run.service.provider.rows
    if run.wanted.rows:
        return list(flatten.view(rules, run.wanted.rows, name, job_id, result))
    rows = list(flatten.compiled(rules)(name, job_id, result))
    parts = [asset.file for asset in stored if rules.parts and asset.file and asset.file.endswith(PARTS_SUFFIX)]
    for file in parts:
        lines = (_assets_folder(run.wanted, job_id).parent / file).read_bytes().splitlines()
        rows += flatten.part_rows(rules, name, job_id, lines)
    return rows


def _record(run: _Run, job_id: str, status: Status, result: bytes, stored: tuple[StoredAsset, ...]) -> list[bytes]:
    fetched_at = None if run.wanted.reproducible else rfc3339(run.service.now())
    name = run.service.provider.name
    record = records.record(name, job_id, status, result, assets=stored, fetched_at=fetched_at, scrub=run.service.scrub)
    return [run.wanted.query(b"".join(record))] if run.wanted.query else record


def _ended(job_id: str, state: State | None, error: JobfetchError | None, files: list[str] | None = None) -> Outcome:
    code = error.exit if error else Exit.DONE
    return Outcome(job_id=job_id, state=state, exit=code, files=tuple(files or ()), error=error)


def _verdict_on(service: Service, job_id: str, status: Status) -> JobfetchError | None:
    """What there is to complain of in a job that has ended; None where it is all there."""
    what = f"{service.provider.name} job {job_id}"
    if status.state in {State.FAILED, State.CANCELLED}:
        reason = status.error.message if status.error else status.message or "no reason given"
        return JobFailed(
            f"{what} {'was ' if status.state is State.CANCELLED else ''}{status.state}: {reason}",
            hint="what the service kept of it is in the record; start the job again at the service",
            code=status.error.code if status.error else None,
        )
    if status.state is State.PARTIAL:
        items = status.failed_items
        first = next((item.message for item in items if item.message), "no reason given")
        return Partial(
            f"{what} ended, but {len(items)} of its items failed: {first}",
            hint="they are listed under failed_items in the record; --allow-partial takes this for success",
        )
    if status.state is State.GONE:
        return ResultGone(f"{what} is gone: the service keeps nothing of it", hint="start the job again")
    return None


def _state_of(error: JobfetchError | None) -> State | None:
    return State.GONE if error and error.exit is Exit.GONE else None


# --- the result ---


def _stream(service: Service, job_id: str, status: Status, path: Path | None) -> None:
    """Store a result as it comes, without holding it in memory."""
    with _opened(path) as file:
        reply = _resolved(service, job_id, status, file)
        promised_json(reply)
        records.check_json_file(file)
        if file.tell() <= SMALL:
            # a refusal can come with HTTP 200: only a look inside tells
            file.seek(0)
            _checked(service, replace(reply, body=file.read()))
            file.seek(0, os.SEEK_END)


def _resolved(service: Service, job_id: str, status: Status, sink: BinaryIO | None) -> Reply:
    """The reply to the result request; a link that is refused is resolved anew once, from the job itself."""
    request = status.result
    for _ in range(2):
        if request is None:
            break
        reply = service.follow(request, sink)
        if not _refused_link(service, reply):
            return _checked(service, reply)
        request = service.look(job_id).result
    if request is None:
        raise StillRunning(
            f"job {job_id} has taken its result back: it is being worked on again", hint="run the same line again later"
        )
    raise Unavailable(
        f"the link to the result of job {job_id} is refused, also after it was resolved anew",
        hint="run the same line again later",
    )


def _refused_link(service: Service, reply: Reply) -> bool:
    # only storage at the end of a link refuses like this: a signature that has run out, or is not there yet
    return service.foreign(reply) and 400 <= reply.status < 500  # noqa: PLR2004 - the meaning of 4xx


def _checked(service: Service, reply: Reply) -> Reply:
    if not service.foreign(reply):
        return service.provider.errors.check(reply, service.now())
    try:
        return PLAIN_ERRORS.check(reply, service.now())
    except CredentialsError as error:
        # no credential of ours was there: its owner refuses the link, and nothing follows for other jobs
        raise BadReply(error.message.replace("the credentials", "the link"), code=error.code) from None


# --- linked files ---

_SUFFIXES = {
    "image/png": ".png",
    "image/jpeg": ".jpg",
    "image/webp": ".webp",
    "application/json": ".json",
    "application/pdf": ".pdf",
    "text/plain": ".txt",
    "text/csv": ".csv",
    "text/html": ".html",
    "text/vtt": ".vtt",
    "application/zip": ".zip",
}


PARTS_SUFFIX = ".ndjson"


def _assets(service: Service, wanted: Wanted, job_id: str, reply: Reply) -> tuple[StoredAsset, ...]:
    """Everything that the result links to, stored beside it."""
    job, address = service.provider.job, service.at(job_id)
    result = reply.document.whole
    found: tuple[Asset, ...] = ()
    lost: tuple[StoredAsset, ...] = ()
    try:
        found = tuple(job.assets(service.send, address, result)) if job.assets else ()
    except JobfetchError as error:
        if _ends_the_job(error):
            raise
        # the result itself is here: what it links to may be gone before it
        lost = (StoredAsset(path="links", file=None, bytes=None, sha256=None, error=error.message),)

    def anew(path: str) -> Request | None:
        links = job.assets(service.send, address, result) if job.assets else ()
        return next((asset.request for asset in links if asset.path == path), None)

    parts = job.parts(address, reply.document) if job.parts else None
    if not found and not parts:
        return lost
    place = export.folder(_assets_folder(wanted, job_id))
    stored = tuple(_asset(service, place, number, asset, anew) for number, asset in enumerate(found, start=1))
    return (*lost, *stored, *((_walked(service, place, parts),) if parts else ()))


def _asset(
    service: Service, place: Path, number: int, asset: Asset, anew: Callable[[str], Request | None]
) -> StoredAsset:
    """Store one linked file; one that cannot be had is told of, and does not stop the others.

    A link that is refused is resolved `anew` once.
    """
    try:
        with export.spool(place) as spool:
            reply = service.follow(asset.request, spool)
            if _refused_link(service, reply) and (fresh := anew(asset.path)):
                reply = service.follow(fresh, spool)
            _checked(service, reply)
            if reply.media_type == "text/html" and not asset.page:
                raise BadReply("the link answers with a web page")
            spool.seek(0)
            name = f"{number:04d}{_SUFFIXES.get(reply.media_type, '.bin')}"
            return _stored(place / name, asset.path, iter(partial(spool.read, 1024 * 1024), b""))
    except JobfetchError as error:
        if _ends_the_job(error):
            raise
        return StoredAsset(path=asset.path, file=None, bytes=None, sha256=None, error=error.message)


def _walked(service: Service, place: Path, parts: Parts) -> StoredAsset:
    """Store what comes window by window, a line each; fewer than promised is told of."""
    lines: list[bytes] = []
    path, problem = f"links.{parts.name}", None
    try:
        for request in parts.requests:
            document = _checked(service, service.follow(request)).document
            raw = next((raw for path in parts.paths if (raw := document.raw(path)) is not None), document.whole)
            window = [compact(bytes(element)) + b"\n" for element in elements(raw)]
            # a server that repeats itself, or never ends, is not walked for ever
            repeated = bool(window) and window == lines[-len(window) :]
            lines += [] if repeated else window
            if not window or repeated or len(lines) > parts.count:
                break
    except JobfetchError as error:
        if _ends_the_job(error):
            raise
        problem = error.message
    if len(lines) != parts.count:
        problem = f"{len(lines)} of {parts.count} {parts.name} came" + (f": {problem}" if problem else "")
    return _stored(place / f"{parts.name}{PARTS_SUFFIX}", path, lines, problem)


def _ends_the_job(error: JobfetchError) -> bool:
    """Whether linked files must wait for another run: nothing of theirs is lost by coming back."""
    return _ends_the_run(error) or isinstance(error, StillRunning)


def _stored(path: Path, link: str, chunks: Iterable[bytes], problem: str | None = None) -> StoredAsset:
    digest = hashlib.sha256()
    with export.replacing(path) as file:
        for chunk in chunks:
            digest.update(chunk)
            file.write(chunk)
        length = file.tell()
    name = f"{path.parent.name}/{path.name}"
    return StoredAsset(path=link, file=name, bytes=length, sha256=digest.hexdigest(), error=problem)


def _assets_folder(wanted: Wanted, job_id: str) -> Path:
    if wanted.output is None:
        raise UsageError("--assets needs a place for the files", hint="name one with -o FILE or -o FOLDER/")
    return (wanted.output if wanted.folder else wanted.output.parent) / f"{export.safe_name(job_id)}.assets"


def _with_failures(status: Status, stored: tuple[StoredAsset, ...]) -> Status:
    """The status, partial where a linked file could not be had."""
    lost = tuple(FailedItem(asset.path, asset.error) for asset in stored if asset.error)
    if not lost or status.state not in {State.SUCCEEDED, State.PARTIAL}:
        return status
    return replace(status, state=State.PARTIAL, failed_items=(*status.failed_items, *lost))


# --- where it goes ---


@contextmanager
def _opened(path: Path | None) -> Iterator[BinaryIO]:
    """A file to fill, which appears whole: at its path, or on standard output once nothing can fail any more."""
    if path is not None:
        with export.replacing(path) as file:
            yield file
        return
    with export.spool() as spool:
        yield spool
        export.to_stdout(spool)


def _write_table(run: _Run, job_ids: list[str], wrote: Callable[[Path, bool], None]) -> None:
    """The rows of all jobs, sorted by job id; nothing where no job gave any.

    Rows of some of the jobs never take the place of a table that is there: it may hold what cannot be had again.
    """
    table = run.wanted.table
    if not run.rows:
        return
    if table and len(run.rows) < len(job_ids) and table.is_file():
        wrote(table, False)  # noqa: FBT003 - written, or left
        return
    rows = [row for job_id in sorted(run.rows) for row in run.rows[job_id]]
    with _opened(table) as file:
        if run.wanted.format is Format.CSV:
            export.write_csv(rows, file, flatten.text)
        else:
            export.write_ndjson(rows, file)
    if table:
        wrote(table, True)  # noqa: FBT003 - written, or left
