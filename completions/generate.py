"""Writes the files that are made from code: completions for bash, zsh and fish, the example config, the record's schema."""

from __future__ import annotations

import inspect
from collections.abc import Iterator
from pathlib import Path
from typing import Any

from jobfetch import cli, config, records
from jobfetch.providers import PROVIDERS

ROOT = Path(__file__).parent.parent

#: Where the cursor stands (the words before it) -> what may follow, each with a line of help.
Tree = dict[str, dict[str, str]]


def tree() -> Tree:
    """Everything that can be typed, read from the commands as they are declared."""
    places: Tree = {}
    _walk(cli.app, "", places)
    return places


def _walk(group: Any, place: str, places: Tree) -> None:
    here = places.setdefault(place, {"--help": "Show help."})
    if not place:
        here["--version"] = "Show the version."
    for command in group.registered_commands:
        here[command.name] = (command.callback.__doc__ or "").splitlines()[0]
        places[f"{place} {command.name}".strip()] = {"--help": "Show help.", **dict(_options(command.callback))}
    for sub in group.registered_groups:
        here[sub.name] = sub.typer_instance.info.help
        _walk(sub.typer_instance, f"{place} {sub.name}".strip(), places)


def _options(callback: Any) -> Iterator[tuple[str, str]]:
    for name, parameter in inspect.signature(callback).parameters.items():
        declared: Any = next(iter(getattr(parameter.annotation, "__metadata__", ())), None)
        if type(declared).__name__ == "OptionInfo":
            # Typer keeps the first spelling of an annotated option in the place of a default
            first = (declared.default,) if str(declared.default).startswith("-") else ()
            spelled = (*first, *(declared.param_decls or ())) or (f"--{name.replace('_', '-')}",)
            for option in spelled:
                yield option, declared.help or ""


def bash(places: Tree) -> str:
    """One function: the longest known run of words before the cursor decides what may follow."""
    cases = "\n".join(f'    "{place}") words="{" ".join(words)}" ;;' for place, words in sorted(places.items()))
    return f"""# bash completion for jobfetch; made by completions/generate.py
_jobfetch() {{
  local word place="" words="" known="|{"|".join(sorted(places))}|"
  for word in "${{COMP_WORDS[@]:1:COMP_CWORD-1}}"; do
    case "$word" in -*) continue ;; esac
    local next="${{place:+$place }}$word"
    case "$known" in *"|$next|"*) place="$next" ;; esac
  done
  case "$place" in
{cases}
  esac
  COMPREPLY=($(compgen -W "$words" -- "${{COMP_WORDS[COMP_CWORD]}}"))
}}
complete -o default -F _jobfetch jobfetch
"""


def zsh(places: Tree) -> str:
    """The same decision in zsh, with the help beside each word."""
    cases = "\n".join(
        f"    ({_quoted(place)}) candidates=({' '.join(_quoted(_described(w, h)) for w, h in words.items())}) ;;"
        for place, words in sorted(places.items())
    )
    known = " ".join(_quoted(place) for place in sorted(places))
    return f"""#compdef jobfetch
# zsh completion for jobfetch; made by completions/generate.py
_jobfetch() {{
  local word place="" next
  local -a candidates known=({known})
  for word in "${{(@)words[2,CURRENT-1]}}"; do
    [[ "$word" == -* ]] && continue
    next="${{place:+$place }}$word"
    (( ${{known[(Ie)$next]}} )) && place="$next"
  done
  case "$place" in
{cases}
  esac
  _describe 'jobfetch' candidates
  _files
}}
compdef _jobfetch jobfetch
"""


def fish(places: Tree) -> str:
    """One line a word, each under the condition that the words before it are there."""
    known = " ".join(_quoted(place) for place in sorted(places) if place)
    head = f"""# fish completion for jobfetch; made by completions/generate.py
function __jobfetch_at
    set -l place ""
    for word in (commandline -opc)[2..-1]
        string match -q -- '-*' $word; and continue
        set -l next (string trim -- "$place $word")
        contains -- $next {known}; and set place $next
    end
    test "$place" = "$argv"
end
"""
    lines = [
        f"complete -c jobfetch -n {_quoted(f'__jobfetch_at {place}'.strip())} {_fish_word(word)} -d {_quoted(text)}"
        for place, words in sorted(places.items())
        for word, text in words.items()
    ]
    return head + "\n".join(lines) + "\n"


def _fish_word(word: str) -> str:
    if word.startswith("--"):
        return f"-l {word[2:]}"
    return f"-s {word[1:]}" if word.startswith("-") else f"-f -a {word}"


def _described(word: str, text: str) -> str:
    return word.replace(":", r"\:") + ":" + text


def _quoted(text: str) -> str:
    return "'" + text.replace("'", "'\\''") + "'"


def generated() -> dict[Path, str]:
    """Every file that is made from code, by its path from the top."""
    places = tree()
    return {
        Path("completions/jobfetch.bash"): bash(places),
        Path("completions/_jobfetch"): zsh(places),
        Path("completions/jobfetch.fish"): fish(places),
        Path("config.example.toml"): config.example(PROVIDERS),
        Path("jobfetch/schemas/result-1.json"): records.json_schema().decode(),
    }


if __name__ == "__main__":
    for path, text in generated().items():
        (ROOT / path).write_text(text, encoding="utf-8")
