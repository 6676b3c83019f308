"""What can be typed, read from the commands as they are declared: for every place its commands, options and arguments."""

from __future__ import annotations

import inspect
from collections.abc import Iterator, Mapping
from dataclasses import dataclass, field
from enum import EnumType
from typing import Any, get_args

from jobfetch import config
from jobfetch.cli import declared, root
from jobfetch.config.file import TOP
from jobfetch.providers import PROVIDERS
from jobfetch.spec import Provider


@dataclass(frozen=True)
class Takes:
    """What may stand in one place: words, files, folders, a command, or what only the machine knows.

    `what` is `anything` (nothing can be offered), `words`, `file`, `folder`, `command`, or a kind of
    `jobfetch completions words`.
    """

    what: str = "anything"
    words: tuple[str, ...] = ()


@dataclass(frozen=True)
class Option:
    """One option: every spelling, the short one last; `takes` is None for a flag."""

    spellings: tuple[str, ...]
    help: str
    takes: Takes | None


@dataclass(frozen=True)
class Place:
    """Where the cursor stands, by the commands before it: what may follow. The last argument may be `repeated`."""

    commands: Mapping[str, str] = field(default_factory=dict)
    options: tuple[Option, ...] = ()
    arguments: tuple[Takes, ...] = ()
    repeated: bool = False


#: Words of commands, separated by blanks -> what may stand there.
Tree = dict[str, Place]

HELP = Option(("--help", "-h"), "Show help.", None)
FILE, FOLDER = Takes("file"), Takes("folder")

#: Options and arguments by name, wherever they are; what is not here may be anything, or says by its type what it is.
BY_NAME = {
    "output": FILE,
    "jobs": FILE,
    "report": FILE,
    "prom": FILE,
    "ca_bundle": FILE,
    "sources": FILE,
    "folder": FOLDER,
    "profile": Takes("profiles"),
    "job_ids": Takes("jobs"),
    "command": Takes("command"),
    "provider": Takes("words", tuple(PROVIDERS)),
    "shell": Takes("words", ("bash", "zsh", "fish")),
    "delimiter": Takes("words", ("tab",)),
    "rate": Takes("words", ("none",)),
    "log_format": Takes("words", ("text", "json")),
}


def _dotted_keys() -> tuple[str, ...]:
    """Every key that `config set` takes, but for those of profiles."""
    keys = [*TOP, *(f"defaults.{param.name}" for param in config.RUN)]
    return (*keys, *(f"{spec.name}.{key}" for spec in PROVIDERS.values() for key in config.keys_of(spec)))


#: The same where one place, and all below it, differ from the others.
BY_PLACE = {
    ("batch download", "output"): FOLDER,
    ("demo", "output"): FOLDER,
    ("providers show", "name"): Takes("words", tuple(PROVIDERS)),
    ("config set", "key"): Takes("words", _dotted_keys()),
    ("config unset", "key"): Takes("keys"),
}


def tree() -> Tree:
    """Everything that can be typed, by place; the empty place is the top."""
    places: Tree = {}
    _walk(declared.complete(declared.app), "", places)
    top = places[""]
    places[""] = Place({name: root.TOP[name] for name in root.TOP}, (*_parameters("", root.root).options, HELP))
    assert set(places[""].commands) == set(top.commands), "cli.root and cli.declared name the same commands"  # noqa: S101
    # without a provider it is the default provider's line: what all of them take is right for it
    every = [places[f"batch download {name}"].options for name in PROVIDERS]
    shared = tuple(option for option in every[0] if all(option in options for options in every))
    places["batch download"] = Place(places["batch download"].commands, shared)
    return places


def _walk(group: Any, place: str, places: Tree) -> None:
    commands: dict[str, str] = {}
    for sub in group.registered_groups:
        commands[sub.name] = sub.typer_instance.info.help
        _walk(sub.typer_instance, f"{place} {sub.name}".strip(), places)
    for command in group.registered_commands:
        commands[command.name] = (command.callback.__doc__ or "").splitlines()[0]
        here = f"{place} {command.name}".strip()
        own = _parameters(here, command.callback)
        places[here] = Place({}, (*own.options, HELP), own.arguments, own.repeated)
    places[place] = Place(commands, (HELP,))


def _parameters(place: str, callback: Any) -> Place:
    options, arguments, repeated = [], [], False
    for name, parameter in inspect.signature(callback, eval_str=True).parameters.items():
        kind: Any = (*get_args(parameter.annotation), None)[0]
        declared_as: Any = next(iter(getattr(parameter.annotation, "__metadata__", ())), None)
        if type(declared_as).__name__ == "ArgumentInfo":
            arguments.append(_takes(place, name, kind))
            repeated = kind == list[str]
        elif type(declared_as).__name__ == "OptionInfo":
            flag = kind is bool or declared_as.count
            spelled = tuple(_spellings(name, declared_as))
            options.append(Option(spelled, declared_as.help or "", None if flag else _takes(place, name, kind)))
    return Place({}, tuple(options), tuple(arguments), repeated)


def _spellings(name: str, option: Any) -> Iterator[str]:
    # Typer keeps the first spelling of an annotated option in the place of a default
    first = (option.default,) if str(option.default).startswith("-") else ()
    for spelling in (*first, *(option.param_decls or ())) or (f"--{name.replace('_', '-')}",):
        yield from spelling.split("/")


def _takes(place: str, name: str, kind: Any) -> Takes:
    choice = next((each for each in (kind, *get_args(kind)) if isinstance(each, EnumType)), None)
    provider = PROVIDERS.get(place.rpartition(" ")[2])
    if choice:
        return Takes("words", tuple(choice))
    for (where, what), takes in BY_PLACE.items():
        if what == name and f"{place} ".startswith(f"{where} "):
            return takes
    leads = name.endswith("_file") and name not in BY_NAME
    return FILE if leads else _of_provider(provider, name) or BY_NAME.get(name, Takes())


def _of_provider(provider: Provider | None, name: str) -> Takes | None:
    """The words that a provider knows for an option: a setting's choices, its views, its secrets."""
    if provider is None:
        return None
    known = {param.name: param.choices for param in config.params_of(provider)}
    known |= {"rows": tuple(provider.rows.named), "secret": tuple(each.name for each in provider.auth.secrets)}
    return Takes("words", tuple(known[name])) if known.get(name) else None
