"""Exit codes of one and of many jobs, and the verdict that a script reads."""

from datetime import UTC, datetime

import pytest
from hypothesis import given
from hypothesis import strategies as st

from jobfetch import errors
from jobfetch.commands.report import Report
from jobfetch.errors import MEANINGS, Exit, JobFailed, JobfetchError, NotFound, StillRunning
from jobfetch.model import Outcome, Verdict, combined


@pytest.mark.parametrize(
    ("exits", "expected"),
    [
        ([], Exit.DONE),
        ([Exit.DONE], Exit.DONE),
        ([Exit.DONE, Exit.DONE], Exit.DONE),
        ([Exit.RUNNING], Exit.RUNNING),
        ([Exit.DONE, Exit.RUNNING], Exit.RUNNING),
        ([Exit.FAILED], Exit.FAILED),
        ([Exit.FAILED, Exit.FAILED], Exit.FAILED),
        ([Exit.NOT_FOUND, Exit.NOT_FOUND], Exit.NOT_FOUND),
        ([Exit.UNAVAILABLE, Exit.UNAVAILABLE], Exit.UNAVAILABLE),
        ([Exit.PARTIAL], Exit.PARTIAL),
        ([Exit.FAILED, Exit.GONE], Exit.PARTIAL),
        ([Exit.DONE, Exit.FAILED], Exit.PARTIAL),
        ([Exit.FAILED, Exit.RUNNING], Exit.PARTIAL),
        ([Exit.DONE, Exit.RUNNING, Exit.FAILED], Exit.PARTIAL),
        ([Exit.DONE, Exit.PARTIAL], Exit.PARTIAL),
    ],
)
def test_many_jobs_give_one_exit_code(exits: list[Exit], expected: Exit) -> None:
    assert combined(exits) is expected


@given(st.lists(st.sampled_from(Exit)))
def test_the_order_of_the_jobs_does_not_matter(exits: list[Exit]) -> None:
    assert combined(exits) is combined(sorted(exits)) is combined(sorted(exits, reverse=True))


@given(st.lists(st.sampled_from(Exit), min_size=1))
def test_success_is_said_only_when_all_succeeded(exits: list[Exit]) -> None:
    assert (combined(exits) is Exit.DONE) == (set(exits) == {Exit.DONE})


def test_the_numbers_are_the_ones_that_scripts_know() -> None:
    assert [int(code) for code in Exit] == [0, 1, 2, 3, 4, 5, 6, 7, 8, 10, 11, 12, 13, 75, 130, 141, 143]


def test_every_exit_code_has_a_meaning() -> None:
    assert set(MEANINGS) == set(Exit)


def test_every_exit_code_but_success_and_bug_has_an_error() -> None:
    shapes = [shape for shape in vars(errors).values() if isinstance(shape, type) and issubclass(shape, JobfetchError)]
    assert {shape.exit for shape in shapes} == set(Exit) - {Exit.DONE}


def test_a_verdict_of_many_tells_of_what_needs_somebody_and_not_of_what_still_runs() -> None:
    report = Report()
    for number, error in enumerate((StillRunning("runs"), NotFound("none"), JobFailed("failed")), start=1):
        report.outcomes.append(Outcome(job_id=str(number), state=None, exit=error.exit, error=error))
    verdict = report.verdict()
    assert verdict.error
    assert (verdict.exit, verdict.error.message, verdict.job_id) == (Exit.PARTIAL, "none", "2")


def test_the_verdict_has_its_keys_in_the_promised_order() -> None:
    assert list(Verdict(exit=Exit.DONE).as_json()) == [
        "ok",
        "exit_code",
        "outcome",
        "retryable",
        "retry_at",
        "counts",
        "outputs",
        "error",
    ]


def test_data_stands_last_and_only_where_there_is_some() -> None:
    assert list(Verdict(exit=Exit.DONE, data={"x": 1}).as_json())[-1] == "data"
    assert "data" not in Verdict(exit=Exit.DONE).as_json()


def test_a_good_verdict_is_ok_and_has_no_error() -> None:
    assert Verdict(exit=Exit.DONE, counts={"succeeded": 2}, outputs=("a.json",)).as_json() == {
        "ok": True,
        "exit_code": 0,
        "outcome": "done",
        "retryable": False,
        "retry_at": None,
        "counts": {"succeeded": 2},
        "outputs": ["a.json"],
        "error": None,
    }


def test_an_error_in_a_verdict_has_its_keys_in_the_promised_order() -> None:
    error = NotFound("no such job", hint="check the id", code="resource_error", request_id="r-1")
    told = Verdict(exit=Exit.NOT_FOUND, error=error, provider="playment", job_id="7").as_json()["error"]
    assert list(told.items()) == [
        ("code", "resource_error"),
        ("message", "no such job"),
        ("hint", "check the id"),
        ("provider", "playment"),
        ("job_id", "7"),
        ("request_id", "r-1"),
    ]


def test_an_error_without_a_code_of_the_service_is_named_by_its_outcome() -> None:
    assert Verdict(exit=Exit.NOT_FOUND, error=NotFound("x")).as_json()["error"]["code"] == "not_found"


def test_when_to_come_back_is_written_in_utc() -> None:
    verdict = Verdict(exit=Exit.RUNNING, retry_at=datetime(2026, 1, 31, 9, 30, tzinfo=UTC))
    assert verdict.as_json()["retry_at"] == "2026-01-31T09:30:00.000Z"


@pytest.mark.parametrize("code", [Exit.PARTIAL, Exit.UNAVAILABLE, Exit.LOCKED, Exit.RUNNING, Exit.INTERRUPTED])
def test_these_may_end_better_when_run_again(code: Exit) -> None:
    assert Verdict(exit=code).as_json()["retryable"] is True


@pytest.mark.parametrize("code", [Exit.DONE, Exit.USAGE, Exit.CREDENTIALS, Exit.NOT_FOUND, Exit.FAILED, Exit.GONE])
def test_these_will_not(code: Exit) -> None:
    assert Verdict(exit=code).as_json()["retryable"] is False
