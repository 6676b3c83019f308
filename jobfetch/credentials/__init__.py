"""Secrets and tokens: where they come from (`sources`), where they are kept (`store`, `vault`, `cache`), how they sign."""

from jobfetch.credentials import store, vault
from jobfetch.credentials.cache import Cache
from jobfetch.credentials.signing import Signer, expires, is_ready, signer
from jobfetch.credentials.sources import (
    Asked,
    Credential,
    Held,
    find,
    given,
    held,
    missing,
    places,
    secrets_of,
    sources,
)
from jobfetch.credentials.store import Secrets

__all__ = [
    "Asked",
    "Cache",
    "Credential",
    "Held",
    "Secrets",
    "Signer",
    "expires",
    "find",
    "given",
    "held",
    "is_ready",
    "missing",
    "places",
    "secrets_of",
    "signer",
    "sources",
    "store",
    "vault",
]
