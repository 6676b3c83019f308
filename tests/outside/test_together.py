"""Many processes at once, and processes that are killed: one login for all, no lost change, no torn file."""

import json
import random
import subprocess
import time
import tomllib
from collections.abc import Callable, Iterator
from contextlib import ExitStack
from pathlib import Path

import pytest

from jobfetch.sandbox import Sandbox

from .accounts import JOBS, options, piped, secrets_of, settings_of
from .program import Program, tree

Start = Callable[..., "subprocess.Popen[bytes]"]

#: Cron starts this many at the same minute.
MANY = 50


@pytest.fixture
def start(jobfetch: Program) -> Iterator[Start]:
    """Start a run that goes on beside the others."""
    with ExitStack() as stack:
        yield lambda *line, **more: stack.enter_context(
            jobfetch.start(*line, stdin=subprocess.DEVNULL, stdout=subprocess.DEVNULL, **more)
        )


def tokens(program: Program) -> list[Path]:
    return sorted((program.home / "state" / "tokens").glob("*"))


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
    assert [run.wait(timeout=300) for run in runs] == [0] * many
    assert logins(sandbox, LOGINS[provider]) == 2
    assert tokens(jobfetch) == [token]


def test_a_refused_token_is_dropped_for_all_and_renewed_once(jobfetch: Program, sandbox: Sandbox, start: Start) -> None:
    jobfetch("get", "cognite", "200")
    [token] = tokens(jobfetch)
    token.write_text(json.dumps(json.loads(token.read_text()) | {"value": "revoked"}))
    runs = [start("get", "cognite", "200") for _ in range(8)]
    assert [run.wait(timeout=300) for run in runs] == [0] * 8
    assert logins(sandbox, "/oauth2/") == 2


def test_another_secret_does_not_use_the_token_of_the_old_one(jobfetch: Program) -> None:
    assert jobfetch("get", "cognite", "200").code == 0
    assert jobfetch("get", "cognite", "200", JOBFETCH_COGNITE_CLIENT_SECRET="changed").code == 4


def test_whoever_is_killed_leaves_valid_files_and_stops_nobody(
    jobfetch: Program, sandbox: Sandbox, start: Start
) -> None:
    slow = ("get", "cognite", "200", "--timeout", "60")
    luck = random.Random(7)
    for _ in range(3):
        runs = [start(*slow) for _ in range(6)]
        time.sleep(luck.uniform(0.2, 0.9))
        for victim in luck.sample(runs, 3):
            victim.kill()
        assert [run.wait(timeout=300) for run in runs].count(0) >= 3
        for token in tokens(jobfetch):
            if token.suffix == ".json":
                assert json.loads(token.read_text())["value"]
                age(token, 4000)
    assert jobfetch(*slow).code == 0
    assert [path.suffix for path in tokens(jobfetch)] == [".json"]


def test_changes_at_the_same_time_are_all_there(jobfetch: Program, start: Start) -> None:
    runs = [start("config", "set", f"cognite.profiles.p{number}.project", "x") for number in range(12)]
    assert [run.wait(timeout=300) for run in runs] == [0] * 12
    told = tomllib.loads((jobfetch.home / "config" / "config.toml").read_text())
    assert set(told["cognite"]["profiles"]) == {f"p{number}" for number in range(12)}


def test_logins_at_the_same_time_are_all_there(jobfetch: Program, sandbox: Sandbox) -> None:
    environment = sandbox.environment()
    line = ("auth", "login", "playment", "--secret-stdin", *options(settings_of("playment", environment)))
    given = piped(secrets_of("playment", environment))
    with ExitStack() as stack:
        runs = [stack.enter_context(jobfetch.start(*line, "--profile", f"p{number}")) for number in range(6)]
        for run in runs:
            run.communicate(given, timeout=300)
        assert [run.returncode for run in runs] == [0] * 6
    kept = tomllib.loads((jobfetch.home / "config" / "credentials.toml").read_text())
    settings = tomllib.loads((jobfetch.home / "config" / "config.toml").read_text())
    assert set(kept["playment"]["profiles"]) == set(settings["playment"]["profiles"]) == {f"p{n}" for n in range(6)}


def test_a_change_that_is_killed_leaves_the_old_file_or_the_new_one(jobfetch: Program, start: Start) -> None:
    jobfetch("config", "set", "cognite.project", "x0")
    path = jobfetch.home / "config" / "config.toml"
    luck = random.Random(11)
    for number in range(1, 9):
        run = start("config", "set", "cognite.project", f"x{number}")
        time.sleep(luck.uniform(0.1, 0.5))
        run.kill()
        run.wait(timeout=10)
        assert tomllib.loads(path.read_text())["cognite"]["project"] in {f"x{n}" for n in range(number + 1)}
    assert jobfetch("config", "set", "cognite.project", "last").code == 0
    assert tree(jobfetch.home / "config") == {"config.toml": path.read_bytes()}
