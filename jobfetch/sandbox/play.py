"""What a service is made of: calls, scripts that answer them, cases, and the memory between two calls."""

import json
import re
import threading
from collections import Counter
from collections.abc import Callable, Mapping
from functools import cache
from http import HTTPStatus
from importlib import resources
from typing import Any

from msgspec import Struct, field
from msgspec.structs import replace

from jobfetch.sandbox.wire import Reply, whole

STILL_RUNNING = 75
"""The exit code of a run that a deadline ended."""

_MOST_KEYS = 100_000


class Request(Struct, frozen=True, kw_only=True):
    """A request taken apart; header names are lower case, the last of equal names wins."""

    method: str
    path: str
    query: Mapping[str, str]
    headers: Mapping[str, str]
    body: bytes


class Memory:
    """All that the sandbox remembers between two requests; safe to use from several threads."""

    def __init__(self) -> None:
        self._lock = threading.Lock()
        self._looks: Counter[tuple[str, ...]] = Counter()
        self._kept: dict[tuple[str, ...], str] = {}

    def look(self, *key: str) -> int:
        """Count one more look at this and say the how manieth it is, from 1."""
        with self._lock:
            self._looks[key] += 1
            if len(self._looks) > _MOST_KEYS:
                del self._looks[next(iter(self._looks))]
            return self._looks[key]

    def looks(self, *key: str) -> int:
        """How many looks at this were counted so far; counts none itself."""
        with self._lock:
            return self._looks[key]

    def keep(self, *key: str, value: str) -> str:
        """Keep this value unless there is one already; what is kept comes back."""
        with self._lock:
            return self._kept.setdefault(key, value)

    def kept(self, *key: str) -> str:
        """What was kept, or nothing."""
        with self._lock:
            return self._kept.get(key, "")

    def clear(self) -> None:
        """Forget all looks and values."""
        with self._lock:
            self._looks.clear()
            self._kept.clear()


class Site(Struct, frozen=True, kw_only=True):
    """Where and how fast this sandbox runs, with its memory."""

    url: str
    storage_url: str
    pace: float
    memory: Memory


class Call(Struct, frozen=True, kw_only=True):
    """A request on its way to a script."""

    request: Request
    site: Site
    parts: Mapping[str, str] = field(default_factory=dict)
    """What the path's pattern caught."""
    job_id: str = ""
    look: int = 1
    """The how manieth request for this stage of this job it is, from 1."""


Script = Callable[[Call], Reply]
"""Decides what one call is answered."""


class Case(Struct, frozen=True, kw_only=True):
    """One way in which a job behaves."""

    name: str
    what: str
    status: Script
    """Answers requests for the job's status."""
    more: Mapping[str, Script] = field(default_factory=dict)
    """Answers at the job's later stages; a stage that is absent goes well."""
    exit_code: int = 0

    @property
    def needs_timeout(self) -> bool:
        """Whether only a deadline can end a run that waits for it."""
        return self.exit_code == STILL_RUNNING


class Route(Struct, frozen=True):
    """A method and a path's pattern, with the script that serves them."""

    method: str
    pattern: re.Pattern[str]
    script: Script


class Service(Struct, frozen=True, kw_only=True):
    """One service that the sandbox plays."""

    name: str
    cases: tuple[tuple[str, Case], ...]
    """The cases to show people, each with the job id that stands for it."""
    routes: tuple[Route, ...]
    stored: tuple[Route, ...] = ()
    """What the storage origin serves for this service."""
    environment: Callable[[str], dict[str, str]]
    """What a client needs in its environment, given the sandbox's address."""
    secrets: tuple[str, ...]


def route(method: str, pattern: str, script: Script) -> Route:
    """A route; `{name}` in the pattern catches one segment of the path."""
    return Route(method, re.compile(re.sub(r"\{(\w+)\}", r"(?P<\1>[^/]+)", pattern)), script)


def first(times: int, script: Script, then: Script) -> Script:
    """Answer the first looks with one script and all later ones with another."""
    return lambda call: (script if call.look <= times else then)(call)


def later(looks: int, script: Script) -> Script:
    """Make a script believe that so many looks came before it began."""
    return lambda call: script(replace(call, look=call.look - looks))


def always(reply: Reply) -> Script:
    """Answer the same every time."""
    return lambda _call: reply


def changed(script: Script, change: Callable[[Reply], Reply]) -> Script:
    """Answer what another script answers, spoilt or dressed up."""
    return lambda call: change(script(call))


def dumped(value: object, *, status: int = 200, headers: tuple[tuple[str, str], ...] = ()) -> Reply:
    """A JSON reply."""
    return verbatim(json.dumps(value, ensure_ascii=False).encode(), status=status, headers=headers)


def verbatim(body: bytes, *, status: int = 200, headers: tuple[tuple[str, str], ...] = ()) -> Reply:
    """A JSON reply whose bytes are given, since numbers must stay as they are written."""
    return Reply(status=status, headers=(("Content-Type", "application/json"), *headers), body=body)


@cache
def stored_bytes(service: str, name: str) -> bytes:
    """The bytes of a stored file."""
    return resources.files("jobfetch.sandbox").joinpath("replies", service, name).read_bytes()


def sample(service: str, name: str) -> Any:
    """A stored sample reply, a fresh copy each time."""
    return json.loads(stored_bytes(service, f"{name}.json"))


def heard(reply: Reply) -> Any:
    """What a client makes of a reply: its JSON if it is sound, else an empty object."""
    sound = reply.status == HTTPStatus.OK and reply.way is whole and not reply.header("Content-Encoding")
    try:
        return json.loads(reply.body) if sound else {}
    except ValueError:
        return {}


def perform(call: Call, service: str, job_id: str, stage: str, script: Script) -> Reply:
    """Let a script answer for one stage of a job, and count the look."""
    look = call.site.memory.look(service, job_id, stage)
    return script(replace(call, job_id=job_id, look=look))
