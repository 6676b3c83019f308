"""The top of the command line: what every command is called and for, and the options that may stand before its name."""

from __future__ import annotations

import shutil
from typing import Annotated, Any, Literal

import typer

from jobfetch import __version__
from jobfetch.cli.lean import Group

#: What stands in the usage of a group whose commands are the providers.
PROVIDER = "PROVIDER ..."
#: Columns below which Typer would write help for a wider terminal than there is.
_NARROW = 52


def _context_settings() -> dict[str, Any]:
    columns = shutil.get_terminal_size().columns
    narrow = {"terminal_width": max(columns, 20)} if columns < _NARROW else {}
    return {"help_option_names": ["-h", "--help"], **narrow}


PLAIN: dict[str, Any] = {
    "rich_markup_mode": None,
    "pretty_exceptions_enable": False,
    "add_completion": False,
    "no_args_is_help": True,
    "context_settings": _context_settings(),
}

#: Every command of the top, in the order of the help: name -> what it is for, in one line of a narrow terminal.
TOP: dict[str, str] = {
    "get": "Fetch the results of jobs by id; --wait waits for them first.",
    "status": "Ask for the state of jobs by id; nothing is fetched.",
    "batch": "Download many jobs into a folder, and look after it.",
    "export": "Make one table of saved records; asks no service.",
    "auth": "Give a secret once, see where each comes from, take it back.",
    "config": "Show and change settings, and see where each comes from.",
    "doctor": "Check files, settings, secrets and the way to each service.",
    "providers": "Show the providers, and what they take.",
    "sandbox": "Play the services on this machine, to rehearse with.",
    "demo": "See the real commands at work, against an embedded sandbox.",
    "completions": "Let the shell complete commands, options and job ids.",
}


def _version(asked: bool) -> None:  # noqa: FBT001 - Typer's own signature
    if asked:
        typer.echo(f"jobfetch {__version__}")
        raise typer.Exit


Version = Annotated[bool, typer.Option("--version", "-V", callback=_version, is_eager=True, help="Show the version.")]
Json = Annotated[bool, typer.Option("--json", help="Print one verdict object instead of prose.")]
Quiet = Annotated[bool, typer.Option("--quiet", "-q", help="No narration; errors are told all the same.")]
Verbose = Annotated[
    int, typer.Option("--verbose", "-v", count=True, show_default=False, help="Tell of retries; twice: of every look.")
]
LogFormat = Annotated[
    Literal["text", "json"] | None,
    typer.Option(
        "--log-format",
        metavar="FORMAT",
        help="Narration as text, or as json: an object a line. Default: JOBFETCH_LOG, or text.",
    ),
]


def bare() -> typer.Typer:
    """The program without any command."""
    app = typer.Typer(
        **PLAIN,
        cls=Group,
        help="Wait for slow jobs at online services and fetch their results, whole or not at all.",
        epilog="`jobfetch COMMAND --help` tells its options, an example, and how it may end.",
    )
    app.callback()(root)
    return app


def outline() -> typer.Typer:
    """The program as its own help shows it: every command by its name, none with anything in it."""
    app = bare()
    for name, purpose in TOP.items():
        app.add_typer(typer.Typer(**PLAIN, help=purpose), name=name)
    return app


def root(  # noqa: PLR0917 - Typer gives each by its name
    context: typer.Context,
    version: Version = False,  # noqa: ARG001, FBT002 - its callback answers it; how Typer spells a flag
    json: Json = False,  # noqa: FBT002 - how Typer spells a flag
    quiet: Quiet = False,  # noqa: FBT002 - likewise
    verbose: Verbose = 0,
    log_format: LogFormat = None,
) -> None:
    """Options that may stand before the command's name as well."""
    context.obj = {"json": json, "quiet": quiet, "verbose": verbose, "log_format": log_format}
