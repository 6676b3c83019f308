"""jobfetch as a library, against the sandbox: typed results, the errors of the command line, and not a sound."""

import _thread
import ast
import inspect
import json
import logging
import os
import signal
import subprocess
import sys
import threading
import traceback
from pathlib import Path
from typing import Any

import pytest
import urllib3

import jobfetch as library
from jobfetch import config
from jobfetch.providers import PROVIDERS
from jobfetch.sandbox import BEHAVIOURS, SECRETS, Sandbox

from .program import Program, tree, until
from .raw import DONE, Peer, RawServer, reply, saying

pytestmark = pytest.mark.here

PROJECT = "905ea3ee-6f62-4bb7-8c31-471e486d9202"
QUICK: dict[str, Any] = {"wait": True, "interval": 0.05, "timeout": 60}


@pytest.fixture
def alone(home: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """No settings but those of the environment."""
    monkeypatch.setenv("JOBFETCH_CONFIG_DIR", str(home / "config"))
    monkeypatch.setenv("JOBFETCH_STATE_DIR", str(home / "state"))


@pytest.fixture
def box(sandbox: Sandbox, alone: None, monkeypatch: pytest.MonkeyPatch) -> Sandbox:
    """The sandbox, where everything leads to it."""
    for name, value in sandbox.environment().items():
        monkeypatch.setenv(name, value)
    return sandbox


def vision(name: str) -> str:
    """Cognite's job that behaves like this."""
    return next(each.job_id for each in BEHAVIOURS if (each.provider, each.name) == ("cognite", name))


# --- one job ---


@pytest.mark.usefixtures("box")
def test_a_job_that_is_waited_for_comes_back_in_memory_as_the_command_line_writes_it(jobfetch: Program) -> None:
    result = library.get("cognite", int(vision("after-3")), **QUICK)
    assert (result.state, result.files, result.record.provider) == (library.State.SUCCEEDED, (), "cognite")
    typed = json.loads(jobfetch("get", "cognite", result.job_id, "--reproducible").out)
    assert {key: value for key, value in json.loads(result.body).items() if key != "fetched_at"} == typed
    assert result.record.result == typed["result"]


@pytest.mark.usefixtures("box")
def test_nothing_is_written_where_no_folder_is_named(home: Path, tmp_path: Path) -> None:
    library.get("playment", "done")
    assert [*tree(tmp_path)] == [f"home/{path}" for path in tree(home)]
    assert {Path(path).parts[0] for path in tree(home)} <= {"state"}


@pytest.mark.usefixtures("box")
@pytest.mark.parametrize(("provider", "job_id", "view"), [("cognite", "200", None), ("expertai", "pages", "words")])
def test_rows_are_those_of_the_command_line(jobfetch: Program, provider: str, job_id: str, view: str | None) -> None:
    asked = ["--rows", view] if view else []
    typed = jobfetch("get", provider, job_id, "-f", "ndjson", *asked).out.splitlines()
    rows = library.get(provider, job_id).rows(view)
    assert rows == [json.loads(line) for line in typed]
    assert rows


@pytest.mark.usefixtures("box")
def test_rows_of_a_view_that_is_not_there_say_so() -> None:
    with pytest.raises(library.UsageError, match="--rows"):
        library.get("expertai", "pages").rows("a[b")


@pytest.mark.usefixtures("box")
def test_a_folder_gets_the_record_and_the_linked_files_under_their_names(jobfetch: Program, tmp_path: Path) -> None:
    result = library.get("exabase", "assets-chunks", folder=tmp_path / "ours", assets=True)
    jobfetch("get", "exabase", "assets-chunks", "-o", f"{tmp_path / 'theirs'}/", "--assets")
    ours = tree(tmp_path / "ours")
    assert [*ours] == [*tree(tmp_path / "theirs")]
    assert sorted(str(path.relative_to(tmp_path / "ours")) for path in result.files) == [*ours]
    assert result.files[0].name == "assets-chunks.json"
    assert "chunk" in {row["kind"] for row in result.rows()}


def test_linked_files_without_a_folder_are_refused_before_anything_is_asked(box: Sandbox) -> None:
    with pytest.raises(library.UsageError) as raised:
        library.get("exabase", "assets", assets=True)
    assert raised.value.hint == "name one with folder=..."
    assert not box.asked()


@pytest.mark.usefixtures("box")
@pytest.mark.parametrize(
    ("name", "error", "kept"),
    [
        ("fails", library.JobFailed, True),
        ("partial", library.Partial, True),
        ("not-found", library.NotFound, False),
        ("gone", library.ResultGone, False),
        ("html", library.BadReply, False),
        ("refused-token", library.CredentialsError, False),
    ],
)
def test_what_is_no_success_raises_the_error_of_its_exit_code(
    jobfetch: Program, out: Path, name: str, error: type[library.JobfetchError], *, kept: bool
) -> None:
    with pytest.raises(error) as raised:
        library.get("cognite", vision(name), **(QUICK | {"timeout": 3}))
    line = ["get", "cognite", vision(name), "--wait", "--interval", "0.05", "--timeout", "3", "--json"]
    run = jobfetch(*line, "-o", out / "job.json")
    assert (raised.value.exit, raised.value.message) == (run.code, run.verdict["error"]["message"])
    assert (raised.value.result is not None) == kept == (out / "job.json").is_file()


@pytest.mark.usefixtures("box")
def test_a_job_that_ended_in_parts_can_be_taken_for_a_success() -> None:
    result = library.get("cognite", vision("partial"), allow_partial=True, **QUICK)
    assert (result.state, len(result.record.failed_items) > 0) == (library.State.PARTIAL, True)


# --- settings and secrets ---


@pytest.mark.usefixtures("alone")
def test_settings_and_secrets_can_be_arguments(sandbox: Sandbox) -> None:
    key = sandbox.environment()["JOBFETCH_PLAYMENT_API_KEY"]
    address = sandbox.environment()["JOBFETCH_PLAYMENT_BASE_URL"]
    result = library.get("playment", "done", project=PROJECT, base_url=address, secrets={"api_key": key})
    assert result.state is library.State.SUCCEEDED


@pytest.mark.usefixtures("alone")
@pytest.mark.parametrize(
    ("settings", "hint"),
    [
        ({"projct": "p"}, "did you mean project?"),
        ({"api_key": "SECRET"}, 'give it as secrets={"api_key": ...}'),
    ],
)
def test_a_setting_that_is_none_is_refused_with_what_was_meant(settings: dict[str, Any], hint: str) -> None:
    with pytest.raises(library.UsageError) as raised:
        library.get("playment", "1", **settings)
    assert raised.value.hint == hint
    assert "SECRET" not in str(raised.value)


def test_a_provider_that_is_none_is_refused_with_what_was_meant() -> None:
    with pytest.raises(library.UsageError) as raised:
        library.get("playmnt", "1")
    assert raised.value.hint == "did you mean playment?"


@pytest.mark.usefixtures("alone")
def test_secrets_of_another_shape_are_refused_by_the_name_of_the_argument() -> None:
    with pytest.raises(library.CredentialsError, match=r"^secrets= holds"):
        library.get("playment", "1", project="p", secrets={"key": "SECRET"})


@pytest.mark.usefixtures("box")
def test_an_error_holds_no_secret_and_shows_nothing_that_it_came_from() -> None:
    with pytest.raises(library.JobfetchError) as raised:
        library.get("playment", "echo-secret")
    assert not any(secret in f"{raised.value.args}{raised.value.hint}" for secret in SECRETS)
    assert (raised.value.__cause__, raised.value.__suppress_context__) == (None, True)


def test_no_setting_has_the_name_of_an_argument() -> None:
    taken = {name for function in (library.get, library.batch) for name in inspect.signature(function).parameters}
    settings = {param.name for spec in PROVIDERS.values() for param in config.params_of(spec)}
    assert taken & settings == set()


# --- many jobs ---


@pytest.mark.usefixtures("box")
def test_a_batch_fills_a_folder_as_the_command_line_does(jobfetch: Program, tmp_path: Path) -> None:
    came = library.batch("playment", tmp_path / "ours", batch="batch-3", format="csv").check()
    jobfetch("batch", "download", "playment", "--batch", "batch-3", "-f", "csv", "-o", tmp_path / "theirs")
    assert (came.exit, dict(came.counts)) == (library.Exit.DONE, {"succeeded": 3})
    assert [*tree(tmp_path / "ours")] == [*tree(tmp_path / "theirs")]
    assert tree(tmp_path / "ours")["batch-3/rows.csv"] == tree(tmp_path / "theirs")["batch-3/rows.csv"]
    assert {path.name for path in came.outputs} == {"manifest.jsonl", "rows.csv"}
    assert sorted(result.record.job_id for result in came.results()) == ["job-0001", "job-0002", "job-0003"]


def test_the_same_batch_again_asks_for_no_job(box: Sandbox, out: Path) -> None:
    library.batch("cognite", out, jobs=[200, 205])
    asked = len(box.asked())
    came = library.batch("cognite", out, jobs=iter(["200", "205"]))
    assert (came.ok, len([*came.results()]), len(box.asked())) == (True, 2, asked)


@pytest.mark.usefixtures("box")
def test_a_batch_in_which_jobs_fail_tells_so_and_keeps_the_others(out: Path) -> None:
    came = library.batch("cognite", out, jobs=[200, vision("fails"), vision("never")], **(QUICK | {"timeout": 1.5}))
    assert (came.ok, came.exit) == (False, library.Exit.PARTIAL)
    assert dict(came.counts) == {"failed": 1, "running": 1, "succeeded": 1}
    with pytest.raises(library.JobfetchError, match="failed"):
        came.check()
    assert (out / "200.json").is_file()


@pytest.mark.usefixtures("box")
def test_no_ids_are_no_jobs_and_not_all_of_them(out: Path) -> None:
    came = library.batch("playment", out, batch="batch-3", jobs=[])
    assert (came.ok, dict(came.counts), [*came.results()]) == (True, {}, [])


@pytest.mark.usefixtures("box")
def test_what_ends_a_batch_is_raised_with_what_was_done(out: Path) -> None:
    with pytest.raises(library.CredentialsError) as raised:
        library.batch("playment", out, batch="batch-3", secrets={"api_key": "wrong"})
    assert raised.value.result.exit is library.Exit.CREDENTIALS


@pytest.mark.usefixtures("box")
def test_a_format_that_is_none_is_refused(out: Path) -> None:
    with pytest.raises(library.UsageError, match="there is no format 'xml'"):
        library.batch("cognite", out, jobs=[200], format="xml")


@pytest.mark.usefixtures("box")
def test_raw_bytes_are_no_record(out: Path) -> None:
    [result] = library.batch("cognite", out, jobs=[200], format="raw").results()
    assert json.loads(result.body)["status"] == "Completed"
    with pytest.raises(library.BadReply, match="is no record"):
        result.record.model_dump()


def test_a_keyboard_interrupt_stays_one_and_the_same_batch_goes_on(box: Sandbox, out: Path) -> None:
    def interrupt() -> None:
        until(lambda: len([*out.glob("batch-250/job-*.json")]) > 20)
        _thread.interrupt_main()

    thread = threading.Thread(target=interrupt)
    with pytest.raises(KeyboardInterrupt):  # noqa: PT012 - it comes somewhere in the second line
        thread.start()
        library.batch("playment", out, batch="batch-250", workers=2)
    thread.join()
    there = {name for name in tree(out) if name.endswith(".json")}
    assert 20 < len(there) < 250
    came = library.batch("playment", out, batch="batch-250")
    assert (came.ok, dict(came.counts)) == (True, {"succeeded": 250})
    assert {name.partition(".")[2] for name in tree(out / "batch-250")} == {"json", "jsonl"}


# --- a good guest ---


@pytest.mark.usefixtures("box")
def test_nothing_is_said_and_no_signal_is_taken(out: Path, capfd: pytest.CaptureFixture[str]) -> None:
    before = [signal.getsignal(each) for each in (signal.SIGINT, signal.SIGTERM)]
    heard: list[object] = []

    def all_of_it() -> None:
        library.get("playment", "unknown-word", **QUICK)
        library.batch("cognite", out, jobs=[200, vision("fails")])
        heard.append("done")

    # not in the main thread, where signals could not be taken at all
    thread = threading.Thread(target=all_of_it)
    thread.start()
    thread.join()
    all_of_it()
    assert heard == ["done", "done"]
    assert capfd.readouterr() == ("", "")
    assert [signal.getsignal(each) for each in (signal.SIGINT, signal.SIGTERM)] == before


@pytest.mark.usefixtures("box")
def test_many_calls_leave_no_thread_behind(out: Path) -> None:
    before = {*threading.enumerate()}
    for _ in range(5):
        library.get("playment", "done")
    library.batch("playment", out, batch="batch-3")
    until(lambda: {*threading.enumerate()} <= before)


@pytest.mark.usefixtures("box")
def test_no_error_of_a_batch_repeats_the_secret_that_the_service_repeats(out: Path) -> None:
    error = library.batch("playment", out, jobs=["echo-secret"]).error
    assert error
    assert "*** may not see" in str(error).replace("'", "")
    assert not [secret for secret in SECRETS if secret in f"{vars(error)} {error.args}"]


@pytest.mark.usefixtures("box")
def test_a_program_that_logs_everything_logs_no_signature_of_a_link(caplog: pytest.LogCaptureFixture) -> None:
    with caplog.at_level(logging.DEBUG):
        library.get("playment", "done")
        urllib3.PoolManager().request("GET", os.environ["JOBFETCH_PLAYMENT_BASE_URL"] + "/?its=own")
    assert "Signature" not in caplog.text
    assert "/?its=own" in caplog.text  # what the program itself asks is its own affair


@pytest.mark.usefixtures("box")
def test_a_traceback_shows_what_to_do_next() -> None:
    with pytest.raises(library.UsageError) as raised:
        library.get("playmnt", "done")
    assert traceback.format_exception(raised.value)[-1] == "hint: did you mean playment?\n"


@pytest.mark.usefixtures("alone")
def test_it_works_where_python_has_no_streams(serve: Any, monkeypatch: pytest.MonkeyPatch) -> None:
    server: RawServer = serve(saying(reply()))
    for name in ("stdin", "stdout", "stderr"):
        monkeypatch.setattr(sys, name, None)
    result = library.get("cognite", 1, base_url=server.url, project="p", secrets={"token": "a-token"})
    assert result.state is library.State.SUCCEEDED


def test_the_import_alone_imports_nothing_and_its_use_no_command_line() -> None:
    code = (
        "import sys; before = set(sys.modules); import jobfetch\n"
        "print(sorted({*sys.modules} - before))\n"
        "jobfetch.get, jobfetch.batch, jobfetch.JobFailed\n"
        "print(sorted({'typer', 'rich', 'jobfetch.cli', 'jobfetch.sandbox', 'pyarrow'} & {*sys.modules}))\n"
    )
    done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True)
    assert done.stdout.splitlines() == ["['jobfetch']", "[]"]


def test_the_types_name_what_there_is_to_import() -> None:
    stub = ast.parse(Path(library.__file__).with_suffix(".pyi").read_text())
    imported = {alias.name for node in stub.body if isinstance(node, ast.ImportFrom) for alias in node.names}
    assert imported | {"__version__"} == {*library.__all__}
    assert all(getattr(library, name) for name in library.__all__)
    assert {*library.__all__} <= {*dir(library)}
    with pytest.raises(AttributeError, match="nothing"):
        library.nothing  # type: ignore[attr-defined]  # noqa: B018 - that it fails is the point


@pytest.mark.usefixtures("alone")
def test_what_a_call_that_was_interrupted_had_on_its_way_never_replaces_what_the_next_one_fetched(
    out: Path, serve: Any
) -> None:
    late = threading.Event()

    def talk(peer: Peer) -> None:
        if peer.number == 1:
            _thread.interrupt_main()
            late.wait(60)
        peer.send(reply(DONE.replace(b'"items":[]', b'"items":[%d]' % peer.number)))

    server: RawServer = serve(talk)
    how: dict[str, Any] = {"jobs": ["1"], "base_url": server.url, "project": "p", "secrets": {"token": "t"}}
    before = {*threading.enumerate()}
    with pytest.raises(KeyboardInterrupt):
        library.batch("cognite", out, **how)
    assert library.batch("cognite", out, **how).exit == 0
    kept = tree(out)
    assert b'"items":[2]' in kept["1.json"]
    late.set()
    until(lambda: not [each for each in threading.enumerate() if each.name == "jobfetch-jobs" and each not in before])
    assert tree(out) == kept
