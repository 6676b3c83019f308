"""Sends a request until it has an answer worth giving: retries, redirects by hand, credentials for their origin only.

It does not decide what an answer means for a job, and knows nothing of polling.
"""

from __future__ import annotations

import random
from collections.abc import Callable, Mapping
from datetime import datetime, timedelta
from typing import TYPE_CHECKING, Protocol
from urllib.parse import urljoin, urlsplit

from msgspec.structs import replace

from jobfetch.errors import BadReply, JobfetchError, StillRunning
from jobfetch.model import TOO_MANY, Deadline, Purpose, Reply, Request, Sink, origin, retry_after, rfc3339, safe_url
from jobfetch.spec import PLAIN_ERRORS, ErrorRules, Kind
from jobfetch.transport.download import Download

if TYPE_CHECKING:
    from jobfetch.transport.wire import Wire

REDIRECTS = frozenset({301, 302, 303, 307, 308})
MOST_HOPS = 10
_PART = 206
#: Bytes by which a try must bring a file nearer to be worth another.
_STEP = 1 << 16
#: Refusals of one too many that cost a request no try: somebody may never be let in.
_MOST_SPARED = 10


class Signer(Protocol):
    """Gives the headers that prove who we are, for one URL; none for an origin that may not see them."""

    def headers(self, url: str) -> Mapping[str, str]:
        """The credential headers for this URL, or none."""

    def renew(self, used: Mapping[str, str]) -> bool:
        """After a 401: whether other headers than those used are there now."""


class Gate(Protocol):
    """What `rate.Gate` is to the transport: decides when a request may leave, and is told of each reply."""

    #: requests so far that the service did not refuse as one too many
    passed: int

    def enter(self) -> float:
        """Wait until a request may leave; the moment when it may. Raises where that is too late."""

    def told(self, reply: Reply, sent: float) -> None:
        """A reply came to what left at that moment, which may ask everybody to wait."""


class Transport:
    """What the use-cases send through. `now`, `sleep` and `jitter` are parameters for the sake of tests."""

    def __init__(
        self,
        wire: Wire,
        *,
        deadline: Deadline,
        errors: ErrorRules,
        home: str | None = None,
        retries: int,
        now: Callable[[], datetime],
        sleep: Callable[[float], None],
        notify: Callable[[str], None],
        jitter: Callable[[float, float], float] = random.uniform,
        gate: Gate | None = None,
    ) -> None:
        self._wire = wire
        self._gate = gate
        self._deadline = deadline
        self._errors = errors
        #: the service's own address, whose replies its own rules read
        self._home = home
        self._tries = retries + 1
        self._now = now
        self._sleep = sleep
        self._notify = notify
        self._jitter = jitter

    def send(self, request: Request, *, signer: Signer | None = None, sink: Sink | None = None) -> Reply:
        """The reply, whatever its status, after the retries that it deserved; a good body goes into `sink`, if given.

        What came of a body before it was cut stays in the sink, and the next try asks for the rest where it can be had.

        Raises:
            Unavailable: the retries are used up.
            CutReply: likewise, and the reply was cut each time.
            StillRunning: the deadline came first, or the service asks to come back after it.
            BadReply: a redirect that may not be followed.

        """
        download = None if sink is None else Download(file=sink, now=self._now)
        if download:
            download.drop()
        tried = have = spared = 0
        passed = self._gate.passed if self._gate else 0
        while True:
            error, reply = self._try(request, signer, download)
            trouble = None if reply is None else self._rules(request, reply).read(reply)
            if reply is not None and (trouble is None or trouble.kind is not Kind.RETRY):
                if download and not reply.ok:
                    download.drop()
                if download is None and reply.status == _PART:
                    raise BadReply(f"{safe_url(reply.url)} answered with a part, although all of it was asked for")
                return reply
            nearer = bool(download and download.have - have >= _STEP)
            others = bool(reply and reply.status == TOO_MANY and self._gate and self._gate.passed > passed)
            crowded, spared = others and spared < _MOST_SPARED, spared + others
            # what comes nearer is not given up, and to be turned away while others are let in costs no try
            tried = tried if crowded else 1 if nearer else tried + 1
            have, passed = max(have, download.have if download else 0), self._gate.passed if self._gate else 0
            problem = trouble.error(tries=tried) if trouble else error
            if problem is None:
                raise AssertionError("a try ends with a reply or an error")
            asked = retry_after(reply, self._now()) if reply else None
            out_of_tries = tried >= self._tries or not problem.transient
            if out_of_tries and (asked or 0.0) < self._deadline.left():
                problem.retry_at = self._now() + timedelta(seconds=asked) if asked else problem.retry_at
                problem.settled = True
                raise problem
            self._pause(problem, tried, asked)

    def _try(
        self, request: Request, signer: Signer | None, download: Download | None
    ) -> tuple[JobfetchError | None, Reply | None]:
        try:
            reply = self._followed(request, signer, download)
            if download and download.refused(reply):
                self._notify(f"{safe_url(reply.url)} does not send the rest of what it began; asking for all of it")
                reply = self._followed(request, signer, download)
        except JobfetchError as error:
            # a token request inside this one has had its own retries
            if not error.transient or error.settled:
                raise
            return error, None
        return None, reply

    def _rules(self, request: Request, reply: Reply) -> ErrorRules:
        return PLAIN_ERRORS if self._is_foreign(request, reply) or request.purpose is Purpose.TOKEN else self._errors

    def _is_foreign(self, request: Request, reply: Reply) -> bool:
        return reply.bare or origin(reply.url) != origin(self._home or request.url)

    def _pause(self, problem: JobfetchError, tried: int, asked: float | None) -> None:
        """Wait before the next try: full jitter, never less than the service asks for, never past the deadline."""
        wait = max(self._jitter(0, min(30.0, 0.5 * 2 ** (tried - 1))), asked or 0.0)
        if wait >= self._deadline.left():
            back = self._now() + timedelta(seconds=asked) if asked else None
            when = f" (the service asks to come back at {rfc3339(back)})" if back else ""
            raise StillRunning(
                f"the deadline comes before the next try{when}; last: {problem.message}",
                hint="run the same line again later",
                request_id=problem.request_id,
                retry_at=back,
            )
        self._notify(f"{problem.message}; trying again in {wait:.1f} s ({tried} of {self._tries - 1})")
        self._sleep(wait)

    def _followed(self, request: Request, signer: Signer | None, download: Download | None) -> Reply:
        """The request, and the redirects that it may follow."""
        bare = False
        for _ in range(MOST_HOPS + 1):
            reply = self._signed(request, signer, download)
            if reply.status not in REDIRECTS:
                return replace(reply, bare=True) if bare else reply
            request, after = _redirected(request, reply, signer)
            signer, bare = after, bare or after is not signer
        raise BadReply(f"{safe_url(request.url)} redirects without end", hint="check base_url")

    def _signed(self, request: Request, signer: Signer | None, download: Download | None) -> Reply:
        """One exchange with credentials; refused ones are renewed once."""
        address = self._wire.address(request.url)
        request = request if address == request.url else replace(request, url=address)
        headers = {**request.headers, **(download.ask(address) if download else {})}
        credentials = signer.headers(address) if signer else {}
        reply = self._let_through(request, {**headers, **credentials}, download)
        if signer and credentials and reply.status == 401 and signer.renew(credentials):  # noqa: PLR2004 - HTTP's own
            self._notify("the credential was refused; renewed, asking once more")
            reply = self._let_through(request, {**headers, **signer.headers(address)}, download)
        return reply

    def _let_through(self, request: Request, headers: Mapping[str, str], download: Download | None) -> Reply:
        """One exchange, when the gate opens for it."""
        if self._gate is None:
            return self._wire.exchange(request, request.url, headers, download)
        sent = self._gate.enter()
        reply = self._wire.exchange(request, request.url, headers, download)
        if not self._is_foreign(request, reply):
            self._gate.told(reply, sent)
        return reply


def _redirected(request: Request, reply: Reply, signer: Signer | None) -> tuple[Request, Signer | None]:
    """The request that a redirect asks for, bare where it leads to another origin; `BadReply` where it may not lead."""
    here, location = request.url, reply.headers.get("location")
    if not location:
        raise BadReply(f"{safe_url(here)} redirects (HTTP {reply.status}) without saying where")
    try:
        target = _without_user(urljoin(here, location))
    except ValueError:
        target = ""
    if not origin(target)[2] or urlsplit(target).scheme not in {"http", "https"}:
        raise BadReply(f"{safe_url(here)} redirects to something that is not HTTP")
    if urlsplit(here).scheme == "https" and urlsplit(target).scheme != "https":
        raise BadReply(f"{safe_url(here)} redirects from https to http ({_host(target)}); not followed")
    if origin(here) == origin(target):
        return replace(request, url=target), signer
    if request.purpose is not Purpose.RESULT:
        raise BadReply(
            f"{safe_url(here)} redirects to another origin, {_host(target)}; not followed",
            hint="check base_url: the address itself should answer",
        )
    # whatever named us or the job to the first origin stays there
    return replace(request, url=target, headers={}, form=None, json=None), None


def _without_user(url: str) -> str:
    parts = urlsplit(url)
    return parts._replace(netloc=parts.netloc.rpartition("@")[2]).geturl()


def _host(url: str) -> str:
    scheme, host, port = origin(url)
    return f"{scheme}://{host}:{port}"
