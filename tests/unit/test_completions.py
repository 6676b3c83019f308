"""What only this machine knows, found between two key strokes: every name, no value, and never too much."""

import json
import sys
import tomllib
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest
import tomli_w
from hypothesis import given, settings
from hypothesis import strategies as some

from jobfetch import completions, places

NAME = some.from_regex(r"[A-Za-z0-9_-]{1,8}", fullmatch=True)
VALUE = some.one_of(some.text(max_size=12), some.integers(), some.booleans(), some.lists(some.text(max_size=4)))
TABLES = some.dictionaries(NAME, VALUE | some.dictionaries(NAME, VALUE | some.dictionaries(NAME, VALUE, max_size=2)))


@pytest.fixture
def words(tmp_path: Path) -> Callable[..., list[str]]:
    """The words at the end of a line, each without what is told of it."""

    def words(kind: str, *line: str) -> list[str]:
        found = completions.words(kind, line, {"JOBFETCH_CONFIG_DIR": str(tmp_path)})
        return [word.partition("\t")[0] for word in found]

    return words


@pytest.fixture
def folder(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Callable[..., Path]:
    """Make a batch folder in the current one, with these ids on record."""
    monkeypatch.chdir(tmp_path)

    def folder(*ids: str, name: str = ".", provider: str = "exabase") -> Path:
        place = tmp_path / name
        place.mkdir(exist_ok=True)
        header = {"schema": "jobfetch.manifest/1", "provider": provider, "params": {}}
        lines = [header, *({"job_id": job_id, "state": "succeeded"} for job_id in ids)]
        told = (json.dumps(line, separators=(",", ":"), ensure_ascii=False) + "\n" for line in lines)
        (place / "manifest.jsonl").write_text("".join(told), encoding="utf-8")
        return place

    return folder


@settings(max_examples=50)
@given(TABLES)
def test_a_plain_reading_finds_what_a_parser_finds(tables: dict[str, Any]) -> None:
    text = tomli_w.dumps(tables)
    plain = completions._plain(text)
    assert plain is None or plain == completions._parsed(text)


@pytest.mark.parametrize(
    "text",
    [
        '[playment.profiles]\nwork = { project = "p" }',
        '[playment.profiles."work"]\nproject = "p"',
        "playment = { profiles = { work = {} } }",
        '[playment]\nprofiles.work.project = "p"',
        '[playment.profiles.work] # mine\nproject = "p # [playment.profiles.no]"',
        "[playment]\nstates = '''\n[playment.profiles.no]\n'''\n[playment.profiles.work]",
        '[playment]\napi_key_command = [\n"a = b",\n]\n[playment.profiles.work]',
    ],
)
def test_profiles_are_found_however_they_are_written(
    tmp_path: Path, words: Callable[..., list[str]], text: str
) -> None:
    tomllib.loads(text)
    (tmp_path / "config.toml").write_text(text)
    assert words("profiles", "get", "playment", "--profile", "") == ["work"]


def test_the_settings_that_nearly_everybody_has_need_no_parser() -> None:
    assert completions._plain('default_provider = "x"\n[a]\nb.c = 1\nd = ["e", "f"]\n') == {
        ("default_provider",),
        ("a",),
        ("a", "b"),
        ("a", "b", "c"),
        ("a", "d"),
    }


@pytest.mark.parametrize(
    ("line", "found"),
    [
        (["get", "cognite", "--profile", ""], ["work"]),
        (["auth", "logout", "playment", "--profile", ""], ["home"]),
        (["batch", "download", "playment", "--profile", ""], ["home"]),
        (["batch", "verify", "playment", "--profile", ""], ["home", "work"]),
        (["get", "exabase", "--profile", ""], []),
        (["doctor", "--profile", "h"], ["home"]),
    ],
)
def test_profiles_are_those_of_the_line_s_provider(
    tmp_path: Path, words: Callable[..., list[str]], line: list[str], found: list[str]
) -> None:
    (tmp_path / "config.toml").write_text("[cognite.profiles.work]\n[playment.profiles.home]\n")
    assert words("profiles", *line) == found


def test_what_a_terminal_would_act_upon_is_not_offered(
    folder: Callable[..., Path], words: Callable[..., list[str]]
) -> None:
    folder("a", "b\x1b[2J", "c\nd", "e\tf", "ü b")
    assert words("jobs", "get", "exabase", "") == ["a", "ü b"]


def test_ids_are_those_of_the_named_folder_and_the_folders_in_it(
    folder: Callable[..., Path], words: Callable[..., list[str]]
) -> None:
    folder("here")
    folder("there", name="sub")
    folder("foreign", name="other", provider="cognite")
    assert words("jobs", "get", "exabase", "") == ["here", "there"]
    assert words("jobs", "get", "exabase", "-o", "sub", "") == ["there"]
    assert words("jobs", "status", "cognite", "--output=other", "") == ["foreign"]


def test_an_id_that_is_typed_already_is_not_offered_again(
    folder: Callable[..., Path], words: Callable[..., list[str]]
) -> None:
    folder("a1", "a2", 'a"3')
    assert words("jobs", "get", "exabase", "a1", "a") == ['a"3', "a2"]
    assert words("jobs", "get", "exabase", 'a"') == ['a"3']


def test_a_job_is_told_with_its_last_state(folder: Callable[..., Path]) -> None:
    place = folder("a")
    with (place / "manifest.jsonl").open("a") as file:
        file.write('{"job_id":"a","state":"failed"}\n{"job_id":"torn","state":"fa')
    assert completions.words("jobs", ["get", "exabase", ""], {}) == ["a\tfailed"]


def test_very_many_ids_are_cut_short(
    folder: Callable[..., Path], words: Callable[..., list[str]], monkeypatch: pytest.MonkeyPatch
) -> None:
    folder(*(f"{number:05}" for number in range(3000)))
    assert len(words("jobs", "get", "exabase", "")) == completions.MOST_WORDS
    monkeypatch.setattr(completions, "MOST_BYTES", 500)
    assert len(words("jobs", "get", "exabase", "")) < 20


def test_a_file_that_is_no_manifest_has_no_ids(
    tmp_path: Path, words: Callable[..., list[str]], monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.chdir(tmp_path)
    (tmp_path / "manifest.jsonl").write_text('{"provider":"exabase"}\n{"job_id":"a"}\n')
    assert words("jobs", "get", "exabase", "") == []
    assert words("jobs", "get", "exabase", "-o", "nowhere", "") == []


@pytest.mark.parametrize(
    "environ",
    [
        {},
        {"XDG_CONFIG_HOME": "/x"},
        {"XDG_CONFIG_HOME": " "},
        {"JOBFETCH_CONFIG_DIR": "c"},
        {"JOBFETCH_CONFIG_DIR": ""},
    ],
)
@pytest.mark.parametrize("platform", ["linux", "darwin"])
def test_the_folder_of_settings_is_where_every_command_has_it(
    monkeypatch: pytest.MonkeyPatch, environ: dict[str, str], platform: str
) -> None:
    monkeypatch.setattr(sys, "platform", platform)
    monkeypatch.delenv("XDG_CONFIG_HOME", raising=False)
    for name, value in environ.items():
        monkeypatch.setenv(name, value)
    monkeypatch.setenv("HOME", "/home/somebody")
    assert completions.config_folder({"HOME": "/home/somebody", **environ}) == str(places.config_folder(environ))
