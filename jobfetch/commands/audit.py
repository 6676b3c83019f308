"""`batch status`, `batch verify` and `batch retry`: what a folder holds, whether it still does, and what is missing."""

from __future__ import annotations

import time
from collections import Counter
from collections.abc import Iterator
from dataclasses import dataclass, replace
from pathlib import Path

from jobfetch import disk, export
from jobfetch.commands.account import Network, account_of, refuse_empty
from jobfetch.commands.batch import Options, Session, conclude, connected, header, settled
from jobfetch.commands.ending import announce
from jobfetch.commands.progress import size
from jobfetch.commands.report import Common, Report, run
from jobfetch.errors import ConfigError, Exit, FolderLocked, JobfetchError, Partial, UsageError, recorded
from jobfetch.fetch import Wanted
from jobfetch.fetch.after import failed, reason
from jobfetch.fetch.batch import Books, counted
from jobfetch.fetch.download import Target
from jobfetch.fetch.sources import Named
from jobfetch.manifest import NAME, Header, Manifest
from jobfetch.model import Document, Format, Json, Tally
from jobfetch.providers import PROVIDERS
from jobfetch.ui import Ui

#: What is only looked into needs no more than this of what was wanted.
_STRICT = Wanted(format=Format.JSON)


def folders_of(place: str) -> list[Path]:
    """The folders that a batch download filled: this one, or those in it. `UsageError` where there is none."""
    top = Path(place)
    with disk.explained(top):
        found = [top] if (top / NAME).is_file() else []
        found += sorted(path.parent for path in top.glob(f"*/{NAME}") if path.is_file()) if top.is_dir() else []
    if not found:
        raise UsageError(f"{place} holds no {NAME}", hint="name a folder that a batch download filled")
    return found


# --- status ---


def status(folder: str, common: Common) -> int:
    """Tell what is there, what runs and what failed; nothing is asked of any service."""

    def work(ui: Ui, report: Report) -> None:
        report.tally, report.data = Tally(), []
        for place in folders_of(folder):
            with Manifest.read(place) as manifest:
                report.provider = manifest.header.provider
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
        if code is Exit.RUNNING:
            oldest = min(oldest or entry.at, entry.at)
        elif code is not Exit.DONE:
            said = reason(entry)
            causes[said.code] += 1
            error = recorded(code, said.message, said.code)
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


# --- verify ---


@dataclass(frozen=True, slots=True)
class Difference:
    """A job whose files are not what was written."""

    job_id: str
    problem: str


def verify(folder: str, common: Common, network: Network, options: Options, *, repair: bool) -> int:
    """Compare every file with its record by length and hash; with `repair`, ask again for those that differ."""

    def work(ui: Ui, report: Report) -> None:
        places = folders_of(folder)
        report.data, bad = [], dict[Path, list[str]]()
        for place in places:
            with Manifest.read(place) as manifest:
                report.provider = manifest.header.provider
                found = list(differences(manifest))
            report.data += [{"folder": str(place), "job_id": d.job_id, "problem": d.problem} for d in found]
            bad[place] = [each.job_id for each in found]
            for each in found if not common.json else ():
                export.to_stdout(f"{ui.safe(str(place))}\t{ui.safe(each.job_id)}\t{ui.safe(each.problem)}\n".encode())
        ui.note(f"{len(report.data)} differences")
        if report.data and not repair:
            raise Partial(
                f"{len(report.data)} files are not what was written", hint="--repair asks the service for them again"
            )
        _again(ui, report, network, options, {place: ids for place, ids in bad.items() if ids})

    return run(common, work)


def differences(manifest: Manifest) -> Iterator[Difference]:
    """Every job of a folder whose files are missing or have changed, linked files included."""
    for entry in manifest.entries():
        if entry.file is None:
            continue
        path = manifest.folder / entry.file
        if not path.is_file():
            yield Difference(entry.job_id, f"{entry.file} is missing")
        elif not entry.intact(manifest.folder, verify=True):
            yield Difference(entry.job_id, f"{entry.file} has changed")
        elif manifest.header.format != Format.RAW and (lost := _lost_asset(manifest.folder, path)):
            yield Difference(entry.job_id, lost)


def _lost_asset(folder: Path, record: Path) -> str | None:
    """What is wrong with the linked files that a record names, if anything."""
    with disk.explained(record):
        assets = Document(record.read_bytes()).get("assets") or []
    for asset in assets:
        path = folder / str(asset["file"])
        if asset["file"] is None:
            continue
        if not path.is_file():
            return f"{asset['file']} is missing"
        with disk.explained(path):
            if disk.digest(path) != (asset["bytes"], asset["sha256"]):
                return f"{asset['file']} has changed"
    return None


# --- retry ---


def retry(folder: str, common: Common, network: Network, options: Options) -> int:
    """Ask again for every job of a folder that is not there: those that failed, and those that ran."""

    def work(ui: Ui, report: Report) -> None:
        refuse_empty(network, options)
        wanted = replace(_STRICT, allow_partial=options.allow_partial)
        left = {}
        for place in folders_of(folder):
            with Manifest.read(place) as manifest:
                report.provider = manifest.header.provider
                bad = [entry.job_id for entry in failed(manifest, wanted)]
                left[place] = bad + [
                    e.job_id for e in manifest.entries(left=True) if counted(e, wanted) is Exit.RUNNING
                ]
        with announce(ui, report, report.provider or "", options.endings()):
            _again(ui, report, network, options, {place: ids for place, ids in left.items() if ids})

    return run(common, work)


def _again(ui: Ui, report: Report, network: Network, options: Options, left: dict[Path, list[str]]) -> None:
    """Ask for these jobs of these folders, as the folders' own manifests say."""
    started, books = time.monotonic(), Books()
    if not left:
        ui.note("nothing is missing")
    locked: list[FolderLocked] = []
    for place, ids in left.items():
        with Manifest.read(place) as manifest:
            head = manifest.header
        session = _session_of(place, head, network, options, started)
        with connected(ui, report, session, named=True, refresh=True, books=books) as desk:
            service = desk.plan.service
            # made anew from what will be asked: another address than the folder's own is refused
            asked = header(service.provider, session.asked, session.account.profile, service.address)
            source = Named(service=service, ids=ids, warn=ui.warn_once)
            try:
                conclude(desk, iter([Target(place=place, header=asked, source=source)]))
            except FolderLocked as error:
                # another run is at work there, which says nothing of the other folders
                locked.append(error)
    for error in locked[1:]:
        ui.warn(error.message)
    if locked:
        raise locked[0]


def _session_of(place: Path, head: Header, network: Network, options: Options, started: float) -> Session:
    if head.provider not in PROVIDERS:
        raise ConfigError(f"{place / NAME}: there is no provider {head.provider!r}")
    params = {name: value for name, value in head.params.items() if name != "assets"}
    network = replace(network, options={**params, **network.options}, profile=network.profile or head.profile)
    kept = replace(options, output=str(place), format=head.format, assets="assets" in head.params, jobs="-")
    account = account_of(head.provider, Report(), network)
    return Session(account, network, settled(account, kept), started)
