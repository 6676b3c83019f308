"""How a command tells of itself: its options in groups, an example that works, and how it may end."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

from typer.core import TyperCommand

from jobfetch.cli import lean
from jobfetch.errors import MEANINGS, Exit

#: The groups of options in the order of the help, and what belongs into each by name; settings and filters bring their own.
GROUPS: dict[str, tuple[str, ...]] = {
    "Jobs": ("jobs", "jobs_key", "limit", "dry_run", "refresh", "verify", "repair"),
    "Waiting": ("wait", "interval", "timeout"),
    "Results": (
        *("output", "format", "assets", "rows", "query", "columns", "delimiter", "csv_safe"),
        *("reproducible", "allow_partial"),
    ),
    "Pace": ("workers", "rate", "retries", "pace", "trouble"),
    "Ports": ("port", "storage_port"),
    "Reports": ("report", "prom", "ping"),
    "Credentials and connection": ("secret", "check", "profile", "secret_stdin", "ca_bundle"),
    "Limits": ("parse_limit",),
    "All commands": ("json", "quiet", "verbose", "log_format", "help"),
}
_GROUP_OF = {name: group for group, names in GROUPS.items() for name in names}
_LAST = ("Credentials and connection", "Limits", "All commands")

#: Commands of a group in the order of the help; others follow as they were declared.
_ORDER = ("list", "download", "login", "status", "verify", "retry", "logout", "show", "set", "unset", "init", "path")

#: How commands may end: one that asks a service for jobs, one that fills a folder, one that asks nobody, ...
_ENDS = Exit.INTERRUPTED, Exit.READER_GONE, Exit.TERMINATED
_ASKS = Exit.DONE, Exit.USAGE, Exit.CONFIG, Exit.CREDENTIALS, Exit.NOT_FOUND, Exit.FAILED
JOBS = *_ASKS, Exit.GONE, Exit.PARTIAL, Exit.UNAVAILABLE, Exit.BAD_REPLY, Exit.DISK, Exit.RUNNING, *_ENDS
FOLDER = *JOBS[:-4], Exit.LOCKED, Exit.RUNNING, *_ENDS
ACCOUNT = *_ASKS[:4], Exit.UNAVAILABLE, Exit.BAD_REPLY, Exit.DISK, Exit.RUNNING, *_ENDS
TABLE = Exit.DONE, Exit.USAGE, Exit.BAD_REPLY, Exit.DISK, *_ENDS
READ = Exit.DONE, Exit.USAGE, Exit.CONFIG, Exit.DISK, *_ENDS
WRITTEN = Exit.DONE, Exit.USAGE, Exit.CONFIG, Exit.DISK, Exit.LOCKED, *_ENDS
KEPT = Exit.DONE, Exit.USAGE, Exit.CONFIG, Exit.CREDENTIALS, Exit.DISK, Exit.LOCKED, *_ENDS
SHOWN = Exit.DONE, Exit.USAGE, *_ENDS
DEMO = Exit.DONE, Exit.USAGE, Exit.UNAVAILABLE, Exit.DISK, *_ENDS


class Group(lean.Group):
    """A group whose commands stand in the order in which they are wanted."""

    def list_commands(self, ctx: Any) -> list[str]:
        """Their names."""
        names = super().list_commands(ctx)
        return sorted(names, key=lambda name: _ORDER.index(name) if name in _ORDER else len(_ORDER))


class ByProvider(Group):
    """A group whose commands are the providers."""

    def format_commands(self, ctx: Any, formatter: Any) -> None:
        """Every provider by its name."""
        found = ((name, self.get_command(ctx, name)) for name in self.list_commands(ctx))
        with formatter.section("Providers"):
            formatter.write_dl([(name, each.get_short_help_str(80)) for name, each in found if each])


def shaped(example: str, ends: Sequence[Exit]) -> type[TyperCommand]:
    """A command with this example, which may end like this."""

    class Shaped(lean.Command):
        def collect_usage_pieces(self, ctx: Any) -> list[str]:
            return ["[OPTIONS]", *(_written(param) for param in self.get_params(ctx) if _is_argument(param))]

        def format_options(self, ctx: Any, formatter: Any) -> None:
            sections: dict[str, list[tuple[str, str]]] = {"Arguments": []}
            param: Any
            for param in self.get_params(ctx):
                if _is_argument(param):
                    sections["Arguments"].append((_written(param), param.help or ""))
                elif (record := param.get_help_record(ctx)) is not None:
                    sections.setdefault(_group_of(param), []).append(record)
            for name in sorted(sections, key=_rank):
                if sections[name]:
                    with formatter.section(name):
                        formatter.write_dl(sections[name])

        def format_epilog(self, ctx: Any, formatter: Any) -> None:  # noqa: ARG002 - Typer's own signature
            with formatter.section("Example"):
                # whole on one line, however narrow the terminal is: it is there to be copied
                formatter.write(f"{'':{formatter.current_indent}}{example}\n")
            with formatter.section("Exit codes"):
                formatter.write_dl([(str(int(end)), MEANINGS[end]) for end in ends])

    return Shaped


def _is_argument(param: Any) -> bool:
    return bool(param.param_type_name == "argument")


def _written(param: Any) -> str:
    return str(param.metavar or param.name.upper())


def _group_of(param: Any) -> str:
    if param.name.endswith("_file"):
        return "Credentials and connection"
    return str(param.rich_help_panel or _GROUP_OF.get(param.name, "Options"))


def _rank(group: str) -> tuple[int, str]:
    names = ["Arguments", *(name for name in GROUPS if name not in _LAST), "", *_LAST]
    return (names.index(group), "") if group in names else (names.index(""), group)
