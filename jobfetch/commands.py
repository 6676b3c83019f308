"""What each command does: wires the real network, disk, clock and terminal to the use-cases, and reports.

It parses nothing (see `cli`) and decides nothing about jobs (see `fetch`).
"""

from __future__ import annotations

import contextlib
import os
import shlex
import signal
import subprocess
import sys
import tempfile
import time
import traceback
from collections import Counter
from collections.abc import Callable, Iterator, Mapping
from dataclasses import dataclass, field
from datetime import UTC, datetime
from functools import partial
from pathlib import Path
from typing import Any, NoReturn

from jobfetch import __version__, config, credentials, export, fetch, limits, records
from jobfetch.demo import NEXT, SCENES
from jobfetch.errors import (
    MEANINGS,
    ConfigError,
    CredentialsError,
    Exit,
    Interrupted,
    JobfetchError,
    Terminated,
    UsageError,
)
from jobfetch.model import Deadline, Format, Json, Outcome, Verdict, combined, decode, encode
from jobfetch.providers import PROVIDERS
from jobfetch.sandbox import BEHAVIOURS, Sandbox
from jobfetch.spec import Address, Param, Provider, Schedule, check_job_id
from jobfetch.transport import PARSE_LIMIT, Transport, Wire
from jobfetch.ui import Ui

WAIT_TIMEOUT = 3600.0
LOOK_TIMEOUT = 120.0


@dataclass(frozen=True, slots=True, kw_only=True)
class Common:
    """Options that every command takes."""

    json: bool = False
    quiet: bool = False
    verbose: int = 0


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


@dataclass(slots=True, kw_only=True)
class Report:
    """What a command has to show for itself so far; it becomes the verdict, however the command ends."""

    provider: str | None = None
    outcomes: list[Outcome] = field(default_factory=list)
    stdout_is_data: bool = False
    data: Json = None
    outputs: list[str] = field(default_factory=list)

    def verdict(self, error: JobfetchError | None = None) -> Verdict:
        """The verdict on all jobs, or on the error that ended the run."""
        counts = Counter(outcome.state or outcome.exit.outcome for outcome in self.outcomes)
        bad = [outcome for outcome in self.outcomes if outcome.error]
        code = error.exit if error else combined([outcome.exit for outcome in self.outcomes])
        shown = next((outcome for outcome in bad if outcome.exit is code), bad[0] if bad else None)
        backs = [outcome.error.retry_at for outcome in bad if outcome.error and outcome.error.retry_at]
        return Verdict(
            exit=code,
            counts=dict(sorted((str(state), number) for state, number in counts.items())),
            outputs=tuple(dict.fromkeys([*self.outputs, *(f for outcome in self.outcomes for f in outcome.files)])),
            error=error or (shown.error if shown else None),
            provider=self.provider,
            job_id=None if error or not shown else shown.job_id,
            retry_at=(error.retry_at if error else None) or min(backs, default=None),
            data=self.data,
        )


def run(common: Common, work: Callable[[Ui, Report], None]) -> int:
    """Do a command's work and report: the exit code, with the verdict or the error said where it belongs."""
    ui = Ui(quiet=common.quiet, verbose=common.verbose, environ=os.environ)
    report = Report()
    error: JobfetchError | None = None
    with _signals():
        try:
            work(ui, report)
        except JobfetchError as raised:
            error = raised
        except KeyboardInterrupt:
            error = Interrupted("interrupted", hint="run the same line again: it goes on where this run stopped")
        except Exception as bug:  # noqa: BLE001 - the edge: a bug becomes exit code 1, and its traceback is scrubbed
            return _bug(ui, bug, verbose=common.verbose)
        finally:
            ui.stop()
    return _say(ui, common, report, report.verdict(error))


def _say(ui: Ui, common: Common, report: Report, verdict: Verdict) -> int:
    if verdict.exit is Exit.READER_GONE:
        return int(verdict.exit)
    if common.json:
        line = ui.scrub(encode(verdict.as_json()).decode()) + "\n"
        if report.stdout_is_data:
            sys.stderr.write(line)
            sys.stderr.flush()
        else:
            try:
                export.to_stdout(line.encode())
            except JobfetchError as error:
                return int(error.exit)
    elif verdict.error:
        told = [outcome.error for outcome in report.outcomes if outcome.error]
        for each in told if verdict.error in told else [*told, verdict.error]:
            ui.error(each)
    return int(verdict.exit)


def _bug(ui: Ui, bug: Exception, *, verbose: int) -> int:
    if verbose:
        ui.block("".join(traceback.format_exception(bug)))
    ui.block(f"error: a bug in jobfetch: {type(bug).__name__} (-v shows where)")
    return int(Exit.BUG)


@contextlib.contextmanager
def _signals() -> Iterator[None]:
    """SIGTERM ends the command like Ctrl-C does: in order, with a verdict."""

    def terminate(*_: Any) -> NoReturn:
        raise Terminated("terminated", hint="run the same line again: it goes on where this run stopped")

    before = signal.signal(signal.SIGTERM, terminate)
    try:
        yield
    finally:
        signal.signal(signal.SIGTERM, before)


# --- get and status ---


@dataclass(frozen=True, slots=True, kw_only=True)
class Output:
    """Where results go and in what shape, as typed."""

    path: str | None = None
    format: str | None = None
    assets: bool = False
    query: str | None = None
    reproducible: bool = False
    allow_partial: bool = False


def get(provider: str, job_ids: list[str], common: Common, network: Network, output: Output, *, wait: bool) -> int:
    """Wait for jobs if asked to, fetch what they made, and keep it."""

    def work(ui: Ui, report: Report) -> None:
        started = time.monotonic()
        spec, file, ids = _begin(provider, job_ids, report)
        wanted = _wanted(output, file.defaults, many=len(ids) > 1)
        report.stdout_is_data = wanted.output is None
        with _connected(spec, network, file, ui, started, wait=wait) as (service, waiting):
            for outcome in fetch.get(service, waiting, wanted, ids):
                report.outcomes.append(outcome)
                for path in outcome.files[:1] if not wanted.format.tabular else ():
                    ui.note(f"{outcome.job_id}: {outcome.state}, wrote {path}")
        if wanted.format.tabular and wanted.table and any(outcome.files for outcome in report.outcomes):
            ui.note(f"wrote {wanted.table}")

    return run(common, work)


def status(provider: str, job_ids: list[str], common: Common, network: Network) -> int:
    """Ask for the state of jobs, and fetch nothing."""

    def work(ui: Ui, report: Report) -> None:
        started = time.monotonic()
        spec, file, ids = _begin(provider, job_ids, report)
        report.data = []
        with _connected(spec, network, file, ui, started, wait=False) as (service, waiting):
            for outcome, told in fetch.states(service, waiting, ids):
                report.outcomes.append(outcome)
                report.data.append(told)
                if not common.json:
                    export.to_stdout(_state_line(told).encode())

    return run(common, work)


def _state_line(told: Mapping[str, Json]) -> str:
    cells = [
        told["job_id"],
        told["state"] or told["outcome"],
        told["provider_state"],
        told["progress"],
        told["message"],
    ]
    return (
        "\t".join("-" if cell is None else f"{cell:g} %" if isinstance(cell, float) else str(cell) for cell in cells)
        + "\n"
    )


def _begin(name: str, job_ids: list[str], report: Report) -> tuple[Provider, config.File, list[str]]:
    spec = PROVIDERS[name]
    report.provider = name
    ids = list(dict.fromkeys(check_job_id(spec, job_id) for job_id in job_ids))
    file = config.read(os.environ)
    file.check(PROVIDERS)
    return spec, file, ids


_SUFFIXES = {".json": "json", ".csv": "csv", ".ndjson": "ndjson", ".jsonl": "ndjson"}


def _wanted(output: Output, defaults: config.Defaults, *, many: bool) -> fetch.Wanted:
    said = output.path or defaults.output
    path = None if said in {None, "-"} else Path(said or "")
    name = output.format or _SUFFIXES.get(path.suffix.lower() if path else "") or defaults.format or "json"
    if name not in list(Format):
        raise ConfigError(f"[defaults] format {name!r} is none of {', '.join(Format)}")
    shape = Format(name)
    ends_as_folder = (said or "").endswith(("/", os.sep))
    folder = path is not None and (path.is_dir() or ends_as_folder or (many and not shape.tabular))
    if folder and path and path.exists() and not path.is_dir():
        raise UsageError(f"-o {path} is a file, and several results need a folder")
    if output.query and shape is not Format.JSON:
        raise UsageError(f"--query reads the record, so it goes with -f json and not with {shape}")
    if many and shape is Format.RAW and path is None:
        raise UsageError("-f raw with several ids needs a folder", hint="name one with -o FOLDER/")
    if output.assets and path is None:
        raise UsageError("--assets needs a place for the files", hint="name one with -o FILE or -o FOLDER/")
    return fetch.Wanted(
        format=shape,
        output=path,
        folder=folder,
        assets=output.assets,
        reproducible=output.reproducible,
        allow_partial=output.allow_partial,
        query=records.query(output.query) if output.query else None,
    )


@contextlib.contextmanager
def _connected(
    spec: Provider, network: Network, file: config.File, ui: Ui, started: float, *, wait: bool
) -> Iterator[tuple[fetch.Service, fetch.Waiting]]:
    """The service with its settings, credentials and connections, and how long to wait for it."""
    values = config.resolve(spec, network.options, file, os.environ, network.profile)
    params = _complete(spec, {name: value.text for name, value in values.items()})
    secrets = _secrets(spec, network, ui)
    allowed = network.timeout or file.defaults.timeout or (WAIT_TIMEOUT if wait else LOOK_TIMEOUT)
    deadline = Deadline(started + limits.duration(str(allowed)), time.monotonic)
    wire = Wire(
        deadline=deadline,
        user_agent=f"jobfetch/{__version__}",
        ca_bundle=network.ca_bundle,
        parse_limit=limits.size(network.parse_limit) if network.parse_limit else PARSE_LIMIT,
    )
    transport = Transport(
        wire,
        deadline=deadline,
        errors=spec.errors,
        retries=network.retries,
        now=_now,
        sleep=time.sleep,
        notify=ui.detail,
    )
    signer = credentials.signer(spec, params, secrets, send=transport.send, clock=time.monotonic, learn=ui.learn)
    send = partial(transport.send, signer=signer)
    try:
        yield (
            fetch.Service(
                provider=spec, address=Address(base_url=params["base_url"], params=params), send=send, now=_now
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
    return Schedule(start=seconds, factor=1.0, cap=seconds, gap=schedule.gap, stuck_after=schedule.stuck_after)


def _secrets(spec: Provider, network: Network, ui: Ui) -> dict[str, str]:
    """Every secret of the provider: from standard input where asked for, else from the environment."""
    found = {name: value.text for name, value in config.secrets(spec, os.environ).items()}
    if network.secret_stdin:
        found = _from_stdin(spec, sys.stdin.read().strip("\r\n"), found)
    for secret in found.values():
        ui.learn(secret)
    return found


def _from_stdin(spec: Provider, text: str, found: Mapping[str, str]) -> dict[str, str]:
    """One secret as plain text, several as a JSON object; what is given beats what the environment holds."""
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
    # the one that is expected: the last scheme whose other settings are likely there
    name = names[-1] if len(names) > 1 and names[0] not in found else names[0]
    return {name: text}


# --- providers ---


def providers_list(common: Common) -> int:
    """Every provider, a line each."""

    def work(_: Ui, report: Report) -> None:
        report.data = [{"name": p.name, "title": p.title, "docs": p.docs} for p in PROVIDERS.values()]
        if not common.json:
            export.to_stdout("".join(f"{p.name:10} {p.title}\n" for p in PROVIDERS.values()).encode())

    return run(common, work)


def providers_show(name: str, common: Common) -> int:
    """Everything that a provider takes and knows."""

    def work(_: Ui, report: Report) -> None:
        if name not in PROVIDERS:
            raise UsageError(f"there is no provider {name!r}", hint=f"there are: {', '.join(PROVIDERS)}")
        report.provider = name
        report.data = _shown(PROVIDERS[name])
        if not common.json:
            export.to_stdout(_as_text(report.data).encode())

    return run(common, work)


def _shown(spec: Provider) -> dict[str, Json]:
    def param(each: Param, *, secret: bool = False) -> dict[str, Json]:
        told: dict[str, Json] = {"name": each.name, "help": each.help}
        told |= {} if secret else {"option": each.option}
        return told | {"env": [f"JOBFETCH_{spec.name}_{each.name}".upper(), *each.env], "required": each.required}

    return {
        "name": spec.name,
        "title": spec.title,
        "docs": spec.docs,
        "notes": list(spec.notes),
        "settings": [param(each) for each in config.params_of(spec)],
        "secrets": [param(each, secret=True) for each in spec.auth.secrets],
        "states": {word: str(state) for word, state in spec.job.words.states.items()},
        "rows": [{"kind": rows.kind or "the member's name", "each": list(rows.each)} for rows in spec.rows.kinds],
        "left_out_of_rows": dict(spec.rows.left_out),
    }


def _as_text(told: Mapping[str, Json]) -> str:
    lines = [f"{told['name']}: {told['title']}", f"documents: {told['docs']}", *told["notes"], "", "settings:"]
    lines += [f"  {p['option']:14} {p['help']}\n{'':17}{', '.join(p['env'])}" for p in told["settings"]]
    lines += ["", "secrets (no option takes their value):"]
    lines += [f"  {p['name']:14} {p['help']}\n{'':17}{', '.join(p['env'])}" for p in told["secrets"]]
    lines += ["", "states (any other word is taken as running):"]
    lines += [f"  {word:14} {state}" for word, state in told["states"].items()]
    return "\n".join(lines) + "\n"


# --- sandbox ---


def sandbox_jobs(common: Common) -> int:
    """What the sandbox plays, by job id."""

    def work(_: Ui, report: Report) -> None:
        report.data = [
            {"provider": b.provider, "job_id": b.job_id, "name": b.name, "exit_code": b.exit_code, "what": b.what}
            for b in BEHAVIOURS
        ]
        if not common.json:
            lines = [f"{b.provider:9} {b.job_id:22} {b.exit_code:3}  {b.what}\n" for b in BEHAVIOURS]
            export.to_stdout("".join(lines).encode())

    return run(common, work)


def sandbox_serve(port: int, storage_port: int, pace: float, common: Common) -> int:
    """Play the services until interrupted."""

    def work(ui: Ui, report: Report) -> None:
        with _sandbox(port, storage_port, pace) as box:
            report.data = box.environment()
            lines = [f"export {name}={shlex.quote(value)}\n" for name, value in box.environment().items()]
            export.to_stdout(encode(report.data) + b"\n" if common.json else "".join(lines).encode())
            report.stdout_is_data = True
            ui.note(f"playing the services at {box.url}, foreign storage at {box.storage_url}; Ctrl-C ends it")
            signal.pause()

    return run(common, work)


def sandbox_run(command: list[str], pace: float, common: Common) -> int:
    """Run a command against a sandbox of its own; its exit code is ours."""
    code = int(Exit.DONE)

    def work(ui: Ui, report: Report) -> None:
        nonlocal code
        report.stdout_is_data = True
        with _sandbox(0, 0, pace) as box, tempfile.TemporaryDirectory() as home:
            try:
                code = subprocess.run(command, env=apart(box.environment(), Path(home)), check=False).returncode  # noqa: S603
            except OSError as error:
                raise UsageError(f"{command[0]} cannot be run: {error.strerror}") from None
            ui.detail(f"the sandbox was asked {len(box.asked())} times")

    ended = run(common, work)
    return ended or (code if code >= 0 else 128 - code)


def apart(environment: Mapping[str, str], home: Path) -> dict[str, str]:
    """An environment that reaches the sandbox and nothing real: no setting, secret, file or proxy of the user's."""
    vendors = {name for spec in PROVIDERS.values() for p in (*spec.settings, *spec.auth.secrets) for name in p.env}
    vendors |= {name for spec in PROVIDERS.values() for name in spec.base_url_env}
    kept = {
        name: value
        for name, value in os.environ.items()
        if name not in vendors and not name.startswith("JOBFETCH_") and not name.lower().endswith("_proxy")
    }
    folders = {"JOBFETCH_CONFIG_DIR": str(home / "config"), "JOBFETCH_STATE_DIR": str(home / "state")}
    return {**kept, **environment, **folders}


@contextlib.contextmanager
def _sandbox(port: int, storage_port: int, pace: float) -> Iterator[Sandbox]:
    try:
        with Sandbox(port=port, storage_port=storage_port, pace=pace) as box:
            yield box
    except OSError as error:
        raise UsageError(f"the sandbox cannot listen: {error.strerror}", hint="name another --port") from None


# --- demo ---


def demo(output: str, common: Common) -> int:
    """Show real commands and their real output, against an embedded sandbox."""

    def work(ui: Ui, report: Report) -> None:
        place = export.folder(Path(output))
        ids = {b.name: b.job_id for b in BEHAVIOURS if b.provider == "cognite"}
        with _sandbox(0, 0, 0.5) as box, tempfile.TemporaryDirectory() as home:
            environment = apart(box.environment(), Path(home))
            ui.note(f"A sandbox plays the services at {box.url}; nothing real is asked or read.")
            for scene in SCENES:
                words = [word.format(dir=place, **ids) for word in scene.arguments]
                ui.note("")
                ui.note(f"# {scene.says}")
                ui.note(f"$ jobfetch {shlex.join(words)}")
                code = subprocess.run(  # noqa: S603 - this very program, with words of its own
                    [sys.executable, "-m", "jobfetch", *words], env=environment, check=False
                ).returncode
                ui.note(f"exit code {code}: {MEANINGS[Exit(code)]}")
        report.outputs = [str(path) for path in sorted(place.rglob("*")) if path.is_file()]
        ui.note("")
        ui.note("What it wrote:")
        for path in report.outputs:
            ui.note(f"  {path}  {Path(path).stat().st_size} bytes")
        ui.note("")
        ui.block(NEXT)

    return run(common, work)
