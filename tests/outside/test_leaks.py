"""The check for leaks finds them, and the program gives it nothing to find whatever a server says back."""

import base64
import json
import sys
from collections.abc import Callable
from pathlib import Path
from typing import Any
from urllib.parse import quote

import pytest

from jobfetch.sandbox import SECRETS, Sandbox

from .leaks import files, heard, leaks, signed_links, spellings
from .program import HANGS, Here, Program, Run, until
from .raw import Peer, RawServer, Talk, reply

# within this process, where nothing speaks against it
pytestmark = pytest.mark.here

AWKWARD = ('quo"ted\\secret%25', "it's-a-secret+plus&more=x", "plain-secret", "{braces}$dollar`tick", "a/b?c#d=")

VENDORS_SCRIPT = """
import os, sys, urllib.parse, urllib.request
url, key = sys.argv[1], os.environ["KEY"]
with urllib.request.urlopen(urllib.request.Request(url, headers={"x-api-key": key})) as reply:
    print(reply.read())
"""


# --- the check itself ---


@pytest.mark.parametrize(
    "spell",
    [
        str,
        lambda secret: quote(secret, safe=""),
        lambda secret: json.dumps({"key": secret}),
        lambda secret: json.dumps(json.dumps({"key": secret})),
        lambda secret: f"headers={ {'x-api-key': secret}!r}",
        lambda secret: base64.b64encode(f"user:{secret}".encode()).decode(),
        lambda secret: base64.urlsafe_b64encode(secret.encode()).decode(),
    ],
    ids=["plain", "quoted", "json", "json in json", "repr", "basic", "base64"],
)
@pytest.mark.parametrize("secret", [*SECRETS, *AWKWARD])
def test_the_check_finds_a_secret_however_it_is_spelled(secret: str, spell: Callable[[str], str]) -> None:
    assert leaks({"log": f"before {spell(secret)} after".encode()}, [secret]) == ["log"]


@pytest.mark.parametrize("secret", [*SECRETS, *AWKWARD])
def test_the_check_takes_nothing_else_for_a_secret(secret: str) -> None:
    text = b'{"job_id":"echo-secret","message":"*** may not see this job, see https://api.example.com/v1?key=***"}'
    assert leaks({"log": text}, [secret]) == []
    assert min(map(len, spellings(secret))) > 6


def test_the_check_finds_the_key_that_the_vendors_script_gives_away(sandbox: Sandbox, bare: Program) -> None:
    environment = sandbox.environment()
    key = environment["JOBFETCH_PLAYMENT_API_KEY"]
    result = quote("https://playment-data-uploads.s3.ap-south-1.amazonaws.com/done/sample-result.json", safe="")
    line = (sys.executable, "-c", VENDORS_SCRIPT, f"{sandbox.url}/v1/attachments?url={result}")
    with bare.start(prefix=(*line, "--"), KEY=key) as process:
        process.communicate(timeout=HANGS)
    assert leaks(heard(sandbox.asked(), "storage"), SECRETS) != []


def test_the_check_finds_a_signed_link(sandbox: Sandbox) -> None:
    link = f"{sandbox.storage_url}/file?X-Amz-Date=1&X-Amz-Signature=abc"
    assert signed_links({"log": f"could not fetch {link}".encode()}) == ["log"]


# --- servers that repeat what they were sent ---


def _key(peer: Peer) -> str:
    lines = [line.partition(": ") for line in peer.head.splitlines()]
    value = next(value for name, _, value in lines if name.lower() == "authorization")
    return value.removeprefix("Bearer ").strip()


def _in_the_message(peer: Peer) -> None:
    peer.send(_refusal({"code": 403, "message": f"'{_key(peer)}' and \"{_key(peer)}\" may not"}))


def _in_an_object(peer: Peer) -> None:
    peer.send(_refusal({"code": 403, "message": {"detail": [_key(peer)]}}))


def _in_the_code(peer: Peer) -> None:
    peer.send(_refusal({"code": _key(peer), "message": "no"}))


def _in_the_request_id(peer: Peer) -> None:
    peer.send(_refusal({"code": 403}, f"x-request-id: for {_key(peer)}"))


def _in_the_state(peer: Peer) -> None:
    peer.send(reply(json.dumps({"status": f'it\'s said "{_key(peer)}"'}).encode()))


def _in_the_reason(peer: Peer) -> None:
    peer.send(reply(json.dumps({"status": "Failed", "errorMessage": f"{_key(peer)} it's"}).encode()))


def _in_a_redirect(peer: Peer) -> None:
    where = quote(_key(peer), safe="")
    peer.send(reply(b"", f"Location: http://{where}@localhost:9/{where}?key={where}", status="302 Found"))


def _in_the_content_type(peer: Peer) -> None:
    peer.send(reply(b"{}", f"Content-Type: application/{_key(peer)}"))


def _refusal(error: object, *headers: str) -> bytes:
    return reply(json.dumps({"error": error}).encode(), *headers, status="403 Forbidden")


ECHOES = (
    _in_the_message,
    _in_an_object,
    _in_the_code,
    _in_the_request_id,
    _in_the_state,
    _in_the_reason,
    _in_a_redirect,
    _in_the_content_type,
)


@pytest.mark.parametrize("secret", AWKWARD[:2])
@pytest.mark.parametrize("echo", ECHOES, ids=lambda echo: echo.__name__[1:])
@pytest.mark.parametrize("shape", ["prose", "verdict"])
def test_an_echoed_secret_is_not_told(ask: Callable[..., Run], home: Path, echo: Talk, secret: str, shape: str) -> None:
    options = ("--json",) if shape == "verdict" else ()
    # a failed job's record keeps the service's own words, so it goes where nobody looks
    run = ask(echo, "-vv", *options, "-o", "/dev/null", JOBFETCH_COGNITE_TOKEN=secret)
    assert run.code in {4, 6, 11, 75}
    assert leaks({"stdout": run.out, "stderr": run.err} | files(home), [secret]) == []


@pytest.mark.parametrize("secret", AWKWARD[:2])
def test_the_line_of_a_status_shows_no_secret(serve: Callable[..., RawServer], bare: Program, secret: str) -> None:
    line = ("status", "cognite", "1", "--base-url", serve(_in_the_state).url, "--project", "p")
    run = bare(*line, JOBFETCH_COGNITE_TOKEN=secret)
    assert run.code == 75
    assert leaks({"stdout": run.out, "stderr": run.err}, [secret]) == []


def test_the_verdict_stays_json_whatever_is_hidden_in_it(
    serve: Callable[..., RawServer], vision: Callable[..., Run]
) -> None:
    run = vision(serve(_in_the_message), "--json", "-o", "/dev/null", JOBFETCH_COGNITE_TOKEN='"message":"')
    assert run.verdict["exit_code"] == 4


@pytest.mark.parametrize("way", ["environment", "standard input"])
def test_the_process_list_shows_no_secret(jobfetch: Program, sandbox: Sandbox, way: str) -> None:
    key = sandbox.environment()["JOBFETCH_PLAYMENT_API_KEY"]
    piped = way == "standard input"
    changed = {"JOBFETCH_PLAYMENT_API_KEY": ""} if piped else {}
    options = ("--secret-stdin",) if piped else ()
    with jobfetch.start("get", "playment", "never", "--wait", *options, env=changed) as process:
        assert process.stdin is not None
        process.stdin.write(key.encode() if piped else b"")
        process.stdin.close()
        until(lambda: bool(sandbox.asked()))
        shown = Path(f"/proc/{process.pid}/cmdline").read_bytes()
        process.kill()
    assert b"never" in shown
    assert leaks({"cmdline": shown}, SECRETS) == []


def test_a_traceback_shows_no_secret(bare: Program, serve: Callable[..., RawServer]) -> None:
    secret = "not-for-anybody"
    server = serve(lambda peer: peer.send(b"\xff\x00 garbage\r\n\r\n"))
    line = ("get", "cognite", "1", "--base-url", server.url, "--project", "p", "--retries", "0", "-vv")
    run = bare(*line, JOBFETCH_COGNITE_TOKEN=secret)
    assert run.code in {10, 11}
    assert leaks({"stdout": run.out, "stderr": run.err}, [secret]) == []


# --- every place that a secret may come from ---

#: Fit for a form or a JSON body: whatever a person may call a password.
WILD = 'it\'s "wild"\n\\n 100%25 {x}$y`z` pässwörd€ 秘密'
#: Fit for a header.
TAME = "ta'me\"\\ 100%25 {x}$y`z` +/=key"

_PRINTS = "import sys; sys.stdout.write(open(sys.argv[1], encoding='utf-8').read()); sys.stderr.write('careful\\n')"


def _placed(program: Program, provider: str, name: str, secret: str, place: str) -> dict[str, Any]:
    """Put a secret of a provider into one place; what a run needs to find it there."""
    settings, environment, stdin = "", {}, b""
    file = program.home / "the-secret"
    file.write_text(json.dumps({name: secret}), encoding="utf-8")
    file.chmod(0o600)
    program.configure("")
    if place == "environment":
        environment = {f"JOBFETCH_{provider}_{name}".upper(): secret}
    elif place == "file":
        settings = f"{name}_file = {json.dumps(str(file))}"
    elif place == "command":
        settings = f"{name}_command = {json.dumps([sys.executable, '-c', _PRINTS, str(file)])}"
    elif place == "systemd":
        (program.home / f"jobfetch-{provider}").write_text(json.dumps({name: secret}), encoding="utf-8")
        environment = {"CREDENTIALS_DIRECTORY": str(program.home)}
    elif place == "credentials.toml":
        path = program.home / "config" / "credentials.toml"
        path.write_text(f"[{provider}]\n{name} = {json.dumps(secret)}\n", encoding="utf-8")
        path.chmod(0o600)
    else:
        stdin = json.dumps({name: secret}).encode()
    program.configure(f"[{provider}]\n{settings}\n")
    return {"env": environment, "stdin": stdin}


PLACES = ["environment", "file", "command", "systemd", "credentials.toml", "standard input"]
ACCOUNTS = {
    "cognite": ("client_secret", WILD),
    "exabase": ("api_key", TAME),
    "playment": ("api_key", TAME),
    "justcrawl": ("api_key", TAME),
    "expertai": ("password", WILD),
}
#: Holds the secret by design; everything else in its folders must not.
HOLDERS = ("the-secret", "jobfetch-", "credentials.toml")


@pytest.mark.parametrize("place", PLACES)
@pytest.mark.parametrize("provider", ACCOUNTS)
def test_whatever_a_run_writes_shows_no_secret_of_any_place(
    serve: Callable[..., RawServer], home: Path, provider: str, place: str
) -> None:
    bare = Here(home, {})
    name, secret = ACCOUNTS[provider]
    # whoever is asked says everything back
    server = serve(lambda peer: peer.send(_refusal({"code": peer.head, "message": f"{peer.head} {secret}"})))
    given = _placed(bare, provider, name, secret, place)
    given["env"] |= {
        f"JOBFETCH_{provider}_{key}".upper(): value
        for key, value in {"base_url": server.url, "token_url": server.url, "project": "p", "client_id": "me"}.items()
    }
    given["env"] |= {"JOBFETCH_EXPERTAI_USERNAME": "me@example.com"} if provider == "expertai" else {}
    piped = ("--secret-stdin",) if place == "standard input" else ()
    telling = (("config", "show"), ("auth", "status", "--check"), ("doctor",)) if place in {"file", "command"} else ()
    for line in (("get", provider, "1", "-vv", *piped), *telling):
        run = bare(*line, stdin=given["stdin"], **given["env"])
        assert run.code in {0, 3, 4, 11}, run.said
        written = {path: data for path, data in files(bare.home).items() if not any(each in path for each in HOLDERS)}
        assert leaks({"stdout": run.out, "stderr": run.err} | written, [secret]) == [], line
    assert server.heads != []


CRASH = """
import sys
from jobfetch import credentials, transport
def crash(*arguments, **named):
    secret = "local"
    raise RuntimeError("provoked")
setattr(*{"while finding": (credentials, "find"), "while sending": (transport.Transport, "send")}[sys.argv[1]], crash)
sys.argv[:2] = ["jobfetch"]
from jobfetch.__main__ import main
main()
"""


@pytest.mark.parametrize("when", ["while finding", "while sending"])
def test_the_traceback_of_a_crash_shows_no_secret(jobfetch: Program, when: str) -> None:
    prefix = (
        sys.executable,
        "-c",
        'import os, sys; os.execv(sys.executable, [sys.executable, "-c", sys.argv[1], *sys.argv[2:3], *sys.argv[4:]])',
    )
    run = jobfetch("get", "cognite", "200", "-vv", prefix=(*prefix, CRASH, when))
    assert run.code == 1, run.said
    assert "provoked" in run.said
    assert "Traceback" in run.said
    assert leaks({"stdout": run.out, "stderr": run.err}, SECRETS) == []
