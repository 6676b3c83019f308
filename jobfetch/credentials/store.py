"""credentials.toml: secrets by provider and profile, for its owner alone from the first byte on; never in a message.

[playment]                      the account without a profile
api_key = "..."
[playment.profiles.work]        another one
api_key = "..."
"""

from __future__ import annotations

import difflib
import os
import re
import stat
from collections.abc import Callable, Mapping
from functools import partial
from pathlib import Path
from typing import Any

from jobfetch import disk, locks
from jobfetch.errors import ConfigError
from jobfetch.places import config_folder, config_home
from jobfetch.spec import Provider

FILE_NAME = "credentials.toml"
LOCK_PATIENCE = 10.0

#: Secrets of one account: name -> value.
Secrets = dict[str, str]


def path_of(environ: Mapping[str, str]) -> Path:
    """Where the file lies, whether it is there or not."""
    return config_folder(environ) / FILE_NAME


def read(environ: Mapping[str, str], providers: Mapping[str, Provider]) -> dict[str, dict[str | None, Secrets]]:
    """Every secret: provider -> profile (None: without one) -> name -> value; nothing where there is no file.

    Raises:
        ConfigError: others can read the file, or it is not what it should be; the message holds no value.

    """
    path = path_of(environ)
    try:
        source = disk.text_of(path, partial(refuse_open_to_others, path))
        import tomllib  # noqa: PLC0415 - many machines have no such file

        tables = tomllib.loads(source)
    except (FileNotFoundError, NotADirectoryError):
        return {}
    except UnicodeDecodeError:
        raise _wrong(path, "is not UTF-8", "write it anew with jobfetch auth login") from None
    except (ValueError, RecursionError) as error:
        # the parser's own words may quote what stands there
        line = re.search(r"line (\d+)", str(error))
        raise _wrong(path, f"is no TOML{f' (line {line[1]})' if line else ''}", "mend that line") from None
    except OSError as error:
        raise _wrong(path, f"cannot be read: {error.strerror}", _owner_hint(path)) from None
    return {name: _accounts(path, providers, name, table) for name, table in tables.items()}


def refuse_open_to_others(path: Path, found: os.stat_result) -> None:
    """Refuse a file that others can read or write, with the command that mends it."""
    if disk.has_modes() and stat.S_IMODE(found.st_mode) & 0o077:
        mode = stat.S_IMODE(found.st_mode)
        raise _wrong(path, f"can be read by others (mode {mode:04o}), so it is not used", f"chmod 600 {path}")


def remember(
    environ: Mapping[str, str], providers: Mapping[str, Provider], provider: str, profile: str | None, secrets: Secrets
) -> Path:
    """Keep the secrets of one account, in place of all that it had; none at all says that a keyring has them."""

    def change(accounts: dict[str | None, Secrets]) -> None:
        accounts[profile] = secrets

    return _change(environ, providers, provider, change)


def forget(
    environ: Mapping[str, str], providers: Mapping[str, Provider], provider: str, profile: str | None
) -> list[str | None]:
    """Remove the secrets of one profile, or all of a provider's where none is named; the accounts that had any."""
    gone: list[str | None] = []

    def change(accounts: dict[str | None, Secrets]) -> None:
        named = [name for name in accounts if profile in {None, name}]
        gone.extend(name for name in named if accounts.pop(name))

    if os.path.lexists(path_of(environ)):
        _change(environ, providers, provider, change)
    return gone


def _change(
    environ: Mapping[str, str],
    providers: Mapping[str, Provider],
    provider: str,
    change: Callable[[dict[str | None, Secrets]], None],
) -> Path:
    """Read, change and replace the file, with nobody else in between."""
    import tomli_w  # noqa: PLC0415 - only a change needs it

    folder = config_home(environ)
    _refuse_foreign_writers(folder)
    path = folder / FILE_NAME
    with locks.locked(folder / f"{FILE_NAME}.lock", LOCK_PATIENCE):
        stored = read(environ, providers)
        accounts = stored.setdefault(provider, {})
        change(accounts)
        tables = {name: _table(each) for name, each in stored.items() if each.get(None) or set(each) - {None}}
        with disk.replacing(path, private=True) as file:
            file.write(tomli_w.dumps(tables).encode())
    return path


def _table(accounts: Mapping[str | None, Secrets]) -> dict[str, Any]:
    own: dict[str, Any] = dict(accounts.get(None, {}))
    profiles = {name: secrets for name, secrets in accounts.items() if name}
    return {**own, **({"profiles": profiles} if profiles else {})}


def _refuse_foreign_writers(folder: Path) -> None:
    """A folder in which others may write is no place for secrets: they could put another file there."""
    mode = stat.S_IMODE(folder.stat().st_mode)
    if disk.has_modes() and mode & 0o022:
        raise _wrong(
            folder, f"can be written by others (mode {mode:04o}), so no secret is kept there", f"chmod 700 {folder}"
        )


def _accounts(path: Path, providers: Mapping[str, Provider], name: str, table: Any) -> dict[str | None, Secrets]:
    if name not in providers:
        raise _no_such(path, name, list(providers))
    if not isinstance(table, dict):
        raise _wrong(path, f"{name} must be a table")
    profiles = table.get("profiles", {})
    if not isinstance(profiles, dict) or not all(isinstance(each, dict) for each in profiles.values()):
        raise _wrong(path, f"{name}.profiles must hold tables")
    accounts: dict[str | None, Any] = {None: {key: value for key, value in table.items() if key != "profiles"}}
    accounts |= profiles
    known = [secret.name for secret in providers[name].auth.secrets]
    for profile, secrets in accounts.items():
        for key, value in secrets.items():
            dotted = f"{name}.profiles.{profile}.{key}" if profile else f"{name}.{key}"
            if key not in known:
                raise _no_such(path, dotted, known)
            if not isinstance(value, str):
                raise _wrong(path, f"{dotted} must be text")
    return accounts


def _no_such(path: Path, key: str, known: list[str]) -> ConfigError:
    near = difflib.get_close_matches(key.rpartition(".")[2], known, n=1)
    return _wrong(path, f"{key} is no secret; did you mean {near[0]}?" if near else f"{key} is no secret")


def _wrong(path: Path, what: str, hint: str = "jobfetch auth login writes this file") -> ConfigError:
    return ConfigError(f"{path}: {what}", hint=hint)


def _owner_hint(path: Path) -> str:
    return f"chown $(id -u) {path}, or set JOBFETCH_CONFIG_DIR to a folder of your own"
