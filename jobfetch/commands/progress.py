"""How a batch is told of while it runs: counts, speed, the time that is left, and what it waits for."""

from __future__ import annotations

from collections.abc import Callable

from jobfetch.errors import Exit, JobfetchError
from jobfetch.fetch.plan import Books, Progress
from jobfetch.model import Outcome, Status
from jobfetch.ui import Ui

#: Seconds that the speed is taken over.
WINDOW = 30.0
#: Times that are remembered for it.
MOST_MARKS = 64


class Teller:
    """Turns what a run reports into lines, and hears of looks in its workers: of those it tells warnings only."""

    def __init__(self, ui: Ui, waits_for: Callable[[], str | None], clock: Callable[[], float]) -> None:
        self._ui = ui
        self._waits_for = waits_for
        self._clock = clock
        self._started = clock()
        self._marks: list[tuple[float, int]] = [(clock(), 0)]

    # --- in the thread that keeps the books ---

    def progressed(self, progress: Progress) -> None:
        """Show how far the run has come."""
        self._ui.progress(self.line(progress), progress.settled, progress.total)

    def settled(self, outcome: Outcome) -> None:
        """A job is through: told to those who want every one."""
        what = outcome.error.message if outcome.error else f"{outcome.state}"
        state = outcome.state and str(outcome.state)
        self._ui.detail(f"{outcome.job_id}: {what}", job_id=outcome.job_id, state=state, exit_code=int(outcome.exit))

    def passed(self, problem: JobfetchError) -> None:
        """Tell what else went wrong beside what the command ends with."""
        self._ui.warn(problem.message)

    def line(self, progress: Progress) -> str:
        """Counts, speed, time left, and what holds everything up."""
        speed = self._speed(progress.done + progress.failed)
        parts = [f"{progress.done} done"]
        parts += [f"{progress.skipped} before"] if progress.skipped else []
        parts += [f"{progress.failed} failed"] if progress.failed else []
        parts += [f"{progress.running} running"] if progress.running else []
        parts += [f"{speed:.1f}/s"] if speed else []
        if progress.total is not None and speed:
            parts.append(f"{clock_text((progress.total - progress.settled) / speed)} left")
        waits = self._waits_for()
        parts += [f"waits: {waits}"] if waits else []
        return ", ".join(parts)

    def ended(self, books: Books) -> None:
        """Tell of the whole run."""
        progress = books.progress
        self._ui.note(
            self.summary(books),
            fetched=progress.done,
            there_before=progress.skipped,
            failed=progress.failed,
            running=progress.running,
            bytes=progress.bytes,
        )

    def summary(self, books: Books) -> str:
        """The whole run in one line."""
        progress = books.progress
        jobs = f"{progress.settled} jobs: {progress.done} fetched ({size(progress.bytes)}), {progress.skipped} there before"
        jobs += f", {progress.failed} failed, {progress.running} still running"
        if progress.changed or progress.unchanged:
            jobs += f"; {progress.changed} changed, {progress.unchanged} unchanged"
        return f"{jobs}; {clock_text(self._clock() - self._started)}"

    def _speed(self, done: int) -> float:
        """Jobs a second over the last while."""
        now = self._clock()
        if now - self._marks[-1][0] >= WINDOW / MOST_MARKS:
            self._marks.append((now, done))
        while len(self._marks) > MOST_MARKS or (len(self._marks) > 1 and now - self._marks[0][0] > WINDOW):
            self._marks.pop(0)
        since, before = self._marks[0]
        return (done - before) / (now - since) if now - since > 1 else 0.0

    # --- in the workers ---

    def looked(self, job_id: str, status: Status, wait: float | None) -> None:  # noqa: ARG002 - what a watcher takes
        """A look came back."""
        for warning in status.warnings:
            self._ui.warn_once(warning, job_id=job_id)

    def failed(self, job_id: str, error: JobfetchError, wait: float) -> None:
        """A look failed and is made again."""
        if error.exit is not Exit.RUNNING:
            self._ui.detail(f"{job_id}: {error.message}; again in {wait:.0f} s", job_id=job_id)

    def stuck(self, job_id: str, status: Status, seconds: float) -> None:
        """Nothing has moved for a while: not within one look."""


def size(number: int) -> str:
    """Bytes for people."""
    value = float(number)
    for unit in ("B", "kB", "MB", "GB"):
        if value < 1000:  # noqa: PLR2004 - what a thousand is
            return f"{value:.0f} {unit}" if unit == "B" else f"{value:.1f} {unit}"
        value /= 1000
    return f"{value:.1f} TB"


def clock_text(seconds: float) -> str:
    """Hours, minutes and seconds for people."""
    whole = max(0, round(seconds))
    return f"{whole // 3600}:{whole // 60 % 60:02}:{whole % 60:02}"
