"""What the repository promises about itself: files made from code are current, and so is what the README says."""

import html
import importlib.util
import re
import subprocess
import sys
from pathlib import Path
from types import ModuleType
from unittest import mock

import pytest

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


@pytest.mark.parametrize("line", [["--version"], ["--help"], ["get", "cognite", "--help"], ["get", "nobody", "1"]])
def test_nothing_heavy_is_imported_to_parse_or_to_help(line: list[str]) -> None:
    code = "import sys; sys.argv[1:] = {!r}\nfrom jobfetch.__main__ import main\ntry: main()\nexcept SystemExit: pass\n"
    told = "print(sorted({'requests', 'urllib3', 'rich', 'jmespath', 'jobfetch.sandbox'} & set(sys.modules)))"
    done = subprocess.run([sys.executable, "-c", code.format(line) + told], capture_output=True, text=True, check=True)
    assert done.stdout.splitlines()[-1] == "[]"


def test_the_version_is_answered_without_typer() -> None:
    code = "import sys; sys.argv[1:] = ['--version']\nfrom jobfetch.__main__ import main\nmain()\n"
    told = "print([name for name in ('typer', 'msgspec', 'pydantic') if name in sys.modules])"
    done = subprocess.run([sys.executable, "-c", code + told], capture_output=True, text=True, check=True)
    assert done.stdout.splitlines()[-1] == "[]"
