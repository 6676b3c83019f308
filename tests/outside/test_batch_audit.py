"""`batch status`, `verify` and `retry` from outside, and those who are told elsewhere how a run ended."""

import json
import os
import re
import shlex
import signal
from collections.abc import Callable
from pathlib import Path

import pytest

from jobfetch.sandbox import Sandbox

from .program import HANGS, MORTAL, Program, tree, until
from .raw import Peer, RawServer, Talk, reply

# within this process, where nothing speaks against it
pytestmark = pytest.mark.here

ONE = ("batch", "download", "playment", "--batch")


# --- nothing is recorded yet ---


@pytest.mark.parametrize("begun", [b"", b'{"schema":"jobfetch.mani', b'{"schema":"jobfetch.manifest/1","provider":"p'])
def test_a_folder_in_which_nothing_is_recorded_yet_is_said_to_be_one(
    jobfetch: Program, sandbox: Sandbox, out: Path, begun: bytes
) -> None:
    (out / "batch-3").mkdir()
    (out / "batch-3" / "manifest.jsonl").write_bytes(begun)
    for command in ("status", "verify", "retry"):
        run = jobfetch("batch", command, out)
        assert (run.code, "nothing is recorded yet" in (run.out + run.err).decode()) == (0, True), command
    [told] = jobfetch("batch", "status", out, "--json").verdict["data"]
    assert (told["provider"], told["jobs"], told["counts"]) == (None, 0, {})
    assert sandbox.asked() == ()
    run = jobfetch(*ONE, "batch-3", "-o", out, "--dry-run")
    assert (run.code, len(run.out.splitlines())) == (0, 3)
    assert tree(out) == {"batch-3/manifest.jsonl": begun}


def test_a_folder_that_may_not_be_looked_into_is_named_and_not_left_out(home: Path, out: Path) -> None:
    for name in ("open", "closed"):
        (out / name).mkdir()
        (out / name / "manifest.jsonl").write_bytes(b"")
    (out / "closed").chmod(0)
    for command in ("status", "verify", "retry"):
        run = Program(home, {})("batch", command, out, prefix=MORTAL)
        assert (run.code, f"{out / 'closed'}: Permission denied" in run.said) == (12, True), command


def test_a_folder_that_a_link_leads_to_as_well_is_one_folder(here: Program, out: Path) -> None:
    assert here(*ONE, "batch-3", "-o", out).code == 0
    (out / "a-link").symlink_to("batch-3")
    (out / "batch-3" / "up").symlink_to(out)
    told = here("batch", "status", out, "--json").verdict
    assert (told["counts"], [each["folder"] for each in told["data"]]) == ({"succeeded": 3}, [f"{out / 'batch-3'}"])
    assert here("batch", "status", out / "batch-3", "--json").verdict["counts"] == {"succeeded": 3}
    run = here("export", out, "-f", "ndjson", "--columns", "job_id")
    (out / "a-link").unlink()
    assert run.out == here("export", out, "-f", "ndjson", "--columns", "job_id").out
    # a folder that lies elsewhere is found by its link
    (out / "batch-3").rename(out.parent / "elsewhere")
    (out / "batch-3").symlink_to(out.parent / "elsewhere")
    assert here("batch", "status", out, "--json").verdict["counts"] == {"succeeded": 3}


# --- the command that is printed ---

GONE_FOR_NOW = reply(b"{}", status="503 Service Unavailable")


def next_line(said: str) -> list[str]:
    """The words of the command that was printed, without the program's name."""
    [line] = re.findall(r"next: jobfetch (.*)", said)
    return shlex.split(line)


@pytest.mark.parametrize("secret", ["file", "stdin"])
def test_the_command_that_is_printed_works_without_any_other_setting(
    bare: Program, home: Path, out: Path, serve: Callable[[Talk], RawServer], secret: str
) -> None:
    (home / "key").write_text("a-key")
    given, typed = (("--api-key-file", home / "key"), b"") if secret == "file" else (("--secret-stdin",), b"a-key")
    data = {"state": "completed", "extraction": {}, "links": {}}
    ill = [True]
    server = serve(lambda peer: peer.send(GONE_FOR_NOW if ill[0] else reply(json.dumps(data).encode())))
    (out / "ids").write_text("a\n")
    run = None
    for folder in ("zero", "one", "two"):
        line = ("batch", "download", "exabase", "--jobs", out / "ids", "-o", out / "made" / folder)
        run = bare(*line, *given, "--base-url", server.url, "--retries", "0", "--rate", "none", stdin=typed)
        assert run.code == 10, run.said
        assert "a-key" not in run.said
    ill[0] = False
    assert run
    words = next_line(run.said)
    assert bare(*words, stdin=typed).code == 0
    # and for the folder above, which holds two more of them
    again = [str(out / "made") if word == str(out / "made" / "two") else word for word in words]
    assert bare(*again, stdin=typed).code == 0
    assert len(tree(out / "made")) == 6
    assert all("X-Api-Key: a-key" in head for head in server.heads)


def test_the_command_that_is_printed_makes_the_table_that_was_asked_for(jobfetch: Program, out: Path) -> None:
    line = ("batch", "download", "expertai", "-o", out, "--jobs", "-", "--retries", "0")
    assert jobfetch(*line, stdin=b"pages\n").code == 0
    run = jobfetch(*line, "-f", "csv", "--rows", "words", stdin=b"pages\nteapot\n")
    assert run.code == 8, run.said
    table = (out / "rows.csv").read_bytes()
    (out / "rows.csv").unlink()
    assert jobfetch(*next_line(run.said), "--retries", "0").code == 11
    assert (out / "rows.csv").read_bytes() == table


def test_a_table_that_is_kept_up_to_date_keeps_its_rows_until_it_is_asked_for_anew(
    jobfetch: Program, out: Path
) -> None:
    line = ("batch", "download", "expertai", "-o", out, "--jobs", "-", "--retries", "0")
    assert jobfetch(*line, "-f", "csv", "--rows", "words", stdin=b"pages\n").code == 0
    table = (out / "rows.csv").read_bytes()
    for again in ((*line,), ("batch", "retry", out), ("batch", "verify", out, "--repair")):
        (out / "pages.json").unlink()
        assert jobfetch(*again, stdin=b"pages\n").code == 0
        assert (out / "rows.csv").read_bytes() == table
    assert jobfetch(*line, "-f", "csv", stdin=b"pages\n").code == 0
    assert (out / "rows.csv").read_bytes() != table
    assert not (out / ".jobfetch.rows").exists()


def test_rows_that_somebody_has_spoilt_are_no_bug(here: Program, out: Path) -> None:
    line = (*ONE, "batch-3", "-o", out)
    assert here(*line, "-f", "csv", "--rows", "data").code == 0
    (out / "batch-3" / ".jobfetch.rows").write_bytes(b"\xff\n")
    run = here(*line)
    assert (run.code, "is not UTF-8" in run.said) == (2, True), run.said
    assert here(*line, "-f", "csv").code == 0


def test_a_record_that_is_gone_and_not_asked_for_is_missed_in_the_table(jobfetch: Program, out: Path) -> None:
    line = ("batch", "download", "cognite", "-o", out, "-f", "csv", "--jobs", "-")
    assert jobfetch(*line, stdin=b"200\n205\n").code == 0
    (out / "205.json").unlink()
    run = jobfetch(*line, stdin=b"200\n")
    assert (run.code, "205.json is recorded and not there" in run.said) == (0, True)


def test_asking_again_takes_no_option_of_another_service(jobfetch: Program, sandbox: Sandbox, out: Path) -> None:
    assert jobfetch(*ONE, "batch-unfinished", "-o", out).code == 75
    sandbox.clear()
    run = jobfetch("batch", "retry", out, "--client-id", "x")
    assert (run.code, "takes no --client-id" in run.said, sandbox.asked()) == (2, True, ())


# --- who else is told ---


@pytest.mark.parametrize("command", ["verify", "retry"])
def test_a_folder_that_is_not_there_is_reported_as_well(jobfetch: Program, out: Path, command: str) -> None:
    run = jobfetch("batch", command, out / "none", "--report", out / "r.json", "--prom", out / "p.prom")
    assert run.code == 2
    assert json.loads((out / "r.json").read_text())["exit_code"] == 2
    assert 'jobfetch_batch_exit_code{provider=""} 2' in (out / "p.prom").read_text()


def test_a_file_that_is_gone_is_told_of_and_fetched_again(here: Program, out: Path) -> None:
    assert here(*ONE, "batch-3", "-o", out).code == 0
    gone = min((out / "batch-3").glob("*.json"))
    gone.unlink()
    run = here("batch", "status", out, "--json")
    assert (run.code, run.verdict["data"][0]["failures"]) == (8, {"file_changed": 1})
    assert f"{gone.name} is missing" in run.verdict["error"]["message"]
    assert here("batch", "retry", out).code == 0
    assert gone.is_file()
    assert here("batch", "status", out).code == 0


def test_trouble_in_one_folder_keeps_no_other_from_being_asked_again(here: Program, out: Path) -> None:
    assert here("batch", "download", "exabase", "--jobs", "-", "-o", out / "a", stdin=b"unknown\n").code == 5
    assert here("batch", "download", "cognite", "--jobs", "-", "-o", out / "b", stdin=b"200\n").code == 0
    (out / "b" / "200.json").unlink()
    # the first folder's service cannot be asked at all
    run = here("batch", "retry", out, "--json", JOBFETCH_EXABASE_API_KEY="", JOBFETCH_EXABASE_BASE_URL="no address")
    assert (run.code, run.verdict["error"]["provider"]) == (3, "exabase")
    assert (out / "b" / "200.json").is_file()


def test_verify_tells_others_what_it_found(jobfetch: Program, out: Path, serve: Callable[[Talk], RawServer]) -> None:
    server = serve(lambda peer: peer.send(reply(b"OK")))
    assert jobfetch(*ONE, "batch-3", "-o", out).code == 0
    (out / "batch-3" / "job-0001.json").unlink()
    told = ("--report", out / "r.json", "--prom", out / "p.prom", "--ping", f"{server.url}/x")
    assert jobfetch("batch", "verify", out, *told).code == 8
    report = json.loads((out / "r.json").read_text())
    assert (report["exit_code"], report["provider"], len(report["data"])) == (8, "playment", 1)
    assert 'jobfetch_batch_exit_code{provider="playment"} 8' in (out / "p.prom").read_text()
    assert [head.split()[1] for head in server.heads] == ["/x/start", "/x/fail"]


@pytest.mark.parametrize("how", [signal.SIGINT, signal.SIGTERM])
def test_a_signal_during_the_last_ping_costs_nothing_of_the_verdict(
    jobfetch: Program, out: Path, serve: Callable[[Talk], RawServer], how: signal.Signals
) -> None:
    def talk(peer: Peer) -> None:
        if peer.head.split()[1] == "/x":
            peer.hold()
        peer.send(reply(b"OK"))

    server = serve(talk)
    line = (*ONE, "batch-3", "-o", out / "made", "--json", "--report", out / "r.json", "--ping", f"{server.url}/x")
    before = signal.signal(signal.SIGINT, signal.default_int_handler)
    with jobfetch.start(*line) as process:
        until(lambda: len(server.heads) == 2)
        process.send_signal(how)
        told, said = process.communicate(timeout=HANGS)
    signal.signal(signal.SIGINT, before)
    assert process.returncode == 0, said
    assert json.loads(told)["counts"] == {"succeeded": 3}
    assert json.loads((out / "r.json").read_text())["exit_code"] == 0


# --- ids that cannot be read ---


@pytest.mark.parametrize("ids", [None, "name,number\nx,1\n"], ids=["no file", "no such column"])
def test_ids_that_cannot_be_read_leave_no_folder(
    jobfetch: Program, sandbox: Sandbox, out: Path, ids: str | None
) -> None:
    (out / "there").mkdir()
    if ids:
        (out / "ids").write_text(ids)
    line = ("batch", "download", "playment", "-o", out / "made", "--jobs", out / "ids", "--jobs-key", "job_id")
    run = jobfetch(*line, "--report", out / "r.json")
    assert (run.code, (out / "made").exists(), sandbox.asked()) == (2, False, ())
    assert json.loads((out / "r.json").read_text())["exit_code"] == 2


def test_a_line_of_the_manifest_that_cannot_be_read_is_told_of_and_makes_no_folder_whole(
    here: Program, out: Path
) -> None:
    assert here(*ONE, "batch-3", "-o", out).code == 0
    path = out / "batch-3" / "manifest.jsonl"
    whole = tree(out)
    lines = path.read_bytes().splitlines(keepends=True)
    path.write_bytes(lines[0] + lines[1][:30] + b"\n" + b"".join(lines[2:]))
    for command, code in (("status", 8), ("verify", 8), ("retry", 8)):
        run = here("batch", command, out)
        assert run.code == code, run.said
        assert "1 lines cannot be read" in run.said
    assert here(*ONE, "batch-3", "-o", out, "--reproducible").code == 0
    assert tree(out).keys() == whole.keys()


def test_a_table_says_that_a_line_of_the_manifest_cannot_be_read(here: Program, out: Path) -> None:
    assert here(*ONE, "batch-3", "-o", out).code == 0
    path = out / "batch-3" / "manifest.jsonl"
    path.write_bytes(path.read_bytes().replace(b'"state":"succeeded"', b'"state":"unheard"', 1))
    run = here("export", out, "-f", "csv")
    assert run.code == 0
    assert f"{path}: 1 lines cannot be read" in run.said


# --- runs that ended before everything was in order ---


@pytest.mark.parametrize("option", [(), ("--repair",)], ids="".join)
def test_verify_looks_through_files_no_longer_than_it_may(here: Program, out: Path, option: tuple[str, ...]) -> None:
    assert here(*ONE, "batch-3", "-o", out).code == 0
    books, size = out / "batch-3" / "manifest.jsonl", 1 << 36
    first, *others = (json.loads(line) for line in books.read_text().splitlines())
    # of the right length, and nobody has looked through so much before the deadline
    others[-1]["bytes"] = size
    books.write_text("".join(json.dumps(line) + "\n" for line in (first, *others)))
    os.truncate(out / "batch-3" / others[-1]["file"], size)
    run = here("batch", "verify", out, *option, "--timeout", "1", "--json")
    assert (run.code, run.verdict["data"]) == (75, []), run.said
    (out / "batch-3" / others[0]["file"]).unlink()
    run = here("batch", "verify", out, *option, "--timeout", "1", "--json")
    assert (run.code, len(run.verdict["data"])) == (75 if option else 8, 1)


@pytest.mark.parametrize("command", [("retry",), ("verify", "--repair")], ids=" ".join)
def test_what_a_killed_run_left_undone_is_done_by_asking_again_and_nobody_is_asked(
    jobfetch: Program, sandbox: Sandbox, out: Path, command: tuple[str, ...]
) -> None:
    assert jobfetch(*ONE, "batch-3", "-o", out, "-f", "csv", "--reproducible").code == 0
    whole = tree(out)
    place = out / "batch-3"
    # as if it had been killed between the last line of the manifest and the table
    (place / "rows.csv").write_text("old\n")
    (place / "failures.ndjson").write_text('{"job_id":"job-0001","state":"failed"}\n')
    (place / ".jobfetch.lock").touch()
    os.utime(place / "rows.csv", (1, 1))
    sandbox.clear()
    line = ("batch", *command, str(out), "--reproducible")
    assert jobfetch(*line).code == 0
    assert tree(out) == whole
    # as if it had been stopped in order, before there was any table
    (place / "rows.csv").unlink()
    assert jobfetch(*line).code == 0
    assert tree(out) == whole
    # and once it is in order, nothing is written
    before = (place / "rows.csv").stat().st_mtime_ns
    assert jobfetch(*line, JOBFETCH_PLAYMENT_API_KEY="").code == 0
    assert ((place / "rows.csv").stat().st_mtime_ns, sandbox.asked()) == (before, ())


@pytest.mark.parametrize(
    ("line", "code"),
    [(("retry",), 3), (("verify", "--repair"), 3), (("verify",), 3), (("status",), 3)],
    ids=lambda line: line if isinstance(line, int) else " ".join(line),
)
def test_a_manifest_that_is_none_keeps_no_other_folder_from_being_looked_into(
    here: Program, out: Path, line: tuple[str, ...], *, code: int
) -> None:
    assert here(*ONE, "batch-3", "-o", out).code == 0
    gone = min((out / "batch-3").glob("*.json"))
    gone.unlink()
    (out / "a").mkdir()
    (out / "a" / "manifest.jsonl").write_text("mine\n")
    run = here("batch", *line, out, "--json")
    assert run.code == code, run.said
    assert "a/manifest.jsonl" in run.verdict["error"]["message"]
    if line[-1] in {"retry", "--repair"}:
        assert gone.is_file()
    else:
        assert "batch-3" in json.dumps(run.verdict["data"])


def test_a_folder_that_cannot_be_locked_keeps_no_other_from_being_asked_again(here: Program, out: Path) -> None:
    for name in ("a", "b"):
        assert here("batch", "download", "cognite", "--jobs", "-", "-o", out / name, stdin=b"200\n").code == 0
        (out / name / "200.json").unlink()
    (out / "a" / ".jobfetch.lock").mkdir()
    assert here("batch", "retry", out).code == 12
    assert [(out / name / "200.json").is_file() for name in ("a", "b")] == [False, True]


def test_a_job_that_nobody_can_ask_for_keeps_no_other_from_being_asked_again(here: Program, out: Path) -> None:
    assert here("batch", "download", "cognite", "--jobs", "-", "-o", out, stdin=b"200\n").code == 0
    manifest = out / "manifest.jsonl"
    line = manifest.read_bytes().splitlines()[-1]
    manifest.write_bytes(
        manifest.read_bytes() + line.replace(b'"200"', b'"a\\u0001"').replace(b"200.json", b"x") + b"\n"
    )
    (out / "200.json").unlink()
    run = here("batch", "retry", out)
    assert run.code != 2, run.said
    assert (out / "200.json").is_file()


def test_folders_of_one_service_are_asked_again_at_one_pace(
    home: Path, out: Path, serve: Callable[[Talk], RawServer]
) -> None:
    server = serve(lambda peer: peer.send(reply(b"{}", "retry-after: 7200", status="429 Too Many Requests")))
    program = Program(home, {"JOBFETCH_COGNITE_TOKEN": "t", "JOBFETCH_COGNITE_PROJECT": "p"})
    at = ("--base-url", server.url, "--retries", "0", "--timeout")
    for name in ("a", "b", "c"):
        program("batch", "download", "cognite", "--jobs", "-", "-o", out / name, *at, "8h", stdin=b"1\n")
    server.heads.clear()
    run = program("batch", "retry", out, *at, "10m")
    assert (run.code, len(server.heads)) == (75, 1), run.said


# --- files in which others look for the verdict ---


@pytest.mark.parametrize(("broken", "kept"), [("--prom", "--report"), ("--report", "--prom")])
def test_a_report_that_cannot_be_written_costs_no_other_one_and_all_say_how_the_run_ended(
    here: Program, out: Path, broken: str, kept: str
) -> None:
    told = out / "told"
    run = here(*ONE, "batch-3", "-o", out, broken, out / "none" / "x", kept, told)
    assert run.code == 12
    text = told.read_text()
    assert '"exit_code":12' in text or ("exit_code{" in text and '"} 12' in text)


@pytest.mark.skipif(not Path("/dev/full").exists(), reason="a device that is always full is Linux's own")
def test_a_report_says_so_where_standard_output_did_not_take_the_verdict(jobfetch: Program, out: Path) -> None:
    line = (*ONE, "batch-3", "-o", str(out), "--json", "--report", str(out / "r.json"))
    run = jobfetch(*line, prefix=("bash", "-c", '"$@" > /dev/full', "bash"))
    assert (run.code, json.loads((out / "r.json").read_text())["exit_code"]) == (12, 12)


def test_a_dry_run_tells_nobody(jobfetch: Program, out: Path, serve: Callable[[Talk], RawServer]) -> None:
    server = serve(lambda peer: peer.send(reply(b"OK")))
    told = ("--report", str(out / "r.json"), "--prom", str(out / "p.prom"), "--ping", f"{server.url}/x")
    assert jobfetch(*ONE, "batch-3", "-o", out / "o", "--dry-run", *told).code == 0
    assert (tree(out), server.heads) == ({}, [])


def test_a_report_in_the_folder_is_there_also_where_the_run_ends_before_the_folder_is(
    jobfetch: Program, out: Path
) -> None:
    place = out / "new" / "folder"
    run = jobfetch(*ONE, "batch-3", "-o", place, "--report", place / "last.json", JOBFETCH_PLAYMENT_API_KEY="")
    assert (run.code, json.loads((place / "last.json").read_text())["exit_code"]) == (4, 4)


@pytest.mark.parametrize("name", ["manifest.jsonl", "failures.ndjson", "rows.csv", "job-0001.json", ".jobfetch.lock"])
@pytest.mark.parametrize("option", ["--report", "--prom"])
def test_a_report_replaces_nothing_of_a_batch_but_a_report_of_before(
    here: Program, out: Path, option: str, name: str
) -> None:
    line = [*ONE, "batch-3", "-o", str(out), "-f", "csv"]
    assert here(*line, option, out / "batch-3" / "told").code == 0
    before = tree(out)
    run = here(*line, option, out / "batch-3" / name)
    assert (run.code, tree(out)) == (2, before), run.said
    assert here(*line, option, out / "batch-3" / "told").code == 0


@pytest.mark.parametrize("option", ["--report", "--prom"])
def test_a_report_never_takes_the_place_of_a_job_that_bears_its_name(here: Program, out: Path, option: str) -> None:
    run = here(*ONE, "batch-3", "-o", out, option, out / "batch-3" / "job-0002.json", "--json")
    assert (run.code, run.verdict["counts"], run.verdict["exit_code"]) == (2, {"succeeded": 3}, 2)
    assert here("batch", "verify", out).code == 0


@pytest.mark.skipif(os.name != "posix", reason="other systems have no such names")
@pytest.mark.parametrize("line", [("status",), ("verify",), ("retry",), ("status", "--json")], ids=" ".join)
def test_a_folder_may_have_any_name(jobfetch: Program, out: Path, line: tuple[str, ...]) -> None:
    place = Path(os.fsdecode(bytes(out) + b"/\xff\xfe"))
    assert jobfetch(*ONE, "batch-3", "-o", place).code == 0
    (place / "batch-3" / "job-0001.json").unlink()
    assert jobfetch("batch", *line, place).code == (0 if line == ("retry",) else 8)
