"""How often a service may be asked, and the door that it closes: on a clock that only the test moves."""

from datetime import UTC, datetime

import pytest

from jobfetch import rate
from jobfetch.errors import StillRunning, UsageError
from jobfetch.model import Deadline, Reply

NOW = datetime(2026, 1, 1, tzinfo=UTC)


class Clock:
    """A clock that moves when somebody sleeps."""

    def __init__(self) -> None:
        self.at = 0.0

    def __call__(self) -> float:
        return self.at

    def sleep(self, seconds: float) -> None:
        self.at += seconds


def gate(text: str | None, clock: Clock, ends: float = 1e9) -> rate.Gate:
    limit = rate.parse(text) if text else None
    return rate.Gate(limit, Deadline(ends, clock), now=lambda: NOW, sleep=clock.sleep)


def refusal(after: str, status: int = 429) -> Reply:
    return Reply(status, {"retry-after": after}, b"")


@pytest.mark.parametrize(
    ("text", "count", "seconds"), [("10/s", 10, 1), ("600 / m", 600, 60), ("60/min", 60, 60), ("1000/h", 1000, 3600)]
)
def test_a_rate_is_read_as_people_write_it(text: str, count: int, seconds: float) -> None:
    assert rate.parse(text) == rate.Rate(count, seconds)


@pytest.mark.parametrize("text", ["", "10", "10/", "0/s", "-1/s", "1.5/s", "10/w", "9999999/s", "x/s"])
def test_what_is_no_rate_is_refused(text: str) -> None:
    with pytest.raises(UsageError, match="is no rate"):
        rate.parse(text)


@pytest.mark.parametrize("text", ["1/s", "3/s", "7/m", "100/h"])
def test_there_are_never_more_requests_in_any_such_time(text: str) -> None:
    clock, limit = Clock(), rate.parse(text)
    assert limit is not None
    door, at = gate(text, clock), []
    for _ in range(4 * limit.count + 3):
        door.enter()
        at.append(clock())
    assert all(late - early > limit.seconds for early, late in zip(at, at[limit.count :], strict=False))
    # and the rate is used, not undercut by much
    assert at[-1] <= 1.1 * limit.seconds * len(at) / limit.count


def test_a_few_requests_need_not_wait() -> None:
    clock = Clock()
    door = gate("1000/h", clock)
    for _ in range(1000):
        door.enter()
    assert clock() == 0
    assert door.waits_for() == "the rate limit"


def test_without_a_rate_nobody_waits() -> None:
    clock = Clock()
    door = gate(None, clock)
    for _ in range(1000):
        door.enter()
    assert (clock(), door.waits_for()) == (0, None)


def test_a_refusal_closes_the_door_for_everybody() -> None:
    clock = Clock()
    door = gate(None, clock)
    door.told(refusal("7"))
    door.told(refusal("3"))
    assert door.closed() == 7
    assert door.waits_for() == "the service asks to wait 7 s"
    door.enter()
    assert clock() == 7


def test_a_hint_for_one_job_closes_no_door() -> None:
    clock = Clock()
    door = gate(None, clock)
    door.told(refusal("7", status=202))
    door.told(refusal("soon"))
    door.told(refusal("86400", status=404))
    door.told(refusal("86400", status=410))
    assert door.closed() == 0


def test_a_door_that_stays_closed_beyond_the_deadline_is_told_at_once() -> None:
    clock = Clock()
    door = gate(None, clock, ends=60)
    door.told(refusal("7200"))
    with pytest.raises(StillRunning) as caught:
        door.enter()
    assert clock() == 0
    assert caught.value.retry_at
    assert (caught.value.retry_at - NOW).total_seconds() == 7200
