"""How often a service may be asked, and the door that it closes: on a clock that only the test moves."""

import heapq
import itertools
from datetime import UTC, datetime

import pytest

from jobfetch import rate
from jobfetch.errors import TooSoon, UsageError
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
    door.told(refusal("7"), clock())
    door.told(refusal("3"), clock())
    assert door.closed() == 7
    assert door.waits_for() == "the service asks to wait 7 s"
    assert door.enter() == clock() == 7


def test_a_hint_for_one_job_closes_no_door() -> None:
    clock = Clock()
    door = gate(None, clock)
    door.told(refusal("7", status=202), clock())
    door.told(refusal("soon", status=503), clock())
    door.told(refusal("86400", status=404), clock())
    door.told(refusal("86400", status=410), clock())
    assert door.closed() == 0


def test_a_door_that_stays_closed_beyond_the_deadline_is_told_at_once() -> None:
    clock = Clock()
    door = gate(None, clock, ends=60)
    door.told(refusal("7200"), clock())
    with pytest.raises(TooSoon) as caught:
        door.enter()
    assert clock() == 0
    assert caught.value.retry_at
    assert (caught.value.retry_at - NOW).total_seconds() == 7200


# --- a service that has had enough ---


class Service:
    """Takes so many requests in any second, and refuses the others; each reply takes a while."""

    def __init__(self, most: int, clock: Clock, after: str | None = "1", takes: float = 0.05) -> None:
        self.most, self.clock, self.takes = most, clock, takes
        self.headers = {} if after is None else {"retry-after": after}
        self.came: list[tuple[float, bool]] = []

    def answer(self) -> Reply:
        now = self.clock()
        good = sum(taken and at > now - 1.0 for at, taken in self.came) < self.most
        self.came.append((now, good))
        return Reply(200 if good else 429, {} if good else self.headers, b"")

    def refused(self) -> list[float]:
        return [at for at, good in self.came if not good]


def ask(door: rate.Gate, service: Service, clock: Clock, *, workers: int, seconds: float) -> None:
    """So many workers ask again and again, each once its last reply has come."""
    turns = [(0.0, number) for number in range(workers)]
    flying: list[tuple[float, float, Reply]] = []
    while clock() < seconds:
        at, number = heapq.heappop(turns)
        while flying and flying[0][0] <= max(at, clock()):
            came, sent, reply = flying.pop(0)
            clock.at = max(clock.at, came)
            door.told(reply, sent)
        clock.at = max(clock.at, at)
        if door.closed() > 0:
            heapq.heappush(turns, (clock() + min(door.closed(), 0.01), number))
            continue
        sent = door.enter()
        # no two requests leave at the same moment
        clock.at += 1e-5
        flying.append((clock() + service.takes, sent, service.answer()))
        heapq.heappush(turns, (clock() + service.takes, number))


@pytest.mark.parametrize("after", ["1", "2", "0", "soon", None])
@pytest.mark.parametrize(("most", "workers"), [(5, 64), (5, 16), (20, 64), (1, 8)])
def test_after_the_first_refusal_the_rate_stays_under_the_limit(most: int, workers: int, after: str | None) -> None:
    clock = Clock()
    door, service = gate(None, clock), Service(most, clock, after)
    ask(door, service, clock, workers=workers, seconds=15)
    first = service.refused()[0]
    # only what was on its way before the first answer came is refused
    assert all(at <= first + service.takes + 0.01 for at in service.refused())
    # and the limit is used, not undercut by much
    waited = float(after) if after and after.isdecimal() and int(after) else 1.0
    came = sum(good for at, good in service.came if at > first + waited)
    assert came >= 0.85 * most / waited * (15 - first - waited) - 1


def test_a_service_that_took_nothing_is_asked_alone_first_and_soon_as_fast_as_it_answers() -> None:
    clock = Clock()
    door = gate(None, clock)
    door.told(refusal("30"), door.enter())
    at = []
    for _ in range(40):
        at.append(door.enter())
        door.told(Reply(200, {}, b""), at[-1])
    assert at[:3] == [30, 60, 75]
    assert at[-1] - at[-20] < 0.1


def test_a_pace_that_is_kept_for_long_is_quickened_and_a_refusal_teaches_patience() -> None:
    clock = Clock()
    door, service = gate(None, clock), Service(5, clock)
    ask(door, service, clock, workers=4, seconds=130)
    tried = sorted({int(at) for at in service.refused()})
    waits = [late - early for early, late in itertools.pairwise(tried)]
    assert len(waits) == 4
    assert all(late >= 1.8 * early for early, late in itertools.pairwise(waits))


class Moody(Service):
    """Takes everything, but for one request in so many."""

    def answer(self) -> Reply:
        good = len(self.came) % self.most != self.most - 3
        self.came.append((self.clock(), good))
        return Reply(200 if good else 429, {} if good else self.headers, b"")


def test_a_refusal_that_stands_alone_only_closes_the_door() -> None:
    clock = Clock()
    door, service = gate(None, clock), Moody(50, clock)
    ask(door, service, clock, workers=8, seconds=20)
    # about fifty requests come between two refusals, each of which costs its second
    assert len(service.came) > 15 * 45


def test_what_may_not_be_asked_any_more_by_our_own_rate_is_not_laid_at_the_services_door() -> None:
    clock = Clock()
    door = gate("1/h", clock, ends=60)
    door.enter()
    with pytest.raises(TooSoon, match="the rate limit"):
        door.enter()
    assert clock() == 0
