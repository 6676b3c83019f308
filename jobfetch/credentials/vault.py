"""The system's keyring, opt-in and an extra: asked with a time limit, since a machine without a desktop may never answer."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

from jobfetch.errors import ConfigError, CredentialsError
from jobfetch.patience import within

#: The name under which every secret stands in the keyring.
SERVICE = "jobfetch"
#: Seconds that a keyring may take; a person may have to unlock it.
PATIENCE = 5.0

_HINT = "unlock it, or keep secrets in a file: jobfetch config set credential_store file"


def get(provider: str, profile: str | None, name: str) -> str | None:
    """A secret from the keyring; None where it holds none."""
    found = _asked(lambda keyring: keyring.get_password(SERVICE, _entry(provider, profile, name)))
    return found or None


def put(provider: str, profile: str | None, name: str, secret: str) -> None:
    """Keep a secret in the keyring."""
    _asked(lambda keyring: keyring.set_password(SERVICE, _entry(provider, profile, name), secret))


def remove(provider: str, profile: str | None, name: str) -> bool:
    """Remove a secret from the keyring; whether it was there."""

    def work(keyring: Any) -> bool:
        entry = _entry(provider, profile, name)
        if keyring.get_password(SERVICE, entry) is None:
            return False
        keyring.delete_password(SERVICE, entry)
        return True

    return bool(_asked(work))


def _entry(provider: str, profile: str | None, name: str) -> str:
    return ":".join([provider, *([profile] if profile else []), name])


def _asked(work: Callable[[Any], Any], patience: float = PATIENCE) -> Any:
    """What the keyring answers.

    Raises:
        ConfigError: the extra is not installed.
        CredentialsError: it does not answer in time, or cannot be used; its own words are not repeated.

    """

    def run() -> Any:
        import keyring  # noqa: PLC0415 - an extra, slow to load, and able to hang

        return work(keyring)

    try:
        return within(patience, run)
    except TimeoutError:
        raise CredentialsError(f"the keyring did not answer in {patience:.0f} s", hint=_HINT) from None
    except ImportError:
        raise ConfigError(
            "credential_store is keyring, and the package is not installed",
            hint="install jobfetch again with its extra: pipx install --force '.[keyring]' (README, Install)",
        ) from None
    except Exception as error:  # noqa: BLE001 - back ends raise what they like
        raise CredentialsError(f"the keyring cannot be used ({type(error).__name__})", hint=_HINT) from None
