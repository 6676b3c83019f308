"""Which place wins: option, explicit profile, environment, default profile, provider's table, [defaults], default.

It reads what it is handed; it never writes or asks.
"""

from __future__ import annotations

from collections.abc import Collection, Iterator, Mapping
from typing import Any
from urllib.parse import urlsplit

from jobfetch.config.file import File
from jobfetch.config.params import RUN, params_of
from jobfetch.errors import ConfigError, UsageError
from jobfetch.model import safe_url
from jobfetch.places import Level, Levels, Value
from jobfetch.spec import Param, Provider, setting_hint

__all__ = ["RUN", "default_provider", "found", "levels", "params_of", "profile_named", "resolve"]

_LOOPBACK = {"localhost", "127.0.0.1", "::1"}
#: The rank of what follows from other settings, behind every place that says something.
_FOLLOWS = 99
#: The settings that are addresses: credentials go there, and none belongs into them.
ADDRESSES = ("base_url", "token_url")


def default_provider(file: File, providers: Mapping[str, Provider]) -> str:
    """The provider of a line that names none; `UsageError` where none is set."""
    name = file.text("default_provider")
    if name is None:
        raise UsageError(
            f"which provider? One of {', '.join(providers)}",
            hint="name it behind `batch download`, or: jobfetch config set default_provider NAME",
        )
    return name


def levels(provider: Provider, file: File, environ: Mapping[str, str], profile: str | None) -> Levels:
    """The tables of config.toml that hold for a provider; `profile` is the one named by `--profile`."""
    own = Level(None, file.table(provider.name), f"[{provider.name}] in {file.path}")
    named = profile or environ.get("JOBFETCH_PROFILE") or file.text("default_profile")
    if not named:
        return Levels(None, (own,))
    table = file.table(provider.name, "profiles", named)
    level = Level(named, table, f"profile {named} in {file.path}")
    return Levels(level, (own,)) if profile else Levels(None, (level, own))


def profile_named(
    providers: Mapping[str, Provider],
    provider: Provider,
    file: File,
    *,
    environ: Mapping[str, str],
    profile: str | None,
    stored: Mapping[str, Collection[str]],
) -> None:
    """Refuse a profile that nobody has: it would be another account in silence.

    `--profile` must be one of the provider's, `JOBFETCH_PROFILE` and `default_profile` one of anybody's; `stored` are
    the profiles that the credential store knows, by provider.
    """
    usual = "JOBFETCH_PROFILE" if environ.get("JOBFETCH_PROFILE") else "default_profile"
    said = profile or environ.get("JOBFETCH_PROFILE") or file.text("default_profile")
    asked = [provider] if profile else list(providers.values())
    known = {name for each in asked for name in (*file.table(each.name, "profiles"), *stored.get(each.name, ()))}
    if said and said not in known:
        whose = provider.name if profile else f"{usual}: any provider"
        raise ConfigError(
            f"{file.path}: {whose} has no profile {said!r} (there is: {', '.join(sorted(known)) or 'none'})",
            hint="jobfetch config set default_profile NAME"
            if not profile and usual == "default_profile"
            else f"jobfetch auth login {provider.name} --profile {said}",
        )


def found(
    provider: Provider, options: Mapping[str, str | None], file: File, environ: Mapping[str, str], profile: str | None
) -> dict[str, Value]:
    """Every setting that has a value, as it stands there: nothing of it has been checked."""
    tables = levels(provider, file, environ, profile)
    values = {}
    for param in (*params_of(provider), *RUN):
        places = _places(provider, param, options.get(param.name), file=file, tables=tables, environ=environ)
        if value := _first(places):
            values[param.name] = value
    base_url = _base_url(provider, values)
    return {**values, "base_url": base_url} if base_url else values


def resolve(
    provider: Provider, options: Mapping[str, str | None], file: File, environ: Mapping[str, str], profile: str | None
) -> dict[str, Value]:
    """Every setting that has a value, `base_url` always; `ConfigError` where one is missing or cannot be."""
    values = found(provider, options, file, environ, profile)
    for param in (*params_of(provider), *RUN):
        if param.name in values:
            checked(param, values[param.name])
    if "base_url" not in values:
        name = provider.base_url_from or "base_url"
        raise ConfigError(f"{provider.name} needs base_url or {name}", hint=setting_hint(provider.name, name))
    for name in ADDRESSES:
        if name in values:
            check_url(name, values[name])
    return values


def checked(param: Param, value: Value) -> None:
    """Refuse a value that its setting cannot have."""
    where = f"{param.name} (from {value.origin})"
    if param.choices and value.text not in param.choices:
        raise ConfigError(f"{where} is {value.text!r}", hint=f"one of {', '.join(param.choices)}")
    if value.text in {".", ".."} and param not in RUN:
        raise ConfigError(f"{where} cannot be {value.text!r}", hint="give its real value")
    if param.check:
        try:
            param.check(value.text)
        except UsageError as error:
            raise ConfigError(f"{where}: {error.message}", hint=error.hint) from None


def _first(places: Iterator[tuple[Any, str]]) -> Value | None:
    texts = ((rank, "" if said is None else str(said).strip(), origin) for rank, (said, origin) in enumerate(places))
    return next((Value(text, origin, rank) for rank, text, origin in texts if text), None)


def _places(
    provider: Provider, param: Param, option: str | None, *, file: File, tables: Levels, environ: Mapping[str, str]
) -> Iterator[tuple[Any, str]]:
    """Each place that a setting may come from, in order, with what stands there."""
    ours = provider.variable(param.name)
    yield option, param.option
    yield tables.explicit and tables.explicit.table.get(param.name), tables.explicit.origin if tables.explicit else ""
    yield environ.get(ours), ours
    yield next(_vendors(param, environ), (None, "the environment"))
    # the default profile's place is there also where no profile is the default: ranks are the same in every run
    yield from [(None, "")] * (2 - len(tables.others))
    for level in tables.others:
        yield level.table.get(param.name), level.origin
    if param in RUN:
        yield file.table("defaults").get(param.name), f"[defaults] in {file.path}"
    yield param.default, "default"


def _vendors(param: Param, environ: Mapping[str, str]) -> Iterator[tuple[str, str]]:
    filled = ((name, template) for name, template in param.env.items() if environ.get(name, "").strip())
    return ((template.format(environ[name].strip()), name) for name, template in filled)


def _base_url(provider: Provider, values: Mapping[str, Value]) -> Value | None:
    """The base URL itself, or the one that follows from other settings, whichever was said nearer to the command."""
    said = values.get("base_url")
    nearer = {name: value.text for name, value in values.items() if not said or value.rank < said.rank}
    follows = provider.base_url(nearer)
    if follows and (not said or follows != provider.base_url({})):
        origin = values[provider.base_url_from or ""].origin if provider.base_url_from else ""
        made = f"made from {provider.base_url_from} ({origin})" if origin else f"the default of {provider.name}"
        return Value(follows, made, _FOLLOWS)
    return said


def check_url(name: str, value: Value) -> None:
    """Refuse what is no address, or not one that a credential may be sent to."""
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
