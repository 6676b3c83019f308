"""How often a service may be asked: `10/s`, `1000/h`, the door that its Retry-After closes, and the pace from then on."""

from __future__ import annotations

import re
import threading
from collections import deque
from collections.abc import Callable
from datetime import datetime, timedelta

from msgspec import Struct

from jobfetch.errors import TooSoon, UsageError
from jobfetch.model import TOO_MANY, Deadline, Reply, retry_after, rfc3339

_SECONDS = {"s": 1.0, "m": 60.0, "min": 60.0, "h": 3600.0, "d": 86400.0}
_MOST = 1_000_000
#: What is sent on time may arrive a little late, and the next one not: a token is kept this share longer.
_SLACK = 0.05
#: Seconds that nobody sleeps longer at once: the door may have been opened or shut since.
_NAP = 1.0


class Rate(Struct, frozen=True):
    """At most `count` requests in any `seconds`."""

    count: int
    seconds: float


def parse(text: str) -> Rate | None:
    """The rate that a person wrote: `10/s`, `600/m`, `1000/h`; None for `none`."""
    if text.strip().lower() == "none":
        return None
    match = re.fullmatch(r"([0-9]{1,7})\s*/\s*(s|m|min|h|d)", text.strip().lower())
    if not match or not 1 <= int(match[1]) <= _MOST:
        raise UsageError(f"{text!r} is no rate", hint="write for example 10/s, 600/m, 1000/h or none")
    return Rate(int(match[1]), _SECONDS[match[2]])


#: Refusals that speak of one job alone: their Retry-After closes no door.
_OF_ONE_JOB = frozenset({404, 410})
#: Seconds for which a refusal that names none closes the door: so many at first, twice as many each time, and no more.
_FIRST_BREAK, _LONGEST_BREAK = 1.0, 30.0
#: A time that a service asks to wait tells its pace only where it is no longer than this.
_LONGEST_PERIOD = 60.0
#: Good replies that are remembered: as many as the fastest service gives in such a time.
_REMEMBERED = 50_000
#: Seconds between two requests from which on nobody need mind a pace.
_NO_PACE = 0.001
#: Such times in which all must be well before the pace is quickened, at the most, and by how much.
_WELL, _QUICKER = 20, 1.5


#: What holds requests up, in words.
_ASKED, _RATE, _PACE = "the service asks to wait {:.0f} s", "the rate limit", "the pace of the service"


class _Pace:
    """How far apart requests leave after a refusal, so that there is no second one.

    What the service took in the time that it asks to wait is what it takes in such a time, provided that so long a time
    was seen, or that it refused most of what was sent from the first refusal on: one that stands alone, early on, tells
    nothing. Where it took nothing at all, the first request goes alone, and each good reply halves the distance. A pace
    at which all is well for some time is quickened by half; each time that this was too much, it takes twice as long
    until the next.
    """

    def __init__(self) -> None:
        #: seconds between two requests, and the fewest that each good reply may lead to; 0 where nothing is known
        self.apart = self._least = 0.0
        self._next = 0.0
        #: when each request left that the service took, in the order of the replies
        self._taken: deque[float] = deque(maxlen=_REMEMBERED)
        #: when the first request left after the last burst of refusals
        self._began: float | None = None
        # of the last burst of refusals: when it ended, when its first request left, how many there were, how many sent
        # after that first one were taken all the same, what held before it, and whether so long a time had been seen
        self._ended, self._first, self._refusals, self._spared = -1.0, 0.0, 0, 0
        self._before, self._seen, self._period = (0.0, 0.0), False, 0.0
        self._well_since, self._patience, self._quickened = 0.0, 0.0, False

    def left(self, now: float) -> float:
        """Seconds until the next request may leave."""
        return self._next - now

    def leave(self, now: float) -> None:
        """A request leaves."""
        self._next = max(self._next, now) + self.apart
        if self._began is None:
            self._began = now

    def took(self, sent: float, now: float) -> None:
        """The service took what was sent then."""
        self._taken.append(sent)
        if sent <= self._ended:
            self._spared += sent > self._first
            self._learn()
        elif self.apart > self._least:
            self.apart = max(self.apart / 2, self._least)
            self.apart = self.apart if self.apart > _NO_PACE else 0.0
        elif self.apart and now - self._well_since > self._patience:
            self.apart = self._least = self.apart / _QUICKER
            self._well_since, self._quickened = now, True

    def refused(self, sent: float, now: float, period: float) -> None:
        """The service refused what was sent then, and asks to wait for so long."""
        if sent > self._ended:
            self._seen = self._began is not None and now - self._began >= period
            self._first, self._refusals, self._spared, self._before = sent, 0, 0, (self.apart, self._least)
            self._began = None
        self._refusals += 1
        self._ended = self._well_since = now
        self._period = period
        if not self._quickened:
            # the fewer were turned away, the sooner it is tried again
            self._patience = max(self._patience * bool(self._before[0]), period * min(_WELL, 2 * self._refusals))
        elif self._refusals == 1:
            self._patience *= 2
        self._learn()

    def _learn(self) -> None:
        """What the burst so far tells of the pace that the service keeps up with."""
        self.apart, self._least = self._before
        if not self._seen and self._refusals <= self._spared:
            return
        took = 0
        for moment in reversed(self._taken):
            if moment < self._ended - self._period:
                break
            took += 1
        if took:
            self.apart = self._least = self._period * (1 + _SLACK) / took
        else:
            self.apart = max(self.apart, self._period)


class Gate:
    """Lets requests through, of however many threads: as often as the rate allows, and never before the service says.

    A bucket of `count` tokens: every request takes one, and it comes back `seconds` later. So there are never more
    requests than `count` in any such time, and a few of them need not wait at all.
    """

    def __init__(
        self,
        rate: Rate | None,
        deadline: Deadline,
        *,
        now: Callable[[], datetime],
        sleep: Callable[[float], None],
    ) -> None:
        self._rate = rate
        self._deadline = deadline
        self._now = now
        self._sleep = sleep
        self._taken: deque[float] = deque()
        self._opens = 0.0
        self._pace = _Pace()
        #: seconds that a refusal which names none closes the door for, and how many requests had passed at the last one
        self._break = _FIRST_BREAK / 2
        self._passed_then = 0
        self._lock = threading.Lock()
        #: requests that the service did not refuse as one too many
        self.passed = 0

    def enter(self) -> float:
        """Wait for a token and an open door: the moment when it opened. `TooSoon` where neither comes before the deadline."""
        while True:
            with self._lock:
                now = self._deadline.clock()
                wait, why = self._wait(now)
                if wait <= 0:
                    self._pace.leave(now)
                    if self._rate:
                        self._taken.append(now)
                    return now
            if wait >= self._deadline.left():
                raise self._too_soon(wait, why)
            self._sleep(min(wait, _NAP))

    def told(self, reply: Reply, sent: float) -> None:
        """Hear what came of a request: a refusal closes the door, unless it speaks of one job only, that it is not there."""
        speaks = reply.status >= 400 and reply.status not in _OF_ONE_JOB  # noqa: PLR2004 - the meaning of 4xx
        asked = retry_after(reply, self._now()) if speaks else None
        with self._lock:
            now = self._deadline.clock()
            if reply.status == TOO_MANY:
                asked = asked or self._break_of(sent)
                self._pace.refused(sent, now, min(asked, _LONGEST_PERIOD))
            elif reply.status < 500:  # noqa: PLR2004 - the meaning of 5xx
                self.passed += 1
                self._pace.took(sent, now)
            if asked:
                self._opens = max(self._opens, now + asked)

    def closed(self) -> float:
        """Seconds until the service may be asked again; 0 for now."""
        with self._lock:
            return max(0.0, self._wait(self._deadline.clock())[0])

    def waits_for(self) -> str | None:
        """What holds requests up at the moment, in words."""
        with self._lock:
            wait, why = self._wait(self._deadline.clock())
        return why.format(wait) if wait > 0 else None

    def _wait(self, now: float) -> tuple[float, str]:
        """Seconds until the next request may leave, and why."""
        return max((self._opens - now, _ASKED), (self._token(now), _RATE), (self._pace.left(now), _PACE))

    def _token(self, now: float) -> float:
        """Seconds until a token is there."""
        if not self._rate:
            return 0.0
        lasts = self._rate.seconds * (1 + _SLACK)
        while self._taken and self._taken[0] + lasts <= now:
            self._taken.popleft()
        return self._taken[0] + lasts - now if len(self._taken) >= self._rate.count else 0.0

    def _break_of(self, sent: float) -> float:
        """Seconds for which a refusal that names none closes the door: longer each time that nothing came through since."""
        if self.passed > self._passed_then:
            self._break = _FIRST_BREAK
        elif sent >= self._opens:
            self._break = min(2 * self._break, _LONGEST_BREAK)
        self._passed_then = self.passed
        return self._break

    def _too_soon(self, wait: float, why: str) -> TooSoon:
        back = self._now() + timedelta(seconds=wait)
        return TooSoon(
            f"nothing more may be asked before {rfc3339(back)} ({why.format(wait)}), and the deadline comes first",
            hint="run the same line again then, or give it longer with --timeout",
            retry_at=back,
        )
