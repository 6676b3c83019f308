"""What the repository promises about itself: files made from code are current, and so is what the README says."""

import html
import importlib.util
import os
import re
import subprocess
import sys
from pathlib import Path
from types import ModuleType
from unittest import mock

import pytest

from jobfetch.cli import declared, root
from jobfetch.errors import MEANINGS, Exit
from jobfetch.providers import PROVIDERS

ROOT = Path(__file__).parent.parent


def script(path: str) -> ModuleType:
    """A script of the repository, imported."""
    spec = importlib.util.spec_from_file_location(Path(path).stem, ROOT / path)
    assert spec
    assert spec.loader
    # where dataclasses look for the module that they are in
    module = sys.modules[spec.name] = importlib.util.module_from_spec(spec)
    with mock.patch.object(sys, "path", [str((ROOT / path).parent), *sys.path]):
        spec.loader.exec_module(module)
    return module


@pytest.mark.parametrize("path", ["completions/generate.py", "docs/documents.py"])
def test_every_file_that_is_made_from_code_is_current(path: str) -> None:
    made = script(path).generated()
    stale = [str(path) for path, text in made.items() if (ROOT / path).read_text() != text]
    assert stale == [], "run `make generated`"


def test_the_picture_in_the_readme_shows_the_lines_that_made_it_and_loads_nothing() -> None:
    picture = html.unescape((ROOT / "docs/session.svg").read_text()).replace("\xa0", " ")
    assert all(line in picture for line in script("docs/session.py").LINES)
    assert re.findall(r"(?:href|src|url)\W+http[^\s\"')]+|@import|<script", picture) == []


def test_the_readme_tells_every_exit_code_with_its_meaning() -> None:
    rows = re.findall(r"^\| (\d+) \| (.+) \|$", (ROOT / "README.md").read_text(), re.MULTILINE)
    assert rows == [(str(int(code)), meaning) for code, meaning in MEANINGS.items()]


def test_every_exit_code_has_a_meaning() -> None:
    assert set(MEANINGS) == set(Exit)


@pytest.mark.parametrize("name", PROVIDERS)
def test_the_readme_names_every_provider(name: str) -> None:
    assert f"| `{name}` |" in (ROOT / "README.md").read_text()


def test_every_module_says_what_it_is_for_in_its_first_line() -> None:
    silent = [str(path) for path in (ROOT / "jobfetch").rglob("*.py") if not path.read_text().startswith('"""')]
    assert silent == []


# --- what is imported before it is needed: nothing that takes long ---

#: Runs a line to its end, or to its first look at the network, and prints every module that was imported by then.
_IMPORTED = """
import atexit, socket, sys
def asked(*_, **__): raise SystemExit(77)
socket.getaddrinfo = asked
atexit.register(lambda: print(*sys.modules, file=sys.stderr))
from jobfetch.__main__ import main
main()
"""

#: What nothing needs that has not been asked for it, whatever is run.
NEVER = {"pydantic", "jmespath", "keyring", "pyarrow", "zstandard", "tomlkit", "tomli_w", "rich", "asyncio", "coverage"}
#: What only a command needs that asks a service; what it needs only behind a proxy, or once a line is open; what only a command with a provider's options needs; what Typer needs.
NETWORK = NEVER | {"requests", "urllib3", "ssl", "http.client", "jobfetch.transport.wire"}
OUTLINE = NETWORK | {"msgspec", "email", "tomllib", "platformdirs", "jobfetch.model", "jobfetch.commands"}
LAUNCHER = OUTLINE | {"typer", "dataclasses", "inspect", "pathlib", "json", "typing", "subprocess", "jobfetch.errors"}
ASKING = NEVER | {"requests", "urllib3", "certifi", "ssl", "http.client", "email", "jobfetch.sandbox", "jobfetch.demo"}
PARSING = NETWORK | {"tomllib", "platformdirs", "jobfetch.commands", "jobfetch.config", "jobfetch.sandbox"}

#: A line, the exit code that it ends with (77 at its first look at the network), and what must not be imported by then.
LINES = {
    "--version": (0, LAUNCHER),
    "completions words profiles get cognite --profile ": (0, LAUNCHER),
    "completions words jobs get cognite ": (0, LAUNCHER),
    "--help": (0, OUTLINE),
    "get --help": (0, PARSING),
    "get cognite --help": (0, PARSING),
    "batch download cognite --help": (0, PARSING),
    "gett": (2, NETWORK),
    "get nobody 1": (2, NETWORK),
    "completions show bash": (0, NETWORK),
    "providers list": (0, NETWORK),
    "config path": (0, NETWORK),
    "config show": (0, NETWORK),
    "auth status": (0, NETWORK),
    "batch status nowhere": (2, NETWORK),
    "export nowhere": (2, NETWORK),
    "get exabase 1": (77, ASKING),
    "get exabase 1 --base-url http://localhost:64999": (77, ASKING),
    "status exabase 1": (77, ASKING),
    "batch download exabase -o out --workers 8": (77, ASKING),
}


@pytest.mark.parametrize("line", LINES)
def test_nothing_is_imported_before_it_is_needed(tmp_path: Path, line: str) -> None:
    code, heavy = LINES[line]
    homes = {name: str(tmp_path) for name in ("HOME", "JOBFETCH_CONFIG_DIR", "JOBFETCH_STATE_DIR")}
    done = subprocess.run(
        [sys.executable, "-c", _IMPORTED, *line.split(" ")],
        capture_output=True,
        text=True,
        check=False,
        cwd=tmp_path,
        env={"PATH": os.environ["PATH"], "JOBFETCH_EXABASE_API_KEY": "key", **homes},
    )
    imported = {*done.stderr.splitlines()[-1].split()}
    assert (done.returncode, heavy & imported) == (code, set())


def test_the_first_help_names_the_commands_that_there_are() -> None:
    groups = [each.name for each in declared.app.registered_groups]
    commands = [each.name for each in declared.app.registered_commands]
    assert {*groups, *commands} == {*root.TOP}
