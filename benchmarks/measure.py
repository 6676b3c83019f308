"""What every benchmark needs: the server in a process of its own, a run with its time and memory, a table of ratios."""

from __future__ import annotations

import contextlib
import json
import os
import subprocess
import sys
import time
from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from pathlib import Path
from statistics import median

import certifi

HERE = Path(__file__).parent
JOBFETCH = Path(sys.executable).with_name("jobfetch")
#: All of the environment that a contender gets: nothing that slows one of them down on this machine only.
_PLAIN = {name: os.environ[name] for name in ("PATH", "HOME", "LANG", "TMPDIR") if name in os.environ}


CERTIFICATES = HERE.parent / "tests" / "outside" / "certs"


def trust(folder: Path) -> None:
    """Have every contender trust the authority of the tests beside those that everybody trusts, as many as there are."""
    bundle = folder / "authorities.pem"
    bundle.write_bytes(Path(certifi.where()).read_bytes() + (CERTIFICATES / "authority.pem").read_bytes())
    _PLAIN["CURL_CA_BUNDLE"] = str(bundle)


@dataclass(frozen=True)
class Run:
    """One whole process: wall seconds, CPU seconds, and the most memory it held, in MB."""

    wall: float
    cpu: float
    peak: float


@contextlib.contextmanager
def serving(**options: float | str) -> Iterator[str]:
    """The address of a server with these options."""
    line = [sys.executable, str(HERE / "server.py")]
    line += [word for name, value in options.items() for word in (f"--{name}", str(value))]
    with subprocess.Popen(line, stdout=subprocess.PIPE) as server:
        assert server.stdout  # noqa: S101 - it has a pipe
        try:
            yield json.loads(server.stdout.readline())["api"]
        finally:
            server.terminate()


def held_by_all(line: list[str], environment: Mapping[str, str] | None = None) -> float:
    """Run a command, and look again and again how much it and the processes that it forked hold together, in MB.

    What they share counts once. Looking takes time: such a run is not timed.
    """
    most = 0.0
    with subprocess.Popen(  # noqa: S603, RUF100
        line, stdout=subprocess.DEVNULL, stderr=subprocess.DEVNULL, env={**_PLAIN, **(environment or {})}
    ) as process:
        while process.poll() is None:
            most = max(most, sum(map(_shared_out, _family(process.pid))))
            time.sleep(0.005)
    return most / 1024


def _family(process: int) -> list[int]:
    try:
        children = Path(f"/proc/{process}/task/{process}/children").read_text().split()
    except OSError:  # it has ended
        return []
    return [process, *(each for child in children for each in _family(int(child)))]


def _shared_out(process: int) -> int:
    try:
        lines = Path(f"/proc/{process}/smaps_rollup").read_text().splitlines()
    except OSError:  # it has ended
        return 0
    return sum(int(line.split()[1]) for line in lines if line.startswith("Pss:"))


def timed(line: list[str], environment: Mapping[str, str] | None = None, *, ends: int = 0) -> Run:
    """Run a command to its end, which must have this exit code."""
    started = time.monotonic()
    # no `with`: waiting for it is what tells its memory
    process = subprocess.Popen(  # noqa: S603, RUF100
        line, stdout=subprocess.DEVNULL, stderr=subprocess.PIPE, env={**_PLAIN, **(environment or {})}
    )
    assert process.stderr  # noqa: S101 - it has a pipe
    said = process.stderr.read()
    _, ended, usage = os.wait4(process.pid, 0)
    wall = time.monotonic() - started
    process.returncode = os.waitstatus_to_exitcode(ended)
    if process.returncode != ends:
        sys.exit(f"{line[0]} ended with {process.returncode}: {said.decode(errors='replace')[-2000:]}")
    return Run(wall, usage.ru_utime + usage.ru_stime, usage.ru_maxrss / 1024)


def table(runs: Mapping[str, list[Run]], *, against: str, limit: float | None = None) -> str:
    """Medians of every contender, and the ratio of its time to that of one of them and to the limit."""
    base = median(run.wall for run in runs[against])
    head = ["", "seconds", f"x {against}", *(["x limit"] if limit else []), "CPU s", "peak MB", "runs"]
    rows: list[list[str]] = []
    for name, each in runs.items():
        wall = median(run.wall for run in each)
        cpu, peak = median(run.cpu for run in each), max(run.peak for run in each)
        to_limit = [f"{wall / limit:.2f}"] if limit else []
        rows.append([name, f"{wall:.2f}", f"{wall / base:.2f}", *to_limit, f"{cpu:.2f}", f"{peak:.0f}", str(len(each))])
    return drawn(head, rows)


def drawn(head: list[str], rows: list[list[str]]) -> str:
    """A table in Markdown."""
    widths = [max(map(len, column)) for column in zip(head, *rows, strict=True)]
    lines = [
        "| " + " | ".join(cell.ljust(width) for cell, width in zip(row, widths, strict=True)) + " |"
        for row in [head, ["-" * width for width in widths], *rows]
    ]
    return "\n".join(lines)
