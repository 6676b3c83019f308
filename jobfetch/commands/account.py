"""One account at a provider: its settings and secrets from every place, and the connection that is made with them."""

from __future__ import annotations

import contextlib
import os
import sys
import time
from collections.abc import Callable, Iterator, Mapping
from datetime import UTC, datetime
from functools import cache, partial
from typing import Any

from msgspec import Struct
from msgspec.structs import replace

from jobfetch import __version__, config, credentials, fetch, limits
from jobfetch.commands.report import Report
from jobfetch.errors import ConfigError, CredentialsError, UsageError
from jobfetch.fetch.service import Sender
from jobfetch.model import Deadline, Reply, Request
from jobfetch.patience import within
from jobfetch.places import Value, state_folder
from jobfetch.providers import PROVIDERS
from jobfetch.spec import Address, ClientCredentials, Login, Provider, Schedule, job_headers, setting_hint
from jobfetch.transport import Gate, Transport
from jobfetch.ui import Ui

WAIT_TIMEOUT = 3600.0
LOOK_TIMEOUT = 120.0
#: Seconds to wait for a credential command, and for another process that is renewing a token.
MOST_PATIENCE = 60.0
#: Where a piped secret comes from, as an error says it.
STDIN = "standard input"


class Network(Struct, frozen=True, kw_only=True):
    """Options of every command that asks a service."""

    options: Mapping[str, str | None]
    profile: str | None = None
    secret_stdin: bool = False
    timeout: str | None = None
    interval: str | None = None
    retries: int = 4
    ca_bundle: str | None = None
    parse_limit: str | None = None
    #: what standard input held, where it has been read already
    secret_text: bytes | None = None
    #: where it comes from, as an error says it
    secret_place: str = STDIN

    def __repr__(self) -> str:
        """Nothing of what standard input held."""
        return f"{type(self).__name__}(options={self.options!r}, profile={self.profile!r})"


def refuse_empty(*given: Any) -> None:
    """An option with nothing in it is a variable that was not set, and must not mean the default."""
    for options in given:
        for name in options.__struct_fields__:
            if getattr(options, name) == "":
                raise UsageError(f"--{name.replace('_', '-')} is empty", hint="is a shell variable not set?")


#: Reads credentials.toml: provider -> profile -> name -> secret.
Stored = Callable[[], Mapping[str, Mapping[str | None, credentials.Secrets]]]


class Account(Struct, frozen=True, kw_only=True):
    """A provider with what config.toml, the environment and the command line say about it; nothing has been asked."""

    provider: Provider
    file: config.File
    values: Mapping[str, Value]
    levels: config.Levels
    #: reads credentials.toml, once
    stored: Stored

    @property
    def profile(self) -> str | None:
        """The profile in force, None where the provider has none by that name: a default one need not be everybody's."""
        name = self.levels.profile
        if name is None or self.levels.explicit or self.file.table(self.provider.name, "profiles", name):
            return name
        return name if name in self.stored().get(self.provider.name, {}) else None

    @property
    def texts(self) -> dict[str, str]:
        """Every setting that has a value."""
        return {name: value.text for name, value in self.values.items()}

    def text(self, name: str) -> str | None:
        """A setting's value, None where nobody said anything."""
        value = self.values.get(name)
        return value.text if value else None


def settings_file() -> config.File:
    """config.toml, read and checked."""
    file = config.read(os.environ)
    file.check(PROVIDERS)
    return file


def default_provider() -> str:
    """The provider of a line that names none."""
    return config.default_provider(settings_file(), PROVIDERS)


def account_of(
    name: str, report: Report, network: Network, *, new_profile: bool = False, whole: bool = True
) -> Account:
    """The account that a command line asks for, with every setting that has a value.

    `new_profile` lets a profile be named that nobody has yet; without `whole`, settings may be missing or wrong.
    """
    refuse_empty(network)
    for option, given in network.options.items():
        if option.endswith("_file") and given == "":
            # nothing in place of a secret must not mean another account's
            raise UsageError(f"--{option.replace('_', '-')} is empty", hint="is a shell variable not set?")
    provider = PROVIDERS[name]
    report.provider = name
    file = settings_file()
    stored = cache(partial(credentials.store.read, os.environ, PROVIDERS))
    if not new_profile:
        check_profile(provider, file, network.profile, stored)
    if whole:
        values = config.resolve(provider, network.options, file, os.environ, network.profile)
    else:
        values = config.found(provider, network.options, file, os.environ, network.profile)
    for param in provider.settings:
        if whole and param.required and param.name not in values:
            raise ConfigError(f"{name} needs {param.name} ({param.help})", hint=setting_hint(name, param.name))
    levels = config.levels(provider, file, os.environ, network.profile)
    return Account(provider=provider, file=file, values=values, levels=levels, stored=stored)


def check_profile(provider: Provider, file: config.File, profile: str | None, stored: Stored) -> None:
    """Refuse a profile that is nowhere."""
    if profile or os.environ.get("JOBFETCH_PROFILE") or file.text("default_profile"):
        named = {name: [each for each in accounts if each] for name, accounts in stored().items()}
        config.profile_named(PROVIDERS, provider, file, environ=os.environ, profile=profile, stored=named)


def asked_of(
    account: Account, network: Network, ui: Ui, deadline: Deadline, *, checking: bool = False
) -> credentials.Asked:
    """Where to look for the account's secrets; `checking` wants to know whether they are good still."""

    def patience() -> float:
        return min(MOST_PATIENCE, deadline.left())

    def for_others() -> float:
        # whoever hangs with the lock must not take all the time that there is
        return min(MOST_PATIENCE, deadline.left() / 2)

    return credentials.Asked(
        environ=os.environ,
        levels=account.levels,
        stored=lambda: account.stored().get(account.provider.name, {}),
        # where the service has no request to check with, only a new token tells
        cache=credentials.Cache(
            state_folder(os.environ), patience=for_others, anew=checking and account.provider.auth.check is None
        ),
        options=network.options,
        piped=piped(account, expected(account), patience(), network.secret_text, network.secret_place)
        if network.secret_stdin
        else None,
        keyring=account.file.text("credential_store") == "keyring",
        tell=ui.note,
        learn=ui.learn,
        patience=patience,
    )


class Line(Struct, frozen=True, kw_only=True):
    """An open line to a service: how to send with the account's credential, and what signs it."""

    address: Address
    send: Sender
    signer: credentials.Signer
    #: whether the credential is for a token, which is renewed
    renews: bool


@contextlib.contextmanager
def opened(
    account: Account,
    network: Network,
    ui: Ui,
    deadline: Deadline,
    asked: credentials.Asked | None = None,
    *,
    gate: Gate | None = None,
) -> Iterator[Line]:
    """A line to the service, closed when the block is left; nothing has been sent on it."""
    from jobfetch.transport.wire import PARSE_LIMIT, Wire  # noqa: PLC0415 - many commands ask nobody

    spec = account.provider
    params = account.texts
    asked = asked or asked_of(account, network, ui, deadline)
    credential = credentials.find(spec, asked)
    wire = Wire(
        deadline=deadline,
        user_agent=f"jobfetch/{__version__}",
        ca_bundle=network.ca_bundle,
        parse_limit=limits.size(network.parse_limit) if network.parse_limit else PARSE_LIMIT,
    )
    try:
        # as it will be connected to: what is compared with it later has been through the same
        params["base_url"] = wire.address(params["base_url"])
        transport = Transport(
            wire,
            deadline=deadline,
            errors=spec.errors,
            home=params["base_url"],
            retries=network.retries,
            now=now,
            sleep=time.sleep,
            notify=ui.detail,
            gate=gate,
        )
        signer = credentials.signer(
            spec,
            params,
            credential,
            send=transport.send,
            cache=asked.cache,
            clock=time.monotonic,
            learn=ui.learn,
            profile=account.profile,
        )
        address = Address(base_url=params["base_url"], params=params)
        yield Line(
            address=address,
            send=partial(transport.send, signer=signer),
            signer=signer,
            renews=not credentials.is_ready(credential.scheme),
        )
    finally:
        wire.close()


@contextlib.contextmanager
def connected(
    account: Account,
    network: Network,
    ui: Ui,
    started: float,
    *,
    wait: bool,
    gate: Callable[[Deadline], Gate] | None = None,
    allowed: float = LOOK_TIMEOUT,
) -> Iterator[tuple[fetch.Service, fetch.Waiting]]:
    """The service, ready to be asked, and how long to wait for it.

    `allowed` are the seconds that the command may take without `wait`, where nobody says how long.
    """
    deadline = Deadline(started + _allowed(account, network, WAIT_TIMEOUT if wait else allowed), time.monotonic)
    with opened(account, network, ui, deadline, gate=gate(deadline) if gate else None) as line:
        service = fetch.Service(
            provider=account.provider, address=line.address, send=line.send, now=now, scrub=ui.scrub_all
        )
        schedule = _schedule(account.provider.job.schedule, network.interval)
        yield (
            service,
            fetch.Waiting(deadline=deadline, wait=wait, schedule=schedule, watcher=ui, sleep=time.sleep),
        )


def verified(line: Line, provider: Provider) -> Reply | None:
    """The service's answer to its cheapest request that needs the credential; None where it has no such request.

    A token is asked for in any case, where the credential is one for a token.

    Raises:
        CredentialsError: the service refuses, or the credential is not for what the settings name.
        JobfetchError: the service cannot be reached, or somebody else answers.

    """
    line.signer.headers(line.address.base_url)
    if provider.auth.check is None:
        return None
    request = Request(url=line.address.url(provider.auth.check), headers=job_headers(provider, line.address))
    reply = provider.errors.check(line.send(request), now())
    _ = reply.document
    objection = provider.auth.objection and provider.auth.objection(reply, line.address.params)
    if objection:
        raise CredentialsError(
            objection, hint=f"check the setting, or log in anew: jobfetch auth login {provider.name}"
        )
    return reply


def deadline_of(network: Network, started: float) -> Deadline:
    """When asking about a credential must have ended."""
    return Deadline(started + (limits.duration(network.timeout) if network.timeout else MOST_PATIENCE), time.monotonic)


def _allowed(account: Account, network: Network, otherwise: float) -> float:
    """Seconds that the whole command may take."""
    if network.timeout is not None:
        return limits.duration(network.timeout)
    said = account.text("timeout")
    return limits.duration(said) if said else otherwise


def now() -> datetime:
    """The time of day, in UTC."""
    return datetime.now(UTC)


def _schedule(schedule: Schedule, interval: str | None) -> Schedule:
    if not interval:
        return schedule
    seconds = max(limits.duration(interval), 0.05)
    return replace(schedule, start=seconds, factor=1.0, cap=seconds)


def piped(
    account: Account, name: str, patience: float, text: bytes | None = None, place: str = STDIN
) -> credentials.Secrets:
    """The secrets that standard input holds: one (of that name) as plain text, several as a JSON object.

    `text` is what it held, where it has been read already.
    """
    if text is None:
        text = stdin_text(account.provider.name, patience)
    return credentials.given(account.provider, text, name, place)


def stdin_text(provider: str, patience: float) -> bytes:
    """All that standard input holds, which is to be a secret."""
    if not sys.stdin:
        raise CredentialsError("--secret-stdin, but standard input is closed")
    if sys.stdin.isatty():
        raise CredentialsError(
            "--secret-stdin, but standard input is this terminal, which would show it",
            hint=f"pipe the secret; or let it be asked for: jobfetch auth login {provider}",
        )
    try:
        text: bytes = within(patience, sys.stdin.buffer.read)
    except TimeoutError:
        raise CredentialsError("--secret-stdin, but standard input did not end in time") from None
    if not text.strip():
        raise CredentialsError("--secret-stdin, but standard input is empty")
    return text


def _says(spec: Provider, secret: str) -> bool:
    """Whether the environment holds a secret."""
    names = [
        name for param in spec.auth.secrets if param.name == secret for name in (spec.variable(secret), *param.env)
    ]
    return any(os.environ.get(name, "").strip() for name in names)


def expected(account: Account) -> str:
    """Which secret a plain one is: the one whose other settings are there."""
    for scheme in account.provider.auth.schemes:
        if isinstance(scheme, ClientCredentials) and account.text(scheme.client_id) and account.text(scheme.token_url):
            return scheme.secret
        if isinstance(scheme, Login) and _says(account.provider, scheme.username):
            return scheme.secret
    return account.provider.auth.schemes[0].secret
