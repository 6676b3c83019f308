"""The use-cases, every step in order: READ THIS FIRST. Wait for jobs, fetch what they made, keep it, say what came.

It wires nothing: the network (`send`), the clock and whoever watches are handed in. Beside it, for one job: `service` (the
provider with its address, and what is wanted of it), `linked` (files that a result links to) and `hearing` (hash and JSON
check on the way). For many jobs: `download` (folders) -> `batch` (the jobs of one) -> `attempt` (one job) -> `kept`, with
`sources` (ids), `workers` (threads), `streak`, `plan` (what they share) and `after` (failures, tables). For records read
again: `found` (where they are), `saved` (what is in them), `rows`.

    get:  look -> wait -> (result request) -> check -> assets -> record or rows -> file or stdout -> Outcome
"""

from __future__ import annotations

import os
from collections.abc import Callable, Iterable, Iterator
from contextlib import contextmanager
from functools import partial
from pathlib import Path
from typing import Any, BinaryIO

from msgspec import Struct
from msgspec.structs import replace

from jobfetch import disk, export, poll, records
from jobfetch.blocks import Block, Held
from jobfetch.errors import Exit, JobFailed, JobfetchError, Partial, ResultGone
from jobfetch.fetch import linked
from jobfetch.fetch.hearing import checked_json, hashed, overheard
from jobfetch.fetch.rows import Maker, maker
from jobfetch.fetch.service import SMALL, Service, Waiting, Wanted, checked, ends_the_run, resolved
from jobfetch.model import Format, Json, Outcome, State, Status, StoredAsset, promised_json, rfc3339

__all__ = ["Service", "Waiting", "Wanted", "get", "job", "states", "statuses"]


def statuses(service: Service, waiting: Waiting, job_ids: list[str]) -> Iterator[tuple[str, poll.Ended]]:
    """Each job's last status or error, as it ends; nothing is fetched."""
    looks = {job_id: partial(service.look, job_id) for job_id in job_ids}
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
        if how.error and ends_the_run(how.error):
            raise how.error
        yield job_id, how


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
    run = _Run(service, wanted, {}, maker(service.provider, wanted.rows) if wanted.format.tabular else None)
    if wanted.folder and wanted.output and not wanted.recorded:
        disk.folder(wanted.output)
    for job_id, ended in statuses(service, waiting, job_ids):
        if ended.error or not ended.status:
            yield _ended(job_id, ended.status.state if ended.status else _state_of(ended.error), ended.error)
            continue
        try:
            yield job(run, job_id, ended.status)
        except JobfetchError as error:
            if ends_the_run(error):
                raise
            # the job has ended well or badly, and its result is still to come: the same line fetches it
            yield _ended(job_id, _state_of(error), error)
    _write_table(run, job_ids, wrote)


class _Run(Struct, frozen=True):
    """What the jobs of one run share: the service, what is wanted, and the rows so far by job id."""

    service: Service
    wanted: Wanted
    rows: dict[str, list[Block]]
    make: Maker | None = None


def job(run: _Run, job_id: str, status: Status) -> Outcome:
    """Fetch and keep what one job that has ended has made."""
    service, wanted = run.service, run.wanted
    if status.state is State.GONE:
        return _ended(job_id, status.state, _verdict_on(service, job_id, status))
    path = None if wanted.format.tabular else wanted.path(job_id)
    files = [] if path is None else [path]
    digest = None
    if wanted.format is Format.RAW and not wanted.assets and status.result:
        digest = _stream(service, job_id, status, wanted)
        stored: tuple[StoredAsset, ...] = ()
    else:
        reply = status.reply if status.result is None else resolved(service, job_id, status, None)
        result = reply.document.whole
        stored = linked.assets(service, wanted, job_id, reply) if wanted.assets else ()
        status = linked.with_failures(status, stored)
        files += map(str, linked.places(wanted, job_id, stored))
        if run.make:
            run.rows[job_id] = [*run.make.make(job_id, result, linked.places(wanted, job_id, stored))]
        else:
            pieces = [reply.body] if wanted.format is Format.RAW else _record(run, job_id, status, result, stored)
            if wanted.recorded and path:
                digest = disk.place(path, pieces, wanted.claim)
            else:
                with _opened(wanted, path) as file:
                    file.writelines(pieces)
    forgiven = wanted.allow_partial and status.state is State.PARTIAL
    error = None if forgiven else _verdict_on(service, job_id, status)
    return _ended(job_id, status.state, error, files, linked=stored, digest=digest)


def _record(run: _Run, job_id: str, status: Status, result: bytes, stored: tuple[StoredAsset, ...]) -> list[bytes]:
    fetched_at = None if run.wanted.reproducible else rfc3339(run.service.now())
    name = run.service.provider.name
    record = records.record(name, job_id, status, result, assets=stored, fetched_at=fetched_at, scrub=run.service.scrub)
    return [run.wanted.query(b"".join(record))] if run.wanted.query else record


def _ended(
    job_id: str, state: State | None, error: JobfetchError | None, files: Iterable[str] = (), **more: Any
) -> Outcome:
    code = error.exit if error else Exit.DONE
    return Outcome(job_id=job_id, state=state, exit=code, files=tuple(files), error=error, **more)


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


def _stream(service: Service, job_id: str, status: Status, wanted: Wanted) -> tuple[int, str] | None:
    """Store a result as it comes, without holding it in memory; its length and SHA-256 where a manifest wants them."""
    ears = (checked_json, hashed) if wanted.recorded else (checked_json,)
    with _opened(wanted, wanted.path(job_id)) as file, overheard(file, *ears) as sink:
        reply = resolved(service, job_id, status, sink)
        promised_json(reply)
        _, *digest = sink.heard()
        length = file.tell()
        if length <= SMALL:
            # a refusal can come with HTTP 200: only a look inside tells
            file.seek(0)
            checked(service, replace(reply, body=file.read()))
            file.seek(0, os.SEEK_END)
    return (length, digest[0]) if digest else None


# --- where it goes ---


@contextmanager
def _opened(wanted: Wanted, path: str | Path | None) -> Iterator[BinaryIO]:
    """A file to fill, which appears whole: at its path, or with whoever takes it once nothing can fail any more."""
    if path is not None:
        with (disk.placing if wanted.recorded else disk.replacing)(Path(path), claim=wanted.claim) as file:
            yield file
        return
    with disk.spool() as spool:
        yield spool
        wanted.take(spool)


def _write_table(run: _Run, job_ids: list[str], wrote: Callable[[Path, bool], None]) -> None:
    """The rows of all jobs, sorted by job id; nothing where no job gave any.

    Rows of some of the jobs never take the place of a table that is there: it may hold what cannot be had again.
    """
    if not run.rows:
        return
    table = run.wanted.table
    if table and len(run.rows) < len(job_ids) and table.is_file():
        wrote(table, False)  # noqa: FBT003 - written, or left
        return
    rows = [block for job_id in sorted(run.rows) for block in run.rows[job_id]]
    with _opened(run.wanted, table) as file:
        export.write_table(run.wanted.shape, Held(rows), file)
    if table:
        wrote(table, True)  # noqa: FBT003 - written, or left
