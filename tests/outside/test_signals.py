"""Interrupted and terminated runs, readers that go away, and disks that refuse."""

import json
import os
import signal
import subprocess
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import pytest

from jobfetch.sandbox import Sandbox

from .program import HANGS, MORTAL, VERDICT, Program, tree, until
from .raw import Peer, RawServer, Talk

ENDS = {
    signal.SIGINT: (130, "interrupted"),
    signal.SIGTERM: (143, "terminated"),
    signal.SIGHUP: (143, "terminated"),
}
ANYWHERE = [("cognite", "750"), ("cognite", "753"), ("playment", "never"), ("playment", "slow-attachment")]


@pytest.fixture(autouse=True)
def _ctrl_c_is_heard() -> Iterator[None]:
    # a process that a shell started in the background ignores it, and so do its children
    before = signal.signal(signal.SIGINT, signal.default_int_handler)
    yield
    signal.signal(signal.SIGINT, before)


@pytest.mark.parametrize("how", ENDS)
@pytest.mark.parametrize("job", ANYWHERE, ids=" ".join)
def test_a_signal_ends_a_run_in_order(
    jobfetch: Program, sandbox: Sandbox, out: Path, how: signal.Signals, job: tuple[str, str]
) -> None:
    provider, job_id = job
    line = ("get", provider, job_id, "--wait", "--interval", "0.1", "--json", "-f", "raw", "-o", out / "record.json")
    last = "/playment-data-uploads/" if job_id == "slow-attachment" else job_id
    with jobfetch.start(*line) as process:
        until(lambda: any(last in one.path for one in sandbox.asked()))
        process.send_signal(how)
        told, said = process.communicate(timeout=HANGS)
    code, word = ENDS[how]
    assert process.returncode == code, said
    verdict = _verdict(told)
    assert list(verdict) == VERDICT
    assert (verdict["exit_code"], verdict["outcome"], verdict["retryable"]) == (code, word, True)
    assert tree(out) == {}


@pytest.mark.parametrize("how", ENDS)
def test_a_signal_is_told_in_words_and_without_a_traceback(
    jobfetch: Program, sandbox: Sandbox, how: signal.Signals
) -> None:
    with jobfetch.start("get", "cognite", "750", "--wait", "-vv") as process:
        until(lambda: bool(sandbox.asked()))
        process.send_signal(how)
        told, said = process.communicate(timeout=HANGS)
    assert told == b""
    assert f"error: {ENDS[how][1]}".encode() in said
    assert b"Traceback" not in said


def test_what_was_done_before_a_signal_stays_done(jobfetch: Program, sandbox: Sandbox, out: Path) -> None:
    line = ("get", "playment", "done", "never", "--wait", "--interval", "0.1", "--json", "-o", out)
    with jobfetch.start(*line) as process:
        until((out / "done.json").exists)
        until(lambda: sum("never" in one.path for one in sandbox.asked()) > 1)
        process.terminate()
        told, _ = process.communicate(timeout=HANGS)
    verdict = _verdict(told)
    assert verdict["exit_code"] == 143
    assert verdict["outputs"] == [str(out / "done.json")]
    assert list(tree(out)) == ["done.json"]


def test_a_batch_whose_terminal_is_gone_ends_in_order_and_tells_whoever_is_told(
    jobfetch: Program, sandbox: Sandbox, out: Path
) -> None:
    line = ("batch", "download", "cognite", "--jobs", "-", "-o", out, "--wait", "--report", out / "report.json")
    with jobfetch.start(*line, start_new_session=True) as process:
        assert process.stdin
        process.stdin.write(b"200\n750\n")
        process.stdin.close()
        until((out / "200.json").exists)
        until(lambda: any("750" in one.path for one in sandbox.asked()))
        process.send_signal(signal.SIGHUP)
        assert process.wait(timeout=HANGS) == 143
    report = json.loads((out / "report.json").read_text())
    assert (report["exit_code"], report["counts"]["succeeded"]) == (143, 1)


@pytest.mark.parametrize("how", ENDS)
def test_a_signal_while_the_start_is_told_ends_the_run_before_anything_is_asked(
    jobfetch: Program, sandbox: Sandbox, out: Path, serve: Callable[[Talk], RawServer], how: signal.Signals
) -> None:
    server = serve(lambda peer: peer.hold() if "/start" in peer.head else _thank(peer))
    line = ("batch", "download", "cognite", "--jobs", "-", "-o", out / "made", "--report", out / "report.json")
    with jobfetch.start(*line, "--ping", f"{server.url}/ping") as process:
        until(lambda: bool(server.heads))
        process.send_signal(how)
        process.communicate(b"200\n", timeout=HANGS)
    assert process.returncode == ENDS[how][0]
    assert json.loads((out / "report.json").read_text())["exit_code"] == ENDS[how][0]
    assert [head.split()[1] for head in server.heads] == ["/ping/start", "/ping/fail"]
    assert not sandbox.asked()
    assert list(tree(out)) == ["report.json"]


def _thank(peer: Peer) -> None:
    peer.send(b"HTTP/1.1 200 OK\r\ncontent-length: 0\r\nconnection: close\r\n\r\n")


@pytest.mark.parametrize("how", ENDS)
def test_a_signal_is_no_finding_of_the_doctor(
    jobfetch: Program, out: Path, serve: Callable[[Talk], RawServer], how: signal.Signals
) -> None:
    server = serve(Peer.hold)
    with jobfetch.start("doctor", "cognite", JOBFETCH_COGNITE_BASE_URL=server.url) as process:
        until(lambda: bool(server.heads))
        process.send_signal(how)
        process.communicate(timeout=HANGS)
    assert process.returncode == ENDS[how][0]


def test_a_run_that_is_to_outlive_its_terminal_does(jobfetch: Program, sandbox: Sandbox, out: Path) -> None:
    line = ("batch", "download", "cognite", "--jobs", "-", "-o", out, "--wait", "--interval", "0.1")
    with jobfetch.start(*line, prefix=("nohup",)) as process:
        assert process.stdin
        process.stdin.write(b"750\n")
        process.stdin.close()
        until(lambda: any("750" in one.path for one in sandbox.asked()))
        process.send_signal(signal.SIGHUP)
        asked = len(sandbox.asked())
        until(lambda: len(sandbox.asked()) > asked + 2)
        assert process.poll() is None


def _verdict(told: bytes) -> Any:
    return json.loads(told)


# --- standard output ---


@pytest.mark.parametrize(
    "options", [("get", "playment", "big-attachment"), ("sandbox", "jobs"), ("status", "cognite", "200")]
)
def test_a_reader_that_goes_away_ends_it_quietly(jobfetch: Program, options: tuple[str, ...]) -> None:
    reading, writing = os.pipe()
    os.close(reading)
    with jobfetch.start("-q", *options, stdout=writing) as process:
        os.close(writing)
        _, said = process.communicate(timeout=HANGS)
    assert (process.returncode, said) == (141, b"")


def test_a_reader_may_take_just_the_beginning(jobfetch: Program) -> None:
    with jobfetch.start("-q", "get", "playment", "big-attachment") as process:
        assert process.stdout
        assert process.stderr
        assert process.stdout.read(1) == b"{"
        process.stdout.close()
        said = process.stderr.read()
        process.wait(timeout=HANGS)
    assert (process.returncode, said) == (141, b"")


@pytest.mark.parametrize("options", [("get", "cognite", "200"), ("status", "cognite", "200"), ("providers", "list")])
@pytest.mark.parametrize("shape", [(), ("--json",)], ids=["prose", "verdict"])
def test_a_full_standard_output_is_a_full_disk(
    jobfetch: Program, options: tuple[str, ...], shape: tuple[str, ...]
) -> None:
    with Path("/dev/full").open("wb") as full:
        run = jobfetch(*options, *shape, stdout=full)
    assert run.code == 12
    assert "Traceback" not in run.said


@pytest.mark.parametrize("shape", [(), ("--json",)], ids=["prose", "verdict"])
def test_a_closed_standard_error_changes_nothing(jobfetch: Program, shape: tuple[str, ...]) -> None:
    line = ("get", "cognite", "1003", "--wait", "--interval", "0.1", *shape)
    run = jobfetch(*line, prefix=("sh", "-c", 'exec "$@" 2>&-', "sh"))
    assert run.code == 0
    assert b'"job_id":"1003"' in run.out


@pytest.mark.parametrize("shape", [(), ("--json",)], ids=["prose", "verdict"])
def test_a_full_standard_error_changes_nothing(jobfetch: Program, shape: tuple[str, ...]) -> None:
    with Path("/dev/full").open("wb") as full:
        run = jobfetch("get", "cognite", "1003", "--wait", "--interval", "0.1", *shape, stderr=full)
    assert run.code == 0
    assert b'"job_id":"1003"' in run.out


def test_a_closed_standard_output_is_told(jobfetch: Program) -> None:
    run = jobfetch("get", "cognite", "200", prefix=("sh", "-c", 'exec "$@" >&-', "sh"))
    assert run.code == 12
    assert "error: standard output" in run.said


# --- disks ---


@pytest.mark.parametrize("shape", ["json", "raw", "csv"])
def test_a_folder_that_may_not_be_written_is_a_disk_error(jobfetch: Program, out: Path, shape: str) -> None:
    file = out / "record"
    out.chmod(0o555)
    line = ("get", "playment", "done", "-f", shape, "--json", "-o", file)
    run = jobfetch(*line, prefix=MORTAL)
    assert (run.code, run.verdict["error"]["code"]) == (12, "disk")
    assert str(file) in run.verdict["error"]["message"]


def test_a_folder_that_may_be_written_and_not_read_gets_the_file(jobfetch: Program, out: Path) -> None:
    out.chmod(0o333)
    run = jobfetch("get", "cognite", "200", "-o", out / "record.json", prefix=MORTAL)
    out.chmod(0o755)
    assert (run.code, list(tree(out))) == (0, ["record.json"])


@pytest.mark.parametrize("place", ["/proc/record.json", "/proc/folder/"])
def test_a_place_where_nothing_can_be_made_is_a_disk_error(jobfetch: Program, place: str) -> None:
    assert jobfetch("get", "cognite", "200", "-o", place).code == 12


def test_a_folder_that_is_missing_is_named(jobfetch: Program, tmp_path: Path) -> None:
    run = jobfetch("get", "cognite", "200", "-o", tmp_path / "missing" / "record.json")
    assert run.code == 12
    assert str(tmp_path / "missing") in run.said


@pytest.mark.parametrize("options", [("-f", "json"), ("-f", "raw"), ("-f", "csv"), ("-f", "ndjson")])
def test_a_disk_that_is_full_leaves_the_old_file(jobfetch: Program, out: Path, options: tuple[str, ...]) -> None:
    file = out / "record.json"
    file.write_text("old")
    limited = ("sh", "-c", 'ulimit -f 100; exec "$@"', "sh")
    run = jobfetch("get", "playment", "big-attachment", *options, "-o", file, "--json", prefix=limited)
    assert run.code == 12, run.said
    assert tree(out) == {"record.json": b"old"}


def test_configuration_that_cannot_be_written_does_not_stop_a_get(jobfetch: Program) -> None:
    nowhere = {"HOME": "/proc/none", "JOBFETCH_CONFIG_DIR": "/proc/none", "JOBFETCH_STATE_DIR": "/proc/none"}
    assert jobfetch("get", "cognite", "200", env=nowhere).code == 0


def test_a_pipe_with_a_name_gets_the_whole_record(jobfetch: Program, out: Path) -> None:
    pipe = out / "pipe"
    os.mkfifo(pipe)
    with subprocess.Popen(["cat", str(pipe)], stdout=subprocess.PIPE) as reader:
        assert jobfetch("get", "cognite", "200", "-f", "json", "-o", pipe).code == 0
        told, _ = reader.communicate(timeout=HANGS)
    assert b'"job_id":"200"' in told
    assert pipe.is_fifo()
