"""One large file: curl, curl and jq on the very requests of jobfetch, a script that holds the reply in memory, and jobfetch.

    python benchmarks/large.py [--mib 1024] [--rounds 10] [--place /dev/shm]

All ask the same server for the same bytes, in one run. Curl alone asks for the file; in the other contenders the job is
asked for first, and leads to it. Only jobfetch checks the length, flushes the file to disk, and puts it under its name at the
end; the result is checked for being JSON as well, the linked file gets its SHA-256. The script is run once.
"""

from __future__ import annotations

import argparse
import shutil
import sys
import tempfile
from collections.abc import Callable
from pathlib import Path

from measure import HERE, JOBFETCH, Run, serving, table, timed

KEYS = {"JOBFETCH_PLAYMENT_API_KEY": "key", "JOBFETCH_EXABASE_API_KEY": "key", "JOBFETCH_CONFIG_DIR": "/nonexistent"}


def contenders(url: str) -> dict[str, tuple[Callable[[Path], Run], str]]:
    """Who takes part here, by name, and where under its folder the file lies afterwards."""

    def curl(folder: Path) -> Run:
        return timed(["curl", "-sS", "-o", str(folder / "file"), f"{url}/large"])

    def led(folder: Path, job: str, link: str, file: str) -> Run:
        script = f'link=$(curl -sS "$1/{job}" | jq -er {link}) && curl -sSL -o "$2/file" "{file}"'
        return timed(["sh", "-c", script, "sh", url, str(folder)])

    def curl_linked(folder: Path) -> Run:
        return led(folder, "v2/extract/large", ".extraction.common.thumbnail", "$link")

    def curl_result(folder: Path) -> Run:
        return led(folder, "v1/projects/p/jobs/large", ".data.result", "$1/v1/attachments?url=$link")

    def linked(folder: Path) -> Run:
        line = [str(JOBFETCH), "get", "exabase", "large", "--base-url", url, "--assets", "-o", str(folder / "job.json")]
        return timed([*line, "-q"], KEYS)

    def result(folder: Path) -> Run:
        line = [str(JOBFETCH), "get", "playment", "large", "--base-url", url, "--project", "p", "-f", "raw"]
        return timed([*line, "-o", str(folder / "file"), "-q"], KEYS)

    found: dict[str, tuple[Callable[[Path], Run], str]] = {}
    if shutil.which("curl"):
        found["curl -o"] = (curl, "file")
    else:
        print("curl is not on PATH: left out")
    if found and shutil.which("jq"):
        found["curl and jq, linked file"] = (curl_linked, "file")
        found["curl and jq, result"] = (curl_result, "file")
    elif found:
        print("jq is not on PATH: left out")
    return {**found, "jobfetch, linked file": (linked, "large.assets/0001.json"), "jobfetch, result": (result, "file")}


def main() -> None:
    """Run the rounds and print the table."""
    parser = argparse.ArgumentParser(description=__doc__, prog=Path(__file__).name)
    parser.add_argument("--mib", type=int, default=1024)
    parser.add_argument("--rounds", type=int, default=10)
    parser.add_argument("--latency", type=float, default=0.05, help="seconds before each reply")
    parser.add_argument("--place", help="a folder for the files, for example on a memory-backed disk")
    options = parser.parse_args()
    with (
        serving(latency=options.latency, large=options.mib) as url,
        tempfile.TemporaryDirectory(dir=options.place) as place,
    ):
        taking_part = contenders(url)
        runs: dict[str, list[Run]] = {name: [] for name in taking_part}

        def go(contender: Callable[[Path], Run], kept: str) -> Run:
            with tempfile.TemporaryDirectory(dir=place) as folder:
                run = contender(Path(folder))
                size = (Path(folder) / kept).stat().st_size
                if size != options.mib << 20:
                    sys.exit(f"{kept}: {size} bytes instead of {options.mib << 20}")
                return run

        names = [*taking_part]
        for number in range(options.rounds):
            # each comes at every place in turn: what the one before leaves of the memory makes up to twice the time
            first = number % len(names)
            for name in names[first:] + names[:first]:
                runs[name].append(go(*taking_part[name]))
        script = [sys.executable, str(HERE / "peers.py"), "content", f"{url}/large"]
        runs["script with response.content"] = [go(lambda folder: timed([*script, str(folder / "file")]), "file")]
    print(f"{options.mib} MiB\n")
    print(table(runs, against=next(iter(runs))))


if __name__ == "__main__":
    main()
