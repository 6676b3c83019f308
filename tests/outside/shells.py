"""Real shells at a terminal of their own: what each offers at the end of a half-typed line."""

import os
import pty
import shutil
import subprocess
from collections.abc import Mapping
from pathlib import Path

from .program import JOBFETCH, until_shown

FILES = Path(__file__).parents[2] / "jobfetch" / "completions"

#: The shells that are tried: bash can be expected everywhere, the others where they are. `make shells` expects all.
WANTED = ("bash", "zsh", "fish")
SHELLS = [name for name in WANTED if name == "bash" or shutil.which(name) or "JOBFETCH_SHELLS" in os.environ]

_READY = "ready> "

# the key ^Xa puts everything that is offered into the line; in front of it comes a command that prints it word by word
_BASH = f"""
PS1='{_READY}' HISTFILE=/dev/null
bind 'set enable-bracketed-paste off'
bind '"\\C-xa": insert-completions'
source {FILES}/jobfetch.bash
"""

_ZSH = f"""
PS1='{_READY}' HISTFILE=/dev/null
unsetopt zle_bracketed_paste prompt_sp prompt_cr
autoload -Uz compinit && compinit -D -u
source {FILES}/_jobfetch
zle -C every complete-word _generic
bindkey '^Xa' every
zstyle ':completion:every:*' completer _all_matches _complete
zstyle ':completion:every:*' old-matches false
zstyle ':completion:every:*' insert true
"""


def offered(shell: str, line: str, folder: Path, environment: Mapping[str, str]) -> list[str]:
    """Every word that a shell in this folder offers for the last one of a line, sorted; what is not its own is a failure."""
    environment = {**environment, "PATH": f"{JOBFETCH.parent}:{os.environ['PATH']}", "TERM": "dumb", "COLUMNS": "9999"}
    if shell == "fish":
        told = f"source {FILES}/jobfetch.fish; complete -C (cat)"
        done = subprocess.run(
            ["fish", "--no-config", "-c", told], input=line.encode(), capture_output=True, cwd=folder, env=environment
        )
        assert done.stderr == b""
        return sorted(each.partition("\t")[0] for each in done.stdout.decode().splitlines())
    start, prepared = {"bash": (["--norc", "--noprofile"], _BASH), "zsh": (["-f"], _ZSH)}[shell]
    return _inserted([shell, *start, "-i"], prepared, line, folder, environment)


def _inserted(
    command: list[str], prepared: str, line: str, folder: Path, environment: Mapping[str, str]
) -> list[str]:
    """What a shell with a line editor of its own puts in place of the last word."""
    ours, theirs = pty.openpty()
    answer = folder.parent / "offered"
    script = folder.parent / "prepared"
    script.write_text(prepared)
    with subprocess.Popen(
        ["setsid", "-c", *command], stdin=theirs, stdout=theirs, stderr=theirs, cwd=folder, env=environment
    ) as process:
        try:
            os.close(theirs)
            os.write(ours, f"source {script}\n".encode())
            until_shown(ours, _READY.encode())
            os.write(ours, f"{line}\x18a\x01printf '%s\\n' \x05 >{answer}; exit\n".encode())
            shown = until_shown(ours, None)
            assert process.wait(timeout=60) == 0, shown
        finally:
            process.kill()
            os.close(ours)
    words = answer.read_text().splitlines()
    typed = line.split(" ")[:-1]
    assert words[: len(typed)] == typed, shown
    return sorted(words[len(typed) :])
