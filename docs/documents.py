"""Writes the documents that are made from code: commands, providers, the record and its rows, and the README's tables."""

from __future__ import annotations

import enum
import inspect
import json
import textwrap
from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any, get_args

from msgspec.structs import astuple

from jobfetch.cli import declared as cli
from jobfetch.cli import shape
from jobfetch.cli.root import TOP
from jobfetch.commands import providers as shown
from jobfetch.errors import MEANINGS
from jobfetch.providers import PROVIDERS
from jobfetch.record_types import json_schema
from jobfetch.spec import COMMON_COLUMNS, Provider

ROOT = Path(__file__).parent.parent
MADE = "<!-- made from code by docs/documents.py -->\n\n"


# --- commands ---

#: Commands below the top in the order of the help; one that has no place in it is an error.
_BELOW = [*shape._ORDER, "list", "jobs", "serve", "run", "install"]


@dataclass(frozen=True, slots=True)
class Word:
    """An argument or option of a command: how it is written, and what it is for."""

    option: bool
    spelled: str
    help: str


def words(callback: Any) -> dict[str, Word]:
    """What a command takes, but for what every command takes."""
    parameters = inspect.signature(callback).parameters
    found = {name: _word(name, each) for name, each in parameters.items() if name not in {"context", *cli._COMMON}}
    return {name: word for name, word in found.items() if word}


def _word(name: str, parameter: inspect.Parameter) -> Word | None:
    declared: Any = next(iter(getattr(parameter.annotation, "__metadata__", ())), None)
    kind = type(declared).__name__
    if kind == "ArgumentInfo":
        return Word(option=False, spelled=declared.metavar or name.upper(), help=declared.help or "")
    if kind != "OptionInfo":
        return None
    # Typer keeps the first spelling of an annotated option in the place of a default
    first = (declared.default,) if str(declared.default).startswith("-") else ()
    spellings = (*first, *(declared.param_decls or ())) or (f"--{name.replace('_', '-')}",)
    flag = declared.count or get_args(parameter.annotation)[0] is bool
    value = "" if flag else f" {declared.metavar or _value(name, parameter)}"
    return Word(option=True, spelled=", ".join(spellings) + value, help=declared.help or "")


def _value(name: str, parameter: inspect.Parameter) -> str:
    taken = get_args(parameter.annotation)[0]
    for each in (taken, *get_args(taken)):
        if isinstance(each, type) and issubclass(each, enum.Enum):
            return "|".join(each)
        if each in {int, float}:
            return "N"
    return name.rpartition("_")[2].upper()


def commands() -> str:
    """Every command with its arguments and options."""
    common = _table({name: word for name, each in cli._COMMON.items() if (word := _common(name, each))})
    lines = [
        "# Commands",
        "",
        MADE.strip(),
        "",
        "`jobfetch COMMAND --help` tells the same. Every command takes these, before its name or after it:",
        "",
        *common,
        *_group(cli.complete(cli.app), "jobfetch"),
    ]
    return "\n".join(lines) + "\n"


def _common(name: str, declared: tuple[Any, Any]) -> Word | None:
    return _word(name, inspect.Parameter(name, inspect.Parameter.KEYWORD_ONLY, annotation=declared[0]))


def _group(group: Any, place: str) -> Iterator[str]:
    found = {command.name: command.callback for command in group.registered_commands}
    if {*PROVIDERS} == {*found}:
        yield from _by_provider(group.info.help, {name: words(callback) for name, callback in found.items()}, place)
        return
    subs = {sub.name: sub.typer_instance for sub in group.registered_groups}
    for name in sorted({*found, *subs}, key=([*TOP] if place == "jobfetch" else _BELOW).index):
        if name in subs:
            yield from _group(subs[name], f"{place} {name}")
        else:
            yield from _command(f"{place} {name}", found[name].__doc__ or "", words(found[name]))


def _by_provider(purpose: str, found: Mapping[str, Mapping[str, Word]], place: str) -> Iterator[str]:
    """One command a provider: what all of them take once, and then what each takes beside."""
    first = next(iter(found.values()))
    shared = {
        name: word
        for name, word in first.items()
        if all(name in each and (not word.option or each[name] == word) for each in found.values())
    }
    if any(not word.option for word in shared.values()):
        shared = {
            name: Word(word.option, word.spelled, word.help if word.option else "") for name, word in shared.items()
        }
    yield from _command(f"{place} PROVIDER", purpose, shared)
    for name, each in found.items():
        own = {key: word for key, word in each.items() if key not in shared}
        if own:
            yield from ("", f"Beside them, with `{name}`:", "", *_table(own))


def _command(line: str, purpose: str, taken: Mapping[str, Word]) -> Iterator[str]:
    arguments = " ".join(word.spelled for word in taken.values() if not word.option)
    yield from ("", f"## `{line}`", "", purpose, "", f"    {line} {arguments}".rstrip())
    if taken:
        yield from ("", *_table(taken))


def _table(taken: Mapping[str, Word]) -> list[str]:
    rows = [f"| `{_cell(word.spelled)}` | {_cell(word.help)} |" for word in taken.values()]
    return ["| | |", "|---|---|", *rows]


def _cell(text: str) -> str:
    return text.replace("|", "\\|")


# --- providers ---


def providers() -> str:
    """All that `providers show` tells, provider by provider."""
    parts = ["# Providers", "", MADE.strip(), "", "What `jobfetch providers show NAME` tells of each."]
    for spec in PROVIDERS.values():
        told = shown._as_text(shown._shown(spec)).rstrip()
        parts += ["", f"## {spec.name}", "", "```text", told, "```"]
    return "\n".join(parts) + "\n"


def provider_table() -> str:
    """The README's table of providers."""
    lines = ["| provider | jobs | settings it needs | secrets | lists its jobs |", "|---|---|---|---|---|"]
    for spec in PROVIDERS.values():
        needed = ", ".join(f"`{param.name}`" for param in spec.settings if param.required) or "none"
        listed = "yes" if spec.listing else "no: `--jobs`"
        lines.append(f"| `{spec.name}` | [{spec.title}]({spec.docs}) | {needed} | {_secrets(spec)} | {listed} |")
    return "\n".join(lines)


def _secrets(spec: Provider) -> str:
    """The secrets of each way to sign, those that go together with an `and`."""
    names = [secret.name for secret in spec.auth.secrets]
    ways = [[name for name in names if name in astuple(scheme)] for scheme in spec.auth.schemes]
    return ", or ".join(" and ".join(f"`{name}`" for name in way) for way in ways)


def exit_table() -> str:
    """The README's table of exit codes."""
    return "\n".join(
        ["| code | meaning |", "|---|---|", *(f"| {int(code)} | {text} |" for code, text in MEANINGS.items())]
    )


# --- the record and its rows ---


def record() -> str:
    """The record field by field, and the columns of its rows."""
    schema = json.loads(json_schema())
    parts = ["# The record and its rows", "", MADE.strip(), "", textwrap.dedent(_RECORD).strip(), ""]
    parts += _fields(schema)
    for name, part in schema["$defs"].items():
        if "properties" in part:
            parts += ["", f"## {name}", "", part["description"], "", *_fields(part)]
        else:
            parts += ["", f"## {name}", "", ", ".join(f"`{word}`" for word in part["enum"])]
    parts += ["", textwrap.dedent(_ROWS).strip(), "", ", ".join(f"`{column}`" for column in COMMON_COLUMNS)]
    parts += ["", "| provider | kind of row | one for each | views |", "|---|---|---|---|"]
    for spec in PROVIDERS.values():
        told = shown._shown(spec)
        views = ", ".join(f"`--rows {name}`" for name in told["views"])
        parts += [
            f"| `{spec.name}` | {row['kind']} | {', '.join(f'`{_cell(path)}`' for path in row['each'])} | {views} |"
            for row in told["rows"]
        ]
    return "\n".join(parts) + "\n"


_RECORD = """
With `-f json` each job is one line of JSON, its fields in this order, the same for every service. `result` is the final
reply's body in the service's own tokens, so that every number stays as it was written (64-bit integers, `0.10`, thirty
digits). Its JSON Schema is installed as `jobfetch/schemas/result-1.json`.
"""

_ROWS = """
## Rows

With a table as format (`csv`, `ndjson`, `parquet`, `sqlite`) there is a row for the smallest thing found. The columns below come
first, then the service's own fields, flattened with dots; a list stays compact JSON in its cell. Nothing that the service
sent is dropped silently. `jobfetch providers show NAME` tells which field fills which column.
"""


def _fields(schema: Mapping[str, Any]) -> list[str]:
    lines = ["| field | type | |", "|---|---|---|"]
    for name, field in schema["properties"].items():
        lines.append(f"| `{name}` | {_type(field)} | {field.get('description', '')} |")
    return lines


def _type(field: Mapping[str, Any]) -> str:
    if "anyOf" in field:
        return " or ".join(_type(each) for each in field["anyOf"])
    if "$ref" in field:
        return str(field["$ref"]).rpartition("/")[2]
    if "const" in field:
        return f"`{field['const']}`"
    if field.get("type") == "array":
        return f"list of {_type(field['items'])}"
    return str(field.get("type", "anything"))


# --- the files ---


def readme() -> str:
    """The README with its tables made anew."""
    text = (ROOT / "README.md").read_text(encoding="utf-8")
    for name, table in {"providers": provider_table(), "exit codes": exit_table()}.items():
        before, after = f"<!-- {name}: made from code -->", "<!-- end -->"
        start = text.index(before) + len(before)
        text = f"{text[:start]}\n\n{table}\n\n{text[text.index(after, start) :]}"
    return text


def generated() -> dict[Path, str]:
    """Every document that is made from code, by its path from the top."""
    return {
        Path("README.md"): readme(),
        Path("docs/commands.md"): commands(),
        Path("docs/providers.md"): providers(),
        Path("docs/record.md"): record(),
    }


if __name__ == "__main__":
    for path, text in generated().items():
        (ROOT / path).write_text(text, encoding="utf-8")
