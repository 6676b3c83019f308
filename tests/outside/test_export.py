"""`jobfetch export`: saved records as one table, whole or not at all, the same bytes each time; nobody is asked."""

import csv
import gzip
import io
import json
import os
import resource
import signal
import sqlite3
import subprocess
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pyarrow.parquet
import pytest
import zstandard

from jobfetch.commands import tables
from jobfetch.export import parquet
from jobfetch.export import tables as export_tables
from jobfetch.fetch import found, saved
from jobfetch.sandbox import Sandbox
from jobfetch.spread import cores

from .program import JOBFETCH, MORTAL, Here, Program, until

pytestmark = pytest.mark.here

SHAPES = ["csv", "ndjson", "json", "parquet", "sqlite", "csv.gz", "ndjson.zst"]


def record(job_id: str, *texts: str, **more: Any) -> bytes:
    found = [{"text": text, "confidence": 0.5} for text in texts]
    result = {"status": "Completed", "jobId": 1, "items": [{"fileId": 1, "predictions": {"textPredictions": found}}]}
    head = {"schema": "jobfetch.result/1", "provider": "cognite", "job_id": job_id, "assets": []}
    return json.dumps({**head, "result": result, **more}, separators=(",", ":")).encode() + b"\n"


@pytest.fixture
def records(tmp_path: Path) -> Path:
    """A folder of three records."""
    folder = tmp_path / "records"
    folder.mkdir()
    for job_id, texts in {"9": ("a", "b"), "10": ("c",), "x~0f": ()}.items():
        (folder / f"{job_id}.json").write_bytes(record(job_id.partition("~")[0], *texts))
    return folder


def table(data: bytes) -> list[dict[str, str]]:
    return list(csv.DictReader(io.StringIO(data.decode(), newline=""), strict=True))


def read(path: Path) -> list[dict[str, Any]]:
    """The rows of a table, whatever its format."""
    data = path.read_bytes()
    data = gzip.decompress(data) if path.suffix == ".gz" else data
    data = zstandard.ZstdDecompressor().stream_reader(data).read() if path.suffix == ".zst" else data
    if ".csv" in path.name:
        return [{name: cell or None for name, cell in row.items()} for row in table(data)]
    if path.suffix == ".parquet":
        rows: list[dict[str, Any]] = pyarrow.parquet.read_table(path).to_pylist()
        return rows
    if path.suffix == ".sqlite":
        with sqlite3.connect(path) as database:
            database.row_factory = sqlite3.Row
            return [dict(row) for row in database.execute("SELECT * FROM rows")]
    found: list[dict[str, Any]] = (
        [json.loads(line) for line in data.splitlines()] if "ndjson" in path.name else json.loads(data)
    )
    return found


@pytest.mark.parametrize("shape", SHAPES)
def test_every_format_holds_the_same_rows_sorted_by_job_id(shape: str, bare: Program, records: Path, out: Path) -> None:
    run = bare("export", records, "-o", out / f"t.{shape}", "--json")
    assert (run.code, run.verdict["data"]) == (0, {"records": 3, "rows": 4})
    assert run.verdict["outputs"] == [str(out / f"t.{shape}"), str(out / f"t.{shape}.schema.json")]
    assert [(row["job_id"], row["text"], row["kind"]) for row in read(out / f"t.{shape}")] == [
        ("10", "c", "textPredictions"),
        ("9", "a", "textPredictions"),
        ("9", "b", "textPredictions"),
        ("x", None, "item"),
    ]
    told = json.loads((out / f"t.{shape}.schema.json").read_text())
    assert [each["name"] for each in told["columns"]][-1] == "items.fileId"
    assert told["rows"] == 4


@pytest.mark.parametrize("shape", SHAPES)
def test_the_same_line_twice_gives_the_same_bytes(shape: str, bare: Program, records: Path, out: Path) -> None:
    path = out / f"t.{shape}"
    assert bare("export", records, "-o", path).code == 0
    first = path.read_bytes()
    assert bare("export", records, "-o", path).code == 0
    assert path.read_bytes() == first


def test_without_a_place_the_table_goes_to_standard_output(bare: Program, records: Path) -> None:
    run = bare("export", records, "-f", "csv", "--columns", "job_id,text")
    assert run.out == b"job_id,text\n10,c\n9,a\n9,b\nx,\n"


def test_a_batch_folder_its_parent_and_get_give_the_same_table(here: Program, sandbox: Sandbox, out: Path) -> None:
    ids = out / "ids"
    ids.write_text("200\n205\n")
    assert here("batch", "download", "cognite", "--jobs", ids, "-o", out / "all" / "some", "-f", "csv").code == 0
    asked = len(sandbox.asked())
    for place in (out / "all", out / "all" / "some"):
        assert here("export", place, "-o", out / "t.csv").code == 0
        assert (out / "t.csv").read_bytes() == (out / "all" / "some" / "rows.csv").read_bytes()
    assert len(sandbox.asked()) == asked
    assert here("get", "cognite", "205", "200", "-o", out / "got.csv").code == 0
    assert (out / "got.csv").read_bytes() == (out / "t.csv").read_bytes()


def test_records_beside_the_folders_of_batches_are_in_the_table_as_well(here: Program, out: Path) -> None:
    (out / "ids").write_text("200\n")
    assert here("batch", "download", "cognite", "--jobs", out / "ids", "-o", out / "all" / "some").code == 0
    (out / "all" / "loose.json").write_bytes(record("7", "a"))
    run = here("export", out / "all", "-f", "csv", "--columns", "job_id")
    assert {*run.out.split()} == {b"job_id", b"200", b"7"}


def test_a_record_that_a_manifest_tells_of_and_that_is_gone_is_told_of(here: Program, out: Path) -> None:
    (out / "ids").write_text("200\n205\n")
    assert here("batch", "download", "cognite", "--jobs", out / "ids", "-o", out / "some").code == 0
    (out / "some" / "205.json").unlink()
    run = here("export", out / "some", "-f", "csv", "--columns", "job_id")
    assert run.code == 0
    assert "205.json is not there: left out" in run.said


def test_a_manifest_leads_to_no_file_outside_of_its_folder(here: Program, out: Path) -> None:
    (out / "ids").write_text("200\n")
    assert here("batch", "download", "cognite", "--jobs", out / "ids", "-o", out / "some").code == 0
    (out / "200.json").write_bytes(record("200", "elsewhere"))
    manifest = out / "some" / "manifest.jsonl"
    for way in ("../200.json", str(out / "200.json"), "manifest.jsonl"):
        told = manifest.read_bytes().replace(b'"200.json"', json.dumps(way).encode())
        (out / "some" / "manifest.jsonl").write_bytes(told)
        run = here("export", out / "some", "-o", out / "t.csv")
        assert (run.code, (out / "t.csv").exists()) == (11, False)
        assert "is no name for the file of job 200" in run.said
        manifest.write_bytes(told.replace(json.dumps(way).encode(), b'"200.json"'))


@pytest.mark.parametrize("closed", ["some", "9.json"])
def test_what_may_not_be_looked_into_is_an_error_that_names_it(
    home: Path, records: Path, out: Path, closed: str
) -> None:
    (records / "some").mkdir()
    (records / "some" / "manifest.jsonl").write_bytes(b"")
    (records / closed).chmod(0)
    run = Program(home, {})("export", records, "-o", out / "t.csv", prefix=MORTAL)
    assert run.code == 12
    assert f"{records / closed}: Permission denied" in run.said
    assert not [*out.iterdir()]


def test_an_output_never_takes_the_place_of_a_record_that_is_read(bare: Program, records: Path) -> None:
    before = (records / "9.json").read_bytes()
    for source in (records, records / "9.json"):
        run = bare("export", source, "-f", "json", "-o", records / "9.json")
        assert run.code == 2
        assert "is a record that is to be read" in run.said
    assert (records / "9.json").read_bytes() == before


def test_what_is_no_file_is_not_waited_for(bare: Program, records: Path) -> None:
    os.mkfifo(records / "pipe.json")
    run = bare("export", records, "-f", "csv", "--columns", "job_id")
    assert run.code == 0
    assert "pipe.json is no record: left out" in run.said
    assert bare("export", records / "pipe.json", "-f", "csv").code == 2


def test_a_file_may_hold_a_record_a_line(bare: Program, out: Path) -> None:
    first, second = record("1", "a").strip(), record("2", "b").strip()
    ways = {
        "r.ndjson": [second, b"", first],
        "r.jsonl": [second + b"\r", b"\r", b"  ", first, b""],
        "r.json": [second, first],
    }
    for name, lines in ways.items():
        (out / name).write_bytes(b"\n".join(lines))
        run = bare("export", out / name, "-f", "csv", "--columns", "job_id,text")
        assert run.out == b"job_id,text\n1,a\n2,b\n", run.said


def test_a_record_may_be_written_over_many_lines(bare: Program, out: Path) -> None:
    (out / "r.json").write_text(json.dumps(json.loads(record("1", "a", "b")), indent=2))
    run = bare("export", out / "r.json", "-f", "csv", "--columns", "job_id,text")
    assert run.out == b"job_id,text\n1,a\n1,b\n"


def test_what_is_named_twice_is_there_once(bare: Program, records: Path) -> None:
    run = bare("export", records, records / "9.json", records / "9.json", "-f", "csv", "--columns", "job_id")
    assert run.out.split() == [b"job_id", b"10", b"9", b"9", b"x"]


def test_more_records_than_are_sorted_at_once_are_sorted(
    bare: Program, out: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(found, "AT_ONCE", 7)
    (out / "r.ndjson").write_bytes(b"".join(record(str(number * 37 % 100), "a") for number in range(100)))
    run = bare("export", out / "r.ndjson", "-f", "csv", "--columns", "job_id")
    assert run.out.decode().split()[1:] == sorted(map(str, range(100)))


def test_a_long_record_gives_the_rows_that_it_gives_when_it_is_held(
    bare: Program, out: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    annotations = [{"_id": f"a{n}", "label": "x, y", "coordinates": [{"x": 0.5, "y": n}]} for n in range(3000)]
    result = {"data": {"annotations_data": {"annotations": annotations}, "legend": {"#1": "car"}}, "note": [1]}
    (out / "r.json").write_bytes(record("1", provider="playment", result=result))
    held = bare("export", out / "r.json", "-f", "csv").out
    monkeypatch.setattr(saved, "LARGE", 1000)
    monkeypatch.setattr("jobfetch.flatten.long.WINDOW", 5000)
    assert bare("export", out / "r.json", "-f", "csv").out == held
    assert len(table(held)) == 3001


@pytest.mark.parametrize("kind", ["product", None])
def test_a_long_list_that_no_row_is_made_of_is_a_cell_as_it_was_sent(
    kind: str | None, bare: Program, out: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    products = [{"title": f"t{number}", "price": number} for number in range(3000)]
    result = {"id": "x", "dataType": kind, "normalized": {"title": "T", "products": products, "more": [1, 2]}}
    (out / "r.json").write_bytes(record("1", provider="justcrawl", result=result))
    held = bare("export", out / "r.json", "-f", "ndjson").out
    monkeypatch.setattr(saved, "LARGE", 1000)
    monkeypatch.setattr("jobfetch.flatten.long.WINDOW", 5000)
    assert bare("export", out / "r.json", "-f", "ndjson").out == held
    assert b"t2999" in held


def test_an_error_names_the_file_that_it_is_in(bare: Program, out: Path) -> None:
    twice = {"status": "Completed", "items": [{"fileId": 1, "predictions": {"a": [{"x": 1}]}, "more": {}}]}
    for number in range(20):
        (out / f"{number:02}.json").write_bytes(record(f"{number:02}", "a", "b"))
    (out / "17.json").write_bytes(record("17", result=twice).replace(b'{"x":1}', b'{"x":1,"x":2}'))
    run = bare("export", out, "-f", "csv")
    assert run.code == 11
    assert "17.json (job 17): cognite job 17: the key 'x' stands twice" in run.said


# --- several processes ---


@pytest.fixture
def spread(monkeypatch: pytest.MonkeyPatch) -> Callable[[int], None]:
    """From now on, so many processes work at an export, however little there is to do."""

    def processes(number: int) -> None:
        monkeypatch.setattr(tables, "MUCH", 0)
        monkeypatch.setattr(tables, "cores", lambda: number)
        monkeypatch.setattr(export_tables, "LOOKED_AT", 3)
        monkeypatch.setattr(found, "FEW", 3)

    return processes


@pytest.mark.parametrize("shape", SHAPES)
@pytest.mark.parametrize("late", ["", "own"])
def test_several_processes_give_the_bytes_that_one_gives(
    shape: str, late: str, bare: Program, out: Path, spread: Callable[[int], None]
) -> None:
    lines = [record(str(number), *"ab"[: number % 3], status=late if number == 70 else "x") for number in range(100)]
    lines[70] = lines[70].replace(b'"text":', b'"more":"x","text":') if late else lines[70]
    (out / "r.ndjson").write_bytes(b"".join(lines))
    found: list[bytes] = []
    for number in (1, 2, 5):
        spread(number)
        run = bare("export", out / "r.ndjson", "-o", out / f"t.{shape}", "--json")
        assert (run.code, run.verdict["data"]["records"]) == (0, 100)
        found.append((out / f"t.{shape}").read_bytes() + (out / f"t.{shape}.schema.json").read_bytes())
    assert found[0] == found[1] == found[2]
    assert (b'"more"' in found[0]) == bool(late)


def test_an_unreadable_record_among_many_is_the_same_error_for_several_processes(
    bare: Program, out: Path, spread: Callable[[int], None]
) -> None:
    lines = [record(f"{number:03}", "a") for number in range(100)]
    lines[61] = lines[61].replace(b'"a"', b'"a",,')
    (out / "r.ndjson").write_bytes(b"".join(lines))
    alone = bare("export", out / "r.ndjson", "-o", out / "t.csv")
    spread(3)
    several = bare("export", out / "r.ndjson", "-o", out / "t.csv")
    assert (several.code, several.said) == (alone.code, alone.said)
    assert several.code == 11
    assert "job 061" in several.said
    assert [path.name for path in out.iterdir()] == ["r.ndjson"]


@pytest.mark.parametrize("sent", [signal.SIGTERM, signal.SIGINT, signal.SIGKILL])
def test_the_helpers_of_a_run_end_with_it(sent: signal.Signals, home: Path, out: Path) -> None:
    with (out / "r.ndjson").open("wb") as file:
        for number in range(6000):
            file.write(record(str(number), *["a" * 100] * 40))
    with Program(home, {}).start("export", out / "r.ndjson", "-o", out / "t.csv") as process:
        until(lambda: any(path.stat().st_size for path in out.glob("*.part")))
        helpers = children_of(process.pid)
        process.send_signal(sent)
        process.wait()
    assert (process.returncode == -sent) if sent == signal.SIGKILL else (process.returncode == 128 + sent)
    assert len(helpers) == (cores() if cores() > 1 else 0)
    until(lambda: not any(Path(f"/proc/{helper}").exists() for helper in helpers))
    assert not (out / "t.csv").exists()


def children_of(process: int) -> list[str]:
    """The processes that a process has forked."""
    return Path(f"/proc/{process}/task/{process}/children").read_text().split()


# --- rows and columns of one's own ---


def test_rows_by_a_path_carry_what_stands_above_them(bare: Program, out: Path) -> None:
    result = {"status": "Completed", "items": [{"fileId": 7, "tags": [{"label": "a"}, {"label": "b"}]}]}
    (out / "r.json").write_bytes(record("1", result=result))
    run = bare(
        "export", out / "r.json", "-f", "csv", "--rows", "items[].tags[]", "--columns", "kind,label,items.fileId"
    )
    assert run.out == b"kind,label,items.fileId\ntags,a,7\ntags,b,7\n"


@pytest.mark.parametrize(
    ("path", "told"),
    [
        ("items[].predictons.*[]", True),
        ("item[]", True),
        ("items[].predictions.nothing[]", True),
        ("items[].predictions.*[]", False),
        ("items[]", False),
        ("$", False),
    ],
)
def test_a_path_that_leads_nowhere_is_told_of(
    bare: Program, records: Path, out: Path, path: str, *, told: bool
) -> None:
    run = bare("export", records, "-o", out / "t.csv", "--rows", path)
    assert run.code == 0
    assert (f"none of the first 3 records has anything at {path}" in run.said) is told


@pytest.mark.parametrize(
    ("path", "near"),
    [
        ("items[].predictons.*[]", " items[].predictions.*[] leads somewhere"),
        ("failedItems[].items[]", ""),
        ("nothing", ""),
    ],
)
def test_a_path_that_leads_nowhere_is_told_of_with_one_that_is_near(
    bare: Program, records: Path, out: Path, path: str, near: str
) -> None:
    run = bare("export", records, "-o", out / "t.csv", "--rows", path)
    assert run.said.splitlines()[0].endswith(f"at {path}: is the path right?{near}")


def test_a_path_through_the_record_of_a_provider_that_there_is_not_says_so(bare: Program, out: Path) -> None:
    (out / "r.json").write_bytes(record("1").replace(b'"cognite"', b'"nobody"'))
    run = bare("export", out / "r.json", "-f", "csv", "--rows", "items[]")
    assert (run.code, "there is no provider 'nobody'" in run.said) == (11, True)


@pytest.mark.parametrize("path", ["a..b", "items[", "a[0]", "[]", "a{}.b"])
def test_what_is_no_path_is_refused(bare: Program, records: Path, path: str) -> None:
    run = bare("export", records, "-f", "csv", "--rows", path)
    assert (run.code, run.out) == (2, b"")
    assert "is no path" in run.said


def test_a_view_by_its_name_is_a_table_as_well(here: Program, out: Path) -> None:
    assert here("get", "expertai", "done", "-o", out / "r.json").code == 0
    run = here("export", out / "r.json", "-f", "csv", "--rows", "words", "--columns", "kind,text")
    assert run.out == b"kind,text\nword,test\n"


def test_a_column_that_no_row_has_is_empty_and_told_of(bare: Program, records: Path, out: Path) -> None:
    run = bare("export", records, "-o", out / "t.csv", "--columns", "nope,text")
    assert run.code == 0
    assert "no row has nope" in run.said
    assert (out / "t.csv").read_bytes() == b"nope,text\n,c\n,a\n,b\n,\n"


# --- what goes wrong ---


@pytest.mark.parametrize(
    ("content", "said"),
    [
        (b"{", "is no record"),
        (b'{"a":1}\n', "is no record"),
        (record("7").replace(b"result/1", b"result/9"), "another version"),
        (record("7", provider="nobody"), "there is no provider 'nobody'"),
        (record("7", "a")[:-20], "is no record"),
        (record("7", "a").replace(b'"a"', b'"\xff"'), "is not UTF-8"),
        (record("7", "a").replace(b'"a"', b'"\\ud800"'), "half of a surrogate pair"),
        (record("7", "a").replace(b'"text":"a"', b'"text":"a","text":"b"'), "'text' stands twice"),
        (record("7", "a").replace(b"0.5", b"NaN"), "is no record"),
    ],
    ids=["cut", "foreign", "version", "provider", "torn", "bytes", "surrogate", "twice", "NaN"],
)
def test_a_record_that_cannot_be_read_is_an_error_that_names_its_file_and_leaves_nothing(
    bare: Program, records: Path, out: Path, content: bytes, said: str
) -> None:
    (records / "7.json").write_bytes(content)
    (out / "t.csv").write_bytes(b"before")
    run = bare("export", records / "9.json", records / "7.json", "-o", out / "t.csv")
    assert run.code == 11
    assert said in run.said
    assert str(records / "7.json") in run.said
    assert [path.name for path in out.iterdir()] == ["t.csv"]
    assert (out / "t.csv").read_bytes() == b"before"


def test_a_foreign_file_in_a_folder_is_left_out_and_told_of(bare: Program, records: Path) -> None:
    (records / "package.json").write_bytes(b'{"name":"x"}')
    assert bare("export", records, "-o", records / "table.json").code == 0
    run = bare("export", records, "-o", records / "table.json")
    assert run.code == 0
    assert "package.json is no record: left out" in run.said
    assert "table.json is no record" not in run.said


@pytest.mark.parametrize(
    ("words", "code"),
    [
        (("nowhere", "-f", "csv"), 2),
        (("EMPTY", "-f", "csv"), 2),
        (("RECORDS", "-o", "t.what"), 2),
        (("RECORDS",), 2),
        (("RECORDS", "-o", "no/folder/t.csv"), 12),
        (("RECORDS", "-f", "raw"), 2),
        (("RECORDS", "-f", "csv", "--columns", "job_id,\udcff"), 2),
        (("RECORDS", "-f", "csv", "--rows", "items[].\udcff[]"), 2),
        ((), 2),
    ],
)
def test_a_line_that_cannot_be_run_says_why(bare: Program, records: Path, words: tuple[str, ...], code: int) -> None:
    places = {"RECORDS": records, "EMPTY": records.parent, "t.what": records / "t.what"}
    run = bare("export", *[places.get(word, word) for word in words])
    assert (run.code, run.out) == (code, b"")
    assert "hint:" in run.said


def test_a_folder_of_raw_bytes_is_refused(here: Program, out: Path) -> None:
    (out / "ids").write_text("200\n")
    assert here("batch", "download", "cognite", "--jobs", out / "ids", "-o", out / "raw", "-f", "raw").code == 0
    run = here("export", out / "raw", "-o", out / "t.csv")
    assert run.code == 2
    assert "-f raw" in run.said


@pytest.mark.parametrize("shape", ["csv", "ndjson", "parquet", "sqlite"])
def test_a_full_disk_is_told_and_leaves_nothing(shape: str, home: Path, out: Path) -> None:
    records = out / "r.ndjson"
    records.write_bytes(b"".join(record(str(number), os.urandom(300).hex()) for number in range(300)))

    def little() -> None:
        signal.signal(signal.SIGXFSZ, signal.SIG_IGN)
        resource.setrlimit(resource.RLIMIT_FSIZE, (60_000, 60_000))

    place = out / "tables"
    place.mkdir()
    line = [str(JOBFETCH), "export", str(records), "-o", str(place / f"t.{shape}")]
    run = subprocess.run(line, env=Program(home, {}).environment, preexec_fn=little, capture_output=True, check=False)
    assert run.returncode == 12, run.stderr
    assert list(place.iterdir()) == []


def test_a_kill_leaves_the_table_that_was_there(home: Path, out: Path) -> None:
    (out / "r.ndjson").write_bytes(b"".join(record(str(number), "a" * 100) for number in range(4000)))
    (out / "t.csv").write_bytes(b"before")
    with Program(home, {}).start("export", out / "r.ndjson", "-o", out / "t.csv") as process:
        until(lambda: any(path.name.endswith(".part") for path in out.iterdir()))
        process.kill()
        process.wait()
    assert (out / "t.csv").read_bytes() == b"before"
    assert Here(home, {})("export", out / "r.ndjson", "-o", out / "t.csv").code == 0
    assert not [path for path in out.iterdir() if path.name.endswith(".part")]
    assert len(table((out / "t.csv").read_bytes())) == 4000


def test_what_a_kill_left_in_the_temporary_folder_goes_with_the_next_run(home: Path, records: Path, out: Path) -> None:
    (out / "r.ndjson").write_bytes(b"".join(record(str(number), "a" * 100) for number in range(4000)))
    (out / "tmp").mkdir()
    program = Program(home, {"TMPDIR": str(out / "tmp")})
    with program.start("export", out / "r.ndjson", "-o", out / "t.sqlite") as process:
        until(lambda: any((out / "tmp").glob("*/rows.sqlite")))
        process.kill()
        process.wait()
    assert [*(out / "tmp").iterdir()]
    assert program("export", records, "-f", "csv").code == 0
    assert not [*(out / "tmp").iterdir()]


def test_a_locale_without_their_letters_spoils_no_name(home: Path, out: Path) -> None:
    (out / "r.json").write_bytes(record("1", result={"é": [{"ß": "x"}]}))
    program = Program(home, {"LC_ALL": "C", "PYTHONUTF8": "0", "PYTHONCOERCECLOCALE": "0"})
    words = ("--rows", "é[]", "--columns", "kind,ß", "-o", out / "ü.csv")
    assert program("export", out / "r.json", *words).code == 0
    assert (out / "ü.csv").read_text() == "kind,ß\né,x\n"


def test_a_table_never_stands_beside_the_description_of_another(
    bare: Program, records: Path, out: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    schema = out / "t.csv.schema.json"
    assert bare("export", records, "-o", out / "t.csv").code == 0
    before = schema.read_bytes()

    def killed(*_: Any) -> bytes:
        # the moment between the two
        assert not schema.exists()
        raise KeyboardInterrupt

    with monkeypatch.context() as patched:
        patched.setattr(tables, "schema_of", killed)
        assert bare("export", records / "9.json", "-o", out / "t.csv").code == 130
    assert not schema.exists()
    assert bare("export", records, "-o", out / "t.csv").code == 0
    assert schema.read_bytes() == before


@pytest.mark.parametrize("line", [("get", "cognite", "200"), ("batch", "download", "cognite", "--jobs", "-")])
def test_a_library_that_is_missing_is_told_of_before_anybody_is_asked(
    here: Program, sandbox: Sandbox, out: Path, monkeypatch: pytest.MonkeyPatch, line: tuple[str, ...]
) -> None:
    monkeypatch.setattr(parquet, "find_spec", lambda _: None)
    run = here(*line, "-o", out / "x" if line[0] == "batch" else out / "x.parquet", "-f", "parquet", stdin=b"200\n")
    assert run.code == 2
    assert "extra" in run.said
    assert (sandbox.asked(), [*out.iterdir()]) == ((), [])


# --- the same tables from get ---


def test_get_takes_every_format_and_its_options(here: Program, out: Path) -> None:
    for name in ("t.parquet", "t.sqlite", "t.csv.gz"):
        assert here("get", "cognite", "200", "-o", out / name).code == 0
        assert read(out / name)[0]["provider"] == "cognite"
    run = here("get", "cognite", "200", "-f", "csv", "--columns", "job_id,kind", "--delimiter", ";")
    assert run.out.splitlines()[0] == b"job_id;kind"
    run = here("get", "cognite", "200", "-f", "csv", "--rows", "items[]", "--columns", "kind")
    assert set(run.out.split()[1:]) == {b"items"}
