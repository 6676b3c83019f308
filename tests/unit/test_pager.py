"""Lists that come in pages: every way in which they go on and end, and every trap in which a client may walk for ever."""

import itertools
import json
from collections.abc import Callable, Iterator
from datetime import UTC, datetime
from typing import Any
from urllib.parse import parse_qs, urlsplit

import pytest

from jobfetch import pager
from jobfetch.errors import BadReply, NotFound, Unavailable
from jobfetch.fetch.service import Service
from jobfetch.fetch.sources import PAGE, Allowance, Listed, limited
from jobfetch.model import Reply, Request, State
from jobfetch.paging import Cursor, NextUrl, Offset, Page, PageNumber
from jobfetch.providers import justcrawl, playment
from jobfetch.spec import Address, Groups, Item, ListApi

URL = "https://api.example.com/jobs"
ADDRESS = Address(base_url="https://api.example.com", params={})
CURSOR = Cursor(path="next", param="cursor")

Ask = Callable[[Request], Reply]


def answer(body: Any, url: str = URL) -> Reply:
    return Reply(200, {"content-type": "application/json"}, json.dumps(body).encode(), url)


def query(request: Request) -> dict[str, str]:
    return {name: values[-1] for name, values in parse_qs(urlsplit(request.url).query).items()}


def listing(after: Callable[[Page], Request | None] = CURSOR, **more: Any) -> ListApi:
    return ListApi(**{"path": "/jobs", "items": "items", "after": after, **more})


def jobs(*ids: Any) -> list[dict[str, Any]]:
    return [{"id": job_id} for job_id in ids]


def walk(api: ListApi, ask: Ask, **more: Any) -> Iterator[list[Item]]:
    return pager.pages(playment.PROVIDER, api, ADDRESS, ask, **{"seen": set(), **more})


def ids(api: ListApi, ask: Ask, **more: Any) -> list[str]:
    return [item.job_id for page in walk(api, ask, **more) for item in page]


def chain(pages: dict[str, Any]) -> Ask:
    """Pages by the cursor that leads to them; the first has none."""
    return lambda request: answer(pages[query(request).get("cursor", "")], request.url)


# --- the end ---


@pytest.mark.parametrize("end", [{}, {"next": None}, {"next": ""}])
def test_a_cursor_ends_where_it_is_absent_null_or_empty(end: dict[str, Any]) -> None:
    pages = {"": {"items": jobs("a"), "next": "x"}, "x": {"items": jobs("b"), **end}}
    assert ids(listing(), chain(pages)) == ["a", "b"]


def test_a_cursor_may_be_a_number_or_need_quoting() -> None:
    pages = {
        "": {"items": jobs("a"), "next": 1575822103313046000},
        "1575822103313046000": {"items": jobs("b"), "next": "a+b/c=&d"},
        "a+b/c=&d": {"items": jobs("c")},
    }
    assert ids(listing(), chain(pages)) == ["a", "b", "c"]


def numbered(count: int, size: int, *, told: bool, param: str = "page") -> tuple[Ask, list[int]]:
    """So many jobs in pages with numbers from 1; which pages were asked for."""
    asked: list[int] = []

    def ask(request: Request) -> Reply:
        number = int(query(request).get(param, 1))
        asked.append(number)
        page = [*range(count)][(number - 1) * size : number * size]
        return answer({"items": jobs(*page), **({"total": count} if told else {})}, request.url)

    return ask, asked


def test_page_numbers_end_at_the_total() -> None:
    ask, asked = numbered(5, 2, told=True)
    assert len(ids(listing(PageNumber(param="page"), total="total"), ask)) == 5
    assert asked == [1, 2, 3]


def test_a_total_that_a_full_page_reaches_ends_no_list() -> None:
    api = listing(PageNumber(param="page"), total="total")
    ask, asked = numbered(4, 2, told=True)
    assert (len(ids(api, ask)), asked) == (4, [1, 2, 3])


@pytest.mark.parametrize(("size", "pages"), [("3", [1]), ("2", [1, 2])])
def test_a_page_that_holds_less_than_it_may_is_the_last_where_the_total_says_so(size: str, pages: list[int]) -> None:
    api = listing(PageNumber(param="page", size="pageSize"), fixed={"pageSize": size}, total="total")
    ask, asked = numbered(2, int(size), told=True)
    assert (len(ids(api, ask)), asked) == (2, pages)


@pytest.mark.parametrize("total", [len, lambda _: 4], ids=["of the page alone", "capped"])
@pytest.mark.parametrize("after", [PageNumber(param="page", size="pageSize"), PageNumber(param="page")])
def test_a_total_that_does_not_count_all_jobs_hides_none(after: PageNumber, total: Callable[[list[int]], int]) -> None:
    def ask(request: Request) -> Reply:
        number = int(query(request).get("page", 1))
        page = [*range(5)][(number - 1) * 2 : number * 2]
        return answer({"items": jobs(*page), "total": total(page)}, request.url)

    api = listing(after, fixed={"pageSize": "2"}, total="total")
    assert ids(api, ask) == ["0", "1", "2", "3", "4"]


def test_a_last_page_that_comes_again_in_the_place_of_an_empty_one_ends_the_list_at_the_total() -> None:
    asked: list[str] = []

    def ask(request: Request) -> Reply:
        asked.append(request.url)
        page = jobs("c", "d") if int(query(request).get("page", 1)) > 1 else jobs("a", "b")
        return answer({"items": page, "total": 4}, request.url)

    api = listing(PageNumber(param="page"), total="total")
    assert (ids(api, ask), len(asked)) == (["a", "b", "c", "d"], 3)


def test_a_page_that_is_not_there_ends_a_list_only_behind_the_last_job_that_was_promised() -> None:
    ask, _ = numbered(4, 2, told=True)

    def up_to(last: int) -> Ask:
        def refusing(request: Request) -> Reply:
            if int(query(request).get("page", 1)) > last:
                raise NotFound("no such page")
            return ask(request)

        return refusing

    api = listing(PageNumber(param="page"), total="total")
    assert len(ids(api, up_to(2))) == 4
    for last in (0, 1):
        with pytest.raises(NotFound):
            ids(api, up_to(last))


def test_page_numbers_end_at_an_empty_page_where_no_total_is_told() -> None:
    ask, asked = numbered(4, 2, told=False)
    assert len(ids(listing(PageNumber(param="page")), ask)) == 4
    assert asked == [1, 2, 3]


def test_a_service_that_gives_shorter_pages_than_asked_for_is_walked_to_its_end() -> None:
    ask, _ = numbered(7, 2, told=True)
    api = listing(PageNumber(param="page"), fixed={"pageSize": "100"}, total="total")
    assert len(ids(api, ask)) == 7


def test_an_offset_counts_what_came() -> None:
    def ask(request: Request) -> Reply:
        start = int(query(request).get("offset", 0))
        return answer({"items": jobs(*[*range(5)][start : start + 2])}, request.url)

    assert ids(listing(Offset(param="offset")), ask) == ["0", "1", "2", "3", "4"]


def test_a_next_link_may_be_relative_and_must_stay_at_home() -> None:
    pages = {"": {"items": jobs("a"), "next": "/jobs?cursor=x"}, "x": {"items": jobs("b"), "next": None}}
    assert ids(listing(NextUrl(path="next")), chain(pages)) == ["a", "b"]
    away = {"": {"items": jobs("a"), "next": "https://evil.example/jobs?cursor=x"}}
    with pytest.raises(BadReply, match="another origin"):
        ids(listing(NextUrl(path="next")), chain(away))


# --- the traps ---


@pytest.mark.parametrize("told", [0, -1, True, 3, 2.5, "many", "", None, [5]])
def test_a_total_that_cannot_be_ends_no_list(told: Any) -> None:
    pages = {1: jobs("a", "b"), 2: jobs("c", "d"), 3: jobs("e"), 4: []}
    api = listing(PageNumber(param="page"), total="total")

    def ask(request: Request) -> Reply:
        return answer({"items": pages[int(query(request).get("page", 1))], "total": told}, request.url)

    assert ids(api, ask) == ["a", "b", "c", "d", "e"]


@pytest.mark.parametrize("told", [5, 5.0, "5"])
def test_a_total_may_be_written_in_any_way(told: Any) -> None:
    api = listing(total="total")
    with pytest.raises(BadReply, match="promised 5 jobs and named 1"):
        ids(api, lambda request: answer({"items": jobs("a"), "total": told}, request.url))


@pytest.mark.parametrize(("first", "second"), [(5, None), (5, 4), (4, 5)])
def test_the_most_that_any_page_promises_is_looked_for(first: int | None, second: int | None) -> None:
    pages = {
        1: {"items": jobs("a", "b"), "total": first},
        2: {"items": jobs("c", "d"), "total": second},
        3: {"items": []},
    }
    api = listing(PageNumber(param="page"), total="total")
    read = walk(api, lambda request: answer(pages[int(query(request).get("page", 1))], request.url))
    assert [item.job_id for page in itertools.islice(read, 2) for item in page] == ["a", "b", "c", "d"]
    with pytest.raises(BadReply, match="promised 5 jobs and named 4"):
        list(read)


def test_a_page_that_was_read_anywhere_before_is_not_read_again() -> None:
    pages = {
        "": {"items": jobs("a"), "next": "x"},
        "x": {"items": jobs("b"), "next": "y"},
        "y": {"items": jobs("c"), "next": "x"},
    }
    read = walk(listing(), chain(pages))
    found = [item.job_id for page in itertools.islice(read, 3) for item in page]
    with pytest.raises(BadReply, match="has been read"):
        next(read)
    assert found == ["a", "b", "c"]


def test_tokens_without_end_end_once_nothing_new_comes() -> None:
    tokens = itertools.count()
    asked: list[Request] = []

    def ask(request: Request) -> Reply:
        asked.append(request)
        return answer({"items": jobs("a", "b"), "next": str(next(tokens))}, request.url)

    with pytest.raises(BadReply, match="no end"):
        ids(listing(), ask)
    assert len(asked) == pager.MOST_BARREN + 1


def test_pages_have_a_number_that_is_too_large(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(pager, "MOST_PAGES", 5)
    ids_, tokens = itertools.count(), itertools.count()
    with pytest.raises(BadReply, match="no end"):
        ids(listing(), lambda request: answer({"items": jobs(next(ids_)), "next": str(next(tokens))}, request.url))


def test_empty_pages_may_lead_on() -> None:
    pages = {"": {"items": [], "next": "x"}, "x": {"items": jobs("a")}}
    assert ids(listing(), chain(pages)) == ["a"]


def test_a_job_that_is_named_twice_counts_once() -> None:
    pages = {"": {"items": jobs("a", "b", "a"), "next": "x"}, "x": {"items": jobs("b", "c")}}
    assert ids(listing(), chain(pages)) == ["a", "b", "c"]


def test_fewer_jobs_than_promised_are_an_error_after_those_that_came() -> None:
    assert ids(listing(), chain({"": {"items": jobs("a", "b")}}), promised=2) == ["a", "b"]
    with pytest.raises(BadReply, match="promised 3 jobs and named 2"):
        ids(listing(), chain({"": {"items": jobs("a", "b")}}), promised=3)


@pytest.mark.parametrize("api", [listing(), listing(total="total")])
def test_jobs_named_twice_in_the_place_of_others_are_an_error_after_all_that_came(api: ListApi) -> None:
    pages = {"": {"items": jobs("a", "b"), "total": 4, "next": "x"}, "x": {"items": jobs("b", "c"), "total": 4}}
    read = walk(api, chain(pages), promised=4)
    assert [item.job_id for page in itertools.islice(read, 2) for item in page] == ["a", "b", "c"]
    with pytest.raises(BadReply, match="promised 4 jobs and named 3 different ones"):
        list(read)


def test_jobs_named_twice_by_a_list_that_grew_are_warned_of() -> None:
    told: list[str] = []
    pages = {"": {"items": jobs("a", "b"), "total": 3, "next": "x"}, "x": {"items": jobs("b", "c"), "total": 4}}
    assert ids(listing(total="total"), chain(pages), warn=told.append) == ["a", "b", "c"]
    assert "twice" in told[0]


@pytest.mark.parametrize("odd", [{}, None, {"id": None}, {"id": ""}, "a", 7])
def test_an_item_that_names_no_job_is_an_error_after_the_others_of_its_page(odd: Any) -> None:
    read = walk(listing(), chain({"": {"items": [*jobs("a"), odd, *jobs("b")], "next": "x"}}))
    assert [item.job_id for item in next(read)] == ["a", "b"]
    with pytest.raises(BadReply, match="lists a job without `id`"):
        next(read)


def test_a_list_that_fails_midway_keeps_what_it_has_named() -> None:
    def ask(request: Request) -> Reply:
        if "cursor" in query(request):
            raise Unavailable("down")
        return answer({"items": jobs("a"), "next": "x"}, request.url)

    pages = walk(listing(), ask)
    assert [item.job_id for item in next(pages)] == ["a"]
    with pytest.raises(Unavailable):
        next(pages)


@pytest.mark.parametrize(
    "body", [{}, {"items": {}}, {"items": "a"}, {"items": [{"name": "a"}]}, {"items": [{"id": ""}]}]
)
def test_a_reply_that_is_no_list_is_no_empty_list(body: Any) -> None:
    with pytest.raises(BadReply):
        ids(listing(), chain({"": body}))


def test_null_in_the_place_of_a_list_is_an_empty_one() -> None:
    assert ids(listing(), chain({"": {"items": None}})) == []


def test_the_walk_is_lazy() -> None:
    asked: list[Request] = []

    def ask(request: Request) -> Reply:
        asked.append(request)
        return answer(
            {"items": jobs(*range(len(asked) * 10, len(asked) * 10 + 10)), "next": str(len(asked))}, request.url
        )

    pages = limited(walk(listing(), ask), Allowance(15))
    assert asked == []
    assert sum(map(len, pages)) == 15
    assert len(asked) == 2


def listed(many: int) -> tuple[Listed, list[str]]:
    """A list of so many jobs that has been walked, and what it is asked from then on."""
    asked: list[str] = []

    def send(request: Request, **_: Any) -> Reply:
        asked.append(request.url)
        start = int(query(request).get("cursor", 0))
        end = min(start + PAGE, many)
        told = {"items": jobs(*range(start, end)), "next": str(end) if end < many else None}
        return answer(told, request.url)

    service = Service(provider=playment.PROVIDER, address=ADDRESS, send=send, now=lambda: datetime.now(UTC))
    source = Listed(service=service, listing=listing(), warn=print)
    assert sum(map(len, source.first())) == many
    asked.clear()
    return source, asked


def test_a_few_jobs_of_a_long_list_are_asked_for_one_by_one_and_not_by_the_whole_list() -> None:
    source, asked = listed(10 * PAGE)
    assert [[item.job_id for item in page] for page in source.again(("7", "8"))] == [["7", "8"]]
    assert asked == []


@pytest.mark.parametrize(("last", "pages"), [(str(7 * PAGE), 8), ("gone", 10)])
def test_many_jobs_of_a_list_are_asked_for_by_the_list_until_it_has_named_them(last: str, pages: int) -> None:
    source, asked = listed(10 * PAGE)
    wanted = (*map(str, range(19)), last)
    assert [item.job_id for page in source.again(wanted) for item in page] == [*wanted]
    assert len(asked) == pages


# --- what an item tells ---


def test_ids_that_are_numbers_stay_as_they_are_written() -> None:
    body = b'{"items":[{"id":12345678901234567890123},{"id":"7"}]}'
    reply = Reply(200, {"content-type": "application/json"}, body, URL)
    assert ids(listing(), lambda _: reply) == ["12345678901234567890123", "7"]


def test_states_are_read_with_the_providers_words() -> None:
    items = [{"id": "a", "status": "COMPLETED"}, {"id": "b", "status": "in_progress"}, {"id": "c"}]
    [page] = walk(listing(word="status"), chain({"": {"items": items}}))
    assert [item.state for item in page] == [State.SUCCEEDED, State.RUNNING, None]


def test_filters_and_what_is_always_asked_stand_in_the_query() -> None:
    api = justcrawl.PROVIDER.listing
    assert api
    address = Address(base_url="https://api.justcrawl.io", params={"workflow_id": "a b&c", "status": "failed"})
    request = pager.first_page(justcrawl.PROVIDER, api, address)
    told = {"page": "1", "pageSize": "100", "workflowId": "a b&c", "status": "failed"}
    assert query(request) == told


def test_lists_of_lists_are_read_once_each() -> None:
    api = Groups(path="/all", items="data.batches", param="batch", total="total_jobs")
    body = {"data": {"batches": [{"id": "x", "total_jobs": 3}, {"id": "x"}, {"id": "y", "total_jobs": None}]}}
    found = pager.groups(api, ADDRESS, lambda _: answer(body))
    assert found == [pager.Group("x", 3), pager.Group("y", None)]
    with pytest.raises(BadReply):
        pager.groups(api, ADDRESS, lambda _: answer({"data": {"batches": [{"name": "x"}]}}))


def test_states_of_many_are_asked_for_in_as_few_questions_as_allowed() -> None:
    asked: list[Any] = []

    def ask(request: Request) -> Reply:
        asked.append(request.json and request.json["jobIds"])
        return answer([{"id": "7", "status": "completed"}])

    api = justcrawl.PROVIDER.listing
    assert api
    wanted = tuple(map(str, range(150)))
    found = [item for page in pager.states(justcrawl.PROVIDER, api, ADDRESS, ask, wanted) for item in page]
    assert [len(each) for each in asked] == [100, 50]
    assert [item.job_id for item in found] == [*wanted]
    assert {item.job_id for item in found if item.state} == {"7"}


def test_a_state_that_nobody_has_documented_is_warned_of_once_and_runs() -> None:
    told: list[str] = []
    pages = {
        "": {"items": [{"id": "a", "status": "in_progress"}, {"id": "b", "status": "In_Progress"}], "next": "x"},
        "x": {"items": [{"id": "c", "status": "completed"}, {"id": "d", "status": "in_progress"}]},
    }
    found = [item for page in walk(listing(word="status"), chain(pages), warn=told.append) for item in page]
    assert {item.job_id for item in found if item.state is State.RUNNING} == {"a", "b", "d"}
    assert told == ['playment says "in_progress", a state nobody has documented; taken as running']


def test_bulk_status_warns_of_a_state_that_nobody_has_documented() -> None:
    told: list[str] = []
    api, ids_ = justcrawl.PROVIDER.listing, tuple(str(number) for number in range(150))
    assert api

    def ask(request: Request) -> Reply:
        assert request.json
        return answer([{"id": job_id, "status": "pondering"} for job_id in request.json["jobIds"]])

    read = pager.states(justcrawl.PROVIDER, api, ADDRESS, ask, ids_, warn=told.append)
    assert {item.state for page in read for item in page} == {State.RUNNING}
    assert len(told) == 1
