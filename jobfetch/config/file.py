"""config.toml as it stands: read, and checked for keys that nobody reads, with file, dotted key and line."""

from __future__ import annotations

import difflib
import re
from collections.abc import Iterator, Mapping
from pathlib import Path
from typing import Any

from msgspec import Struct

from jobfetch import disk
from jobfetch.config.params import RUN, params_of, secret_keys
from jobfetch.errors import ConfigError
from jobfetch.places import config_folder
from jobfetch.spec import Provider

FILE_NAME = "config.toml"
STORES = ("file", "keyring")
#: The keys that stand above all tables, each with the words that it may hold (none: any).
TOP: Mapping[str, tuple[str, ...]] = {"default_provider": (), "default_profile": (), "credential_store": STORES}


class File(Struct, frozen=True, kw_only=True):
    """config.toml: its path, its text, and its tables (empty where there is no file)."""

    path: Path
    tables: Mapping[str, Any]
    source: str = ""

    def table(self, *names: str) -> Mapping[str, Any]:
        """A table by its dotted names, empty where it is not there."""
        table: Any = self.tables
        for name in names:
            table = table.get(name, {}) if isinstance(table, Mapping) else {}
        return table if isinstance(table, Mapping) else {}

    def text(self, key: str) -> str | None:
        """A key above all tables; None where it is not there."""
        value = self.tables.get(key)
        return value if isinstance(value, str) else None

    def check(self, providers: Mapping[str, Provider]) -> None:
        """Refuse keys that nobody reads, and values of the wrong kind: they would be ignored in silence otherwise."""
        tops = [*TOP, "defaults", *providers]
        for top, value in self.tables.items():
            if top not in tops:
                raise self._no_such(top, tops)
            words = tuple(providers) if top == "default_provider" else TOP.get(top, ())
            if top in TOP and (not isinstance(value, str) or (words and value not in words)):
                raise self.wrong(top, f"must be one of {', '.join(words)}" if words else "must be text")
            if top == "defaults":
                self._check_keys(top, value, [param.name for param in RUN])
            if top in providers:
                self._check_provider(providers[top], value)

    def _check_provider(self, provider: Provider, table: Any) -> None:
        if not isinstance(table, Mapping):
            raise self.wrong(provider.name, "must be a table")
        profiles = table.get("profiles", {})
        if not isinstance(profiles, Mapping):
            raise self.wrong(f"{provider.name}.profiles", "must be a table")
        own = {key: value for key, value in table.items() if key != "profiles"}
        places = {provider.name: own, **{f"{provider.name}.profiles.{name}": keys for name, keys in profiles.items()}}
        for name, keys in places.items():
            self._check_keys(name, keys, keys_of(provider), provider)

    def _check_keys(self, table: str, keys: Any, known: list[str], provider: Provider | None = None) -> None:
        if not isinstance(keys, Mapping):
            raise self.wrong(table, "must be a table")
        for key, value in keys.items():
            dotted = f"{table}.{key}"
            if provider and key in {secret.name for secret in provider.auth.secrets}:
                raise self._secret(provider, dotted)
            if key not in known:
                raise self._no_such(dotted, known)
            self._check_kind(dotted, value)

    def _check_kind(self, dotted: str, value: Any) -> None:
        words = isinstance(value, list) and value and all(isinstance(word, str) and word for word in value)
        if dotted.endswith("_command"):
            if not words:
                raise self.wrong(
                    dotted, 'must be a list of words, for example ["pass", "show", "key"]; no shell reads it'
                )
        elif isinstance(value, bool) or not isinstance(value, (str, int, float) if _is_run(dotted) else (str, int)):
            raise self.wrong(dotted, "must be text")

    def _secret(self, provider: Provider, dotted: str) -> ConfigError:
        profile = dotted.split(".")[2] if ".profiles." in dotted else None
        name = dotted.rpartition(".")[2]
        login = f"jobfetch auth login {provider.name}" + (f" --profile {profile}" if profile else "")
        return self.wrong(
            dotted,
            f"is a secret, and this file is no place for it; set {provider.variable(name)}",
            hint=f"take it out of the file, then: {login}",
        )

    def _no_such(self, key: str, known: list[str]) -> ConfigError:
        near = difflib.get_close_matches(key.rpartition(".")[2], known, n=1)
        return self.wrong(key, f"is no setting; did you mean {near[0]}?" if near else "is no setting")

    def wrong(
        self, key: str, what: str, *, hint: str = "`jobfetch providers show NAME` tells every setting"
    ) -> ConfigError:
        """The error for a key: file, line where it is known, key, and what is wrong with it."""
        line = line_of(self.source, key)
        return ConfigError(f"{self.path}{f', line {line}' if line else ''}: {key} {what}", hint=hint)


def _is_run(dotted: str) -> bool:
    return dotted.rpartition(".")[2] in {param.name for param in RUN}


def keys_of(provider: Provider) -> list[str]:
    """Every key that a provider's table may hold."""
    return [param.name for param in (*params_of(provider), *RUN)] + list(secret_keys(provider))


def read(environ: Mapping[str, str]) -> File:
    """config.toml, or nothing where there is none; `ConfigError` with file and line where it is not TOML."""
    path = config_folder(environ) / FILE_NAME
    try:
        # as it stands: line ends are the user's own; a mark that some editors put in front is none of it
        source = disk.text_of(path) if path.is_absolute() else ""
        return File(path=path, tables=_tables(source), source=source)
    except (FileNotFoundError, NotADirectoryError):
        return File(path=path, tables={})
    except (ValueError, RecursionError) as error:  # of the parser, or of the encoding
        raise ConfigError(f"{path}: {error}", hint="mend that line") from None
    except OSError as error:
        raise ConfigError(f"{path} cannot be read: {error.strerror}", hint="check its owner and mode") from None


def _tables(source: str) -> dict[str, Any]:
    import tomllib  # noqa: PLC0415 - many machines have no such file

    return tomllib.loads(source)


def line_of(source: str, key: str) -> int | None:
    """The line in which a dotted key (or the table of that name) stands, from 1; None where it cannot be told."""
    return next((number for number, dotted in _keys(source) if dotted == key or dotted.startswith(f"{key}.")), None)


_TABLE = re.compile(r"\s*\[\[?\s*([^\]#]+?)\s*\]\]?\s*(#.*)?")
_KEY = re.compile(r"\s*((?:[\w-]+|\"[^\"]*\"|'[^']*')(?:\s*\.\s*(?:[\w-]+|\"[^\"]*\"|'[^']*'))*)\s*=(.*)")


def _keys(source: str) -> Iterator[tuple[int, str]]:
    """Each table and key with its line; what stands in a text of several lines is none."""
    table, within = "", ""
    for number, line in enumerate(source.splitlines(), start=1):
        rest = line
        if within:
            within = "" if within in line else within
            continue
        if match := _TABLE.fullmatch(line):
            table = _bare(match[1])
            yield number, table
            continue
        if match := _KEY.match(line):
            yield number, f"{table}.{_bare(match[1])}".lstrip(".")
            rest = match[2]
        within = next((mark for mark in ('"""', "'''") if rest.count(mark) % 2), "")


def _bare(dotted: str) -> str:
    return re.sub(r"[\"'\s]", "", dotted)
