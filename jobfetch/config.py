"""Settings and where they come from: option, profile, environment, file, default. It reads; it never writes or asks.

option > explicit profile > JOBFETCH_<PROVIDER>_<NAME> > the vendor's variables > default profile
       > [<provider>] > default
"""

from __future__ import annotations

import difflib
import tomllib
from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any
from urllib.parse import urlsplit

import platformdirs
import pydantic

from jobfetch.errors import ConfigError, UsageError
from jobfetch.model import safe_url
from jobfetch.spec import Param, Provider

BASE_URL = Param(name="base_url", help="address in front of the documented paths, for a proxy or a sandbox")

STATES = Param(name="states", help="states that the documents do not tell, for example rejected=failed")

_LOOPBACK = {"localhost", "127.0.0.1", "::1"}


class Defaults(pydantic.BaseModel):
    """The `[defaults]` table: what options say when they are not given."""

    model_config = pydantic.ConfigDict(extra="forbid")

    timeout: str | int | float | None = None
    workers: int | None = None
    rate: str | None = None
    format: str | None = None
    output: str | None = None


@dataclass(frozen=True, slots=True)
class Value:
    """One setting: its text, where it came from in words, and how far up the order that place stands (0 is first)."""

    text: str
    origin: str
    rank: int


@dataclass(frozen=True, slots=True, kw_only=True)
class File:
    """config.toml as it stands: the path, and its tables (empty where there is no file)."""

    path: Path
    tables: Mapping[str, Any]

    def table(self, *names: str) -> Mapping[str, Any]:
        """A table by its dotted names, empty where it is not there."""
        table: Any = self.tables
        for name in names:
            table = table.get(name, {})
        return table if isinstance(table, Mapping) else {}

    @property
    def defaults(self) -> Defaults:
        """The `[defaults]` table, checked."""
        try:
            return Defaults.model_validate(self.tables.get("defaults", {}))
        except pydantic.ValidationError as error:
            raise self.wrong("defaults", error, list(Defaults.model_fields)) from None

    def wrong(self, table: str, error: pydantic.ValidationError, known: list[str]) -> ConfigError:
        """The error for a key that is not known or has the wrong type: file, dotted key, nearest right name."""
        first = error.errors(include_input=False, include_url=False)[0]
        key = ".".join(str(part) for part in (table, *first["loc"]))
        return self._no_such(key, known) if first["type"] == "extra_forbidden" else self._say(key, first["msg"])

    def check(self, providers: Mapping[str, Provider]) -> None:
        """Refuse keys that nobody reads: a mistyped one would be ignored in silence otherwise."""
        tops = ["default_provider", "default_profile", "defaults", *providers]
        for top, value in self.tables.items():
            if top not in tops:
                raise self._no_such(top, tops)
            if top in providers:
                self._check_provider(providers[top], value)
            if top in {"default_provider", "default_profile"} and not isinstance(value, str):
                raise self._say(top, "must be text")
        _ = self.defaults

    def _check_provider(self, provider: Provider, table: Any) -> None:
        profiles = table.get("profiles", {}) if isinstance(table, dict) else {}
        places = {provider.name: table, f"{provider.name}.profiles": profiles}
        places |= (
            {f"{provider.name}.profiles.{name}": keys for name, keys in dict(profiles).items()}
            if isinstance(profiles, dict)
            else {}
        )
        for name, value in places.items():
            if not isinstance(value, dict):
                raise self._say(name, "must be a table")
        bare = {key: value for key, value in table.items() if key != "profiles"}
        for name, keys in ((provider.name, bare), *((f"{provider.name}.profiles.{p}", k) for p, k in profiles.items())):
            self._check_keys(provider, name, keys)

    def _check_keys(self, provider: Provider, table: str, keys: Mapping[str, Any]) -> None:
        known = [param.name for param in params_of(provider)]
        secrets = {secret.name for secret in provider.auth.secrets}
        for key, value in keys.items():
            if key in secrets:
                variable = f"JOBFETCH_{provider.name}_{key}".upper()
                raise self._say(f"{table}.{key}", f"is a secret, and this file is no place for it; set {variable}")
            if key not in known:
                raise self._no_such(f"{table}.{key}", known)
            if isinstance(value, bool) or not isinstance(value, str | int):
                raise self._say(f"{table}.{key}", "must be text")

    def _no_such(self, key: str, known: list[str]) -> ConfigError:
        near = difflib.get_close_matches(key.rpartition(".")[2], known, n=1)
        return self._say(key, f"is no setting; did you mean {near[0]}?" if near else "is no setting")

    def _say(self, key: str, what: str) -> ConfigError:
        return ConfigError(f"{self.path}: {key} {what}", hint="config.example.toml shows every setting")


def folder(environ: Mapping[str, str]) -> Path:
    """Where config.toml lies."""
    return Path(environ.get("JOBFETCH_CONFIG_DIR") or platformdirs.user_config_path("jobfetch"))


def read(environ: Mapping[str, str]) -> File:
    """config.toml, or nothing where there is none; `ConfigError` with file and line where it is not TOML."""
    path = folder(environ) / "config.toml"
    try:
        return File(path=path, tables=tomllib.loads(path.read_text(encoding="utf-8")))
    except (FileNotFoundError, NotADirectoryError):
        return File(path=path, tables={})
    except (tomllib.TOMLDecodeError, UnicodeDecodeError) as error:
        raise ConfigError(f"{path}: {error}", hint="mend that line") from None
    except OSError as error:
        raise ConfigError(f"{path} cannot be read: {error.strerror}", hint="check its owner and mode") from None


def default_provider(environ: Mapping[str, str], providers: Mapping[str, Provider]) -> str:
    """The provider of a line that names none; `UsageError` where none is set, `ConfigError` where there is no such."""
    file = read(environ)
    file.check(providers)
    name = file.tables.get("default_provider")
    if name is None:
        raise UsageError(
            f"which provider? One of {', '.join(providers)}",
            hint=f"name it behind `batch download`, or set default_provider in {file.path}",
        )
    if name not in providers:
        raise ConfigError(f"{file.path}: default_provider {name!r} is none of {', '.join(providers)}")
    return str(name)


def params_of(provider: Provider) -> tuple[Param, ...]:
    """Every setting of a provider, those that all have first."""
    base_url = Param(name=BASE_URL.name, help=BASE_URL.help, env=provider.base_url_env)
    return (base_url, STATES, *provider.settings, *provider.filters)


def resolve(
    provider: Provider, options: Mapping[str, str | None], file: File, environ: Mapping[str, str], profile: str | None
) -> dict[str, Value]:
    """Every setting that has a value, `base_url` always; `ConfigError` where one is missing or cannot be."""
    sources = _Sources(file, environ, profile)
    values = {
        param.name: value
        for param in params_of(provider)
        if (value := _first(_places(provider, param, options.get(param.name), sources)))
    }
    for param in params_of(provider):
        if param.choices and param.name in values and values[param.name].text not in param.choices:
            raise ConfigError(
                f"{param.name} (from {values[param.name].origin}) is {values[param.name].text!r}",
                hint=f"one of {', '.join(param.choices)}",
            )
    for name, value in values.items():
        if value.text in {".", ".."}:
            raise ConfigError(f"{name} (from {value.origin}) cannot be {value.text!r}", hint="give its real value")
    values["base_url"] = _base_url(provider, values)
    for name in ("base_url", "token_url"):
        if name in values:
            _check_url(name, values[name])
    return values


def _first(places: Iterator[tuple[str | None, str]]) -> Value | None:
    filled = ((rank, (text or "").strip(), origin) for rank, (text, origin) in enumerate(places))
    return next((Value(text, origin, rank) for rank, text, origin in filled if text), None)


@dataclass(frozen=True, slots=True)
class _Sources:
    file: File
    environ: Mapping[str, str]
    profile: str | None


def _places(
    provider: Provider, param: Param, option: str | None, sources: _Sources
) -> Iterator[tuple[str | None, str]]:
    """Each place that a setting may come from, in order, with what stands there."""
    file, environ, profile = sources.file, sources.environ, sources.profile
    ours = f"JOBFETCH_{provider.name}_{param.name}".upper()
    fallback = None if profile else environ.get("JOBFETCH_PROFILE") or file.tables.get("default_profile")
    yield option, param.option
    yield _from_profile(provider, param, file, profile, must=True), f"profile {profile} in {file.path}"
    yield environ.get(ours), ours
    yield next(_vendors(param, environ), (None, "the environment"))
    yield _from_profile(provider, param, file, fallback, must=False), f"profile {fallback} in {file.path}"
    yield _text(file.table(provider.name).get(param.name)), f"[{provider.name}] in {file.path}"
    yield param.default, "default"


def _vendors(param: Param, environ: Mapping[str, str]) -> Iterator[tuple[str, str]]:
    filled = ((name, template) for name, template in param.env.items() if environ.get(name, "").strip())
    return ((template.format(environ[name].strip()), name) for name, template in filled)


def _from_profile(
    provider: Provider, param: Param, file: File, profile: str | None, *, must: bool = True
) -> str | None:
    if not profile:
        return None
    profiles = file.table(provider.name, "profiles")
    if must and profile not in profiles:
        known = ", ".join(profiles) or "none"
        raise ConfigError(
            f"{file.path}: {provider.name} has no profile {profile!r} (there is: {known})",
            hint=f"add [{provider.name}.profiles.{profile}]",
        )
    return _text(profiles.get(profile, {}).get(param.name))


def _text(value: Any) -> str | None:
    return None if value is None else str(value)


def _base_url(provider: Provider, values: Mapping[str, Value]) -> Value:
    """The base URL itself, or the one that follows from other settings, whichever was said nearer to the command."""
    said = values.get("base_url")
    nearer = {name: value.text for name, value in values.items() if not said or value.rank < said.rank}
    follows = provider.base_url(nearer)
    if follows and (not said or follows != provider.base_url({})):
        return Value(follows, f"the default of {provider.name}", 99)
    if said:
        return said
    raise ConfigError(
        f"{provider.name} needs base_url or {provider.settings[1].name}",
        hint=f"give --{provider.settings[1].name}, or set JOBFETCH_{provider.name.upper()}_BASE_URL",
    )


def _check_url(name: str, value: Value) -> None:
    where = f"{name} (from {value.origin})"
    parts = urlsplit(value.text if _is_address(value.text) else "")
    if parts.scheme not in {"http", "https"} or not parts.hostname:
        raise ConfigError(f"{where} is no http(s) address", hint="write for example https://api.example.com")
    if parts.username or parts.password or parts.query or parts.fragment:
        raise ConfigError(
            f"{where} holds a user, password or query: {safe_url(value.text)}", hint="leave only scheme, host and path"
        )
    if parts.scheme == "http" and parts.hostname not in _LOOPBACK:
        raise ConfigError(
            f"{where} is plain http, which would send the credential unencrypted: {safe_url(value.text)}",
            hint="use https (http is for this machine only)",
        )


def _is_address(text: str) -> bool:
    try:
        return urlsplit(text).port != 0 and text.isprintable() and " " not in text
    except ValueError:  # a port that is no number, a bracket that is never closed
        return False


def secrets(provider: Provider, environ: Mapping[str, str]) -> dict[str, Value]:
    """Every secret of a provider that the environment holds, ours before the vendor's."""
    found = {}
    for rank, param in enumerate(provider.auth.secrets):
        ours = f"JOBFETCH_{provider.name}_{param.name}".upper()
        places = ((environ[name], name) for name in (ours, *param.env) if environ.get(name, "").strip())
        if first := next(places, None):
            found[param.name] = Value(first[0].strip(), first[1], rank)
    return found


def example(providers: Mapping[str, Provider]) -> str:
    """config.example.toml, whole: every setting of every provider, commented out."""
    lines = [
        "# jobfetch settings; no secret belongs in here. Copy it to the folder that JOBFETCH_CONFIG_DIR names,",
        "# or to ~/.config/jobfetch/config.toml, and take the # away from what you want to set.",
        "",
        '# default_provider = "playment"   # of `batch download` without a provider',
        '# default_profile = "work"',
        "",
        "# [defaults]",
        '# timeout = "1h"        # how long a whole command may take',
        '# format = "json"       # json, ndjson, csv or raw',
        '# output = "results"    # where results go, in place of standard output',
        "# workers = 8           # jobs that a batch fetches at a time",
        '# rate = "10/s"         # the most requests in a time, or "none"',
    ]
    for provider in providers.values():
        lines += ["", f"# --- {provider.title} ---", f"# [{provider.name}]"]
        lines += [f'# {param.name} = "{param.default or ""}"  # {param.help}' for param in params_of(provider)]
        lines += [
            "#",
            f"# [{provider.name}.profiles.work]",
            f'# {params_of(provider)[2 if provider.settings else 0].name} = ""',
        ]
    return "\n".join(lines) + "\n"
