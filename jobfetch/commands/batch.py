"""`batch download`, from what was typed to folders to fill, with signals and the last word; `retry` and `--repair` share it."""

from __future__ import annotations

import contextlib
import shlex
import signal
import time
from collections.abc import Callable, Iterable, Iterator
from contextlib import AbstractContextManager
from datetime import UTC, datetime, timedelta
from functools import partial
from pathlib import Path
from typing import Any

from msgspec import Struct
from msgspec.structs import replace

from jobfetch import disk, export, jobids, limits, pager
from jobfetch import rate as rates
from jobfetch.commands.account import WAIT_TIMEOUT, Account, Network, account_of, refuse_empty
from jobfetch.commands.account import connected as service_of
from jobfetch.commands.ending import Endings, announce
from jobfetch.commands.jobs import refuse_rows
from jobfetch.commands.progress import Teller
from jobfetch.commands.report import Common, Report, run
from jobfetch.errors import JobfetchError, UsageError
from jobfetch.fetch import Service, Wanted
from jobfetch.fetch.after import failed, reason, write_failures, write_tables
from jobfetch.fetch.attempt import needless, refuse_late
from jobfetch.fetch.batch import Folder
from jobfetch.fetch.download import MOST_FAILED_ROUNDS, Target, download, left_behind
from jobfetch.fetch.plan import Books, Plan
from jobfetch.fetch.sources import Allowance, Listed, Named, Source, asker
from jobfetch.fetch.workers import Stop, aside
from jobfetch.manifest import FAILURES, NAME, Header, Manifest, header_of, recorded_folders, refuse_other
from jobfetch.model import Deadline, Format, fingerprint, origin
from jobfetch.providers import PROVIDERS
from jobfetch.signals import STOPPING
from jobfetch.spec import Address, Provider
from jobfetch.ui import Ui

#: Causes of failures that are told one by one.
MOST_CAUSES = 5


class Options(Struct, frozen=True, kw_only=True):
    """What a batch is to do, as typed."""

    output: str | None = None
    #: a file of ids, `-` for standard input, or the ids themselves; None: those that the service lists
    jobs: str | Iterable[str] | None = None
    jobs_key: str | None = None
    format: str | None = None
    #: what the folder was begun with, for where none is typed
    usual_format: str | None = None
    rows: str | None = None
    assets: bool = False
    wait: bool = False
    workers: int | None = None
    rate: str | None = None
    limit: int | None = None
    dry_run: bool = False
    refresh: bool = False
    verify: bool = False
    reproducible: bool = False
    allow_partial: bool = False
    report: str | None = None
    prom: str | None = None
    ping: str | None = None

    def named(self, service: Service, warn: Callable[[str], None], allowance: Allowance) -> Source:
        """The jobs that are named, as they are needed."""
        if isinstance(self.jobs, str):
            ids = jobids.Ids(self.jobs, self.jobs_key)
            more: dict[str, Any] = {"at_hand": ids.at_hand, "where": ids.where, "live": ids.live}
            return Named(service=service, ids=ids, warn=warn, allowance=allowance, **more)
        return Named(service=service, ids=self.jobs or (), warn=warn, allowance=allowance)

    def endings(self) -> Endings:
        """Who is to be told how it ended; of a dry run nobody, since nothing was done."""
        return Endings() if self.dry_run else Endings(report=self.report, prom=self.prom, ping=self.ping)


def fetch(provider: str, common: Common, network: Network, options: Options) -> int:
    """List jobs, or take those that are named, and fetch what is not there yet."""

    def work(ui: Ui, report: Report) -> None:
        started = time.monotonic()
        report.provider = provider
        taken = taken_by(options.output, options.jobs)
        with announce(ui, report, options.endings(), *taken, folder=options.output):
            refuse_empty(network, options)
            account = account_of(provider, report, network)
            session = Session(account, network, settled(account, options, secret_stdin=network.secret_stdin), started)
            with connected(ui, report, session, named=options.jobs is not None) as desk:
                targets = targets_of(desk, account.profile)
                if options.dry_run:
                    _tell_only(desk, targets, ids=not common.json)
                else:
                    conclude(desk, targets)

    return run(common, work)


def taken_by(folder: str | None, jobs: str | Iterable[str] | None = None) -> list[str | Path]:
    """The files that a run reads or keeps its books in."""
    ids = [jobs] if isinstance(jobs, str) and jobs != "-" else []
    return [*ids, *(Path(folder) / name for name in (NAME, FAILURES) if folder)]


class Asked(Struct, frozen=True):
    """Options with their defaults filled in and checked."""

    options: Options
    output: Path
    shape: Format
    workers: int
    rate: rates.Rate | None

    def wanted(self) -> Wanted:
        """What is to be kept of each job: records or raw bytes; tables are made of records."""
        options = self.options
        return Wanted(
            format=Format.RAW if self.shape is Format.RAW else Format.JSON,
            output=self.output,
            folder=True,
            assets=options.assets,
            rows=options.rows,
            reproducible=options.reproducible,
            allow_partial=options.allow_partial,
        )


def settled(account: Account, options: Options, *, secret_stdin: bool = False) -> Asked:
    """What was typed, with the defaults of every other place and of the provider; `UsageError` where it cannot be."""
    spec = account.provider
    output = options.output or account.text("output")
    if not output or output == "-":
        raise UsageError("batch download fills a folder", hint="name one with -o DIR")
    shape = Format(options.format or options.usual_format or account.text("format") or Format.JSON)
    refuse_rows(spec, options.rows, shape)
    export.available(export.Table(format=shape))
    if options.jobs == "-" and secret_stdin:
        raise UsageError("--jobs - and --secret-stdin both read standard input", hint="put the ids into a file")
    if options.jobs is None and spec.listing is None:
        raise UsageError(f"{spec.name} lists no jobs", hint="name their ids with --jobs FILE, or --jobs - for a pipe")
    workers = limits.workers(
        str(options.workers if options.workers is not None else account.text("workers") or spec.workers)
    )
    return Asked(
        options, Path(output), shape, workers, rates.parse(options.rate or account.text("rate") or spec.rate or "none")
    )


# --- one connection, many folders ---


class Session(Struct, frozen=True):
    """What one run of `batch` works with."""

    account: Account
    network: Network
    asked: Asked
    started: float


class Desk(Struct, frozen=True):
    """What one connected run works with, as its steps need it."""

    ui: Ui
    report: Report
    plan: Plan
    books: Books
    asked: Asked
    teller: Teller
    finish: Callable[[Folder], None]


@contextlib.contextmanager
def connected(
    ui: Ui,
    report: Report,
    session: Session,
    *,
    named: bool,
    refresh: bool = False,
    books: Books | None = None,
    gates: list[rates.Gate] | None = None,
    stops: Callable[[], AbstractContextManager[Stop]] | None = None,
) -> Iterator[Desk]:
    """Settings, credentials, connections, the gate, and signals that are heard in order.

    `books` and the one of `gates` are those of the whole run, where it works with more than one connection; the first
    puts the gate there. `stops` hears whoever wants it to end; signals, where nothing else is said.
    """
    asked, books = session.asked, books or Books()
    if asked.options.wait:
        _open_many()
    gates = [] if gates is None else gates

    def gate(deadline: Deadline) -> rates.Gate:
        if not gates:
            gates.append(rates.Gate(asked.rate, deadline, now=_now, sleep=time.sleep))
        return gates[0]

    options = asked.options
    with (
        service_of(
            session.account,
            session.network,
            ui,
            session.started,
            wait=options.wait,
            gate=gate,
            allowed=WAIT_TIMEOUT,
        ) as (service, waiting),
        # a dry run writes nothing, so that it may end anywhere
        contextlib.nullcontext(Stop()) if options.dry_run else (stops or heard)() as stop,
    ):
        teller = Teller(ui, gates[0].waits_for, time.monotonic)
        plan = Plan(
            service=service,
            waiting=replace(waiting, watcher=teller),
            wanted=asked.wanted(),
            workers=asked.workers,
            stop=stop,
            watcher=teller,
            closed=gates[0].closed,
            named=named,
            refresh=options.refresh or refresh,
            verify=options.verify,
        )
        report.tally = books.tally
        try:
            yield Desk(ui, report, plan, books, asked, teller, partial(_finish, ui, report, plan, session))
        finally:
            # the service wants to be left alone until then, whatever it said of one job
            books.tally.put_off(_now() + timedelta(seconds=gates[0].closed()))


def conclude(desk: Desk, targets: Iterator[Target]) -> None:
    """Fill the folders and tell what came of it."""
    try:
        download(desk.plan, desk.books, targets, desk.finish)
    finally:
        desk.ui.stop()
        desk.teller.ended(desk.books)


def _finish(ui: Ui, report: Report, plan: Plan, session: Session, folder: Folder) -> None:
    put_in_order(ui, report, session, folder.manifest, folder.plan.wanted, plan.stop)


def put_in_order(ui: Ui, report: Report, session: Session, manifest: Manifest, wanted: Wanted, stop: Stop) -> None:  # noqa: PLR0917
    """What a folder needs once nothing more is to come: its failures, its tables, and what to do about them."""
    asked = session.asked
    report.outputs.append(str(manifest.folder / NAME))
    path = write_failures(manifest, wanted)
    if path:
        report.outputs.append(str(path))
        _tell_failures(ui, manifest, wanted)
        ui.note(f"  next: {retry_line(manifest, session.network, asked)}")

    def check() -> None:
        if stop.error:
            raise stop.error

    def gone(path: Path) -> None:
        ui.warn_once(
            f"{path} is recorded and not there, so that it has no rows: "
            f"jobfetch batch retry {disk.typed(manifest.folder)}"
        )

    if asked.shape is not Format.RAW and not stop.asked:
        if manifest.unreadable:
            ui.warn(
                f"{manifest.folder / NAME}: {manifest.unreadable} lines cannot be read, so that their jobs have no rows"
            )
        shape = asked.shape if asked.shape.tabular else None
        anew, spec = asked.options.format is not None, session.account.provider
        report.outputs += map(str, write_tables(spec, wanted, manifest, shape, anew=anew, check=check, missing=gone))


def _tell_failures(ui: Ui, manifest: Manifest, wanted: Wanted) -> None:
    """The first failures one by one, the others by number."""
    number = 0
    for number, entry in enumerate(failed(manifest, wanted), start=1):
        if number <= MOST_CAUSES:
            why = reason(entry)
            ui.note(f"{entry.job_id}: {why.message}", job_id=entry.job_id, exit_code=why.exit_code, code=why.code)
    if number > MOST_CAUSES:
        ui.note(f"and {number - MOST_CAUSES} more: see {manifest.folder / FAILURES}")


def retry_line(manifest: Manifest, network: Network, asked: Asked) -> str:
    """The command that asks again for what failed in a folder, in the same way.

    It repeats what was typed and what the folder's manifest does not tell.
    """
    head, options = manifest.header, asked.options
    said = {
        **{name: network.options.get(name) for name in PROVIDERS[head.provider].account_options},
        "profile": network.profile,
        "ca_bundle": network.ca_bundle,
        "parse_limit": network.parse_limit,
        "workers": options.workers,
        "rate": options.rate,
        "format": None if asked.shape == head.format else asked.shape,
        "rows": options.rows,
    }
    flags = {
        "secret_stdin": network.secret_stdin,
        "reproducible": options.reproducible,
        "allow_partial": options.allow_partial,
    }
    words = [word for name, value in said.items() if value for word in (_option(name), str(value))]
    words += [_option(name) for name, given in flags.items() if given]
    return " ".join(["jobfetch batch retry", disk.typed(manifest.folder), *map(shlex.quote, words)])


def _option(name: str) -> str:
    return "--" + name.replace("_", "-")


@contextlib.contextmanager
def heard() -> Iterator[Stop]:
    """Ctrl-C, SIGTERM and a terminal that is gone are heard between two steps, not within one."""
    stop = Stop()
    before = {each: signal.getsignal(each) for each in STOPPING}
    for each, how in before.items():
        # whoever started us in the background wants Ctrl-C to pass us by, and `nohup` that the terminal goes
        if how is not signal.SIG_IGN:
            signal.signal(each, lambda number, _: stop.hear(terminated=number != signal.SIGINT))
    try:
        yield stop
    finally:
        for each, how in before.items():
            signal.signal(each, how)


def _open_many() -> None:
    """Each folder that a run waits in keeps two files open: take as many as the system lets a process have."""
    try:
        import resource  # noqa: PLC0415 - not everywhere
    except ImportError:
        return
    _, most = resource.getrlimit(resource.RLIMIT_NOFILE)
    with contextlib.suppress(OSError, ValueError):  # some systems name a number that they do not give
        resource.setrlimit(resource.RLIMIT_NOFILE, (most, most))


def _now() -> datetime:
    return datetime.now(UTC)


# --- which folders ---


def targets_of(desk: Desk, profile: str | None) -> Iterator[Target]:
    """Each folder with the jobs that belong into it."""
    service, asked = desk.plan.service, desk.asked
    listing, params = service.provider.listing, service.address.params
    group = listing.groups if listing else None
    name = params.get(group.param) if group else None
    place = asked.output / disk.safe_name(name) if name else asked.output
    head = partial(header, service.provider, asked, profile)
    allowance = Allowance(asked.options.limit)
    if asked.options.jobs is not None:
        named = asked.options.named(service, desk.ui.warn_once, allowance)
        yield Target(place=place, header=head(service.address), source=named)
    elif listing and group and not name:

        def of(name: str) -> Service:
            return replace(service, address=replace(service.address, params={**params, group.param: name}))

        listed = _groups(desk)
        for each in listed:
            if allowance.left == 0:
                return
            here, place = of(each.id), asked.output / disk.safe_name(each.id)
            desk.ui.detail(f"{group.param} {each.id}: {place}")
            yield Target(place=place, header=head(here.address), source=_listed(desk, here, each.total, allowance))
        if allowance.left is None:
            # what the project names no more may have jobs that are not all there: they are asked for all the same
            for name in _left_out(asked.output, group.param, head(service.address), {each.id for each in listed}):
                here, place = of(name), asked.output / disk.safe_name(name)
                desk.ui.detail(f"{group.param} {name}, which is listed no more: {place}")
                source = Named(service=here, ids=(), warn=desk.ui.warn_once, whole=True)
                yield Target(place=place, header=head(here.address), source=source)
    else:
        yield Target(place=place, header=head(service.address), source=_listed(desk, service, None, allowance))


def _left_out(top: Path, param: str, whole: Header, listed: set[str]) -> list[str]:
    """The lists of a project that have a folder there and that are not among those `listed`, by their values of `param`."""
    if not top.is_dir():
        return []
    headers = [found for place in recorded_folders(top) if place != top and (found := header_of(place))]
    return sorted(
        name
        for found in headers
        if (name := found.params.get(param, "")) and name not in listed
        if (found.provider, found.origin) == (whole.provider, whole.origin)
        if {**found.params, param: ""} == {**whole.params, param: ""}
    )


def _listed(desk: Desk, service: Service, promised: int | None, allowance: Allowance) -> Source:
    if service.provider.listing is None:
        raise AssertionError("a provider without a list was refused before")
    before, left = desk.books.progress.settled, allowance.left

    def expect(number: int) -> None:
        # a number that one thread writes and another shows
        desk.books.progress.total = before + (number if left is None else min(number, left))

    return Listed(
        service=service,
        listing=service.provider.listing,
        warn=desk.ui.warn_once,
        expect=expect,
        allowance=allowance,
        promised=promised,
    )


def _groups(desk: Desk) -> list[pager.Group]:
    """Every list of the project; while one waits, trouble that may pass is waited for as well."""
    service, waiting, stop = desk.plan.service, desk.plan.waiting, desk.plan.stop
    listing = service.provider.listing
    if listing is None or listing.groups is None:
        return []
    ask = partial(pager.groups, listing.groups, service.address, asker(service))
    for failures in range(1, MOST_FAILED_ROUNDS + 1):
        try:
            return aside(ask, waiting.deadline, stop) or []
        except JobfetchError as error:
            if not (waiting.wait and error.transient and failures < MOST_FAILED_ROUNDS):
                raise
            stop.sleep(min(waiting.schedule.start, waiting.deadline.left()))
    raise AssertionError("the last failure is raised")


def header(spec: Provider, asked: Asked, profile: str | None, address: Address) -> Header:
    """Whose jobs a folder holds; no address and no secret in it."""
    names = [param.name for param in spec.settings if param.name not in spec.login_settings]
    params = {name: address.params[name] for name in names if address.params.get(name)}
    if asked.options.assets:
        # a folder without them would be taken for whole
        params["assets"] = "yes"
    home = "{}://{}:{}".format(*origin(address.base_url))
    return Header(
        schema="jobfetch.manifest/1",
        provider=spec.name,
        params=params,
        profile=profile,
        format=asked.shape,
        origin=f"{fingerprint(home):032x}",
    )


# --- looking only ---


def _tell_only(desk: Desk, targets: Iterator[Target], *, ids: bool) -> None:
    """Say which jobs would be asked for, one a line; nothing is asked about a job, and nothing is written."""
    told = {"would_fetch": 0, "done": 0, "running": 0}

    def tell(job_id: str) -> None:
        told["would_fetch"] += 1
        if ids:
            export.to_stdout((desk.ui.safe(job_id) + "\n").encode())

    for target in targets:
        with contextlib.ExitStack() as stack:
            manifest = Manifest.read(target.place) if (target.place / NAME).is_file() else None
            if manifest is not None:
                stack.enter_context(manifest)
                refuse_other(target.place, manifest.header, target.header)
            plan = replace(desk.plan, wanted=replace(desk.plan.wanted, output=target.place))
            pages = target.source.first()
            following, check = partial(next, pages, None), partial(refuse_late, plan)
            while (page := aside(following, desk.plan.waiting.deadline, desk.plan.stop)) is not None:
                for item in page:
                    entry = None if manifest is None else manifest.last(item.job_id)
                    known = entry is not None and needless(entry, item, plan)
                    if entry and known and entry.intact(target.place, verify=plan.verify, check=check):
                        told["done"] += 1
                    elif item.state and not item.state.terminal:
                        told["running"] += 1
                    else:
                        tell(item.job_id)
            for job_id in left_behind(manifest, target.source, plan) if manifest else ():
                tell(job_id)
    desk.report.data = told
    desk.ui.note(", ".join(f"{number} {name.replace('_', ' ')}" for name, number in told.items()))
