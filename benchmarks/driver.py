"""Stands in for `jobfetch batch download cognite` until that command is there: the path of `get` in a pool of threads.

python benchmarks/driver.py URL IDS FOLDER WORKERS
"""

from __future__ import annotations

import sys
import time
from concurrent.futures import ThreadPoolExecutor
from datetime import UTC, datetime
from functools import partial
from pathlib import Path

from jobfetch import fetch
from jobfetch.model import Deadline, Format
from jobfetch.providers import cognite
from jobfetch.spec import Address
from jobfetch.transport import Transport, Wire


def main(url: str, ids: str, folder: str, workers: str) -> None:
    """Fetch every job of the list into the folder."""
    deadline = Deadline(time.monotonic() + 3600, time.monotonic)
    wire = Wire(deadline=deadline, user_agent="jobfetch/benchmark")
    transport = Transport(
        wire,
        deadline=deadline,
        errors=cognite.PROVIDER.errors,
        home=url,
        retries=4,
        now=partial(datetime.now, UTC),
        sleep=time.sleep,
        notify=lambda _: None,
    )
    service = fetch.Service(
        provider=cognite.PROVIDER,
        address=Address(base_url=url, params={"project": "p", "kind": "vision/extract"}),
        send=transport.send,
        now=partial(datetime.now, UTC),
    )
    wanted = fetch.Wanted(format=Format.JSON, output=Path(folder), folder=True)
    run = fetch._Run(service, wanted, {})  # noqa: SLF001 - the path of one job, until a command drives it
    Path(folder).mkdir(parents=True, exist_ok=True)

    def one(job_id: str) -> None:
        outcome = fetch.job(run, job_id, service.look(job_id))
        if outcome.error:
            raise outcome.error

    with ThreadPoolExecutor(int(workers)) as pool:
        list(pool.map(one, Path(ids).read_text(encoding="utf-8").split()))
    wire.close()


if __name__ == "__main__":
    main(*sys.argv[1:])
