"""The manifest: appended, synced, cut where it is torn, refused where it is somebody else's; and the ids in a file."""

import json
import os
from collections.abc import Callable
from pathlib import Path
from typing import Any

import msgspec
import pytest

from jobfetch import jobids
from jobfetch.errors import BadReply, ConfigError, DiskError, Exit, NotFound, Partial, StillRunning, UsageError
from jobfetch.manifest import LINKS_LOST, Entry, Header, Linked, Manifest, Problem, problem
from jobfetch.model import State, StoredAsset, encode

HEADER = Header(
    schema="jobfetch.manifest/1", provider="acme", params={"project": "p"}, profile=None, format="json", origin="0f"
)


def entry(job_id: str, **changes: Any) -> Entry:
    usual = {"state": State.SUCCEEDED, "file": f"{job_id}.json", "bytes": 2, "sha256": "x", "error": None}
    return Entry(**{"job_id": job_id, **usual, "attempts": 1, "at": "2026-01-01T00:00:00.000Z", **changes})


@pytest.fixture
def begin(tmp_path: Path) -> Callable[..., Manifest]:
    return lambda header=HEADER: Manifest.begin(tmp_path, header)


def test_lines_have_the_promised_keys_in_order(begin: Callable[..., Manifest], tmp_path: Path) -> None:
    with begin() as manifest:
        manifest.add([entry("a"), entry("b", state=None, error=problem(NotFound("no")))])
    first, *lines = map(json.loads, (tmp_path / "manifest.jsonl").read_text().splitlines())
    assert list(first) == ["schema", "provider", "params", "profile", "format", "origin"]
    assert [list(line) for line in lines] == [
        ["job_id", "state", "file", "bytes", "sha256", "error", "attempts", "at"]
    ] * 2
    assert lines[1]["error"] == {"exit_code": 5, "code": "not_found", "message": "no"}


def test_the_last_line_of_a_job_counts(begin: Callable[..., Manifest]) -> None:
    with begin() as manifest:
        manifest.add([entry("a", state=State.RUNNING), entry("b")])
        manifest.add([entry("a")])
        assert manifest.last("a") == entry("a")
    with begin() as manifest:
        assert [each.job_id for each in manifest.entries()] == ["b", "a"]
        assert (len(manifest), manifest.last("c")) == (2, None)


@pytest.mark.parametrize("torn", [b"{", b'{"job_id":"b"', b"\x00" * 5])
def test_a_torn_last_line_is_cut_off_before_anything_is_appended(
    begin: Callable[..., Manifest], tmp_path: Path, torn: bytes
) -> None:
    with begin() as manifest:
        manifest.add([entry("a")])
    file = tmp_path / "manifest.jsonl"
    whole = file.read_bytes()
    file.write_bytes(whole + torn)
    read = Manifest.read(tmp_path)
    assert read is not None
    with read as manifest:
        assert len(manifest) == 1
    assert file.read_bytes() == whole + torn
    with begin() as manifest:
        manifest.add([entry("c")])
    assert file.read_bytes() == whole + file.read_bytes()[len(whole) :]
    assert json.loads(file.read_bytes()[len(whole) :])["job_id"] == "c"


def test_a_line_in_the_middle_that_nobody_can_read_costs_that_job_alone(
    begin: Callable[..., Manifest], tmp_path: Path
) -> None:
    with begin() as manifest:
        manifest.add([entry("a")])
    with (tmp_path / "manifest.jsonl").open("ab") as file:
        file.write(b"not json\n" + encode(entry("b")).replace(b"succeeded", b"unheard") + b"\n")
    with begin() as manifest:
        manifest.add([entry("c")])
        assert manifest.unreadable == 2
        assert len(manifest) == 2
        assert [each.job_id for each in manifest.entries()] == ["a", "c"]


def test_a_line_that_nobody_can_read_hides_no_earlier_one(begin: Callable[..., Manifest], tmp_path: Path) -> None:
    with begin() as manifest:
        manifest.add([entry("a")])
    with (tmp_path / "manifest.jsonl").open("ab") as file:
        file.write(encode(entry("a")).replace(b"succeeded", b"unheard") + b"\n")
    with begin() as manifest:
        assert (manifest.unreadable, manifest.last("a")) == (1, entry("a"))


def test_a_manifest_that_was_moved_away_takes_no_more_lines(begin: Callable[..., Manifest], tmp_path: Path) -> None:
    path = tmp_path / "manifest.jsonl"
    with begin() as manifest:
        manifest.add([entry("a")])
        before = path.read_bytes()
        for there_again in (False, True):
            path.rename(tmp_path / "elsewhere")
            if there_again:
                path.write_bytes(before)
            with pytest.raises(DiskError, match="removed or moved"):
                manifest.add([entry("b")])
            assert (tmp_path / "elsewhere").read_bytes() == before
            (tmp_path / "elsewhere").rename(path)
        manifest.add([entry("b")])


@pytest.mark.parametrize(
    "change",
    [{"provider": "other"}, {"params": {"project": "q"}}, {"params": {}}, {"origin": "1f"}, {"format": "raw"}],
)
def test_the_folder_of_another_run_is_refused_and_left_alone(
    begin: Callable[..., Manifest], tmp_path: Path, change: dict[str, Any]
) -> None:
    begin().__exit__()
    before = (tmp_path / "manifest.jsonl").read_bytes()
    with pytest.raises(UsageError, match="another run"):
        begin(msgspec.structs.replace(HEADER, **change))
    assert (tmp_path / "manifest.jsonl").read_bytes() == before


@pytest.mark.parametrize("change", [{"format": "csv"}, {"profile": "work"}])
def test_what_gives_the_same_jobs_is_the_same_folder(begin: Callable[..., Manifest], change: dict[str, Any]) -> None:
    begin().__exit__()
    with begin(msgspec.structs.replace(HEADER, **change)) as manifest:
        assert manifest.header == HEADER


def test_a_file_that_is_no_manifest_is_not_taken_for_one(begin: Callable[..., Manifest], tmp_path: Path) -> None:
    (tmp_path / "manifest.jsonl").write_text("mine\n")
    with pytest.raises(ConfigError):
        begin()
    with pytest.raises(ConfigError):
        Manifest.read(tmp_path)
    assert (tmp_path / "manifest.jsonl").read_text() == "mine\n"
    with pytest.raises(UsageError):
        Manifest.read(tmp_path / "nowhere")


def test_lines_that_could_not_be_synced_are_not_there(
    begin: Callable[..., Manifest], tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    def full(_: int) -> None:
        raise OSError(28, "No space left on device")

    with begin() as manifest:
        manifest.add([entry("a")])
        whole = (tmp_path / "manifest.jsonl").read_bytes()
        with monkeypatch.context() as patch:
            patch.setattr(os, "fsync", full)
            with pytest.raises(DiskError):
                manifest.add([entry("b")])
        assert (tmp_path / "manifest.jsonl").read_bytes() == whole
        assert manifest.last("b") is None
        manifest.add([entry("c")])
        assert manifest.last("c")


@pytest.mark.parametrize(
    ("error", "done"),
    [(None, True), (NotFound("x"), False), (BadReply("x"), False), (Partial("x"), True)],
)
def test_whether_a_job_is_asked_for_again(error: Any, done: bool) -> None:
    assert entry("a", error=problem(error)).done is done


def test_a_job_whose_linked_files_were_lost_is_asked_for_again() -> None:
    lost = [StoredAsset(path="mask", file=None, bytes=None, sha256=None, error="HTTP 404")]
    for error in (Partial("x"), None):
        said = problem(error, linked=lost)
        assert said
        assert (said.code, entry("a", error=said).done) == (LINKS_LOST, False)


@pytest.mark.parametrize(
    "file", ["../out", "a.assets/../../out", "a.assets/x/y", "b.assets/1.png", "a.assets/", "/out", "a.assets/.x"]
)
def test_a_linked_file_of_a_strange_name_is_none_of_the_job(tmp_path: Path, file: str) -> None:
    (tmp_path / "a.json").write_bytes(b"{}")
    (tmp_path / "a.assets" / "x").mkdir(parents=True)
    for place in (tmp_path.parent / "out", tmp_path / "a.assets" / "x" / "y", tmp_path / "a.assets" / ".x"):
        place.write_bytes(b"{}")
    linked = Linked(file=file, bytes=2, sha256="x")
    assert "no name" in (entry("a", assets=(linked,)).difference(tmp_path) or "")


def test_a_job_that_runs_is_no_error() -> None:
    assert problem(StillRunning("x")) is None
    assert entry("a", state=State.RUNNING).exit is Exit.RUNNING
    assert entry("a", state=None).exit is Exit.RUNNING


def test_no_address_is_written_down() -> None:
    said = problem(BadReply("https://user:pw@api.example.com/a?sig=1 is bad, see http://x.example.", code="s3://b/c"))
    assert said
    assert (said.message, said.code) == ("the server is bad, see the server.", "(address)")
    bare = problem(BadReply("asked (x.example/a?sig=1) for it"))
    assert bare
    assert bare.message == "asked the server for it"


@pytest.mark.parametrize("word", ["a", "a.", "http://", "?", "a?"])
def test_a_message_of_any_length_is_written_down_at_once_and_shortened(word: str) -> None:
    said = problem(BadReply(word * 200_000))
    assert said
    assert len(said.message) < 5000


def test_a_file_is_intact_by_its_size_and_by_its_hash(tmp_path: Path) -> None:
    whole = entry("a", sha256="44136fa355b3678a1146ad16f7e8649e94fb4fc21fe77e8310c060f61caaff8a")
    (tmp_path / "a.json").write_text("{}")
    assert whole.intact(tmp_path, verify=True)
    (tmp_path / "a.json").write_text("[]")
    assert (whole.intact(tmp_path), whole.intact(tmp_path, verify=True)) == (True, False)
    (tmp_path / "a.json").write_text("{ }")
    assert not whole.intact(tmp_path)
    (tmp_path / "a.json").unlink()
    assert not whole.intact(tmp_path)


def test_a_job_that_is_said_to_be_there_without_a_file_is_not(tmp_path: Path) -> None:
    nothing = {"file": None, "bytes": None, "sha256": None}
    assert not entry("a", **nothing).intact(tmp_path)
    for lost in (NotFound("no"), BadReply("no")):
        assert entry("a", state=None, error=problem(lost), **nothing).intact(tmp_path)
    assert entry("a", state=State.RUNNING, **nothing).intact(tmp_path)


@pytest.mark.parametrize("name", ["../a.json", "b.json", "/etc/passwd"])
def test_a_manifest_names_no_file_that_is_not_the_jobs_own(tmp_path: Path, name: str) -> None:
    place = tmp_path / "in"
    place.mkdir()
    for each in (tmp_path / "a.json", place / "b.json"):
        each.write_text("{}")
    assert not entry("a", file=name).intact(place)


# --- ids in a file ---


@pytest.mark.parametrize(
    ("lines", "key", "found"),
    [
        ([], None, []),
        (["a\n", "\n", " b \r\n", "#c"], None, ["a", "#c", "b"]),
        (["job_id\n", "a\n"], None, ["a"]),
        (["name,id\n", 'x,"a,b"\n'], None, ["a,b"]),
        (["name,id\n", "x,a\n"], "name", ["x"]),
        (['{"job_id":"a","id":"z"}\n', '{"id":7}\n'], None, ["7", "a"]),
        (['{"x":"a"}\n'], "x", ["a"]),
        (["a,b\n"], None, ["a,b"]),
    ],
)
def test_ids_are_found_in_every_shape(lines: list[str], key: str | None, found: list[str]) -> None:
    assert sorted(jobids.ids(lines, "here", key)) == sorted(found)


@pytest.mark.parametrize(
    ("lines", "key", "what"),
    [
        (['{"job_id":"a"}\n', "{\n"], None, "here line 2 is not JSON"),
        (['{"name":"a"}\n'], None, "here line 1 has no job_id or id"),
        (['{"job_id":true}\n'], None, "line 1 has no"),
        (["name,id\n"], "x", "no column 'x'"),
        (["name,id\n", "a,\n"], None, "line 2 has nothing"),
        (["name,id\n", 'a,"b\n'], None, "no CSV"),
    ],
)
def test_a_line_without_an_id_is_named(lines: list[str], key: str | None, what: str) -> None:
    with pytest.raises(UsageError, match=what):
        list(jobids.ids(lines, "here", key))


def test_a_file_of_ids_is_read_as_utf8_or_refused(tmp_path: Path) -> None:
    file = tmp_path / "ids"
    file.write_bytes("\ufeffä\n".encode())
    assert list(jobids.Ids(str(file))) == ["ä"]
    file.write_bytes(b"a\n\xff\n")
    with pytest.raises(UsageError, match="line 2 is not UTF-8"):
        list(jobids.Ids(str(file)))
    with pytest.raises(UsageError, match="No such file"):
        list(jobids.Ids(str(tmp_path / "none")))


@pytest.mark.parametrize("code", [9, 99, -1])
def test_a_code_that_is_not_known_is_worth_another_try(code: int) -> None:
    error = Problem(exit_code=code, code="later", message="of a later version")
    entry = Entry(job_id="1", state=None, file=None, bytes=None, sha256=None, error=error, attempts=1, at="")
    assert entry.exit is Exit.UNAVAILABLE
    assert not entry.done
