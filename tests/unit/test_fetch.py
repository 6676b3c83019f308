"""What is kept of one job: linked files, what comes window by window, and what is sent back with the next look."""

import hashlib
import json
from collections.abc import Callable, Iterator
from datetime import UTC, datetime
from pathlib import Path
from typing import Any

import pytest
from msgspec.structs import replace

from jobfetch import fetch
from jobfetch.disk import Claim
from jobfetch.errors import CredentialsError, Exit, Interrupted, JobfetchError, NotFound, ResultGone, Unavailable
from jobfetch.fetch import Service, Wanted
from jobfetch.fetch import linked as links
from jobfetch.fetch.rows import maker
from jobfetch.model import Asset, Document, Format, Outcome, Parts, Reply, Request, Sink, State
from jobfetch.providers import cognite, expertai
from jobfetch.spec import (
    Address,
    Auth,
    ErrorRules,
    HeaderKey,
    JobApi,
    Param,
    Provider,
    RowRules,
    Rows,
    Words,
    read_status,
)

HOST = "https://api.example.com"
NOW = datetime(2026, 1, 1, tzinfo=UTC)
WORDS = Words(path="state", states={"done": State.SUCCEEDED, "broken": State.FAILED})
PATHS = ("items", "chunks", "data")

Send = Callable[[Request], Reply]


def provider(**job: Any) -> Provider:
    """A made-up service whose jobs have these rules beside their path and words."""
    return Provider(
        name="acme",
        title="Acme",
        docs="https://docs.example.com",
        settings=(),
        auth=Auth(secrets=(Param(name="key", help="key"),), schemes=(HeaderKey(secret="key", header="x-key"),)),
        errors=ErrorRules(message=("message",)),
        job=JobApi(path="/jobs/{job_id}", words=WORDS, **job),
        rows=RowRules(
            kinds=(Rows(each=("$",), kind="job"),),
            parts=Rows(each=("$",), kind="chunk", columns={"text": ("text",)}),
        ),
        base_url=lambda _: HOST,
    )


def answer(body: Any = None, status: int = 200, content_type: str = "application/json") -> Reply:
    sent = body if isinstance(body, bytes) else json.dumps(body).encode()
    return Reply(status, {"content-type": content_type}, sent, f"{HOST}/x?sig=SECRET")


def service(send: Send, made: Provider | None = None) -> Service:
    """A service that answers through a plain function; a good body goes where it is wanted."""

    def into(request: Request, *, sink: Sink | None = None) -> Reply:
        reply = send(request)
        if sink and reply.ok:
            sink.write(reply.body)
            return Reply(reply.status, reply.headers, b"", reply.url)
        return reply

    address = Address(base_url=HOST, params={"project": "p"})
    return Service(provider=made or provider(), address=address, send=into, now=lambda: NOW)


def never(request: Request) -> Reply:
    raise AssertionError(f"{request.url} was asked for")


# --- what comes window by window ---


@pytest.fixture
def walked(tmp_path: Path) -> Callable[..., Any]:
    """Walk the windows that are answered like this: what was stored, the lines of the file, how often was asked."""

    def walk(replies: list[Reply], count: int, windows: Iterator[Request] | None = None) -> Any:
        asked: list[str] = []
        waiting = iter(replies)

        def send(request: Request) -> Reply:
            asked.append(request.url)
            return next(waiting)

        requests = windows or (Request(url=f"{HOST}/chunks/{number}") for number in range(len(replies)))
        stored = links.walked(service(send), tmp_path, Parts("chunks", requests, PATHS, count))
        return stored, (tmp_path / "chunks.ndjson").read_bytes().splitlines(), len(asked)

    return walk


def test_every_window_goes_into_one_file_a_line_each(walked: Callable[..., Any]) -> None:
    stored, lines, asked = walked([answer({"items": [1, 2]}), answer({"items": [{"a": 3}]})], 3)
    assert (lines, asked) == ([b"1", b"2", b'{"a":3}'], 2)
    assert (stored.path, stored.error, stored.bytes) == ("links.chunks", None, 12)
    assert stored.sha256 == hashlib.sha256(b'1\n2\n{"a":3}\n').hexdigest()


def test_the_file_is_named_from_its_folder(walked: Callable[..., Any], tmp_path: Path) -> None:
    stored, *_ = walked([answer({"items": [1]})], 1)
    assert stored.file == f"{tmp_path.name}/chunks.ndjson"


@pytest.mark.parametrize("shape", ['{{"items":{}}}', '{{"chunks":{}}}', '{{"data":{}}}', "{}", '{{"x":1,"items":{}}}'])
def test_a_window_may_have_any_of_the_usual_shapes(walked: Callable[..., Any], shape: str) -> None:
    stored, lines, _ = walked([answer(shape.format('[{"t":"a"}]').encode())], 1)
    assert (lines, stored.error) == ([b'{"t":"a"}'], None)


def test_a_part_stays_as_the_service_wrote_it(walked: Callable[..., Any]) -> None:
    _, lines, _ = walked([answer(b'{"items": [ {"n": 9007199254740993, "f": 0.10, "e": "\\u00e9"} ]}')], 1)
    assert lines == [b'{"n":9007199254740993,"f":0.10,"e":"\\u00e9"}']


def test_a_window_that_comes_again_ends_the_walk(walked: Callable[..., Any]) -> None:
    stored, lines, asked = walked([answer({"items": [1]})] * 5, 42)
    assert (lines, asked) == ([b"1"], 2)
    assert "1 of 42" in stored.error


def test_fewer_than_promised_are_kept_and_told_of(walked: Callable[..., Any]) -> None:
    stored, lines, _ = walked([answer({"items": [1, 2]}), answer({"items": [3]})], 42)
    assert (lines, stored.error) == ([b"1", b"2", b"3"], "3 of 42 chunks came")
    assert stored.file


def test_fewer_than_promised_never_replace_what_was_there_before(walked: Callable[..., Any]) -> None:
    whole, before, _ = walked([answer({"items": [1, 2]}), answer({"items": [3]})], 3)
    stored, lines, _ = walked([answer({"items": [1, 2]}), answer({}, status=503)], 3)
    assert lines == before
    assert (stored.file, stored.bytes, stored.sha256) == (whole.file, whole.bytes, whole.sha256)
    assert "2 of 3 chunks came" in stored.error
    assert "stays" in stored.error


def test_more_of_what_is_not_whole_replaces_less_of_it(walked: Callable[..., Any]) -> None:
    walked([answer({"items": [1]}), answer({"items": []})], 3)
    _, lines, _ = walked([answer({"items": [1, 2]}), answer({"items": []})], 3)
    assert lines == [b"1", b"2"]


def test_more_than_promised_are_kept_and_told_of(walked: Callable[..., Any]) -> None:
    stored, lines, _ = walked([answer({"items": [1, 2]})], 1)
    assert (len(lines), stored.error) == (2, "2 of 1 chunks came")


@pytest.mark.parametrize("window", [{"items": []}, {}, [], {"items": None}, {"items": "x"}])
def test_a_window_without_anything_ends_the_walk(walked: Callable[..., Any], window: Any) -> None:
    stored, lines, asked = walked([answer({"items": [1]}), answer(window), answer({"items": [2]})], 60)
    assert (lines, asked, stored.error) == ([b"1"], 2, "1 of 60 chunks came")


def test_a_promise_without_end_asks_no_more_than_there_is(walked: Callable[..., Any]) -> None:
    def endless() -> Iterator[Request]:
        while True:
            yield Request(url=f"{HOST}/chunks")

    stored, _, asked = walked([answer({"items": [1]}), answer({"items": []})], 10**18, endless())
    assert (asked, stored.error) == (2, f"1 of {10**18} chunks came")


@pytest.mark.parametrize(
    ("reply", "said"),
    [
        (answer({"message": "no such window"}, 404), "no such window"),
        (answer({"message": "not for you"}, 403), "not for you"),
        (answer({"message": "gone"}, 410), "gone"),
        (answer({"message": "later"}, 503), "later"),
        (answer(b"<html>", content_type="text/html"), "text/html"),
        (answer(b'{"items": [1'), "not JSON"),
    ],
)
def test_a_window_that_cannot_be_had_keeps_those_before_it(walked: Callable[..., Any], reply: Reply, said: str) -> None:
    stored, lines, asked = walked([answer({"items": [1]}), reply, answer({"items": [3]})], 3)
    assert (lines, asked) == ([b"1"], 2)
    assert stored.error.startswith("1 of 3 chunks came: ")
    assert said in stored.error
    assert "SECRET" not in stored.error


def test_refused_credentials_end_the_run_and_leave_no_file(tmp_path: Path) -> None:
    parts = Parts("chunks", [Request(url=HOST)], PATHS, 1)
    with pytest.raises(CredentialsError):
        links.walked(service(lambda _: answer({}, 401)), tmp_path, parts)
    assert list(tmp_path.iterdir()) == []


def test_storage_that_answers_for_the_service_is_read_in_the_usual_way(tmp_path: Path) -> None:
    refused = Reply(403, {"content-type": "application/xml"}, b"<Error/>", "https://storage.example.net/x")
    stored = links.walked(service(lambda _: refused), tmp_path, Parts("chunks", [Request(url=HOST)], PATHS, 1))
    assert (stored.error or "").startswith("0 of 1 chunks came: https://storage.example.net/x")


# --- one job ---


@pytest.fixture
def kept(tmp_path: Path) -> Callable[..., tuple[Outcome, Any]]:
    """Fetch one job that told this: its outcome, and the record that was written."""

    def run(made: Provider, send: Send, body: Any, **wanted: Any) -> tuple[Outcome, Any]:
        how = Wanted(**{"format": Format.JSON, "output": tmp_path / "out", "assets": True, **wanted})
        home = service(send, made)
        status = read_status(made, home.at("7"), answer(body), NOW)
        outcome = fetch.job(fetch._Run(home, how, {}), "7", status)
        return outcome, json.loads((tmp_path / "out").read_bytes())

    return run


def in_windows(count: int) -> Callable[[Address, Document], Parts]:
    return lambda address, document: Parts("chunks", [Request(url=f"{HOST}/chunks")], PATHS, count)


def linked(*assets: Asset) -> Callable[..., Iterator[Asset]]:
    return lambda send, address, result: iter(assets)


def test_a_job_with_all_of_its_parts_is_whole(kept: Callable[..., Any], tmp_path: Path) -> None:
    outcome, record = kept(provider(parts=in_windows(1)), lambda _: answer({"items": [1]}), {"state": "done"})
    assert (outcome.state, outcome.exit, record["state"]) == (State.SUCCEEDED, Exit.DONE, "succeeded")
    assert record["assets"] == [
        {
            "path": "links.chunks",
            "file": "7.assets/chunks.ndjson",
            "bytes": 2,
            "sha256": hashlib.sha256(b"1\n").hexdigest(),
            "error": None,
        }
    ]
    assert outcome.files == (str(tmp_path / "out"), str(tmp_path / "7.assets" / "chunks.ndjson"))


def test_a_job_with_fewer_parts_than_promised_is_partial_and_keeps_them(
    kept: Callable[..., Any], tmp_path: Path
) -> None:
    outcome, record = kept(provider(parts=in_windows(5)), lambda _: answer({"items": [1]}), {"state": "done"})
    assert (outcome.state, outcome.exit) == (State.PARTIAL, Exit.PARTIAL)
    assert record["failed_items"] == [{"item_id": "links.chunks", "message": "1 of 5 chunks came"}]
    assert (tmp_path / "7.assets" / "chunks.ndjson").read_bytes() == b"1\n"


def test_a_job_without_assets_wanted_is_not_asked_for_its_parts(kept: Callable[..., Any]) -> None:
    outcome, record = kept(provider(parts=in_windows(5)), never, {"state": "done"}, assets=False)
    assert (outcome.exit, record["assets"]) == (Exit.DONE, [])


def test_a_job_that_links_to_nothing_makes_no_folder(kept: Callable[..., Any], tmp_path: Path) -> None:
    kept(provider(parts=lambda address, document: None, assets=linked()), never, {"state": "done"})
    assert [path.name for path in tmp_path.iterdir()] == ["out"]


def test_a_job_that_comes_once_its_folder_was_let_go_makes_no_folder_either(
    kept: Callable[..., Any], tmp_path: Path
) -> None:
    claim = Claim()
    claim.end()
    with pytest.raises(Interrupted):
        kept(provider(parts=in_windows(1)), never, {"state": "done"}, claim=claim)
    assert list(tmp_path.iterdir()) == []


@pytest.mark.parametrize(("page", "exit_"), [(True, Exit.DONE), (False, Exit.PARTIAL)])
def test_a_web_page_is_kept_only_where_it_is_what_the_link_leads_to(
    kept: Callable[..., Any], page: bool, exit_: Exit
) -> None:
    asset = Asset("page.url", Request(url="https://cdn.example.net/p"), page=page)
    html = answer(b"<html></html>", content_type="text/html; charset=utf-8")
    outcome, record = kept(provider(assets=linked(asset)), lambda _: html, {"state": "done"})
    assert outcome.exit == exit_
    assert record["assets"][0]["file"] == ("7.assets/0001.html" if page else None)


@pytest.mark.parametrize(("refused", "exit_"), [(1, Exit.DONE), (2, Exit.PARTIAL)])
def test_a_signed_link_that_is_refused_is_resolved_anew_once(
    kept: Callable[..., Any], refused: int, exit_: Exit
) -> None:
    signatures, asked = iter("abc"), []

    def find(send: Any, address: Address, result: bytes) -> Iterator[Asset]:
        yield Asset("file", Request(url=f"https://storage.example.net/f?sig={next(signatures)}"))

    def storage(request: Request) -> Reply:
        asked.append(request.url[-1])
        status = 403 if len(asked) <= refused else 200
        return Reply(status, {"content-type": "image/png"}, b"png", request.url)

    outcome, _ = kept(provider(assets=find), storage, {"state": "done"})
    assert (asked, outcome.exit) == (["a", "b"], exit_)


@pytest.mark.parametrize("error", [ResultGone("the page is gone"), NotFound("no page"), Unavailable("away")])
def test_links_that_cannot_be_found_leave_the_record(kept: Callable[..., Any], error: JobfetchError) -> None:
    def find(send: Any, address: Address, result: bytes) -> Iterator[Asset]:
        raise error
        yield

    outcome, record = kept(provider(assets=find), never, {"state": "done"})
    assert (outcome.state, outcome.exit) == (State.PARTIAL, Exit.PARTIAL)
    assert [item["message"] for item in record["failed_items"]] == [error.message]


def test_a_failed_job_without_links_stays_a_failed_job(kept: Callable[..., Any]) -> None:
    def find(send: Any, address: Address, result: bytes) -> Iterator[Asset]:
        raise NotFound("no page")
        yield

    outcome, record = kept(provider(assets=find), never, {"state": "broken"})
    assert (outcome.state, outcome.exit, record["state"]) == (State.FAILED, Exit.FAILED, "failed")


# --- rows ---


@pytest.fixture
def table(tmp_path: Path) -> Callable[..., list[Any]]:
    """The rows of one job that told this, as Python objects."""

    def run(made: Provider, send: Send, body: Any, **wanted: Any) -> list[Any]:
        how = Wanted(**{"format": Format.NDJSON, "output": tmp_path / "rows", "assets": True, **wanted})
        home = service(send, made)
        run = fetch._Run(home, how, {}, maker(made, how.rows))
        fetch.job(run, "7", read_status(made, home.at("7"), answer(body), NOW))
        return [
            {name: json.loads(cell) for name, cell in row.items()} for block in run.rows["7"] for row in block.rows()
        ]

    return run


def test_rows_of_parts_follow_those_of_the_result(table: Callable[..., list[Any]]) -> None:
    chunks = answer({"items": [{"text": "a"}, {"text": "b"}]})
    rows = table(provider(parts=in_windows(2)), lambda _: chunks, {"state": "done"})
    assert [(row["kind"], row.get("text")) for row in rows] == [("job", None), ("chunk", "a"), ("chunk", "b")]


def test_a_linked_file_of_lines_is_no_part(table: Callable[..., list[Any]]) -> None:
    asset = Asset("log", Request(url="https://cdn.example.net/log"))
    rows = table(provider(assets=linked(asset)), lambda _: answer({"a": 1}), {"state": "done"})
    assert [row["kind"] for row in rows] == ["job"]


def test_another_view_takes_the_place_of_the_rows(table: Callable[..., list[Any]]) -> None:
    body = {"state": "SUCCESS", "result": {"words": ["H4sIAK+FKGIC/ytJLS5hYGJgYEgB4lQgrgHiIiAGAEjL9hsZAAAA"]}}
    rows = table(expertai.PROVIDER, never, body, rows="words", assets=False)
    assert [(row["job_id"], row["kind"], row["text"]) for row in rows] == [("7", "word", "test")]


# --- what is sent back ---


class Echo:
    """Hands out a token with every reply, a new one each time, and notes what it was sent."""

    def __init__(self, *tokens: str | None) -> None:
        self.sent: list[tuple[str, dict[str, str]]] = []
        self._tokens = iter(tokens)

    def __call__(self, request: Request) -> Reply:
        self.sent.append((request.url.rpartition("/")[2], dict(request.headers)))
        token = next(self._tokens)
        headers = {"content-type": "application/json"} | ({"x-job-token": token} if token else {})
        return Reply(200, headers, b'{"status":"Running"}', request.url)


def headers_of(echo: Echo, *job_ids: str) -> list[tuple[str, str | None]]:
    home = service(echo, cognite.PROVIDER)
    for job_id in job_ids:
        home.look(job_id)
    return [(job_id, headers.get("x-job-token")) for job_id, headers in echo.sent]


def test_what_the_first_reply_asks_for_goes_along_with_the_second_look() -> None:
    assert headers_of(Echo("T1", None, None), "1", "1", "1") == [("1", None), ("1", "T1"), ("1", "T1")]


def test_the_newest_goes_along() -> None:
    assert headers_of(Echo("T1", "T2", "T3"), "1", "1", "1") == [("1", None), ("1", "T1"), ("1", "T2")]


def test_it_goes_to_no_other_job() -> None:
    assert headers_of(Echo("T1", "T2", None, None), "1", "2", "1", "2") == [
        ("1", None),
        ("2", None),
        ("1", "T1"),
        ("2", "T2"),
    ]


def test_our_own_headers_stay_beside_it() -> None:
    echo = Echo("T1", None)
    headers_of(echo, "1", "1")
    assert [headers.get("x-cdp-app") for _, headers in echo.sent] == ["jobfetch", "jobfetch"]


def test_a_header_that_nobody_asked_for_is_not_sent_back() -> None:
    made = replace(cognite.PROVIDER, job=replace(cognite.PROVIDER.job, echo=()))
    echo = Echo("T1", None)
    home = service(echo, made)
    assert [home.look("1").state, home.look("1").state] == [State.RUNNING] * 2
    assert [headers for _, headers in echo.sent if "x-job-token" in headers] == []
