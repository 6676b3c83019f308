"""`batch status`, `batch verify` and `batch retry`: what a folder holds, whether it still does, and what is missing."""

from __future__ import annotations

import time
from collections import Counter, defaultdict
from collections.abc import Callable, Iterable, Iterator
from functools import partial
from pathlib import Path
from typing import Any

from msgspec import Struct, field
from msgspec.structs import replace

from jobfetch import disk, export, limits, locks
from jobfetch import rate as rates
from jobfetch.commands.account import MOST_PATIENCE, WAIT_TIMEOUT, Network, account_of, refuse_empty, stdin_text
from jobfetch.commands.batch import (
    Options,
    Session,
    connected,
    header,
    heard,
    put_in_order,
    settled,
    taken_by,
)
from jobfetch.commands.ending import announce
from jobfetch.commands.progress import Teller, size
from jobfetch.commands.report import Common, Report, run
from jobfetch.errors import (
    ConfigError,
    DiskError,
    Exit,
    Interrupted,
    JobfetchError,
    Partial,
    ReaderGone,
    StillRunning,
    Terminated,
    UsageError,
    recorded,
)
from jobfetch.fetch import Wanted
from jobfetch.fetch.after import in_order, reason
from jobfetch.fetch.attempt import counted
from jobfetch.fetch.download import Target, download
from jobfetch.fetch.plan import Books
from jobfetch.fetch.sources import Named
from jobfetch.fetch.streak import Streak
from jobfetch.manifest import ASSETS, LOCK, NAME, Entry, Header, Manifest, recorded_folders
from jobfetch.model import Deadline, Format, Json, Tally
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
    "unreadable": 0,
}


def folders_of(place: str) -> list[Path]:
    """The folders that a batch download filled: this one, or those in it. `UsageError` where there is none."""
    top = Path(place)
    with disk.explained(top):
        found = recorded_folders(top) if top.is_dir() else []
    if not found:
        raise UsageError(f"{place} holds no {NAME}", hint="name a folder that a batch download filled")
    return found


def _manifests(ui: Ui, report: Report, folder: str, problems: list[JobfetchError]) -> Iterator[Manifest | Path]:
    """The manifest of each folder, open while it is looked at; the folder where nothing is recorded yet.

    One that cannot be looked into is a problem of its own, and so are lines of one that nobody can read.
    """
    unreadable = 0
    for place in folders_of(folder):
        try:
            manifest = Manifest.read(place)
        except (ConfigError, DiskError) as error:
            problems.append(error)
            continue
        if manifest is None:
            yield place
            continue
        with manifest:
            report.provider = manifest.header.provider
            unreadable += manifest.unreadable
            if manifest.unreadable:
                ui.warn(
                    f"{manifest.folder / NAME}: {manifest.unreadable} lines cannot be read, and what they told is not known"
                )
            yield manifest
    if unreadable:
        problems.append(
            Partial(
                f"{unreadable} lines of a manifest cannot be read: nobody knows which jobs they told of",
                hint="run the batch download again: it asks for those jobs; then delete the lines",
            )
        )


def _raise_first(ui: Ui, problems: list[JobfetchError]) -> None:
    """Raise what went wrong first; tell of the rest."""
    for other in problems[1:]:
        ui.warn(other.message)
    if problems:
        raise problems[0]


# --- status ---


def status(folder: str, common: Common) -> int:
    """Tell what is there, what runs and what failed; nothing is asked of any service."""

    def work(ui: Ui, report: Report) -> None:
        report.tally, report.data = Tally(), []
        problems: list[JobfetchError] = []
        for each in _manifests(ui, report, folder, problems):
            told = {"folder": str(each), **_NOTHING} if isinstance(each, Path) else _state_of(each, report.tally)
            report.data.append(told)
            if not common.json:
                export.to_stdout("".join(ui.safe(line) + "\n" for line in _as_text(told)).encode())
        report.states_told = True
        _raise_first(ui, problems)

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
            hint = f"jobfetch batch retry {disk.typed(manifest.folder)}"
            error = Partial(f"{entry.job_id}: {changed}", hint=hint, code=MISSING)
        elif code is Exit.RUNNING:
            oldest = min(oldest or entry.at, entry.at)
        elif code is not Exit.DONE:
            said = reason(entry)
            causes[said.code] += 1
            error = recorded(code, f"{entry.job_id}: {said.message}", said.code)
            error.hint = f"jobfetch batch retry {disk.typed(manifest.folder)}" if not entry.last_word else None
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
        "unreadable": manifest.unreadable,
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
    lines += [f"  unknown   {told['unreadable']} lines that cannot be read"] if told["unreadable"] else []
    return lines


# --- what verify and retry share ---


class _Missing(Struct, frozen=True):
    """The jobs of a folder that are to be asked for again, and whether all else in it is as a run leaves it."""

    place: Path
    header: Header
    ids: list[str]
    in_order: bool


def _missing(ui: Ui, each: Manifest | Path, ids: Callable[[Manifest], Iterable[str]]) -> Iterator[_Missing]:
    if isinstance(each, Path):
        ui.note(f"{each}: nothing is recorded yet")
        return
    # what a download was content with is not known here
    kinds = (_STRICT, replace(_STRICT, allow_partial=True))
    yield _Missing(each.folder, each.header, list(ids(each)), in_order(each, *kinds))


# --- verify ---


class Difference(Struct, frozen=True):
    """A job whose files are not what was written."""

    job_id: str
    problem: str


def verify(folder: str, common: Common, network: Network, options: Options, *, repair: bool) -> int:
    """Compare every file with its record by length and hash; with `repair`, ask again for those that differ."""

    def work(ui: Ui, report: Report) -> None:
        started = time.monotonic()
        with announce(ui, report, options.endings(), *taken_by(folder)):
            refuse_empty(network, options)
            report.data, bad, problems = [], list[_Missing](), list[JobfetchError]()
            late: JobfetchError | None = None
            allowed = limits.duration(network.timeout) if network.timeout else WAIT_TIMEOUT
            check = partial(_refuse_late, Deadline(started + allowed, time.monotonic))

            def differing(manifest: Manifest) -> Iterator[str]:
                for each in differences(manifest, check):
                    report.data.append(_told(ui, common, manifest.folder, each))
                    yield each.job_id

            try:
                for each in _manifests(ui, report, folder, problems):
                    bad += _missing(ui, each, differing)
            except StillRunning as error:
                late = error
            ui.note(f"{len(report.data)} differences")
            if repair and not late:
                _again(ui, report, network, options, bad, problems=problems, started=started)
            elif report.data and not repair:
                problems.append(
                    Partial(
                        f"{len(report.data)} files are not what was written",
                        hint="--repair asks the service for them again",
                    )
                )
            problems += [late] if late else []
            _raise_first(ui, problems)

    return run(common, work)


def _refuse_late(deadline: Deadline) -> None:
    if deadline.left() <= 0:
        raise StillRunning("time was up before every file was looked through", hint="--timeout gives it longer")


def _told(ui: Ui, common: Common, place: Path, each: Difference) -> dict[str, Json]:
    """A difference in a folder as data; it is printed where it is not wanted as such."""
    if not common.json:
        export.to_stdout(f"{ui.safe(str(place))}\t{ui.safe(each.job_id)}\t{ui.safe(each.problem)}\n".encode())
    return {"folder": str(place), "job_id": each.job_id, "problem": each.problem}


def differences(manifest: Manifest, check: Callable[[], None]) -> Iterator[Difference]:
    """Every job of a folder whose files are missing or have changed, linked files included; `check` raises once time is up."""
    for entry in manifest.entries():
        if problem := entry.difference(manifest.folder, verify=True, check=check):
            yield Difference(entry.job_id, problem)


# --- retry ---


def retry(folder: str, common: Common, network: Network, options: Options) -> int:
    """Ask again for every job of a folder that is not there: those that failed, and those that ran."""

    def work(ui: Ui, report: Report) -> None:
        started = time.monotonic()
        with announce(ui, report, options.endings(), *taken_by(folder)):
            refuse_empty(network, options)
            wanted = replace(_STRICT, allow_partial=options.allow_partial)
            left, problems = list[_Missing](), list[JobfetchError]()
            for each in _manifests(ui, report, folder, problems):
                left += _missing(ui, each, partial(_left, wanted=wanted))
            if left and not any(each.ids for each in left):
                ui.note("nothing is missing")
            _again(ui, report, network, options, left, problems=problems, started=started)
            _raise_first(ui, problems)

    return run(common, work)


def _left(manifest: Manifest, wanted: Wanted) -> Iterator[str]:
    """The jobs that are not all there, as far as that is wanted, or of which another try may bring more."""
    for entry in manifest.entries():
        if _is_left(entry, manifest.folder, wanted):
            yield entry.job_id


def _is_left(entry: Entry, folder: Path, wanted: Wanted) -> bool:
    return not entry.done or counted(entry, wanted) is not Exit.DONE or not entry.intact(folder)


class _Shared(Struct):
    """What the folders of one account at one service share: its pace, and whether it is to be asked at all."""

    gates: list[rates.Gate] = field(default_factory=list)
    streak: Streak = field(default_factory=Streak)


def _again(
    ui: Ui,
    report: Report,
    network: Network,
    options: Options,
    left: list[_Missing],
    *,
    problems: list[JobfetchError],
    started: float,
) -> None:
    """Ask for these jobs of these folders, as the folders' own manifests say; trouble in one is none of the others.

    Whatever else a run that was killed left undone in a folder is done as well.
    """
    whole, shared = Books(), defaultdict[Any, _Shared](_Shared)
    if network.secret_stdin and any(each.ids for each in left):
        # it can be read only once, and each folder has a connection of its own
        network = replace(network, secret_text=stdin_text(report.provider or "PROVIDER", MOST_PATIENCE))
    teller = Teller(ui, lambda: None, time.monotonic)
    troubled: list[str] = []
    try:
        for each in left:
            if not each.ids and each.in_order:
                continue
            report.provider = each.header.provider
            account = shared[each.header.provider, each.header.origin, each.header.profile]
            # what ends one folder's run, a job of its own that nobody may see, ends no other
            books = Books(tally=whole.tally, progress=whole.progress, streak=account.streak)
            try:
                session = _session_of(each, network, options, started)
                if not each.ids:
                    _tidy(ui, report, each, session)
                elif not account.streak.error:
                    _fill(ui, report, each, session, books, gates=account.gates)
            except (Interrupted, Terminated, ReaderGone):
                raise
            except JobfetchError as error:
                problems.append(error)
                troubled.append(each.header.provider)
        report.provider = next(iter(troubled), report.provider)
    finally:
        ui.stop()
        if any(each.ids for each in left):
            teller.ended(whole)


def _tidy(ui: Ui, report: Report, each: _Missing, session: Session) -> None:
    """Put a folder in order in which no job is missing; nobody is asked."""
    with heard() as stop, locks.locked(each.place / LOCK, 0.0):
        disk.sweep(each.place, ASSETS)
        with Manifest.begin(each.place, each.header) as manifest:
            put_in_order(ui, report, session, manifest, replace(session.asked.wanted(), output=each.place), stop)
    if stop.error:
        raise stop.error


def _fill(
    ui: Ui, report: Report, missing: _Missing, session: Session, books: Books, *, gates: list[rates.Gate]
) -> None:
    """Ask for the jobs of one folder."""
    with connected(ui, report, session, named=True, refresh=True, books=books, gates=gates) as desk:
        service = desk.plan.service
        # made anew from what will be asked: another address than the folder's own is refused
        asked = header(service.provider, session.asked, session.account.profile, service.address)
        source = Named(service=service, ids=_still_missing(missing), warn=ui.warn_once, typed=False)
        try:
            download(
                desk.plan, desk.books, iter([Target(place=missing.place, header=asked, source=source)]), desk.finish
            )
        except JobfetchError as error:
            # whatever else went wrong here: whoever stopped it wants no other folder to be begun
            raise desk.plan.stop.error or error from None
    if desk.plan.stop.error:
        raise desk.plan.stop.error


def _still_missing(missing: _Missing) -> Iterator[str]:
    """The jobs that are missing still, now that nobody else works in the folder."""
    if (manifest := Manifest.read(missing.place)) is None:
        yield from missing.ids
        return
    with manifest:
        for job_id in missing.ids:
            entry = manifest.last(job_id)
            if entry is None or _is_left(entry, missing.place, _STRICT) or entry.difference(missing.place, verify=True):
                yield job_id


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
