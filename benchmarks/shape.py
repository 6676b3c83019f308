"""The least that Typer can be asked for: a program of jobfetch's shape that does nothing, with as many options as `get`.

python benchmarks/shape.py --help
python benchmarks/shape.py get cognite --help
"""

from __future__ import annotations

import inspect
from collections.abc import Callable
from typing import Annotated, Any

import typer

PLAIN: dict[str, Any] = {"rich_markup_mode": None, "pretty_exceptions_enable": False, "add_completion": False}
GROUPS = ("get", "status", "batch", "export", "auth", "config", "doctor", "providers", "sandbox", "demo", "completions")
COMMANDS = ("cognite", "exabase", "playment", "justcrawl", "expertai")
OPTIONS, FLAGS = 24, 7

app = typer.Typer(**PLAIN, help="A program.")


@app.callback()
def root(
    json: Annotated[bool, typer.Option("--json", help="A flag.")] = False,  # noqa: FBT002 - how Typer spells a flag
    quiet: Annotated[bool, typer.Option("--quiet", "-q", help="A flag.")] = False,  # noqa: FBT002 - likewise
    verbose: Annotated[int, typer.Option("--verbose", "-v", count=True, help="A count.")] = 0,
) -> None:
    """Options that may stand in front."""


def command() -> Callable[..., None]:
    """A command with as many options as one of ours."""

    def work(**_: Any) -> None:
        """Do nothing."""

    params = {f"option_{n}": (Annotated[str | None, typer.Option(help="An option.")], None) for n in range(OPTIONS)}
    params |= {f"flag_{n}": (Annotated[bool, typer.Option(f"--flag-{n}", help="A flag.")], False) for n in range(FLAGS)}
    params["job_ids"] = (Annotated[list[str], typer.Argument(help="Ids.")], inspect.Parameter.empty)
    work.__signature__ = inspect.Signature(  # type: ignore[attr-defined]  # functions take it all the same
        [
            inspect.Parameter(name, inspect.Parameter.KEYWORD_ONLY, default=default, annotation=annotation)
            for name, (annotation, default) in params.items()
        ]
    )
    work.__annotations__ = {name: annotation for name, (annotation, _) in params.items()}
    return work


for _name in GROUPS:
    _group = typer.Typer(**PLAIN, help="A group of commands.")
    app.add_typer(_group, name=_name)
    for _each in COMMANDS if _name in {"get", "status"} else ():
        _group.command(_each)(command())


if __name__ == "__main__":
    app()
