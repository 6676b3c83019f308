"""When a job is looked at again: one loop, a fake clock, no network."""

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, field
from datetime import UTC, datetime, timedelta
from typing import Any

import pytest

from jobfetch.errors import BadReply, CutReply, Exit, JobfetchError, NotFound, StillRunning, Unavailable
from jobfetch.model import Deadline, Reply, State, Status
from jobfetch.poll import until_ended
from jobfetch.spec import Schedule

NOW = datetime(2026, 1, 1, tzinfo=UTC)
SCHEDULE = Schedule(start=2.0, factor=2.0, cap=10.0, jitter=0.0, gap=0.0, stuck_after=1e9)

#: What one look brings, and what a job ends with.
Look = Status | JobfetchError


def status(word: str = "running", *, retry_after: float | None = None, progress: float | None = None) -> Status:
    states = {"running": State.RUNNING, "queued": State.QUEUED, "done": State.SUCCEEDED, "failed": State.FAILED}
    return Status(
        state=states[word],
        provider_state=word,
        reply=Reply(200, {}, b"{}"),
        retry_after=retry_after,
        progress=progress,
    )


RUNNING, DONE, FAILED = status(), status("done"), status("failed")
AWAY = Unavailable("nobody there")


@dataclass
class World:
    """Time that passes only by sleeping, and everything that was heard."""

    time: float = 1000.0
    sleeps: list[float] = field(default_factory=list)
    looks: list[tuple[str, float]] = field(default_factory=list)
    waits: list[float | None] = field(default_factory=list)
    failures: list[tuple[str, float]] = field(default_factory=list)
    stuck_for: list[float] = field(default_factory=list)

    def clock(self) -> float:
        return self.time

    def sleep(self, seconds: float) -> None:
        assert seconds >= 0
        self.sleeps.append(seconds)
        self.time += seconds

    def looked(self, job_id: str, status: Status, wait: float | None) -> None:
        self.waits.append(wait)

    def failed(self, job_id: str, error: JobfetchError, wait: float) -> None:
        self.failures.append((job_id, wait))

    def stuck(self, job_id: str, status: Status, seconds: float) -> None:
        self.stuck_for.append(seconds)

    def look_at(self, job_id: str, answers: Sequence[Look]) -> Callable[[], Status]:
        """Give one answer after the other, the last one for ever."""
        left = list(answers)

        def look() -> Status:
            self.looks.append((job_id, self.time - 1000.0))
            answer = left.pop(0) if len(left) > 1 else left[0]
            if isinstance(answer, JobfetchError):
                raise answer
            return answer

        return look

    def watch(
        self,
        jobs: Mapping[str, Sequence[Look]] | Sequence[Look],
        *,
        schedule: Schedule = SCHEDULE,
        seconds: float = 3600.0,
        wait: bool = True,
        jitter: Callable[[float, float], float] = lambda low, high: (low + high) / 2,
    ) -> list[tuple[str, Look]]:
        many: Mapping[str, Sequence[Look]] = jobs if isinstance(jobs, Mapping) else {"a": jobs}
        ended = until_ended(
            {job_id: self.look_at(job_id, answers) for job_id, answers in many.items()},
            schedule,
            Deadline(self.time + seconds, self.clock),
            wait=wait,
            watcher=self,
            sleep=self.sleep,
            jitter=jitter,
            now=lambda: NOW + timedelta(seconds=self.time - 1000.0),
        )
        return [(job_id, look) for job_id, how in ended if (look := how.error or how.status)]

    @property
    def times(self) -> list[float]:
        return [time for _, time in self.looks]


@pytest.fixture
def world() -> World:
    return World()


def still_running(ended: list[tuple[str, Look]]) -> StillRunning:
    [(_, error)] = ended
    assert isinstance(error, StillRunning)
    assert error.exit is Exit.RUNNING
    return error


def test_the_first_look_comes_at_once(world: World) -> None:
    assert world.watch([DONE]) == [("a", DONE)]
    assert world.sleeps == []


def test_each_wait_is_longer_than_the_one_before_up_to_the_cap(world: World) -> None:
    world.watch([RUNNING] * 6 + [DONE])
    assert world.sleeps == [2.0, 4.0, 8.0, 10.0, 10.0, 10.0]


def test_jitter_varies_every_wait_by_its_share(world: World) -> None:
    asked: list[tuple[float, float]] = []

    def jitter(low: float, high: float) -> float:
        asked.append((low, high))
        return high

    world.watch(
        [RUNNING, RUNNING, DONE], schedule=Schedule(start=10.0, factor=1.0, cap=10.0, jitter=0.2, gap=0), jitter=jitter
    )
    assert asked == [(0.8, 1.2)] * 2
    assert world.sleeps == [12.0, 12.0]


def test_a_hint_longer_than_the_schedule_is_obeyed(world: World) -> None:
    world.watch([status(retry_after=60.0), DONE])
    assert world.times == [0.0, 60.0]


def test_a_hint_is_never_undercut_by_jitter(world: World) -> None:
    world.watch([status(retry_after=5.0), DONE], schedule=Schedule(jitter=0.9, gap=0), jitter=lambda low, high: low)
    assert world.times == [0.0, 5.0]


def test_a_hint_shorter_than_the_schedule_does_not_hurry_us(world: World) -> None:
    world.watch([status(retry_after=0.5), DONE])
    assert world.times == [0.0, 2.0]


def test_a_hint_counts_for_one_wait_only(world: World) -> None:
    world.watch([status(retry_after=60.0), RUNNING, DONE])
    assert world.sleeps == [60.0, 4.0]


def test_a_hint_beyond_the_deadline_ends_the_wait_at_once(world: World) -> None:
    error = still_running(world.watch([status(retry_after=7200.0), DONE], seconds=3600.0))
    assert world.sleeps == []
    assert error.retry_at == NOW + timedelta(hours=2)


def test_a_hint_that_ends_with_the_deadline_ends_the_wait_at_once(world: World) -> None:
    still_running(world.watch([status(retry_after=60.0), DONE], seconds=60.0))
    assert world.sleeps == []


def test_a_hint_is_not_undercut_by_the_last_look_before_the_deadline(world: World) -> None:
    world.watch([status(retry_after=59.0), DONE], seconds=60.0, schedule=Schedule(start=100.0, jitter=0.0, gap=0))
    assert world.times == [0.0, 59.0]


def test_one_last_look_comes_shortly_before_the_deadline(world: World) -> None:
    error = still_running(
        world.watch([RUNNING], seconds=100.0, schedule=Schedule(start=60.0, factor=1.0, cap=60.0, jitter=0, gap=0))
    )
    assert world.times == [0.0, 60.0, 98.0]
    assert error.retry_at


def test_a_job_that_ends_just_before_the_deadline_has_ended(world: World) -> None:
    ended = world.watch(
        [RUNNING, RUNNING, DONE], seconds=100.0, schedule=Schedule(start=60.0, cap=60.0, jitter=0, gap=0)
    )
    assert ended == [("a", DONE)]


def test_nothing_is_asked_after_the_deadline(world: World) -> None:
    still_running(world.watch([RUNNING], seconds=0.0))
    assert world.looks == []


@pytest.mark.parametrize("seconds", [0.1, 1.0, 3.0, 7.5, 59.9, 1000.0])
def test_the_wait_never_outlasts_the_deadline(world: World, seconds: float) -> None:
    still_running(world.watch([RUNNING], seconds=seconds))
    assert world.time <= 1000.0 + seconds
    assert world.times[-1] < seconds


def test_without_waiting_there_is_one_look_and_no_sleep(world: World) -> None:
    error = still_running(world.watch([RUNNING, DONE], wait=False))
    assert (len(world.looks), world.sleeps) == (1, [])
    assert error.retry_at == NOW + timedelta(seconds=2)


def test_without_waiting_a_hint_says_when_to_come_back(world: World) -> None:
    error = still_running(world.watch([status(retry_after=60.0)], wait=False))
    assert error.retry_at == NOW + timedelta(seconds=60)


def test_without_waiting_each_of_several_jobs_is_looked_at_once(world: World) -> None:
    ended = world.watch({"a": [RUNNING], "b": [DONE], "c": [AWAY], "d": [RUNNING]}, wait=False)
    assert [job_id for job_id, _ in world.looks] == ["a", "b", "c", "d"]
    assert [type(how) for _, how in ended] == [StillRunning, Status, Unavailable, StillRunning]
    assert world.sleeps == []


def test_a_failed_look_is_a_tick_like_any_other(world: World) -> None:
    assert world.watch([AWAY, DONE]) == [("a", DONE)]
    assert world.failures == [("a", 2.0)]


def test_five_failed_looks_in_a_row_end_the_wait(world: World) -> None:
    assert world.watch([AWAY]) == [("a", AWAY)]
    assert len(world.looks) == 5


def test_four_failed_looks_do_not_end_it(world: World) -> None:
    assert world.watch([AWAY] * 4 + [DONE]) == [("a", DONE)]


def test_a_good_look_forgets_the_failed_ones(world: World) -> None:
    assert world.watch([*[AWAY] * 4, RUNNING, *[AWAY] * 4, RUNNING, DONE]) == [("a", DONE)]


def test_a_cut_reply_is_a_failed_look(world: World) -> None:
    assert world.watch([CutReply("cut"), DONE]) == [("a", DONE)]


@pytest.mark.parametrize("error", [NotFound("who?"), BadReply("what?")], ids=["5", "11"])
def test_an_error_that_will_not_pass_ends_the_wait_at_once(world: World, error: JobfetchError) -> None:
    assert world.watch([RUNNING, error, DONE]) == [("a", error)]
    assert len(world.looks) == 2


def test_a_deadline_that_falls_into_a_look_still_says_when_to_come_back(world: World) -> None:
    [(job_id, error)] = world.watch([RUNNING, StillRunning("late"), DONE])
    assert isinstance(error, StillRunning)
    assert (job_id, error.retry_at is None) == ("a", False)
    assert len(world.looks) == 2


def test_a_bug_in_a_look_is_not_taken_for_a_failed_look(world: World) -> None:
    def broken() -> Status:
        raise ZeroDivisionError

    with pytest.raises(ZeroDivisionError):
        list(until_ended({"a": broken}, SCHEDULE, Deadline(1e9, world.clock), wait=True, watcher=world))


def test_failed_looks_end_by_the_deadline_too(world: World) -> None:
    still_running(world.watch([AWAY], seconds=5.0))
    assert world.time <= 1005.0


def test_a_job_that_failed_has_ended(world: World) -> None:
    assert world.watch([FAILED]) == [("a", FAILED)]
    assert world.waits == [None]


def test_a_stuck_job_is_spoken_of_once(world: World) -> None:
    world.watch([RUNNING] * 10 + [DONE], schedule=Schedule(start=10, factor=1, cap=10, jitter=0, stuck_after=25, gap=0))
    assert world.stuck_for == [30.0]


@pytest.mark.parametrize("moved", [status("queued"), status(progress=50.0)], ids=["word", "progress"])
def test_a_job_that_moves_is_not_stuck(world: World, moved: Status) -> None:
    answers: list[Look] = [RUNNING, RUNNING, moved, moved, DONE]
    world.watch(answers, schedule=Schedule(start=10, factor=1, cap=10, jitter=0, stuck_after=25, gap=0))
    assert world.stuck_for == []


def test_a_job_that_is_stuck_again_is_spoken_of_again(world: World) -> None:
    answers: list[Look] = [*[RUNNING] * 5, *[status("queued")] * 5, DONE]
    world.watch(answers, schedule=Schedule(start=10, factor=1, cap=10, jitter=0, stuck_after=25, gap=0))
    assert len(world.stuck_for) == 2


def test_each_of_several_jobs_comes_as_it_ends(world: World) -> None:
    ended = world.watch({"slow": [RUNNING] * 4 + [DONE], "quick": [DONE], "middle": [RUNNING, FAILED]})
    assert ended == [("quick", DONE), ("middle", FAILED), ("slow", DONE)]


def test_one_job_that_fails_does_not_stop_the_others(world: World) -> None:
    error = NotFound("who?")
    assert world.watch({"a": [error], "b": [RUNNING, DONE]}) == [("a", error), ("b", DONE)]


def test_a_wait_that_a_failed_look_asks_for_is_obeyed(world: World) -> None:
    busy = Unavailable("too many requests", retry_at=NOW + timedelta(seconds=60))
    assert world.watch([busy, DONE]) == [("a", DONE)]
    assert world.times == [0.0, 60.0]


def test_a_failed_look_that_asks_to_come_back_after_the_deadline_ends_the_wait_at_once(world: World) -> None:
    busy = Unavailable("too many requests", retry_at=NOW + timedelta(hours=2))
    error = still_running(world.watch([busy, DONE], seconds=3600.0))
    assert world.sleeps == []
    assert error.retry_at == NOW + timedelta(hours=2)


def test_an_error_keeps_the_last_status_that_was_seen(world: World) -> None:
    answers = world.look_at("a", [RUNNING, NotFound("who?")])
    [(_, how)] = until_ended(
        {"a": answers}, SCHEDULE, Deadline(1e9, world.clock), wait=True, watcher=world, sleep=world.sleep
    )
    assert how.status == RUNNING


def test_a_hint_for_one_job_does_not_hold_up_the_others(world: World) -> None:
    world.watch({"a": [status(retry_after=600.0), DONE], "b": [RUNNING, DONE]})
    assert world.looks == [("a", 0.0), ("b", 0.0), ("b", 2.0), ("a", 600.0)]


def test_a_job_that_has_ended_is_never_asked_again(world: World) -> None:
    world.watch({"a": [DONE], "b": [RUNNING] * 5 + [DONE]})
    assert [job_id for job_id, _ in world.looks].count("a") == 1


def test_the_first_looks_at_all_jobs_come_at_once_and_the_others_keep_the_gap(world: World) -> None:
    jobs: dict[str, Sequence[Look]] = {name: [RUNNING, DONE] for name in "abcd"}
    world.watch(jobs, schedule=Schedule(start=1.0, jitter=0.0, gap=3.0))
    gaps = [after - before for before, after in zip(world.times, world.times[1:], strict=False)]
    assert gaps[:3] == [0.0, 0.0, 0.0]
    assert len(gaps) == 7
    assert min(gaps[3:]) >= 3.0


def test_all_jobs_share_one_deadline(world: World) -> None:
    ended = world.watch({"a": [RUNNING], "b": [RUNNING]}, seconds=50.0)
    assert {job_id for job_id, how in ended if isinstance(how, StillRunning)} == {"a", "b"}
    assert world.time <= 1050.0


def test_a_consumer_that_stops_listening_stops_the_looks(world: World) -> None:
    looks = {name: world.look_at(name, [DONE]) for name in "ab"}
    ended = until_ended(looks, SCHEDULE, Deadline(1e9, world.clock), wait=True, watcher=world, sleep=world.sleep)
    next(ended)
    ended.close()  # type: ignore[attr-defined]  # it is a generator
    assert world.looks == [("a", 0.0)]


def test_what_to_do_next_is_said_with_a_time(world: World) -> None:
    error: Any = still_running(world.watch([status(retry_after=60.0)], wait=False))
    assert "2026-01-01T00:01:00.000Z" in error.hint
