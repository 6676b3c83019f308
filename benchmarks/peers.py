"""What people run instead: the vendor's way of one request after another, and one session shared by threads.

    python benchmarks/peers.py script|session URL IDS FOLDER WORKERS
    python benchmarks/peers.py content URL FILE

Written as such scripts are written, with requests as its documents show it.
"""

from __future__ import annotations

import json
import sys
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path

import requests

PATH = "/api/v1/projects/p/context/vision/extract/"


def script(url: str, ids: str, folder: str, _: str = "1") -> None:
    """Fetch, parse and dump each job before asking for the next, as the vendor's own script does."""
    for job_id in Path(ids).read_text(encoding="utf-8").split():
        reply = requests.get(url + PATH + job_id, headers={"Authorization": "Bearer token"})  # noqa: S113 - as the vendor's
        reply.raise_for_status()
        with (Path(folder) / f"{job_id}.json").open("w") as file:
            json.dump(reply.json(), file)


def session(url: str, ids: str, folder: str, workers: str) -> None:
    """Fetch with a pool of threads that share one session."""
    shared = requests.Session()
    shared.headers["Authorization"] = "Bearer token"

    def one(job_id: str) -> None:
        reply = shared.get(url + PATH + job_id, timeout=30)
        reply.raise_for_status()
        (Path(folder) / f"{job_id}.json").write_bytes(reply.content)

    with ThreadPoolExecutor(int(workers)) as pool:
        list(pool.map(one, Path(ids).read_text(encoding="utf-8").split()))


def content(url: str, file: str) -> None:
    """Hold one large body in memory, then write it."""
    reply = requests.get(url, timeout=30)
    reply.raise_for_status()
    Path(file).write_bytes(reply.content)


if __name__ == "__main__":
    {"script": script, "session": session, "content": content}[sys.argv[1]](*sys.argv[2:])
