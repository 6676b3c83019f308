"""jobfetch for Python programs: the commands `get` and `batch download` as functions with typed results.

They take the way that the command line takes, and end with the errors that it ends with. They write nothing to any
stream, ask nobody, touch no signal handler, and work in any thread.
"""

from __future__ import annotations

import contextlib
import difflib
import io
import json
import os
import time
from collections.abc import Iterable, Iterator, Mapping
from dataclasses import dataclass, field
from datetime import datetime
from functools import cached_property
from pathlib import Path
from typing import BinaryIO

import pydantic
from msgspec.structs import replace

from jobfetch import config, export, fetch
from jobfetch.blocks import Held
from jobfetch.commands import batch as batches
from jobfetch.commands import jobs as singles
from jobfetch.commands.account import Network, account_of, connected
from jobfetch.commands.report import Report
from jobfetch.errors import BadReply, Exit, JobfetchError, UsageError
from jobfetch.export import Table
from jobfetch.fetch.rows import maker
from jobfetch.fetch.workers import Stop
from jobfetch.manifest import NAME, Manifest
from jobfetch.model import Document, Format, Json, Outcome, State, decode
from jobfetch.providers import PROVIDERS
from jobfetch.record_types import Record
from jobfetch.spec import Provider
from jobfetch.ui import Ui


@dataclass(frozen=True, kw_only=True)
class Result:
    """What one job has made. `files` are its record and linked files, where a folder was named."""

    provider: str
    job_id: str
    state: State
    files: tuple[Path, ...]
    #: the record, where it is in no file
    held: bytes | None = field(default=None, repr=False)

    @property
    def body(self) -> bytes:
        """The record as the command line writes it: one line of JSON, each number as the service wrote it."""
        return self.files[0].read_bytes() if self.held is None else self.held

    @cached_property
    def record(self) -> Record:
        """The record: `state`, times, `message`, `error`, `failed_items`, `assets`, and the service's reply as `result`."""
        try:
            return Record.model_validate_json(self.body)
        except pydantic.ValidationError:
            raise BadReply(f"what is kept of job {self.job_id} is no record", hint="it may be raw bytes") from None

    def rows(self, view: str | None = None) -> list[dict[str, Json]]:
        """A row for the smallest thing found (a prediction, an annotation, a frame), as `-f ndjson` gives it.

        `view` is another view of the result, or a path: what `--rows` takes. `UsageError` where it is neither.
        """
        make = maker(PROVIDERS[self.provider], view).make
        result = Document(self.body).raw("result") or b"{}"
        table = io.BytesIO()
        rows = Held([*make(self.job_id, result, self.files[1:])])
        export.write_table(Table(format=Format.NDJSON), rows, table)
        return [decode(line) for line in table.getvalue().splitlines()]


@dataclass(frozen=True, kw_only=True)
class Batch:
    """What a batch came to. `counts` are jobs by state, `outputs` every file of the run but the jobs' own."""

    exit: Exit
    counts: Mapping[str, int]
    outputs: tuple[Path, ...]
    error: JobfetchError | None
    retry_at: datetime | None

    @property
    def ok(self) -> bool:
        """Whether everything that was asked for is there."""
        return self.exit is Exit.DONE

    def check(self) -> Batch:
        """The batch itself where everything is there; otherwise its error is raised."""
        if self.error and not self.ok:
            raise self.error
        return self

    def results(self) -> Iterator[Result]:
        """Every job of the folders whose file is there, also those of earlier runs; one at a time, as they came."""
        for path in self.outputs:
            manifest = Manifest.read(path.parent) if path.name == NAME else None
            if manifest is None:
                continue
            with manifest:
                for entry in manifest.entries():
                    if entry.file and entry.state:
                        linked = (each.file for each in entry.assets or ())
                        yield Result(
                            provider=manifest.header.provider,
                            job_id=entry.job_id,
                            state=entry.state,
                            files=tuple(path.parent / name for name in (entry.file, *linked)),
                        )


def get(
    provider: str,
    job_id: str | int,
    *,
    wait: bool = False,
    timeout: float | str | None = None,
    interval: float | str | None = None,
    folder: str | os.PathLike[str] | None = None,
    assets: bool = False,
    allow_partial: bool = False,
    secrets: Mapping[str, str] | None = None,
    profile: str | None = None,
    retries: int = 4,
    ca_bundle: str | None = None,
    **settings: object,
) -> Result:
    """Fetch what a job has made, and wait for it first if asked to.

    Args:
        provider: the service's name, for example `cognite`.
        job_id: the job's id there.
        wait: wait until the job has ended.
        timeout: the longest that all of it may take: seconds, or text like `30m`. One hour with `wait`, else two minutes.
        interval: look this often, instead of as the provider's schedule says.
        folder: where the record and linked files go, made if it is not there; without it everything stays in memory.
        assets: fetch linked files as well, into the folder.
        allow_partial: a job that ended with failed items is a success.
        secrets: secrets by name, for example `{"api_key": "..."}`; without them, those of the environment, of files and
            of `credentials.toml` count, as for the command line.
        profile: the profile of `config.toml` to use.
        retries: tries after the first, for each request.
        ca_bundle: file of trusted authorities.
        settings: the provider's settings by name, for example `project`, `base_url`.

    Raises:
        StillRunning: the job has not ended, and was not waited for or the deadline passed; `retry_at` may say when to
            come back.
        JobFailed: it failed or was cancelled; its record is the error's `result`.
        Partial: it ended, and some of its items failed; its record is the error's `result`.
        JobfetchError: anything else of the table in `jobfetch.errors`, by the meanings of the exit codes.

    """
    started = time.monotonic()
    if assets and folder is None:
        raise UsageError("assets need a place for the files", hint="name one with folder=...")
    held: list[bytes] = []
    with _silent() as ui:
        network = _network(provider, settings, secrets, timeout, interval)
        network = replace(network, profile=profile, retries=retries, ca_bundle=ca_bundle)
        account = account_of(provider, Report(), network)
        ids = singles.ids_of(account.provider, [str(job_id)])
        path = "-" if folder is None else f"{_folder(folder)}{os.sep}"
        output = singles.Output(path=path, format=Format.JSON, assets=assets, allow_partial=allow_partial)
        wanted = replace(singles.wanted_of(account, output, many=False), take=lambda spool: held.append(_whole(spool)))
        with connected(account, network, ui, started, wait=wait) as (service, waiting):
            [outcome] = fetch.get(service, waiting, wanted, ids, lambda *_: None)
        result = _result(provider, outcome, held)
        if outcome.error:
            outcome.error.result = result
            raise outcome.error
        if result is None:
            raise AssertionError("a job that succeeded has a record")
        return result


def batch(
    provider: str,
    folder: str | os.PathLike[str],
    *,
    jobs: str | os.PathLike[str] | Iterable[str | int] | None = None,
    format: str = "json",  # noqa: A002 - the name that the option has
    rows: str | None = None,
    assets: bool = False,
    wait: bool = False,
    timeout: float | str | None = None,
    interval: float | str | None = None,
    workers: int | None = None,
    rate: str | None = None,
    limit: int | None = None,
    refresh: bool = False,
    verify: bool = False,
    allow_partial: bool = False,
    secrets: Mapping[str, str] | None = None,
    profile: str | None = None,
    retries: int = 4,
    ca_bundle: str | None = None,
    **settings: object,
) -> Batch:
    """Fetch many jobs into a folder, those that are not there yet: `batch download`; the same call again goes on.

    Args:
        provider: the service's name, for example `playment`.
        folder: the folder to fill, as the command line fills it.
        jobs: the jobs' ids, or a file that holds them; without them, those that the service lists.
        format: `json`, `raw`, or a table beside the records: `csv`, `ndjson`, `parquet`, `sqlite`.
        rows: another view of the results as rows, or a path.
        assets: fetch linked files as well.
        wait: wait for the jobs that still run.
        timeout: the longest that all of it may take: seconds, or text like `30m`. One hour.
        interval: look this often, instead of as the provider's schedule says.
        workers: jobs at a time.
        rate: the most requests in a time, for example `10/s`.
        limit: the first so many jobs only.
        refresh: fetch again what is there.
        verify: trust what is there by its hash, not its size.
        allow_partial: a job that ended with failed items is a success.
        secrets: secrets by name; see `get`.
        profile: the profile of `config.toml` to use.
        retries: tries after the first, for each request.
        ca_bundle: file of trusted authorities.
        settings: the provider's settings and the filters of its list by name, for example `project`, `batch`.

    Returns:
        What the jobs came to, also where some failed or still run: see `Batch.ok` and `Batch.check`.

    Raises:
        JobfetchError: what ended the run for a reason of its own: a credential that is refused, a list that breaks off,
            a disk that is full, a folder in which another run is at work. What was done stays done, and is the error's
            `result`.

    """
    started, report = time.monotonic(), Report()
    with _silent() as ui:
        network = _network(provider, settings, secrets, timeout, interval)
        network = replace(network, profile=profile, retries=retries, ca_bundle=ca_bundle)
        options = batches.Options(
            output=_folder(folder),
            jobs=_jobs(jobs),
            format=format,
            rows=rows,
            assets=assets,
            wait=wait,
            workers=workers,
            rate=rate,
            limit=limit,
            refresh=refresh,
            verify=verify,
            allow_partial=allow_partial,
        )
        if format not in {*Format}:
            raise UsageError(f"there is no format {format!r}", hint=f"there are: {', '.join(Format)}")
        account = account_of(provider, report, network)
        session = batches.Session(account, network, batches.settled(account, options), started)
        named = options.jobs is not None
        try:
            with batches.connected(ui, report, session, named=named, stops=_nobody) as desk:
                batches.conclude(desk, batches.targets_of(desk, account.profile))
        except JobfetchError as error:
            error.result = _batch(ui, report, error)
            raise
        return _batch(ui, report)


# --- what they share ---


@contextlib.contextmanager
def _silent() -> Iterator[Ui]:
    """Nobody to tell anything; an error that comes out has no secret in it."""
    ui = Ui(quiet=True, verbose=0, environ={}, stream=io.StringIO())
    try:
        yield ui
    except JobfetchError as error:
        # what it came from may quote an address with a signature
        raise _scrubbed(ui, error) from None
    finally:
        ui.stop()


def _scrubbed(ui: Ui, error: JobfetchError) -> JobfetchError:
    """The error itself, with no secret in any word of it; its traceback shows the hint as well."""
    for name in ("message", "hint", "code", "request_id"):
        if text := getattr(error, name):
            setattr(error, name, ui.scrub(text))
    error.args = (error.message,)
    error.__notes__ = [f"hint: {error.hint}"] if error.hint else []
    return error


def _nobody() -> contextlib.nullcontext[Stop]:
    # signals belong to the program that calls
    return contextlib.nullcontext(Stop())


def _network(
    provider: str,
    settings: Mapping[str, object],
    secrets: Mapping[str, str] | None,
    timeout: float | str | None,
    interval: float | str | None,
) -> Network:
    if provider not in PROVIDERS:
        near = difflib.get_close_matches(provider, PROVIDERS, 1)
        raise UsageError(
            f"there is no provider {provider!r}",
            hint=f"did you mean {near[0]}?" if near else f"there are: {', '.join(PROVIDERS)}",
        )
    return Network(
        options=_options(PROVIDERS[provider], settings),
        timeout=None if timeout is None else str(timeout),
        interval=None if interval is None else str(interval),
        secret_stdin=secrets is not None,
        secret_text=None if secrets is None else json.dumps(dict(secrets)).encode(),
        secret_place="secrets=",  # noqa: S106 - how an error names the place
    )


def _options(spec: Provider, settings: Mapping[str, object]) -> dict[str, str | None]:
    """Settings as text; `UsageError` for one that the provider does not have."""
    known = {param.name for param in config.params_of(spec)} | {f"{secret.name}_file" for secret in spec.auth.secrets}
    for name in settings.keys() - known:
        if name in {secret.name for secret in spec.auth.secrets}:
            raise UsageError(f"{name} is a secret of {spec.name}", hint=f'give it as secrets={{"{name}": ...}}')
        near = difflib.get_close_matches(name, known, 1)
        raise UsageError(
            f"{spec.name} has no setting {name!r}",
            hint=f"did you mean {near[0]}?" if near else f"there are: {', '.join(sorted(known))}",
        )
    return {name: None if value is None else str(value) for name, value in settings.items()}


def _folder(folder: str | os.PathLike[str]) -> str:
    place = os.fspath(folder)
    if not place:
        raise UsageError("folder is empty", hint="name the folder, or leave it out")
    return str(Path(place))


def _jobs(jobs: str | os.PathLike[str] | Iterable[str | int] | None) -> str | Iterable[str] | None:
    if isinstance(jobs, str | os.PathLike):
        return os.fspath(jobs)
    return None if jobs is None else map(str, jobs)


def _whole(spool: BinaryIO) -> bytes:
    spool.seek(0)
    return spool.read()


def _result(provider: str, outcome: Outcome, held: list[bytes]) -> Result | None:
    """What is there of a job; None where nothing is."""
    if outcome.state is None or not (held or outcome.files):
        return None
    return Result(
        provider=provider,
        job_id=outcome.job_id,
        state=outcome.state,
        files=tuple(map(Path, outcome.files)),
        held=held[0] if held else None,
    )


def _batch(ui: Ui, report: Report, error: JobfetchError | None = None) -> Batch:
    verdict = report.verdict(error)
    return Batch(
        exit=verdict.exit,
        counts=verdict.counts,
        outputs=tuple(map(Path, verdict.outputs)),
        error=verdict.error and _scrubbed(ui, verdict.error),
        retry_at=verdict.retry_at,
    )
