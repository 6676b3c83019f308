"""`jobfetch sandbox` and `jobfetch demo`, as people use them."""

import json
import os
import shlex
import signal
import socket
from collections.abc import Iterator
from pathlib import Path

import pytest

from jobfetch.sandbox import BEHAVIOURS, READY_TOKEN

from .program import HANGS, JOBFETCH, Program, tree

MINE = {
    "CDF_TOKEN": "my-own-token",
    "COGNITE_CLIENT_SECRET": "my-own-secret",
    "IDP_TENANT_ID": "my-own-tenant",
    "CDF_URL": "https://my-own.example.com",
    "PLAYMENT_API_KEY": "my-own-key",
    "JOBFETCH_COGNITE_TOKEN": "my-own-token",
    "JOBFETCH_PROFILE": "my-own-profile",
    "HTTPS_PROXY": "http://my-own-proxy:1",
    "http_proxy": "http://my-own-proxy:1",
    "ALL_PROXY": "http://my-own-proxy:1",
}


@pytest.mark.parametrize("code", [0, 1, 7, 75, 200])
def test_the_exit_code_of_a_command_is_passed_on(bare: Program, code: int) -> None:
    assert bare("sandbox", "run", "--", "sh", "-c", f"exit {code}").code == code


def test_a_command_that_a_signal_ends_is_told_as_a_shell_tells_it(bare: Program) -> None:
    assert bare("sandbox", "run", "--", "sh", "-c", "kill -9 $$").code == 137


def test_a_command_that_is_not_there_is_a_usage_error(bare: Program) -> None:
    run = bare("sandbox", "run", "--", "/no/such/command")
    assert run.code in {2, 127}
    assert "/no/such/command" in run.said


def test_streams_of_a_command_are_left_alone(bare: Program) -> None:
    run = bare("sandbox", "run", "--", "sh", "-c", "cat; echo said >&2", stdin=b"given")
    assert (run.out, run.err) == (b"given", b"said\n")


def test_nothing_of_the_users_reaches_a_command(bare: Program) -> None:
    bare.configure('[cognite]\nproject = "my-own-project"\n')
    run = bare("sandbox", "run", "--", "env", env=MINE)
    assert b"my-own" not in run.out
    seen = dict(line.split("=", 1) for line in run.out.decode().splitlines() if line.startswith("JOBFETCH_"))
    assert not Path(seen["JOBFETCH_CONFIG_DIR"]).exists()
    assert seen["JOBFETCH_COGNITE_BASE_URL"].startswith("http://127.0.0.1:")


def test_a_rehearsal_is_narrated_as_the_real_thing_will_be(bare: Program) -> None:
    run = bare("sandbox", "run", "--", JOBFETCH, "get", "cognite", "200", env={"JOBFETCH_LOG": "json"})
    assert json.loads(run.said.splitlines()[0])["job_id"] == "200"


def test_a_locale_without_the_letters_of_the_secrets_is_told_of(home: Path) -> None:
    ascii_only = {"LC_ALL": "C", "PYTHONUTF8": "0", "PYTHONCOERCECLOCALE": "0"}
    run = Program(home, ascii_only)("sandbox", "run", "--", "true")
    assert (run.code, "LC_ALL=C.UTF-8" in run.said) == (2, True)


def test_a_person_at_a_terminal_is_told_that_nothing_real_is_reached(home: Path) -> None:
    code, said = Program(home, {"TERM": "xterm"}).typed("sandbox", "run", "--", "true", answers=[])
    assert (code, "nothing real" in said) == (0, True)


def test_the_program_itself_reaches_only_the_sandbox_in_it(bare: Program) -> None:
    bare.configure("this is not TOML")
    run = bare("sandbox", "run", "--", JOBFETCH, "get", "cognite", "200", env=MINE)
    assert json.loads(run.out)["job_id"] == "200"


def test_a_quick_sandbox_passes_its_pace_on(bare: Program) -> None:
    line = (JOBFETCH, "get", "cognite", "1003", "--wait", "--interval", "0.1")
    assert bare("sandbox", "run", "--pace", "0.1", "--", *line).code == 0


def test_options_of_a_command_are_its_own(bare: Program) -> None:
    run = bare("sandbox", "run", "--", "echo", "--json", "-q")
    assert run.out == b"--json -q\n"


@pytest.mark.parametrize("shape", [(), ("--json",)], ids=["prose", "verdict"])
def test_every_behaviour_is_listed(bare: Program, shape: tuple[str, ...]) -> None:
    run = bare("sandbox", "jobs", *shape)
    listed = (
        [one["job_id"] for one in run.verdict["data"]]
        if shape
        else [line.split()[1] for line in run.out.decode().splitlines()]
    )
    assert listed == [one.job_id for one in BEHAVIOURS]


@pytest.fixture
def _ctrl_c_is_heard() -> Iterator[None]:
    # a process that a shell started in the background ignores it, and so do its children
    before = signal.signal(signal.SIGINT, signal.default_int_handler)
    yield
    signal.signal(signal.SIGINT, before)


@pytest.mark.usefixtures("_ctrl_c_is_heard")
@pytest.mark.parametrize(("how", "code"), [(signal.SIGINT, 130), (signal.SIGTERM, 143)])
def test_a_served_sandbox_is_there_for_other_processes_until_it_is_stopped(
    bare: Program, tmp_path: Path, how: signal.Signals, code: int
) -> None:
    with bare.start("sandbox", "serve") as serving:
        assert serving.stdout
        assert serving.stderr
        assert b"playing the services" in serving.stderr.readline()
        told = [shlex.split(line) for line in os.read(serving.stdout.fileno(), 65536).decode().splitlines()]
        assert {words[0] for words in told} == {"export"}
        environment = dict(words[1].split("=", 1) for words in told)
        other = Program(tmp_path, environment)
        assert [other("get", *job).code for job in (("cognite", "200"), ("playment", "done"))] == [0, 0]
        serving.send_signal(how)
        serving.communicate(timeout=HANGS)
    assert serving.returncode == code


def test_a_served_sandbox_tells_its_environment_as_an_object(bare: Program, tmp_path: Path) -> None:
    with bare.start("sandbox", "serve", "--json") as serving:
        assert serving.stdout
        environment = json.loads(serving.stdout.readline())
        assert Program(tmp_path, environment)("get", "cognite", "200", JOBFETCH_COGNITE_TOKEN=READY_TOKEN).code == 0
        serving.terminate()
        serving.communicate(timeout=HANGS)


def test_a_port_that_is_taken_is_a_usage_error(bare: Program) -> None:
    with socket.create_server(("127.0.0.1", 0)) as taken:
        run = bare("sandbox", "serve", "--port", str(taken.getsockname()[1]))
    assert run.code == 2
    assert "--port" in run.said


def test_the_demo_shows_real_commands_and_leaves_their_files(bare: Program, tmp_path: Path) -> None:
    place = tmp_path / "demo"
    run = bare("demo", "-o", place, env=MINE)
    assert run.code == 0
    names = list(tree(place))
    assert {Path(name).suffix for name in names} >= {".json", ".csv"}
    assert all(name in run.said for name in names)
    assert run.said.count("$ jobfetch ") >= 3
    assert "my-own" not in run.said
    assert not list(place.rglob("*.part"))


def test_the_demo_tells_its_files_in_a_verdict(bare: Program, tmp_path: Path) -> None:
    run = bare("demo", "-o", tmp_path / "demo", "--json")
    assert run.verdict["outputs"]
    assert all(Path(path).exists() for path in run.verdict["outputs"])
