"""Those who are told elsewhere how a run ended: a report file, a Prometheus text file, a ping."""

from __future__ import annotations

import contextlib
import time
from collections.abc import Iterator
from datetime import UTC, datetime
from pathlib import Path
from urllib.parse import urlsplit

from msgspec import Struct

from jobfetch import __version__, disk
from jobfetch.commands.report import Report
from jobfetch.errors import Exit, JobfetchError, UsageError
from jobfetch.manifest import KEPT, NAME
from jobfetch.model import Deadline, Json, Purpose, Request, Verdict, encode, rfc3339
from jobfetch.signals import imported
from jobfetch.ui import Ui

#: Seconds that a ping may take: it must not hold up what it tells of.
PING_TIMEOUT = 3.0
REPORT_SCHEMA = "jobfetch.report/1"


class Endings(Struct, frozen=True, kw_only=True):
    """Who is to be told: a file for the report, one for Prometheus, and an address to ping."""

    report: str | None = None
    prom: str | None = None
    ping: str | None = None


@contextlib.contextmanager
def announce(ui: Ui, report: Report, endings: Endings, *taken: str | Path, folder: str | None = None) -> Iterator[None]:
    """Tell that a run begins, and have its verdict told once there is one.

    A ping goes out last of all, since it alone may take its time. `taken` are files that neither report may replace;
    the `folder` that is to be filled is made for a report in it.
    """
    _check_files(endings, taken)
    began, clock = datetime.now(UTC), time.monotonic()
    if endings.ping:
        _check(endings.ping)
        # whoever knows the address can speak for us
        ui.learn(endings.ping)

    def seconds() -> float:
        return round(time.monotonic() - clock, 3)

    def write_prom(verdict: Verdict) -> None:
        if endings.prom:
            _write("--prom", endings.prom, prometheus(report.provider or "", verdict, began, seconds()), folder)

    def write_report(verdict: Verdict) -> None:
        if endings.report:
            told = {"schema": REPORT_SCHEMA, "provider": report.provider or "", "version": __version__}
            value: Json = {**told, "started_at": rfc3339(began), "seconds": seconds(), **verdict.as_json()}
            _write("--report", endings.report, encode(ui.scrub_all(value)) + b"\n", folder)

    def ping(code: Exit) -> None:
        if endings.ping:
            # a job that still runs is no failure
            _ping(ui, endings.ping, "" if code in {Exit.DONE, Exit.RUNNING} else "/fail")

    report.afterwards += [write_prom, write_report]
    report.farewells.append(ping)
    if endings.ping:
        # only now: whoever is told that it began is told how it ended, whatever comes in between
        _ping(ui, endings.ping, "/start")
    yield


def prometheus(provider: str, verdict: Verdict, began: datetime, seconds: float) -> bytes:
    """A run in Prometheus' text format, for the text file collector."""
    label = f'provider="{provider}"'
    states = [(f'{label},state="{state}"', float(number)) for state, number in sorted(verdict.counts.items())]
    metrics = (
        ("jobs", "Jobs of the last run by what they came to.", states),
        ("exit_code", "Exit code of the last run.", [(label, float(verdict.exit))]),
        ("success", "1 where the last run left nothing to be done.", [(label, float(verdict.exit is Exit.DONE))]),
        ("start_time_seconds", "When the last run began.", [(label, round(began.timestamp(), 3))]),
        ("duration_seconds", "How long the last run took.", [(label, seconds)]),
    )
    lines = []
    for name, text, values in metrics:
        lines += [f"# HELP jobfetch_batch_{name} {text}", f"# TYPE jobfetch_batch_{name} gauge"]
        lines += [f"jobfetch_batch_{name}{{{labels}}} {value:.15g}" for labels, value in values]
    return ("\n".join(lines) + "\n").encode()


def _write(option: str, path: str, data: bytes, folder: str | None) -> None:
    place = Path(path)
    # a job may be called so, whose file has come in the meantime
    _refuse_kept(option, place)
    if folder and place.parent.resolve() == Path(folder).resolve():
        # a first run may end before it makes its folder
        disk.folder(place.parent)
    with disk.replacing(place) as file:
        file.write(data)


#: How files begin that a report may replace in a folder of a batch: reports of before.
_OURS = (b'{"schema":"jobfetch.report/', b"# HELP jobfetch_batch_")


def _is_kept(path: Path) -> bool:
    """Whether a batch keeps such a file, or this is one in a folder of its own and no report."""
    if path.name in KEPT or path.stem == "rows":
        return True
    if not (path.parent / NAME).is_file() or not path.is_file():
        return False
    with disk.explained(path), path.open("rb") as file:
        return not file.read(max(map(len, _OURS))).startswith(_OURS)


def _refuse_kept(option: str, path: Path) -> None:
    if _is_kept(path):
        raise UsageError(f"{option} {path} is a name or a file of a batch itself", hint="name another file")


def _check_files(endings: Endings, taken: tuple[str | Path, ...]) -> None:
    others = {Path(each).resolve(): str(each) for each in taken}
    for option, path in (("--report", endings.report), ("--prom", endings.prom)):
        if path == "-":
            raise UsageError(f"{option} wants a file", hint="name one; --json prints the verdict on standard output")
        if path and (other := others.get(Path(path).resolve())):
            raise UsageError(f"{option} {path} would replace {other}", hint="name another file")
        if path:
            _refuse_kept(option, Path(path))
        others |= {Path(path).resolve(): "what the other report says"} if path else {}


def _check(url: str) -> None:
    try:
        parts = urlsplit(url)
        usable = parts.scheme in {"http", "https"} and bool(parts.hostname)
    except ValueError:
        usable = False
    if not usable:
        raise UsageError("--ping is no http(s) address", hint="write for example https://hc-ping.com/UUID")


def _ping(ui: Ui, url: str, suffix: str) -> None:
    """Ask for the address once, bare; that it cannot be reached changes nothing but a line."""
    # whole: whoever is told of the start is told of the end
    wires = imported("jobfetch.transport.wire")
    parts = urlsplit(url)
    target = parts._replace(path=parts.path.rstrip("/") + suffix).geturl() if suffix else url
    deadline = Deadline(time.monotonic() + PING_TIMEOUT, time.monotonic)
    wire = wires.Wire(deadline=deadline, user_agent=f"jobfetch/{__version__}")
    try:
        reply = wire.exchange(Request(url=target, purpose=Purpose.TOKEN, accept="*/*"), target, {})
        if not reply.ok:
            ui.warn(f"the ping was answered with HTTP {reply.status}")
    except JobfetchError:
        ui.warn("the ping could not be sent")
    finally:
        wire.close()
