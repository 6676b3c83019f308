"""`batch status`, `batch verify` and `batch retry`: what a folder holds, whether it still does, and what is missing."""

from __future__ import annotations

import shlex
import time
from collections import Counter
from collections.abc import Iterator
from pathlib import Path

from msgspec import Struct
from msgspec.structs import replace

from jobfetch import disk, export
from jobfetch.commands.account import MOST_PATIENCE, Network, account_of, refuse_empty, stdin_text
from jobfetch.commands.batch import Options, Session, conclude, connected, header, settled, taken_by
from jobfetch.commands.ending import announce
from jobfetch.commands.progress import size
from jobfetch.commands.report import Common, Report, run
from jobfetch.errors import (
    ConfigError,
    DiskError,
    Exit,
    Interrupted,
    JobfetchError,
    Partial,
    ReaderGone,
    Terminated,
    UsageError,
    recorded,
)
from jobfetch.fetch import Wanted
from jobfetch.fetch.after import reason
from jobfetch.fetch.attempt import counted
from jobfetch.fetch.download import Target
from jobfetch.fetch.plan import Books
from jobfetch.fetch.sources import Named
from jobfetch.manifest import NAME, Header, Manifest, recorded_folders
from jobfetch.model import Format, Json, Tally
from jobfetch.providers import PROVIDERS
from jobfetch.ui import Ui

#: What is only looked into needs no more than this of what was wanted.
_STRICT = Wanted(format=Format.JSON)

#: What a job counts as whose file is not the one that was written.
MISSING = "file_changed"

#: What is told of a folder in which nothing is recorded yet.
_NOTHING: dict[str, Json] = {
    "provider": None,
    "params": {},
    "jobs": 0,
    "counts": {},
    "bytes": 0,
    "oldest_pending": None,
    "failures": {},
}


def folders_of(place: str) -> list[Path]:
    """The folders that a batch download filled: this one, or those in it. `UsageError` where there is none."""
    top = Path(place)
    with disk.explained(top):
        found = recorded_folders(top) if top.is_dir() else []
    if not found:
        raise UsageError(f"{place} holds no {NAME}", hint="name a folder that a batch download filled")
    return found


# --- status ---


def status(folder: str, common: Common) -> int:
    """Tell what is there, what runs and what failed; nothing is asked of any service."""

    def work(ui: Ui, report: Report) -> None:
        report.tally, report.data = Tally(), []
        for place in folders_of(folder):
            manifest = Manifest.read(place)
            if manifest is None:
                told = {"folder": str(place), **_NOTHING}
            else:
                with manifest:
                    report.provider = manifest.header.provider
                    _warn_of_lines(ui, manifest)
                    told = _state_of(manifest, report.tally)
            report.data.append(told)
            if not common.json:
                export.to_stdout("".join(ui.safe(line) + "\n" for line in _as_text(told)).encode())
        report.states_told = True

    return run(common, work)


def _state_of(manifest: Manifest, tally: Tally) -> dict[str, Json]:
    states: Counter[str] = Counter()
    causes: Counter[str] = Counter()
    length, oldest = 0, None
    for entry in manifest.entries():
        code = counted(entry, _STRICT)
        states[str(entry.state or code.outcome)] += 1
        length += entry.bytes or 0
        error: JobfetchError | None = None
        if changed := entry.difference(manifest.folder):
            code = Exit.PARTIAL
            causes[MISSING] += 1
            hint = f"jobfetch batch retry {shlex.quote(str(manifest.folder))}"
            error = Partial(f"{entry.job_id}: {changed}", hint=hint, code=MISSING)
        elif code is Exit.RUNNING:
            oldest = min(oldest or entry.at, entry.at)
        elif code is not Exit.DONE:
            said = reason(entry)
            causes[said.code] += 1
            error = recorded(code, f"{entry.job_id}: {said.message}", said.code)
            error.hint = f"jobfetch batch retry {shlex.quote(str(manifest.folder))}" if not entry.last_word else None
        tally.add(entry.job_id, entry.state, code, error)
    return {
        "folder": str(manifest.folder),
        "provider": manifest.header.provider,
        "params": manifest.header.params,
        "jobs": len(manifest),
        "counts": dict(sorted(states.items())),
        "bytes": length,
        "oldest_pending": oldest,
        "failures": dict(causes.most_common()),
    }


def _as_text(told: dict[str, Json]) -> list[str]:
    if told["provider"] is None:
        return [f"{told['folder']}: nothing is recorded yet"]
    params = ", ".join(f"{name} {value}" for name, value in told["params"].items())
    counts = ", ".join(f"{number} {state}" for state, number in told["counts"].items()) or "none"
    lines = [
        f"{told['folder']}: {told['provider']}{', ' + params if params else ''}",
        f"  jobs      {told['jobs']} ({counts})",
        f"  on disk   {size(told['bytes'])}",
    ]
    lines += [f"  pending   since {told['oldest_pending']}"] if told["oldest_pending"] else []
    lines += [f"  failed    {number} {cause}" for cause, number in told["failures"].items()]
    return lines


# --- what verify and retry share ---


class _Missing(Struct, frozen=True):
    """The jobs of a folder that are to be asked for again."""

    place: Path
    header: Header
    ids: list[str]


def _manifests(ui: Ui, report: Report, folder: str) -> Iterator[Manifest]:
    """The manifest of each folder, open while it is looked at; one in which nothing is recorded yet is told of."""
    for place in folders_of(folder):
        manifest = Manifest.read(place)
        if manifest is None:
            ui.note(f"{place}: nothing is recorded yet")
            continue
        with manifest:
            report.provider = manifest.header.provider
            _warn_of_lines(ui, manifest)
            yield manifest


def _warn_of_lines(ui: Ui, manifest: Manifest) -> None:
    if manifest.unreadable:
        ui.warn(
            f"{manifest.folder / NAME}: {manifest.unreadable} lines cannot be read, and what they told is not known"
        )


# --- verify ---


class Difference(Struct, frozen=True):
    """A job whose files are not what was written."""

    job_id: str
    problem: str


def verify(folder: str, common: Common, network: Network, options: Options, *, repair: bool) -> int:
    """Compare every file with its record by length and hash; with `repair`, ask again for those that differ."""

    def work(ui: Ui, report: Report) -> None:
        with announce(ui, report, options.endings(), *taken_by(folder)):
            refuse_empty(network, options)
            bad: list[_Missing] = []
            report.data, unreadable = [], 0
            for manifest in _manifests(ui, report, folder):
                found = list(differences(manifest))
                unreadable += manifest.unreadable
                bad.append(_Missing(manifest.folder, manifest.header, [each.job_id for each in found]))
                report.data += _told(ui, common, manifest.folder, found)
            ui.note(f"{len(report.data)} differences")
            if report.data and not repair:
                raise Partial(
                    f"{len(report.data)} files are not what was written",
                    hint="--repair asks the service for them again",
                )
            _again(ui, report, network, options, bad)
            _refuse_unreadable(unreadable)

    return run(common, work)


def _refuse_unreadable(lines: int) -> None:
    if lines:
        raise Partial(
            f"{lines} lines of a manifest cannot be read: nobody knows which jobs they told of",
            hint="run the batch download again: it asks for those jobs; then delete the lines",
        )


def _told(ui: Ui, common: Common, place: Path, found: list[Difference]) -> list[dict[str, Json]]:
    """The differences in a folder as data; they are printed where they are not wanted as such."""
    for each in found if not common.json else ():
        export.to_stdout(f"{ui.safe(str(place))}\t{ui.safe(each.job_id)}\t{ui.safe(each.problem)}\n".encode())
    return [{"folder": str(place), "job_id": each.job_id, "problem": each.problem} for each in found]


def differences(manifest: Manifest) -> Iterator[Difference]:
    """Every job of a folder whose files are missing or have changed, linked files included."""
    for entry in manifest.entries():
        if problem := entry.difference(manifest.folder, verify=True):
            yield Difference(entry.job_id, problem)


# --- retry ---


def retry(folder: str, common: Common, network: Network, options: Options) -> int:
    """Ask again for every job of a folder that is not there: those that failed, and those that ran."""

    def work(ui: Ui, report: Report) -> None:
        with announce(ui, report, options.endings(), *taken_by(folder)):
            refuse_empty(network, options)
            wanted = replace(_STRICT, allow_partial=options.allow_partial)
            left, unreadable = [], 0
            for manifest in _manifests(ui, report, folder):
                left.append(_Missing(manifest.folder, manifest.header, list(_left(manifest, wanted))))
                unreadable += manifest.unreadable
            if left and not any(each.ids for each in left):
                ui.note("nothing is missing")
            _again(ui, report, network, options, left)
            _refuse_unreadable(unreadable)

    return run(common, work)


def _left(manifest: Manifest, wanted: Wanted) -> Iterator[str]:
    """The jobs that are not all there, as far as that is wanted, or of which another try may bring more."""
    for entry in manifest.entries():
        if not entry.done or counted(entry, wanted) is not Exit.DONE or not entry.intact(manifest.folder):
            yield entry.job_id


def _again(ui: Ui, report: Report, network: Network, options: Options, left: list[_Missing]) -> None:
    """Ask for these jobs of these folders, as the folders' own manifests say; trouble in one is none of the others."""
    started, whole = time.monotonic(), Books()
    if network.secret_stdin and any(each.ids for each in left):
        # it can be read only once, and each folder has a connection of its own
        network = replace(network, secret_text=stdin_text(report.provider or "PROVIDER", MOST_PATIENCE))
    problems: list[tuple[str, JobfetchError]] = []
    for each in left:
        if not each.ids:
            continue
        report.provider = each.header.provider
        # what ends one folder's run, its credential that is refused, ends no other
        books = Books(tally=whole.tally, progress=whole.progress)
        try:
            _fill(ui, report, each, _session_of(each, network, options, started), books)
        except (DiskError, Interrupted, Terminated, ReaderGone):
            raise
        except JobfetchError as error:
            problems.append((each.header.provider, error))
    for _, other in problems[1:]:
        ui.warn(other.message)
    if problems:
        report.provider, first = problems[0]
        raise first


def _fill(ui: Ui, report: Report, missing: _Missing, session: Session, books: Books) -> None:
    """Ask for the jobs of one folder."""
    with connected(ui, report, session, named=True, refresh=True, books=books) as desk:
        service = desk.plan.service
        # made anew from what will be asked: another address than the folder's own is refused
        asked = header(service.provider, session.asked, session.account.profile, service.address)
        source = Named(service=service, ids=missing.ids, warn=ui.warn_once)
        try:
            conclude(desk, iter([Target(place=missing.place, header=asked, source=source)]))
        except JobfetchError as error:
            # whatever else went wrong here: whoever stopped it wants no other folder to be begun
            raise desk.plan.stop.error or error from None


def _session_of(missing: _Missing, network: Network, options: Options, started: float) -> Session:
    place, head = missing.place, missing.header
    if head.provider not in PROVIDERS:
        raise ConfigError(f"{place / NAME}: there is no provider {head.provider!r}")
    for name in network.options:
        if name not in PROVIDERS[head.provider].account_options:
            raise UsageError(
                f"{place} holds jobs of {head.provider}, which takes no --{name.replace('_', '-')}",
                hint=f"jobfetch providers show {head.provider}",
            )
    params = {name: value for name, value in head.params.items() if name != "assets"}
    network = replace(network, options={**params, **network.options}, profile=network.profile or head.profile)
    kept = replace(options, output=str(place), usual_format=head.format, assets="assets" in head.params, jobs="-")
    account = account_of(head.provider, Report(), network)
    return Session(account, network, settled(account, kept), started)
