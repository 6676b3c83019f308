"""Links that a service puts into a result: where they lead, what goes along, and what becomes of the job."""

import json
from collections.abc import Callable
from pathlib import Path

import pytest

from .program import Program, Run
from .raw import Peer, RawServer

KEY = "hush-hush-key"
Serve = Callable[..., RawServer]
Fetch = Callable[..., Run]


def told(body: object, status: str = "200 OK", *headers: str) -> bytes:
    data = body if isinstance(body, bytes) else json.dumps(body).encode()
    kind = "" if any(header.startswith("Content-Type") for header in headers) else "Content-Type: application/json\r\n"
    more = "".join(f"{header}\r\n" for header in headers)
    length = f"Content-Length: {len(data)}\r\nConnection: close\r\n"
    return f"HTTP/1.1 {status}\r\n{kind}{more}{length}\r\n".encode() + data


def extract(job_id: str = "a", **common: object) -> dict[str, object]:
    """A finished job of Exabase's whose file is described like this."""
    return {"id": job_id, "state": "completed", "extraction": {"common": common}, "links": {}}


def asked_for(peer: Peer) -> str:
    """The job that a request is about."""
    return peer.head.split()[1].rpartition("/")[2]


@pytest.fixture
def fetch(bare: Program) -> Fetch:
    """Fetch jobs of Exabase from this server, with a key."""

    def get(server: RawServer, *words: str | Path, ids: tuple[str, ...] = ("a",)) -> Run:
        line = ("get", "exabase", *ids, "--base-url", server.url, "--retries", "0", *words)
        return bare(*line, JOBFETCH_EXABASE_API_KEY=KEY)

    return get


@pytest.mark.parametrize(
    "link",
    [
        "http://127.0.0.1:{evil}\\@127.0.0.1:{api}/t.png",
        "http://127.0.0.1:{evil}/\\@127.0.0.1:{api}/t.png",
        "http://127.0.0.1:{evil}#@127.0.0.1:{api}/t.png",
        "http://127.0.0.1:{evil}?@127.0.0.1:{api}/t.png",
        "http://127.0.0.1:{api}@127.0.0.1:{evil}/t.png",
        "http://127.0.0.1:{evil}\t@127.0.0.1:{api}/t.png",
    ],
)
def test_no_way_of_writing_a_link_brings_the_key_to_another_host(
    serve: Serve, fetch: Fetch, tmp_path: Path, link: str
) -> None:
    evil = serve(lambda peer: peer.send(told(b"png", "200 OK", "Content-Type: image/png")))
    ports = {"evil": evil.url.rpartition(":")[2]}

    def talk(peer: Peer) -> None:
        ports["api"] = str(peer.line.getsockname()[1])
        peer.send(told(extract(thumbnail=link.format(**ports))))

    fetch(serve(talk), "--assets", "-o", f"{tmp_path}/")
    assert not [head for head in evil.heads if KEY in head]


def test_a_user_in_a_link_is_not_sent(serve: Serve, fetch: Fetch, tmp_path: Path) -> None:
    store = serve(lambda peer: peer.send(told(b"png", "200 OK", "Content-Type: image/png")))
    link = store.url.replace("://", "://user:word@") + "/t.png"
    assert (
        fetch(serve(lambda peer: peer.send(told(extract(thumbnail=link)))), "--assets", "-o", f"{tmp_path}/").code == 0
    )
    assert not [head for head in store.heads if "authorization" in head.lower()]


def test_a_deadline_among_linked_files_is_told_as_such_even_with_allow_partial(
    serve: Serve, fetch: Fetch, tmp_path: Path
) -> None:
    store = serve(lambda peer: peer.drip(b"HTTP/1.1 200 OK\r\n" + b"X: y\r\n" * 999))
    server = serve(lambda peer: peer.send(told(extract(thumbnail=f"{store.url}/t.png"))))
    run = fetch(server, "--assets", "--allow-partial", "--timeout", "1.5", "-o", f"{tmp_path}/")
    assert run.code == 75
    assert not (tmp_path / "a.json").exists()


def test_a_refusal_by_another_host_is_not_taken_for_ours(serve: Serve, fetch: Fetch, tmp_path: Path) -> None:
    store = serve(lambda peer: peer.send(told({"error": "who?"}, "401 Unauthorized")))
    server = serve(lambda peer: peer.send(told(extract(asked_for(peer), thumbnail=f"{store.url}/t.png"))))
    run = fetch(server, "--assets", "-o", f"{tmp_path}/", ids=("a", "b"))
    assert run.code == 8
    assert {path.name for path in tmp_path.glob("*.json")} == {"a.json", "b.json"}


def test_a_reply_about_another_job_is_never_stored_as_this_ones(serve: Serve, fetch: Fetch, tmp_path: Path) -> None:
    server = serve(lambda peer: peer.send(told(extract("b"))))
    run = fetch(server, "-o", f"{tmp_path}/", "--json")
    assert (run.code, run.verdict["error"]["job_id"]) == (11, "a")
    assert "asked about job a and answered about b" in run.said + run.verdict["error"]["message"]
    assert not [*tmp_path.glob("*.json")]
    assert fetch(server, "-o", f"{tmp_path}/", ids=("B",)).code == 0  # a service may write an id in its own way


def test_what_a_service_echoes_is_hidden_in_the_record_too(serve: Serve, fetch: Fetch, tmp_path: Path) -> None:
    def talk(peer: Peer) -> None:
        first = peer.head.startswith("GET /v2/extract/a ")
        link = f"http://127.0.0.1:{peer.line.getsockname()[1]}/t.png"
        peer.send(told(extract(thumbnail=link)) if first else told({"message": f"{KEY} may not"}, "403 Forbidden"))

    assert fetch(serve(talk), "--assets", "-o", f"{tmp_path}/").code == 8
    assert KEY not in (tmp_path / "a.json").read_text()
    assert "***" in (tmp_path / "a.json").read_text()


@pytest.mark.parametrize("body", [b'{"success":false,"error":{"code":"FS_0000"}}', b"3", b"null", b'"x"'])
def test_a_refusal_with_200_is_never_stored_as_the_raw_result(
    serve: Serve, bare: Program, tmp_path: Path, body: bytes
) -> None:
    job = {"data": {"status": "completed", "result": "https://store.test/a.json"}, "success": True}
    server = serve(lambda peer: peer.send(told(job if "/jobs/" in peer.head else body)))
    line = ("get", "playment", "a", "--base-url", server.url, "--project", "p", "--retries", "0", "-f", "raw")
    run = bare(*line, "-o", tmp_path / "a.json", JOBFETCH_PLAYMENT_API_KEY=KEY)
    assert run.code in {10, 11}
    assert list(tmp_path.iterdir()) == [tmp_path / "home"] or not (tmp_path / "a.json").exists()


def test_rows_that_cannot_be_had_again_are_not_written_over(serve: Serve, fetch: Fetch, tmp_path: Path) -> None:
    table = tmp_path / "t.csv"
    cleaned: list[bool] = []

    def talk(peer: Peer) -> None:
        gone = peer.head.startswith("GET /v2/extract/a ") and bool(cleaned)
        peer.send(told({"id": "a", "state": "cleaned"} if gone else extract(asked_for(peer), size=1)))

    server = serve(talk)
    assert fetch(server, "-o", table, ids=("a", "b")).code == 0
    before = table.read_bytes()
    cleaned.append(True)
    run = fetch(server, "-o", table, "--json", ids=("a", "b"))
    assert (run.code, run.verdict["outputs"]) == (8, [])
    assert table.read_bytes() == before


def test_a_result_that_is_taken_back_is_running_again(serve: Serve, bare: Program, tmp_path: Path) -> None:
    store = serve(lambda peer: peer.send(told(b"<Error/>", "403 Forbidden", "Content-Type: application/xml")))

    def talk(peer: Peer) -> None:
        done = {"status": "completed", "result": "https://store.test/a.json"}
        if "/attachments" in peer.head:
            peer.send(told(b"", "302 Found", f"Location: {store.url}/a.json"))
        else:
            peer.send(told({"data": done if peer.number == 1 else {"status": "rework", "result": ""}, "success": True}))

    line = ("get", "playment", "a", "--base-url", serve(talk).url, "--project", "p", "--retries", "0")
    assert bare(*line, "-o", tmp_path / "a.json", JOBFETCH_PLAYMENT_API_KEY=KEY).code == 75


@pytest.mark.parametrize(
    "words",
    [
        ("-o", ""),
        ("--timeout", ""),
        ("--query", "result.items[::0]"),
        ("--parse-limit", "9" * 5000),
        ("-o", "x" * 300 + ".json"),
        ("--ca-bundle", "x" * 300),
        ("--ca-bundle", b"\xff".decode("utf-8", "surrogateescape")),
    ],
)
def test_odd_values_are_told_and_never_a_bug(
    serve: Serve, fetch: Fetch, tmp_path: Path, words: tuple[str, ...]
) -> None:
    run = fetch(serve(lambda peer: peer.send(told({**extract(), "items": []}))), *words, "--json")
    assert run.code in {2, 3, 12}, run.said


def test_a_stream_named_in_dev_gets_the_record(serve: Serve, fetch: Fetch) -> None:
    run = fetch(serve(lambda peer: peer.send(told(extract()))), "-o", "/dev/stdout")
    assert json.loads(run.out)["job_id"] == "a"
