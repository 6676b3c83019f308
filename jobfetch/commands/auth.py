"""`auth logout|status`: taking secrets back, and telling where each comes from and until when; never what it is."""

from __future__ import annotations

import os
import time
from collections.abc import Mapping
from datetime import UTC, datetime
from functools import cache, partial

from msgspec.structs import replace

from jobfetch import config, credentials, export
from jobfetch.commands.account import (
    Network,
    Stored,
    account_of,
    asked_of,
    deadline_of,
    opened,
    refuse_empty,
    settings_file,
    verified,
)
from jobfetch.commands.report import Common, Report, run
from jobfetch.errors import CredentialsError, Exit, JobfetchError, UsageError
from jobfetch.model import Json, rfc3339
from jobfetch.places import state_folder
from jobfetch.providers import PROVIDERS
from jobfetch.spec import Provider
from jobfetch.ui import Ui


def provider_named(name: str) -> Provider:
    """A provider by its name; `UsageError` with those that there are otherwise."""
    if name not in PROVIDERS:
        raise UsageError(f"there is no provider {name!r}", hint=f"there are: {', '.join(PROVIDERS)}")
    return PROVIDERS[name]


# --- logout ---


def logout(provider: str, profile: str | None, common: Common) -> int:
    """Forget an account's secrets and tokens everywhere that jobfetch keeps them."""

    def work(ui: Ui, report: Report) -> None:
        spec = provider_named(provider)
        report.provider = provider
        file = settings_file()
        known = credentials.store.read(os.environ, PROVIDERS).get(provider, {})
        accounts = credentials.store.forget(os.environ, PROVIDERS, provider, profile)
        forgotten = [f"{_whose(spec, name)} in credentials.toml" for name in accounts]
        # an account that the store knows without a secret has it in a keyring, also where that is not in use any more
        in_ring = [name for name, secrets in known.items() if name and not secrets]
        if in_ring or file.text("credential_store") == "keyring":
            for name in [profile] if profile else dict.fromkeys([None, *file.table(provider, "profiles"), *in_ring]):
                gone = [each.name for each in spec.auth.secrets if credentials.vault.remove(provider, name, each.name)]
                forgotten += [f"{_whose(spec, name)} in the keyring"] if gone else []
        tokens = credentials.Cache(state_folder(os.environ)).forget(provider, profile)
        forgotten += [f"{tokens} token{'s' if tokens > 1 else ''} kept between runs"] if tokens else []
        report.data = {"provider": provider, "profile": profile, "forgotten": forgotten}
        for each in forgotten:
            ui.note(f"forgot {each}")
        if not forgotten:
            ui.note(f"nothing of {provider} was kept")
        left = [source.origin for source in credentials.sources(spec, _asked_quietly(spec, file, profile))]
        for origin in dict.fromkeys(origin for origin in left if "credentials.toml" not in origin):
            ui.warn(f"still there, and not for jobfetch to forget: {origin}")

    return run(common, work)


def _asked_quietly(spec: Provider, file: config.File, profile: str | None) -> credentials.Asked:
    """Every place but the stores."""
    levels = config.levels(spec, file, os.environ, profile)
    cache = credentials.Cache(state_folder(os.environ))
    return credentials.Asked(environ=os.environ, levels=levels, stored=dict, cache=cache)


def _whose(spec: Provider, profile: str | None) -> str:
    return f"{spec.name} profile {profile}" if profile else spec.name


# --- status ---


def status(provider: str | None, common: Common, network: Network, *, check: bool) -> int:
    """Which account has a credential, where it comes from, until when; with `check`, whether the service takes it."""

    def work(ui: Ui, report: Report) -> None:
        refuse_empty(network)
        specs = [provider_named(provider)] if provider else with_profile(network.profile)
        report.provider = provider
        file = settings_file()
        stored: Stored = cache(partial(credentials.store.read, os.environ, PROVIDERS))
        report.data = []
        problems: list[JobfetchError] = []
        for spec in specs:
            for profile in [network.profile] if network.profile else profiles_of(spec, file, stored):
                told, error = _told(ui, spec, replace(network, profile=profile), check=check)
                # a provider that nobody has set up is no trouble, unless it was asked for
                if error and (provider or not isinstance(error, CredentialsError) or told["present"]):
                    problems.append(error)
                report.data.append(told)
                if not (common.json or ui.draws_tables):
                    export.to_stdout(("\t".join(map(ui.safe, _cells(told))) + "\n").encode())
        head = ("provider", "credential", "where it comes from", "", "")
        if not common.json and (table := ui.table(head, [_cells(told) for told in report.data])):
            export.to_stdout(table.encode())
        if problems:
            raise problems[0]
        if not any(told["present"] for told in report.data):
            raise CredentialsError("no provider has a credential", hint="jobfetch auth login PROVIDER")

    return run(common, work)


def with_profile(profile: str | None) -> list[Provider]:
    """The providers that have a profile; all of them where none is named, or nobody has it and must say so."""
    file = settings_file()
    stored: Stored = cache(partial(credentials.store.read, os.environ, PROVIDERS))
    every = list(PROVIDERS.values())
    return [spec for spec in every if not profile or profile in profiles_of(spec, file, stored)] or every


def profiles_of(spec: Provider, file: config.File, stored: Stored) -> list[str | None]:
    """Every account of a provider: the one without a profile, and those that config.toml or the store names."""
    kept = [name for name in stored().get(spec.name, {}) if name]
    return [None, *dict.fromkeys([*file.table(spec.name, "profiles"), *kept])]


def _told(ui: Ui, spec: Provider, network: Network, *, check: bool) -> tuple[dict[str, Json], JobfetchError | None]:
    """What there is to tell of one account, and what is wrong with it."""
    told: dict[str, Json] = {
        "provider": spec.name,
        "profile": network.profile,
        "present": False,
        "secrets": [],
        "expires_at": None,
        "renewed": False,
        "checked": None,
        "problem": None,
    }
    error: JobfetchError | None = None
    try:
        account = account_of(spec.name, Report(), network, whole=False)
        deadline = deadline_of(network, time.monotonic())
        asked = asked_of(account, network, ui, deadline, checking=check)
        held = credentials.held(spec, asked)
        told["secrets"] = [{"name": name, "origin": value.origin} for name, value in held.values.items()]
        told["present"] = held.scheme is not None
        ends = credentials.expires(spec, account.texts, held, asked.cache, account.profile)
        told["renewed"] = held.scheme is not None and not credentials.is_ready(held.scheme)
        told["expires_at"] = rfc3339(_moment(ends))
        if held.scheme is None:
            raise credentials.missing(spec)
        if check:
            account = account_of(spec.name, Report(), network)
            with opened(account, network, ui, deadline, asked) as line:
                reply = verified(line, spec)
            tried = reply is not None or not credentials.is_ready(held.scheme)
            told["checked"] = "accepted" if tried else "the service has no cheap request for it"
    except JobfetchError as raised:
        error = raised
        told["problem"] = ui.scrub(raised.message)
        if told["present"] and check:
            told["checked"] = "refused" if raised.exit is Exit.CREDENTIALS else "could not be asked"
    return told, error


def _moment(seconds: float | None) -> datetime | None:
    try:
        return None if seconds is None else datetime.fromtimestamp(seconds, UTC)
    except (ValueError, OverflowError, OSError):  # so far away that it has no date
        return None


def _cells(told: Mapping[str, Json]) -> list[str]:
    whose = told["provider"] + (f" ({told['profile']})" if told["profile"] else "")
    origins = dict.fromkeys(secret["origin"] for secret in told["secrets"])
    names = {place: [secret["name"] for secret in told["secrets"] if secret["origin"] == place] for place in origins}
    where = "; ".join(f"{' and '.join(each)} from {place}" for place, each in names.items()) or "-"
    cells = [whose, "present" if told["present"] else "absent", where]
    cells += [f"{'token until' if told['renewed'] else 'until'} {told['expires_at']}"] if told["expires_at"] else []
    cells += [told["checked"]] if told["checked"] else []
    return cells
