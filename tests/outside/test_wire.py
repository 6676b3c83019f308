"""What a server may do to a reply on the wire, byte by byte, and how a run ends then."""

import contextlib
import gzip
import json
import socket
import ssl
import sys
import threading
import zlib
from collections.abc import Callable
from pathlib import Path
from urllib.parse import urlsplit

import pytest

from .program import Program, Run, tree
from .raw import DONE, Peer, RawServer, Talk, reply, saying

Ask = Callable[..., Run]
Serve = Callable[..., RawServer]
InTime = Callable[[Run, float], bool]

CERTS = Path(__file__).with_name("certs")
BOMB = 1 << 30
"""Bytes that a small body swells to."""


# --- replies that are as good as any ---


def _interim_first(peer: Peer) -> None:
    peer.send(b"HTTP/1.1 100 Continue\r\n\r\n")
    peer.send(reply())


def _in_chunks(peer: Peer) -> None:
    head = b"HTTP/1.1 200 OK\r\nContent-Type: application/json\r\nTransfer-Encoding: chunked\r\n\r\n"
    chunks = [DONE[:10], DONE[10:11], DONE[11:]]
    body = b"".join(b"%x;ext=1\r\n%b\r\n" % (len(chunk), chunk) for chunk in chunks)
    peer.send(head + body + b"0\r\nTrailer: x\r\n\r\n")


def _byte_by_byte(peer: Peer) -> None:
    for byte in reply():
        peer.send(bytes((byte,)))


GOOD: dict[str, Talk] = {
    "http 1.0": saying(reply(version="HTTP/1.0")),
    "an interim reply first": _interim_first,
    "in chunks": _in_chunks,
    "byte by byte": _byte_by_byte,
    "no length, ends with the connection": saying(
        b"HTTP/1.1 200 OK\r\nContent-Type: application/json\r\nConnection: close\r\n\r\n" + DONE
    ),
    "no content type": saying(b"HTTP/1.1 200 OK\r\nContent-Length: %d\r\n\r\n%b" % (len(DONE), DONE)),
    "no reason phrase": saying(reply(status="200")),
    "a byte order mark": saying(reply(b"\xef\xbb\xbf" + DONE)),
    "gzip": saying(reply(gzip.compress(DONE), "Content-Encoding: gzip")),
    "deflate": saying(reply(zlib.compress(DONE), "Content-Encoding: deflate")),
    "ninety headers": saying(reply(DONE, *(f"X-{number}: y" for number in range(90)))),
    "a vendor's json": saying(reply(DONE, "Content-Type: application/vnd.api+json; charset=utf-8")),
    "a status in 2xx": saying(reply(status="203 Non-Authoritative Information")),
}


@pytest.mark.parametrize("talk", GOOD.values(), ids=GOOD)
def test_a_reply_that_is_odd_but_whole_is_taken(ask: Ask, talk: Talk) -> None:
    run = ask(talk)
    assert run.code == 0, run.said
    assert json.loads(run.out)["result"] == json.loads(DONE)


def test_json_without_a_content_type_is_warned_of_once(ask: Ask) -> None:
    run = ask(GOOD["no content type"])
    assert run.said.count("warning: ") == 1


# --- replies that nobody can read ---


def _cut_in_chunks(peer: Peer) -> None:
    head = b"HTTP/1.1 200 OK\r\nContent-Type: application/json\r\nTransfer-Encoding: chunked\r\n\r\n"
    peer.send(head + b"%x\r\n%b\r\n" % (len(DONE), DONE))


UNREADABLE: dict[str, Talk] = {
    "chunked and cut before the last chunk": _cut_in_chunks,
    "shorter than its length says": saying(reply(DONE, "Content-Length: 9999")),
    "without a length, and cut": saying(
        b"HTTP/1.1 200 OK\r\nContent-Type: application/json\r\nConnection: close\r\n\r\n" + DONE[:50]
    ),
    "a chunk's size is no number": saying(
        b"HTTP/1.1 200 OK\r\nContent-Type: application/json\r\nTransfer-Encoding: chunked\r\n\r\nzz\r\n"
    ),
    "not the gzip that it says": saying(reply(DONE, "Content-Encoding: gzip")),
    "gzip that is cut": saying(reply(gzip.compress(DONE * 100)[:60], "Content-Encoding: gzip")),
    "nothing at all": saying(reply(b"")),
    "no content": saying(b"HTTP/1.1 204 No Content\r\n\r\n"),
    "not utf-8": saying(reply(b'{"status":"Completed","items":["\xff\xfe"]}')),
    "nested too deeply": saying(reply(b'{"status":"Completed","items":' + b"[" * 100_000 + b"]" * 100_000 + b"}")),
    "two values": saying(reply(DONE + DONE)),
    "NaN": saying(reply(b'{"status":"Completed","items":[NaN]}')),
    "no state": saying(reply(b'{"items":[]}')),
    "a list": saying(reply(b"[1]")),
    "xml": saying(reply(b"<x/>", "Content-Type: application/xml")),
    "a redirect to nowhere": saying(b"HTTP/1.1 302 Found\r\nContent-Length: 0\r\n\r\n"),
    "a redirect to a file": saying(reply(b"", "Location: file:///etc/passwd", status="302 Found")),
    "a redirect that is no address": saying(reply(b"", "Location: http://[::1", status="302 Found")),
    "a redirect to a port that is no number": saying(reply(b"", "Location: http://x:port/", status="302 Found")),
    "not modified": saying(b"HTTP/1.1 304 Not Modified\r\n\r\n"),
    "two hundred headers": saying(reply(DONE, *(f"X-{number}: y" for number in range(200)))),
    "a header without an end": saying(b"HTTP/1.1 200 OK\r\nX-Long: " + b"x" * 200_000 + b"\r\n\r\n"),
    "no http": saying(b"220 mail.example.com ESMTP\r\n"),
    "a state that is no text": saying(reply(b'{"status":{"a":[1]},"items":"x","createdTime":"y"}')),
}

ENDS = {"two hundred headers": {10, 11}, "a header without an end": {10, 11}, "no http": {10, 11}}
"""Where it is open whether the service is in trouble or says what nobody understands."""
ENDS["a state that is no text"] = {75}


@pytest.mark.parametrize("name", UNREADABLE)
def test_a_reply_that_nobody_can_read_is_told_in_a_line_and_leaves_no_file(ask: Ask, out: Path, name: str) -> None:
    run = ask(UNREADABLE[name], "--json", "-o", out / "record.json")
    assert run.code in ENDS.get(name, {11}), run.said
    assert run.verdict["exit_code"] == run.code
    assert "Traceback" not in run.said
    assert tree(out) == {}


@pytest.mark.parametrize("name", ["chunked and cut before the last chunk", "shorter than its length says"])
def test_a_reply_that_is_cut_is_asked_for_again(serve: Serve, vision: Ask, name: str) -> None:
    server = serve(lambda peer: (UNREADABLE[name] if peer.number == 1 else saying(reply()))(peer))
    assert vision(server).code == 0
    assert len(server.heads) == 2


def test_a_connection_that_is_reset_in_the_body_is_trouble_of_the_network(ask: Ask) -> None:
    def talk(peer: Peer) -> None:
        peer.send(reply(DONE, "Content-Length: 9999"))
        peer.reset()

    assert ask(talk).code in {10, 11}


def test_a_port_where_nobody_listens_is_trouble_of_the_network(bare: Program) -> None:
    line = ("get", "cognite", "1", "--base-url", "http://127.0.0.1:1", "--project", "p", "--retries", "0")
    assert bare(*line, JOBFETCH_COGNITE_TOKEN="t").code == 10


# --- replies that never end ---


def _head_drips(peer: Peer) -> None:
    peer.drip(b"HTTP/1.1 200 OK\r\nX-Padding: " + b"x" * 1_000_000)


def _body_drips(peer: Peer) -> None:
    peer.send(b"HTTP/1.1 200 OK\r\nContent-Type: application/json\r\nConnection: close\r\n\r\n")
    peer.drip(b" " * 1_000_000)


def _chunks_drip(peer: Peer) -> None:
    peer.send(b"HTTP/1.1 200 OK\r\nContent-Type: application/json\r\nTransfer-Encoding: chunked\r\n\r\n")
    peer.drip(b"1\r\n \r\n" * 100_000)


def _interim_replies_drip(peer: Peer) -> None:
    peer.drip(b"HTTP/1.1 100 Continue\r\n\r\n" * 100_000)


def _an_error_drips(peer: Peer) -> None:
    peer.send(b"HTTP/1.1 500 Internal Server Error\r\nContent-Type: text/html\r\n\r\n")
    peer.drip(b"x" * 1_000_000)


@pytest.mark.parametrize(
    "talk",
    [_head_drips, _body_drips, _chunks_drip, _interim_replies_drip, _an_error_drips, Peer.hold],
    ids=lambda talk: talk.__name__.strip("_"),
)
def test_a_reply_that_never_ends_is_given_up_at_the_deadline(ask: Ask, out: Path, in_time: InTime, talk: Talk) -> None:
    run = ask(talk, "--timeout", "1.5", "-o", out / "record.json")
    assert run.code == 75, run.said
    assert run.seconds >= 1.5
    assert in_time(run, 1.5)
    assert tree(out) == {}


def test_a_job_that_was_seen_running_says_when_to_come_back_whatever_holds_up_the_last_look(ask: Ask) -> None:
    def talk(peer: Peer) -> None:
        if peer.number > 1:
            peer.hold()
        peer.send(reply(b'{"status":"Running"}'))

    run = ask(talk, "--wait", "--interval", "0.1", "--timeout", "1.5", "--json", "-o", "/dev/null")
    assert (run.code, run.verdict["counts"]) == (75, {"running": 1})
    assert run.verdict["retry_at"]


def test_a_small_file_that_drips_is_given_up_at_the_deadline_in_raw_as_well(
    serve: Serve, bare: Program, out: Path, in_time: InTime
) -> None:
    def talk(peer: Peer) -> None:
        if "/jobs/" in peer.head:
            peer.send(reply(b'{"data":{"job_id":"1","status":"completed","result":"https://x.example/r.json"}}'))
        else:
            _body_drips(peer)

    line = ("get", "playment", "1", "--base-url", serve(talk).url, "--project", "p", "--timeout", "1.5", "-f", "raw")
    run = bare(*line, "-o", out / "record.json", JOBFETCH_PLAYMENT_API_KEY="k")
    assert (run.code, tree(out)) == (75, {})
    assert in_time(run, 1.5)


# --- bodies that swell ---


def _bomb() -> bytes:
    """So many blank bytes packed; each block like the first, so that one is packed for all of them."""
    packer = zlib.compressobj(9, wbits=31)
    begin = packer.compress(b'{"status":') + packer.flush(zlib.Z_FULL_FLUSH)
    blank = packer.compress(b" " * (1 << 20)) + packer.flush(zlib.Z_FULL_FLUSH)
    return begin + blank * (BOMB >> 20)


#: Runs a program and tells the most memory it held. A process of its own starts it: what its parent holds counts as well.
_MEASURES = """
import resource, subprocess, sys
code = subprocess.call(sys.argv[1:])
print("peak", resource.getrusage(resource.RUSAGE_CHILDREN).ru_maxrss, file=sys.stderr)
sys.exit(code)
"""


@pytest.mark.parametrize("status", ["200 OK", "404 Not Found"])
def test_a_body_that_swells_a_thousandfold_does_not_fill_the_memory(serve: Serve, bare: Program, status: str) -> None:
    server = serve(saying(reply(_bomb(), "Content-Encoding: gzip", status=status)))
    line = ("get", "cognite", "1", "--base-url", server.url, "--project", "p", "--retries", "0")
    run = bare(*line, "--parse-limit", "32MiB", prefix=(sys.executable, "-c", _MEASURES), JOBFETCH_COGNITE_TOKEN="t")
    assert run.code == (11 if status == "200 OK" else 5), run.said
    assert int(run.said.rpartition("peak ")[2]) * 1024 < BOMB / 2


def test_the_most_that_is_parsed_can_be_chosen(ask: Ask) -> None:
    run = ask(saying(reply()), "--parse-limit", "100")
    assert run.code == 11
    assert "--parse-limit" in run.said


# --- redirects and authorities ---


def test_a_key_does_not_come_back_with_a_redirect_that_left(serve: Serve, bare: Program) -> None:
    homes: list[str] = []
    there = serve(lambda peer: peer.send(reply(b"", f"Location: {homes[0]}/back", status="302 Found")))

    def talk(peer: Peer) -> None:
        path = peer.head.split()[1]
        if "/jobs/" in path:
            peer.send(reply(b'{"data":{"job_id":"1","status":"completed","result":"https://x.example/r.json"}}'))
        elif path == "/back":
            peer.send(reply(b'{"data":{}}'))
        else:
            peer.send(reply(b"", f"Location: {there.url}/out", status="307 Temporary Redirect"))

    here = serve(talk)
    homes.append(here.url)
    line = ("get", "playment", "1", "--base-url", here.url, "--project", "p")
    assert bare(*line, JOBFETCH_PLAYMENT_API_KEY="the-key").code == 0
    carried = [(head.split()[1].partition("?")[0], "the-key" in head) for head in [*here.heads, *there.heads]]
    assert carried == [("/v1/projects/p/jobs/1", True), ("/v1/attachments", True), ("/back", False), ("/out", False)]


def test_a_redirect_in_the_same_place_keeps_the_key(serve: Serve, vision: Ask) -> None:
    def talk(peer: Peer) -> None:
        moved = reply(b"", "Location: /elsewhere", status="308 Permanent Redirect")
        peer.send(reply() if peer.head.startswith("GET /elsewhere") else moved)

    server = serve(talk)
    assert vision(server).code == 0
    assert all("Bearer a-token" in head for head in server.heads)


def test_a_user_name_in_a_redirect_is_not_sent(serve: Serve, vision: Ask) -> None:
    def talk(peer: Peer) -> None:
        where = urlsplit(server.url).netloc
        moved = reply(b"", f"Location: http://user:pass@{where}/elsewhere", status="302 Found")
        peer.send(reply() if peer.head.startswith("GET /elsewhere") else moved)

    server = serve(talk)
    assert vision(server).code == 0
    assert not any("Basic" in head for head in server.heads)


def _secured() -> ssl.SSLContext:
    context = ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER)
    context.load_cert_chain(CERTS / "server.pem")
    return context


def test_a_certificate_that_nobody_vouches_for_is_refused(serve: Serve, vision: Ask) -> None:
    server = serve(saying(reply()), security=_secured())
    run = vision(server)
    assert run.code == 11
    assert "--ca-bundle" in run.said
    assert server.heads == []


@pytest.mark.parametrize("variable", [None, "REQUESTS_CA_BUNDLE", "SSL_CERT_FILE"])
def test_a_private_authority_can_be_named(serve: Serve, vision: Ask, variable: str | None) -> None:
    server = serve(saying(reply()), security=_secured())
    bundle = str(CERTS / "authority.pem")
    run = vision(server, env={variable: bundle}) if variable else vision(server, "--ca-bundle", bundle)
    assert run.code == 0, run.said


def test_a_certificate_for_another_name_is_refused(serve: Serve, vision: Ask) -> None:
    server = serve(saying(reply()), security=_secured(), host="127.0.0.2")
    assert vision(server, "--ca-bundle", CERTS / "authority.pem").code == 11


@pytest.mark.parametrize("proxied", [False, True])
@pytest.mark.parametrize("cut", [False, True])
def test_a_reply_without_a_length_is_whole_only_where_tls_says_so(
    serve: Serve, vision: Ask, proxied: bool, cut: bool
) -> None:
    def talk(peer: Peer) -> None:
        peer.send(b"HTTP/1.1 200 OK\r\nContent-Type: application/json\r\nConnection: close\r\n\r\n" + DONE)
        assert isinstance(peer.line, ssl.SSLSocket)
        if not cut:
            peer.line.unwrap()

    server = serve(talk, security=_secured())
    proxy = {"HTTPS_PROXY": serve(_tunnel).url, "NO_PROXY": ""} if proxied else {}
    run = vision(server, "--ca-bundle", CERTS / "authority.pem", **proxy)
    assert run.code == (11 if cut else 0), run.said
    assert bool(run.out) != cut


def test_a_handshake_that_stalls_ends_at_the_deadline(serve: Serve, vision: Ask, in_time: InTime) -> None:
    server = serve(Peer.hold)
    run = vision(server, "--base-url", server.url.replace("http:", "https:"), "--timeout", "1.5")
    assert run.code == 75
    assert in_time(run, 1.5)


def test_a_proxy_that_asks_for_a_password_is_trouble_told_by_name(serve: Serve, bare: Program) -> None:
    proxy = serve(saying(reply(b"", status="407 Proxy Authentication Required")))
    line = ("get", "cognite", "1", "--base-url", "https://service.invalid", "--project", "p", "--retries", "0")
    run = bare(*line, JOBFETCH_COGNITE_TOKEN="t", HTTPS_PROXY=proxy.url.replace("http://", "http://user:pass@"))
    assert run.code == 10
    assert "proxy" in run.said
    assert "pass" not in run.said
    assert all("Bearer" not in head for head in proxy.heads)


def _tunnel(peer: Peer) -> None:
    """A proxy that does what CONNECT asks for."""
    host, _, port = peer.head.split()[1].rpartition(":")
    with socket.create_connection((host, int(port))) as further:
        peer.send(b"HTTP/1.1 200 Connection established\r\n\r\n")
        back = threading.Thread(target=_copied, args=(further, peer.line))
        back.start()
        _copied(peer.line, further)
        back.join()


def _copied(source: socket.socket, sink: socket.socket) -> None:
    with contextlib.suppress(OSError):
        while data := source.recv(65536):
            sink.sendall(data)
        sink.shutdown(socket.SHUT_WR)


@pytest.mark.parametrize(("trusted", "code"), [(True, 0), (False, 11)])
def test_certificates_are_checked_through_a_proxy_as_well(serve: Serve, vision: Ask, trusted: bool, code: int) -> None:
    proxy, server = serve(_tunnel), serve(saying(reply()), security=_secured())
    bundle = ("--ca-bundle", CERTS / "authority.pem") if trusted else ()
    run = vision(server, *bundle, HTTPS_PROXY=proxy.url, NO_PROXY="")
    assert run.code == code, run.said
    assert [head.split()[0] for head in proxy.heads] == ["CONNECT"]
    # what the proxy hears is the host, and nothing of ours
    assert not any("Bearer" in head for head in proxy.heads)
    assert [head.split()[0] for head in server.heads] == ["GET"] * trusted


@pytest.mark.parametrize(("trusted", "code"), [(True, 0), (False, 11)])
def test_the_certificate_of_a_proxy_is_checked(serve: Serve, vision: Ask, trusted: bool, code: int) -> None:
    proxy = serve(saying(reply()), security=_secured())
    bundle = ("--ca-bundle", CERTS / "authority.pem") if trusted else ()
    run = vision(proxy, *bundle, "--base-url", "http://127.0.0.1:9", HTTP_PROXY=proxy.url, NO_PROXY="")
    assert run.code == code, run.said
    assert [head.split()[1].startswith("http://127.0.0.1:9/") for head in proxy.heads] == [True] * trusted


def test_many_workers_share_what_they_trust(serve: Serve, bare: Program, tmp_path: Path) -> None:
    server = serve(saying(reply()), security=_secured())
    line = (
        "batch",
        "download",
        "cognite",
        "--project",
        "p",
        "--base-url",
        server.url,
        "--workers",
        "16",
        "--jobs",
        "-",
    )
    ids = "".join(f"{number}\n" for number in range(60)).encode()
    more = ("--ca-bundle", CERTS / "authority.pem")
    run = bare(*line, "-o", tmp_path / "made", *more, "--json", stdin=ids, JOBFETCH_COGNITE_TOKEN="t")
    assert (run.code, run.verdict["counts"]) == (0, {"succeeded": 60}), run.said
    server.heads.clear()
    run = bare(*line, "-o", tmp_path / "other", "--json", stdin=ids, JOBFETCH_COGNITE_TOKEN="t")
    assert (run.code, server.heads) == (11, [])
