"""The doctor finds what would stop a run, names what mends it, and ends with the code of what it found."""

import time
from collections.abc import Callable
from email.utils import formatdate
from pathlib import Path
from typing import Any

import pytest

from jobfetch.providers import PROVIDERS
from jobfetch.sandbox import SECRETS, Sandbox

from .leaks import leaks
from .program import MORTAL, Program, Run
from .raw import RawServer, reply, saying

# within this process, where nothing speaks against it
pytestmark = pytest.mark.here

Serve = Callable[..., RawServer]


def found(run: Run) -> list[dict[str, Any]]:
    findings: list[dict[str, Any]] = run.verdict["data"]
    return findings


def of_level(run: Run, level: str) -> list[str]:
    return [f"{each['about']}: {each['what']} -> {each['fix']}" for each in found(run) if each["level"] == level]


@pytest.fixture
def examine(bare: Program, serve: Serve) -> Callable[..., Run]:
    """Let the doctor look at justcrawl, played by a server that says this."""

    def run(said: bytes, **environment: str) -> Run:
        server = serve(saying(said))
        env: dict[str, Any] = {"JUSTCRAWL_BASE_URL": server.url, "JUSTCRAWL_API_KEY": "a-key"} | environment
        return bare("doctor", "justcrawl", "--json", "--retries", "0", **env)

    return run


def test_a_new_machine_has_no_problem_and_is_told_how_to_begin(bare: Program) -> None:
    run = bare("doctor")
    assert run.code == 0
    assert b"jobfetch auth login" in run.out
    assert b"jobfetch config init" in run.out


def test_a_machine_that_is_set_up_is_well(jobfetch: Program) -> None:
    run = jobfetch("doctor", "--json")
    assert run.code == 0, run.said
    assert of_level(run, "problem") == of_level(run, "warning") == []
    assert {each["about"] for each in found(run)} >= set(PROVIDERS)
    assert leaks({"stdout": run.out, "stderr": run.err}, SECRETS) == []


def test_only_the_provider_that_is_named_is_asked(jobfetch: Program, sandbox: Sandbox) -> None:
    assert jobfetch("doctor", "justcrawl").code == 0
    assert {one.path.partition("?")[0] for one in sandbox.asked()} == {"/api/v1/jobs"}


def test_a_provider_without_a_secret_is_told_how_to_get_one(bare: Program) -> None:
    run = bare("doctor", "exabase", "--json")
    assert run.code == 4
    assert "jobfetch auth login exabase" in of_level(run, "problem")[0]


def test_a_problem_names_its_provider_once(bare: Program) -> None:
    assert "playment: needs project" in bare("doctor", "playment").said


def test_a_setting_that_is_missing_comes_before_everything_else(bare: Program) -> None:
    run = bare(
        "doctor", "--json", PLAYMENT_API_KEY="k", EXABASE_API_KEY="k", JOBFETCH_EXABASE_BASE_URL="http://127.0.0.1:9"
    )
    assert run.code == 3
    assert run.verdict["error"]["hint"].startswith("jobfetch config set playment.project")


@pytest.mark.parametrize(
    ("name", "text", "mode", "end"),
    [
        ("config.toml", "[cognite]\nprojct = 'x'\n", 0o600, (3, "providers show")),
        ("config.toml", "[cognite\n", 0o600, (3, "mend that line")),
        ("config.toml", "", 0o622, (0, "chmod go-w")),
        ("credentials.toml", "[playment]\napi_key = 'k'\n", 0o644, (3, "chmod 600")),
        ("credentials.toml", "[playment\n", 0o600, (3, "mend that line")),
    ],
)
def test_a_file_that_is_wrong_is_found(bare: Program, name: str, text: str, mode: int, end: tuple[int, str]) -> None:
    bare.configure("")
    path = bare.home / "config" / name
    path.write_text(text)
    path.chmod(mode)
    run = bare("doctor", "--json")
    assert run.code == end[0]
    assert any(end[1] in each for each in [*of_level(run, "problem"), *of_level(run, "warning")])


def test_a_state_folder_that_cannot_be_written_is_a_warning(jobfetch: Program, out: Path) -> None:
    out.chmod(0o500)
    run = jobfetch("doctor", "justcrawl", "--json", prefix=MORTAL, JOBFETCH_STATE_DIR=str(out))
    assert run.code == 0
    assert "JOBFETCH_STATE_DIR" in of_level(run, "warning")[0]


def test_a_kept_token_that_others_can_read_is_a_warning(jobfetch: Program) -> None:
    jobfetch("get", "cognite", "200")
    [token] = (jobfetch.home / "state" / "tokens").iterdir()
    token.chmod(0o644)
    run = jobfetch("doctor", "justcrawl", "--json")
    assert (run.code, "chmod -R go=" in of_level(run, "warning")[0]) == (0, True)


def test_a_page_in_place_of_the_service_is_a_wrong_address(examine: Callable[..., Run]) -> None:
    run = examine(reply(b"<html>", "Content-Type: text/html"))
    assert run.code == 3
    assert "text/html" in run.verdict["error"]["message"]


def test_a_refused_secret_is_found(examine: Callable[..., Run]) -> None:
    run = examine(reply(b'{"error": "no"}', status="401 Unauthorized"))
    assert run.code == 4
    assert "auth login" in of_level(run, "problem")[0]


def test_a_service_that_is_away_is_found(bare: Program) -> None:
    env: dict[str, Any] = {"JUSTCRAWL_BASE_URL": "http://127.0.0.1:9", "JUSTCRAWL_API_KEY": "k"}
    assert bare("doctor", "justcrawl", "--retries", "0", **env).code == 10


@pytest.mark.parametrize(("seconds", "level"), [(-3600, "warning"), (3600, "warning"), (0, "ok")])
def test_a_clock_that_is_wrong_is_found(examine: Callable[..., Run], seconds: float, level: str) -> None:
    date = formatdate(time.time() + seconds, usegmt=True)
    run = examine(reply(b'{"items": []}', f"Date: {date}"))
    assert run.code == 0
    assert any("clock" in each for each in of_level(run, level))


def test_a_proxy_and_a_netrc_that_are_in_the_way_are_told(bare: Program) -> None:
    netrc = bare.home / ".netrc"
    netrc.write_text("machine api.justcrawl.io login me password hunter2\n")
    env: dict[str, Any] = {
        "JUSTCRAWL_API_KEY": "k",
        "HTTPS_PROXY": "http://user:hunter2@127.0.0.1:9",
        "NETRC": str(netrc),
    }
    run = bare("doctor", "justcrawl", "--json", "--retries", "0", **env)
    notes = " ".join(of_level(run, "note"))
    assert run.code == 10
    assert "reached through the proxy http://127.0.0.1:9" in notes
    assert "export NO_PROXY=api.justcrawl.io" in notes
    assert ".netrc" in notes
    assert "hunter2" not in run.out.decode() + run.said


@pytest.mark.parametrize("address", ["/wrong", "/beta"])
def test_what_has_not_been_tried_is_not_said_to_be_good(bare: Program, sandbox: Sandbox, address: str) -> None:
    env: dict[str, Any] = {"JOBFETCH_EXPERTAI_TOKEN": "bogusbogus", "JOBFETCH_EXPERTAI_BASE_URL": sandbox.url + address}
    run = bare("doctor", "expertai", "--json", **env)
    assert "takes the credential" not in run.out.decode()
    assert run.code == (4 if address == "/beta" else 0)


def test_a_token_that_has_expired_is_found_without_asking(bare: Program) -> None:
    # a JWT with "exp": 1
    env: dict[str, Any] = {"CDF_TOKEN": "eyJhbGciOiJub25lIn0.eyJleHAiOjF9.c2ln", "CDF_CLUSTER": "c", "CDF_PROJECT": "p"}
    run = bare("doctor", "cognite", "--json", **env)
    assert run.code == 4
    assert "has expired" in run.verdict["error"]["message"]


def test_other_profiles_are_told_of_with_the_place_of_their_secret_and_nobody_is_asked(
    jobfetch: Program, sandbox: Sandbox
) -> None:
    jobfetch.configure(
        "[justcrawl.profiles.kept]\nbase_url = 'https://api.example.com'\napi_key_file = '/nowhere'\n"
        "[justcrawl.profiles.run]\napi_key_command = ['pass', 'show', 'k']\n"
    )
    run = jobfetch("doctor", "justcrawl", "--json")
    assert run.code == 0
    assert any("profile run: api_key from api_key_command" in each for each in of_level(run, "ok"))
    assert any("profile kept: " in each and "/nowhere" in each for each in of_level(run, "warning"))
    assert len(sandbox.asked()) == 1


def test_every_finding_has_the_same_keys(jobfetch: Program) -> None:
    keys = {tuple(each) for each in found(jobfetch("doctor", "--json"))}
    assert keys == {("about", "level", "what", "fix", "exit_code")}
