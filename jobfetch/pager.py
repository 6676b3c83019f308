"""Walks a provider's list of jobs page by page, lazily, and never for ever: what a service lists is what comes out, once.

It knows nothing of HTTP: `ask` gives a good reply or raises.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator, Mapping
from typing import Any

import msgspec
from msgspec import Struct

from jobfetch.errors import BadReply, NotFound
from jobfetch.model import Reply, Request, State, decode, elements, fingerprint, members, safe_url
from jobfetch.paging import Page, with_query
from jobfetch.spec import Address, Groups, Item, ListApi, Provider, number_of, text_of, undocumented

#: Pages that one list may have.
MOST_PAGES = 100_000
#: Pages in a row that may name no job that is new.
MOST_BARREN = 100

Ask = Callable[[Request], Reply]


class Group(Struct, frozen=True):
    """One list of a list of lists: its id, and how many jobs it promises."""

    id: str
    total: int | None


def first_page(provider: Provider, listing: ListApi, address: Address) -> Request:
    """The request for the first page, with the filters that are set."""
    asked = {theirs: address.params[name] for name, theirs in listing.query.items() if address.params.get(name)}
    headers = provider.job.headers(address.params) if provider.job.headers else {}
    return Request(url=with_query(address.url(listing.path), **listing.fixed, **asked), headers=headers)


def pages(
    provider: Provider,
    listing: ListApi,
    address: Address,
    ask: Ask,
    *,
    seen: set[int],
    promised: int | None = None,
    warn: Callable[[str], None] = lambda _: None,
    expect: Callable[[int], None] = lambda _: None,
) -> Iterator[list[Item]]:
    """The jobs of a list that are not among `seen` (fingerprints of ids, added to here), a page at a time.

    `expect` hears how many there will be, where that is promised; `warn` of what is odd, a state that nobody has
    documented once a walk.

    Raises:
        BadReply: a page that was asked for before, pages without end, fewer different jobs than promised, no list, or an
            item in it that names no job; the others of its page come first.
        JobfetchError: whatever `ask` raises; what came before it stays good.

    """
    state_of = _states(provider, address, warn)
    request: Request | None = first_page(provider, listing, address)
    asked, named, new, barren, longest, steady = set[int](), 0, 0, 0, 0, True
    while request is not None:
        _refuse_endless(request, asked, barren)
        try:
            reply = ask(request)
        except NotFound:
            # behind the last job that was promised many services have no page, not even an empty one
            if listing.total and new and steady and new == promised:
                break
            raise
        items, unreadable = _items(reply, listing, state_of)
        fresh = [item for item in items if _is_new(item, seen)]
        named, new = named + len(items), new + len(fresh)
        barren, longest = 0 if fresh else barren + 1, max(longest, len(items))
        told = number_of(reply.document.get(listing.total)) if listing.total else None
        if told is not None:
            # what a page has promised holds: where a later one promises less, jobs may have slid past us
            steady, promised = steady and promised in {None, told}, max(promised or 0, told)
        if promised is not None:
            expect(promised)
        yield fresh
        if unreadable:
            raise unreadable
        whole = promised if steady else None
        page = Page(
            request=request,
            reply=reply,
            count=len(items),
            listed=new,
            fresh=len(fresh),
            longest=longest,
            promised=whole,
        )
        request = listing.after(page)
    if promised is not None and named < promised:
        changed = "" if steady else ", and changed while it was read"
        raise BadReply(f"the list promised {promised} jobs and named {named}{changed}", hint="run the same line again")
    if promised is not None and new < promised:
        if steady:
            # nothing says that the list has changed, so jobs that it promised have no name
            raise BadReply(
                f"the list promised {promised} jobs and named {new} different ones", hint="run the same line again"
            )
        warn(f"the list named {named - new} jobs twice: did it change while it was read? The next run sees the rest")


def groups(groups: Groups, address: Address, ask: Ask) -> list[Group]:
    """Every list of a list of lists, once each."""
    reply = ask(Request(url=address.url(groups.path)))
    found: dict[str, Group] = {}
    for raw in _elements(reply, groups.items):
        fields = members(raw)
        name = _text(fields, groups.id)
        if not name:
            raise BadReply(f"{safe_url(reply.url)} lists one without `{groups.id}`")
        total = number_of(decode(fields[groups.total])) if groups.total and groups.total in fields else None
        found.setdefault(name, Group(name, total))
    return [*found.values()]


def states(
    provider: Provider,
    listing: ListApi,
    address: Address,
    ask: Ask,
    job_ids: tuple[str, ...],
    *,
    warn: Callable[[str], None] = lambda _: None,
) -> Iterator[list[Item]]:
    """These jobs with their states, asked for many at a time; one that the service leaves out comes without a state."""
    if listing.bulk is None:
        yield [Item(job_id) for job_id in job_ids]
        return
    state_of = _states(provider, address, warn)
    for start in range(0, len(job_ids), listing.bulk.most):
        asked = job_ids[start : start + listing.bulk.most]
        reply = ask(listing.bulk.ask(address, asked))
        told = (_item(raw, listing, state_of, reply) for raw in _elements(reply, listing.bulk.items))
        known = {item.job_id: item for item in told}
        yield [known.get(job_id, Item(job_id)) for job_id in asked]


def _refuse_endless(request: Request, asked: set[int], barren: int) -> None:
    """Remember a request for a page; `BadReply` where it was asked before, or where there is no end to it."""
    mark = fingerprint(request.url + repr(request.json))
    where = safe_url(request.url)
    if mark in asked:
        raise BadReply(f"{where}: the list leads back to a page that has been read", hint=_ENDLESS)
    if len(asked) >= MOST_PAGES or barren >= MOST_BARREN:
        raise BadReply(
            f"{where}: the list has no end ({len(asked)} pages, the last {barren} without a new job)", hint=_ENDLESS
        )
    asked.add(mark)


_ENDLESS = "what was listed is kept; tell the service, or name the jobs with --jobs"


def _is_new(item: Item, seen: set[int]) -> bool:
    mark = fingerprint(item.job_id)
    if mark in seen:
        return False
    seen.add(mark)
    return True


def _elements(reply: Reply, path: str) -> list[msgspec.Raw]:
    raw = reply.document.raw(path)
    if raw is None or raw[:1] not in {b"[", b"n"}:
        raise BadReply(
            f"{safe_url(reply.url)} answered JSON without a list{f' at `{path}`' if path else ''}",
            hint="wrong base_url, or the service has changed",
        )
    return elements(raw)


def _states(provider: Provider, address: Address, warn: Callable[[str], None]) -> Callable[[str], State]:
    """What each word of the service means; one that nobody has documented is running, as it is in a look at the job."""
    meanings = {**provider.job.words.corrected(address.params.get("states")).meanings}

    def state_of(word: str) -> State:
        folded = word.casefold()
        if folded not in meanings:
            warn(undocumented(provider, word))
            meanings[folded] = State.RUNNING
        return meanings[folded]

    return state_of


def _items(reply: Reply, listing: ListApi, state_of: Callable[[str], State]) -> tuple[list[Item], BadReply | None]:
    """The jobs of a page, and what is wrong with the first item that is none."""
    items: list[Item] = []
    unreadable: BadReply | None = None
    for raw in _elements(reply, listing.items):
        try:
            items.append(_item(raw, listing, state_of, reply))
        except BadReply as error:
            unreadable = unreadable or error
    return items, unreadable


def _item(raw: msgspec.Raw, listing: ListApi, state_of: Callable[[str], State], reply: Reply) -> Item:
    fields = members(raw)
    job_id = _text(fields, listing.id)
    if not job_id:
        raise BadReply(f"{safe_url(reply.url)} lists a job without `{listing.id}`")
    word = _text(fields, listing.word) if listing.word else None
    return Item(job_id, state_of(word) if word else None)


def _text(fields: Mapping[str, Any], name: str) -> str | None:
    raw = bytes(fields.get(name, b"null"))
    return raw.decode() if raw[:1] in b"-0123456789" else text_of(decode(raw))
