"""`get` and `status`: from what was typed to a service with settings, credentials and connections, and back."""

from __future__ import annotations

import contextlib
import os
import sys
import time
from collections.abc import Callable, Iterator, Mapping
from dataclasses import dataclass, fields, replace
from datetime import UTC, datetime
from functools import partial
from pathlib import Path
from typing import Any

from jobfetch import __version__, config, credentials, disk, export, fetch, limits, records
from jobfetch.commands.report import Common, Report, run
from jobfetch.errors import ConfigError, CredentialsError, DiskError, JobfetchError, UsageError
from jobfetch.model import Deadline, Format, Json, decode, encode
from jobfetch.providers import PROVIDERS
from jobfetch.spec import Address, ClientCredentials, Provider, Schedule, check_job_id
from jobfetch.transport import PARSE_LIMIT, Gate, Transport, Wire
from jobfetch.ui import Ui

WAIT_TIMEOUT = 3600.0
LOOK_TIMEOUT = 120.0


@dataclass(frozen=True, slots=True, kw_only=True)
class Network:
    """Options of every command that asks a service."""

    options: Mapping[str, str | None]
    profile: str | None = None
    secret_stdin: bool = False
    timeout: str | None = None
    interval: str | None = None
    retries: int = 4
    ca_bundle: str | None = None
    parse_limit: str | None = None


@dataclass(frozen=True, slots=True, kw_only=True)
class Output:
    """Where results go and in what shape, as typed."""

    path: str | None = None
    format: str | None = None
    assets: bool = False
    rows: str | None = None
    query: str | None = None
    reproducible: bool = False
    allow_partial: bool = False


def get(provider: str, job_ids: list[str], common: Common, network: Network, output: Output, *, wait: bool) -> int:
    """Wait for jobs if asked to, fetch what they made, and keep it."""

    def work(ui: Ui, report: Report) -> None:
        started = time.monotonic()
        spec, file, ids = begin(provider, job_ids, report, network, output)
        wanted = _wanted(spec, output, file.defaults, many=len(ids) > 1)
        report.stdout_is_data = wanted.output is None
        with connected(spec, network, file, ui, started, wait=wait) as (service, waiting):
            for outcome in fetch.get(service, waiting, wanted, ids, partial(_wrote, ui, report)):
                report.outcomes.append(outcome)
                for path in outcome.files[:1] if not wanted.format.tabular else ():
                    ui.note(f"{outcome.job_id}: {outcome.state}, wrote {path}")

    return run(common, work)


def _wrote(ui: Ui, report: Report, table: Path, written: bool) -> None:  # noqa: FBT001 - told as it comes
    if written:
        report.outputs.append(str(table))
        ui.note(f"wrote {table}")
    else:
        ui.warn(f"{table} is left as it is: not every job gave rows, and it may hold what cannot be had again")


def status(provider: str, job_ids: list[str], common: Common, network: Network) -> int:
    """Ask for the state of jobs, and fetch nothing."""

    def work(ui: Ui, report: Report) -> None:
        started = time.monotonic()
        spec, file, ids = begin(provider, job_ids, report, network)
        report.data = []
        # the states are this command's data: no second telling of them on standard error
        report.states_told, ui.tells_states = True, False
        with connected(spec, network, file, ui, started, wait=False) as (service, waiting):
            for outcome, told in fetch.states(service, waiting, ids):
                report.outcomes.append(outcome)
                report.data.append(told)
                if not common.json:
                    export.to_stdout(_state_line(ui, told).encode())

    return run(common, work)


def _state_line(ui: Ui, told: Mapping[str, Json]) -> str:
    cells = [
        told["job_id"],
        told["state"] or ("unknown" if told["outcome"] == "running" else told["outcome"]),
        told["provider_state"],
        told["progress"],
        told["message"],
    ]
    texts = ["-" if cell is None else f"{cell:g} %" if isinstance(cell, float) else str(cell) for cell in cells]
    return "\t".join(map(ui.safe, texts)) + "\n"


def refuse_empty(network: Network, output: Any) -> None:
    """An option with nothing in it is a variable that was not set, and must not mean the default."""
    for given in (network, output):
        for each in fields(given) if given else ():
            if getattr(given, each.name) == "":
                raise UsageError(f"--{each.name.replace('_', '-')} is empty", hint="is a shell variable not set?")


def begin(
    name: str, job_ids: list[str], report: Report, network: Network, output: Output | None = None
) -> tuple[Provider, config.File, list[str]]:
    """The provider, config.toml and the job ids, all checked."""
    refuse_empty(network, output)
    spec = PROVIDERS[name]
    report.provider = name
    ids = list(dict.fromkeys(check_job_id(spec, job_id) for job_id in job_ids))
    file = config.read(os.environ)
    file.check(PROVIDERS)
    return spec, file, ids


_SUFFIXES = {".json": "json", ".csv": "csv", ".ndjson": "ndjson", ".jsonl": "ndjson"}


def _wanted(spec: Provider, output: Output, defaults: config.Defaults, *, many: bool) -> fetch.Wanted:
    said = output.path or defaults.output
    path = None if said in {None, "-"} else Path(said or "")
    name = output.format or _SUFFIXES.get(path.suffix.lower() if path else "") or defaults.format or "json"
    if name not in list(Format):
        raise ConfigError(f"[defaults] format {name!r} is none of {', '.join(Format)}")
    shape = Format(name)
    ends_as_folder = (said or "").endswith(("/", os.sep))
    folder = False
    with disk.explained(path or Path("-")):
        folder = path is not None and (path.is_dir() or ends_as_folder or (many and not shape.tabular))
        if folder and path and path.exists() and not path.is_dir():
            raise UsageError(f"-o {path} is a file, and several results need a folder")
        if path and not folder and not path.parent.is_dir():
            # found out now, and not after an hour of waiting
            raise DiskError(f"{path.parent} is no folder", hint="make it first, or name another place with -o")
    if output.query and shape is not Format.JSON:
        raise UsageError(f"--query reads the record, so it goes with -f json and not with {shape}")
    if output.rows and output.rows not in spec.rows.named:
        views = ", ".join(spec.rows.named) or "none"
        raise UsageError(f"{spec.name} has no view {output.rows!r} (there is: {views})")
    if output.rows and not shape.tabular:
        raise UsageError(f"--rows gives a table, so it goes with -f csv or ndjson and not with {shape}")
    if many and shape is Format.RAW and path is None:
        raise UsageError("-f raw with several ids needs a folder", hint="name one with -o FOLDER/")
    if output.assets and path is None:
        raise UsageError("--assets needs a place for the files", hint="name one with -o FILE or -o FOLDER/")
    return fetch.Wanted(
        format=shape,
        output=path,
        folder=folder,
        assets=output.assets,
        rows=output.rows,
        reproducible=output.reproducible,
        allow_partial=output.allow_partial,
        query=records.query(output.query) if output.query else None,
    )


@contextlib.contextmanager
def connected(
    spec: Provider,
    network: Network,
    file: config.File,
    ui: Ui,
    started: float,
    *,
    wait: bool,
    gate: Callable[[Deadline], Gate] | None = None,
    allowed: float = LOOK_TIMEOUT,
) -> Iterator[tuple[fetch.Service, fetch.Waiting]]:
    """The service with its settings, credentials and connections, and how long to wait for it.

    `allowed` are the seconds that the command may take without `wait`, where nobody says how long.
    """
    values = config.resolve(spec, network.options, file, os.environ, network.profile)
    params = _complete(spec, {name: value.text for name, value in values.items()})
    secrets = _secrets(spec, params, network, ui)
    deadline = Deadline(started + _allowed(network, file, WAIT_TIMEOUT if wait else allowed), time.monotonic)
    wire = Wire(
        deadline=deadline,
        user_agent=f"jobfetch/{__version__}",
        ca_bundle=network.ca_bundle,
        parse_limit=limits.size(network.parse_limit) if network.parse_limit else PARSE_LIMIT,
    )
    # as it will be connected to: what is compared with it later has been through the same
    params["base_url"] = wire.address(params["base_url"])
    transport = Transport(
        wire,
        deadline=deadline,
        errors=spec.errors,
        home=params["base_url"],
        retries=network.retries,
        now=_now,
        sleep=time.sleep,
        notify=ui.detail,
        gate=gate(deadline) if gate else None,
    )
    signer = credentials.signer(spec, params, secrets, send=transport.send, clock=time.monotonic, learn=ui.learn)
    send = partial(transport.send, signer=signer)
    try:
        yield (
            fetch.Service(
                provider=spec,
                address=Address(base_url=params["base_url"], params=params),
                send=send,
                now=_now,
                scrub=ui.scrub_all,
            ),
            fetch.Waiting(
                deadline=deadline,
                wait=wait,
                schedule=_schedule(spec.job.schedule, network.interval),
                watcher=ui,
                sleep=time.sleep,
            ),
        )
    finally:
        wire.close()


def _allowed(network: Network, file: config.File, otherwise: float) -> float:
    """Seconds that the whole command may take."""
    if network.timeout is not None:
        return limits.duration(network.timeout)
    if file.defaults.timeout is None:
        return otherwise
    try:
        return limits.duration(str(file.defaults.timeout))
    except UsageError as error:
        raise ConfigError(f"{file.path}: defaults.timeout: {error.message}", hint=error.hint) from None


def _now() -> datetime:
    return datetime.now(UTC)


def _complete(spec: Provider, params: dict[str, str]) -> dict[str, str]:
    for param in spec.settings:
        if param.required and not params.get(param.name):
            variable = f"JOBFETCH_{spec.name}_{param.name}".upper()
            raise ConfigError(
                f"{spec.name} needs {param.name} ({param.help})",
                hint=f"give {param.option}, set {variable}, or put {param.name} under [{spec.name}] in config.toml",
            )
    return params


def _schedule(schedule: Schedule, interval: str | None) -> Schedule:
    if not interval:
        return schedule
    seconds = max(limits.duration(interval), 0.05)
    return replace(schedule, start=seconds, factor=1.0, cap=seconds)


def _secrets(spec: Provider, params: Mapping[str, str], network: Network, ui: Ui) -> dict[str, str]:
    """Every secret of the provider: what standard input holds where that was asked for, else the environment's."""
    if network.secret_stdin:
        found = _from_stdin(spec, params, _piped())
    else:
        found = {name: value.text for name, value in config.secrets(spec, os.environ).items()}
    for secret in found.values():
        ui.learn(secret)
    return found


def _piped() -> str:
    """What standard input holds, without the line end and the mark that tools leave around it."""
    try:
        return sys.stdin.buffer.read().decode("utf-8-sig").strip() if sys.stdin else ""
    except UnicodeDecodeError:
        raise CredentialsError("standard input is not UTF-8", hint="pipe the secret as plain text") from None


def _from_stdin(spec: Provider, params: Mapping[str, str], text: str) -> dict[str, str]:
    """One secret as plain text, several as a JSON object."""
    names = [param.name for param in spec.auth.secrets]
    if text.startswith("{"):
        with contextlib.suppress(JobfetchError):
            given = decode(text.encode())
            if isinstance(given, dict) and all(name in names and isinstance(v, str) for name, v in given.items()):
                return {**given}
        raise CredentialsError(
            f"standard input holds an object that is not one of text under {' or '.join(names)}",
            hint="pipe the plain secret, or for example " + encode({names[0]: "..."}).decode(),
        )
    if not text:
        raise CredentialsError("--secret-stdin, but standard input is empty")
    return {_expected(spec, params): text}


def _expected(spec: Provider, params: Mapping[str, str]) -> str:
    """Which secret a plain one is: the one whose other settings are there."""
    for scheme in spec.auth.schemes:
        if isinstance(scheme, ClientCredentials) and params.get(scheme.client_id) and params.get(scheme.token_url):
            return scheme.secret
    return spec.auth.schemes[0].secret
