"""Durations and sizes as people type them."""

import contextlib

import pytest
from hypothesis import given
from hypothesis import strategies as st

from jobfetch.errors import UsageError
from jobfetch.limits import duration, size

TEN_YEARS = 10 * 365 * 86400.0


@pytest.mark.parametrize(
    ("text", "seconds"),
    [
        ("90", 90.0),
        ("0", 0.0),
        ("30s", 30.0),
        ("250ms", 0.25),
        ("5m", 300.0),
        ("1h30m", 5400.0),
        ("1h 30m", 5400.0),
        ("1.5h", 5400.0),
        (".5h", 1800.0),
        ("2d", 172800.0),
        (" 10 M ", 600.0),
        ("9" * 400, TEN_YEARS),
    ],
)
def test_a_duration_is_read(text: str, seconds: float) -> None:
    assert duration(text) == seconds


@pytest.mark.parametrize(
    "text", ["", " ", "-5", "1e3", "1 2", "1h5", "5x", "h", "1.5.5h", "٣", "²", "inf", "nan", "5m!"]
)
def test_what_is_no_duration_is_refused_with_an_example(text: str) -> None:
    with pytest.raises(UsageError, match="no duration") as caught:
        duration(text)
    assert "1h30m" in (caught.value.hint or "")


@given(st.integers(0, 300), st.integers(0, 23), st.integers(0, 59), st.integers(0, 59))
def test_the_parts_of_a_duration_add_up(days: int, hours: int, minutes: int, seconds: int) -> None:
    assert duration(f"{days}d{hours}h{minutes}m{seconds}s") == ((days * 24 + hours) * 60 + minutes) * 60 + seconds


@given(st.text())
def test_any_text_is_a_duration_or_refused(text: str) -> None:
    with contextlib.suppress(UsageError):
        assert 0 <= duration(text) <= TEN_YEARS


@pytest.mark.parametrize(
    ("text", "count"),
    [
        ("0", 0),
        ("1048576", 1048576),
        ("100kB", 100_000),
        ("100KiB", 102_400),
        ("512MiB", 512 * 2**20),
        ("2g", 2 * 10**9),
        ("2GiB", 2**31),
        ("1.5KiB", 1536),
        (" 7 b ", 7),
    ],
)
def test_a_size_is_read(text: str, count: int) -> None:
    assert size(text) == count


@pytest.mark.parametrize("text", ["", "-1", "1e6", "1tb", "k", "1 2", "0x10", "٣", "1,5k"])
def test_what_is_no_size_is_refused_with_an_example(text: str) -> None:
    with pytest.raises(UsageError, match="no size") as caught:
        size(text)
    assert "MiB" in (caught.value.hint or "")


@given(st.integers(0, 2**80))
def test_a_bare_number_is_exactly_so_many_bytes(count: int) -> None:
    assert size(str(count)) == count


@given(st.text())
def test_any_text_is_a_size_or_refused(text: str) -> None:
    with contextlib.suppress(UsageError):
        assert size(text) >= 0


@pytest.mark.parametrize("unit", ["", "k", "GiB", ".5k"])
def test_no_number_is_too_long_to_be_a_size(unit: str) -> None:
    assert size("9" * 400 + unit) > 2**40
