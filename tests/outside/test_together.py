"""Many processes at once, and processes that are killed: one login for all, no lost change, no torn file."""

import json
import random
import subprocess
import sys
import tomllib
from collections.abc import Callable, Iterator
from contextlib import ExitStack
from pathlib import Path

import pytest

from jobfetch.sandbox import Sandbox

from .accounts import JOBS, options, piped, secrets_of, settings_of
from .killing import STEPS as EVERY_STEP
from .program import HANGS, Program, tree, until

Start = Callable[..., "subprocess.Popen[bytes]"]

#: The steps of a file on its way; the others are a manifest's.
STEPS = [step for step in EVERY_STEP if "manifest" not in step]
#: Cron starts this many at the same minute.
MANY = 50


@pytest.fixture
def start(jobfetch: Program) -> Iterator[Start]:
    """Start a run that goes on beside the others."""
    with ExitStack() as stack:
        yield lambda *line, **more: stack.enter_context(
            jobfetch.start(*line, stdin=subprocess.DEVNULL, stdout=subprocess.DEVNULL, **more)
        )


Killed = Callable[..., None]


@pytest.fixture
def killed(jobfetch: Program) -> Killed:
    """Run a line and kill it the so manieth time that it comes to a step: `killed(step, 1, "config", ...)`."""
    killing = Path(__file__).with_name("killing.py")

    def run(step: str, number: int, *line: str, stdin: bytes = b"") -> None:
        done = jobfetch(*line, prefix=(sys.executable, killing, step, str(number)), stdin=stdin)
        assert done.code == -9, done.said

    return run


def tokens(program: Program) -> list[Path]:
    """What is kept. The lock of a process that was killed holds nothing, and goes with the next renewal."""
    return sorted(path for path in (program.home / "state" / "tokens").glob("*") if path.suffix != ".lock")


def logins(sandbox: Sandbox, path: str) -> int:
    return sum(one.path.startswith(path) for one in sandbox.asked())


def age(path: Path, seconds: float) -> None:
    """Let a kept token be so much older."""
    told = json.loads(path.read_text())
    path.write_text(json.dumps(told | {name: told[name] - seconds for name in ("obtained_at", "expires_at")}))


def test_a_token_serves_the_next_run_too(jobfetch: Program, sandbox: Sandbox) -> None:
    assert [jobfetch("get", "cognite", "200").code for _ in range(2)] == [0, 0]
    assert logins(sandbox, "/oauth2/") == 1


LOGINS = {"cognite": "/oauth2/", "expertai": "/expert"}


@pytest.mark.parametrize(("provider", "many"), [("cognite", MANY), ("expertai", 8)])
def test_an_expired_token_is_renewed_by_one_process_for_all(
    jobfetch: Program, sandbox: Sandbox, start: Start, provider: str, many: int
) -> None:
    line = ("get", provider, JOBS[provider])
    jobfetch(*line)
    [token] = tokens(jobfetch)
    age(token, 4000)
    runs = [start(*line) for _ in range(many)]
    assert [run.wait(timeout=HANGS) for run in runs] == [0] * many
    assert logins(sandbox, LOGINS[provider]) == 2
    assert tokens(jobfetch) == [token]


def test_a_refused_token_is_dropped_for_all_and_renewed_once(jobfetch: Program, sandbox: Sandbox, start: Start) -> None:
    jobfetch("get", "cognite", "200")
    [token] = tokens(jobfetch)
    token.write_text(json.dumps(json.loads(token.read_text()) | {"value": "revoked"}))
    runs = [start("get", "cognite", "200") for _ in range(8)]
    assert [run.wait(timeout=HANGS) for run in runs] == [0] * 8
    assert logins(sandbox, "/oauth2/") == 2


def test_another_secret_does_not_use_the_token_of_the_old_one(jobfetch: Program) -> None:
    assert jobfetch("get", "cognite", "200").code == 0
    assert jobfetch("get", "cognite", "200", JOBFETCH_COGNITE_CLIENT_SECRET="changed").code == 4


@pytest.mark.parametrize("moment", random.Random(7).sample(range(1, 12), 3))
def test_whoever_is_killed_stops_nobody(jobfetch: Program, sandbox: Sandbox, start: Start, moment: int) -> None:
    line = ("get", "cognite", "200")
    runs = [start(*line) for _ in range(6)]
    until(lambda: len(sandbox.asked()) >= moment)
    for victim in runs[:3]:
        victim.kill()
    assert [run.wait(timeout=HANGS) for run in runs[3:]] == [0] * 3
    [token] = tokens(jobfetch)
    assert json.loads(token.read_text())["value"]


@pytest.mark.parametrize("step", STEPS)
def test_a_run_that_is_killed_while_it_keeps_a_token_leaves_a_valid_one_or_none(
    jobfetch: Program, killed: Killed, step: str
) -> None:
    killed(step, 1, "get", "cognite", "200")
    assert all(json.loads(path.read_text())["value"] for path in tokens(jobfetch) if path.suffix == ".json")
    assert jobfetch("get", "cognite", "200").code == 0
    assert [path.suffix for path in tokens(jobfetch)] == [".json"]


def test_changes_at_the_same_time_are_all_there(jobfetch: Program, start: Start) -> None:
    runs = [start("config", "set", f"cognite.profiles.p{number}.project", "x") for number in range(12)]
    assert [run.wait(timeout=HANGS) for run in runs] == [0] * 12
    told = tomllib.loads((jobfetch.home / "config" / "config.toml").read_text())
    assert set(told["cognite"]["profiles"]) == {f"p{number}" for number in range(12)}


def test_logins_at_the_same_time_are_all_there(jobfetch: Program, sandbox: Sandbox) -> None:
    environment = sandbox.environment()
    line = ("auth", "login", "playment", "--secret-stdin", *options(settings_of("playment", environment)))
    given = piped(secrets_of("playment", environment))
    with ExitStack() as stack:
        runs = [stack.enter_context(jobfetch.start(*line, "--profile", f"p{number}")) for number in range(6)]
        for run in runs:
            run.communicate(given, timeout=HANGS)
        assert [run.returncode for run in runs] == [0] * 6
    kept = tomllib.loads((jobfetch.home / "config" / "credentials.toml").read_text())
    settings = tomllib.loads((jobfetch.home / "config" / "config.toml").read_text())
    assert set(kept["playment"]["profiles"]) == set(settings["playment"]["profiles"]) == {f"p{n}" for n in range(6)}


@pytest.mark.parametrize("step", STEPS)
def test_a_change_that_is_killed_leaves_the_old_file_or_the_new_one(
    jobfetch: Program, killed: Killed, step: str
) -> None:
    jobfetch("config", "set", "cognite.project", "old")
    path = jobfetch.home / "config" / "config.toml"
    killed(step, 1, "config", "set", "cognite.project", "new")
    done = step == "after the replace"
    assert tomllib.loads(path.read_text())["cognite"]["project"] == ("new" if done else "old")
    assert jobfetch("config", "set", "cognite.project", "last").code == 0
    assert tree(path.parent) == {"config.toml": b'[cognite]\nproject = "last"\n'}


@pytest.mark.parametrize("file", [1, 2], ids=["the settings", "the secret"])
@pytest.mark.parametrize("step", STEPS)
def test_a_login_that_is_killed_never_leaves_a_secret_without_its_settings(
    jobfetch: Program, sandbox: Sandbox, killed: Killed, *, step: str, file: int
) -> None:
    environment = sandbox.environment()
    line = ("auth", "login", "exabase", "--secret-stdin", *options(settings_of("exabase", environment)))
    given = piped(secrets_of("exabase", environment))
    killed(step, file, *line, stdin=given)
    left = tree(jobfetch.home / "config")
    assert ("credentials.toml" in left) == ((file, step) == (2, "after the replace"))
    assert file == 1 or b"base_url" in left["config.toml"]
    assert jobfetch(*line, stdin=given).code == 0
    assert set(tree(jobfetch.home / "config")) == {"config.toml", "credentials.toml"}
