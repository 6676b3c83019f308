"""The settings that every provider takes, and what the keys of config.toml may be called."""

from __future__ import annotations

from collections.abc import Mapping

from jobfetch import limits, rate
from jobfetch.model import Format
from jobfetch.spec import Param, Provider

BASE_URL = Param(name="base_url", help="address in front of the documented paths, for a proxy or a sandbox")
STATES = Param(name="states", help="states that the documents do not tell, for example rejected=failed")

#: How a run goes; what an option leaves open, a profile, the provider's table or `[defaults]` may say.
RUN = (
    Param(name="timeout", help="how long a whole command may take, for example 1h", check=limits.duration),
    Param(name="workers", help="how many jobs of a batch are fetched at once", check=limits.workers),
    Param(name="rate", help="requests in a time, for example 10/s or 1000/h, or none", check=rate.parse),
    Param(name="format", help="what results are kept as", choices=tuple(Format)),
    Param(name="output", help="where results go, in place of standard output"),
)


def params_of(provider: Provider) -> tuple[Param, ...]:
    """Every setting of a provider, those that all have first."""
    base_url = Param(name=BASE_URL.name, help=BASE_URL.help, env=provider.base_url_env)
    return (base_url, STATES, *provider.settings, *provider.filters)


def secret_keys(provider: Provider) -> Mapping[str, str]:
    """The keys that say where a secret is to be had from, each with its help; none holds one."""
    keys = {}
    for secret in provider.auth.secrets:
        keys[f"{secret.name}_file"] = f"file that holds the {secret.name}"
        keys[f"{secret.name}_command"] = f"command that prints the {secret.name}, word by word in a list"
    return keys
