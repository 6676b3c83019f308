"""Help: every command tells its purpose, its options in groups, an example that works, and how it may end."""

import re
import shlex
import signal
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest

from jobfetch.cli import declared
from jobfetch.errors import MEANINGS, Exit

from .program import Here, Program, until

pytestmark = pytest.mark.here


def lines_of(app: Any, *above: str) -> Iterator[tuple[str, ...]]:
    """The words of every command."""
    for command in app.registered_commands:
        yield (*above, command.name)
    for group in app.registered_groups:
        yield from lines_of(group.typer_instance, *above, group.name)


COMMANDS = [*lines_of(declared.app)]
GROUPS = sorted({words[:end] for words in COMMANDS for end in range(len(words))})


def sections(text: str) -> dict[str, str]:
    """What the help says under each of its headings."""
    found = re.split(r"^(\S[^:\n]*):$", text, flags=re.MULTILINE)
    return dict(zip(found[1::2], found[2::2], strict=True))


def example_of(text: str) -> list[str]:
    return shlex.split(sections(text)["Example"])[1:]


@pytest.mark.parametrize("words", COMMANDS, ids=" ".join)
def test_a_command_tells_purpose_options_in_groups_an_example_and_exit_codes(
    words: tuple[str, ...], bare: Program
) -> None:
    run = bare(*words, "--help", COLUMNS="80")
    found = sections(run.out.decode())
    assert run.code == 0
    assert run.out.decode().splitlines()[2].strip()
    assert "Options" not in found
    assert {"All commands", "Example", "Exit codes"} <= {*found}
    assert example_of(run.out.decode())[: len(words)] == [*words]
    codes = [int(code) for code in re.findall(r"^  (\d+) ", found["Exit codes"], re.MULTILINE)]
    assert codes == sorted({*codes})
    assert {*codes} <= {int(code) for code in MEANINGS}
    # an example may be longer than the terminal is wide: it is there to be copied
    assert all(len(line) <= 80 for line in run.out.decode().replace(found["Example"], "").splitlines())


#: Groups whose commands are the providers.
BY_PROVIDER = {("get",), ("status",), ("batch", "download"), ("auth", "login")}


@pytest.mark.parametrize("words", GROUPS, ids=" ".join)
def test_a_group_tells_each_of_its_commands_in_one_line_that_is_not_cut(words: tuple[str, ...], bare: Program) -> None:
    run = bare(*words, "--help", COLUMNS="80")
    assert run.code == 0
    found = sections(run.out.decode())
    told = found["Providers" if words in BY_PROVIDER else "Commands"]
    assert "..." not in told
    below = {each[len(words)] for each in COMMANDS if each[: len(words)] == words}
    assert {line.split()[0] for line in told.splitlines() if line.startswith("  ") and line[2:3] != " "} - {
        "`jobfetch"
    } >= below


#: What runs until it is interrupted, takes long, or writes where a shell looks: tried in tests of their own.
ELSEWHERE = {("sandbox", "serve"), ("sandbox", "run"), ("completions", "install"), ("demo",)}


def test_every_example_works_and_ends_as_its_help_says(here: Here, out: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.chdir(out)
    # a folder must be filled before it can be looked after
    for words in sorted(COMMANDS, key=lambda words: (words[:2] != ("batch", "download"), words[-1] == "unset")):
        text = here(*words, "--help").out.decode()
        example = example_of(text)
        if words in ELSEWHERE or words[:2] == ("auth", "login"):
            continue
        if words[:2] == ("batch", "download"):
            (out / "ids.txt").write_text({"cognite": "200\n"}.get(words[2], "done\n"))
            example = ["results-" + words[2] if word == "results" else word for word in example]
        elif "results" in example:
            example = ["results-playment" if word == "results" else word for word in example]
        # as it is, but for how long a service wants to be left alone
        run = here(*example, *(("--interval", "0.05") if "--wait" in example else ()))
        assert re.search(rf"^  {run.code} ", sections(text)["Exit codes"], re.MULTILINE), (words, run.code, run.said)
        assert run.code in {Exit.DONE, Exit.RUNNING}, (words, run.said)


@pytest.mark.parametrize("words", [words for words in COMMANDS if words[:2] == ("auth", "login")], ids=" ".join)
def test_the_example_of_a_login_asks_for_the_secret_that_it_names(words: tuple[str, ...], here: Here) -> None:
    example = example_of(here(*words, "--help").out.decode())
    run = here(*example, "--no-check", "--secret-stdin", stdin=b"a-secret\n")
    assert run.code == 0, run.said


def test_the_example_of_the_sandbox_plays_until_it_is_interrupted(home: Path) -> None:
    program = Program(home, {})
    example = example_of(program("sandbox", "serve", "--help").out.decode())
    with program.start(*example) as process:
        assert process.stdout
        until(lambda: process.poll() is not None or b"export" in process.stdout.readline())  # type: ignore[union-attr]
        process.send_signal(signal.SIGINT)
        assert process.wait(30) == Exit.INTERRUPTED


def test_help_keeps_to_a_narrow_terminal(home: Path) -> None:
    said = Program(home, {})("get", "playment", "--help", COLUMNS="40").out.decode()
    assert all(len(line) <= 40 for line in said.replace(sections(said)["Example"], "").splitlines())
