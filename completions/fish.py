"""Writes the completion file of fish: a line for each word that may be typed, under the condition of its place."""

from __future__ import annotations

from collections.abc import Iterator

from tree import Option, Place, Takes, Tree
from zsh import quoted

_SCRIPT = r"""# fish completion for jobfetch; made by completions/generate.py
function __jobfetch_at
    set -l place
    for word in (commandline -opc)[2..-1]
        string match -q -- '-*' $word; and continue
        set -l next (string join ' ' $place $word)
        contains -- $next $__jobfetch_places; or break
        set place $next
    end
    test "$place" = "$argv"
end

# what only this machine knows: a word a line, with what is to be told of it behind a tab
function __jobfetch_words
    set -l line (commandline -opc)
    set -l program (string replace -r '^~/' "$HOME/" -- $line[1])
    set -l begun (string replace -r '^--[^=]*=' '' -- (commandline -ct))
    $program completions words $argv[1] $line[2..-1] "$begun" 2>/dev/null
end

# what would be offered if the command behind `sandbox run --` stood alone
function __jobfetch_command
    set -l line (commandline -opc)
    set -l at (contains -i -- -- $line; or contains -i -- run $line)
    set -l rest (string escape -- $line[(math $at + 1)..-1]) (commandline -ct)
    complete -C (string join ' ' -- $rest)
end

set -g __jobfetch_places @KNOWN@
complete -c jobfetch -f
@PLACES@
"""


def fish(places: Tree) -> str:
    """The file, whole."""
    lines = [line for name, place in sorted(places.items()) for line in _place(name, place)]
    known = " ".join(quoted(name) for name in sorted(places) if name)
    return _SCRIPT.replace("@KNOWN@", known).replace("@PLACES@", "\n".join(lines))


def _place(name: str, place: Place) -> Iterator[str]:
    head = f"complete -c jobfetch -n {quoted(f'__jobfetch_at {name}'.strip())}"
    for word, text in place.commands.items():
        yield f"{head} -a {word} -d {quoted(text)}"
    for takes in dict.fromkeys(place.arguments):
        yield f"{head} {_values(takes)}"
    for option in place.options:
        yield f"{head} {_option(option)} -d {quoted(option.help)}"


def _option(option: Option) -> str:
    spelled = " ".join(f"-l {each[2:]}" if each.startswith("--") else f"-s {each[1:]}" for each in option.spellings)
    return spelled if option.takes is None else f"{spelled} -r {_values(option.takes)}"


def _values(takes: Takes) -> str:
    if takes.what == "words":
        return f"-f -a {quoted(' '.join(takes.words))}"
    usual = {
        "file": "-F",
        "folder": "-f -a '(__fish_complete_directories (commandline -ct))'",
        "command": "-f -a '(__jobfetch_command)'",
        "anything": "-f",
    }
    return usual.get(takes.what, f"-f -a '(__jobfetch_words {takes.what})'")
