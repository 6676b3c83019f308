"""Locks between processes: one holds it, the others are told who; a dead one holds nothing."""

import contextlib
import subprocess
import sys
from collections.abc import Callable, Iterator
from pathlib import Path

import pytest

from jobfetch import locks
from jobfetch.errors import DiskError, FolderLocked
from jobfetch.locks import locked

HOLDER = """
import sys, time
from pathlib import Path
from jobfetch.locks import locked
with locked(Path(sys.argv[1]), 0.0):
    print("held", flush=True)
    sys.stdin.read()
"""


@contextlib.contextmanager
def held_by_another(path: Path) -> Iterator[subprocess.Popen[bytes]]:
    """A lock that another process holds until its standard input is closed."""
    line = [sys.executable, "-c", HOLDER, str(path)]
    with subprocess.Popen(line, stdin=subprocess.PIPE, stdout=subprocess.PIPE) as process:
        assert process.stdout is not None
        assert process.stdout.readline() == b"held\n"
        yield process
        process.kill()


def test_a_lock_keeps_every_other_process_out_and_names_it(tmp_path: Path) -> None:
    with (
        held_by_another(tmp_path / "lock") as process,
        pytest.raises(FolderLocked, match=f"process {process.pid} on ") as caught,
        locked(tmp_path / "lock", 0.0),
    ):
        pass
    assert caught.value.exit == 13


def test_a_dead_process_holds_nothing(tmp_path: Path) -> None:
    with held_by_another(tmp_path / "lock") as process:
        process.kill()
        process.wait()
        with locked(tmp_path / "lock", 0.0):
            pass


def test_a_lock_is_gone_afterwards(tmp_path: Path) -> None:
    with locked(tmp_path / "lock", 0.0):
        assert (tmp_path / "lock").exists()
    assert list(tmp_path.iterdir()) == []


def test_one_waits_for_a_lock_no_longer_than_told(tmp_path: Path) -> None:
    slept: list[float] = []
    now = iter(range(100))
    with (
        held_by_another(tmp_path / "lock"),
        pytest.raises(FolderLocked),
        locked(tmp_path / "lock", 3.0, clock=lambda: float(next(now)), sleep=slept.append),
    ):
        pass
    assert slept == [locks._LOCK_PAUSE]


def test_a_lock_that_was_removed_under_our_hands_keeps_nobody_out(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    same, stale = locks._same_file, iter([False, True])
    monkeypatch.setattr(locks, "_same_file", lambda *arguments: next(stale) and same(*arguments))
    with locked(tmp_path / "lock", 0.0):
        assert next(stale, "looked twice") == "looked twice"


def test_a_lock_in_a_folder_that_is_not_there_is_a_matter_of_the_disk(tmp_path: Path) -> None:
    with pytest.raises(DiskError), locked(tmp_path / "nowhere" / "lock", 0.0):
        pass


@pytest.mark.parametrize("link", [Path.symlink_to, Path.hardlink_to])
def test_a_lock_never_writes_into_what_has_another_name(tmp_path: Path, link: Callable[[Path, Path], None]) -> None:
    (tmp_path / "precious").write_text("precious")
    link(tmp_path / "lock", tmp_path / "precious")
    with pytest.raises(DiskError), locked(tmp_path / "lock", 0.0):
        pass
    assert (tmp_path / "precious").read_text() == "precious"
