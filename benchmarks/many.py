"""Very many jobs: what jobfetch holds in memory, and how long a run takes that finds everything done.

    python benchmarks/many.py [--few 1000] [--many 100000] [--workers 64] [--place /dev/shm]

Each line is asked of a few jobs and of many, and the difference in memory is what the jobs themselves cost. The server answers
at once: what is seen is the time that jobfetch itself takes. For the second run, a script that fetches everything again is
the measure, and that is the first run.
"""

from __future__ import annotations

import argparse
import tempfile
from pathlib import Path

from measure import JOBFETCH, Run, drawn, serving, timed

KEYS = {"JOBFETCH_EXABASE_API_KEY": "key", "JOBFETCH_CONFIG_DIR": "/nonexistent"}

LISTED, NAMED, STATUS, VERIFY = "by the list", "by --jobs", "batch status", "batch verify"

#: What is run, one after another: the state of all jobs, how they are come by, and the exit code that belongs to it.
RUNS = {
    "all running": ("running", LISTED, 75),
    "all running, each asked for": ("running", NAMED, 75),
    "all failed": ("failed", NAMED, 6),
    "all done": ("done", LISTED, 0),
    "all done, second run": ("done", LISTED, 0),
    "all done, third run, by --jobs": ("done", NAMED, 0),
    "all done, batch status": ("done", STATUS, 0),
    "all done, batch verify": ("done", VERIFY, 0),
}


def measured(jobs: int, workers: int, place: Path) -> dict[str, Run]:
    """Each run over so many jobs, by its name."""
    ids = place / "ids"
    ids.write_text("".join(f"{number}\n" for number in range(1, jobs + 1)))
    runs: dict[str, Run] = {}
    for asked in ("running", "failed", "done"):
        with serving(latency=0, jobs=jobs, size=200, state=asked) as url:
            for name, (state, how, ends) in RUNS.items():
                if state == asked:
                    folder = place / (state if state == "done" else name)
                    runs[name] = timed(_line(url, how, folder, ids, workers), KEYS, ends=ends)
    return runs


def _line(url: str, how: str, folder: Path, ids: Path, workers: int) -> list[str]:
    if how in {STATUS, VERIFY}:
        return [str(JOBFETCH), *how.split(), str(folder), "-q"]
    line = [str(JOBFETCH), "batch", "download", "exabase", "--base-url", url, "-o", str(folder), "-q"]
    line += ["--workers", str(workers), "--rate", "none", "--retries", "0"]
    return line if how == LISTED else [*line, "--jobs", str(ids)]


def main() -> None:
    """Run everything and print the table."""
    parser = argparse.ArgumentParser(description=__doc__, prog=Path(__file__).name)
    parser.add_argument("--few", type=int, default=1000)
    parser.add_argument("--many", type=int, default=100_000)
    parser.add_argument("--workers", type=int, default=64)
    parser.add_argument("--place", help="a folder for the files, for example on a memory-backed disk")
    options = parser.parse_args()
    found = []
    for jobs in (options.few, options.many):
        with tempfile.TemporaryDirectory(dir=options.place) as place:
            found.append(measured(jobs, options.workers, Path(place)))
    few, many = found
    base = many["all done"].wall
    rows = []
    for name, run in many.items():
        before = few[name].peak
        times = [f"{run.wall:.1f}", f"{run.wall / base:.3f}", f"{run.cpu:.1f}"]
        rows.append([name, *times, f"{run.peak:.0f}", f"{before:.0f}", f"{run.peak - before:+.0f}"])
    head = [f"{options.many} jobs", "seconds", "x first run", "CPU s", "peak MB", f"at {options.few}", "more MB"]
    print(drawn(head, rows))


if __name__ == "__main__":
    main()
