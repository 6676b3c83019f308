"""Secrets and tokens: where they come from (`sources`), where they are kept (`store`, `vault`, `cache`), how they sign."""

from jobfetch.credentials import store, vault
from jobfetch.credentials.cache import Cache
from jobfetch.credentials.signing import Signer, signer, token_key
from jobfetch.credentials.sources import Asked, Credential, Source, find, given, missing, sources
from jobfetch.credentials.store import Secrets
from jobfetch.credentials.tokens import expiry

__all__ = [
    "Asked",
    "Cache",
    "Credential",
    "Secrets",
    "Signer",
    "Source",
    "expiry",
    "find",
    "given",
    "missing",
    "signer",
    "sources",
    "store",
    "token_key",
    "vault",
]
