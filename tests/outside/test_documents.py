"""Every command that the documents show is run against the sandbox or, where it needs more, read by the program.

```console   lines after `$` are run, one after the other in one folder, and must say what is shown (`...`: anything)
```python    is run, unless `no-run` stands behind
```crontab   its commands are run
other        commands in it must be ones that the program takes
"""

import contextlib
import importlib
import io
import os
import re
import shlex
import subprocess
import sys
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any
from unittest import mock

import pytest

from jobfetch import cli, commands
from jobfetch.commands.sandbox import apart
from jobfetch.sandbox import Sandbox

ROOT = Path(__file__).parent.parent.parent
WRITTEN = [
    "README.md",
    *(f"docs/{name}.md" for name in ("batch", "configuration", "library", "output", "recipes", "security")),
]

_BLOCK = re.compile(r"^```(\S*)([^\n]*)\n(.*?)^```$", re.MULTILINE | re.DOTALL)
_COMMAND = re.compile(r"(?<![\w/.-])jobfetch (?!sandbox\b|completions\b)[a-z-][^\n]*")
#: What only the shell can do.
_SHELL = re.compile(r"[|;&<>$`]")
_SCHEDULE = re.compile(r"^(?:\S+\s+){5}(?=jobfetch)")


def blocks(name: str, *kinds: str) -> list[str]:
    """The blocks of a document that are of such a kind, also those that are only indented."""
    return [
        text for kind, more, text in _BLOCK.findall((ROOT / name).read_text()) if kind in kinds and not more.strip()
    ]


@pytest.fixture
def typed(sandbox: Sandbox, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Callable[[str], str]:
    """Type a line into a shell that reaches the sandbox only, and read what it says."""
    place = tmp_path / "home" / "work"
    (tmp_path / "home" / "data").mkdir(parents=True)
    place.mkdir()
    more = {"HOME": str(place.parent), "JOB": "done", "BATCH": "batch-3", "LC_ALL": "C"}
    path = f"{Path(sys.executable).parent}{os.pathsep}{os.environ['PATH']}"
    environment = {**apart(sandbox.environment(), place.parent), **more, "PATH": path}
    for key in [*os.environ]:
        monkeypatch.delenv(key)
    for key, value in environment.items():
        monkeypatch.setenv(key, value)
    monkeypatch.chdir(place)

    def type_(line: str) -> str:
        if line.startswith("jobfetch ") and not _SHELL.search(line):
            return run_here(shlex.split(line)[1:])
        done = subprocess.run(
            ["bash", "-c", line], stdout=subprocess.PIPE, stderr=subprocess.STDOUT, text=True, check=False
        )
        return done.stdout

    return type_


def run_here(words: list[str]) -> str:
    """What a line says, on both streams; a start of its own would only cost time."""
    said = io.TextIOWrapper(io.BytesIO(), encoding="utf-8", write_through=True)
    with mock.patch.multiple(sys, stdin=io.StringIO(), stdout=said, stderr=said, argv=["jobfetch", *words]):
        cli.main(words)
    assert isinstance(said.buffer, io.BytesIO)
    return said.buffer.getvalue().decode()


def matches(shown: str, said: str) -> bool:
    pattern = ".*".join(re.escape(part) for part in shown.split("..."))
    return re.fullmatch(pattern, said, re.DOTALL) is not None


def lines_of(block: str) -> Iterator[tuple[str, str]]:
    """Each line that is typed, and what is shown of its answer."""
    for part in re.split(r"^\$ ", block, flags=re.MULTILINE)[1:]:
        line, _, shown = part.partition("\n")
        yield line, shown


@pytest.mark.parametrize("name", [name for name in WRITTEN if blocks(name, "console")])
def test_every_command_that_is_shown_says_what_is_shown(name: str, typed: Callable[[str], str]) -> None:
    for block in blocks(name, "console"):
        for line, shown in lines_of(block):
            said = typed(line)
            assert matches(shown, said), f"{line}\n--- shown\n{shown}\n--- said\n{said}"


@pytest.mark.parametrize("name", [name for name in WRITTEN if blocks(name, "crontab")])
def test_every_cron_line_works(name: str, typed: Callable[[str], str], tmp_path: Path) -> None:
    for block in blocks(name, "crontab"):
        for line in block.splitlines():
            command = _SCHEDULE.sub("", line)
            if command != line:
                # nobody else is to be told
                assert typed(re.sub(r" --ping \S+", "", command)) == ""
    assert [*(tmp_path / "home" / "data").rglob("job-0001.json")]


@pytest.mark.usefixtures("typed")
@pytest.mark.parametrize("name", [name for name in WRITTEN if blocks(name, "python")])
def test_every_piece_of_python_runs(name: str) -> None:
    names: dict[str, Any] = {}
    said = io.StringIO()
    with contextlib.redirect_stdout(said):
        for number, block in enumerate(blocks(name, "python")):
            exec(compile(block, f"{name}, piece {number}", "exec"), names)
    assert "Traceback" not in said.getvalue()


def shown_commands(name: str) -> list[str]:
    """Commands in all that is not run, as they would be typed."""
    text = (ROOT / name).read_text()
    pieces = [body for kind, _, body in _BLOCK.findall(text) if kind != "console"]
    # a continued line is one, and a list of words is a line
    pieces += re.findall(r"(?:^    [^\n]*\n)+", _BLOCK.sub("", text), re.MULTILINE)
    whole = re.sub(r"\\\n\s*", "", "\n".join(pieces))
    whole = re.sub(r"\[(jobfetch, [^]]*)\]", lambda found: found[1].replace(",", ""), whole)
    return [each.strip() for each in _COMMAND.findall(whole)]


@pytest.mark.usefixtures("typed")
@pytest.mark.parametrize("name", [name for name in WRITTEN if shown_commands(name)])
def test_every_other_command_is_one_that_the_program_takes(name: str, monkeypatch: pytest.MonkeyPatch) -> None:
    taken: list[object] = []

    def take(*_: object) -> int:
        taken.append(_)
        return 0

    for path in Path(commands.__file__).parent.glob("*.py"):
        module = importlib.import_module(f"jobfetch.commands.{path.stem}")
        if path.stem != "report" and hasattr(module, "run"):
            monkeypatch.setattr(module, "run", take)
    # some lines lean on it, as the text around them says
    monkeypatch.setattr("jobfetch.commands.account.default_provider", lambda: "playment")
    found = shown_commands(name)
    for line in found:
        said = run_here(_words(line))
        assert said == "", f"{line}\n{said}"
    assert len(taken) == len(found)


def _words(line: str) -> list[str]:
    """The words of the program itself: not those of the shell or the language around them."""
    bare = re.split(r"\s#", line)[0].strip()
    if bare.count('"') % 2:
        # the end of a text in another language
        bare = bare.rpartition('"')[0]
    lexer = shlex.shlex(bare, posix=True, punctuation_chars="|;&")
    lexer.whitespace_split = True
    words = []
    for word in lexer:
        if set(word) <= set("|;&"):
            break
        words.append(word)
    return words[1:]


@pytest.mark.parametrize("name", WRITTEN)
def test_every_link_between_documents_leads_somewhere(name: str) -> None:
    links = re.findall(r"\]\(([^)#:]+)(?:#[^)]*)?\)", (ROOT / name).read_text())
    assert [link for link in links if not (ROOT / name).parent.joinpath(link).exists()] == []
