"""The table of services, and of the behaviours that their job ids stand for."""

from msgspec import Struct

from jobfetch.sandbox import cognite, exabase, expertai, justcrawl, playment
from jobfetch.sandbox.play import Service

SERVICES: tuple[Service, ...] = (
    cognite.SERVICE,
    exabase.SERVICE,
    playment.SERVICE,
    justcrawl.SERVICE,
    expertai.SERVICE,
)
"""All services that are played; a new one is one more line here."""


class Behaviour(Struct, frozen=True, kw_only=True):
    """What a job id of the sandbox does, and how a run that waits for it must end."""

    provider: str
    job_id: str
    name: str
    """The same name means the same behaviour over all providers."""
    exit_code: int
    """How `jobfetch get PROVIDER ID --wait` must end, if given enough time."""
    what: str
    needs_timeout: bool
    """Whether only a deadline can end it."""


BEHAVIOURS: tuple[Behaviour, ...] = tuple(
    Behaviour(
        provider=service.name,
        job_id=job_id,
        name=case.name,
        exit_code=case.exit_code,
        what=case.what,
        needs_timeout=case.needs_timeout,
    )
    for service in SERVICES
    for job_id, case in service.cases
)

SECRETS: tuple[str, ...] = tuple(secret for service in SERVICES for secret in service.secrets)
"""All credentials that the sandbox knows; issued tokens by the prefix that they share."""
