"""config.example.toml, made from the providers: every setting, commented out."""

from __future__ import annotations

from collections.abc import Mapping

from jobfetch.config.params import RUN, params_of, secret_keys
from jobfetch.spec import Param, Provider

_SHOWN: dict[str, str | int] = {"timeout": "1h", "workers": 8, "rate": "10/s", "format": "json", "output": "results"}


def example(providers: Mapping[str, Provider]) -> str:
    """The file, whole: taking the marks away from a line sets it."""
    lines = [
        "# jobfetch settings. No secret belongs in here: `jobfetch auth login PROVIDER` keeps those apart.",
        "# `jobfetch config init` writes this file, `jobfetch config path` tells where; take the # away from what you set.",
        "",
        '# default_provider = "playment"   # for `batch download` without a provider',
        '# default_profile = "work"        # the account to use where --profile names none',
        '# credential_store = "keyring"    # where `auth login` puts secrets: file (default), or keyring',
        "",
        "# [defaults]",
        *(_line(param, _SHOWN[param.name]) for param in RUN),
    ]
    for provider in providers.values():
        lines += ["", f"# --- {provider.title} ---", f"# [{provider.name}]"]
        lines += [_line(param, param.default or "") for param in params_of(provider)]
        lines += [_secret(key, text) for key, text in secret_keys(provider).items()]
        lines += [
            "#",
            f"# [{provider.name}.profiles.work]   # another account; every setting above may stand here too",
            f'# {params_of(provider)[2 if provider.settings else 0].name} = ""',
        ]
    return "\n".join(lines) + "\n"


def _line(param: Param, value: str | int) -> str:
    shown = value if isinstance(value, int) else f'"{value}"'
    return f"# {param.name} = {shown}  # {param.help}"


def _secret(key: str, text: str) -> str:
    shown = '["pass", "show", "..."]' if key.endswith("_command") else '"/run/secrets/..."'
    return f"# {key} = {shown}  # {text}"
