"""What very many jobs cost in memory, a hash and an id each, however they ended; and what records cost, however long or wide."""

import io
import json
import tracemalloc
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from datetime import UTC, datetime
from pathlib import Path
from typing import Any

import pytest

from jobfetch import flatten
from jobfetch.blocks import Block, Held
from jobfetch.disk import Claim
from jobfetch.errors import NotFound, StillRunning
from jobfetch.export import Table, tables, write_table
from jobfetch.fetch import Service, Waiting, Wanted
from jobfetch.fetch.after import write_failures
from jobfetch.fetch.batch import Folder
from jobfetch.fetch.plan import Books, Plan
from jobfetch.fetch.saved import opened
from jobfetch.fetch.workers import Stop
from jobfetch.flatten import long, node
from jobfetch.manifest import Entry, Header, Manifest, problem
from jobfetch.model import Deadline, Format, State
from jobfetch.providers import playment
from jobfetch.spec import Address, Item, RowRules, Rows, Schedule

JOBS = 5000
NOW = datetime(2026, 1, 1, tzinfo=UTC)
HEADER = Header(schema="jobfetch.manifest/1", provider="playment", params={}, profile=None, format="json", origin="0f")
WANTED = Wanted(format=Format.JSON)


@contextmanager
def bytes_a_job(most: int) -> Iterator[None]:
    """The block holds no more than so many bytes for each of the jobs, at any time."""
    with bytes_at_once(most * JOBS):
        yield


@contextmanager
def bytes_at_once(most: int) -> Iterator[None]:
    """The block holds no more than so many bytes, at any time."""
    tracemalloc.start()
    try:
        yield
        assert tracemalloc.get_traced_memory()[1] < most
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
        folder = Folder(plan(), books, manifest, Claim())
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
        folder = Folder(plan(), books, manifest, Claim())
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


# --- records ---

THINGS = [{"n": number} for number in range(20_000)]
RULES = RowRules(kinds=(Rows(each=("items[].things[]",), kind="thing"),))


@pytest.mark.parametrize("indent", [None, 0], ids=["compact", "over many lines"])
@pytest.mark.parametrize(
    "value", [{"items": [{"things": THINGS}]}, {"note": THINGS, "items": []}], ids=["rows", "cell"]
)
def test_what_cannot_be_cut_is_held_a_few_times_and_no_more(
    value: Any, indent: int | None, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(long, "WINDOW", 8192)
    monkeypatch.setattr(node, "WINDOW", 8192)
    text = json.dumps(value, indent=indent).encode()
    walk, lists = flatten.walker(RULES)
    with bytes_at_once(5 * len(text)):
        large = flatten.shortened(lambda start, size: text[start : start + size], lists, lambda: text)
        assert sum(block.count for block in walk("acme", "7", large)) in {1, len(THINGS)}


def test_a_long_record_is_never_held_as_text() -> None:
    head = {"schema": "jobfetch.result/1", "provider": "cognite", "job_id": "1"}
    data = json.dumps({**head, "result": "\N{GRINNING FACE}" + "a" * 4_000_000}, ensure_ascii=False).encode()
    with bytes_at_once(2 * len(data)):
        assert len(opened(data).result) > len(data) - 100


def test_wide_rows_are_written_before_many_of_them_are_held(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(tables, "CELLS_LOOKED_AT", 1000)
    file = io.BytesIO()

    def rows() -> Iterator[Block]:
        for number in range(300):
            yield Block(1, {f"own{column}": b"%020d" % (10**19 + number) for column in range(100)})
            # some are put together before they are written
            assert number < 200 or file.tell()

    source: Any = rows()
    assert write_table(Table(format=Format.NDJSON), Held(source), file).rows == 300
