"""`batch download` from outside: what is fetched, recorded, listed as failed, healed, refused; and what is never asked."""

import errno
import json
import os
import re
import signal
from collections import Counter
from collections.abc import Callable, Iterator
from contextlib import ExitStack, contextmanager
from pathlib import Path
from typing import Any

import pytest

from jobfetch import locks
from jobfetch.sandbox import BATCHES, Sandbox

from .program import HANGS, VERDICT, Here, Program, tree, until
from .raw import Peer, RawServer, reply, saying

# within this process, where nothing speaks against it
pytestmark = pytest.mark.here

ONE = ("batch", "download", "playment", "--batch")


@pytest.fixture(autouse=True)
def _ctrl_c_is_heard() -> Iterator[None]:
    # a process that a shell started in the background ignores it, and so do its children
    before = signal.signal(signal.SIGINT, signal.default_int_handler)
    yield
    signal.signal(signal.SIGINT, before)


def manifest(folder: Path) -> list[Any]:
    return [json.loads(line) for line in (folder / "manifest.jsonl").read_text().splitlines()]


def paths(sandbox: Sandbox, part: str) -> list[str]:
    return [one.path for one in sandbox.asked() if part in one.path]


# --- failing and healing ---


def test_one_failing_job_of_250_is_listed_and_healed(jobfetch: Program, sandbox: Sandbox, out: Path) -> None:
    run = jobfetch(*ONE, "batch-one-bad", "-o", out, "--json")
    place = out / "batch-one-bad"
    assert (run.code, run.verdict["counts"]) == (8, {"bad_reply": 1, "succeeded": 249})
    assert len([name for name in tree(place) if name.startswith("job-")]) == 249
    [failure] = map(json.loads, (place / "failures.ndjson").read_text().splitlines())
    assert (failure["job_id"], failure["error"]["exit_code"]) == ("mends", 11)
    before = len(paths(sandbox, "/jobs/"))
    healed = jobfetch(*ONE, "batch-one-bad", "-o", out, "--jobs", place / "failures.ndjson")
    assert healed.code == 0, healed.said
    assert not (place / "failures.ndjson").exists()
    assert [path for path in paths(sandbox, "/jobs/")[before:] if "mends" not in path] == []
    assert jobfetch(*ONE, "batch-one-bad", "-o", out).code == 0


def test_what_is_done_is_not_asked_for_again(jobfetch: Program, sandbox: Sandbox, out: Path) -> None:
    assert jobfetch(*ONE, "batch-3", "-o", out).code == 0
    before = tree(out)
    sandbox.clear()
    assert jobfetch(*ONE, "batch-3", "-o", out).code == 0
    assert [one.path.partition("?")[0].rpartition("/")[2] for one in sandbox.asked()] == ["batch-3"]
    assert tree(out) == before


def test_a_file_that_is_gone_or_of_another_length_is_fetched_again(
    jobfetch: Program, sandbox: Sandbox, out: Path
) -> None:
    line = (*ONE, "batch-3", "-o", out, "--reproducible")
    assert jobfetch(*line).code == 0
    before = tree(out)
    (out / "batch-3" / "job-0001.json").unlink()
    (out / "batch-3" / "job-0002.json").write_text("{}")
    sandbox.clear()
    assert jobfetch(*line).code == 0
    assert {name: whole for name, whole in tree(out).items() if "manifest" not in name} == {
        name: whole for name, whole in before.items() if "manifest" not in name
    }
    assert paths(sandbox, "/jobs/job-0003") == []


def test_what_the_list_names_no_more_and_is_not_all_there_is_asked_for_and_a_dry_run_says_so(
    home: Path, out: Path, serve: Callable[..., RawServer]
) -> None:
    listed = ["a", "b", "c"]

    def talk(peer: Peer) -> None:
        name = peer.head.split()[1].partition("?")[0].rpartition("/")[2]
        items = [{"id": each, "state": "completed"} for each in listed]
        told = {"items": items, "nextCursor": None} if name == "extract" else {"id": name, "state": "completed"}
        peer.send(reply(json.dumps(told).encode()))

    server = serve(talk)
    program = Here(home, {"JOBFETCH_EXABASE_API_KEY": "k"})
    line = ("batch", "download", "exabase", "-o", out / "made", "--base-url", server.url)
    assert program(*line).code == 0
    (out / "made" / "b.json").unlink()
    (out / "made" / "c.json").unlink()
    listed.remove("b")
    dry = program(*line, "--dry-run")
    assert dry.out.split() == [b"c", b"b"]
    before = len(server.heads)
    run = program(*line, "--json")
    assert (run.code, run.verdict["counts"]) == (0, {"succeeded": 3})
    assert sorted(head.split()[1].rpartition("/")[2] for head in server.heads[before + 1 :]) == ["b", "c"]
    assert len(list((out / "made").glob("?.json"))) == 3


def test_a_file_of_the_same_length_is_found_out_by_its_hash(jobfetch: Program, out: Path) -> None:
    assert jobfetch(*ONE, "batch-3", "-o", out, "--reproducible").code == 0
    file = out / "batch-3" / "job-0002.json"
    good = file.read_bytes()
    file.write_bytes(good.replace(b"playment", b"plAyment"))
    assert jobfetch(*ONE, "batch-3", "-o", out, "--reproducible").code == 0
    assert file.read_bytes() != good
    assert jobfetch("batch", "verify", out).code == 8
    assert jobfetch(*ONE, "batch-3", "-o", out, "--reproducible", "--verify").code == 0
    assert file.read_bytes() == good
    assert jobfetch("batch", "verify", out / "batch-3").code == 0


def test_verify_tells_each_difference_and_repairs_it(jobfetch: Program, out: Path) -> None:
    assert jobfetch(*ONE, "batch-mixed", "-o", out, "--assets", "--wait", "--interval", "0.2").code == 0
    place = out / "batch-mixed"
    (place / "job-0001.json").unlink()
    (place / "masks.assets" / "0001.png").write_bytes(b"spoilt")
    told = jobfetch("batch", "verify", place, "--json").verdict
    assert (told["exit_code"], sorted(each["job_id"] for each in told["data"])) == (8, ["job-0001", "masks"])
    assert jobfetch("batch", "verify", place, "--repair").code == 0
    assert jobfetch("batch", "verify", out).code == 0


def test_a_job_on_which_the_service_has_spoken_its_last_word_is_not_asked_again(
    jobfetch: Program, sandbox: Sandbox, out: Path
) -> None:
    line = ("batch", "download", "exabase", "--state", "failed", "-o", out, "--wait", "--interval", "0.1")
    assert jobfetch(*line).code == 6
    sandbox.clear()
    run = jobfetch(*line, "--json")
    assert (run.code, run.verdict["counts"]) == (6, {"failed": 1})
    assert paths(sandbox, "/extract/") == []
    assert jobfetch("batch", "retry", out, "--wait", "--interval", "0.1").code == 6
    assert len(paths(sandbox, "/extract/fails")) == 2


def test_refresh_tells_changed_from_unchanged(jobfetch: Program, out: Path) -> None:
    assert jobfetch(*ONE, "batch-3", "-o", out).code == 0
    file = out / "batch-3" / "job-0002.json"
    file.write_bytes(file.read_bytes().replace(b'"state":"succeeded"', b'"state":"partial"'))
    run = jobfetch(*ONE, "batch-3", "-o", out, "--refresh")
    assert "1 changed, 2 unchanged" in run.said
    assert [entry["attempts"] for entry in manifest(out / "batch-3")[1:]] == [1, 1, 1, 2, 2, 2]


# --- lists ---


@pytest.mark.parametrize("batch", ["batch-250", "batch-250-null", "batch-250-empty"])
def test_a_list_ends_in_every_known_way(jobfetch: Program, sandbox: Sandbox, out: Path, batch: str) -> None:
    run = jobfetch(*ONE, batch, "-o", out, "--dry-run")
    assert (run.code, len(run.out.splitlines())) == (0, 250)
    assert len(sandbox.asked()) == 3
    assert tree(out) == {}


@pytest.mark.parametrize(("batch", "files"), [("batch-endless", 200), ("batch-bad-token", 100)])
def test_a_list_that_breaks_is_an_error_that_keeps_what_was_done(
    jobfetch: Program, out: Path, batch: str, files: int
) -> None:
    assert jobfetch(*ONE, batch, "-o", out).code == 11
    assert len(manifest(out / batch)) == files + 1
    assert len(list((out / batch).glob("job-*.json"))) == files


def test_all_batches_of_a_project_have_a_folder_each(jobfetch: Program, out: Path) -> None:
    run = jobfetch("batch", "download", "playment", "-o", out, "--limit", "30")
    assert run.code in {0, 75}, run.said
    assert {path.name for path in out.iterdir()} <= {*BATCHES}
    assert sum(len(manifest(path)) - 1 for path in out.iterdir()) == 30


def test_a_limit_holds_over_all_batches_of_a_project(jobfetch: Program, sandbox: Sandbox, out: Path) -> None:
    line = ("batch", "download", "playment", "-o", out, "--limit", "30")
    run = jobfetch(*line, "--dry-run")
    assert (run.code, len(run.out.splitlines())) == (0, 30)
    assert [path.rpartition("/")[2] for path in paths(sandbox, "")] == ["details", "batch-3", "batch-0", "batch-250"]
    assert jobfetch(*line, "--dry-run", "--json").verdict["data"] == {"would_fetch": 30, "done": 0, "running": 0}
    assert jobfetch(*line).code == 0
    assert jobfetch(*line, "--dry-run", "--json").verdict["data"] == {"would_fetch": 0, "done": 30, "running": 0}


@contextmanager
def at_work(*folders: Path) -> Iterator[None]:
    """Another run at work in these folders."""
    with ExitStack() as stack:
        for folder in folders:
            folder.mkdir(exist_ok=True)
            stack.enter_context(locks.locked(folder / ".jobfetch.lock", 0.0))
        yield


def test_folders_in_which_another_run_is_at_work_do_not_keep_the_others_waiting(
    jobfetch: Program, sandbox: Sandbox, out: Path
) -> None:
    line = ("batch", "download", "playment", "-o", out, "--limit", "3", "--wait")
    with at_work(out / "batch-3", out / "batch-0"):
        run = jobfetch(*line, "--json", "-v")
    assert (run.code, run.verdict["counts"]) == (13, {"succeeded": 3})
    assert f"{out / 'batch-3'} is held by another run" in run.verdict["error"]["message"]
    assert f"warning: {out / 'batch-0'} is held by another run" in run.said
    assert paths(sandbox, "/batch/batch-3") == []
    made = {f"job-000{number}.json" for number in (1, 2, 3)}
    assert {path.name for path in (out / "batch-250").iterdir()} == {"manifest.jsonl", *made}
    assert jobfetch(*line).code == 0


def test_asking_again_passes_by_a_folder_in_which_another_run_is_at_work(jobfetch: Program, out: Path) -> None:
    for batch in ("batch-failing", "batch-unfinished"):
        jobfetch(*ONE, batch, "-o", out, "--retries", "0")
    with at_work(out / "batch-failing"):
        run = jobfetch("batch", "retry", out, "--retries", "0", "--json")
    assert (run.code, run.verdict["counts"]) == (13, {"running": 1})
    assert "batch-failing is held" in run.verdict["error"]["message"]


def test_jobs_that_the_list_tells_to_run_are_not_asked_for(jobfetch: Program, sandbox: Sandbox, out: Path) -> None:
    run = jobfetch(*ONE, "batch-unfinished", "-o", out, "--json")
    assert (run.code, run.verdict["counts"]) == (75, {"running": 1, "succeeded": 2})
    assert paths(sandbox, "/jobs/never") == []
    assert not (out / "batch-unfinished" / "failures.ndjson").exists()


@pytest.mark.parametrize("provider", ["exabase", "justcrawl"])
def test_other_lists_are_walked_to_their_end(jobfetch: Program, sandbox: Sandbox, out: Path, provider: str) -> None:
    run = jobfetch("batch", "download", provider, "-o", out, "--dry-run", "--json")
    assert sum(run.verdict["data"].values()) >= 120
    assert len(sandbox.asked()) == {"exabase": 3, "justcrawl": 2}[provider]


@pytest.mark.parametrize(
    ("line", "jobs"),
    [
        (("exabase", "--kind", "video"), {"media"}),
        (("exabase", "--state", "failed"), {"fails"}),
        (("justcrawl", "--status", "failed"), {"fails"}),
    ],
)
def test_filters_reach_the_service(jobfetch: Program, out: Path, line: tuple[str, ...], jobs: set[str]) -> None:
    run = jobfetch("batch", "download", *line, "-o", out, "--dry-run")
    assert {*run.out.decode().split()} == jobs


def test_a_service_without_a_list_wants_ids(jobfetch: Program, sandbox: Sandbox, out: Path) -> None:
    assert jobfetch("batch", "download", "cognite", "-o", out).code == 2
    assert jobfetch("batch", "download", "playment").code == 2
    assert sandbox.asked() == ()


# --- ids that are named ---


@pytest.mark.parametrize(
    "text",
    [
        "job-0001\n\n  job-0002\r\njob-0001\n",
        "name,job_id\nx,job-0001\ny,job-0002\ny,job-0002\n",
        "name;ID\nx;job-0001\ny;job-0002\n",
        "Job_ID\tname\njob-0001\tx\njob-0002\ty\n",
        '{"job_id": "job-0001"}\n{"id": "job-0002", "more": [1]}\n',
    ],
    ids=["lines", "csv", "semicolons", "tabs", "ndjson"],
)
def test_ids_come_from_a_file_or_a_pipe(jobfetch: Program, sandbox: Sandbox, out: Path, text: str) -> None:
    (out / "ids").write_text(text)
    line = ("batch", "download", "playment", "-o", out / "made")
    assert jobfetch(*line, "--jobs", out / "ids").code == 0
    assert jobfetch(*line, "--jobs", "-", stdin=text.encode()).code == 0
    assert sorted(path.name for path in (out / "made").glob("job-*")) == ["job-0001.json", "job-0002.json"]
    assert len(paths(sandbox, "/jobs/")) == 2


HOSTILE = [*BATCHES["batch-awkward"].jobs, "../x", "a\u202eb", "JOB-0001", "job-0001", "😀", "y" * 300]


def test_hostile_ids_get_safe_and_distinct_names(jobfetch: Program, out: Path) -> None:
    run = jobfetch(
        "batch", "download", "playment", "--jobs", "-", "-o", out / "made", stdin="\n".join(HOSTILE).encode()
    )
    assert run.code == 8
    entries = manifest(out / "made")[1:]
    assert {entry["job_id"] for entry in entries} == {*HOSTILE}
    names = [entry["file"] for entry in entries if entry["file"]]
    assert len({name.casefold() for name in names}) == len(names) == len(BATCHES["batch-awkward"].jobs) + 1
    assert all(re.fullmatch(r"[A-Za-z0-9_][A-Za-z0-9_~.-]*\.json", name) for name in names)
    assert [path.name for path in out.iterdir()] == ["made"]


def test_an_id_that_cannot_be_one_is_named_with_what_is_wrong(jobfetch: Program, sandbox: Sandbox, out: Path) -> None:
    run = jobfetch("batch", "download", "cognite", "--jobs", "-", "-o", out, stdin=b"200\n\nnot a number\n205\n")
    assert run.code == 2
    assert "standard input line 3: 'not a number'" in run.said
    (out / "ids.csv").write_text("name,id\na,200\nb,x7\n")
    run = jobfetch("batch", "download", "cognite", "--jobs", out / "ids.csv", "-o", out / "made")
    assert (run.code, f"{out / 'ids.csv'} line 3: 'x7'" in run.said) == (2, True)


@pytest.mark.parametrize("bad", ["x7", '{"id": 5}'])
def test_what_stands_before_a_wrong_line_is_done(jobfetch: Program, sandbox: Sandbox, out: Path, bad: str) -> None:
    (out / "ids").write_text(f"200\n205\n{bad}\n206\n")
    run = jobfetch("batch", "download", "cognite", "--jobs", out / "ids", "-o", out / "made", "--json")
    assert (run.code, run.verdict["counts"]) == (2, {"succeeded": 2})
    assert {path.name for path in (out / "made").glob("*.json")} == {"200.json", "205.json"}
    assert not any("206" in one.path for one in sandbox.asked())


def test_a_list_in_json_is_said_to_be_one(jobfetch: Program, out: Path) -> None:
    run = jobfetch("batch", "download", "cognite", "--jobs", "-", "-o", out, stdin=b'["200","205"]')
    assert (run.code, "is a JSON list" in run.said) == (2, True)


# --- one verdict ---


@pytest.mark.parametrize("option", ["--report", "--prom"])
@pytest.mark.parametrize("name", ["ids", "made/manifest.jsonl", "made/../made/failures.ndjson", "other", "-"])
def test_a_report_replaces_nothing_that_the_run_needs(jobfetch: Program, out: Path, option: str, name: str) -> None:
    (out / "ids").write_text("200\n")
    line = ("batch", "download", "cognite", "--jobs", out / "ids", "-o", out / "made")
    place = name if name == "-" else str(out / name)
    told = (option, place) if name != "other" else ("--report", place, "--prom", place)
    run = jobfetch(*line, *told, cwd=out)
    assert (run.code, sorted(tree(out))) == (2, ["ids"]), run.said
    assert (out / "ids").read_text() == "200\n"


@pytest.mark.parametrize("how", ["removed", "replaced", "cut", "written"])
def test_a_manifest_that_somebody_else_changes_during_the_run_is_told_of(
    home: Path, out: Path, serve: Callable[..., RawServer], how: str
) -> None:
    path = out / "manifest.jsonl"

    def talk(peer: Peer) -> None:
        if how == "removed":
            path.unlink()
        elif how == "replaced":
            (out / "other").write_bytes(path.read_bytes())
            (out / "other").rename(path)
        else:
            path.write_bytes(path.read_bytes()[:-5] if how == "cut" else path.read_bytes() + b"x")
        peer.send(reply(b'{"id":"a","state":"completed"}'))

    program = Here(home, {"JOBFETCH_EXABASE_API_KEY": "k"})
    line = ("batch", "download", "exabase", "--jobs", "-", "-o", out, "--base-url", serve(talk).url)
    run = program(*line, stdin=b"a\n")
    assert (run.code, "by somebody else" in run.said) == (12, True), run.said


def test_the_verdict_and_the_report_tell_the_same(jobfetch: Program, out: Path) -> None:
    told = ("--report", out / "r.json", "--prom", out / "p.prom")
    run = jobfetch(*ONE, "batch-failing", "-o", out / "made", "--retries", "0", "--json", *told)
    report = json.loads((out / "r.json").read_text())
    assert run.code == 8
    assert {key: report[key] for key in VERDICT} == run.verdict
    metrics = (out / "p.prom").read_text()
    assert 'jobfetch_batch_exit_code{provider="playment"} 8\n' in metrics
    assert 'jobfetch_batch_jobs{provider="playment",state="succeeded"} 2\n' in metrics
    status = jobfetch("batch", "status", out / "made", "--json").verdict
    assert (status["exit_code"], status["counts"]) == (8, report["counts"])
    assert sum(status["data"][0]["failures"].values()) == 3


def test_neither_an_address_nor_a_secret_stands_in_what_is_written(
    jobfetch: Program, sandbox: Sandbox, out: Path
) -> None:
    run = jobfetch(*ONE, "batch-failing", "-o", out, "--retries", "0")
    assert "next: jobfetch batch retry" in run.said
    for name in ("manifest.jsonl", "failures.ndjson"):
        text = (out / "batch-failing" / name).read_text()
        assert "://" not in text
        assert "127.0.0.1" not in text
        assert "sbx-key" not in text


def test_what_a_service_echoes_is_not_written_down(home: Path, out: Path, serve: Callable[..., RawServer]) -> None:
    said = "bad key a-token, see storage.example.com/f?X-Amz-Signature=abc"
    refusal = reply(json.dumps({"error": {"code": 403, "message": said}}).encode(), status="403 Forbidden")
    program = Here(home, {"JOBFETCH_COGNITE_TOKEN": "a-token", "JOBFETCH_COGNITE_PROJECT": "p"})
    line = ("batch", "download", "cognite", "--jobs", "-", "-o", out, "--base-url", serve(saying(refusal)).url)
    assert program(*line, stdin=b"1\n").code == 4
    for name, text in tree(out).items():
        assert (name, b"a-token" in text, b"Signature" in text) == (name, False, False)
    assert b"a-token" not in program("batch", "status", out).out


def test_asking_again_of_several_folders_ends_with_the_code_of_all(jobfetch: Program, out: Path) -> None:
    for batch in ("batch-failing", "batch-unfinished"):
        jobfetch(*ONE, batch, "-o", out, "--retries", "0")
    run = jobfetch("batch", "retry", out, "--retries", "0", "--json")
    assert run.code == 8
    assert run.verdict["counts"]["running"] == 1
    assert sum(run.verdict["counts"].values()) > 1


def test_a_folder_is_never_filled_from_another_address(
    jobfetch: Program, out: Path, serve: Callable[..., RawServer]
) -> None:
    jobfetch(*ONE, "batch-3", "-o", out)
    file = out / "batch-3" / "job-0001.json"
    file.write_text("{}")
    server = serve(saying(reply(b"{}")))
    run = jobfetch("batch", "verify", out, "--repair", "--base-url", server.url)
    assert (run.code, server.heads, file.read_text()) == (2, [], "{}")


@pytest.mark.parametrize("text", ["x" * 1_000_000, "job_id,note\n" + "y" * 200_000 + ",1\n"], ids=["a line", "a cell"])
def test_ids_beyond_all_measure_are_a_matter_of_usage(jobfetch: Program, out: Path, text: str) -> None:
    run = jobfetch("batch", "download", "cognite", "--jobs", "-", "-o", out, stdin=text.encode())
    assert run.code == 2, run.said


def test_ids_and_a_secret_do_not_both_come_from_standard_input(jobfetch: Program, out: Path) -> None:
    line = ("batch", "download", "cognite", "--jobs", "-", "--secret-stdin", "-o", out)
    assert (jobfetch(*line, stdin=b"1\n").code, tree(out)) == (2, {})


def test_a_table_of_all_rows_lies_beside_the_records(jobfetch: Program, out: Path) -> None:
    assert jobfetch(*ONE, "batch-3", "-o", out, "-f", "csv").code == 0
    rows = (out / "batch-3" / "rows.csv").read_text().splitlines()
    assert len(list((out / "batch-3").glob("job-*.json"))) == 3
    assert [row.split(",")[1] for row in rows[1:]] == sorted(row.split(",")[1] for row in rows[1:])
    single = jobfetch("get", "playment", "job-0001", "job-0002", "job-0003", "-f", "csv").out.decode().splitlines()
    assert rows == single


def test_a_record_that_nobody_can_read_keeps_no_other_folder_from_being_filled(jobfetch: Program, out: Path) -> None:
    line = ("batch", "download", "playment", "-o", out, "-f", "csv")
    jobfetch(*line)
    tables = sorted(out.glob("*/rows.csv"))
    spoilt = min(out.glob("*/*.json"))
    spoilt.write_bytes(b"!" * spoilt.stat().st_size)
    for table in tables:
        table.unlink()
    run = jobfetch(*line)
    assert str(spoilt) in run.said
    assert run.code
    assert sorted(out.glob("*/rows.csv")) == [table for table in tables if table.parent != spoilt.parent]


def test_raw_bytes_and_records_do_not_share_a_folder(jobfetch: Program, sandbox: Sandbox, out: Path) -> None:
    assert jobfetch(*ONE, "batch-3", "-o", out, "-f", "raw").code == 0
    assert b"jobfetch.result" not in (out / "batch-3" / "job-0001.json").read_bytes()
    before = tree(out)
    sandbox.clear()
    assert jobfetch(*ONE, "batch-3", "-o", out).code == 2
    assert (tree(out), sandbox.asked()) == (before, ())


# --- whose folder ---


@pytest.mark.parametrize("change", [{"provider": "exabase"}, {"params": {"project": "another"}}, {"origin": "0" * 32}])
def test_a_folder_of_somebody_else_is_refused(
    jobfetch: Program, sandbox: Sandbox, out: Path, change: dict[str, Any]
) -> None:
    assert jobfetch(*ONE, "batch-3", "-o", out).code == 0
    file = out / "batch-3" / "manifest.jsonl"
    lines = file.read_text().splitlines()
    file.write_text("\n".join([json.dumps({**json.loads(lines[0]), **change}), *lines[1:]]) + "\n")
    before = tree(out)
    sandbox.clear()
    run = jobfetch(*ONE, "batch-3", "-o", out)
    assert run.code == 2
    assert "another run" in run.said
    assert (tree(out), sandbox.asked()) == (before, ())


@pytest.mark.parametrize("mine", [b"mine\nall mine\n", b'{"my":"own single line"}', b"mine"])
def test_a_file_that_is_no_manifest_is_not_touched(jobfetch: Program, out: Path, mine: bytes) -> None:
    (out / "batch-3").mkdir()
    (out / "batch-3" / "manifest.jsonl").write_bytes(mine)
    assert jobfetch(*ONE, "batch-3", "-o", out).code == 3
    assert tree(out) == {"batch-3/manifest.jsonl": mine}


@pytest.mark.parametrize("torn", [b'{"job_id":"job-00', b"\x00\x00\x00", b'{"schema'])
def test_a_torn_last_line_is_cut_off(jobfetch: Program, sandbox: Sandbox, out: Path, torn: bytes) -> None:
    assert jobfetch(*ONE, "batch-3", "-o", out, "--limit", "2").code == 0
    file = out / "batch-3" / "manifest.jsonl"
    whole = file.read_bytes() if torn != b'{"schema' else b""
    file.write_bytes(whole + torn)
    assert jobfetch(*ONE, "batch-3", "-o", out).code == 0
    assert file.read_bytes().startswith(whole)
    entries = manifest(out / "batch-3")[1:]
    assert [entry["state"] for entry in entries] == ["succeeded"] * 3
    assert {entry["attempts"] for entry in entries} == {1}


SLOW = ("batch", "download", "cognite", "--jobs", "-", "--timeout", "40")


def test_a_second_run_on_a_folder_is_turned_away_and_a_dead_one_is_not_in_the_way(
    jobfetch: Program, sandbox: Sandbox, out: Path
) -> None:
    with jobfetch.start(*SLOW, "-o", out / "made") as process:
        assert process.stdin
        process.stdin.write(b"200\n753\n")
        process.stdin.close()
        until(lambda: len(paths(sandbox, "/753")) > 0)
        run = jobfetch(*SLOW, "-o", out / "made", stdin=b"205\n")
        assert (run.code, "held by another run" in run.said) == (13, True)
        assert paths(sandbox, "/205") == []
        process.kill()
        process.wait()
    assert jobfetch(*SLOW, "-o", out / "made", stdin=b"200\n205\n").code == 0


# --- signals and disks ---


@pytest.mark.parametrize(("how", "code"), [(signal.SIGINT, 130), (signal.SIGTERM, 143)])
def test_a_signal_ends_a_batch_in_order(
    jobfetch: Program, sandbox: Sandbox, out: Path, how: signal.Signals, code: int
) -> None:
    line = (*ONE, "batch-250", "-o", out / "made", "--workers", "2", "--json", "--report", out / "r.json")
    with jobfetch.start(*line) as process:
        until(lambda: len(sandbox.asked()) > 40)
        process.send_signal(how)
        told, said = process.communicate(timeout=HANGS)
    assert process.returncode == code, said
    verdict = json.loads(told)
    done = verdict["counts"]["succeeded"]
    assert (verdict["exit_code"], json.loads((out / "r.json").read_text())["exit_code"]) == (code, code)
    assert 0 < done < 250
    assert len(manifest(out / "made" / "batch-250")) == done + 1
    assert len(list((out / "made" / "batch-250").glob("*.json"))) == done
    assert not [name for name in tree(out) if name.endswith((".part", ".lock"))]
    sandbox.clear()
    assert jobfetch(*line).code == 0
    counted = Counter(re.findall(r"/jobs/(job-\d+)", " ".join(one.path for one in sandbox.asked())))
    assert len(counted) == 250 - done


def test_a_second_signal_ends_it_at_once(jobfetch: Program, sandbox: Sandbox, out: Path) -> None:
    with jobfetch.start(*SLOW, "--workers", "1", "-o", out / "made") as process:
        assert process.stdin
        process.stdin.write(b"200\n753\n")
        process.stdin.close()
        until(lambda: len(paths(sandbox, "/753")) > 0)
        process.send_signal(signal.SIGINT)
        # the run waits for what is in flight, which hangs for ever
        until((out / "made" / "200.json").exists)
        process.send_signal(signal.SIGINT)
        assert process.stdout
        assert process.stderr
        process.stdout.read()
        process.stderr.read()
        process.wait(timeout=HANGS)
    assert process.returncode == 130
    assert [entry["job_id"] for entry in manifest(out / "made")[1:]] == ["200"]


def test_a_full_disk_ends_it_with_12_and_no_torn_file(jobfetch: Program, out: Path) -> None:
    line = (*ONE, "batch-250", "--limit", "100", "-o", out, "--reproducible")
    # the manifest grows beyond what one file may hold
    full = jobfetch(*line, prefix=("bash", "-c", 'ulimit -f 8; exec "$@"', "bash"))
    assert full.code == 12, full.said
    place = out / "batch-250"
    assert (place / "manifest.jsonl").read_bytes().endswith(b"}\n")
    assert all(json.loads(path.read_bytes()) for path in place.glob("job-*.json"))
    assert not list(place.glob(".*"))
    assert jobfetch(*line).code == 0
    assert len(list(place.glob("job-*.json"))) == 100


@pytest.mark.parametrize("kind", ["folder", "loop", "too long"])
def test_what_stands_in_the_place_of_one_record_costs_its_job_alone(
    jobfetch: Program, sandbox: Sandbox, out: Path, monkeypatch: pytest.MonkeyPatch, kind: str
) -> None:
    place = out / "batch-3"
    taken = place / "job-0002.json"
    place.mkdir()
    if kind == "folder":
        taken.mkdir()
    elif kind == "loop":
        taken.symlink_to(taken)
    else:
        replace = os.replace

        def rename(old: Any, new: Any) -> None:
            if os.fspath(new) == str(taken):
                raise OSError(errno.ENAMETOOLONG, "File name too long")
            replace(old, new)

        monkeypatch.setattr(os, "replace", rename)
    run = jobfetch(*ONE, "batch-3", "-o", out, "--workers", "1", "--json")
    assert (run.code, run.verdict["counts"]) == (8, {"disk": 1, "succeeded": 2}), run.said
    assert "move away what stands there" in run.verdict["error"]["hint"]
    [failure] = map(json.loads, (place / "failures.ndjson").read_text().splitlines())
    assert (failure["job_id"], failure["error"]["exit_code"]) == ("job-0002", 12)
    assert not list(place.glob(".*"))
    monkeypatch.undo()
    if kind == "folder":
        taken.rmdir()
    elif kind == "loop":
        taken.unlink()
    assert jobfetch(*ONE, "batch-3", "-o", out).code == 0
    assert taken.is_file()


@pytest.mark.parametrize("name", ["rows.csv", "manifest.jsonl"])
def test_what_stands_in_the_place_of_a_file_of_one_folder_keeps_no_other_from_being_filled(
    jobfetch: Program, out: Path, name: str
) -> None:
    taken = out / "batch-3" / name
    taken.mkdir(parents=True)
    line = ("batch", "download", "playment", "-o", out, "--limit", "10", "-f", "csv")
    run = jobfetch(*line, "--json")
    assert (run.code, run.verdict["error"]["hint"]) == (12, "move away what stands there, then run the same line again")
    assert str(taken) in run.verdict["error"]["message"]
    assert (out / "batch-250" / "rows.csv").is_file()
    taken.rmdir()
    assert jobfetch(*line).code == 0
    assert taken.is_file()


# --- the provider that a line does not name ---


def test_the_default_provider_is_put_in(jobfetch: Program, out: Path) -> None:
    jobfetch.configure('default_provider = "playment"\n[defaults]\nworkers = 3\nrate = "50/s"\n')
    assert jobfetch("batch", "download", "--batch", "batch-3", "-o", out).code == 0
    assert jobfetch("--json", "batch", "download", "--batch", "batch-3", "-o", out).verdict["counts"] == {
        "succeeded": 3
    }
    jobfetch.configure('default_provider = "nobody"\n')
    assert jobfetch("batch", "download", "-o", out).code == 3
