"""Values from the command line that are what they must be are taken as they are.

Typer has Pydantic look at every one of them, also at those that nobody gave: to import it takes a quarter of the start.
"""

from __future__ import annotations

from functools import partial
from typing import Any

from typer.core import TyperCommand, TyperGroup


class Command(TyperCommand):
    """A command that begins sooner."""

    def get_params(self, ctx: Any) -> list[Any]:
        """Its options and arguments."""
        return _lean(super().get_params(ctx))


class Group(TyperGroup):
    """A group that begins sooner."""

    def get_params(self, ctx: Any) -> list[Any]:
        """Its options."""
        return _lean(super().get_params(ctx))


def _lean(params: list[Any]) -> list[Any]:
    for param in params:
        if "process_value" not in vars(param):
            param.process_value = partial(_processed, param, param.process_value)
    return params


def _processed(param: Any, process: Any, ctx: Any, value: Any) -> Any:
    """A value as it goes to the command; whatever is to be read or checked goes Typer's own way."""
    if not _fits(param, ctx, value):
        return process(ctx, value)
    value = [*value] if isinstance(value, tuple) else value
    return param.callback(ctx, param, value) if param.callback else value


def _fits(param: Any, ctx: Any, value: Any) -> bool:
    kind = getattr(getattr(param, "type_descriptor", None), "annotation", None)
    if value is None:
        return not param.required and param.nargs == 1
    if isinstance(value, tuple):
        return kind == list[str] and {*map(type, value)} == {str}
    source = ctx.get_parameter_source(param.name)
    return (kind is str and type(value) is str) or bool(source and source.name == "DEFAULT")
