"""One account at a provider: its settings and secrets from every place, and the connection that is made with them."""

from __future__ import annotations

import contextlib
import os
import sys
import time
from collections.abc import Callable, Iterator, Mapping
from dataclasses import dataclass, fields, replace
from datetime import UTC, datetime
from functools import cache, partial
from typing import Any

from jobfetch import __version__, config, credentials, fetch, limits
from jobfetch.commands.report import Report
from jobfetch.errors import ConfigError, CredentialsError, UsageError
from jobfetch.model import Deadline
from jobfetch.places import Value, state_folder
from jobfetch.providers import PROVIDERS
from jobfetch.spec import Address, ClientCredentials, Provider, Schedule, setting_hint
from jobfetch.transport import PARSE_LIMIT, Transport, Wire
from jobfetch.ui import Ui

WAIT_TIMEOUT = 3600.0
LOOK_TIMEOUT = 120.0
#: Seconds to wait for a credential command, and for another process that is renewing a token.
MOST_PATIENCE = 60.0


@dataclass(frozen=True, slots=True, kw_only=True)
class Network:
    """Options of every command that asks a service."""

    options: Mapping[str, str | None]
    profile: str | None = None
    secret_stdin: bool = False
    timeout: str | None = None
    interval: str | None = None
    retries: int = 4
    ca_bundle: str | None = None
    parse_limit: str | None = None


def refuse_empty(given: Any) -> None:
    """An option with nothing in it is a variable that was not set, and must not mean the default."""
    for each in fields(given):
        if getattr(given, each.name) == "":
            raise UsageError(f"--{each.name.replace('_', '-')} is empty", hint="is a shell variable not set?")


#: Reads credentials.toml: provider -> profile -> name -> secret.
Stored = Callable[[], Mapping[str, Mapping[str | None, credentials.Secrets]]]


@dataclass(frozen=True, slots=True, kw_only=True)
class Account:
    """A provider with what config.toml, the environment and the command line say about it; nothing has been asked."""

    provider: Provider
    file: config.File
    values: Mapping[str, Value]
    levels: config.Levels
    #: reads credentials.toml, once
    stored: Stored

    def text(self, name: str) -> str | None:
        """A setting's value, None where nobody said anything."""
        value = self.values.get(name)
        return value.text if value else None


def settings_file() -> config.File:
    """config.toml, read and checked."""
    file = config.read(os.environ)
    file.check(PROVIDERS)
    return file


def account_of(name: str, report: Report, network: Network) -> Account:
    """The account that a command line asks for, with every setting that has a value."""
    refuse_empty(network)
    provider = PROVIDERS[name]
    report.provider = name
    file = settings_file()
    stored = cache(partial(credentials.store.read, os.environ, PROVIDERS))
    check_profile(provider, file, network.profile, stored)
    values = config.resolve(provider, network.options, file, os.environ, network.profile)
    for param in provider.settings:
        if param.required and param.name not in values:
            raise ConfigError(f"{name} needs {param.name} ({param.help})", hint=setting_hint(name, param.name))
    levels = config.levels(provider, file, os.environ, network.profile)
    return Account(provider=provider, file=file, values=values, levels=levels, stored=stored)


def check_profile(provider: Provider, file: config.File, profile: str | None, stored: Stored) -> None:
    """Refuse a profile that is nowhere."""
    # a keyring cannot be asked which profiles it knows
    if (profile or os.environ.get("JOBFETCH_PROFILE")) and file.text("credential_store") != "keyring":
        named = {name: [each for each in accounts if each] for name, accounts in stored().items()}
        config.profile_named(PROVIDERS, provider, file, environ=os.environ, profile=profile, stored=named)


def asked_of(account: Account, network: Network, ui: Ui, deadline: Deadline) -> credentials.Asked:
    """Where to look for the account's secrets."""

    def patience() -> float:
        return min(MOST_PATIENCE, deadline.left())

    return credentials.Asked(
        environ=os.environ,
        levels=account.levels,
        stored=lambda: account.stored().get(account.provider.name, {}),
        cache=credentials.Cache(state_folder(os.environ), patience=patience),
        options=network.options,
        piped=piped(account) if network.secret_stdin else None,
        keyring=account.file.text("credential_store") == "keyring",
        tell=ui.note,
        learn=ui.learn,
        patience=patience,
    )


@contextlib.contextmanager
def connected(
    account: Account,
    network: Network,
    ui: Ui,
    started: float,
    *,
    wait: bool,
    asked: credentials.Asked | None = None,
) -> Iterator[tuple[fetch.Service, fetch.Waiting]]:
    """The service with its settings, credentials and connections, and how long to wait for it."""
    spec = account.provider
    params = {name: value.text for name, value in account.values.items()}
    deadline = Deadline(started + _allowed(account, network, wait=wait), time.monotonic)
    asked = asked or asked_of(account, network, ui, deadline)
    credential = credentials.find(spec, asked)
    wire = Wire(
        deadline=deadline,
        user_agent=f"jobfetch/{__version__}",
        ca_bundle=network.ca_bundle,
        parse_limit=limits.size(network.parse_limit) if network.parse_limit else PARSE_LIMIT,
    )
    # as it will be connected to: what is compared with it later has been through the same
    params["base_url"] = wire.address(params["base_url"])
    transport = Transport(
        wire,
        deadline=deadline,
        errors=spec.errors,
        home=params["base_url"],
        retries=network.retries,
        now=_now,
        sleep=time.sleep,
        notify=ui.detail,
    )
    signer = credentials.signer(
        spec,
        params,
        credential,
        send=transport.send,
        cache=asked.cache,
        clock=time.monotonic,
        learn=ui.learn,
        profile=account.levels.profile,
    )
    send = partial(transport.send, signer=signer)
    try:
        yield (
            fetch.Service(
                provider=spec,
                address=Address(base_url=params["base_url"], params=params),
                send=send,
                now=_now,
                scrub=ui.scrub_all,
            ),
            fetch.Waiting(
                deadline=deadline,
                wait=wait,
                schedule=_schedule(spec.job.schedule, network.interval),
                watcher=ui,
                sleep=time.sleep,
            ),
        )
    finally:
        wire.close()


def _allowed(account: Account, network: Network, *, wait: bool) -> float:
    """Seconds that the whole command may take."""
    if network.timeout is not None:
        return limits.duration(network.timeout)
    said = account.text("timeout")
    return limits.duration(said) if said else WAIT_TIMEOUT if wait else LOOK_TIMEOUT


def _now() -> datetime:
    return datetime.now(UTC)


def _schedule(schedule: Schedule, interval: str | None) -> Schedule:
    if not interval:
        return schedule
    seconds = max(limits.duration(interval), 0.05)
    return replace(schedule, start=seconds, factor=1.0, cap=seconds)


def piped(account: Account) -> credentials.Secrets:
    """The secrets that standard input holds: one as plain text, several as a JSON object."""
    if not sys.stdin:
        raise CredentialsError("--secret-stdin, but standard input is closed")
    text = sys.stdin.buffer.read()
    if not text.strip():
        raise CredentialsError("--secret-stdin, but standard input is empty")
    return credentials.given(account.provider, text, expected(account), "standard input")


def expected(account: Account) -> str:
    """Which secret a plain one is: the one whose other settings are there."""
    for scheme in account.provider.auth.schemes:
        if isinstance(scheme, ClientCredentials) and account.text(scheme.client_id) and account.text(scheme.token_url):
            return scheme.secret
    return account.provider.auth.schemes[0].secret
