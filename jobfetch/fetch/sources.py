"""Where the ids of a batch come from: the provider's own list, or ids that the user names; and how to ask again."""

from __future__ import annotations

from collections.abc import Callable, Iterable, Iterator
from typing import Protocol

from msgspec import Struct, field

from jobfetch import pager
from jobfetch.errors import JobfetchError, UsageError
from jobfetch.fetch.service import Service
from jobfetch.model import Reply, Request, fingerprint
from jobfetch.spec import Item, ListApi, check_job_id

Pages = Iterator[list[Item]]

#: Ids that make a page, where no service says so; and about as many jobs as a page of a service's list names.
PAGE = 100


class Allowance(Struct):
    """How many jobs a run may take yet, over all its folders; None is any number."""

    left: int | None = None


class Source(Protocol):
    """Names jobs, lazily and a page at a time."""

    @property
    def whole(self) -> bool:
        """Whether these are all the jobs there are, so that others on record are to be asked for as well."""

    @property
    def live(self) -> bool:
        """Whether whoever names them may wait for one job before naming the next, so that none is put off."""

    @property
    def many(self) -> bool:
        """Whether a round asks about many jobs at once, so that it need not mind when each wants to be asked."""

    def first(self) -> Pages:
        """The jobs of the run, each once; called again after it broke, those that it has not named before."""

    def again(self, job_ids: tuple[str, ...]) -> Pages:
        """These jobs once more, with their states where the service tells many at once."""

    @property
    def seen(self) -> set[int]:
        """Fingerprints of the ids that `first` has named so far."""


def asker(service: Service) -> Callable[[Request], Reply]:
    """Asks the service itself, by its own rules of what is an error."""
    return lambda request: service.provider.errors.check(service.send(request), service.now())


class Listed(Struct, frozen=True, kw_only=True):
    """The jobs that the provider lists; as many as the run may take."""

    service: Service
    listing: ListApi
    warn: Callable[[str], None]
    expect: Callable[[int], None] = lambda _: None
    allowance: Allowance = field(default_factory=Allowance)
    promised: int | None = None
    seen: set[int] = field(default_factory=set)
    many: bool = True
    live: bool = False

    @property
    def whole(self) -> bool:
        """Whether nothing was left out on purpose."""
        return self.allowance.left is None

    def first(self) -> Pages:
        """The list from its beginning."""
        walk = self._rest() if self.seen else self._walk(self.seen, self.promised)
        return limited(walk, self.allowance)

    def _rest(self) -> Pages:
        """The list once more, without what it has named before."""
        for page in self._walk(set(), self.promised):
            fresh = [item for item in page if fingerprint(item.job_id) not in self.seen]
            self.seen.update(fingerprint(item.job_id) for item in fresh)
            yield fresh

    def again(self, job_ids: tuple[str, ...]) -> Pages:
        """Those of these jobs that the list still names, then the others; each by itself where that takes fewer requests."""
        if len(job_ids) * PAGE < len(self.seen):
            yield from batched(job_ids)
            return
        wanted, seen = set(job_ids), set[int]()
        for page in self._walk(seen, None):
            found = [item for item in page if item.job_id in wanted]
            wanted.difference_update(item.job_id for item in found)
            yield found
            if not wanted:
                return
        yield from batched(job_id for job_id in job_ids if fingerprint(job_id) not in seen)

    def _walk(self, seen: set[int], promised: int | None) -> Pages:
        service = self.service
        return pager.pages(
            service.provider,
            self.listing,
            service.address,
            asker(service),
            seen=seen,
            promised=promised,
            warn=self.warn,
            expect=self.expect,
        )


class Named(Struct, frozen=True, kw_only=True):
    """The jobs that the user names; as many as the run may take."""

    service: Service
    ids: Iterable[str]
    warn: Callable[[str], None]
    #: whether the next id is there already
    at_hand: Callable[[], bool] = lambda: True
    #: where the last id stands, as an error says it; nothing where nobody needs to be told
    where: Callable[[], str] = lambda: ""
    allowance: Allowance = field(default_factory=Allowance)
    #: whether the user gave them, and is told of one that the service cannot have given out
    typed: bool = True
    seen: set[int] = field(default_factory=set)
    whole: bool = False
    live: bool = False

    @property
    def many(self) -> bool:
        """Whether the service tells many states at once."""
        return bool(self.service.provider.listing and self.service.provider.listing.bulk)

    def first(self) -> Pages:
        """The ids in their order, each once. `UsageError` for one that the service cannot have given out."""
        return limited(batched(self._fresh(), self.at_hand), self.allowance)

    def again(self, job_ids: tuple[str, ...]) -> Pages:
        """These jobs, with their states where the service tells many at once."""
        listing, service = self.service.provider.listing, self.service
        if listing is None:
            return batched(job_ids)
        return pager.states(service.provider, listing, service.address, asker(service), job_ids, warn=self.warn)

    def _fresh(self) -> Iterator[str]:
        for job_id in self.ids:
            try:
                if self.typed:
                    check_job_id(self.service.provider, job_id)
            except UsageError as error:
                if place := self.where():
                    raise UsageError(
                        f"{place}: {error.message}", hint="mend that line; what stands before it is done"
                    ) from None
                raise
            if (mark := fingerprint(job_id)) not in self.seen:
                self.seen.add(mark)
                yield job_id


def batched(job_ids: Iterable[str], at_hand: Callable[[], bool] = lambda: True) -> Pages:
    """Ids as pages of jobs of which nothing else is known: as many as there are to be had, and not more than are needed."""
    page: list[Item] = []
    try:
        for job_id in job_ids:
            page.append(Item(job_id))
            if len(page) >= PAGE or not at_hand():
                yield page
                page = []
    except JobfetchError:
        # what stands before a wrong line is done
        yield page
        raise
    if page:
        yield page


def limited(pages: Pages, allowance: Allowance) -> Pages:
    """Pages until the run has taken as many jobs as it may."""
    for page in pages:
        if allowance.left is None:
            yield page
            continue
        taken = page[: allowance.left]
        allowance.left -= len(taken)
        yield taken
        if not allowance.left:
            return
