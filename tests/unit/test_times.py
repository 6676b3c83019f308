"""Times as services write them, and how long they ask us to wait."""

from collections.abc import Callable
from datetime import UTC, datetime, timedelta, timezone
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from jobfetch.model import LONGEST_HINT, Reply, hint, retry_after, rfc3339, timestamp

NOW = datetime(2026, 1, 1, tzinfo=UTC)
A_MINUTE_LATER = "Thu, 01 Jan 2026 00:01:00 GMT"
DAY = 24 * 3600.0


@pytest.mark.parametrize(
    ("value", "expected"),
    [
        (1730204346000, "2024-10-29T12:19:06.000Z"),
        (1730204346123, "2024-10-29T12:19:06.123Z"),
        (0, "1970-01-01T00:00:00.000Z"),
        (-1, "1969-12-31T23:59:59.999Z"),
        ("2019-08-23T17:55:13.203229+05:30", "2019-08-23T12:25:13.203Z"),
        ("2019-08-23T00:10:00-08:00", "2019-08-23T08:10:00.000Z"),
        ("2024-01-01T00:00:00Z", "2024-01-01T00:00:00.000Z"),
        ("2024-01-01T00:00:00", "2024-01-01T00:00:00.000Z"),
        ("2024-01-01 12:30", "2024-01-01T12:30:00.000Z"),
        ("2024-01-01", "2024-01-01T00:00:00.000Z"),
    ],
)
def test_a_time_becomes_utc(value: Any, expected: str) -> None:
    assert timestamp(value) == expected


@pytest.mark.parametrize(
    "value",
    [
        None,
        True,
        "",
        "soon",
        "2024-13-01",
        [],
        {},
        1e30,
        -1e30,
        float("nan"),
        float("inf"),
        10**400,
        "0001-01-01T00:00:00+05:30",
        "9999-12-31T23:59:59-05:00",
    ],
    ids=lambda value: repr(value)[:30],
)
def test_a_time_that_nobody_can_read_is_no_time(value: Any) -> None:
    assert timestamp(value) is None


def test_a_moment_is_written_in_utc_with_milliseconds() -> None:
    moment = datetime(2026, 1, 31, 9, 30, 0, 999_999, tzinfo=timezone(timedelta(hours=5, minutes=30)))
    assert rfc3339(moment) == "2026-01-31T04:00:00.999Z"


def test_no_moment_is_written_as_nothing() -> None:
    assert rfc3339(None) is None


@pytest.mark.parametrize(
    ("asked", "seconds"),
    [
        ("5", 5.0),
        (" 5 ", 5.0),
        ("1.5", 1.5),
        ("86400", DAY),
        ("86401", DAY),
        ("9999999999", DAY),
        ("9" * 30, DAY),
        (A_MINUTE_LATER, 60.0),
        ("Thursday, 01-Jan-26 00:01:00 GMT", 60.0),
        ("Thu Jan  1 00:01:00 2026", 60.0),
        ("Fri, 01 Jan 2038 00:00:00 GMT", DAY),
    ],
)
def test_retry_after_is_a_number_of_seconds_or_a_date(reply: Callable[..., Reply], asked: str, seconds: float) -> None:
    assert retry_after(reply(retry_after=asked), NOW) == seconds


@pytest.mark.parametrize(
    "asked",
    [
        "",
        "0",
        "-5",
        "²",
        "٣",
        "1e5",
        "0x10",
        "5 s",
        "soon",
        "Thu, 99 Jan 2026 00:01:00 GMT",
        "Wed, 31 Dec 2025 23:59:00 GMT",
    ],
)
def test_a_retry_after_that_asks_for_nothing_is_ignored(reply: Callable[..., Reply], asked: str) -> None:
    assert retry_after(reply(retry_after=asked), NOW) is None


def test_no_retry_after_asks_for_nothing(reply: Callable[..., Reply]) -> None:
    assert retry_after(reply(), NOW) is None


def test_a_date_is_held_against_the_servers_own_clock(reply: Callable[..., Reply]) -> None:
    late = reply(retry_after=A_MINUTE_LATER, date="Thu, 01 Jan 2026 00:00:30 GMT")
    assert retry_after(late, NOW + timedelta(hours=7)) == 30.0


def test_a_server_clock_that_nobody_can_read_leaves_ours(reply: Callable[..., Reply]) -> None:
    assert retry_after(reply(retry_after=A_MINUTE_LATER, date="garbage"), NOW) == 60.0


@pytest.mark.parametrize(
    ("value", "seconds"),
    [(5, 5.0), (0.5, 0.5), (999_999, DAY), (float("inf"), DAY), (10**400, DAY)],
    ids=["5", "0.5", "999999", "inf", "400 digits"],
)
def test_a_hint_in_a_body_is_a_positive_number_cut_to_a_day(value: float, seconds: float) -> None:
    assert hint(value) == seconds


@pytest.mark.parametrize("value", [None, True, False, 0, -1, "5", "abc", [5], {}, float("nan")])
def test_any_other_hint_is_ignored(value: Any) -> None:
    assert hint(value) is None


@given(st.text() | st.from_regex(r"[0-9 .:,GMT+-]*", fullmatch=True))
def test_no_retry_after_ever_breaks_or_asks_for_more_than_a_day(asked: str) -> None:
    seconds = retry_after(Reply(429, {"retry-after": asked}, b""), NOW)
    assert seconds is None or 0 < seconds <= LONGEST_HINT


@given(st.integers() | st.floats() | st.text() | st.datetimes(timezones=st.timezones()).map(str))
def test_no_time_ever_breaks(value: Any) -> None:
    moment = timestamp(value)
    assert moment is None or moment.endswith("Z")
