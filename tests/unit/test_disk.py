"""Files that appear whole or not at all, under names that no job id can misuse."""

import contextlib
import errno
import hashlib
import io
import os
import stat
import subprocess
import sys
import tempfile
import threading
import time
from collections.abc import Iterator
from pathlib import Path
from typing import IO

import pytest
from hypothesis import given
from hypothesis import strategies as st

from jobfetch import disk
from jobfetch.disk import folder, replacing, safe_name
from jobfetch.errors import DiskError, Interrupted, ReaderGone
from jobfetch.export import to_stdout

IDS = st.text(min_size=1, max_size=300) | st.sampled_from(
    ["a", "A", "con", "CON", "a.", "a ", "..", "a/b", "a_b", "é", "É"]
)
RESERVED = [
    "con",
    "prn",
    "aux",
    "nul",
    "com1",
    "com0",
    "lpt9",
    "CON",
    "nul.txt",
    "con.tar.gz",
    "manifest",
    "rows",
    "failures",
]


# --- names ---


@pytest.mark.parametrize("job_id", ["123", "3f3e8675-ca69-46d7-aa34-96f90fcbb732", "a.b_c-d", "_x", "a" * 120])
def test_a_plain_id_is_its_own_name(job_id: str) -> None:
    assert safe_name(job_id) == job_id


@pytest.mark.parametrize("job_id", RESERVED)
def test_a_reserved_word_is_never_a_name(job_id: str) -> None:
    assert safe_name(job_id).casefold().partition(".")[0] not in {word.casefold() for word in RESERVED}


@pytest.mark.parametrize(
    "job_id", ["", ".", "..", "/", "../../etc/passwd", "a/b", "a\\b", ".hidden", "a:b", "-rf", "~", "a\x00b"]
)
def test_no_name_leads_anywhere(job_id: str) -> None:
    name = safe_name(job_id)
    assert Path(name).name == name
    assert name not in {"", ".", ".."}
    assert name[0] not in ".-~/"


@given(IDS, IDS)
def test_distinct_ids_have_distinct_names_whatever_the_case(one: str, other: str) -> None:
    if one != other:
        assert safe_name(one).casefold() != safe_name(other).casefold()


@given(IDS)
def test_every_name_is_fit_for_every_platform(job_id: str) -> None:
    name = safe_name(job_id)
    assert 0 < len(name) <= 120
    assert name.isascii()
    assert name.isprintable()
    assert not set(name) & set('/\\:*?"<>| ')
    assert not name.endswith((".", " "))


@given(IDS)
def test_a_name_is_the_same_every_time(job_id: str) -> None:
    assert safe_name(job_id) == safe_name(job_id)


def test_half_a_surrogate_pair_has_a_name_too() -> None:
    assert safe_name("a\ud800").isascii()


# --- whole or not at all ---


def put(path: Path, data: bytes = b"new") -> None:
    with replacing(path) as file:
        file.write(data)


def break_off(path: Path) -> None:
    """Write half of a file, then fail."""
    with replacing(path) as file:
        file.write(b"half")
        raise ZeroDivisionError


def test_a_file_appears_only_when_it_is_whole(tmp_path: Path) -> None:
    with replacing(tmp_path / "out") as file:
        file.write(b"new")
        file.flush()
        assert not (tmp_path / "out").exists()
    assert (tmp_path / "out").read_bytes() == b"new"


def test_nothing_is_left_beside_it(tmp_path: Path) -> None:
    put(tmp_path / "out")
    assert [path.name for path in tmp_path.iterdir()] == ["out"]


def test_an_old_file_stays_until_the_new_one_is_whole(tmp_path: Path) -> None:
    (tmp_path / "out").write_bytes(b"old")
    with replacing(tmp_path / "out") as file:
        file.write(b"new")
        assert (tmp_path / "out").read_bytes() == b"old"
    assert (tmp_path / "out").read_bytes() == b"new"


@pytest.mark.parametrize("old", [b"old", None], ids=["a file", "no file"])
def test_an_error_leaves_what_was_there_and_nothing_else(tmp_path: Path, old: bytes | None) -> None:
    if old is not None:
        (tmp_path / "out").write_bytes(old)
    with pytest.raises(ZeroDivisionError):
        break_off(tmp_path / "out")
    assert [path.read_bytes() for path in tmp_path.iterdir()] == ([] if old is None else [old])


def test_an_interrupt_leaves_what_was_there_and_nothing_else(tmp_path: Path) -> None:
    (tmp_path / "out").write_bytes(b"old")
    with pytest.raises(KeyboardInterrupt), replacing(tmp_path / "out"):
        raise KeyboardInterrupt
    assert [path.read_bytes() for path in tmp_path.iterdir()] == [b"old"]


def test_the_file_is_on_disk_before_it_gets_its_name(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    happened: list[str] = []
    replace = os.replace

    def note_replace(source: str, target: str) -> None:
        happened.append("replace")
        replace(source, target)

    monkeypatch.setattr(os, "fsync", lambda _: happened.append("fsync"))
    monkeypatch.setattr(os, "replace", note_replace)
    put(tmp_path / "out")
    # the file, its name, and its folder
    assert happened == ["fsync", "replace", "fsync"]


@pytest.fixture
def _umask() -> Iterator[None]:
    before = os.umask(0o027)
    yield
    os.umask(before)


@pytest.mark.usefixtures("_umask")
def test_a_new_file_follows_the_umask(tmp_path: Path) -> None:
    put(tmp_path / "out")
    assert stat.S_IMODE((tmp_path / "out").stat().st_mode) == 0o640


@pytest.mark.usefixtures("_umask")
@pytest.mark.parametrize("mode", [0o600, 0o644, 0o666])
def test_a_replaced_file_keeps_its_mode(tmp_path: Path, mode: int) -> None:
    (tmp_path / "out").touch()
    (tmp_path / "out").chmod(mode)
    put(tmp_path / "out")
    assert stat.S_IMODE((tmp_path / "out").stat().st_mode) == mode


def test_a_symbolic_link_is_followed_and_stays(tmp_path: Path) -> None:
    (tmp_path / "real").mkdir()
    (tmp_path / "link").symlink_to(tmp_path / "real" / "file")
    put(tmp_path / "link")
    assert (tmp_path / "link").is_symlink()
    assert (tmp_path / "real" / "file").read_bytes() == b"new"


def test_a_pipe_gets_the_bytes_and_stays_a_pipe(tmp_path: Path) -> None:
    pipe = tmp_path / "pipe"
    os.mkfifo(pipe)
    reader = os.open(pipe, os.O_RDONLY | os.O_NONBLOCK)
    try:
        put(pipe)
        assert os.read(reader, 100) == b"new"
    finally:
        os.close(reader)
    assert stat.S_ISFIFO(pipe.stat().st_mode)


def test_a_pipe_gets_nothing_of_a_file_that_never_became_whole(tmp_path: Path) -> None:
    pipe = tmp_path / "pipe"
    os.mkfifo(pipe)
    reader = os.open(pipe, os.O_RDONLY | os.O_NONBLOCK)
    try:
        with pytest.raises(ZeroDivisionError):
            break_off(pipe)
        assert os.read(reader, 100) == b""
    finally:
        os.close(reader)


@pytest.mark.parametrize("name", ["a" * 255, "报" * 85, "é" * 127], ids=["ascii", "three bytes", "two bytes"])
def test_the_longest_names_can_be_written(tmp_path: Path, name: str) -> None:
    put(tmp_path / name)
    assert (tmp_path / name).read_bytes() == b"new"


# --- what killed runs left ---


def leftover(path: Path, pid: int) -> Path:
    """A temporary file of the same name, as a process with this id would have left it."""
    left = path.parent / f"{disk._prefix(path.name)}{pid}.0badcafe.part"
    left.touch()
    return left


@pytest.fixture
def dead() -> int:
    """The id of a process that has ended."""
    with subprocess.Popen([sys.executable, "-c", ""]) as process:
        process.wait()
    return process.pid


def test_what_a_dead_process_left_is_removed(tmp_path: Path, dead: int) -> None:
    left = leftover(tmp_path / "out", dead)
    put(tmp_path / "out")
    assert not left.exists()


@pytest.mark.parametrize("pid", [os.getpid(), os.getppid(), 1], ids=["ours", "parent", "of somebody else"])
def test_what_a_living_process_writes_is_left_alone(tmp_path: Path, pid: int) -> None:
    left = leftover(tmp_path / "out", pid)
    put(tmp_path / "out")
    assert left.exists()


def test_what_is_older_than_this_process_is_not_its_own_whatever_id_it_bears(tmp_path: Path) -> None:
    left = leftover(tmp_path / "out", os.getpid())
    os.utime(left, (1, 1))
    put(tmp_path / "out")
    assert not left.exists()


def test_who_has_no_claim_any_more_puts_nothing_in_its_place(tmp_path: Path) -> None:
    claim = disk.Claim()
    disk.place(tmp_path / "1", [b"before"], claim)

    def late() -> Iterator[bytes]:
        claim.end()
        yield b"late"

    with pytest.raises(Interrupted):
        disk.place(tmp_path / "1", late(), claim)
    assert [(each.name, each.read_bytes()) for each in tmp_path.iterdir()] == [("1", b"before")]


def test_a_claim_has_ended_once_what_was_going_to_its_place_is_there() -> None:
    claim = disk.Claim()
    ending = threading.Thread(target=claim.end)

    def use_for_ever() -> None:
        while True:
            with claim:
                pass

    with claim:
        ending.start()
        with pytest.raises(Interrupted):
            use_for_ever()
        assert ending.is_alive()
    ending.join(60)
    assert not ending.is_alive()


def test_a_folder_is_swept_with_those_in_it_that_are_named(tmp_path: Path, dead: int) -> None:
    (tmp_path / "a.assets").mkdir()
    (tmp_path / "mine").mkdir()
    (tmp_path / "link.assets").symlink_to(tmp_path / "mine")
    places = (tmp_path, tmp_path / "a.assets", tmp_path / "mine")
    left = [leftover(place / "1", pid) for place in places for pid in (dead, os.getpid(), os.getppid())]
    disk.sweep(tmp_path, ".assets")
    assert [each for each in left if each.exists()] == [left[2], left[5], *left[6:]]


@pytest.mark.parametrize(("age", "stays"), [(3600, True), (2 * 24 * 3600, False)])
def test_what_another_machine_left_in_a_folder_is_removed_after_a_day(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, *, age: int, stays: bool
) -> None:
    with monkeypatch.context() as elsewhere:
        elsewhere.setattr(disk, "_host", lambda: "c0ffee")
        left = leftover(tmp_path / "1", os.getpid())
    mine = tmp_path / ".mine.part"
    mine.touch()
    for each in (left, mine):
        os.utime(each, (time.time() - age,) * 2)
    disk.sweep(tmp_path)
    assert (left.exists(), mine.exists()) == (stays, True)


def test_what_belongs_to_another_file_is_left_alone(tmp_path: Path, dead: int) -> None:
    left = leftover(tmp_path / "other", dead)
    put(tmp_path / "out")
    assert left.exists()


def test_what_another_machine_left_is_left_alone(tmp_path: Path, dead: int, monkeypatch: pytest.MonkeyPatch) -> None:
    with monkeypatch.context() as elsewhere:
        elsewhere.setattr(disk, "_host", lambda: "c0ffee")
        left = leftover(tmp_path / "out", dead)
    put(tmp_path / "out")
    assert left.exists()


def test_the_scratch_folder_of_a_dead_process_is_removed(
    tmp_path: Path, dead: int, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(tempfile, "tempdir", str(tmp_path))
    with disk.scratch() as ours, disk.scratch() as other:
        (ours / "0").touch()
        left = ours.rename(tmp_path / ours.name.replace(str(os.getpid()), str(dead)))
        others = [tmp_path / "jobfetch.else", tmp_path / f"jobfetch.c0ffee.{dead}.x", tmp_path / f"x.{dead}"]
        for each in others:
            each.mkdir()
        with disk.scratch():
            assert [left.exists(), other.exists(), *(each.exists() for each in others)] == [False, True, *[True] * 3]
    assert sorted(tmp_path.iterdir()) == sorted(others)


@pytest.mark.parametrize("name", ["x.part", ".out.part", ".out.abcdef.notanumber.x.part", ".out.abcdef.99999999.x.tmp"])
def test_a_file_of_somebody_else_is_left_alone(tmp_path: Path, name: str) -> None:
    (tmp_path / name).touch()
    put(tmp_path / "out")
    assert (tmp_path / name).exists()


@pytest.mark.parametrize(
    ("path", "word"), [("a b", "'a b'"), ("-out/b", "./-out/b"), ("out", "out"), ("-a b", "'./-a b'")]
)
def test_a_path_is_typed_as_one_word_that_is_no_option(path: str, word: str) -> None:
    assert disk.typed(Path(path)) == word


# --- local disks ---


def test_a_folder_that_is_not_there_is_a_disk_error_that_says_what_to_do(tmp_path: Path) -> None:
    with pytest.raises(DiskError, match="nowhere") as caught:
        put(tmp_path / "nowhere" / "out")
    assert "make the folder first" in (caught.value.hint or "")


def test_a_folder_in_place_of_the_file_is_a_disk_error(tmp_path: Path) -> None:
    with pytest.raises(DiskError):
        put(tmp_path)


def test_a_file_in_place_of_a_folder_is_a_disk_error(tmp_path: Path) -> None:
    (tmp_path / "file").touch()
    with pytest.raises(DiskError):
        put(tmp_path / "file" / "out")
    with pytest.raises(DiskError):
        folder(tmp_path / "file")


@pytest.mark.parametrize("number", [errno.ENOSPC, errno.EROFS, errno.EACCES, errno.EDQUOT, errno.EIO])
def test_a_disk_that_fails_while_writing_is_a_disk_error_and_leaves_nothing(tmp_path: Path, number: int) -> None:
    def write() -> None:
        with replacing(tmp_path / "out"):
            raise OSError(number, os.strerror(number))

    with pytest.raises(DiskError, match=os.strerror(number)) as caught:
        write()
    assert caught.value.hint
    assert list(tmp_path.iterdir()) == []


def test_folders_are_made_with_their_parents(tmp_path: Path) -> None:
    assert folder(tmp_path / "a" / "b").is_dir()
    assert folder(tmp_path / "a" / "b").is_dir()


# --- standard output ---


class Stdout:
    """Standard output whose writes end in an error."""

    def __init__(self, buffer: IO[bytes], device: Path) -> None:
        self.buffer = buffer
        self._file = device.open("wb")

    def fileno(self) -> int:
        return self._file.fileno()

    def close(self) -> None:
        self._file.close()


class Failing(io.BytesIO):
    def __init__(self, number: int) -> None:
        super().__init__()
        self._number = number

    def write(self, data: object) -> int:
        raise OSError(self._number, os.strerror(self._number))


@pytest.mark.parametrize("data", [b"bytes", io.BytesIO(b"a file")], ids=["bytes", "file"])
@pytest.mark.parametrize(("number", "error"), [(errno.EPIPE, ReaderGone), (errno.ENOSPC, DiskError)])
def test_standard_output_may_go_away_or_be_full(
    tmp_path: Path,
    monkeypatch: pytest.MonkeyPatch,
    data: bytes | io.BytesIO,
    number: int,
    error: type[Exception],
) -> None:
    with contextlib.closing(Stdout(Failing(number), tmp_path / "device")) as stdout:
        monkeypatch.setattr(sys, "stdout", stdout)
        with pytest.raises(error):
            to_stdout(data)


def test_a_file_goes_to_standard_output_from_its_start(capfdbinary: pytest.CaptureFixture[bytes]) -> None:
    spool = io.BytesIO(b"whole")
    spool.read()
    to_stdout(spool)
    to_stdout(b" and more")
    assert capfdbinary.readouterr().out == b"whole and more"


def test_a_private_file_is_never_open_to_others(tmp_path: Path) -> None:
    path = tmp_path / "secret"
    path.write_bytes(b"old")
    path.chmod(0o644)
    with replacing(path, private=True) as file:
        [temporary] = [each for each in tmp_path.iterdir() if each != path]
        assert temporary.stat().st_mode & 0o777 == 0o600
        file.write(b"new")
    assert (path.read_bytes(), path.stat().st_mode & 0o777) == (b"new", 0o600)


def test_a_private_folder_is_for_its_owner_alone(tmp_path: Path) -> None:
    before = os.umask(0)
    try:
        inner = folder(tmp_path / "a" / "b", private=True)
    finally:
        os.umask(before)
    assert {each.stat().st_mode & 0o777 for each in (inner, inner.parent)} == {0o700}


def test_ids_that_were_chosen_to_look_alike_have_names_of_their_own() -> None:
    # the first 48 bits of their hashes are the same
    assert disk.safe_name("job*+$!=*&&x") != disk.safe_name("job=*,,,$,,x")


# --- hashes ---


@pytest.mark.parametrize("length", [0, 1, disk.CHUNK // 4, 2 * disk.CHUNK + 1])
def test_a_digest_is_that_of_the_whole_file(tmp_path: Path, length: int) -> None:
    data = os.urandom(length)
    (tmp_path / "file").write_bytes(data)
    assert disk.digest(tmp_path / "file") == (length, hashlib.sha256(data).hexdigest())


def test_a_digest_that_nobody_waits_for_is_given_up_midway(tmp_path: Path) -> None:
    (tmp_path / "file").write_bytes(bytes(2 * disk.CHUNK))
    checks = iter([None, Interrupted("enough")])

    def check() -> None:
        if error := next(checks):
            raise error

    with pytest.raises(Interrupted):
        disk.digest(tmp_path / "file", check)
    assert next(checks, "none left") == "none left"


def test_nothing_is_begun_in_a_folder_that_was_let_go_of(tmp_path: Path) -> None:
    claim = disk.Claim()
    claim.end()

    def pieces() -> Iterator[bytes]:
        raise AssertionError("a file was begun")
        yield b""

    with pytest.raises(Interrupted):
        disk.place(tmp_path / "file", pieces(), claim)
    assert list(tmp_path.iterdir()) == []
