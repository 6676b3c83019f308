"""Writes the completion file of zsh: what `_arguments` takes, for every place, with the help beside each word."""

from __future__ import annotations

from collections.abc import Iterator

from tree import Option, Place, Takes, Tree

_SCRIPT = r"""#compdef jobfetch
# zsh completion for jobfetch; made by completions/generate.py

# what only this machine knows: a word a line, with what is to be told of it behind a tab
_jobfetch_words() {
  local -a found
  local each tab=$'\t'
  for each in "${(@f)$(${~jobfetch_line[1]} completions words $1 "${(@)jobfetch_line[2,-1]}" 2>/dev/null)}"; do
    [[ -n $each ]] && found+=("${${each%%$tab*}//:/\\:}${${(M)each%$tab*}/$tab/:}")
  done
  _describe -t $1 $1 found
}

_jobfetch_commands() {
  _describe -t commands command below
}

_jobfetch() {
  local place="" next
  # zsh has a table of its own called `commands`
  local -a below specs jobfetch_line=("${words[1]}" "${(@Q)words[2,CURRENT-1]}" "${(Q)PREFIX#*=}")
  local -a known=(@KNOWN@)
  integer at last=1
  for ((at = 2; at < CURRENT; at++)); do
    [[ $words[at] == -* ]] && continue
    next="${place:+$place }$words[at]"
    (( ${known[(Ie)$next]} )) || break
    place=$next last=at
  done
  # what stands behind the last command is all that follows from it
  words=("${(@)words[last,-1]}")
  (( CURRENT -= last - 1 ))
  case $place in
@PLACES@
  esac
  _arguments -s -S : $specs
}

if [[ $funcstack[1] == _jobfetch ]]; then
  _jobfetch "$@"
else
  compdef _jobfetch jobfetch
fi
"""


def zsh(places: Tree) -> str:
    """The file, whole."""
    told = "\n".join(_place(name, place) for name, place in sorted(places.items()))
    known = " ".join(quoted(name) for name in sorted(places) if name)
    return _SCRIPT.replace("@KNOWN@", known).replace("@PLACES@", told)


def _place(name: str, place: Place) -> str:
    commands = [quoted(f"{word}:{text}") for word, text in place.commands.items()]
    specs = [quoted(each) for each in (*_options(place), *_arguments(place))]
    lines = [f"    ({quoted(name)})"]
    lines += [f"      below=({' '.join(commands)})"] if commands else []
    return "\n".join([*lines, f"      specs=({' '.join(specs)})", "      ;;"])


def _options(place: Place) -> Iterator[str]:
    for option in place.options:
        # one that may stand twice excludes nothing; any other excludes itself in every spelling
        mark = "*" if "--verbose" in option.spellings else f"({' '.join(option.spellings)})"
        for spelling in option.spellings:
            yield f"{mark}{spelling}{_joined(option, spelling)}[{_escaped(option.help)}]{_value(option)}"


def _joined(option: Option, spelling: str) -> str:
    if option.takes is None:
        return ""
    return "=" if spelling.startswith("--") else "+"


def _value(option: Option) -> str:
    return "" if option.takes is None else f":{option.spellings[0].strip('-')}:{_action(option.takes)}"


def _arguments(place: Place) -> Iterator[str]:
    if place.commands:
        yield "1: :_jobfetch_commands"
    for number, takes in enumerate(place.arguments, start=1):
        each = "*" if place.repeated and number == len(place.arguments) else str(number)
        yield f"{each}:{'::' if takes.what == 'command' else ''}{takes.what}:{_action(takes)}"


def _action(takes: Takes) -> str:
    if takes.what == "words":
        return f"({' '.join(takes.words)})"
    usual = {"file": "_files", "folder": "_files -/", "command": "_normal", "anything": " "}
    # a blank in front: it is called as it stands
    return usual.get(takes.what, f" _jobfetch_words {takes.what}")


def _escaped(text: str) -> str:
    return text.replace("\\", "\\\\").replace("[", "\\[").replace("]", "\\]").replace(":", "\\:")


def quoted(text: str) -> str:
    """A word of the shell that is this text."""
    return "'" + text.replace("'", "'\\''") + "'"
