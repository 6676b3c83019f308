"""What a TAB press gives: each shell tried in itself, with the file that `completions install` has put there."""

import os
from collections.abc import Callable
from pathlib import Path

import pytest

from .program import Program
from .shells import SHELLS, offered

pytestmark = pytest.mark.here

CONFIG = '[playment.profiles.client-a]\nproject = "p"\n[cognite.profiles.work]\n'
HEADER = (
    '{"schema":"jobfetch.manifest/1","provider":"playment","params":{},"profile":null,"format":"json","origin":"o"}\n'
)
IDS = ["job-1", "urn:job:2 b", "q'é$x"]

#: Half a line, and what is offered: in a folder with `a file.json`, a batch folder `out`, and two profiles.
LINES = {
    "jobfetch ": "auth batch completions config demo doctor export get providers sandbox status",
    "jobfetch -q get cog": "cognite",
    "jobfetch batch download --w": "--wait --workers",
    "jobfetch get cognite --kind diagram/": "diagram/convert diagram/detect",
    "jobfetch get cognite 1 -f c": "csv",
    "jobfetch config set default_": "default_profile default_provider",
    "jobfetch batch verify ": "out",
    "jobfetch sandbox run -- printen": "printenv",
    "jobfetch get playment --profile ": "client-a client-b",
    "jobfetch auth logout --profile ": "client-a client-b work",
    "jobfetch config unset cognite.profiles.": "cognite.profiles.work",
    "jobfetch get cognite -o out ": "",
}


@pytest.fixture
def offers(home: Path, out: Path, here: Program) -> Callable[[str, str], list[str]]:
    """What a shell offers for half a line."""
    config, place = home / "config", out / "in"
    config.mkdir()
    place.joinpath("out").mkdir(parents=True)
    (config / "config.toml").write_text(CONFIG)
    (config / "credentials.toml").write_text('[playment.profiles.client-b]\napi_key = "SECRET"\n')
    (place / "a file.json").touch()
    lines = "".join(f'{{"job_id":"{job_id}","state":"running"}}\n' for job_id in IDS)
    (place / "out" / "manifest.jsonl").write_text(HEADER + lines)

    def offers(shell: str, line: str) -> list[str]:
        assert here("completions", "install", shell).code == 0
        environment = {"HOME": str(home), "JOBFETCH_CONFIG_DIR": str(config)}
        # a shell tells folders from files in its own way
        return [word.rstrip("/") for word in offered(shell, line, place, environment)]

    return offers


@pytest.mark.parametrize("line", LINES)
@pytest.mark.parametrize("shell", SHELLS)
def test_a_half_typed_line_is_completed(offers: Callable[..., list[str]], shell: str, line: str) -> None:
    assert offers(shell, line) == LINES[line].split()


@pytest.mark.parametrize("shell", SHELLS)
def test_job_ids_on_record_are_offered_whatever_stands_in_them(offers: Callable[..., list[str]], shell: str) -> None:
    assert offers(shell, "jobfetch get playment -o out ") == sorted(IDS)
    assert offers(shell, "jobfetch get playment job-1 --output=out urn:job:") == ["urn:job:2 b"]


@pytest.mark.parametrize("shell", SHELLS)
def test_file_names_are_the_shell_s_own(offers: Callable[..., list[str]], shell: str) -> None:
    assert offers(shell, "jobfetch export -o a") == ["a file.json"]


@pytest.mark.parametrize("shell", SHELLS)
def test_a_value_behind_an_equals_sign_is_completed(offers: Callable[..., list[str]], shell: str) -> None:
    assert offers(shell, "jobfetch get cognite --format=c") == ["--format=csv"]


@pytest.mark.parametrize("shell", ["bash", "zsh", "fish"])
def test_what_is_shown_is_what_is_installed(bare: Program, home: Path, shell: str) -> None:
    [place] = bare("completions", "install", shell, "--json").verdict["outputs"]
    assert Path(place).is_relative_to(home)
    assert Path(place).read_bytes() == bare("completions", "show", shell).out


def test_installing_again_changes_nothing_and_the_shell_is_the_one_in_use(bare: Program, home: Path) -> None:
    first = bare("completions", "install", "fish")
    assert (first.code, bare("completions", "install", SHELL="/usr/bin/fish").code) == (0, 0)
    assert [each.name for each in home.rglob("*jobfetch*")] == ["jobfetch.fish"]


def test_a_file_that_somebody_else_wrote_is_left_alone(bare: Program, home: Path) -> None:
    place = home / ".config" / "fish" / "completions" / "jobfetch.fish"
    place.parent.mkdir(parents=True)
    place.write_text("# mine\n")
    done = bare("completions", "install", "fish")
    assert (done.code, place.read_text()) == (12, "# mine\n")
    assert f"mv {place} " in done.said


@pytest.mark.parametrize(("shell", "said"), [("tcsh", "'tcsh'"), ("", "does not tell")])
def test_a_shell_that_is_not_known_is_usage(bare: Program, home: Path, shell: str, said: str) -> None:
    done = bare("completions", "install", SHELL=f"/bin/{shell}")
    assert done.code == 2
    assert said in done.said
    assert "completions install zsh" in done.said


def test_without_a_home_nothing_is_installed(bare: Program) -> None:
    done = bare("completions", "install", "bash", HOME="")
    assert done.code == 3
    assert "completions show bash" in done.said


def test_only_profile_names_are_told_of_a_file_with_secrets(offers: object, bare: Program) -> None:
    done = bare("completions", "words", "profiles", "get", "playment", "--profile", "", env={})
    assert (done.code, done.err) == (0, b"")
    assert done.out.decode().splitlines() == ["client-a\tplayment", "client-b\tplayment"]


def test_a_tab_press_says_nothing_of_what_it_cannot_read(bare: Program, home: Path) -> None:
    (home / "config").mkdir()
    os.mkfifo(home / "config" / "config.toml")
    (home / "config" / "credentials.toml").write_text("[playment\n")
    done = bare("completions", "words", "profiles", "get", "playment", "--profile", "", env={})
    assert (done.code, done.out, done.err) == (0, b"", b"")


def test_words_of_an_unknown_kind_are_usage(bare: Program) -> None:
    assert bare("completions", "words", "secrets", "", env={}).code == 2
