"""How a batch is told of: counts, speed, time left, and what it waits for; a bar, or a line a minute."""

import io
from collections.abc import Callable
from typing import Any

import pytest

from jobfetch.commands.progress import Teller, size
from jobfetch.errors import StillRunning, Unavailable
from jobfetch.fetch.plan import Books, Progress
from jobfetch.fetch.workers import Stop, Workers
from jobfetch.ui import Ui


class Screen(io.StringIO):
    def isatty(self) -> bool:
        return True


@pytest.fixture
def clock() -> Any:
    class Clock:
        at = 0.0

        def __call__(self) -> float:
            return self.at

    return Clock()


def ui(stream: io.StringIO, clock: Callable[[], float], **more: Any) -> Ui:
    return Ui(**{"quiet": False, "verbose": 0, "environ": {}, "stream": stream, "clock": clock, **more})


def test_the_line_tells_counts_speed_time_left_and_what_is_waited_for(clock: Any) -> None:
    teller = Teller(ui(io.StringIO(), clock), lambda: "the rate limit", clock)
    clock.at = 10
    told = teller.line(Progress(done=40, failed=10, skipped=5, running=2, total=107))
    assert told == "40 done, 5 before, 10 failed, 2 running, 5.0/s, 0:00:10 left, waits: the rate limit"


def test_elsewhere_than_on_a_terminal_there_is_a_line_a_minute(clock: Any) -> None:
    stream = io.StringIO()
    teller = Teller(ui(stream, clock), lambda: None, clock)
    for clock.at in range(0, 200, 10):
        teller.progressed(Progress(done=int(clock.at), total=1000))
    assert len(stream.getvalue().splitlines()) == 3
    assert "of 1000 jobs" in stream.getvalue()


def test_on_a_terminal_there_is_a_bar_that_leaves(clock: Any) -> None:
    screen = Screen()
    shown = ui(screen, clock)
    teller = Teller(shown, lambda: None, clock)
    teller.progressed(Progress(done=1, failed=1, total=3))
    shown.note("[red]a line[/red] in between")
    teller.progressed(Progress(done=2, total=3))
    shown.stop()
    assert "2/3" in screen.getvalue()
    assert "2 done" in screen.getvalue()
    assert "[red]a line[/red] in between" in screen.getvalue()


def test_a_quiet_run_shows_nothing(clock: Any) -> None:
    screen = Screen()
    Teller(ui(screen, clock, quiet=True), lambda: None, clock).progressed(Progress(done=1))
    assert screen.getvalue() == ""


def test_the_summary_tells_changed_from_unchanged_where_it_was_looked_at(clock: Any) -> None:
    teller = Teller(ui(io.StringIO(), clock), lambda: None, clock)
    assert "unchanged" not in teller.summary(Books())
    assert "2 changed, 1 unchanged" in teller.summary(Books(progress=Progress(done=3, changed=2, unchanged=1)))


def test_looks_that_fail_are_told_to_those_who_asked_for_more(clock: Any) -> None:
    stream = io.StringIO()
    teller = Teller(ui(stream, clock, verbose=1), lambda: None, clock)
    teller.failed("a", Unavailable("down"), 3.0)
    teller.failed("b", StillRunning("runs"), 3.0)
    assert stream.getvalue() == "a: down; again in 3 s\n"


@pytest.mark.parametrize(
    ("number", "text"), [(0, "0 B"), (999, "999 B"), (1500, "1.5 kB"), (2.5e9, "2.5 GB"), (7e12, "7.0 TB")]
)
def test_sizes_are_for_people(number: float, text: str) -> None:
    assert size(int(number)) == text


# --- threads ---


def test_work_that_nobody_has_begun_comes_back_after_an_error_for_all() -> None:
    def fail() -> None:
        raise Unavailable("down")

    begun: list[int] = []
    with Workers(lambda came: came.error is not None, jobs=1) as workers:
        workers.give("jobs", fail)
        for number in range(5):
            workers.give("jobs", lambda number=number: begun.append(number))  # type: ignore[misc]
        came = []
        while workers.in_flight:
            came += workers.take(5.0)
    assert [type(each.error) for each in came if each.error] == [Unavailable]
    assert (begun, sum(each.left for each in came)) == ([], 5)


def test_a_wait_for_results_ends_when_somebody_wakes_it() -> None:
    with Workers(jobs=1) as workers:
        workers.wake()
        assert workers.take(60.0) == []


def test_a_stop_ends_a_sleep_and_says_by_which_signal_it_came_first() -> None:
    stop, woken = Stop(), []
    stop.wakes.append(lambda: woken.append(1))
    stop.sleep(0.0)
    stop.hear(terminated=True)
    stop.hear(terminated=False)
    stop.sleep(60.0)
    assert (stop.asked, woken) == (2, [1, 1])
    assert stop.error
    assert stop.error.message == "terminated"


def test_bytes_are_told_once_a_minute_where_no_terminal_is() -> None:
    stream, now = io.StringIO(), [0.0]
    ui = Ui(quiet=False, verbose=0, environ={}, stream=stream, clock=lambda: now[0])
    for second in range(0, 130, 10):
        now[0] = float(second)
        ui.transferred(f"{second} MB of 130 MB, 0:00:10 left", second, 130)
    assert stream.getvalue().splitlines() == ["60 MB of 130 MB, 0:00:10 left", "120 MB of 130 MB, 0:00:10 left"]
