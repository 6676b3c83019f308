"""Standard output carries data and nothing else; all that is said goes to standard error, one plain line each."""

import csv
import io
import json
import re
from pathlib import Path
from typing import Any

import pytest

from jobfetch.sandbox import Sandbox

from .program import ERROR, VERDICT, Program, Run

COLUMNS = [
    "provider",
    "job_id",
    "item_id",
    "kind",
    "label",
    "text",
    "score",
    "page",
    "x_min",
    "y_min",
    "x_max",
    "y_max",
]
CONTROL = re.compile("[\x00-\x09\x0b-\x1f\x7f-\x9f\u200e\u200f\u202a-\u202e\u2066-\u2069]")
DONE = (("cognite", "206"), ("playment", "masks"), ("playment", "frames"))
WAIT = ("--wait", "--interval", "0.1")


@pytest.mark.parametrize(("provider", "job_id"), DONE)
def test_json_is_one_line_with_the_record(jobfetch: Program, provider: str, job_id: str) -> None:
    run = jobfetch("get", provider, job_id, *WAIT)
    [line] = run.out.splitlines()
    assert list(json.loads(line))[:4] == ["schema", "provider", "job_id", "state"]
    assert run.out.endswith(b"\n")


@pytest.mark.parametrize(("provider", "job_id"), DONE)
def test_csv_is_a_table_with_the_common_columns_first(jobfetch: Program, provider: str, job_id: str) -> None:
    run = jobfetch("get", provider, job_id, *WAIT, "-f", "csv")
    header, *rows = csv.reader(io.StringIO(run.out.decode(), newline=""), strict=True)
    assert header[: len(COLUMNS)] == COLUMNS
    assert header[len(COLUMNS) :] == sorted(header[len(COLUMNS) :])
    assert {len(row) for row in rows} == {len(header)}
    assert {(row[0], row[1]) for row in rows} == {(provider, job_id)}


@pytest.mark.parametrize(("provider", "job_id"), DONE)
def test_ndjson_is_one_object_a_line(jobfetch: Program, provider: str, job_id: str) -> None:
    run = jobfetch("get", provider, job_id, *WAIT, "-f", "ndjson")
    rows = [json.loads(line) for line in run.out.splitlines()]
    assert rows
    assert all(list(row)[: len(COLUMNS)] == COLUMNS for row in rows)


@pytest.mark.parametrize(("provider", "job_id"), DONE)
def test_raw_is_what_the_service_sent(jobfetch: Program, provider: str, job_id: str) -> None:
    record = jobfetch("get", provider, job_id, *WAIT)
    raw = jobfetch("get", provider, job_id, *WAIT, "-f", "raw")
    assert json.loads(raw.out) == json.loads(record.out)["result"]


@pytest.mark.parametrize(
    ("expression", "found"),
    [("job_id", "200"), ("result.items[0].fileId", 1234), ("nothing", None), ("keys(@)[0]", "schema")],
)
def test_a_query_gives_one_json_value(jobfetch: Program, expression: str, found: object) -> None:
    run = jobfetch("get", "cognite", "200", "--query", expression)
    assert json.loads(run.out) == found


@pytest.mark.parametrize("expression", ["items[", "sum(job_id)"])
def test_a_query_that_cannot_be_is_a_usage_error(jobfetch: Program, expression: str) -> None:
    run = jobfetch("get", "cognite", "200", "--query", expression)
    assert (run.code, run.out) == (2, b"")


@pytest.mark.parametrize("shape", ["json", "csv", "ndjson", "raw"])
def test_nothing_is_on_standard_output_when_there_is_nothing(jobfetch: Program, shape: str) -> None:
    run = jobfetch("get", "cognite", "404", "-f", shape)
    assert (run.code, run.out) == (5, b"")
    assert run.said.startswith("error: ")


HOSTILE = (("cognite", "206"), ("cognite", "422"), ("playment", "hostile"), ("playment", "hostile-error"))


@pytest.mark.parametrize(("provider", "job_id"), HOSTILE)
def test_the_log_of_a_status_gets_no_control_character(jobfetch: Program, provider: str, job_id: str) -> None:
    assert not CONTROL.search(jobfetch("status", provider, job_id, "-vv").said)


@pytest.mark.parametrize(("provider", "job_id"), HOSTILE)
def test_a_status_is_one_line_of_printable_cells(jobfetch: Program, provider: str, job_id: str) -> None:
    run = jobfetch("status", provider, job_id)
    lines = run.out.decode().split("\n")[:-1]
    assert [line.split("\t")[0] for line in lines] == [job_id]
    assert not CONTROL.search("".join(lines).replace("\t", ""))


# --- quiet and verdicts ---


def test_quiet_says_nothing_when_all_is_well(jobfetch: Program) -> None:
    run = jobfetch("get", "cognite", "201", *WAIT, "-q", "-vv")
    assert (run.code, run.err) == (0, b"")


def test_quiet_leaves_it_to_the_exit_code_that_a_job_still_runs(jobfetch: Program, out: Path) -> None:
    lines = [("get", "playment", "never"), ("batch", "download", "playment", "--batch", "batch-unfinished", "-o", out)]
    runs = [jobfetch("-q", *line) for line in lines]
    assert [(run.code, run.said) for run in runs] == [(75, ""), (75, "")]


@pytest.mark.parametrize("line", [("-q", "get", "cognite", "404"), ("get", "cognite", "404", "-q")])
def test_quiet_tells_of_errors(jobfetch: Program, line: tuple[str, ...]) -> None:
    run = jobfetch(*line)
    assert run.said.startswith("error: ")


@pytest.mark.parametrize("line", [("--json", "status", "cognite", "200"), ("status", "cognite", "200", "--json")])
def test_a_verdict_can_be_asked_for_before_and_after_the_command(jobfetch: Program, line: tuple[str, ...]) -> None:
    run = jobfetch(*line)
    assert list(run.verdict) == [*VERDICT, "data"]
    assert (run.verdict["ok"], run.verdict["error"]) == (True, None)


@pytest.mark.parametrize("place", [(), ("-o", "-")])
@pytest.mark.parametrize("shape", ["json", "csv", "ndjson", "raw"])
def test_the_verdict_makes_way_for_data(jobfetch: Program, shape: str, place: tuple[str, ...]) -> None:
    run = jobfetch("get", "cognite", "200", "--json", "-f", shape, *place)
    verdict = json.loads(run.said.splitlines()[-1])
    assert (list(verdict), verdict["exit_code"], verdict["outputs"]) == (VERDICT, 0, [])
    assert b"exit_code" not in run.out
    assert run.out


@pytest.mark.parametrize(
    ("line", "code"),
    [
        (("get", "cognite", "200", "--no-such-option"), 2),
        (("--json", "get", "cognite"), 2),
        (("get", "cognite", "200", "-f", "pdf"), 2),
        (("get", "cognite", "200", "--retries", "many"), 2),
        (("get", "cognite", "no-number"), 2),
        (("get", "cognite", "200", "--timeout", "soon"), 2),
        (("get", "cognite", "200", "--parse-limit", "much"), 2),
        (("get", "cognite", "200", "--query", "x", "-f", "csv"), 2),
        (("get", "playment", "masks", "--assets"), 2),
        (("get", "nobody", "200"), 2),
        (("status", "cognite"), 2),
        (("providers", "show", "nobody"), 2),
        (("nothing",), 2),
        (("get", "cognite", "200", "--ca-bundle", "/none"), 3),
    ],
    ids=lambda value: " ".join(value) if isinstance(value, tuple) else str(value),
)
def test_a_line_that_cannot_be_has_a_verdict(
    jobfetch: Program, sandbox: Sandbox, line: tuple[str, ...], code: int
) -> None:
    run = jobfetch(*line, "--json")
    told = run.out or run.err.splitlines()[-1]
    verdict = json.loads(told)
    assert run.code == code
    assert list(verdict)[: len(VERDICT)] == VERDICT
    assert (verdict["exit_code"], verdict["ok"], list(verdict["error"])) == (code, False, ERROR)
    assert sandbox.asked() == ()


@pytest.mark.parametrize(
    ("line", "meant"),
    [
        (("get", "cognit", "1"), "cognite"),
        (("status", "playmnt", "1"), "playment"),
        (("providers", "show", "cogn"), "cognite"),
        (("statu", "cognite", "1"), "status"),
    ],
)
def test_a_mistyped_name_is_answered_with_the_nearest(bare: Program, line: tuple[str, ...], meant: str) -> None:
    run = bare(*line)
    assert run.code == 2
    assert re.search(rf"\b{meant}\b", run.said.partition("hint:")[0] + run.said.rpartition("there are")[2])


def test_the_version_is_data(bare: Program) -> None:
    run = bare("--version")
    assert (run.code, run.err) == (0, b"")
    assert re.fullmatch(rb"jobfetch \d+\.\d+\.\d+\S*\n", run.out)


@pytest.mark.parametrize(
    "line", [("--help",), ("get", "--help"), ("get", "cognite", "-h"), ("sandbox", "run", "--help")]
)
def test_help_is_data(bare: Program, line: tuple[str, ...]) -> None:
    run = bare(*line)
    assert (run.code, run.err) == (0, b"")
    assert b"Usage: jobfetch" in run.out


@pytest.mark.parametrize("words", [(), ("get",), ("providers",)])
def test_without_a_command_the_help_is_shown_and_the_code_says_usage(bare: Program, words: tuple[str, ...]) -> None:
    run = bare(*words)
    assert (run.code, run.out) == (2, b"")
    assert ("Providers:\n" if words == ("get",) else "Commands:\n") in run.said
    assert ("which provider?" if words == ("get",) else "which command?") in run.said


# --- narration for those who collect logs ---


def logged(run: Run) -> list[dict[str, Any]]:
    """Standard error, where every line is an object."""
    return [json.loads(line) for line in run.said.splitlines()]


@pytest.mark.parametrize(
    ("line", "variable"),
    [
        (("get", "cognite", "600", "--wait", "--interval", "0.05", "--log-format", "json"), ""),
        (("--log-format", "json", "get", "cognite", "600", "--wait", "--interval", "0.05"), "quiet,text"),
        (("get", "cognite", "600", "--wait", "--interval", "0.05"), "json"),
    ],
)
def test_every_line_of_a_json_log_is_an_object_with_time_level_and_message(
    line: tuple[str, ...], variable: str, here: Program, out: Path
) -> None:
    run = here(*line, "-o", out / "r.json", JOBFETCH_LOG=variable)
    assert run.code == 6
    lines = logged(run)
    assert all({"time", "level", "message"} <= each.keys() for each in lines)
    assert (lines[-1]["level"], lines[-1]["exit_code"]) == ("error", 6)
    assert "quiet" in variable or {"job_id": "600", "state": "failed"}.items() <= lines[1].items()


def test_a_json_log_can_be_filtered_by_job_and_summed_up_without_a_look_at_the_words(here: Program, out: Path) -> None:
    run = here("batch", "download", "playment", "--batch", "batch-failing", "-o", out, JOBFETCH_LOG="debug,json")
    assert run.code == 8
    lines = logged(run)
    assert [each["exit_code"] for each in lines[:-1] if each.get("job_id") == "gone"] == [7, 7]
    assert {"fetched": 2, "there_before": 0, "failed": 3, "running": 0}.items() <= lines[-2].items()
    assert [*lines[-1]][:5] == ["time", "level", "message", "provider", "job_id"]
    one = logged(here("get", "playment", "done", "-o", out / "r.json", JOBFETCH_LOG="json"))
    assert {"job_id": "done", "state": "succeeded", "file": str(out / "r.json")}.items() <= one[-1].items()


@pytest.mark.parametrize("line", [("get",), ("get", "cogite", "1"), ("nosuch",), ("get", "cognite", "1", "--wiat")])
def test_a_line_that_cannot_be_run_is_told_of_in_a_json_log_as_well(line: tuple[str, ...], bare: Program) -> None:
    run = bare(*line, "--log-format", "json")
    assert run.code == 2
    assert [(each["level"], each.get("exit_code")) for each in logged(run)][-1:] == [("error", 2)]
    assert {each["level"] for each in logged(run)[:-1]} <= {"info"}


def test_a_json_log_holds_no_secret(here: Program, out: Path) -> None:
    run = here("get", "exabase", "echo-secret", "-o", out / "r.json", "-vv", "--log-format", "json")
    assert run.code == 4
    assert "***" in run.said
    assert logged(run)


def test_a_word_that_JOBFETCH_LOG_does_not_know_is_refused_before_anything_is_asked(  # noqa: N802 - its name
    here: Program, sandbox: Sandbox, out: Path
) -> None:
    run = here("get", "cognite", "200", "-o", out / "r.json", JOBFETCH_LOG="debgu")
    assert run.code == 3
    assert "JOBFETCH_LOG: 'debgu' is none of" in run.said
    assert not sandbox.asked()
    assert not [*out.iterdir()]


def test_JOBFETCH_LOG_makes_a_run_tell_more_or_less(here: Program, out: Path) -> None:  # noqa: N802 - its name
    line = ("--wait", "--interval", "0.02", "-o", out / "r.json")
    jobs = {"quiet": "1003", "info": "1004", "debug": "1005"}
    quiet, plain, loud = (
        here("get", "cognite", job, *line, JOBFETCH_LOG=word).said.splitlines() for word, job in jobs.items()
    )
    assert quiet == []
    assert 0 < len(plain) < len(loud)


# --- on a terminal ---


@pytest.mark.parametrize(
    ("environment", "table", "colour"),
    [
        ({"TERM": "xterm"}, True, True),
        ({"TERM": "xterm", "NO_COLOR": "1"}, True, False),
        ({"TERM": "dumb"}, False, False),
    ],
)
def test_a_terminal_gets_tables_and_colours_unless_it_wants_none(
    environment: dict[str, str], table: bool, colour: bool, home: Path
) -> None:
    program = Program(home, environment)
    _, listed = program.typed("providers", "list", answers=[])
    code, refused = program.typed("get", "cogite", "1", answers=[])
    assert ("\x1b[1mprovider" in listed) is table
    assert "Playment (GT Studio)" in listed
    assert ("\x1b[1;31merror:" in refused) is colour
    assert (code, "\x1b[3" in listed + refused) == (2, colour)


def test_a_table_folds_its_cells_on_a_narrow_terminal_and_cuts_none(home: Path) -> None:
    _, shown = Program(home, {"TERM": "xterm", "COLUMNS": "40"}).typed("config", "show", "playment", answers=[])
    assert all(part in shown for part in ("playment.base_url", "https://a", "nt.io"))
    assert "…" not in shown


def test_what_is_piped_holds_no_escape_code_and_no_table(bare: Program) -> None:
    run = bare("providers", "list", TERM="xterm")
    assert run.out.splitlines()[0] == b"cognite    Cognite Data Fusion, vision extract"
    assert b"\x1b" not in run.out + run.err
