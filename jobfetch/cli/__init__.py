"""What can be typed: Typer declarations, nothing else. What a line does not name is not imported.

`root` tells the commands by name, which is all that the first help and a slip of the pen need; `declared` has the rest.
"""

from __future__ import annotations

import copy
from itertools import pairwise
from typing import Any

import typer

from jobfetch.cli import root
from jobfetch.errors import Exit, JobfetchError, UsageError


def main(arguments: list[str]) -> int:
    """Run a command line; the exit code."""
    try:
        arguments = _with_default_provider(arguments)
        code = _app_of(arguments)(arguments, prog_name="jobfetch", standalone_mode=False)
    except typer.Abort:
        return int(Exit.INTERRUPTED)
    except JobfetchError as error:
        return _refused(arguments, error)
    except Exception as error:
        # Typer's usage errors know how to say themselves, and are all that may come out here
        if not hasattr(error, "format_message"):
            raise
        return _usage(arguments, error)
    return code if isinstance(code, int) else int(Exit.DONE)


def _app_of(arguments: list[str]) -> typer.Typer:
    """The program as far as a line needs it: without a command's name, its outline."""
    words = [arguments[place] for place in _words(arguments)]
    if not words or words[0] not in root.TOP:
        return root.outline()
    from jobfetch.cli import declared

    return declared.complete(_narrowed(declared.app, words))


def _words(arguments: list[str]) -> list[int]:
    """Where words stand that are no options, nor the value of the only one that may stand in front of a command with one."""
    return [
        place
        for place, word in enumerate(arguments)
        if not word.startswith("-") and arguments[place - 1 : place] != ["--log-format"]
    ]


def _narrowed(app: typer.Typer, words: list[str]) -> typer.Typer:
    """The program with nothing in it but the command that the words name: Typer builds all that it is given, every time.

    Where they name none, everything that could have been meant is there.
    """
    narrow = copy.copy(app)
    word = words[0] if words else None
    narrow.registered_commands = [each for each in app.registered_commands if each.name == word]
    narrow.registered_groups = [copy.copy(each) for each in app.registered_groups if each.name == word]
    if not narrow.registered_commands and not narrow.registered_groups:
        return app
    for group in narrow.registered_groups:
        group.typer_instance = group.typer_instance and _narrowed(group.typer_instance, words[1:])
    return narrow


def _with_default_provider(arguments: list[str]) -> list[str]:
    """The line with `default_provider` of config.toml in it, where `batch download` names no provider."""
    start = next(iter(_words(arguments)), 0)
    words = arguments[start : start + 3]
    bare = words[:2] == ["batch", "download"] and (len(words) < 3 or words[2].startswith("-"))  # noqa: PLR2004 - the provider's place
    if not bare or {"-h", "--help"} & {*words[2:]}:
        return arguments
    from jobfetch.commands.account import default_provider

    return [*arguments[: start + 2], default_provider(), *arguments[start + 2 :]]


def _usage(arguments: list[str], error: Any) -> int:
    message = error.format_message()
    context = getattr(error, "ctx", None)
    path = context.command_path if context else "jobfetch"
    # where only the command is missing, Typer's whole answer is the help of the group
    wants_command = message.startswith("Usage:")
    # groups of providers say so
    what = "provider" if context and getattr(context.command, "subcommand_metavar", "") == root.PROVIDER else "command"
    told = f"which {what}?" if wants_command else message.replace("No such command", f"No such {what}", 1)
    told = told.replace(": Value error, ", ": ", 1)

    refusal = UsageError(told, hint=f"{path} --help")
    return _refused(arguments, refusal, message if wants_command else "")


def _refused(arguments: list[str], error: JobfetchError, text: str = "") -> int:
    """Say that a line cannot be run, and why."""
    from jobfetch.commands.report import Common, run

    arguments = arguments[: arguments.index("--") if "--" in arguments else None]
    as_json = "--json" in arguments
    logs_json = "--log-format=json" in arguments or ("--log-format", "json") in pairwise(arguments)

    def refuse(ui: Any, _: Any) -> None:
        if text and not as_json:
            ui.block(text, "info")
        raise error

    return run(Common(json=as_json, log_format="json" if logs_json else None), refuse)
