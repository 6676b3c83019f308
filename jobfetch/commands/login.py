"""`auth login`: takes a secret from a person or from standard input, tries it, and keeps it; what is refused is not kept."""

from __future__ import annotations

import os
import re
import time
from collections.abc import Mapping

from msgspec import Struct
from msgspec.structs import replace

from jobfetch import config, credentials
from jobfetch.commands.account import (
    MOST_PATIENCE,
    Account,
    Network,
    account_of,
    asked_of,
    deadline_of,
    expected,
    opened,
    piped,
    refuse_empty,
    settings_file,
    verified,
)
from jobfetch.commands.report import Common, Report, run
from jobfetch.errors import CredentialsError, Forbidden, JobfetchError, UsageError
from jobfetch.model import Deadline
from jobfetch.providers import PROVIDERS
from jobfetch.spec import ClientCredentials, Login, Provider, Scheme
from jobfetch.ui import Ui

_PROFILE = re.compile(r"[A-Za-z0-9_-][A-Za-z0-9_.-]{0,63}")


def login(provider: str, common: Common, network: Network, *, secret: str | None, check: bool) -> int:
    """Take a secret from the person or from standard input, try it, and keep it with the settings given here."""

    def work(ui: Ui, report: Report) -> None:
        started = time.monotonic()
        refuse_empty(network)
        spec = PROVIDERS[provider]
        report.provider = provider
        if network.profile and not _PROFILE.fullmatch(network.profile):
            raise UsageError(f"{network.profile!r} is no name for a profile", hint="use letters, digits, - and _")
        if not ui.can_ask and not network.secret_stdin:
            raise CredentialsError(
                "there is no terminal to ask for the secret",
                hint=f"... | jobfetch auth login {provider} --secret-stdin",
            )
        names = [param.name for param in spec.auth.secrets]
        if secret and secret not in names:
            raise UsageError(f"{provider} has no secret {secret!r}", hint=f"there is: {', '.join(names)}")
        typed = {name: value for name, value in network.options.items() if value}
        asks = _Interview(ui=ui, spec=spec, network=network, typed=typed, file=settings_file())
        scheme = None if network.secret_stdin else _settings_asked(asks, secret)
        account = account_of(provider, report, replace(network, options=typed), new_profile=True)
        secrets = _secrets_asked(ui, account, scheme, secret)
        for value in secrets.values():
            ui.learn(value)
        # what was asked for has its own time: the clock runs from here
        deadline = deadline_of(network, time.monotonic() if ui.can_ask else started)
        verdict = _tried(ui, account, network, deadline, secrets) if check else "not tried"
        where = _keep(account, network.profile, secrets, typed)
        report.data = {"provider": provider, "profile": network.profile, "kept_in": where, "checked": verdict}
        ui.note(f"{provider}: {' and '.join(secrets)} kept in {where} ({verdict})")
        _tell_what_comes_before(ui, spec, network, where)
        ui.note(
            f"next: jobfetch get {provider} JOB_ID --wait{f' --profile {network.profile}' if network.profile else ''}"
        )

    return run(common, work)


class _Interview(Struct, frozen=True, kw_only=True):
    """Asks a person for the settings of a provider that nothing says yet; the answers go into `typed`."""

    ui: Ui
    spec: Provider
    network: Network
    typed: dict[str, str]
    file: config.File

    def known(self, name: str) -> bool:
        """Whether any place says something about a setting."""
        return name in config.found(self.spec, self.typed, self.file, os.environ, self.network.profile)

    def ask(self, name: str, *, optional: str = "") -> None:
        """Ask for a setting unless it is known."""
        if self.known(name):
            return
        [param] = [param for param in self.spec.settings if param.name == name]
        answer = self.ui.ask(f"{name} ({param.help}{optional})")
        if not answer and not optional:
            raise UsageError(f"{name} is needed", hint="nothing has been kept; run the same line again")
        self.typed.update({name: answer} if answer else {})

    def ask_for_address(self, name: str) -> None:
        """Ask for the setting that the address is made from; a whole address will do as well."""
        self.ask(name, optional=", or a whole address")
        if "://" in self.typed.get(name, ""):
            self.typed["base_url"] = self.typed.pop(name)
        if not self.known("base_url"):
            raise UsageError(f"{name} or an address is needed", hint="nothing has been kept; run the same line again")


def _settings_asked(asks: _Interview, secret: str | None) -> Scheme:
    """Ask for the settings that the provider cannot do without; the scheme that they, and `secret`, speak for."""
    for param in asks.spec.settings:
        if param.required:
            asks.ask(param.name)
    if asks.spec.base_url_from and not asks.known("base_url"):
        asks.ask_for_address(asks.spec.base_url_from)
    schemes = [scheme for scheme in asks.spec.auth.schemes if secret in {None, *credentials.secrets_of(scheme)}]
    for scheme in schemes:
        if isinstance(scheme, Login):
            return scheme
        if isinstance(scheme, ClientCredentials):
            asks.ask(scheme.client_id, optional="; leave it empty to give a ready token")
            if asks.known(scheme.client_id):
                asks.ask(scheme.token_url)
                return scheme
    return schemes[0]


def _secrets_asked(ui: Ui, account: Account, scheme: Scheme | None, secret: str | None) -> credentials.Secrets:
    """The secrets of one account: from standard input, or typed without an echo."""
    if scheme is None:
        return piped(account, secret or expected(account), MOST_PATIENCE)
    helps = {param.name: param.help for param in account.provider.auth.secrets}
    given = {
        name: ui.ask(f"{name} ({helps[name]})", hidden=name == scheme.secret) for name in credentials.secrets_of(scheme)
    }
    for name, value in given.items():
        if not value:
            raise CredentialsError(f"no {name} was given", hint="nothing has been kept; run the same line again")
    return given


def _tried(ui: Ui, account: Account, network: Network, deadline: Deadline, secrets: credentials.Secrets) -> str:
    """Ask the service whether the secrets are good, in words; nothing is kept of those that it refuses."""
    asked = asked_of(account, replace(network, secret_stdin=False), ui, deadline)
    # a token is kept no sooner than the secret that it was had with
    asked = replace(asked, piped=secrets, cache=credentials.Cache(None))
    with opened(account, network, ui, deadline, asked) as line:
        try:
            reply = verified(line, account.provider)
        except Forbidden as error:
            # a good key that may not list jobs may still fetch them
            ui.warn(error.message)
            return "known to the service, with little permission"
        except JobfetchError as error:
            refused = isinstance(error, CredentialsError)
            error.hint = "nothing has been kept: run the same line again" + (
                " with the right secret" if refused else ", or keep the secret untried with --no-check"
            )
            raise
    if reply is not None:
        return "accepted by the service"
    return "accepted: it gives a token" if line.renews else "not tried: the service has no cheap request"


def _keep(account: Account, profile: str | None, secrets: credentials.Secrets, typed: Mapping[str, str]) -> str:
    """Keep settings and secrets of one account; where the secrets are now, in words.

    The settings come first: a secret that is kept without them would be sent to another address.
    """
    name = account.provider.name
    table = f"{name}.profiles.{profile}" if profile else name
    for key in sorted(typed):
        config.put(os.environ, PROVIDERS, f"{table}.{key}", [typed[key]])
    if account.file.text("credential_store") == "keyring":
        for secret in account.provider.auth.secrets:
            if secret.name in secrets:
                credentials.vault.put(name, profile, secret.name, secrets[secret.name])
            else:
                credentials.vault.remove(name, profile, secret.name)
        if profile:
            # which profiles a keyring knows cannot be asked
            credentials.store.remember(os.environ, PROVIDERS, name, profile, {})
        return "the keyring"
    return str(credentials.store.remember(os.environ, PROVIDERS, name, profile, secrets))


def _tell_what_comes_before(ui: Ui, spec: Provider, network: Network, where: str) -> None:
    """Warn where the next command would use another place's secret than the one that was just kept."""
    bare = replace(network, options={}, secret_stdin=False)
    try:
        account = account_of(spec.name, Report(), bare, whole=False)
        held = credentials.held(spec, asked_of(account, bare, ui, deadline_of(bare, time.monotonic())))
    except JobfetchError as error:
        ui.warn(f"the next command will not get as far as this secret: {error.message}")
        return
    ours = f"profile {network.profile}" if network.profile else f"[{spec.name}]"
    origin = held.values[held.scheme.secret].origin if held.scheme else "nothing"
    if origin not in {f"{ours} in credentials.toml", f"keyring ({ours})"}:
        ui.warn(f"{origin} comes before what was kept in {where}")
