"""How long it takes until anything happens: jobfetch, bare Python, a Typer program of its shape, and other programs.

    python benchmarks/startup.py [--runs 15] [--peers FOLDER]

Every line is run once a round, round after round, so that all of them meet the same machine. Others are taken from the folder
(the `bin` of an environment of their own) or from PATH: pip install gallery-dl huggingface_hub httpie awscli. Who is not
there is said. None of the lines asks for anything over the network.
"""

from __future__ import annotations

import argparse
import os
import shutil
import sys
import tempfile
from pathlib import Path
from statistics import median

from measure import HERE, JOBFETCH, Run, drawn, timed

BARE, TYPER = "python -c pass", "the same shape in Typer"
#: What is promised: line -> against which other line, and at most how many times its time.
LIMITS = {
    "jobfetch --version": (BARE, 2.0),
    "jobfetch, TAB for a profile": (BARE, 2.0),
    "jobfetch, TAB for a job id": (BARE, 2.0),
    "jobfetch --help": (f"{TYPER} --help", 1.2),
}
OTHERS = {"gallery-dl": "gallery-dl", "hf": "hf", "httpie": "http", "aws": "aws"}


def lines(peers: str | None) -> tuple[dict[str, list[str]], list[str]]:
    """Every line that is run, by the name under which it is told of; and who is not there."""
    ours, words = str(JOBFETCH), [str(JOBFETCH), "completions", "words"]
    # imported, so that it is compiled once only, as an installed program is
    shape = [sys.executable, "-c", f"import sys; sys.path[0] = {str(HERE)!r}; import shape; shape.app()"]
    found = {
        BARE: [sys.executable, "-c", "pass"],
        "jobfetch --version": [ours, "--version"],
        "jobfetch, TAB for a profile": [*words, "profiles", "get", "playment", "--profile", ""],
        "jobfetch, TAB for a job id": [*words, "jobs", "get", "playment", "-o", "jobs", ""],
        f"{TYPER} --help": [*shape, "--help"],
        "jobfetch --help": [ours, "--help"],
        f"{TYPER} get cognite --help": [*shape, "get", "cognite", "--help"],
        "jobfetch get cognite --help": [ours, "get", "cognite", "--help"],
    }
    missing = []
    for name, program in OTHERS.items():
        path = shutil.which(program, path=peers) or shutil.which(program)
        if path:
            found |= {f"{name} --version": [path, "--version"], f"{name} --help": [path, "--help"]}
            # its help is a manual page in a pager, or an error without one
            found.pop("aws --help", None)
        else:
            missing.append(name)
    return found, missing


def prepare(place: Path, jobs: int) -> dict[str, str]:
    """A configuration with two profiles and a folder with so many jobs; the environment that leads there."""
    (place / "config.toml").write_text('[playment]\nproject = "p"\n[playment.profiles.a]\n[playment.profiles.b]\n')
    (place / "jobs").mkdir()
    head = '{"schema":"jobfetch.manifest/1","provider":"playment","params":{},"profile":null,"format":"json","origin":"o"}\n'
    told = (f'{{"job_id":"job-{number}","state":"succeeded","file":null}}\n' for number in range(jobs))
    (place / "jobs" / "manifest.jsonl").write_text(head + "".join(told))
    return {"JOBFETCH_CONFIG_DIR": str(place)}


def main() -> None:
    """Run everything and print the table."""
    parser = argparse.ArgumentParser(description=__doc__, prog=Path(__file__).name)
    parser.add_argument("--runs", type=int, default=15)
    parser.add_argument("--jobs", type=int, default=1000, help="jobs on record where job ids are completed")
    parser.add_argument("--peers", help="the bin folder of an environment that has the other programs")
    options = parser.parse_args()
    found, missing = lines(options.peers)
    runs: dict[str, list[Run]] = {name: [] for name in found}
    with tempfile.TemporaryDirectory() as place:
        environment = prepare(Path(place), options.jobs)
        os.chdir(place)
        for number in range(options.runs + 1):
            for name, line in found.items():
                run = timed(line, environment)
                # the first round only warms up
                runs[name] += [run] if number else []
    walls = {name: median(run.wall for run in each) for name, each in runs.items()}
    rows = []
    for name, wall in walls.items():
        against, limit = LIMITS.get(name, (BARE, 0.0))
        promised = f"{wall / walls[against]:.2f} of {limit}" if limit else ""
        rows.append([name, f"{wall * 1000:.0f}", f"{wall / walls[BARE]:.2f}", promised])
    print(drawn(["", "ms", f"x {BARE}", "of the limit"], rows))
    if missing:
        print("not there:", ", ".join(missing))


if __name__ == "__main__":
    main()
