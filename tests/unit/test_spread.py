"""Work spread over processes: every piece once and in order, whatever becomes of a helper."""

import os
import signal
from collections.abc import Callable, Iterator

import pytest

from jobfetch.spread import cores, spread

HERE = os.getpid()


def thrice(number: int) -> Iterator[str]:
    """Three pieces, the last of them larger than a pipe."""
    yield from (f"{number}a", f"{number}b", f"{number}" * 2_000_000)


def pieces_of(stretches: int, processes: int, work: Callable[[int], Iterator[str]] = thrice) -> list[str]:
    with spread(lambda: range(stretches), work, processes=processes) as pieces:
        return [piece[:4] for piece in pieces]


def children() -> int:
    try:
        os.waitpid(-1, os.WNOHANG)
    except ChildProcessError:
        return 0
    return 1


@pytest.mark.parametrize("processes", [1, 2, 3, 7])
@pytest.mark.parametrize("stretches", [0, 1, 5])
def test_pieces_come_in_order_from_any_number_of_helpers(processes: int, stretches: int) -> None:
    assert pieces_of(stretches, processes) == pieces_of(stretches, 1)
    assert children() == 0


@pytest.mark.parametrize("dies_at", [1, 2, 5])
def test_what_a_killed_helper_did_not_finish_is_done_here(dies_at: int) -> None:
    def work(number: int) -> Iterator[str]:
        yield f"{number}a"
        if number == dies_at and os.getpid() != HERE:
            os.kill(os.getpid(), signal.SIGKILL)
        yield f"{number}b"

    assert pieces_of(9, 2, work) == [f"{number}{word}" for number in range(9) for word in "ab"]


def test_an_error_in_a_helper_is_raised_here_behind_all_pieces_before_it() -> None:
    def work(number: int) -> Iterator[str]:
        yield f"{number}a"
        if number == 4:
            raise ValueError(f"stretch {number} in {os.getpid()}")
        yield f"{number}b"

    found: list[str] = []
    with (
        pytest.raises(ValueError, match=f"stretch 4 in {HERE}"),
        spread(lambda: range(9), work, processes=3) as pieces,
    ):
        found.extend(pieces)
    assert found == [*(f"{number}{word}" for number in range(4) for word in "ab"), "4a"]
    assert children() == 0


def test_helpers_are_gone_when_the_block_is_left_early() -> None:
    with spread(lambda: range(1000), thrice, processes=3) as pieces:
        assert next(pieces) == "0a"
    assert children() == 0


def test_every_stretch_is_told_of_once_it_is_through_here_and_nowhere_else() -> None:
    told: list[tuple[int, int]] = []
    with spread(
        lambda: range(5), thrice, through=lambda number: told.append((number, os.getpid())), processes=2
    ) as pieces:
        assert len([*pieces]) == 15
    assert told == [(number, HERE) for number in range(5)]


def test_there_is_a_core_at_least() -> None:
    assert 1 <= cores() <= 4
