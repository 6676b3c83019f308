"""What very many jobs cost in memory: a hash and an id each, however they ended, and nothing of what was said of them."""

import tracemalloc
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from datetime import UTC, datetime
from pathlib import Path
from typing import Any

import pytest

from jobfetch.errors import NotFound, StillRunning
from jobfetch.fetch import Service, Waiting, Wanted
from jobfetch.fetch.after import write_failures
from jobfetch.fetch.batch import Folder
from jobfetch.fetch.plan import Books, Plan
from jobfetch.fetch.workers import Stop
from jobfetch.manifest import Entry, Header, Manifest, problem
from jobfetch.model import Deadline, Format, State
from jobfetch.providers import playment
from jobfetch.spec import Address, Item, Schedule

JOBS = 5000
NOW = datetime(2026, 1, 1, tzinfo=UTC)
HEADER = Header(schema="jobfetch.manifest/1", provider="playment", params={}, profile=None, format="json", origin="0f")
WANTED = Wanted(format=Format.JSON)


@contextmanager
def bytes_a_job(most: int) -> Iterator[None]:
    """The block holds no more than so many bytes for each of the jobs, at any time."""
    tracemalloc.start()
    try:
        yield
        assert tracemalloc.get_traced_memory()[1] < most * JOBS
    finally:
        tracemalloc.stop()


@pytest.fixture
def begin(tmp_path: Path) -> Callable[[], Manifest]:
    return lambda: Manifest.begin(tmp_path, HEADER)


def plan(watcher: Any = None) -> Plan:
    def never(*_: Any, **__: Any) -> Any:
        raise AssertionError("nobody is asked")

    deadline = Deadline(60.0, lambda: 0.0)
    address = Address(base_url="https://api.example.com", params={})
    return Plan(
        service=Service(provider=playment.PROVIDER, address=address, send=never, now=lambda: NOW),
        waiting=Waiting(deadline=deadline, wait=False, schedule=Schedule(), watcher=watcher, sleep=never),
        wanted=WANTED,
        workers=1,
        stop=Stop(),
        watcher=watcher,
    )


def test_a_job_that_runs_costs_its_id_and_when_to_ask_again(begin: Callable[[], Manifest]) -> None:
    books = Books()
    with begin() as manifest, bytes_a_job(500):
        folder = Folder(plan(), books, manifest)
        for number in range(JOBS):
            job_id = f"job-{number}"
            error = StillRunning(f"{job_id}: the service asks to come back", hint="later", retry_at=NOW)
            folder.wait_for(Item(job_id, State.RUNNING), error)
        folder.close()
    assert dict(books.tally.counts) == {"running": JOBS}
    [(told, shown)] = books.tally.errors.values()
    # of one of them, all is told that the service said
    assert (told, shown.message) == ("job-0", "job-0: the service asks to come back")
    assert books.tally.retry_at == NOW


def test_what_is_told_of_jobs_that_run_is_of_one_that_runs_still(begin: Callable[[], Manifest]) -> None:
    books = Books()
    with begin() as manifest:
        folder = Folder(plan(), books, manifest)
        for job_id in ("ended", "runs"):
            folder.wait_for(Item(job_id, State.RUNNING), StillRunning(f"{job_id} runs"))
        del folder.pending["ended"]
        folder.close()
    [(told, shown)] = books.tally.errors.values()
    assert (told, "job runs is still running" in shown.message) == ("runs", True)


def test_a_list_of_failures_is_sorted_and_costs_an_id_for_each(begin: Callable[[], Manifest]) -> None:
    said = problem(NotFound("the service does not know this job, and says so with very many words" * 5))
    usual: dict[str, Any] = {"state": None, "file": None, "bytes": None, "sha256": None, "error": said, "attempts": 1}
    with begin() as manifest:
        ids = [f"job-{number:05}" for number in reversed(range(JOBS))]
        manifest.add([Entry(job_id=job_id, at="2026-01-01T00:00:00.000Z", **usual) for job_id in ids])
        with bytes_a_job(250):
            path = write_failures(manifest, WANTED)
    assert path
    lines = path.read_text().splitlines()
    assert (len(lines), lines) == (JOBS, sorted(lines))
