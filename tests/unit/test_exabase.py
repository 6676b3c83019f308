"""Exabase: windows of text, links that are asked with and without the base id, and what is never fetched."""

import json
from collections.abc import Mapping
from datetime import UTC, datetime
from itertools import islice
from typing import Any
from urllib.parse import urlsplit

import pytest

from jobfetch.errors import BadReply
from jobfetch.model import Asset, Document, Parts, Purpose, Reply, Request, State, Status
from jobfetch.providers import exabase
from jobfetch.spec import Address, look

HOST = "https://api.exabase.io"
AT = Address(base_url=HOST, params={"base_url": HOST, "base_id": "base-1"}, job_id="j")
CHUNKS = f"{HOST}/v2/extract/j/chunks"
NOW = datetime(2026, 1, 1, tzinfo=UTC)
OWN = {"X-Exabase-Base-Id": "base-1"}
FOREIGN = [
    "https://cdn.exabase.io/f",
    "https://api.exabase.io.evil.test/f",
    "https://api.exabase.io@evil.test/f",
    "https://api.exabase.io:8443/f",
    "http://api.exabase.io/f",
    "https://evil.test/api.exabase.io",
]


def parts_of(count: Any, link: Any = f"{CHUNKS}?start=1&end=20", at: Address = AT) -> Parts | None:
    assert exabase.PROVIDER.job.parts
    body = {"extraction": {"common": {"chunkCount": count}}, "links": {"chunks": link}}
    return exabase.PROVIDER.job.parts(at, Document(json.dumps(body).encode()))


def windows(count: Any, link: Any = f"{CHUNKS}?start=1&end=20", most: int = 10) -> list[Request]:
    parts = parts_of(count, link)
    assert parts
    return list(islice(parts.requests, most))


def never(request: Request) -> Reply:
    raise AssertionError(f"{request.url} was asked for")


def linked(extraction: Any, download: Any = None, at: Address = AT) -> list[Asset]:
    assert exabase.PROVIDER.job.assets
    body = {"url": "https://example.com/top", "extraction": extraction, "links": {"download": download}}
    return list(exabase.PROVIDER.job.assets(never, at, json.dumps(body).encode()))


def urls(extraction: Any, download: Any = None) -> dict[str, str]:
    return {asset.path: asset.request.url for asset in linked(extraction, download)}


# --- windows ---


@pytest.mark.parametrize(
    ("count", "expected"),
    [
        (1, [(1, 1)]),
        (19, [(1, 19)]),
        (20, [(1, 20)]),
        (21, [(1, 20), (21, 21)]),
        (42, [(1, 20), (21, 40), (41, 42)]),
    ],
)
def test_the_text_is_asked_for_from_the_first_chunk_to_the_last(count: int, expected: list[tuple[int, int]]) -> None:
    assert [request.url for request in windows(count)] == [f"{CHUNKS}?start={a}&end={b}" for a, b in expected]


def test_how_much_is_promised_is_told() -> None:
    parts = parts_of(42)
    assert parts
    assert (parts.name, parts.count) == ("chunks", 42)


@pytest.mark.parametrize("count", [0, "0", None, "", False, [], {}])
def test_where_no_chunks_are_counted_none_are_asked_for(count: Any) -> None:
    assert parts_of(count) is None


@pytest.mark.parametrize("count", ["2", 2.0])
def test_chunks_may_be_counted_in_any_way(count: Any) -> None:
    assert [request.url for request in windows(count)] == [f"{CHUNKS}?start=1&end=2"]


@pytest.mark.parametrize("count", [-1, "many", True, 1.5, [2], {"all": 2}])
def test_what_is_no_number_of_chunks_is_told_of(count: Any) -> None:
    with pytest.raises(BadReply, match="chunkCount that is no number"):
        windows(count)


@pytest.mark.parametrize("link", [None, ""])
def test_where_no_chunks_are_linked_none_are_asked_for(link: Any) -> None:
    assert parts_of(42, link) is None


@pytest.mark.parametrize("link", ["string", "ftp://h/x", "https://[::1/x", 7, ["https://h/x"]])
def test_what_can_be_no_link_to_chunks_is_asked_for_so_that_it_is_told_of(link: Any) -> None:
    assert [urlsplit(request.url).hostname for request in windows(2, link)] == [None]


@pytest.mark.parametrize(
    ("link", "expected"),
    [
        ("/f?sig=a", f"{HOST}/f?sig=a"),
        ("j/f", f"{HOST}/v2/extract/j/f"),
        ("?as=file", f"{HOST}/v2/extract/j?as=file"),
        ("//evil.test/f", "https://evil.test/f"),
        ("HTTPS://cdn.exabase.io/f", "HTTPS://cdn.exabase.io/f"),
    ],
)
def test_a_link_may_be_relative_to_the_reply_and_leads_where_it_says(link: str, expected: str) -> None:
    [asset] = linked({}, link)
    assert asset.request.url == expected
    assert dict(asset.request.headers) == (OWN if expected.startswith(HOST) else {})
    [request] = windows(1, link)
    assert request.url.partition("?")[0].lower() == expected.partition("?")[0].lower()


@pytest.mark.parametrize(
    "link", ["string", "ftp://h/x", "https://[::1/x", "http:/h/x", 7, ["https://h/x"], {"url": "/f"}]
)
def test_what_can_be_no_link_to_the_original_is_asked_for_so_that_it_is_told_of(link: Any) -> None:
    assert [urlsplit(asset.request.url).hostname for asset in linked({}, link)] == [None]


@pytest.mark.parametrize("count", [10**9, 2**63, 10**30])
def test_windows_are_made_only_as_they_are_asked_for(count: int) -> None:
    assert [request.url for request in windows(count, most=2)] == [
        f"{CHUNKS}?start=1&end=20",
        f"{CHUNKS}?start=21&end=40",
    ]


@pytest.mark.parametrize(
    ("link", "expected"),
    [
        (CHUNKS, "start=1&end=2"),
        (f"{CHUNKS}?", "start=1&end=2"),
        (f"{CHUNKS}?end=20&start=1", "start=1&end=2"),
        (f"{CHUNKS}?start=5&start=6&end=7", "start=1&end=2"),
        (f"{CHUNKS}?lang=en&start=1&end=20", "lang=en&start=1&end=2"),
        (f"{CHUNKS}?start=1&end=20&sig=a%2Fb%3D%26c", "sig=a%2Fb%3D%26c&start=1&end=2"),
        (f"{CHUNKS}?tag=a&tag=b&start=1", "tag=a&tag=b&start=1&end=2"),
        (f"{CHUNKS}?START=9&start=1", "START=9&start=1&end=2"),
        (f"{CHUNKS}?empty=&start=1&end=20", "empty=&start=1&end=2"),
    ],
)
def test_a_window_changes_nothing_else_of_the_link(link: str, expected: str) -> None:
    assert [request.url for request in windows(2, link)] == [f"{CHUNKS}?{expected}"]


def test_a_window_is_a_result_in_json_asked_with_the_base_id() -> None:
    [request] = windows(1)
    assert (request.purpose, request.accept, dict(request.headers)) == (Purpose.RESULT, "application/json", OWN)


# --- the base id ---


@pytest.mark.parametrize("url", FOREIGN)
def test_a_link_on_any_other_host_is_asked_bare(url: str) -> None:
    [asset] = linked({}, url)
    assert (asset.request.url, dict(asset.request.headers)) == (url, {})
    assert [dict(request.headers) for request in windows(1, url)] == [{}]


@pytest.mark.parametrize("url", [f"{HOST}/f", f"{HOST}:443/f", "https://API.exabase.io/f"])
def test_a_link_to_the_service_itself_keeps_the_base_id(url: str) -> None:
    [asset] = linked({}, url)
    assert dict(asset.request.headers) == OWN


@pytest.mark.parametrize("params", [{}, {"base_id": ""}])
def test_without_a_base_id_there_is_no_header(params: Mapping[str, str]) -> None:
    at = Address(base_url=HOST, params=params, job_id="j")
    assert [dict(asset.request.headers) for asset in linked({}, f"{HOST}/f", at)] == [{}]


# --- linked files ---


def test_every_file_that_the_extraction_names_is_linked_once() -> None:
    extraction = {
        "common": {"thumbnail": "https://cdn.exabase.io/t.png"},
        "media": {"screenshot": {"url": "https://cdn.exabase.io/s.png"}, "transcript": {"url": None}},
        "document": {"pdfRender": {"url": "https://cdn.exabase.io/t.png"}},
        "later": [{"url": "https://cdn.exabase.io/new.bin"}],
    }
    assert urls(extraction, f"{HOST}/d") == {
        "links.download": f"{HOST}/d",
        "extraction.common.thumbnail": "https://cdn.exabase.io/t.png",
        "extraction.media.screenshot.url": "https://cdn.exabase.io/s.png",
        "extraction.later[0].url": "https://cdn.exabase.io/new.bin",
    }


def test_the_page_that_was_crawled_is_never_fetched_from_where_it_came() -> None:
    web = {"url": "https://example.com/private", "html": {"url": "https://cdn.exabase.io/h.html"}}
    assert urls({"web": web}) == {"extraction.web.html.url": "https://cdn.exabase.io/h.html"}


@pytest.mark.parametrize("extraction", [None, {}, [], {"web": None}, {"common": {"thumbnail": "string"}}])
def test_where_nothing_is_linked_nothing_is_asked_for(extraction: Any) -> None:
    assert urls(extraction) == {}


def test_the_scheme_of_a_link_may_be_written_in_capitals() -> None:
    assert urls({"a": {"url": "HTTPS://cdn.exabase.io/f"}}) == {"extraction.a.url": "HTTPS://cdn.exabase.io/f"}


def test_a_link_is_read_as_json_writes_it() -> None:
    assert exabase.PROVIDER.job.assets
    body = b'{"extraction":{"a":{"url":"https:\\/\\/cdn.exabase.io\\/f"}}}'
    [asset] = exabase.PROVIDER.job.assets(never, AT, body)
    assert asset.request.url == "https://cdn.exabase.io/f"


def test_a_web_page_may_be_what_a_link_leads_to_but_for_pictures_and_the_like() -> None:
    url = "https://cdn.exabase.io/f"
    sections = {"web": {"html": url, "image": url}, "media": {"screenshot": url, "transcript": url}, "new": {"x": url}}
    extraction: dict[str, Any] = {
        section: {name: {"url": f"{link}/{name}"} for name, link in files.items()}
        for section, files in sections.items()
    }
    extraction["common"] = {"thumbnail": f"{url}/t"}
    assert {asset.path.removesuffix(".url"): asset.page for asset in linked(extraction, f"{HOST}/d")} == {
        "links.download": True,
        "extraction.web.html": True,
        "extraction.web.image": False,
        "extraction.media.screenshot": False,
        "extraction.media.transcript": False,
        "extraction.new.x": True,
        "extraction.common.thumbnail": False,
    }


# --- warnings and states ---


def looked(state: str, **common: Any) -> Status:
    body = {"state": state, "extraction": {"common": common}}
    reply = Reply(200, {"content-type": "application/json"}, json.dumps(body).encode(), HOST)
    return look(exabase.PROVIDER, lambda _: reply, AT, lambda: NOW)


def test_an_infected_file_is_warned_of() -> None:
    [warning] = looked("completed", infected=True).warnings
    assert "infected" in warning


@pytest.mark.parametrize("infected", [False, None, "true", 1])
def test_nothing_else_is_called_infected(infected: Any) -> None:
    assert looked("completed", infected=infected).warnings == ()


def test_a_job_that_is_at_work_is_not_yet_called_infected() -> None:
    assert looked("pending", infected=True).warnings == ()


def test_a_job_that_was_cleaned_is_gone() -> None:
    assert looked("cleaned").state is State.GONE


@pytest.mark.parametrize(
    ("told", "reason"),
    [
        ({"error": {"message": "unreadable"}}, "unreadable"),
        ({"error": "unreadable"}, "unreadable"),
        ({"message": "unreadable"}, "unreadable"),
    ],
)
def test_a_failed_job_says_why_in_whatever_shape(told: dict[str, Any], reason: str) -> None:
    reply = Reply(200, {"content-type": "application/json"}, json.dumps({"state": "failed", **told}).encode(), HOST)
    status = look(exabase.PROVIDER, lambda _: reply, AT, lambda: NOW)
    assert status.error
    assert status.error.message == reason
