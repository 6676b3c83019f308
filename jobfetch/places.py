"""Where configuration and state lie, and what is found at such a place."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from pathlib import Path
from typing import Any

import platformdirs
from msgspec import Struct

from jobfetch import disk
from jobfetch.errors import ConfigError, DiskError


class Value(Struct, frozen=True):
    """One setting or secret: its text, where it came from in words, and how far up the order that place stands.

    Rank 0 is the first place of all.
    """

    text: str
    origin: str
    rank: int


class Level(Struct, frozen=True):
    """One table of config.toml that may say something about a provider: a profile's, or the provider's own (None)."""

    profile: str | None
    table: Mapping[str, Any]
    origin: str


class Levels(Struct, frozen=True):
    """The tables that hold for a run: the explicit profile's comes before the environment, the others after it."""

    explicit: Level | None
    others: tuple[Level, ...]

    @property
    def profile(self) -> str | None:
        """The name of the profile in force."""
        nearest = self.explicit or self.others[0]
        return nearest.profile


def config_folder(environ: Mapping[str, str]) -> Path:
    """Where config.toml and credentials.toml lie; not absolute where no home is known."""
    return _folder(environ.get("JOBFETCH_CONFIG_DIR"), platformdirs.user_config_path)


def state_folder(environ: Mapping[str, str]) -> Path:
    """Where tokens are kept between runs; not absolute where no home is known."""
    return _folder(environ.get("JOBFETCH_STATE_DIR"), platformdirs.user_state_path)


def _folder(said: str | None, usual: Callable[[str], Path]) -> Path:
    if said:
        return Path(said).absolute()
    try:
        return usual("jobfetch")
    except RuntimeError:  # a user whom the machine does not know, and no HOME
        return Path("~", "jobfetch")


def config_home(environ: Mapping[str, str]) -> Path:
    """The folder of config.toml and credentials.toml, made where it is missing, for its owner alone.

    Raises:
        ConfigError: no home is known, and nothing names a folder.
        DiskError: it cannot be made.

    """
    home, advice = config_folder(environ), "set JOBFETCH_CONFIG_DIR to a folder of your own"
    if not home.is_absolute():
        raise ConfigError("there is no place for this: HOME is not set, and this user has no home", hint=advice)
    try:
        return disk.folder(home, private=True)
    except DiskError as error:
        error.hint = f"{error.hint}; or {advice}".replace("name another place; or ", "")
        raise
