"""The table of behaviours: complete, in one spelling, and free of the program that it tests."""

import ast
from collections import Counter
from pathlib import Path

import pytest

import jobfetch.sandbox
from jobfetch.sandbox import BEHAVIOURS, Behaviour

EXIT_CODES = {0, 4, 5, 6, 7, 8, 10, 11, 75}
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


def test_both_providers_show_the_common_trouble() -> None:
    names = {
        provider: {one.name for one in BEHAVIOURS if one.provider == provider} for provider in ("cognite", "playment")
    }
    common = {"done", "after-3", "never", "html", "cut-body", "reset", "slow-headers", "stall", "gone", "echo-secret"}
    assert common <= names["cognite"] & names["playment"]


def test_the_sandbox_imports_nothing_of_the_program() -> None:
    for path in HOME.glob("*.py"):
        for node in ast.walk(ast.parse(path.read_text(encoding="utf-8"))):
            if isinstance(node, ast.ImportFrom) and (node.module or "").startswith("jobfetch"):
                assert (node.module or "").startswith("jobfetch.sandbox"), path
