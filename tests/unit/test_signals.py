"""A signal ends the work wherever it falls, also where Python drops what its handler raises."""

import signal
import sys
import threading
import time
from collections.abc import Iterator
from pathlib import Path

import pytest

from jobfetch.commands.report import Common, Report, run
from jobfetch.signals import ENDING, imported
from jobfetch.ui import Ui


@pytest.fixture(autouse=True)
def _ctrl_c_is_heard() -> Iterator[None]:
    # a process that a shell started in the background ignores it
    before = signal.signal(signal.SIGINT, signal.default_int_handler)
    yield
    signal.signal(signal.SIGINT, before)


@pytest.mark.parametrize(("how", "code"), [(signal.SIGTERM, 143), (signal.SIGINT, 130)])
def test_a_signal_that_falls_into_a_finaliser_ends_the_run_all_the_same(how: signal.Signals, code: int) -> None:
    class Collected:
        def __del__(self) -> None:
            signal.raise_signal(how)

    def work(_: Ui, __: Report) -> None:
        Collected()
        ends = time.monotonic() + 60
        while time.monotonic() < ends:
            time.sleep(0.01)

    assert run(Common(json=False, quiet=True, verbose=0), work) == code


#: A module during whose import a signal comes, and is heard if that can be.
_INTERRUPTED = """
import os, signal
os.kill(os.getpid(), signal.{})
for _ in range(200_000): pass
whole = True
"""


@pytest.mark.parametrize(("how", "code"), [(signal.SIGTERM, 143), (signal.SIGINT, 130)])
def test_a_signal_cuts_no_import_in_two_and_is_heard_behind_it(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, how: signal.Signals, code: int
) -> None:
    name = f"interrupted_by_{how.name.lower()}"
    (tmp_path / f"{name}.py").write_text(_INTERRUPTED.format(how.name))
    monkeypatch.syspath_prepend(tmp_path)
    done: list[str] = []

    def work(_: Ui, __: Report) -> None:
        imported(name)
        time.sleep(60)
        done.append("behind")

    assert run(Common(json=False, quiet=True, verbose=0), work) == code
    # one that was cut in two is taken out again
    assert name in sys.modules
    assert imported(name).whole
    assert done == []


def test_an_import_aside_raises_what_the_import_raises() -> None:
    with pytest.raises(ModuleNotFoundError, match="jobfetch_has_no_such"):
        imported("jobfetch_has_no_such")


def test_two_signals_at_once_end_a_run_as_one_does(capfd: pytest.CaptureFixture[str]) -> None:
    def work(_: Ui, __: Report) -> None:
        before = signal.pthread_sigmask(signal.SIG_BLOCK, ENDING)
        for each in ENDING:
            signal.pthread_kill(threading.get_ident(), each)
        signal.pthread_sigmask(signal.SIG_SETMASK, before)
        time.sleep(60)

    # one that is ignored stays so, and whoever runs this may be
    before = {each: signal.signal(each, signal.SIG_DFL) for each in ENDING}
    try:
        assert run(Common(json=False, quiet=True, verbose=0), work) == 143
    finally:
        for each, how in before.items():
            signal.signal(each, how)
    assert "Traceback" not in capfd.readouterr().err
