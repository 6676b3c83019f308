"""A secret is given once, tried before it is kept, told about without being shown, and forgotten everywhere."""

import json
import sys
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest

from jobfetch.providers import PROVIDERS
from jobfetch.sandbox import READY_TOKEN, SECRETS, Sandbox

from .accounts import JOBS, options, piped, secrets_of, settings_of
from .leaks import files, leaks
from .program import Program, Run, tree
from .raw import RawServer, reply, saying

# within this process, where nothing speaks against it
pytestmark = pytest.mark.here

Serve = Callable[..., RawServer]
LogIn = Callable[..., Run]

EVERY = pytest.mark.parametrize("provider", PROVIDERS)


@pytest.fixture
def log_in(bare: Program, sandbox: Sandbox) -> LogIn:
    """Log in at the sandbox: `log_in("playment", "--profile", "work", project="p")`."""

    def run(provider: str, *more: str, secrets: dict[str, str] | None = None, **settings: str) -> Run:
        environment = sandbox.environment()
        told = settings_of(provider, environment) | settings
        given = piped(secrets or secrets_of(provider, environment))
        return bare("auth", "login", provider, "--secret-stdin", *options(told), *more, stdin=given)

    return run


def kept(program: Program) -> set[str]:
    return set(tree(program.home))


# --- giving it ---


@EVERY
def test_from_nothing_to_a_fetched_job(bare: Program, log_in: LogIn, sandbox: Sandbox, provider: str) -> None:
    assert bare("config", "init").code == 0
    run = log_in(provider)
    assert (run.code, run.out) == (0, b""), run.said
    assert f"jobfetch get {provider} JOB_ID" in run.said
    assert bare("get", provider, JOBS[provider]).code == 0
    config = tree(bare.home)["config/config.toml"]
    assert leaks({"config.toml": config, "stderr": run.err}, secrets_of(provider, sandbox.environment()).values()) == []


@EVERY
def test_what_is_kept_is_for_its_owner_alone(bare: Program, log_in: LogIn, provider: str) -> None:
    log_in(provider)
    modes = {path.name: path.stat().st_mode & 0o777 for path in (bare.home / "config").rglob("*")}
    assert modes == {"config.toml": modes["config.toml"], "credentials.toml": 0o600}
    assert (bare.home / "config").stat().st_mode & 0o777 == 0o700


@EVERY
def test_a_secret_that_the_service_refuses_is_not_kept(
    bare: Program, log_in: LogIn, sandbox: Sandbox, provider: str
) -> None:
    wrong = dict.fromkeys(secrets_of(provider, sandbox.environment()), "a-wrong-secret")
    run = log_in(provider, secrets=wrong)
    assert run.code == 4, run.said
    assert kept(bare) == set()


def test_a_service_that_cannot_be_reached_keeps_nothing_unless_it_is_told_to(bare: Program) -> None:
    line = ("auth", "login", "justcrawl", "--secret-stdin", "--base-url", "http://127.0.0.1:9", "--retries", "0")
    run = bare(*line, stdin=b"a-key")
    assert (run.code, kept(bare)) == (10, set())
    assert "--no-check" in run.said
    assert bare(*line, "--no-check", stdin=b"a-key").code == 0
    assert "config/credentials.toml" in kept(bare)


def test_a_project_that_the_credential_does_not_reach_is_told_with_those_that_it_does(
    bare: Program, log_in: LogIn
) -> None:
    run = log_in("cognite", project="another")
    assert (run.code, kept(bare)) == (4, set())
    assert "it reaches sandbox" in run.said


def test_without_a_terminal_nobody_is_asked(bare: Program) -> None:
    run = bare("auth", "login", "playment", "--project", "p")
    assert (run.code, kept(bare)) == (4, set())
    assert "--secret-stdin" in run.said


@pytest.mark.parametrize("name", ["../x", "a b", "", "x" * 65, "[x]"])
def test_a_profile_with_an_impossible_name_is_refused(bare: Program, log_in: LogIn, name: str) -> None:
    assert log_in("playment", "--profile", name).code == 2
    assert kept(bare) == set()


def test_in_a_terminal_a_person_is_asked_for_what_is_missing_and_the_secret_is_not_shown(
    bare: Program, sandbox: Sandbox
) -> None:
    environment = sandbox.environment()
    settings, [secret] = settings_of("cognite", environment), secrets_of("cognite", environment).values()
    code, shown = bare.typed(
        "auth",
        "login",
        "cognite",
        "--base-url",
        settings["base_url"],
        answers=[
            ("project (CDF project): ", settings["project"]),
            ("client_id", settings["client_id"]),
            ("token_url", settings["token_url"]),
            ("client_secret", secret),
        ],
    )
    assert code == 0, shown
    assert leaks({"terminal": shown.encode()}, [secret]) == []
    assert bare("get", "cognite", "200").code == 0


def test_a_user_name_is_typed_and_a_password_is_hidden(bare: Program, sandbox: Sandbox) -> None:
    environment = sandbox.environment()
    secrets = secrets_of("expertai", environment)
    line = ("auth", "login", "expertai", *options(settings_of("expertai", environment)))
    code, shown = bare.typed(*line, answers=[("username", secrets["username"]), ("password", secrets["password"])])
    assert code == 0, shown
    assert secrets["username"] in shown
    assert leaks({"terminal": shown.encode()}, [secrets["password"]]) == []


def test_an_empty_answer_keeps_nothing(bare: Program) -> None:
    code, shown = bare.typed("auth", "login", "exabase", answers=[("api_key", "")])
    assert (code, kept(bare)) == (4, set())
    assert "no api_key was given" in shown


def test_whoever_says_no_in_the_middle_keeps_nothing(bare: Program) -> None:
    code, _ = bare.typed("auth", "login", "exabase", answers=[("api_key", "\x03")])
    assert (code, kept(bare)) == (130, set())


# --- which one is used ---


def test_a_profile_is_another_account(bare: Program, log_in: LogIn, sandbox: Sandbox) -> None:
    log_in("playment", "--profile", "work")
    assert bare("get", "playment", "done").code == 3
    assert bare("get", "playment", "done", "--profile", "work").code == 0
    bare("config", "set", "default_profile", "work")
    assert bare("get", "playment", "done").code == 0


def test_an_explicit_profile_comes_before_the_environment(bare: Program, log_in: LogIn) -> None:
    log_in("playment", "--profile", "work")
    wrong: dict[str, Any] = {"PLAYMENT_API_KEY": "of another account"}
    assert bare("get", "playment", "done", "--profile", "work", **wrong).code == 0


def test_a_variable_that_comes_before_what_is_kept_is_told(bare: Program, sandbox: Sandbox) -> None:
    settings = options(settings_of("playment", sandbox.environment()))
    given = piped(secrets_of("playment", sandbox.environment()))
    run = bare("auth", "login", "playment", "--secret-stdin", *settings, stdin=given, PLAYMENT_API_KEY="another")
    assert run.code == 0
    assert "PLAYMENT_API_KEY comes before what was kept" in run.said


@pytest.mark.parametrize(
    "toml",
    [
        '[playment]\napi_key_file = "{}/key"\n',
        '[playment]\napi_key_command = ["echo", "another"]\n',
        'default_profile = "work"\n[playment.profiles.work]\napi_key_file = "{}/key"\n',
    ],
)
def test_whatever_comes_before_what_is_kept_is_told(bare: Program, log_in: LogIn, tmp_path: Path, toml: str) -> None:
    (tmp_path / "key").write_text("another")
    bare.configure(toml.format(tmp_path))
    run = log_in("playment")
    assert run.code == 0, run.said
    assert "comes before what was kept" in run.said


@pytest.mark.parametrize("profile", ["wrok", "theirs"])
def test_a_profile_that_nobody_has_asks_nobody(bare: Program, log_in: LogIn, sandbox: Sandbox, profile: str) -> None:
    log_in("justcrawl", "--profile", "theirs")
    asked = len(sandbox.asked())
    run = bare("get", "playment", "done", "--profile", profile)
    assert run.code == 3
    assert f"auth login playment --profile {profile}" in run.said
    assert bare("get", "justcrawl", "done", JOBFETCH_PROFILE="wrok").code == 3
    assert len(sandbox.asked()) == asked


# --- telling about it ---


def test_status_tells_where_each_comes_from_and_never_what_it_is(
    bare: Program, log_in: LogIn, sandbox: Sandbox
) -> None:
    log_in("cognite")
    log_in("playment", "--profile", "work")
    run = bare("auth", "status", "--json", "--check", EXABASE_API_KEY="an-exabase-key")
    told = {(each["provider"], each["profile"]): each for each in run.verdict["data"]}
    assert told["cognite", None]["checked"] == "accepted"
    assert told["cognite", None]["renewed"] is True
    assert told["playment", "work"]["secrets"] == [{"name": "api_key", "origin": "profile work in credentials.toml"}]
    assert told["exabase", None]["secrets"] == [{"name": "api_key", "origin": "EXABASE_API_KEY"}]
    assert told["justcrawl", None]["present"] is False
    assert leaks({"stdout": run.out, "stderr": run.err}, [*SECRETS, "an-exabase-key"]) == []


def test_status_ends_with_the_code_of_what_is_wrong(bare: Program, log_in: LogIn, sandbox: Sandbox) -> None:
    assert bare("auth", "status").code == 4
    assert bare("auth", "status", "playment").code == 4
    log_in("playment")
    assert bare("auth", "status").code == 0
    assert bare("auth", "status", "nobody").code == 2
    refused = bare("auth", "status", "playment", "--check", "--json", JOBFETCH_PLAYMENT_API_KEY="wrong")
    assert (refused.code, refused.verdict["data"][0]["checked"]) == (4, "refused")
    assert bare("auth", "status", "playment", JOBFETCH_PLAYMENT_API_KEY="wrong").code == 0


def test_status_asks_nobody_unless_it_is_told_to(bare: Program, log_in: LogIn, sandbox: Sandbox) -> None:
    log_in("playment")
    asked = len(sandbox.asked())
    bare("auth", "status")
    assert len(sandbox.asked()) == asked


# --- taking it back ---


def test_what_is_forgotten_is_gone_everywhere(bare: Program, log_in: LogIn) -> None:
    log_in("cognite")
    log_in("cognite", "--profile", "work")
    assert [bare("get", "cognite", "200", *which).code for which in ((), ("--profile", "work"))] == [0, 0]
    assert len([name for name in kept(bare) if name.startswith("state/tokens/")]) == 2
    run = bare("auth", "logout", "cognite", "--json", CDF_TOKEN="of-the-machine")
    assert run.code == 0
    assert run.verdict["data"]["forgotten"] == [
        "cognite in credentials.toml",
        "cognite profile work in credentials.toml",
        "2 tokens kept between runs",
    ]
    assert kept(bare) == {"config/config.toml", "config/credentials.toml"}
    assert tree(bare.home)["config/credentials.toml"] == b""


def test_only_the_profile_that_is_named_is_forgotten(bare: Program, log_in: LogIn) -> None:
    log_in("playment")
    log_in("playment", "--profile", "work")
    bare("auth", "logout", "playment", "--profile", "work")
    status = bare("auth", "status", "playment", "--json")
    assert [(each["profile"], each["secrets"][0]["origin"]) for each in status.verdict["data"]] == [
        (None, "[playment] in credentials.toml"),
        # the settings of the profile are still there, and what it lacks comes from the provider's own table
        ("work", "[playment] in credentials.toml"),
    ]


def test_what_is_not_ours_to_forget_is_named(bare: Program) -> None:
    run = bare("auth", "logout", "playment", PLAYMENT_API_KEY="k")
    assert run.code == 0
    assert "still there, and not for jobfetch to forget: PLAYMENT_API_KEY" in run.said


def test_a_profile_that_some_provider_has_is_shown_for_it_alone(bare: Program, log_in: LogIn) -> None:
    log_in("playment", "--profile", "work")
    shown = bare("config", "show", "--profile", "work", "--json")
    assert {row["key"].partition(".")[0] for row in shown.verdict["data"]} == {"playment"}
    told = bare("auth", "status", "--profile", "work", "--json")
    assert [(each["provider"], each["present"]) for each in told.verdict["data"]] == [("playment", True)]
    assert bare("auth", "status", "--profile", "nobodys").code == 3


def test_an_address_with_a_secret_in_it_is_not_shown(bare: Program) -> None:
    for line in (("config", "show", "playment"), ("config", "show", "playment", "--json")):
        run = bare(*line, JOBFETCH_PLAYMENT_BASE_URL="https://me:hunter2@h.example.com/?token=hunter2")
        assert "hunter2" not in run.out.decode() + run.said
        assert b"h.example.com" in run.out


def test_a_plain_secret_is_the_password_of_a_user_who_is_known(bare: Program, sandbox: Sandbox) -> None:
    environment = sandbox.environment()
    secrets = secrets_of("expertai", environment)
    line = ("auth", "login", "expertai", "--secret-stdin", *options(settings_of("expertai", environment)))
    run = bare(*line, stdin=secrets["password"].encode(), EAI_USERNAME=secrets["username"])
    assert run.code == 0, run.said
    assert "password kept" in run.said


def test_in_a_terminal_a_whole_address_will_do_for_a_cluster(bare: Program, sandbox: Sandbox) -> None:
    answers = [("project", "sandbox"), ("cluster", sandbox.url), ("client_id", ""), ("token", READY_TOKEN)]
    code, shown = bare.typed("auth", "login", "cognite", answers=answers)
    assert code == 0, shown
    assert bare("get", "cognite", "200").code == 0


def test_an_option_with_no_file_in_it_is_never_another_account(bare: Program, log_in: LogIn) -> None:
    log_in("playment")
    run = bare("get", "playment", "done", "--api-key-file", "")
    assert run.code == 2
    assert "--api-key-file is empty" in run.said


# --- a place that gives none ---

NO_SECRET = {
    "a file that is not there": ('api_key_file = "/nowhere/key"', 3, "/nowhere/key: No such file"),
    "a command that is not there": ('api_key_command = ["no-such-command"]', 3, "by its whole path"),
    "a command that fails": (
        'api_key_command = ["sh", "-c", "echo the drawer is locked >&2; exit 5"]',
        4,
        "the drawer is locked",
    ),
    "a command that prints nothing": ('api_key_command = ["true"]', 4, "is empty"),
}


@pytest.mark.parametrize("case", NO_SECRET)
def test_a_place_that_gives_no_secret_ends_the_run_and_says_what_to_do(
    bare: Program, sandbox: Sandbox, case: str
) -> None:
    toml, code, said = NO_SECRET[case]
    bare.configure(f'[justcrawl]\nbase_url = "{sandbox.url}"\n{toml}\n')
    run = bare("get", "justcrawl", "done")
    assert (run.code, sandbox.asked()) == (code, ())
    assert said in run.said
    assert "hint:" in run.said


# --- the keyring ---

RING = """
import json, os
from pathlib import Path
from keyring.backend import KeyringBackend

class Ring(KeyringBackend):
    priority = 1
    path = Path(os.environ["RING"])

    def _all(self):
        return json.loads(self.path.read_text()) if self.path.exists() else {}

    def get_password(self, service, username):
        if os.environ.get("RING_HANGS"):
            import time
            time.sleep(600)
        return self._all().get(f"{service} {username}")

    def set_password(self, service, username, password):
        self.path.write_text(json.dumps(self._all() | {f"{service} {username}": password}))

    def delete_password(self, service, username):
        self.path.write_text(json.dumps({k: v for k, v in self._all().items() if k != f"{service} {username}"}))
"""


@pytest.fixture
def ring(home: Path, tmp_path: Path) -> Path:
    """A keyring that is a file, chosen in config.toml."""
    (tmp_path / "ring_of_a_test.py").write_text(RING)
    Program(home, {}).configure('credential_store = "keyring"\n')
    return tmp_path / "ring.json"


@pytest.fixture
def ringing(home: Path, ring: Path) -> Program:
    """The program with that keyring, in a process of its own."""
    place = {"PYTHONPATH": str(ring.parent), "PYTHON_KEYRING_BACKEND": "ring_of_a_test.Ring", "RING": str(ring)}
    return Program(home, place)


def test_a_keyring_keeps_a_secret_and_no_file_does(ringing: Program, ring: Path, sandbox: Sandbox) -> None:
    environment = sandbox.environment()
    [key] = secrets_of("playment", environment).values()
    line = ("auth", "login", "playment", "--secret-stdin", *options(settings_of("playment", environment)))
    assert ringing(*line, stdin=key.encode()).code == 0
    assert json.loads(ring.read_text()) == {"jobfetch playment:api_key": key}
    assert ringing("get", "playment", "done").code == 0
    assert leaks(files(ringing.home), [key]) == []
    assert ringing("auth", "logout", "playment").code == 0
    assert json.loads(ring.read_text()) == {}


def test_a_keyring_that_hangs_ends_with_what_to_do(ringing: Program) -> None:
    run = ringing("get", "justcrawl", "done", RING_HANGS="yes")
    assert (run.code, run.out) == (4, b"")
    assert "did not answer" in run.said
    assert "config set credential_store file" in run.said


def test_a_keyring_is_not_asked_where_something_nearer_has_the_secret(ringing: Program) -> None:
    line = ("get", "justcrawl", "done", "--base-url", "http://127.0.0.1:9", "--retries", "0")
    assert ringing(*line, RING_HANGS="yes", JUSTCRAWL_API_KEY="k").code == 10


# --- a key that is renewed while a job is waited for ---

ROTATING = """
import sys
runs = open(sys.argv[1], "a+")
runs.write("x")
runs.seek(0)
print(f"key-{len(runs.read())}")
"""


def test_a_refused_key_of_a_command_is_asked_for_once_more(bare: Program, serve: Serve, tmp_path: Path) -> None:
    def talk(peer: object) -> None:
        head = peer.head  # type: ignore[attr-defined]  # what a raw server hands over
        good = "Bearer key-2" in head
        body = json.dumps({"id": "1", "status": "running"}).encode()
        peer.send(reply(body) if good else reply(b'{"error":"no"}', status="401 Unauthorized"))  # type: ignore[attr-defined]

    server = serve(talk)
    (tmp_path / "rotating.py").write_text(ROTATING)
    command = json.dumps([sys.executable, str(tmp_path / "rotating.py"), str(tmp_path / "runs")])
    bare.configure(f'[justcrawl]\nbase_url = "{server.url}"\napi_key_command = {command}\n')
    run = bare("get", "justcrawl", "1")
    assert run.code == 75, run.said
    assert (tmp_path / "runs").read_text() == "xx"


def test_a_key_that_stays_refused_is_not_asked_for_again_and_again(bare: Program, serve: Serve, tmp_path: Path) -> None:
    server = serve(saying(reply(b'{"error":"no"}', status="401 Unauthorized")))
    (tmp_path / "rotating.py").write_text(ROTATING)
    command = json.dumps([sys.executable, str(tmp_path / "rotating.py"), str(tmp_path / "runs")])
    bare.configure(f'[justcrawl]\nbase_url = "{server.url}"\napi_key_command = {command}\n')
    assert bare("get", "justcrawl", "1", "--wait").code == 4
    assert (tmp_path / "runs").read_text() == "xx"
    assert len(server.heads) == 2


def test_a_refused_credential_is_told_with_the_command_that_gives_another(here: Program) -> None:
    run = here("get", "exabase", "refused-token")
    assert run.code == 4
    assert "jobfetch auth login exabase" in run.said
