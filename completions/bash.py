"""Writes the completion file of bash (3.2 and newer): tables of words, and one function that walks the line."""

from __future__ import annotations

from collections import Counter
from collections.abc import Iterator

from tree import Takes, Tree

_SCRIPT = r"""# bash completion for jobfetch; made by completions/generate.py
# What stands at a place: its commands, its options, what its arguments are, and whether the last may be repeated.
_jobfetch_at() {
  case "$1" in
@PLACES@
    *) return 1 ;;
  esac
}

# What an option takes there; fails where it takes nothing.
_jobfetch_takes() {
  case "$1 $2" in
@OPTIONS@
    *) return 1 ;;
  esac
}

_jobfetch_offer() {  # what, program, line
  local what="$1" program="$2" word
  shift 2
  case "$what" in
    words\ *)
      COMPREPLY=($(compgen -W "${what#words }" -- "$cur")) ;;
    file) compopt -o default 2>/dev/null || COMPREPLY=($(compgen -f -- "$cur")) ;;
    folder) compopt -o dirnames 2>/dev/null || COMPREPLY=($(compgen -d -- "$cur")) ;;
    command)
      # files behind it, as for any command that has no completion of its own
      ((count)) && { compopt -o default 2>/dev/null; return 0; }
      COMPREPLY=($(compgen -c -- "$cur")) ;;
    anything) ;;
    *)
      while IFS= read -r word; do
        COMPREPLY+=("$(printf '%q' "${word%%$'\t'*}")")
      done < <("$program" completions words "$what" "$@" 2>/dev/null) ;;
  esac
}

_jobfetch() {
  local IFS=$' \t\n' cur token lead place="" takes="" over="" word i at n=0 count=0
  local commands="" options="" repeated=""
  local -a line=() arguments=()
  # bash breaks words at = and : as well; here they are whole again
  for ((i = 1; i <= COMP_CWORD; i++)); do
    if ((n > 0)) && [[ ${COMP_WORDS[i]} =~ ^[=:]+$ || (${COMP_WORDS[i-1]} =~ ^[=:]+$ && $i -gt 1) ]]; then
      line[n-1]+="${COMP_WORDS[i]}"
    else
      line[n++]="${COMP_WORDS[i]}"
    fi
  done
  cur="${line[n-1]}" token="${COMP_WORDS[COMP_CWORD]}" COMPREPLY=()
  [[ $token =~ ^[=:]+$ ]] && token=""
  lead="${cur%"$token"}"
  _jobfetch_at ""
  for ((i = 0; i < n - 1; i++)); do
    word="${line[i]}"
    if [[ $takes ]]; then takes=""; continue; fi
    case "$over$word" in
      --) over=1 ;;
      -*=*) ;;
      -*) _jobfetch_takes "$place" "$word" || takes="" ;;
      *)
        case " $commands " in
          *" $word "*) place="${place:+$place }$word"; _jobfetch_at "$place" ;;
          *) ((count++)) ;;
        esac ;;
    esac
  done
  if [[ $takes ]]; then
    :
  elif [[ ! $over && $cur == --*=* ]]; then
    _jobfetch_takes "$place" "${cur%%=*}" || return 0
    lead="${lead#"${cur%%=*}="}" cur="${cur#*=}"
  elif [[ ! $over && $cur == -* ]]; then
    takes="words $options"
  elif [[ $commands ]]; then
    takes="words $commands"
  else
    at=$count
    ((at >= ${#arguments[@]})) && [[ $repeated ]] && at=$((${#arguments[@]} - 1))
    takes="${arguments[at]:-anything}"
  fi
  _jobfetch_offer "$takes" "${COMP_WORDS[0]/#\~\//$HOME/}" "${line[@]:0:n-1}" "$cur"
  for i in "${!COMPREPLY[@]}"; do
    COMPREPLY[i]="${COMPREPLY[i]#"$lead"}"
  done
}
complete -F _jobfetch jobfetch
"""


def bash(places: Tree) -> str:
    """The file, whole."""
    told = _SCRIPT.replace("@PLACES@", "\n".join(_places(places)))
    return told.replace("@OPTIONS@", "\n".join(_options(places)))


def _places(places: Tree) -> Iterator[str]:
    for name, place in sorted(places.items()):
        options = " ".join(spelling for option in place.options for spelling in option.spellings)
        arguments = " ".join(f'"{_what(each)}"' for each in place.arguments)
        told = f'commands="{" ".join(place.commands)}" options="{options}" repeated="{"1" if place.repeated else ""}"'
        yield f'    "{name}") {told} arguments=({arguments}) ;;'


def _options(places: Tree) -> Iterator[str]:
    """An arm for each place that differs from most, then one for each option."""
    taken: dict[str, dict[str, Takes]] = {}
    for name, place in sorted(places.items()):
        for option in place.options:
            for spelling in option.spellings if option.takes else ():
                assert option.takes  # noqa: S101 - as the loop says
                taken.setdefault(spelling, {})[name] = option.takes
    usual = {spelling: Counter(each.values()).most_common(1)[0][0] for spelling, each in taken.items()}
    for spelling, each in sorted(taken.items()):
        for name, takes in each.items():
            if takes != usual[spelling]:
                yield f'    "{name} {spelling}") takes="{_what(takes)}" ;;'
    for what in sorted({_what(takes) for takes in usual.values()}):
        spelled = " | ".join(f'*" {spelling}"' for spelling, takes in sorted(usual.items()) if _what(takes) == what)
        yield f'    {spelled}) takes="{what}" ;;'


def _what(takes: Takes) -> str:
    return " ".join([takes.what, *takes.words])
