"""`completions show|install`: the shells' files as they come with the program, printed or put where the shell looks."""

from __future__ import annotations

import os
from collections.abc import Mapping
from pathlib import Path

from jobfetch import completions, disk, export
from jobfetch.commands.report import Common, Report, run
from jobfetch.errors import ConfigError, DiskError, UsageError
from jobfetch.ui import Ui

#: How each shell's file is called where it comes with the program; its first line says whose it is.
FILES = {"bash": "jobfetch.bash", "zsh": "_jobfetch", "fish": "jobfetch.fish"}
#: What stands at the beginning of every file of ours, whichever version wrote it.
_OURS = b"completion for jobfetch; made by"


def show(shell: str | None, common: Common) -> int:
    """Print a shell's file."""

    def work(_: Ui, report: Report) -> None:
        report.stdout_is_data = True
        export.to_stdout(_script(_shell(shell, os.environ)))

    return run(common, work)


def install(shell: str | None, common: Common) -> int:
    """Put a shell's file where that shell looks for it, and tell what else it needs; nothing else is changed."""

    def work(ui: Ui, report: Report) -> None:
        name = _shell(shell, os.environ)
        path = place_of(name, os.environ)
        script = _script(name)
        _refuse_foreign(path)
        disk.folder(path.parent)
        with disk.replacing(path) as file:
            file.write(script)
        report.outputs.append(str(path))
        ui.note(f"{path} is there; {_needed(name, path)}")

    return run(common, work)


def _shell(named: str | None, environ: Mapping[str, str]) -> str:
    name = named or os.path.basename(environ.get("SHELL", ""))  # noqa: PTH119 - a name, not a path
    if name not in FILES:
        said = f"no completions for {name!r}" if name else "SHELL does not tell which shell this is"
        raise UsageError(said, hint=f"name one of {', '.join(FILES)}, for example: jobfetch completions install zsh")
    return name


def _script(shell: str) -> bytes:
    packed = Path(completions.__file__).parent / FILES[shell]
    # in a checkout they lie where they are made
    return (packed if packed.is_file() else packed.parents[2] / "completions" / FILES[shell]).read_bytes()


def place_of(shell: str, environ: Mapping[str, str]) -> Path:
    """Where a user's own completion file for this shell belongs; `ConfigError` where no home is known."""
    if shell == "bash":
        data = environ.get("BASH_COMPLETION_USER_DIR") or f"{_xdg(environ, 'DATA', '.local/share')}/bash-completion"
        path = Path(data, "completions", "jobfetch")
    elif shell == "zsh":
        path = Path(_xdg(environ, "DATA", ".local/share"), "zsh", "site-functions", "_jobfetch")
    else:
        path = Path(_xdg(environ, "CONFIG", ".config"), "fish", "completions", "jobfetch.fish")
    path = path.expanduser() if environ.get("HOME") else path
    if not path.is_absolute():
        raise ConfigError(
            "there is no place for this: HOME is not set", hint=f"jobfetch completions show {shell} > FILE"
        )
    return path


def _xdg(environ: Mapping[str, str], name: str, usual: str) -> str:
    return environ.get(f"XDG_{name}_HOME") or f"{environ.get('HOME') or '~'}/{usual}"


def _refuse_foreign(path: Path) -> None:
    """Leave a file alone that somebody else has written."""
    with disk.explained(path):
        try:
            with path.open("rb") as file:
                ours = _OURS in file.read(200)
        except FileNotFoundError:
            return
    if not ours:
        raise DiskError(f"{path} was not written by jobfetch, and is left as it is", hint=f"mv {path} {path}.old")


def _needed(shell: str, path: Path) -> str:
    """What makes a new shell read the file."""
    if shell == "fish":
        return "every new fish reads it"
    if shell == "zsh":
        return f"new shells read it once ~/.zshrc has, in front of compinit: fpath+=({path.parent})"
    return f"new shells read it where bash-completion is at work; elsewhere put into ~/.bashrc: source {path}"
