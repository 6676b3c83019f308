"""Where nothing is as at home: cron, no home, a home that cannot be written, a user whom the machine does not know."""

import os
from collections.abc import Callable, Mapping
from pathlib import Path

import pytest

from jobfetch.sandbox import Sandbox

from .accounts import options, piped, secrets_of, settings_of
from .program import MORTAL, STRANGER, Program, tree

Cron = Callable[[Mapping[str, str]], tuple[str, ...]]


def only(environment: Mapping[str, str], program: Program) -> tuple[str, ...]:
    """A prefix that leaves just this of the environment, as cron does."""
    kept = {name: value for name, value in program.environment.items() if name.startswith("COVERAGE")}
    return ("env", "-i", f"PATH={os.environ['PATH']}", *(f"{n}={v}" for n, v in {**kept, **environment}.items()))


def test_cron_finds_what_was_kept_by_its_home_alone(bare: Program, sandbox: Sandbox, home: Path) -> None:
    environment = sandbox.environment()
    of_home = only({"HOME": str(home)}, bare)
    line = ("auth", "login", "playment", "--secret-stdin", *options(settings_of("playment", environment)))
    assert bare(*line, prefix=of_home, stdin=piped(secrets_of("playment", environment))).code == 0
    run = bare("get", "playment", "done", prefix=of_home)
    assert run.code == 0, run.said
    assert home / ".config" / "jobfetch" / "credentials.toml" in home.rglob("*")


NO_HOME = [("get", "playment", "done"), ("get", "cognite", "200")]


@pytest.mark.parametrize("line", NO_HOME)
def test_an_unknown_user_without_a_home_fetches_what_the_environment_leads_to(
    bare: Program, sandbox: Sandbox, line: tuple[str, ...], tmp_path: Path
) -> None:
    empty = tmp_path / "empty"
    empty.mkdir()
    run = bare(*line, prefix=(*only(sandbox.environment(), bare), *STRANGER), cwd=empty)
    assert run.code == 0, run.said
    assert list(empty.iterdir()) == []


@pytest.mark.parametrize(
    "line",
    [
        ("config", "init"),
        ("config", "set", "cognite.project", "p"),
        ("auth", "login", "exabase", "--no-check", "--secret-stdin"),
    ],
)
def test_an_unknown_user_without_a_home_is_told_what_to_set(bare: Program, line: tuple[str, ...]) -> None:
    run = bare(*line, prefix=(*only({}, bare), *STRANGER), stdin=b"a-key")
    assert run.code == 3, run.said
    assert "JOBFETCH_CONFIG_DIR" in run.said


def test_an_unknown_user_is_told_by_the_doctor_what_to_set(bare: Program) -> None:
    run = bare("doctor", prefix=(*only({}, bare), *STRANGER))
    assert run.code == 0
    assert b"export JOBFETCH_CONFIG_DIR=" in run.out


def test_an_unknown_user_with_a_folder_of_his_own_is_as_good_as_any(
    bare: Program, sandbox: Sandbox, tmp_path: Path
) -> None:
    own = tmp_path / "own"
    own.mkdir(mode=0o700)
    for folder in (own, *list(tmp_path.parents)[:2], tmp_path):
        folder.chmod(folder.stat().st_mode | 0o011)
    if STRANGER:
        os.chown(own, 54321, 54321)
    own.chmod(0o700)
    folders = {"JOBFETCH_CONFIG_DIR": str(own / "config"), "JOBFETCH_STATE_DIR": str(own / "state")}
    prefix = (*only(folders, bare), *STRANGER)
    environment = sandbox.environment()
    line = ("auth", "login", "cognite", "--secret-stdin", *options(settings_of("cognite", environment)))
    run = bare(*line, prefix=prefix, stdin=piped(secrets_of("cognite", environment)))
    assert run.code == 0, run.said
    assert bare("get", "cognite", "200", prefix=prefix).code == 0
    assert [name for name in tree(own) if name.startswith("state/tokens/")] != []


def test_a_home_that_cannot_be_written_stops_no_get_and_loses_no_login(
    jobfetch: Program, home: Path, sandbox: Sandbox
) -> None:
    read_only = {"JOBFETCH_CONFIG_DIR": str(home / "config"), "JOBFETCH_STATE_DIR": str(home / "state")}
    home.chmod(0o500)
    assert jobfetch("get", "cognite", "200", prefix=MORTAL, env=read_only).code == 0
    run = jobfetch("auth", "login", "playment", "--secret-stdin", prefix=MORTAL, env=read_only, stdin=b"k")
    home.chmod(0o700)
    assert run.code == 4  # the wrong key is refused before anything is written
    assert list(tree(home)) == []


def test_a_login_that_cannot_be_kept_is_a_matter_of_the_disk(jobfetch: Program, home: Path, sandbox: Sandbox) -> None:
    home.chmod(0o500)
    given = piped(secrets_of("playment", sandbox.environment()))
    run = jobfetch("auth", "login", "playment", "--secret-stdin", prefix=MORTAL, stdin=given)
    home.chmod(0o700)
    assert run.code == 12, run.said


@pytest.mark.parametrize("name", ["config.toml", "credentials.toml"])
def test_a_file_that_may_not_be_read_is_named(bare: Program, name: str) -> None:
    bare.configure("")
    path = bare.home / "config" / name
    path.write_text("")
    path.chmod(0)
    run = bare("get", "justcrawl", "done", prefix=MORTAL)
    assert run.code == 3
    assert str(path) in run.said
    assert "cannot be read: Permission denied" in run.said


def test_a_secret_file_that_may_not_be_read_is_named(bare: Program, tmp_path: Path) -> None:
    (tmp_path / "key").write_text("k")
    (tmp_path / "key").chmod(0)
    run = bare("get", "justcrawl", "done", "--api-key-file", tmp_path / "key", prefix=MORTAL)
    assert run.code == 3
    assert "--api-key-file" in run.said
