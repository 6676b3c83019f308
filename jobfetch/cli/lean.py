"""Values from the command line that are what they must be are taken as they are; all others are left to Typer.

Typer has Pydantic look at every one of them, also at those that nobody gave: to import it takes a quarter of the start.
"""

from __future__ import annotations

from enum import StrEnum
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
    """A value as it goes to the command; whatever is wrong, or of an unusual kind, goes Typer's own way."""
    found = _read(param, ctx, value)
    if found is _UNREAD:
        return process(ctx, value)
    return param.callback(ctx, param, found) if param.callback else found


_UNREAD = object()
#: Digits of a number that nobody means.
_LONG = 19


def _read(param: Any, ctx: Any, value: Any) -> Any:
    source = ctx.get_parameter_source(param.name)
    if value is None:
        return _UNREAD if param.required or param.nargs != 1 else None
    if source and source.name == "DEFAULT" and not isinstance(value, tuple):
        return value
    return _typed(getattr(param, "type_descriptor", None), value)


def _typed(told: Any, value: Any) -> Any:
    """What was typed, where nothing about it has to be decided."""
    kind = told.annotation if told else None
    if isinstance(value, tuple):
        return [*value] if kind == list[str] and {*map(type, value)} == {str} else _UNREAD
    if kind is int and type(value) is str and value.isascii() and value.isdigit() and len(value) < _LONG:
        least, most, number = told.parameter_info.min, told.parameter_info.max, int(value)
        return number if (least is None or number >= least) and (most is None or number <= most) else _UNREAD
    if isinstance(kind, type) and issubclass(kind, StrEnum):
        return next((each for each in kind if each == value), _UNREAD)
    return value if kind is str and type(value) is str else _UNREAD
