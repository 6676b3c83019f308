"""Every behaviour of the sandbox, waited for: exit code, verdict, files, streams, time and secrets."""

import json
import re
from collections.abc import Callable, Iterator
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass
from datetime import UTC, datetime
from pathlib import Path

import pytest

from jobfetch.sandbox import BEHAVIOURS, SECRETS, Asked, Behaviour, Sandbox
from jobfetch.sandbox.idp import CLIENT_SECRET
from jobfetch.sandbox.logins import PASSWORD

from .conftest import PACE
from .leaks import files, heard, leaks, signed_links
from .program import ERROR, VERDICT, Here, Program, Run, tree

InTime = Callable[[Run, float], bool]

DEADLINE = 2
PROSE_DEADLINE = 1
PATIENCE = 25
RETRYABLE = {8, 10, 13, 75, 130, 143}
RECORDED = {0, 6, 8}
WORDS = {
    0: "done",
    4: "credentials",
    5: "not_found",
    6: "failed",
    7: "gone",
    8: "partial",
    10: "unavailable",
    11: "bad_reply",
    75: "running",
}


@dataclass(frozen=True, slots=True, kw_only=True)
class Rehearsal:
    """One behaviour, fetched into a file with a verdict and once more onto standard output with prose."""

    behaviour: Behaviour
    filed: Run
    told: Run
    file: Path
    home: Path
    asked: tuple[Asked, ...]

    @property
    def evidence(self) -> dict[str, bytes]:
        """All that the runs left, but for what the service's own origin was sent."""
        streams = {"verdict": self.filed.out, "narration": self.filed.err, "record": self.told.out}
        kept = set(self.tokens)
        left = {place: data for place, data in files(self.home, self.file.parent).items() if place not in kept}
        return streams | {"prose": self.told.err} | left

    @property
    def tokens(self) -> dict[str, bytes]:
        """What is kept between runs, where tokens belong and nothing else does."""
        return files(self.home / "state" / "tokens")


#: The secrets that a person gives, as against the tokens that are had with them.
GIVEN = (CLIENT_SECRET, PASSWORD)


@pytest.fixture(scope="module", params=BEHAVIOURS, ids=lambda one: f"{one.provider}-{one.name}")
def rehearsal(request: pytest.FixtureRequest, tmp_path_factory: pytest.TempPathFactory) -> Rehearsal:
    one: Behaviour = request.param
    home, file = tmp_path_factory.mktemp("home"), tmp_path_factory.mktemp("out") / "record.json"
    timeout = DEADLINE if one.needs_timeout else PATIENCE
    prose_timeout = PROSE_DEADLINE if one.needs_timeout else PATIENCE
    linked = ("--assets",) if _has_assets(one) else ()
    with Sandbox(pace=PACE) as first, Sandbox(pace=PACE) as second, ThreadPoolExecutor(1) as pool:
        filing = pool.submit(Program(home, first.environment()), *_line(one, timeout), "--json", "-o", file, *linked)
        if one.needs_timeout:
            # nothing goes on beside it where a clock is held against it
            filing.result()
        told = Here(home, second.environment())(*_line(one, prose_timeout))
        filed = filing.result()
        asked = (*first.asked(), *second.asked())
    return Rehearsal(behaviour=one, filed=filed, told=told, file=file, home=home, asked=asked)


def _line(one: Behaviour, timeout: float) -> tuple[str, ...]:
    # a look that fails is looked again; a linked file has its retries alone
    retries = "2" if _has_assets(one) else "1"
    patience = ("--interval", "0.1", "--retries", retries, "--timeout", str(timeout))
    return ("get", one.provider, one.job_id, "--wait", "-vv", *patience)


def _has_assets(one: Behaviour) -> bool:
    return one.name.startswith(("assets", "masks")) or "missing" in one.name


def test_it_ends_with_the_code_of_the_table(rehearsal: Rehearsal) -> None:
    assert rehearsal.filed.code == rehearsal.behaviour.exit_code, rehearsal.filed.said


def test_it_ends_alike_on_standard_output(rehearsal: Rehearsal) -> None:
    # what is lost is only looked for with --assets
    code = 0 if "missing" in rehearsal.behaviour.name else rehearsal.behaviour.exit_code
    assert rehearsal.told.code == code, rehearsal.told.said


def test_the_file_is_whole_or_not_there(rehearsal: Rehearsal) -> None:
    if rehearsal.behaviour.exit_code in RECORDED:
        [line] = rehearsal.file.read_bytes().splitlines()
        assert json.loads(line)["job_id"] == rehearsal.behaviour.job_id
    else:
        assert tree(rehearsal.file.parent) == {}


def test_no_temporary_file_stays(rehearsal: Rehearsal) -> None:
    assert not [*rehearsal.file.parent.rglob("*.part"), *rehearsal.home.rglob("*.part")]


def test_standard_output_holds_the_record_or_nothing(rehearsal: Rehearsal) -> None:
    lines = rehearsal.told.out.splitlines()
    names = [json.loads(line)["job_id"] for line in lines]
    assert names == ([rehearsal.behaviour.job_id] if rehearsal.behaviour.exit_code in RECORDED else [])


def test_the_verdict_agrees_with_the_exit_code(rehearsal: Rehearsal) -> None:
    verdict, code = rehearsal.filed.verdict, rehearsal.filed.code
    assert list(verdict) == VERDICT
    assert (verdict["ok"], verdict["exit_code"], verdict["outcome"]) == (code == 0, code, WORDS[code])
    assert verdict["retryable"] == (code in RETRYABLE)
    assert verdict["outputs"][:1] == ([str(rehearsal.file)] if rehearsal.file.exists() else [])


def test_the_verdict_explains_every_end_but_a_good_one(rehearsal: Rehearsal) -> None:
    error = rehearsal.filed.verdict["error"]
    assert (error is None) == (rehearsal.filed.code == 0)
    if error:
        assert list(error) == ERROR
        assert error["provider"] == rehearsal.behaviour.provider
        assert error["message"]


def test_a_time_to_come_back_is_told_for_jobs_that_run(rehearsal: Rehearsal) -> None:
    back = rehearsal.filed.verdict["retry_at"]
    assert rehearsal.filed.code == 75 or back is None
    if rehearsal.behaviour.name == "rate-limited-long":
        assert re.fullmatch(r"\d{4}-\d\d-\d\dT\d\d:\d\d:\d\d\.\d{3}Z", back)
        assert datetime.fromisoformat(back) > datetime(2020, 1, 1, tzinfo=UTC)


def test_the_deadline_is_kept(rehearsal: Rehearsal, in_time: InTime) -> None:
    one = rehearsal.behaviour

    def again() -> Iterator[Run]:
        """The same once more, twice at the most: a busy machine is late now and then, a late program always."""
        for _ in range(2):
            with Sandbox(pace=PACE) as box:
                yield Program(rehearsal.home, box.environment())(*_line(one, DEADLINE))

    deadline, prose = (DEADLINE, PROSE_DEADLINE) if one.needs_timeout else (PATIENCE, PATIENCE)
    in_both = in_time(rehearsal.filed, deadline) and in_time(rehearsal.told, prose)
    assert in_both or any(in_time(run, DEADLINE) for run in again())


def test_no_control_character_reaches_a_log(rehearsal: Rehearsal) -> None:
    text = rehearsal.told.said + rehearsal.filed.said
    assert not re.search("[\x00-\x09\x0b-\x1f\x7f-\x9f\u200e\u200f\u202a-\u202e\u2066-\u2069]", text)


def test_nobody_but_the_service_sees_a_secret(rehearsal: Rehearsal) -> None:
    assert leaks(rehearsal.evidence | heard(rehearsal.asked, "storage"), SECRETS) == []
    assert leaks(rehearsal.tokens, GIVEN) == []


def test_no_signed_link_is_written_down(rehearsal: Rehearsal) -> None:
    assert signed_links(rehearsal.evidence) == []


def test_no_secret_stands_in_an_address(rehearsal: Rehearsal) -> None:
    assert leaks({one.path: one.path.encode() for one in rehearsal.asked}, SECRETS) == []
