"""What people install: an sdist that is whole, a wheel made of it, and the program at work in a clean environment."""

import os
import subprocess
import sys
import tarfile
import venv
import zipfile
from collections.abc import Mapping
from email import message_from_bytes
from email.message import Message
from pathlib import Path

import pytest

import jobfetch

ROOT = Path(__file__).parent.parent
NAME = f"jobfetch-{jobfetch.__version__}"


def run(*line: str | Path, at: Path = ROOT, env: Mapping[str, str] | None = None) -> str:
    done = subprocess.run([*map(str, line)], cwd=at, env=env, capture_output=True, text=True, check=False)
    assert done.returncode == 0, done.stderr
    return done.stdout


def build(kind: str, source: Path, place: Path) -> None:
    run(sys.executable, "-m", "hatchling", "build", "-t", kind, "-d", place, at=source)


@pytest.fixture(scope="module")
def sdist(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """The sdist, unpacked."""
    place = tmp_path_factory.mktemp("sdist")
    build("sdist", ROOT, place)
    with tarfile.open(place / f"{NAME}.tar.gz") as archive:
        archive.extractall(place, filter="data")
    return place / NAME


@pytest.fixture(scope="module")
def wheel(sdist: Path) -> Path:
    """The wheel, made of nothing but the sdist."""
    build("wheel", sdist, sdist.parent)
    return sdist.parent / f"{NAME}-py3-none-any.whl"


@pytest.fixture(scope="module")
def metadata(wheel: Path) -> Message:
    with zipfile.ZipFile(wheel) as archive:
        return message_from_bytes(archive.read(f"{NAME}.dist-info/METADATA"))


def files(place: Path, *folders: str) -> set[str]:
    every = (path for folder in folders for path in (place / folder).rglob("*") if path.is_file())
    return {str(path.relative_to(place)) for path in every if "__pycache__" not in path.parts}


def test_the_wheel_holds_the_whole_package_and_nothing_else(wheel: Path) -> None:
    with zipfile.ZipFile(wheel) as archive:
        names = {name for name in archive.namelist() if not name.startswith(f"{NAME}.dist-info/")}
    shells = {f"jobfetch/completions/{name}" for name in ("jobfetch.bash", "_jobfetch", "jobfetch.fish")}
    assert names == files(ROOT, "jobfetch") | shells
    assert {"jobfetch/py.typed", "jobfetch/__init__.pyi", "jobfetch/schemas/result-1.json"} <= names


def test_the_sdist_holds_what_is_needed_to_build_and_to_test(sdist: Path) -> None:
    folders = ("jobfetch", "tests", "docs", "completions", "benchmarks")
    assert files(sdist, *folders) == files(ROOT, *folders)
    tops = {
        "README.md",
        "CHANGELOG.md",
        "CONTRIBUTING.md",
        "LICENSE",
        "Makefile",
        "config.example.toml",
        "pyproject.toml",
    }
    assert tops <= {path.name for path in sdist.iterdir()}


def test_the_metadata_are_complete_and_take_the_version_from_its_one_place(wheel: Path, metadata: Message) -> None:
    told = {name: metadata[name] for name in ("Name", "Version", "License-Expression", "License-File", "Author")}
    assert told == {
        "Name": "jobfetch",
        "Version": jobfetch.__version__,
        "License-Expression": "MIT",
        "License-File": "LICENSE",
        "Author": "The jobfetch authors",
    }
    assert metadata["Summary"]
    assert metadata["Keywords"]
    assert metadata["Requires-Python"] == ">=3.11"
    assert "Typing :: Typed" in metadata.get_all("Classifier", [])
    assert metadata["Description-Content-Type"] == "text/markdown"
    assert metadata.get_payload() == (ROOT / "README.md").read_text()
    with zipfile.ZipFile(wheel) as archive:
        assert archive.read(f"{NAME}.dist-info/licenses/LICENSE") == (ROOT / "LICENSE").read_bytes()
    assert f'"{jobfetch.__version__}"' not in (ROOT / "pyproject.toml").read_text()


def test_the_program_works_in_an_environment_that_holds_the_wheel_and_its_dependencies(
    wheel: Path, tmp_path: Path
) -> None:
    place = tmp_path / "clean"
    venv.create(place, with_pip=False)
    bin_ = place / ("Scripts" if sys.platform == "win32" else "bin")
    run(sys.executable, "-m", "pip", "--python", bin_ / "python", "install", "--quiet", "--no-compile", wheel)
    # of this environment nothing is left: not its path, and none of its variables
    alone = {"PATH": f"{bin_}{os.pathsep}{os.defpath}", "HOME": str(tmp_path)}
    program = bin_ / "jobfetch"
    assert run(program, "--version", at=tmp_path, env=alone) == f"jobfetch {jobfetch.__version__}\n"
    line = (program, "sandbox", "run", "--", "jobfetch", "get", "cognite", "200", "-f", "csv")
    assert run(*line, at=tmp_path, env=alone).startswith("provider,job_id,item_id,kind,")
    assert run(program, "completions", "show", "bash", at=tmp_path, env=alone) == (
        ROOT / "completions" / "jobfetch.bash"
    ).read_text(encoding="utf-8")
    code = "import jobfetch; print(jobfetch.get.__module__, jobfetch.__file__)"
    said = run(bin_ / "python", "-c", code, at=tmp_path, env=alone).split()
    assert (said[0], place in Path(said[1]).parents) == ("jobfetch.library", True)
    extras = run(bin_ / "python", "-c", "import importlib.util as u; print(u.find_spec('pyarrow'))", env=alone)
    assert extras == "None\n"
