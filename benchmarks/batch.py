"""Many small jobs: the vendor's script, a shared session with threads, `curl --parallel`, and jobfetch, in one run.

    python benchmarks/batch.py [--jobs 2000] [--workers 64] [--latency 0.05] [--rounds 5] [--script-jobs 200] [--tls]

Every contender asks for the same jobs and leaves a file for each; whole processes are timed. The order of the
contenders is the same in every round, and medians are compared, so that a busy moment hits them alike. The vendor's script
asks one after another, so it is given fewer jobs (`--script-jobs`) and its time is multiplied; the table says so.
"""

from __future__ import annotations

import argparse
import shutil
import sys
import tempfile
from collections.abc import Callable
from pathlib import Path

from measure import CERTIFICATES, HERE, JOBFETCH, Run, serving, table, timed, trust
from peers import PATH

Contender = Callable[[str, Path, Path, int], Run]


def peer(name: str) -> Contender:
    """One of the scripts in `peers.py`."""

    def run(url: str, ids: Path, folder: Path, workers: int) -> Run:
        return timed([sys.executable, str(HERE / "peers.py"), name, url, str(ids), str(folder), str(workers)])

    return run


def curl(url: str, ids: Path, folder: Path, workers: int) -> Run:
    """Curl with a list of the same requests."""
    listed = ids.with_suffix(".curl")
    pairs = (f'url="{url}{PATH}{job_id}"\noutput="{folder}/{job_id}.json"\n' for job_id in ids.read_text().split())
    listed.write_text("".join(pairs))
    head = ["-H", "Authorization: Bearer token"]
    return timed(["curl", "-sS", "--parallel", "--parallel-max", str(workers), *head, "-K", str(listed)])


def jobfetch(url: str, ids: Path, folder: Path, workers: int) -> Run:
    """The installed command."""
    line = [str(JOBFETCH), "batch", "download", "cognite", "--base-url", url, "--project", "p", "--jobs", str(ids)]
    line += ["-o", str(folder), "--workers", str(workers), "-q"]
    return timed(line, {"JOBFETCH_COGNITE_TOKEN": "token", "JOBFETCH_CONFIG_DIR": "/nonexistent"})


def contenders() -> dict[str, Contender]:
    """Who takes part here, by name; who cannot is told of."""
    found: dict[str, Contender] = {"shared session, threads": peer("session")}
    if shutil.which("curl"):
        found["curl --parallel"] = curl
    else:
        print("curl is not on PATH: left out")
    return {**found, "jobfetch": jobfetch}


def main() -> None:
    """Run the rounds and print the table."""
    parser = argparse.ArgumentParser(description=__doc__, prog=Path(__file__).name)
    parser.add_argument("--jobs", type=int, default=2000)
    parser.add_argument("--workers", type=int, default=64)
    parser.add_argument("--latency", type=float, default=0.05, help="seconds before each reply")
    parser.add_argument("--rounds", type=int, default=5)
    parser.add_argument("--script-jobs", type=int, default=200, help="jobs for the vendor's script; 0 leaves it out")
    parser.add_argument("--place", help="a folder for the files, for example on a memory-backed disk")
    parser.add_argument("--tls", action="store_true", help="over https, as services are")
    options = parser.parse_args()
    taking_part = contenders()
    runs: dict[str, list[Run]] = {name: [] for name in taking_part}
    certificate = {"tls": str(CERTIFICATES / "server.pem")} if options.tls else {}
    with (
        serving(latency=options.latency, jobs=options.jobs, **certificate) as url,
        tempfile.TemporaryDirectory(dir=options.place) as place,
    ):
        if options.tls:
            trust(Path(place))

        def go(contender: Contender, name: str, count: int) -> Run:
            ids, folder = Path(place) / f"{name}.txt", Path(place) / name
            ids.write_text("".join(f"{number}\n" for number in range(1, count + 1)))
            folder.mkdir()
            run = contender(url, ids, folder, options.workers)
            left = len(list(folder.glob("**/[0-9]*.json")))
            if left != count:
                sys.exit(f"{name}: {left} files of {count}")
            return run

        if options.script_jobs:
            one = go(peer("script"), "script", options.script_jobs)
            times = options.jobs / options.script_jobs
            name = f"vendor's script (measured {options.script_jobs} jobs, x {times:.0f})"
            runs = {name: [Run(one.wall * times, one.cpu * times, one.peak)], **runs}
        for number in range(options.rounds):
            for index, (name, contender) in enumerate(taking_part.items()):
                runs[name].append(go(contender, f"{number}-{index}", options.jobs))
    limit = options.jobs * options.latency / options.workers
    print(
        f"{options.jobs} jobs, {options.latency * 1000:.0f} ms latency, {options.workers} workers: limit {limit:.2f} s\n"
    )
    print(table(runs, against=[*taking_part][-1], limit=limit))


if __name__ == "__main__":
    main()
