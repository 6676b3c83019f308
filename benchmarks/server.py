"""A service and its storage, each on a port of its own, in one asyncio process: what the benchmarks ask.

    python benchmarks/server.py --latency 0.05 --jobs 2000 --large 1024 [--tls tests/outside/certs/server.pem]

It prints one line of JSON with both addresses, and serves until it is terminated. Every reply to a request comes
`--latency` seconds after it, however many come at once; asyncio switches Nagle's algorithm off. It waits with `select`,
which wakes it on time: epoll counts whole milliseconds, so that every reply would come up to one too late.
"""

from __future__ import annotations

import argparse
import asyncio
import json
import selectors
import ssl
import tempfile
from pathlib import Path
from typing import BinaryIO, ClassVar, cast
from urllib.parse import parse_qs, urlsplit

PAGE = 100
#: What the service says of its jobs, by what has become of them.
STATES = {"done": "completed", "running": "processing", "failed": "failed"}
BLOCK = b"0123456789abcdef" * (1 << 16)


class Service:
    """What there is to ask for: jobs in the shape of two services, and one large file."""

    def __init__(self, *, jobs: int, size: int, large: int, state: str = "done") -> None:
        self.state = STATES[state]
        self.ids = [str(number) for number in range(1, jobs + 1)]
        self.storage = ""
        words = [{"text": f"word {number}", "confidence": 0.5} for number in range(max(1, size // 40))]
        self._predictions = json.dumps({"textPredictions": words}).encode()
        self.large = _large(large) if large else None

    def reply(self, target: str) -> tuple[str, bytes, str]:
        """Status, body and one more header for a path."""
        url = urlsplit(target)
        parts = url.path.strip("/").split("/")
        query = {name: values[-1] for name, values in parse_qs(url.query).items()}
        if "context" in parts:
            head = f'{{"status":"Completed","createdTime":1730204346000,"jobId":{parts[-1]},"items":[{{"predictions":'
            return "200 OK", head.encode() + self._predictions + b"}]}", ""
        if "batch" in parts:
            return "200 OK", self._page(int(query.get("page_token") or 0)), ""
        if "jobs" in parts:
            result = f"{self.storage}/large" if parts[-1] == "large" else f"{self.storage}/{parts[-1]}.json"
            data = {"job_id": parts[-1], "status": "completed", "result": result}
            return "200 OK", json.dumps({"data": data, "success": True}).encode(), ""
        if "extract" in parts:
            listed = parts[-1] == "extract"
            told = (
                self._list(int(query.get("cursor") or 0), int(query["limit"])) if listed else self._extract(parts[-1])
            )
            return "200 OK", json.dumps(told).encode(), ""
        if parts[-1] == "attachments":
            return "302 Found", b"", f"Location: {query['url']}?signature=x\r\n"
        return "200 OK", b'{"data":{"annotations_data":' + self._predictions + b"}}", ""

    def _list(self, start: int, most: int) -> dict[str, object]:
        end = start + most
        items = [{"id": job_id, "state": self.state} for job_id in self.ids[start:end]]
        return {"items": items, "nextCursor": str(end) if end < len(self.ids) else None}

    def _extract(self, job_id: str) -> dict[str, object]:
        common = {"thumbnail": f"{self.storage}/large"}
        return {"id": job_id, "state": self.state, "extraction": {"common": common}, "links": {}}

    def _page(self, start: int) -> bytes:
        end = start + PAGE
        data: dict[str, object] = {"jobs": [{"id": job_id, "status": "completed"} for job_id in self.ids[start:end]]}
        if end < len(self.ids):
            data["next_page_token"] = str(end)
        return json.dumps({"data": data, "success": True}).encode()


def _large(mib: int) -> BinaryIO:
    """A file of so many MiB: one JSON object that holds one long text."""
    file = cast("BinaryIO", tempfile.TemporaryFile())  # noqa: SIM115 - open as long as the server runs
    before, after = b'{"data":{"text":"', b'"}}'
    file.write(before)
    for _ in range(mib - 1):
        file.write(BLOCK)
    file.write(BLOCK[: -len(before) - len(after)] + after)
    file.flush()
    return file


class Connection(asyncio.Protocol):
    """One client: requests without a body, answered one after another."""

    tasks: ClassVar[set[asyncio.Task[None]]] = set()

    def __init__(self, service: Service, latency: float) -> None:
        self._service = service
        self._latency = latency
        self._read = b""

    def connection_made(self, transport: asyncio.BaseTransport) -> None:
        """Remember where to write."""
        self._transport = cast("asyncio.Transport", transport)

    def data_received(self, data: bytes) -> None:
        """Answer every whole request after the latency."""
        self._read += data
        while b"\r\n\r\n" in self._read:
            head, _, self._read = self._read.partition(b"\r\n\r\n")
            asyncio.get_running_loop().call_later(self._latency, self._answer, head.decode("latin-1"))

    def _answer(self, head: str) -> None:
        if self._transport.is_closing():
            return
        target = head.split(" ", 2)[1]
        if self._service.large and target.startswith("/large"):
            task = asyncio.ensure_future(self._send_large(head))
            self.tasks.add(task)
            task.add_done_callback(self.tasks.discard)
            return
        status, body, more = self._service.reply(target)
        length = f"Content-Type: application/json\r\nContent-Length: {len(body)}\r\n"
        self._transport.write(f"HTTP/1.1 {status}\r\n{length}{more}\r\n".encode() + body)

    async def _send_large(self, head: str) -> None:
        """The large file, or the rest of it that a Range asks for."""
        file = self._service.large
        assert file is not None  # noqa: S101 - asked for above
        size = file.seek(0, 2)
        _, asked, first = head.lower().partition("\r\nrange: bytes=")
        start = int(first.partition("-")[0]) if asked else 0
        status = "206 Partial Content" if asked else "200 OK"
        more = f"Content-Range: bytes {start}-{size - 1}/{size}\r\n" if asked else ""
        length = f"Content-Type: application/json\r\nContent-Length: {size - start}\r\n"
        self._transport.write(f'HTTP/1.1 {status}\r\nETag: "large"\r\n{length}{more}\r\n'.encode())
        await asyncio.get_running_loop().sendfile(self._transport, file, start)


async def serve(service: Service, latency: float, certificate: str | None) -> None:
    """Listen on two ports, say where, and go on until terminated."""
    loop = asyncio.get_running_loop()
    tls = None
    if certificate:
        tls = ssl.create_default_context(ssl.Purpose.CLIENT_AUTH)
        tls.load_cert_chain(certificate)
    servers = [
        await loop.create_server(lambda: Connection(service, latency), "127.0.0.1", 0, backlog=1000, ssl=tls)
        for _ in range(2)
    ]
    home = "https://localhost" if tls else "http://127.0.0.1"
    api, storage = (f"{home}:{server.sockets[0].getsockname()[1]}" for server in servers)
    service.storage = storage
    print(json.dumps({"api": api, "storage": storage}), flush=True)
    await asyncio.Event().wait()


def main() -> None:
    """Read the options and serve."""
    parser = argparse.ArgumentParser(description=__doc__, prog=Path(__file__).name)
    parser.add_argument("--latency", type=float, default=0.05, help="seconds before each reply")
    parser.add_argument("--jobs", type=int, default=2000, help="jobs in the listing")
    parser.add_argument("--state", choices=STATES, default="done", help="what has become of the jobs of /v2/extract")
    parser.add_argument("--size", type=int, default=4096, help="about so many bytes a result")
    parser.add_argument("--large", type=int, default=0, help="MiB of the large file at /large")
    parser.add_argument("--tls", metavar="FILE", help="a certificate and its key: https")
    options = parser.parse_args()
    service = Service(jobs=options.jobs, size=options.size, large=options.large, state=options.state)
    with asyncio.Runner(loop_factory=lambda: asyncio.SelectorEventLoop(selectors.SelectSelector())) as runner:
        runner.run(serve(service, options.latency, options.tls))


if __name__ == "__main__":
    main()
