"""What is kept between runs: for whom, how long, and that one process renews for all."""

import json
from collections.abc import Callable
from pathlib import Path

import pytest
from msgspec.structs import replace

from jobfetch import disk, locks
from jobfetch.credentials.cache import LEEWAY, Cache, Key, usable

KEY = Key(provider="acme", profile=None, parts=("me", "https://api.example.com"), secret="s3cret")
Make = Callable[[], tuple[str, float | None]]


class Clock:
    """The time of day, to be set."""

    now = 1_700_000_000.0

    def __call__(self) -> float:
        return self.now


@pytest.fixture
def clock() -> Clock:
    return Clock()


@pytest.fixture
def cache(tmp_path: Path, clock: Clock) -> Cache:
    return Cache(tmp_path / "state", wall=clock)


def giving(*values: str, lifetime: float | None = 3600.0) -> Make:
    """Gives one value after the other; one more would be a renewal too many."""
    rest = iter(values)
    return lambda: (next(rest), lifetime)


def files(cache: Cache) -> list[Path]:
    return [path for path, _ in cache.entries()]


def test_a_value_is_kept_for_the_next_run(cache: Cache, clock: Clock, tmp_path: Path) -> None:
    assert cache.get(KEY, giving("T1")) == ("T1", 3600 - LEEWAY)
    assert Cache(tmp_path / "state", wall=clock).get(KEY, giving())[0] == "T1"


@pytest.mark.parametrize(("lifetime", "used"), [(3600.0, 3600 - LEEWAY), (40.0, 20.0), (1.0, 0.5), (0.0, 0.0)])
def test_a_value_is_used_for_most_of_its_life(lifetime: float, used: float) -> None:
    assert usable(lifetime) == used


def test_a_value_is_renewed_before_it_ends(cache: Cache, clock: Clock) -> None:
    make = giving("T1", "T2")
    cache.get(KEY, make)
    clock.now += 3600 - LEEWAY - 1
    assert cache.get(KEY, make) == ("T1", 1.0)
    clock.now += 1
    assert cache.get(KEY, make)[0] == "T2"


def test_a_value_from_the_future_is_not_trusted(cache: Cache, clock: Clock) -> None:
    cache.get(KEY, giving("T1"))
    clock.now -= 3600
    assert cache.get(KEY, giving("T2"))[0] == "T2"


def test_a_refused_value_is_replaced_and_another_ones_is_used(cache: Cache) -> None:
    cache.get(KEY, giving("T1"))
    assert cache.get(KEY, giving("T2"), refused="T1")[0] == "T2"
    assert cache.get(KEY, giving(), refused="T1")[0] == "T2"


def test_a_value_had_with_another_secret_is_not_ours(cache: Cache) -> None:
    cache.get(KEY, giving("T1"))
    assert cache.get(replace(KEY, secret="changed"), giving("T2"))[0] == "T2"


@pytest.mark.parametrize(
    "other", [replace(KEY, profile="work"), replace(KEY, provider="other"), replace(KEY, parts=("you", *KEY.parts[1:]))]
)
def test_who_and_where_keep_values_apart(cache: Cache, other: Key) -> None:
    cache.get(KEY, giving("T1"))
    assert cache.get(other, giving("T2"))[0] == "T2"
    assert cache.get(KEY, giving())[0] == "T1"


def test_a_value_without_a_life_is_not_kept(cache: Cache) -> None:
    assert cache.get(KEY, giving("T1", lifetime=None))[0] == "T1"
    assert files(cache) == []


def test_somebody_who_wants_to_know_gets_a_new_one_which_is_kept(cache: Cache, clock: Clock, tmp_path: Path) -> None:
    cache.get(KEY, giving("T1"))
    assert Cache(tmp_path / "state", wall=clock, anew=True).get(KEY, giving("T2"))[0] == "T2"
    assert cache.get(KEY, giving())[0] == "T2"


def test_files_and_folder_are_for_their_owner_alone(cache: Cache) -> None:
    cache.get(KEY, giving("T1"))
    [path] = files(cache)
    assert (path.stat().st_mode & 0o777, path.parent.stat().st_mode & 0o777) == (0o600, 0o700)


def test_a_file_holds_no_trace_of_the_secret_that_the_value_was_had_with(cache: Cache) -> None:
    cache.get(KEY, giving("T1"))
    [path] = files(cache)
    assert "s3cret" not in path.read_text() + path.name


def test_a_file_that_others_could_read_is_not_used(cache: Cache) -> None:
    cache.get(KEY, giving("T1"))
    files(cache)[0].chmod(0o640)
    assert cache.get(KEY, giving("T2"))[0] == "T2"


TORN = ["", "{", "[]", "null", '{"value": 1}', '{"value":"T9","obtained_at":"x"}', "\x00\x00"]


@pytest.mark.parametrize("text", TORN)
def test_a_torn_file_counts_as_none(cache: Cache, text: str) -> None:
    cache.get(KEY, giving("T1"))
    files(cache)[0].write_text(text)
    assert cache.get(KEY, giving("T2"))[0] == "T2"


@pytest.mark.parametrize("name", ["obtained_at", "expires_at"])
@pytest.mark.parametrize("value", [float("nan"), float("inf"), None, "soon"])
def test_a_file_with_an_impossible_time_counts_as_none(cache: Cache, name: str, value: object) -> None:
    cache.get(KEY, giving("T1"))
    [path] = files(cache)
    path.write_text(json.dumps(json.loads(path.read_text()) | {name: value}))
    assert cache.get(KEY, giving("T2"))[0] == "T2"


def test_a_folder_that_cannot_be_made_stops_nothing(tmp_path: Path, clock: Clock) -> None:
    (tmp_path / "file").write_text("")
    cache = Cache(tmp_path / "file" / "state", wall=clock)
    assert [cache.get(KEY, giving("T1"))[0], cache.get(KEY, giving("T2"))[0]] == ["T1", "T2"]


def test_without_a_home_nothing_is_written_anywhere(
    tmp_path: Path, clock: Clock, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.chdir(tmp_path)
    assert Cache(Path("~/.local/state/jobfetch"), wall=clock).get(KEY, giving("T1"))[0] == "T1"
    assert list(tmp_path.iterdir()) == []


def test_whoever_waited_takes_what_the_other_one_got(cache: Cache, tmp_path: Path, clock: Clock) -> None:
    def renewed_meanwhile() -> float:
        # asked how long to wait, while the other one is still at it: by then it has been kept
        Cache(tmp_path / "state", wall=clock).get(KEY, giving("theirs"))
        return 1.0

    waiting = Cache(tmp_path / "state", wall=clock, patience=renewed_meanwhile)
    assert waiting.get(KEY, giving())[0] == "theirs"


def test_one_who_hangs_does_not_hold_up_the_others_for_ever(cache: Cache, tmp_path: Path, clock: Clock) -> None:
    folder = disk.folder(tmp_path / "state" / "tokens")
    impatient = Cache(tmp_path / "state", wall=clock, patience=lambda: 0.0)
    with locks.locked(folder / f"{KEY.file}.lock", 0.0):
        assert impatient.get(KEY, giving("T1"))[0] == "T1"


def test_what_nobody_may_use_any_more_is_forgotten_as_well(cache: Cache) -> None:
    cache.get(KEY, giving("T1"))
    [path] = files(cache)
    path.chmod(0o644)
    (path.parent / "torn.json").write_text("{")
    assert cache.forget("acme") == 2
    assert list(path.parent.iterdir()) == []


def test_what_is_forgotten_is_gone_for_one_profile_or_for_all(cache: Cache) -> None:
    work = replace(KEY, profile="work")
    for key in (KEY, work, replace(KEY, provider="other")):
        cache.get(key, giving("T"))
    assert cache.forget("acme", "work") == 1
    assert cache.forget("acme") == 1
    assert [entry.provider for _, entry in cache.entries()] == ["other"]
