"""A large file whose line breaks: the rest is asked for, and taken only where it is proven to be the rest."""

import json
import re
import time
from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path

import pytest

from .program import Program, Run, tree
from .raw import Peer, RawServer, Talk, reply

KEY = "hush-hush-key"
BODY = b'{"data":"' + bytes(range(48, 58)) * 30_000 + b'"}'
OTHER = BODY.replace(b"0", b"x")
CUT = 123_457
WHOLE = f"Content-Length: {len(BODY)}"
TAG = 'ETag: "v1"'

Serve = Callable[..., RawServer]


def cut(*headers: str, body: bytes = BODY, at: int = CUT) -> bytes:
    """The beginning of a body whose whole length was announced."""
    return reply(body[:at], f"Content-Length: {len(body)}", *headers)


def rest(
    *headers: str, body: bytes = BODY, start: int = CUT, told: str | None = None, until: int | None = None
) -> bytes:
    """A part from `start` on; `told` stands in Content-Range in place of the truth."""
    told = told or f"bytes {start}-{len(body) - 1}/{len(body)}"
    part = body[start:until]
    length = f"Content-Length: {len(body) - start}"
    return reply(part, f"Content-Range: {told}", length, *headers, status="206 Partial Content")


@dataclass
class Fetched:
    run: Run
    api: RawServer
    store: RawServer
    folder: Path

    @property
    def asked(self) -> list[tuple[str | None, str | None]]:
        """Range and If-Range of every request to storage."""
        return [(header(head, "Range"), header(head, "If-Range")) for head in self.store.heads]


def header(head: str, name: str) -> str | None:
    found = re.search(rf"^{name}: (.*?)\r?$", head, re.MULTILINE | re.IGNORECASE)
    return found[1] if found else None


def scripted(*replies: bytes) -> Talk:
    """Answer each connection with the next of these, and all later ones with the last."""
    return lambda peer: peer.send(replies[min(peer.number, len(replies)) - 1])


@pytest.fixture
def fetch(serve: Serve, bare: Program, out: Path) -> Callable[..., Fetched]:
    """Fetch a result that lies in storage which talks like this."""

    def get(talk: Talk, *words: str, retries: int = 2) -> Fetched:
        store = serve(talk)

        def service(peer: Peer) -> None:
            if "/attachments" in peer.head:
                moved = f"Location: {store.url}/file?signature={peer.number}"
                peer.send(reply(b"", moved, status="302 Found"))
            else:
                data = {"job_id": "1", "status": "completed", "result": "https://x.test/file"}
                peer.send(reply(json.dumps({"data": data, "success": True}).encode()))

        api = serve(service)
        line = ("get", "playment", "1", "--base-url", api.url, "--project", "p", "-f", "raw", "-o", out / "file")
        run = bare(*line, "--retries", str(retries), "--json", *words, JOBFETCH_PLAYMENT_API_KEY=KEY)
        return Fetched(run, api, store, out)

    return get


Fetch = Callable[..., Fetched]


def test_a_file_that_is_cut_goes_on_where_it_broke_off(fetch: Fetch) -> None:
    done = fetch(scripted(cut(TAG), rest(TAG)))
    assert done.run.code == 0, done.run.said
    assert tree(done.folder) == {"file": BODY}
    assert done.asked == [(None, None), (f"bytes={CUT}-", '"v1"')]


def test_the_rest_is_asked_for_by_the_same_way_and_bare(fetch: Fetch) -> None:
    done = fetch(scripted(cut(TAG), rest(TAG)))
    paths = [head.split()[1].partition("?")[0] for head in done.api.heads]
    assert paths == ["/v1/projects/p/jobs/1", "/v1/attachments", "/v1/attachments"]
    assert [head.split()[1] for head in done.store.heads] == ["/file?signature=2", "/file?signature=3"]
    assert all(KEY in head for head in done.api.heads)
    assert not any(KEY in head for head in done.store.heads)
    # what names a version in storage is nobody else's business
    assert not any(header(head, "Range") or header(head, "If-Range") for head in done.api.heads)


def test_a_file_is_asked_for_as_it_is(fetch: Fetch) -> None:
    done = fetch(scripted(cut(TAG), rest(TAG)))
    assert {header(head, "Accept-Encoding") for head in done.store.heads} == {"identity"}


def test_a_rest_that_is_cut_goes_on_as_well(fetch: Fetch) -> None:
    later = CUT + 50_001
    done = fetch(scripted(cut(TAG), rest(TAG, until=later), rest(TAG, start=later)))
    assert (done.run.code, tree(done.folder)) == (0, {"file": BODY})
    assert [asked for asked, _ in done.asked] == [None, f"bytes={CUT}-", f"bytes={later}-"]


def test_what_comes_nearer_with_each_try_is_not_given_up(fetch: Fetch) -> None:
    body, step = b'["' + b"x" * (5 << 20) + b'"]', 1 << 20
    pieces = [rest(TAG, body=body, start=at, until=at + step) for at in range(step, len(body) - step, step)]
    last = rest(TAG, body=body, start=(len(pieces) + 1) * step)
    done = fetch(scripted(cut(TAG, body=body, at=step), *pieces, last), retries=1)
    assert done.run.code == 0, (done.run.said, done.asked)
    assert tree(done.folder) == {"file": body}
    assert len(done.asked) == 6


def test_trouble_in_between_loses_nothing(fetch: Fetch) -> None:
    done = fetch(scripted(cut(TAG), reply(b"", status="503 Service Unavailable"), rest(TAG)))
    assert (done.run.code, tree(done.folder)) == (0, {"file": BODY})
    assert [asked for asked, _ in done.asked] == [None, f"bytes={CUT}-", f"bytes={CUT}-"]


def test_a_date_names_a_version_where_it_is_old_enough(fetch: Fetch) -> None:
    old = "Wed, 21 Oct 2015 07:28:00 GMT"
    done = fetch(scripted(cut(f"Last-Modified: {old}"), rest(f"Last-Modified: {old}")))
    assert (done.run.code, tree(done.folder)) == (0, {"file": BODY})
    assert done.asked[1] == (f"bytes={CUT}-", old)


@pytest.mark.parametrize(
    "said",
    ["Last-Modified: Thu, 22 Oct 2015 07:28:00 GMT", 'ETag: "new"'],
    ids=["another date", "a tag out of nowhere"],
)
def test_a_part_of_another_version_is_never_glued_on(fetch: Fetch, said: str) -> None:
    # a server that does not look at If-Range
    old = "Last-Modified: Wed, 21 Oct 2015 07:28:00 GMT"
    done = fetch(scripted(cut(old), rest(said, body=OTHER), reply(OTHER, WHOLE)))
    assert (done.run.code, tree(done.folder)) == (0, {"file": OTHER})


def _now() -> str:
    return time.strftime("%a, %d %b %Y %H:%M:%S GMT", time.gmtime())


@pytest.mark.parametrize(
    "headers",
    [
        (),
        ('ETag: W/"v1"',),
        ("ETag: v1",),
        ('ETag: W/"v1"', "Last-Modified: Wed, 21 Oct 2015 07:28:00 GMT"),
        (f"Last-Modified: {_now()}", f"Date: {_now()}"),
        ("Last-Modified: long ago",),
    ],
    ids=["none", "weak", "unquoted", "weak beside a date", "a date just now", "no date"],
)
def test_what_names_no_version_beyond_doubt_starts_over(fetch: Fetch, headers: tuple[str, ...]) -> None:
    done = fetch(scripted(cut(*headers), reply(BODY, *headers)))
    assert (done.run.code, tree(done.folder)) == (0, {"file": BODY})
    assert done.asked == [(None, None)] * 2


def test_a_file_that_has_changed_comes_whole(fetch: Fetch) -> None:
    done = fetch(scripted(cut(TAG), reply(OTHER, 'ETag: "v2"')))
    assert (done.run.code, tree(done.folder)) == (0, {"file": OTHER})
    assert len(done.asked) == 2


def test_a_changed_file_that_is_cut_goes_on_as_what_it_is_now(fetch: Fetch) -> None:
    later = 'ETag: "v2"'
    done = fetch(scripted(cut(TAG), cut(later, body=OTHER, at=99), rest(later, body=OTHER, start=99)))
    assert (done.run.code, tree(done.folder)) == (0, {"file": OTHER})
    assert done.asked[2] == ("bytes=99-", '"v2"')


WRONG = {
    "from the start": rest(TAG, start=0),
    "from elsewhere": rest(TAG, told=f"bytes {CUT - 1}-{len(BODY) - 1}/{len(BODY)}"),
    "of another length": rest(TAG, told=f"bytes {CUT}-{len(BODY)}/{len(BODY) + 1}"),
    "not to the end": rest(TAG, told=f"bytes {CUT}-{len(BODY) - 2}/{len(BODY)}"),
    "of no known length": rest(TAG, told=f"bytes {CUT}-{len(BODY) - 1}/*"),
    "of lines": rest(TAG, told=f"lines {CUT}-{len(BODY) - 1}/{len(BODY)}"),
    "without a range": reply(BODY[CUT:], TAG, status="206 Partial Content"),
    "of no version": rest(),
    "of another version": rest('ETag: "v2"', body=OTHER),
    "packed": rest(TAG, "Content-Encoding: gzip"),
    "not to be had": reply(b"", f"Content-Range: bytes */{len(BODY)}", status="416 Range Not Satisfiable"),
}


@pytest.mark.parametrize("name", WRONG)
def test_a_rest_that_does_not_fit_is_not_taken_and_everything_is_asked_for(fetch: Fetch, name: str) -> None:
    done = fetch(scripted(cut(TAG), WRONG[name], reply(BODY, TAG)), retries=1)
    assert done.run.code == 0, done.run.said
    assert tree(done.folder) == {"file": BODY}
    assert done.asked == [(None, None), (f"bytes={CUT}-", '"v1"'), (None, None)]


def test_another_place_is_not_asked_for_the_rest(serve: Serve, bare: Program, out: Path) -> None:
    stores = [serve(scripted(cut(TAG))), serve(scripted(reply(BODY, TAG)))]

    def talk(peer: Peer) -> None:
        if "/attachments" in peer.head:
            peer.send(reply(b"", f"Location: {stores[peer.number - 2].url}/file", status="302 Found"))
        else:
            peer.send(reply(b'{"data":{"status":"completed","result":"https://x.test/file"},"success":true}'))

    line = ("get", "playment", "1", "--base-url", serve(talk).url, "--project", "p", "-f", "raw", "-o", out / "file")
    assert bare(*line, JOBFETCH_PLAYMENT_API_KEY=KEY).code == 0
    assert tree(out) == {"file": BODY}
    assert header(stores[1].heads[0], "Range") is None


def test_a_file_that_is_cut_every_time_leaves_nothing(fetch: Fetch) -> None:
    done = fetch(scripted(cut(TAG), rest(TAG, until=CUT + 10), rest(TAG, start=CUT + 10, until=CUT + 20)), retries=2)
    assert (done.run.code, tree(done.folder)) == (11, {})
    assert done.run.verdict["outputs"] == []


def test_a_rest_that_ends_early_without_having_said_how_long_it_is_is_cut(fetch: Fetch) -> None:
    length = f"Content-Length: {len(BODY) - CUT}\r\n".encode()
    done = fetch(scripted(cut(TAG), rest(TAG, until=CUT + 10).replace(length, b"")), retries=1)
    assert (done.run.code, tree(done.folder)) == (11, {})


def test_a_refusal_in_place_of_the_rest_leaves_nothing(fetch: Fetch) -> None:
    done = fetch(scripted(cut(TAG), reply(b"<Error/>", "Content-Type: text/xml", status="403 Forbidden")))
    assert (done.run.code, tree(done.folder)) == (10, {})


def test_a_part_that_nobody_asked_for_is_no_file(fetch: Fetch) -> None:
    done = fetch(scripted(rest(TAG, start=0, until=None, told=f"bytes 0-{len(BODY) - 1}/{len(BODY)}")))
    assert (done.run.code, tree(done.folder)) == (11, {})
    assert len(done.asked) == 1


def test_a_rest_that_makes_no_json_is_never_a_result(fetch: Fetch) -> None:
    done = fetch(scripted(cut(TAG), rest(TAG, body=BODY[:-1] + b"!")))
    assert (done.run.code, tree(done.folder)) == (11, {})


def test_a_linked_file_goes_on_as_well(serve: Serve, bare: Program, out: Path) -> None:
    store = serve(scripted(cut(TAG, "Content-Type: image/png"), rest(TAG, "Content-Type: image/png")))
    job = {"id": "a", "state": "completed", "extraction": {"common": {"thumbnail": f"{store.url}/t.png"}}, "links": {}}
    server = serve(lambda peer: peer.send(reply(json.dumps(job).encode())))
    line = ("get", "exabase", "a", "--base-url", server.url, "--assets", "-o", out / "a.json")
    assert bare(*line, JOBFETCH_EXABASE_API_KEY=KEY).code == 0
    assert tree(out)["a.assets/0001.png"] == BODY
    assert header(store.heads[1], "Range") == f"bytes={CUT}-"
    assert sorted(tree(out)) == ["a.assets/0001.png", "a.json"]
