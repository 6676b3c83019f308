"""How often a service may be asked: `10/s`, `1000/h`, and the door that its Retry-After closes for everybody."""

from __future__ import annotations

import re
import threading
from collections import deque
from collections.abc import Callable
from datetime import datetime, timedelta

from msgspec import Struct

from jobfetch.errors import StillRunning, UsageError
from jobfetch.model import Deadline, Reply, retry_after, rfc3339

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


_OF_ONE_JOB = frozenset({404, 410})


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
        self._lock = threading.Lock()

    def enter(self) -> None:
        """Wait for a token and an open door. `StillRunning` where neither comes before the deadline."""
        while (wait := self._take()) > 0:
            if wait >= self._deadline.left():
                raise self._too_late(wait)
            self._sleep(min(wait, _NAP))

    def told(self, reply: Reply) -> None:
        """Close the door for as long as a refusal asks for, unless it speaks of one job only: that it is not there."""
        speaks = reply.status >= 400 and reply.status not in _OF_ONE_JOB  # noqa: PLR2004 - the meaning of 4xx
        asked = retry_after(reply, self._now()) if speaks else None
        if asked:
            with self._lock:
                self._opens = max(self._opens, self._deadline.clock() + asked)

    def closed(self) -> float:
        """Seconds until the service may be asked again; 0 for now."""
        return max(0.0, self._opens - self._deadline.clock())

    def waits_for(self) -> str | None:
        """What holds requests up at the moment, in words."""
        if closed := self.closed():
            return f"the service asks to wait {closed:.0f} s"
        with self._lock:
            return "the rate limit" if self._token() > 0 else None

    def _take(self) -> float:
        """Take a token where there is one; else the seconds until it is worth asking again."""
        with self._lock:
            wait = max(self._opens - self._deadline.clock(), self._token())
            if wait <= 0 and self._rate:
                self._taken.append(self._deadline.clock())
            return wait

    def _token(self) -> float:
        """Seconds until a token is there."""
        if not self._rate:
            return 0.0
        lasts, now = self._rate.seconds * (1 + _SLACK), self._deadline.clock()
        while self._taken and self._taken[0] + lasts <= now:
            self._taken.popleft()
        return self._taken[0] + lasts - now if len(self._taken) >= self._rate.count else 0.0

    def _too_late(self, wait: float) -> StillRunning:
        back = self._now() + timedelta(seconds=wait)
        return StillRunning(
            f"the service may not be asked again before {rfc3339(back)}, and the deadline comes first",
            hint="run the same line again then",
            retry_at=back,
        )
