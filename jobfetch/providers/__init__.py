"""The list of providers: adding a service means its module, one line here, and its sample replies."""

from __future__ import annotations

from jobfetch.providers import cognite, exabase, expertai, justcrawl, playment
from jobfetch.spec import Provider

PROVIDERS: dict[str, Provider] = {
    provider.name: provider
    for provider in (
        cognite.PROVIDER,
        exabase.PROVIDER,
        playment.PROVIDER,
        justcrawl.PROVIDER,
        expertai.PROVIDER,
    )
}
