"""Changes config.toml: comments and order stay, a rewrite is atomic and under a lock, a wrong change is none."""

from __future__ import annotations

import os
from collections.abc import Callable, Iterator, Mapping
from pathlib import Path
from typing import Any

from jobfetch import disk, locks
from jobfetch.config.example import example
from jobfetch.config.file import FILE_NAME, TOP, File, read
from jobfetch.config.params import RUN, params_of
from jobfetch.config.settings import ADDRESSES, check_url, checked
from jobfetch.errors import ConfigError, UsageError
from jobfetch.places import Value, config_folder, config_home
from jobfetch.spec import Provider

#: Seconds to wait for another command that is changing the same file.
LOCK_PATIENCE = 10.0


def init(environ: Mapping[str, str], providers: Mapping[str, Provider]) -> tuple[Path, bool]:
    """Write the commented example; the path, and whether it was written (a file that is there is left as it is)."""
    folder = config_home(environ)
    path = folder / FILE_NAME
    with locks.locked(folder / f"{FILE_NAME}.lock", LOCK_PATIENCE):
        if os.path.lexists(path):
            return path, False
        with disk.replacing(path) as file:
            file.write(example(providers).encode())
    return path, True


def put(environ: Mapping[str, str], providers: Mapping[str, Provider], key: str, words: list[str]) -> Path:
    """Set a dotted key; a key that ends in `_command` takes every word, any other takes one."""
    if not key.endswith("_command") and len(words) != 1:
        raise UsageError(f"{key} takes one value, not {len(words)}", hint="put a value with blanks into quotes")
    if any("\ud800" <= char <= "\udfff" for word in (key, *words) for char in word):
        raise UsageError("what is to be set is not UTF-8", hint="write it in UTF-8")
    path, value = _names(key), words if key.endswith("_command") else words[0]
    _check_key(environ, providers, path, value)
    _check_value(providers, path, words[0])

    def change(document: Any, file: File) -> None:
        import tomlkit.items  # noqa: PLC0415 - only a change needs it

        table = document
        for depth, name in enumerate(path[:-1], start=1):
            if name not in table:
                inline = isinstance(table, tomlkit.items.InlineTable)
                table[name] = tomlkit.inline_table() if inline else tomlkit.table()
            table = table[name]
            if not isinstance(table, Mapping):
                raise file.wrong(".".join(path[:depth]), "must be a table")
        table[path[-1]] = value

    return _changed(environ, change)


def remove(environ: Mapping[str, str], providers: Mapping[str, Provider], key: str) -> bool:
    """Take a dotted key, or a whole table, out of the file; whether it was there."""
    path = _names(key)
    there = False

    def change(document: Any, _: File) -> None:
        nonlocal there
        for names in (path, *_whole_profile(key)):
            tables = [document]
            for name in names[:-1]:
                inner = tables[-1].get(name)
                tables.append(inner if isinstance(inner, Mapping) else {})
            there = names[-1] in tables[-1]
            if there:
                _delete(tables, names)
                break

    _changed(environ, change)
    if not there:
        # what was never a key is a slip of the pen; a whole table may be named as well
        is_table = (len(path) == 1 and path[0] not in TOP) or (path[1:2] == ["profiles"] and len(path) < 4)  # noqa: PLR2004 - a profile's key
        nothing: Any = {} if is_table else ["x"] if key.endswith("_command") else "x"
        _check_key(environ, providers, path, nothing)
    return there


def _changed(environ: Mapping[str, str], change: Callable[[Any, File], None]) -> Path:
    """Read, change and replace the file, with nobody else in between."""
    import tomlkit  # noqa: PLC0415 - only a change needs it

    folder = config_home(environ)
    with locks.locked(folder / f"{FILE_NAME}.lock", LOCK_PATIENCE):
        before = read(environ)
        document = tomlkit.parse(before.source)
        change(document, before)
        after = document.as_string()
        _refuse_harm(before, after, document)
        if after != before.source:
            with disk.replacing(before.path) as file:
                file.write(after.encode())
    return before.path


def _refuse_harm(before: File, after: str, document: Any) -> None:
    """Refuse a text that does not say what the change meant: rather none than one that loses a setting."""
    import tomllib  # noqa: PLC0415 - what only reads settings needs none of it

    try:
        told = tomllib.loads(after)
    except tomllib.TOMLDecodeError:
        told = None
    if told != document.unwrap():
        raise ConfigError(f"{before.path} is written in a way that cannot be changed safely", hint="edit it by hand")


def _names(key: str) -> list[str]:
    """The names of a dotted key; in `provider.profiles.NAME.key` the profile's name may hold dots itself."""
    names = key.split(".")
    if len(names) > 4 and names[1] == "profiles":  # noqa: PLR2004 - provider, profiles, name, key
        names = [*names[:2], ".".join(names[2:-1]), names[-1]]
    if not all(names):
        raise UsageError(f"{key!r} is no key", hint="write for example cognite.project, or defaults.timeout")
    return names


def _whole_profile(key: str) -> Iterator[list[str]]:
    """The names of a dotted key that may be a profile as a whole, its name with dots in it."""
    provider, *rest = key.split(".")
    if rest[:1] == ["profiles"] and len(rest) > 2:  # noqa: PLR2004 - profiles, and a name with a dot
        yield [provider, "profiles", ".".join(rest[1:])]


def _delete(tables: list[Any], names: list[str]) -> None:
    for table, name in reversed(list(zip(tables, names, strict=True))):
        del table[name]
        # a table that has become empty goes as well, unless somebody's comment stands in it
        if table is tables[0] or table or table.as_string().strip():
            break


def _check_key(environ: Mapping[str, str], providers: Mapping[str, Provider], path: list[str], value: Any) -> None:
    """Refuse a key that nobody reads, before anything is changed."""
    tables = value
    for name in reversed(path):
        tables = {name: tables}
    File(path=config_folder(environ) / FILE_NAME, tables=tables).check(providers)


def _check_value(providers: Mapping[str, Provider], path: list[str], text: str) -> None:
    """Refuse a value that its setting cannot have."""
    for param in (*(params_of(providers[path[0]]) if path[0] in providers else ()), *RUN):
        if param.name == path[-1]:
            checked(param, Value(text, "the command line", 0))
            if param.name in ADDRESSES:
                check_url(param.name, Value(text, "the command line", 0))
