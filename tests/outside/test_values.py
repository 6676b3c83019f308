"""Values of options as they are typed: those that are right reach the command as they are, all others are told of."""

import re

import pytest

from .program import Program

pytestmark = pytest.mark.here

BATCH = ("batch", "download", "cognite", "--project", "p", "--base-url", "http://127.0.0.1:9", "--jobs", "-")


@pytest.mark.parametrize(
    ("words", "said"),
    [
        (("--retries", "21"), "--retries"),
        (("--retries", "-1"), "--retries"),
        (("--retries", "x"), "--retries"),
        (("--retries", ""), "--retries"),
        (("--retries", "٣x"), "--retries"),
        (("--limit", "0"), "--limit"),
        (("--retries", "9" * 5000), "--retries"),
        (("-f", "what"), "'what' is not one of 'json'"),
        (("--format", ""), "--format"),
        (("--workers",), "--workers"),
        (("more",), "unexpected extra argument"),
        (("--no-such",), "--no-such"),
    ],
    ids=" ".join,
)
def test_a_value_that_cannot_be_is_told_of_by_its_option(bare: Program, words: tuple[str, ...], said: str) -> None:
    run = bare(*BATCH, "-o", "out", *words)
    assert run.code == 2
    assert said in run.said
    assert re.search(r"hint: jobfetch( batch download cognite)? --help", run.said)


def test_what_is_missing_is_told_of(bare: Program) -> None:
    assert [bare(*line).code for line in [("get", "cognite"), ("export",), ("config", "set", "a")]] == [2, 2, 2]


@pytest.mark.parametrize(
    "words", [("--retries", "0"), ("--retries", "007"), ("--limit", "1"), ("-f", "csv"), ("-v", "-v")]
)
def test_a_value_that_can_be_is_taken(bare: Program, tmp_path: object, words: tuple[str, ...]) -> None:
    run = bare(*BATCH, "-o", f"{tmp_path}/out", *words, stdin=b"", COGNITE_TOKEN="t")
    assert run.code == 0, run.said
