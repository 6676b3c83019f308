"""Where settings and secrets come from, and what is refused before anything is sent."""

import json
from collections.abc import Callable

import pytest

from jobfetch.sandbox import SECRETS, Sandbox

from .leaks import leaks
from .program import Program
from .raw import RawServer, reply, saying

# within this process, where nothing speaks against it
pytestmark = pytest.mark.here

Serve = Callable[..., RawServer]


def _file(sandbox: Sandbox) -> str:
    values = sandbox.environment()
    names = ("base_url", "project", "token_url", "client_id", "scopes")
    lines = [f"{name} = {json.dumps(values[f'JOBFETCH_COGNITE_{name.upper()}'])}" for name in names]
    return "\n".join(["[cognite]", *lines]) + "\n"


def _secret(sandbox: Sandbox) -> dict[str, str]:
    name = "JOBFETCH_COGNITE_CLIENT_SECRET"
    return {name: sandbox.environment()[name]}


def test_settings_come_from_the_file(bare: Program, sandbox: Sandbox) -> None:
    bare.configure(_file(sandbox))
    assert bare("get", "cognite", "200", env=_secret(sandbox)).code == 0


def test_a_profile_comes_before_the_environment_when_it_is_named(bare: Program, sandbox: Sandbox) -> None:
    bare.configure(_file(sandbox) + '[cognite.profiles.work]\nproject = "sandbox"\n')
    wrong = {"JOBFETCH_COGNITE_PROJECT": "another", **_secret(sandbox)}
    assert bare("get", "cognite", "200", env=wrong).code == 4
    assert bare("get", "cognite", "200", "--profile", "work", env=wrong).code == 0


def test_an_option_comes_before_everything(jobfetch: Program, sandbox: Sandbox) -> None:
    assert jobfetch("get", "cognite", "200", "--project", "another").code == 4
    assert "/projects/another/" in sandbox.asked()[-1].path


def test_the_vendors_own_variables_are_honoured(bare: Program, sandbox: Sandbox) -> None:
    ours = sandbox.environment()
    theirs = {"CDF_URL": "BASE_URL", "CDF_PROJECT": "PROJECT", "IDP_TOKEN_URL": "TOKEN_URL"}
    theirs |= {"IDP_CLIENT_ID": "CLIENT_ID", "IDP_CLIENT_SECRET": "CLIENT_SECRET", "IDP_SCOPES": "SCOPES"}
    vendors = {name: ours[f"JOBFETCH_COGNITE_{ending}"] for name, ending in theirs.items()}
    assert bare("get", "cognite", "200", env=vendors).code == 0


@pytest.mark.parametrize(
    ("text", "words"),
    [
        ('[cognite]\nclient_secret = "hush-hush"\n', ["cognite.client_secret", "JOBFETCH_COGNITE_CLIENT_SECRET"]),
        ('[cognite.profiles.x]\ntoken = "hush-hush"\n', ["cognite.profiles.x.token"]),
        ('[playment]\napi_key = "hush-hush"\n', ["playment.api_key"]),
        ('[cognite\nproject = "hush-hush"\n', ["line 1"]),
        ('[cognite]\nprojct = "hush-hush"\n', ["cognite.projct", "project"]),
        ('[cognit]\nproject = "hush-hush"\n', ["cognit", "cognite"]),
        ('cognite = "hush-hush"\n', ["cognite", "table"]),
        ("[cognite]\nproject = true\n", ["cognite.project"]),
        ("[defaults]\ntimeout = []\n", ["defaults.timeout"]),
        ('[defaults]\ntimeot = "hush-hush"\n', ["defaults.timeot", "timeout"]),
        ("[cognite]\nprofiles = 1\n", ["cognite.profiles"]),
        ("[cognite.profiles]\nwork = 1\n", ["cognite.profiles.work"]),
    ],
)
def test_a_file_that_is_wrong_is_refused_by_name_and_place(
    jobfetch: Program, sandbox: Sandbox, text: str, words: list[str]
) -> None:
    jobfetch.configure(text)
    run = jobfetch("get", "cognite", "200", "--json")
    assert run.code == 3, run.said
    message = run.verdict["error"]["message"] + (run.verdict["error"]["hint"] or "")
    assert all(word in message for word in [*words, "config.toml"])
    assert "hush-hush" not in run.said + message
    assert sandbox.asked() == ()


def test_a_file_that_is_no_text_is_refused(jobfetch: Program) -> None:
    jobfetch.configure("")
    (jobfetch.home / "config" / "config.toml").write_bytes(b"\xff\xfe\x00")
    assert jobfetch("get", "cognite", "200").code == 3


def test_a_folder_in_place_of_the_file_is_refused(jobfetch: Program) -> None:
    (jobfetch.home / "config" / "config.toml").mkdir(parents=True)
    assert jobfetch("get", "cognite", "200").code == 3


@pytest.mark.parametrize(("provider", "variable"), [("cognite", "CLIENT_SECRET"), ("playment", "API_KEY")])
def test_without_a_credential_nothing_is_asked(
    jobfetch: Program, sandbox: Sandbox, provider: str, variable: str
) -> None:
    name = f"JOBFETCH_{provider}_{variable}".upper()
    run = jobfetch("get", provider, "200", env={name: ""})
    assert run.code == 4
    assert name in run.said
    assert sandbox.asked() == ()


@pytest.mark.parametrize("provider", ["cognite", "playment"])
def test_without_a_project_nothing_is_asked(jobfetch: Program, sandbox: Sandbox, provider: str) -> None:
    run = jobfetch("get", provider, "200", env={f"JOBFETCH_{provider}_PROJECT".upper(): ""})
    assert run.code == 3
    assert "--project" in run.said
    assert sandbox.asked() == ()


@pytest.mark.parametrize("ending", ["", "\n", "\r\n"])
def test_a_secret_may_come_from_standard_input(jobfetch: Program, sandbox: Sandbox, ending: str) -> None:
    key = sandbox.environment()["JOBFETCH_PLAYMENT_API_KEY"]
    line = ("get", "playment", "done", "--secret-stdin")
    assert jobfetch(*line, stdin=f"{key}{ending}".encode(), JOBFETCH_PLAYMENT_API_KEY="").code == 0


def test_a_secret_from_standard_input_comes_before_the_environment(jobfetch: Program) -> None:
    assert jobfetch("get", "playment", "done", "--secret-stdin", stdin=b"wrong").code == 4


def test_several_secrets_come_as_an_object(jobfetch: Program, sandbox: Sandbox) -> None:
    given = json.dumps({"client_secret": sandbox.environment()["JOBFETCH_COGNITE_CLIENT_SECRET"]}).encode()
    run = jobfetch("get", "cognite", "200", "--secret-stdin", stdin=given, JOBFETCH_COGNITE_CLIENT_SECRET="")
    assert run.code == 0, run.said


@pytest.mark.parametrize("given", [b"", b"\n", b'{"hush-hush": "x"}', b'{"api_key": 12', b'{"api_key": ["hush-hush"]}'])
def test_a_standard_input_without_a_secret_is_refused(jobfetch: Program, sandbox: Sandbox, given: bytes) -> None:
    run = jobfetch("get", "playment", "done", "--secret-stdin", stdin=given)
    assert run.code == 4
    assert "hush-hush" not in run.said
    assert sandbox.asked() == ()


@pytest.mark.parametrize("secret", ["line\nbreak", "ünïcode", "bell\a"])
def test_a_key_that_no_header_can_carry_is_refused_unseen(jobfetch: Program, sandbox: Sandbox, secret: str) -> None:
    run = jobfetch("get", "playment", "done", JOBFETCH_PLAYMENT_API_KEY=secret)
    assert run.code in {3, 4}
    assert leaks({"stderr": run.err, "stdout": run.out}, [secret, *SECRETS]) == []
    assert sandbox.asked() == ()


def test_bytes_that_are_no_text_are_no_secret_and_no_bug(jobfetch: Program) -> None:
    run = jobfetch("get", "playment", "done", "--secret-stdin", stdin=b"\xff\xfe", JOBFETCH_PLAYMENT_API_KEY="")
    assert run.code in {3, 4}


@pytest.mark.parametrize("line", [("get", "playment", "1", "--project", "p"), ("get", "cognite", "1")])
def test_an_empty_environment_is_no_trouble(bare: Program, line: tuple[str, ...]) -> None:
    run = bare(*line, prefix=("env", "-i", f"PATH={bare.environment['PATH']}"))
    assert run.code in {3, 4}
    assert "Traceback" not in run.said


@pytest.mark.parametrize("option", ["--base-url", "--token-url"])
def test_plain_http_to_another_machine_is_refused_and_nothing_is_sent(
    jobfetch: Program, serve: Serve, option: str
) -> None:
    # an address of this machine that does not say so
    server = serve(saying(reply()), host="0.0.0.0")
    run = jobfetch("get", "cognite", "1", option, server.url)
    assert run.code == 3
    assert "https" in run.said
    assert server.heads == []


@pytest.mark.parametrize(
    "url",
    [
        "ftp://127.0.0.1/",
        "127.0.0.1:80",
        "http://",
        "http://user:hush-hush@127.0.0.1/",
        "http://127.0.0.1/?key=hush-hush",
        "http://127.0.0.1:port/",
        "http://[::1",
        "http://127.0.0.1.example.com/",
        "http://localhost.example.com/",
        "http://127.0.0.1\\@example.com/",
        "http://example.com#@127.0.0.1/",
        "https://exa mple.com/",
    ],
)
def test_an_address_that_is_wrong_or_unsafe_is_refused_unseen(jobfetch: Program, url: str) -> None:
    run = jobfetch("get", "cognite", "1", "--base-url", url, "--timeout", "5", "--retries", "0")
    assert run.code == 3, run.said
    assert "hush-hush" not in run.said


def test_an_address_with_a_prefix_keeps_it(serve: Serve, bare: Program) -> None:
    server = serve(saying(reply()))
    line = ("get", "cognite", "1", "--base-url", f"{server.url}/gate/way/", "--project", "p/../q")
    assert bare(*line, JOBFETCH_COGNITE_TOKEN="t").code == 0
    assert server.heads[0].split()[1] == "/gate/way/api/v1/projects/p%2F..%2Fq/context/vision/extract/1"


def test_defaults_say_what_options_leave_open(jobfetch: Program) -> None:
    jobfetch.configure('[defaults]\nformat = "csv"\ntimeout = 30\n')
    assert jobfetch("get", "cognite", "200").out.startswith(b"provider,job_id,")


def test_a_default_place_for_results_is_used(jobfetch: Program) -> None:
    place = jobfetch.home / "results"
    jobfetch.configure(f'[defaults]\noutput = "{place}/"\n')
    run = jobfetch("get", "cognite", "200", "--json")
    assert run.verdict["outputs"] == [str(place / "200.json")]
