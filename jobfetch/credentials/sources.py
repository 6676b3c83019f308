"""Where a provider's secrets come from, in order, each opened only when it is needed.

standard input of this run
--<secret>-file
the explicit profile:  <secret>_file, <secret>_command, credentials.toml, keyring
the environment:       JOBFETCH_<PROVIDER>_<SECRET>, the vendor's variables, JOBFETCH_<PROVIDER>_<SECRET>_FILE
$CREDENTIALS_DIRECTORY/jobfetch-<provider>
the default profile, then the provider's own table:  as for the explicit profile
"""

from __future__ import annotations

import os
from collections.abc import Callable, Iterator, Mapping
from datetime import UTC, datetime
from functools import partial
from pathlib import Path
from typing import Any

from msgspec import Struct, field

from jobfetch.credentials import command, vault
from jobfetch.credentials.cache import Cache, Key
from jobfetch.credentials.store import Secrets
from jobfetch.errors import ConfigError, CredentialsError, JobfetchError
from jobfetch.model import decode, encode, timestamp
from jobfetch.patience import within
from jobfetch.places import Level, Levels, Value
from jobfetch.spec import Login, Provider, Scheme


class Source(Struct, frozen=True, kw_only=True):
    """One place where secrets of a provider may stand. `load` opens it: what it holds, by name, each from where.

    `names` are those that it may hold. A keyring is `slow` to answer. What a command last gave for its `main` secret may be `kept` in the cache; a
    command is not run merely to tell about it. `again` opens a place anew that may give another secret than the refused one.
    """

    names: tuple[str, ...]
    origin: str
    load: Callable[[], Secrets]
    slow: bool = False
    main: str | None = None
    kept: Key | None = None
    again: Callable[[str], Secrets] | None = None


class Asked(Struct, frozen=True, kw_only=True):
    """What the search for secrets needs to know, and whom it may ask."""

    environ: Mapping[str, str]
    levels: Levels
    #: reads credentials.toml: profile (None: without one) -> name -> secret
    stored: Callable[[], Mapping[str | None, Secrets]]
    cache: Cache
    options: Mapping[str, str | None] = field(default_factory=dict)
    piped: Secrets | None = None
    keyring: bool = False
    tell: Callable[[str], None] = lambda _: None
    learn: Callable[[str], None] = lambda _: None
    #: seconds that a credential command may take
    patience: Callable[[], float] = lambda: command.PATIENCE


class Credential(Struct, frozen=True, kw_only=True):
    """The scheme to sign with, its secrets, and where each comes from."""

    scheme: Scheme
    values: Mapping[str, Value]
    again: Callable[[str], Secrets] | None = None

    @property
    def secret(self) -> str:
        """The scheme's main secret."""
        return self.values[self.scheme.secret].text


def find(provider: Provider, asked: Asked) -> Credential:
    """The nearest credential that is whole.

    Raises:
        CredentialsError: there is none, or a place that should hold one does not.
        ConfigError: a place cannot be what config.toml says it is.

    """
    search = _search(provider, asked, run=True)
    if search.scheme is None:
        raise _missing(provider, search.values)
    return Credential(scheme=search.scheme, values=search.values, again=search.owners[search.scheme.secret].again)


class _Search(Struct, frozen=True):
    """How far a search has come: what was found, the place of each, and the first scheme that is whole."""

    values: Mapping[str, Value]
    owners: Mapping[str, Source]
    scheme: Scheme | None


def _search(provider: Provider, asked: Asked, *, run: bool) -> _Search:
    """Open one place after the other until a scheme is whole; without `run`, a command counts as what it is for."""
    values: dict[str, Value] = {}
    owners: dict[str, Source] = {}
    for rank, source in enumerate(sources(provider, asked)):
        if set(source.names) <= set(values):
            continue
        if source.main and not run:
            # it may give the user name as well; whether it does shows once it is run
            told = dict.fromkeys(_together(provider, source.main), "")
        else:
            told = {name: secret for name, secret in source.load().items() if secret}
        for name in [name for name in told if name not in values]:
            asked.learn(told[name])
            origin = source.origin if run or not source.main else f"{source.origin} (not run)"
            values[name], owners[name] = Value(told[name], origin, rank), source
        if scheme := _whole(provider, values):
            return _Search(values, owners, scheme)
    return _Search(values, owners, None)


def _whole(provider: Provider, found: Mapping[str, Value]) -> Scheme | None:
    """The first scheme that has all its secrets."""
    return next((scheme for scheme in provider.auth.schemes if set(secrets_of(scheme)) <= set(found)), None)


def secrets_of(scheme: Scheme) -> tuple[str, ...]:
    """The names of the secrets that a scheme cannot do without."""
    return (scheme.username, scheme.secret) if isinstance(scheme, Login) else (scheme.secret,)


def _together(provider: Provider, name: str) -> tuple[str, ...]:
    """The secrets that belong together with one of them."""
    return next(secrets for scheme in provider.auth.schemes if name in (secrets := secrets_of(scheme)))


def _missing(provider: Provider, found: Mapping[str, Value]) -> CredentialsError:
    for scheme in provider.auth.schemes:
        if isinstance(scheme, Login) and {scheme.secret, scheme.username} & set(found):
            lacking = scheme.username if scheme.secret in found else scheme.secret
            return missing(provider, f"{lacking} as well")
    return missing(provider)


def missing(provider: Provider, what: str | None = None) -> CredentialsError:
    """The error for a provider without its secrets, with the ways to give one."""
    names = [param.name for param in provider.auth.secrets]
    vendors = [name for param in provider.auth.secrets for name in param.env]
    return CredentialsError(
        f"{provider.name} needs {what or ' or '.join(names) + ', and none is set'}",
        hint=f"jobfetch auth login {provider.name}; or set {' or '.join(map(provider.variable, names))} "
        f"(also read: {', '.join(vendors)}), or pipe it to --secret-stdin",
    )


class Held(Struct, frozen=True, kw_only=True):
    """What can be told of a credential without a costly question: each secret's place, and the scheme that is whole.

    A secret that was not looked at has no text; what its command gave last may be `kept` in the cache.
    """

    values: Mapping[str, Value]
    scheme: Scheme | None
    kept: Key | None = None


def held(provider: Provider, asked: Asked) -> Held:
    """Where the nearest credential comes from, without running a command; a keyring is asked."""
    search = _search(provider, asked, run=False)
    kept = search.owners[search.scheme.secret].kept if search.scheme else None
    return Held(values=search.values, scheme=search.scheme, kept=kept)


class Place(Struct, frozen=True):
    """Where a secret would come from, in words, and what is wrong with that place, if anything is."""

    origin: str
    problem: str | None = None


def places(provider: Provider, asked: Asked) -> dict[str, Place]:
    """Where each secret would come from, by name; no command is run and no keyring is asked."""
    told: dict[str, Place] = {}
    for source in sources(provider, asked):
        try:
            names = [source.main] if source.main else list(source.names if source.slow else source.load())
            place = Place(source.origin + (" (not asked)" if source.slow else " (not run)" if source.main else ""))
        except JobfetchError as error:
            names, place = list(source.names), Place(source.origin, error.message)
        for name in names:
            told.setdefault(name, place)
    return told


# --- the places ---


def sources(provider: Provider, asked: Asked) -> Iterator[Source]:
    """Every place that may hold a secret of the provider, in order; none is opened here."""
    names = tuple(secret.name for secret in provider.auth.secrets)
    if asked.piped is not None:
        piped = asked.piped
        yield Source(names=tuple(piped), origin="standard input", load=lambda: piped)
    for name in names:
        if path := asked.options.get(f"{name}_file"):
            yield _file(provider, asked, name, path, f"--{name}-file".replace("_", "-"))
    if asked.levels.explicit:
        yield from _at(provider, asked, asked.levels.explicit)
    yield from _environment(provider, asked)
    if folder := asked.environ.get("CREDENTIALS_DIRECTORY"):
        place = Path(folder) / f"jobfetch-{provider.name}"
        # a folder that may not be looked into has no file for us
        if os.path.isfile(place):  # noqa: PTH113 - Path.is_file raises there
            yield _file(provider, asked, names[0], str(place), "$CREDENTIALS_DIRECTORY")
    for level in asked.levels.others:
        yield from _at(provider, asked, level)


def _environment(provider: Provider, asked: Asked) -> Iterator[Source]:
    environ = asked.environ
    # all variables together are one place: which of two secrets is used is the schemes' to say
    for secret in provider.auth.secrets:
        for variable in (provider.variable(secret.name), *secret.env):
            if environ.get(variable, "").strip():
                yield Source(
                    names=(secret.name,),
                    origin=variable,
                    load=partial(dict, {secret.name: environ[variable].strip()}),
                )
                break
    for secret in provider.auth.secrets:
        variable = f"{provider.variable(secret.name)}_FILE"
        if path := environ.get(variable, "").strip():
            yield _file(provider, asked, secret.name, path, variable)


def _at(provider: Provider, asked: Asked, level: Level) -> Iterator[Source]:
    """What one table of config.toml leads to, and what the stores hold under the same name."""
    names = tuple(secret.name for secret in provider.auth.secrets)
    for name in names:
        if path := level.table.get(f"{name}_file"):
            yield _file(provider, asked, name, str(path), f"{name}_file of {level.origin}")
    for name in names:
        if words := level.table.get(f"{name}_command"):
            yield _command(provider, asked, level, name, words)
    whose = f"profile {level.profile}" if level.profile else f"[{provider.name}]"
    yield Source(
        names=names,
        origin=f"{whose} in credentials.toml",
        load=lambda: dict(asked.stored().get(level.profile, {})),
    )
    if asked.keyring:
        yield Source(
            names=names,
            origin=f"keyring ({whose})",
            slow=True,
            load=lambda: {n: s for n in names if (s := vault.get(provider.name, level.profile, n))},
        )


def _file(provider: Provider, asked: Asked, name: str, path: str, origin: str) -> Source:
    def load() -> Secrets:
        try:
            # it may be a pipe, and nobody there to write into it
            text = within(asked.patience(), Path(path).expanduser().read_bytes)
        except TimeoutError:
            raise CredentialsError(f"{origin}: {path} gave nothing in time", hint="does anybody write to it?") from None
        except (OSError, ValueError) as error:
            reason = getattr(error, "strerror", None) or "no path can be like this"
            raise ConfigError(f"{origin}: {path}: {reason}", hint="check the path, its owner and mode") from None
        except RuntimeError:  # a ~ and no home
            raise ConfigError(f"{origin}: {path}: there is no home", hint="write the whole path") from None
        return given(provider, text, name, f"{origin}: {path}")

    # a file may be replaced while a job is waited for
    return Source(
        names=tuple(each.name for each in provider.auth.secrets),
        origin=f"{origin} ({path})",
        load=load,
        again=lambda _: load(),
    )


def _command(provider: Provider, asked: Asked, level: Level, name: str, words: list[str]) -> Source:
    origin = f"{name}_command of {level.origin}"
    key = Key(provider=provider.name, profile=level.profile, parts=("command", *words))

    def make() -> tuple[str, float | None]:
        out = command.output_of(words, origin, patience=asked.patience(), tell=asked.tell, learn=asked.learn)
        return printed(provider, out, name, f"{origin}: {words[0]}", asked.cache.now())

    def load(refused: str | None = None) -> Secrets:
        def made_other() -> str | None:
            entry = asked.cache.peek(key)
            return entry.value if refused and entry and refused in decode(entry.value.encode()).values() else None

        text, _ = asked.cache.get(key, make, refused=made_other())
        secrets: Secrets = decode(text.encode())
        return secrets

    return Source(
        names=tuple(each.name for each in provider.auth.secrets),
        origin=origin,
        load=load,
        main=name,
        kept=key,
        again=load,
    )


# --- what stands there ---


def given(provider: Provider, text: bytes, name: str, where: str) -> Secrets:
    """Secrets as a person or a file gives them: one as plain text (under `name`), several as a JSON object."""
    names = [secret.name for secret in provider.auth.secrets]
    try:
        plain = text.decode("utf-8-sig").strip()
    except UnicodeDecodeError:
        raise CredentialsError(f"{where} is not UTF-8", hint="write the secret as plain text") from None
    if not plain:
        raise CredentialsError(f"{where} is empty", hint=f"it should hold the {name} of {provider.name}")
    if not plain.startswith("{"):
        return {name: plain}
    told = _object(plain)
    if told is None or not all(key in names and isinstance(value, str) for key, value in told.items()):
        example = encode({names[0]: "..."}).decode()
        raise CredentialsError(
            f"{where} holds an object that is not one of text under {' or '.join(names)}",
            hint=f"give the plain secret, or for example {example}",
        )
    return told


def printed(provider: Provider, out: bytes, name: str, where: str, now: float) -> tuple[str, float | None]:
    """What a credential command printed, as a JSON object of secrets, and its life in seconds (None: not told).

    It is one plain line, or a JSON object with the secrets by name and, where they end, `Expiration` (RFC 3339).
    """
    told = _object(out.decode("utf-8", "replace")) if out.lstrip().startswith(b"{") else None
    if told is None:
        secrets = given(provider, out, name, f"what {where} printed")
        if any(len(secret.splitlines()) > 1 for secret in secrets.values()):
            raise CredentialsError(
                f"what {where} printed is more than one line", hint="let it print one line, or a JSON object"
            )
        return encode(secrets).decode(), None
    # `Version` is what such commands print for other programs
    expires = told.pop("Expiration", None)
    told.pop("Version", None)
    secrets = given(provider, encode(told), name, f"what {where} printed")
    return encode(secrets).decode(), _lifetime(expires, where, now)


def _lifetime(expires: Any, where: str, now: float) -> float | None:
    if expires is None:
        return None
    moment = timestamp(expires) if isinstance(expires, str) else None
    if moment is None:
        raise CredentialsError(
            f"what {where} printed has an Expiration that is no RFC 3339 time", hint="write it as 2026-01-31T09:30:00Z"
        )
    left = datetime.fromisoformat(moment).astimezone(UTC).timestamp() - now
    if left <= 0:
        raise CredentialsError(
            f"what {where} printed has expired at {moment}", hint="run it by hand, and check the clock"
        )
    return left


def _object(text: str) -> dict[str, Any] | None:
    try:
        told = decode(text.encode())
    except JobfetchError:
        return None
    return told if isinstance(told, dict) else None
