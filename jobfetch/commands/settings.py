"""`config path|show|set|unset|init`: what is set, where each value comes from, and changing it."""

from __future__ import annotations

import os
import time
from collections.abc import Iterator
from typing import Any

from jobfetch import config, credentials, export
from jobfetch.commands.account import Network, account_of, asked_of, deadline_of, settings_file
from jobfetch.commands.auth import provider_named, with_profile
from jobfetch.commands.report import Common, Report, run
from jobfetch.model import Json, safe_url
from jobfetch.places import config_folder, state_folder
from jobfetch.providers import PROVIDERS
from jobfetch.spec import Provider
from jobfetch.ui import Ui


def path(common: Common) -> int:
    """Where config.toml lies, or would."""

    def work(_: Ui, report: Report) -> None:
        file = config_folder(os.environ) / config.FILE_NAME
        report.data = {
            "config": str(file),
            "exists": os.path.isfile(file),  # noqa: PTH113 - nor is it there where one may not look
            "credentials": str(credentials.store.path_of(os.environ)),
            "state": str(state_folder(os.environ)),
        }
        if not common.json:
            export.to_stdout(f"{file}\n".encode(errors="surrogateescape"))

    return run(common, work)


def show(provider: str | None, profile: str | None, common: Common) -> int:
    """Every setting with its value and the place it comes from; of secrets only the place."""

    def work(ui: Ui, report: Report) -> None:
        specs = [provider_named(provider)] if provider else with_profile(profile)
        report.provider = provider
        report.data = [row for spec in specs for row in _rows(ui, spec, Network(options={}, profile=profile))]
        if not common.json:
            rows = [
                (row["key"], _shown(row["value"]), row["problem"] or row["origin"] or "not set") for row in report.data
            ]
            width = max(len(key) for key, _, _ in rows)
            lines = (f"{ui.safe(f'{key:{width}}  {value}  ({origin})')}\n" for key, value, origin in rows)
            table = ui.table(("setting", "value", "where it comes from"), rows)
            export.to_stdout((table or "".join(lines)).encode())

    return run(common, work)


def _rows(ui: Ui, spec: Provider, network: Network) -> Iterator[dict[str, Json]]:
    account = account_of(spec.name, Report(), network, whole=False)
    for param in (*config.params_of(spec), *config.RUN):
        value = account.values.get(param.name)
        yield {
            "key": f"{spec.name}.{param.name}",
            "value": _without_secrets(param.name, value.text) if value else None,
            "origin": value.origin if value else None,
            "problem": None,
        }
    asked = asked_of(account, network, ui, deadline_of(network, time.monotonic()))
    places = credentials.places(spec, asked)
    for secret in spec.auth.secrets:
        place = places.get(secret.name)
        yield {
            "key": f"{spec.name}.{secret.name}",
            "value": "***" if place and not place.problem else None,
            "origin": place.origin if place else None,
            "problem": place.problem if place else None,
        }


def _without_secrets(name: str, text: str) -> str:
    """A value fit to be shown: an address may hold what does not belong into one."""
    return safe_url(text) if name in config.ADDRESSES and any(mark in text for mark in "@?#") else text


def _shown(value: Any) -> str:
    return "-" if value is None else str(value)


def put(key: str, words: list[str], common: Common) -> int:
    """Set a key of config.toml."""

    def work(ui: Ui, report: Report) -> None:
        file = config.put(os.environ, PROVIDERS, key, words)
        report.data = {"key": key, "config": str(file)}
        ui.note(f"{key} is set in {file}")

    return run(common, work)


def remove(key: str, common: Common) -> int:
    """Take a key or a table out of config.toml."""

    def work(ui: Ui, report: Report) -> None:
        gone = config.remove(os.environ, PROVIDERS, key)
        report.data = {"key": key, "removed": gone}
        ui.note(f"{key} is {'no longer' if gone else 'not'} set")

    return run(common, work)


def init(common: Common) -> int:
    """Write config.toml, every setting in it commented out."""

    def work(ui: Ui, report: Report) -> None:
        file, written = config.init(os.environ, PROVIDERS)
        report.data = {"config": str(file), "written": written}
        ui.note(f"wrote {file}" if written else f"{file} is there already, and is left as it is")
        # a file that was there may need mending: better told now than by the next command
        settings_file()
        ui.block(_NEXT.format(names=", ".join(PROVIDERS)))

    return run(common, work)


_NEXT = """every setting in it is commented out; what a provider needs is asked for by
  jobfetch auth login PROVIDER        PROVIDER is one of {names}
then fetch a job by its id:
  jobfetch get PROVIDER JOB_ID --wait
and when something does not work:
  jobfetch doctor"""
