"""Real shells at a terminal of their own: what each offers at the end of a half-typed line."""

import os
import pty
import shlex
import shutil
import subprocess
from collections.abc import Mapping
from pathlib import Path
from typing import Any

from .program import HANGS, JOBFETCH, until_shown

#: The shells that are tried: bash can be expected on every machine, the others where they are; `make shells` demands all.
SHELLS = [
    name for name in ("bash", "zsh", "fish") if name == "bash" or shutil.which(name) or "JOBFETCH_SHELLS" in os.environ
]

_READY = "ready> "

# how a new shell comes by the file that was put there, as `completions install` says; ^Xa then puts everything that is
# offered into the line, behind a command that prints it word by word
_BASH = f"""
PS1='{_READY}'
bind 'set enable-bracketed-paste off'
bind '"\\C-xa": insert-completions'
source ~/.local/share/bash-completion/completions/jobfetch
"""

_ZSH = f"""
PS1='{_READY}'
unsetopt zle_bracketed_paste prompt_sp prompt_cr
fpath+=(~/.local/share/zsh/site-functions)
autoload -Uz compinit && compinit -D -u
zle -C every complete-word _generic
bindkey '^Xa' every
zstyle ':completion:every:*' completer _all_matches _complete
zstyle ':completion:every:*' old-matches false
zstyle ':completion:every:*' insert true
"""


def offered(shell: str, line: str, folder: Path, environment: Mapping[str, str]) -> list[str]:
    """Every word that a shell in this folder offers for the last one of a line, sorted; a word of complaint is a failure.

    `HOME` is where `completions install` has put the shell's file.
    """
    environment = {**environment, "PATH": f"{JOBFETCH.parent}:{os.environ['PATH']}", "TERM": "dumb", "LANG": "C.UTF-8"}
    if shell == "fish":
        command = ["fish", "-c", "complete -C $argv[1]", line]
        done = subprocess.run(command, check=False, capture_output=True, cwd=folder, env=environment, timeout=HANGS)
        assert done.stderr == b""
        return sorted(each.partition("\t")[0] for each in done.stdout.decode().splitlines())
    start, prepared = {"bash": ("--norc --noprofile", _BASH), "zsh": ("-f", _ZSH)}[shell]
    return _inserted([shell, *start.split(), "-i"], prepared, line, folder, environment)


def _inserted(command: list[str], prepared: str, line: str, folder: Path, environment: Mapping[str, str]) -> list[str]:
    """What a shell with a line editor of its own puts in place of the last word."""
    ours, theirs = pty.openpty()
    answer, script = folder.with_name("offered"), folder.with_name("prepared")
    script.write_text(prepared)
    streams: dict[str, Any] = dict.fromkeys(("stdin", "stdout", "stderr"), theirs)
    with subprocess.Popen(["setsid", "-c", *command], cwd=folder, env=environment, **streams) as process:
        try:
            os.close(theirs)
            os.write(ours, f"source {script}\n".encode())
            until_shown(ours, _READY.encode())
            os.write(ours, f"{line}\x18a\x01printf '%s\\n' \x05 >{answer}; exit\n".encode())
            shown = until_shown(ours, None)
            assert process.wait(timeout=HANGS) == 0, shown
        finally:
            process.kill()
            os.close(ours)
    words, typed = answer.read_text().splitlines(), shlex.split(f"{line}x")[:-1]
    assert words[: len(typed)] == typed, shown
    return sorted(words[len(typed) :])
