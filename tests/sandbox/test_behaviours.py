"""The table of behaviours: complete, in one spelling, and free of the program that it tests."""

import ast
from collections import Counter
from pathlib import Path

import pytest

import jobfetch.sandbox
from jobfetch.sandbox import BEHAVIOURS, Behaviour

EXIT_CODES = {0, 4, 5, 6, 7, 8, 10, 11, 75}
PROVIDERS = ("cognite", "exabase", "playment", "justcrawl", "expertai")
HOME = Path(jobfetch.sandbox.__file__).parent


def test_no_job_id_stands_for_two_things() -> None:
    assert max(Counter((one.provider, one.job_id) for one in BEHAVIOURS).values()) == 1


def test_no_provider_has_a_name_twice() -> None:
    assert max(Counter((one.provider, one.name) for one in BEHAVIOURS).values()) == 1


@pytest.mark.parametrize("name", sorted({one.name for one in BEHAVIOURS}))
def test_the_same_name_means_the_same_over_all_providers(name: str) -> None:
    same = {(one.exit_code, one.what) for one in BEHAVIOURS if one.name == name}
    assert len(same) == 1


@pytest.mark.parametrize("one", BEHAVIOURS, ids=lambda one: f"{one.provider}-{one.name}")
def test_a_behaviour_has_an_exit_code_that_the_program_knows(one: Behaviour) -> None:
    assert one.exit_code in EXIT_CODES
    assert one.needs_timeout == (one.exit_code == 75)


def test_cognites_ids_are_numbers() -> None:
    assert all(one.job_id.isdecimal() for one in BEHAVIOURS if one.provider == "cognite")


@pytest.mark.parametrize("provider", PROVIDERS)
def test_every_provider_shows_the_common_trouble(provider: str) -> None:
    names = {one.name for one in BEHAVIOURS if one.provider == provider}
    common = {
        *("sample", "done", "after-3", "never", "unknown-word", "gzip", "hostile", "fails"),
        *("refused-token", "forbidden", "not-found", "gone", "teapot", "hostile-error", "echo-secret"),
        *(
            "rate-limited",
            "rate-limited-date",
            "rate-limited-long",
            "unavailable",
            "unavailable-then-well",
            "error-500",
        ),
        *("html", "not-json", "cut-body", "cut-once", "reset", "reset-once", "slow-headers", "slow-body", "stall"),
        *("redirect-same", "redirect-loop", "redirect-elsewhere"),
    }
    assert common - names == ({"fails"} if provider == "playment" else set())


def test_what_only_assets_show_says_so() -> None:
    shown = [one for one in BEHAVIOURS if one.name.startswith("assets") or "missing" in one.name]
    assert {one.provider for one in shown} == {"exabase", "playment", "justcrawl"}
    assert [one.name for one in shown if one.exit_code and "--assets" not in one.what] == []


def test_the_sandbox_imports_nothing_of_the_program() -> None:
    for path in HOME.glob("*.py"):
        for node in ast.walk(ast.parse(path.read_text(encoding="utf-8"))):
            if isinstance(node, ast.ImportFrom) and (node.module or "").startswith("jobfetch"):
                assert (node.module or "").startswith("jobfetch.sandbox"), path
