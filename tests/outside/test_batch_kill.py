"""A batch that was killed anywhere ends with the same tree as one that nobody disturbed, and asks for nothing twice."""

import json
import os
import random
import re
import sys
from pathlib import Path
from typing import Any

import pytest

from jobfetch.sandbox import Sandbox

from .killing import STEPS
from .program import HANGS, Here, Program, tree, until

#: How many random moments; `make kills` tries many more.
MOMENTS = int(os.environ.get("JOBFETCH_KILLS", "2"))
JOBS = 24
LINE: tuple[str, ...] = ("batch", "download", "playment", "--batch", "batch-250", "--limit", str(JOBS), "-f", "csv")
LINE = (*LINE, "--reproducible", "--retries", "8", "--workers", "4", "--timeout", "50")


def known(folder: Path) -> dict[str, bytes]:
    """Every file, and of the manifest what two runs must agree on: all but attempts and time, a line a job."""
    files = tree(folder)
    for name in [name for name in files if name.endswith("manifest.jsonl")]:
        lines = [json.loads(line) for line in files.pop(name).splitlines()]
        last = {line["job_id"]: {**line, "attempts": 0, "at": ""} for line in lines[1:]}
        # each sandbox has an address of its own, which stands there as a hash
        files[name] = json.dumps([{**lines[0], "origin": ""}, *(last[job_id] for job_id in sorted(last))]).encode()
    return files


def recorded(folder: Path) -> set[str]:
    """The jobs that whole lines of the manifest tell to be done."""
    manifest = folder / "batch-250" / "manifest.jsonl"
    text = manifest.read_text() if manifest.is_file() else ""
    lines = [json.loads(line) for line in text.splitlines(keepends=True)[1:] if line.endswith("\n")]
    return {line["job_id"] for line in lines if line["state"] == "succeeded"}


def asked_for(sandbox: Sandbox) -> set[str]:
    return {match[1] for one in sandbox.asked() if (match := re.search(r"(job-\d+)", one.path))}


@pytest.fixture(scope="module")
def undisturbed(tmp_path_factory: pytest.TempPathFactory) -> dict[str, bytes]:
    """What the line leaves when nobody disturbs it."""
    out = tmp_path_factory.mktemp("out")
    with Sandbox(pace=0.1) as sandbox:
        run = Here(tmp_path_factory.mktemp("home"), sandbox.environment())(*LINE, "-o", out)
    assert run.code == 0, run.said
    assert len(tree(out)) == JOBS + 2
    return known(out)


def made_good(program: Program, sandbox: Sandbox, out: Path) -> set[str]:
    """Run the line again until it is through; what had been recorded and was asked for all the same."""
    done = recorded(out)
    sandbox.clear()
    runs = [program(*LINE, "-o", out)]
    while runs[-1].code and len(runs) < 5:
        runs.append(program(*LINE, "-o", out))
    assert runs[-1].code == 0, runs[-1].said
    return done & asked_for(sandbox)


@pytest.mark.parametrize("number", [5] if MOMENTS < 5 else [1, 3, 5])
@pytest.mark.parametrize("step", STEPS)
def test_killed_at_a_step_the_same_line_makes_it_good(
    here: Program, sandbox: Sandbox, out: Path, undisturbed: dict[str, bytes], *, step: str, number: int
) -> None:
    killing = Path(__file__).with_name("killing.py")
    with here.start(*LINE, "-o", out, prefix=(sys.executable, killing, step, str(number))) as process:
        _, said = process.communicate(timeout=HANGS)
    sys.stderr.write(said.decode())
    assert process.returncode == -9, said
    assert made_good(here, sandbox, out) == set()
    assert known(out) == undisturbed


def _moments(what: str) -> list[Any]:
    chosen = random.Random(what).sample(range(1, 3 * JOBS), MOMENTS)
    return [pytest.param(number, id=f"{number} requests") for number in chosen]


@pytest.mark.parametrize("moment", _moments("well"))
def test_killed_at_any_moment_the_same_line_makes_it_good(
    here: Program, sandbox: Sandbox, out: Path, undisturbed: dict[str, bytes], moment: int
) -> None:
    killed(here, sandbox, out, moment)
    assert made_good(here, sandbox, out) == set()
    assert known(out) == undisturbed


@pytest.mark.parametrize("moment", _moments("ill"))
def test_killed_while_a_tenth_of_all_requests_goes_wrong_it_is_made_good_as_well(
    home: Path, out: Path, undisturbed: dict[str, bytes], moment: int
) -> None:
    with Sandbox(pace=0.1, trouble=0.1) as ill:
        program = Here(home, ill.environment())
        killed(program, ill, out, moment)
        assert made_good(program, ill, out) == set()
    assert known(out) == undisturbed


def killed(program: Program, sandbox: Sandbox, out: Path, moment: int) -> None:
    """Start the line and kill it after so many requests."""
    with program.start(*LINE, "-o", out) as process:
        until(lambda: len(sandbox.asked()) >= moment or process.poll() is not None)
        process.kill()
        process.communicate()
    sys.stderr.write(f"killed after {len(sandbox.asked())} requests, {len(recorded(out))} of {JOBS} jobs recorded\n")
