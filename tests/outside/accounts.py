"""What the sandbox's accounts are made of: settings and secrets apart, by provider."""

import json
from collections.abc import Mapping

from jobfetch.providers import PROVIDERS

#: A job of each provider that is done, or soon will be.
JOBS = {"cognite": "200", "exabase": "done", "playment": "done", "justcrawl": "done", "expertai": "done"}


def settings_of(provider: str, environment: Mapping[str, str]) -> dict[str, str]:
    """The settings of one provider: name -> value."""
    return {name: value for name, value in _of(provider, environment).items() if name not in _secret_names(provider)}


def secrets_of(provider: str, environment: Mapping[str, str]) -> dict[str, str]:
    """The secrets of one provider: name -> value."""
    return {name: value for name, value in _of(provider, environment).items() if name in _secret_names(provider)}


def options(settings: Mapping[str, str]) -> tuple[str, ...]:
    """Settings as they are typed."""
    return tuple(word for name, value in settings.items() for word in (f"--{name.replace('_', '-')}", value))


def piped(secrets: Mapping[str, str]) -> bytes:
    """Secrets as standard input takes them."""
    return json.dumps(dict(secrets)).encode()


def _of(provider: str, environment: Mapping[str, str]) -> dict[str, str]:
    prefix = f"JOBFETCH_{provider}_".upper()
    return {name.removeprefix(prefix).lower(): text for name, text in environment.items() if name.startswith(prefix)}


def _secret_names(provider: str) -> set[str]:
    return {secret.name for secret in PROVIDERS[provider].auth.secrets}
