"""A batch and a service that has had enough, is down, refuses, or only takes its time: how often it is asked, and when."""

import contextlib
import json
import os
import re
import shutil
import signal
import threading
import time
from collections import Counter
from collections.abc import Callable, Mapping
from datetime import UTC, datetime, timedelta
from pathlib import Path
from typing import Any

import pytest

from jobfetch import disk
from jobfetch.manifest import Manifest
from jobfetch.sandbox import Sandbox

from .program import HANGS, Here, Program, until
from .raw import DONE, Peer, RawServer, Talk, reply

BUSY = reply(b'{"error":{"code":429,"message":"slow down"}}', "retry-after: 1", status="429 Too Many Requests")
DOWN = reply(b'{"error":{"code":503,"message":"down"}}', status="503 Service Unavailable")
REFUSED = reply(b'{"error":{"code":401,"message":"Unauthorized"}}', status="401 Unauthorized")


@pytest.fixture
def vision(home: Path, out: Path) -> Callable[..., Any]:
    """Download so many of Cognite's jobs from a server, within this process."""

    def download(server: RawServer, jobs: int, *options: str | Path) -> Any:
        program = Here(home, {"JOBFETCH_COGNITE_TOKEN": "a-token", "JOBFETCH_COGNITE_PROJECT": "p"})
        line = ("batch", "download", "cognite", "--jobs", "-", "-o", out / "made", "--base-url", server.url)
        ids = "".join(f"{number}\n" for number in range(1, jobs + 1))
        return program(*line, *options, stdin=ids.encode())

    return download


def last_of(head: str) -> str:
    """The last part of the path that was asked for."""
    return head.split()[1].partition("?")[0].rpartition("/")[2]


class Noted:
    """When each connection came, and what it was answered: by `talk`, given how many came before."""

    def __init__(self, answer: Callable[[int], bytes]) -> None:
        self.at: list[tuple[float, bytes]] = []
        self._answer = answer
        self._lock = threading.Lock()

    def __call__(self, peer: Peer) -> None:
        with self._lock:
            said = self._answer(len(self.at))
            self.at.append((time.monotonic(), said))
        peer.send(said)


def test_nobody_asks_before_the_retry_after_of_anybody_is_over(
    serve: Callable[[Talk], RawServer], vision: Callable[..., Any]
) -> None:
    # the sixth request and the three that may be on their way with it are turned away
    noted = Noted(lambda before: BUSY if before in {5, 6, 7, 8} else reply(DONE))
    run = vision(serve(noted), 30, "--workers", "4", "--json")
    assert (run.code, run.verdict["counts"]) == (0, {"succeeded": 30})
    refused = [at for at, said in noted.at if said is BUSY]
    after = [at for at, _ in noted.at[9:]]
    assert min(after) >= min(refused) + 1.0
    assert len(noted.at) == 34


def test_a_storm_of_refusals_costs_no_job_and_is_not_repeated(
    serve: Callable[[Talk], RawServer], vision: Callable[..., Any]
) -> None:
    taken: list[float] = []

    def answer(_: int) -> bytes:
        now = time.monotonic()
        if sum(at > now - 1.0 for at in taken) >= 20:
            return BUSY
        taken.append(now)
        return reply(DONE)

    noted = Noted(answer)
    run = vision(serve(noted), 80, "--workers", "16", "--rate", "none", "--retries", "1", "--json")
    assert (run.code, run.verdict["counts"]) == (0, {"succeeded": 80})
    # those that were on their way when the first was turned away, and hardly any other
    assert sum(said is BUSY for _, said in noted.at) <= 20


def test_jobs_that_nobody_may_ask_about_before_the_deadline_are_not_said_to_run(
    serve: Callable[[Talk], RawServer], vision: Callable[..., Any], out: Path
) -> None:
    server = serve(lambda peer: peer.send(reply(DONE)))
    run = vision(server, 30, "--rate", "2/h", "--timeout", "20", "--json")
    assert (run.code, run.verdict["counts"], len(server.heads)) == (75, {"succeeded": 2}, 2)
    assert "time was up" in run.verdict["error"]["message"]
    assert run.verdict["retry_at"]
    assert len((out / "made" / "manifest.jsonl").read_text().splitlines()) == 3


@pytest.mark.parametrize("gone", [0, 1])
def test_where_nothing_more_may_be_asked_only_jobs_that_are_not_there_are_left(
    here: Program, sandbox: Sandbox, out: Path, gone: int
) -> None:
    line = ("batch", "download", "playment", "--batch", "batch-3", "-o", out, "--json")
    assert here(*line).code == 0
    for number in range(gone):
        (out / "batch-3" / f"job-{number + 1:04}.json").unlink()
    sandbox.clear()
    # the list takes all that the rate allows
    run = here(*line, "--rate", "1/h")
    assert (run.code, run.verdict["counts"]) == (75 if gone else 0, {"succeeded": 3 - gone})
    assert len(sandbox.asked()) == 1


def test_a_list_that_takes_all_that_the_rate_allows_is_waited_for(here: Program, out: Path) -> None:
    line = ("batch", "download", "playment", "--batch", "batch-3", "-o", out, "--json", "--timeout", "60")
    assert here(*line).code == 0
    run = here(*line, "--rate", "1/m")
    assert (run.code, run.verdict["counts"]) == (0, {"succeeded": 3})


def test_a_pipe_is_not_waited_for_once_nothing_more_may_be_asked(
    jobfetch: Program, serve: Callable[[Talk], RawServer], out: Path
) -> None:
    later = reply(b"{}", "retry-after: 7200", status="429 Too Many Requests")
    line = ("batch", "download", "cognite", "--jobs", "-", "-o", out, "--base-url", serve(lambda p: p.send(later)).url)
    with jobfetch.start(*line, "--timeout", str(HANGS * 2), JOBFETCH_COGNITE_TOKEN="t") as process:
        assert process.stdin
        process.stdin.write(b"200\n")
        process.stdin.flush()
        assert process.wait(timeout=HANGS) == 75


def test_a_rate_holds_for_all_workers_together(serve: Callable[[Talk], RawServer], vision: Callable[..., Any]) -> None:
    noted = Noted(lambda _: reply(DONE))
    assert vision(serve(noted), 25, "--workers", "8", "--rate", "10/s").code == 0
    at = [moment for moment, _ in noted.at]
    assert len(at) == 25
    # what left on time may have come late
    assert all(late - early >= 0.9 for early, late in zip(at, at[10:], strict=False))


@pytest.mark.parametrize("workers", [4, 64])
@pytest.mark.parametrize(("answer", "code"), [(DOWN, 10), (REFUSED, 4)])
def test_what_fails_alike_for_everybody_ends_the_run_with_one_message(
    serve: Callable[[Talk], RawServer], vision: Callable[..., Any], out: Path, answer: bytes, code: int, *, workers: int
) -> None:
    server = serve(lambda peer: peer.send(answer))
    run = vision(server, 200, "--retries", "0", "--workers", str(workers))
    assert run.code == code
    # once ten have failed, only what is on its way by then comes in
    assert 10 <= len(server.heads) <= 10 + workers
    assert run.said.count("error:") == 1
    failed = [json.loads(line) for line in (out / "made" / "manifest.jsonl").read_text().splitlines()[1:]]
    assert (len(failed), {each["error"]["exit_code"] for each in failed}) == (len(server.heads), {code})


def test_a_credential_that_is_refused_for_one_job_costs_that_job_alone(
    serve: Callable[[Talk], RawServer], vision: Callable[..., Any]
) -> None:
    refused = ["7"]
    server = serve(lambda peer: peer.send(REFUSED if last_of(peer.head) in refused else reply(DONE)))
    run = vision(server, 9, "--json")
    assert (run.code, run.verdict["counts"]) == (8, {"credentials": 1, "succeeded": 8})
    refused.clear()
    before = len(server.heads)
    assert vision(server, 9).code == 0
    assert [last_of(head) for head in server.heads[before:]] == ["7"]


def test_jobs_that_fail_by_themselves_keep_the_others_waiting_once_at_the_most(
    serve: Callable[[Talk], RawServer], vision: Callable[..., Any], out: Path
) -> None:
    server = serve(lambda peer: peer.send(DOWN if int(last_of(peer.head)) <= 10 else reply(DONE)))
    line = ("--retries", "0", "--workers", "1")
    assert vision(server, 20, *line).code == 10
    before = len(server.heads)
    assert vision(server, 20, *line).code == 10
    assert [int(last_of(head)) for head in server.heads[before:]] == [*range(11, 21), *range(1, 11)]
    assert len(list((out / "made").glob("*.json"))) == 10


@pytest.mark.parametrize("own", ["no row", "forbidden", "link"])
def test_troubles_of_single_jobs_however_many_are_not_taken_for_one_of_the_service(
    home: Path, out: Path, serve: Callable[[Talk], RawServer], own: str
) -> None:
    storage = serve(lambda peer: peer.send(reply(b"<Error/>", status="403 Forbidden")))

    def talk(peer: Peer) -> None:
        path, job_id = peer.head.split()[1], last_of(peer.head)
        told: dict[str, Any] = {"id": job_id, "status": "completed"}
        if "/attachments" in path:
            moved = f"location: {storage.url}/x"
            peer.send(reply(b"", moved, status="302 Found") if path[-2:] < "12" else reply(b"{}"))
        elif "/projects/" in path:
            told = {"job_id": job_id, "status": "completed", "result": f"https://storage/{job_id}"}
            peer.send(reply(json.dumps({"success": True, "data": told}).encode()))
        elif "/results/" in path and own == "no row" and job_id < "12":
            peer.send(reply(b'{"error":"no row"}', status="500 Internal Server Error"))
        elif own == "forbidden" and job_id < "12":
            peer.send(reply(b'{"error":{"code":"auth_forbidden","message":"not yours"}}', status="403 Forbidden"))
        else:
            peer.send(reply(json.dumps(told).encode()))

    provider = "playment" if own == "link" else "justcrawl"
    keys = {"JOBFETCH_PLAYMENT_PROJECT": "p", f"JOBFETCH_{provider}_API_KEY".upper(): "k"}
    line = ("batch", "download", provider, "--jobs", "-", "-o", out / "made", "--base-url", serve(talk).url)
    ids = "".join(f"{number:02}\n" for number in range(20)).encode()
    run = Here(home, keys)(*line, "--workers", "1", "--retries", "0", "--json", stdin=ids)
    code = "credentials" if own == "forbidden" else "unavailable"
    assert (run.code, run.verdict["counts"]) == (8, {code: 12, "succeeded": 8})


def test_a_login_that_is_refused_ends_the_run_at_once(
    home: Path, out: Path, serve: Callable[[Talk], RawServer]
) -> None:
    server = serve(lambda peer: peer.send(REFUSED))
    keys = {"CLIENT_SECRET": "s", "CLIENT_ID": "i", "TOKEN_URL": f"{server.url}/token", "PROJECT": "p"}
    program = Here(home, {f"JOBFETCH_COGNITE_{name}": value for name, value in keys.items()})
    line = ("batch", "download", "cognite", "--jobs", "-", "-o", out, "--base-url", server.url, "--workers", "1")
    assert program(*line, stdin=b"1\n2\n3\n").code == 4
    assert [head.split()[1] for head in server.heads] == ["/token"]


def test_a_service_that_is_not_there_ends_the_run(home: Path, out: Path) -> None:
    program = Here(home, {"JOBFETCH_COGNITE_TOKEN": "a-token", "JOBFETCH_COGNITE_PROJECT": "p"})
    line = ("batch", "download", "cognite", "--jobs", "-", "-o", out, "--base-url", "http://127.0.0.1:9")
    run = program(*line, "--retries", "0", "--json", stdin="\n".join(map(str, range(100))).encode())
    assert (run.code, run.verdict["outcome"]) == (10, "unavailable")
    assert 10 <= run.verdict["counts"]["unavailable"] <= 30


def test_a_wait_that_is_asked_for_beyond_the_deadline_ends_it_at_once(
    serve: Callable[[Talk], RawServer], vision: Callable[..., Any]
) -> None:
    later = reply(b"{}", "retry-after: 7200", status="429 Too Many Requests")
    server = serve(lambda peer: peer.send(later))
    run = vision(server, 100, "--workers", "2", "--timeout", "60", "--json")
    assert run.code == 75
    assert run.verdict["retry_at"]
    assert run.seconds < 20
    assert len(server.heads) <= 4


@pytest.mark.parametrize("listed", [True, False], ids=["listed", "not listed"])
@pytest.mark.parametrize("stopped", [True, False], ids=["stopped", "late"])
def test_files_that_are_looked_through_hold_up_neither_the_deadline_nor_a_signal(
    jobfetch: Program, out: Path, serve: Callable[[Talk], RawServer], *, listed: bool, stopped: bool
) -> None:
    told = {
        "b": {"jobs": [{"id": "1"}]},
        "1": {"job_id": "1", "status": "completed", "result": "/x"},
        "attachments": {},
    }
    url = serve(telling(told)).url
    line = ("batch", "download", "playment", "--batch", "b", "-o", out, "--base-url", url, "--project", "p")
    assert jobfetch(*line).code == 0
    if not listed:
        told["b"] = {"jobs": []}
    # of the right length, and nobody has looked through so much before anything else hangs
    books, size = out / "b" / "manifest.jsonl", 1 << 40
    books.write_text(re.sub(r'"bytes":\d+', f'"bytes":{size}', books.read_text()))
    os.truncate(out / "b" / "1.json", size)
    before = signal.signal(signal.SIGINT, signal.default_int_handler)
    with jobfetch.start(*line, "--verify", "--timeout", str(HANGS * 2) if stopped else "1.5") as process:
        if stopped:
            until(lambda: "1.json" in opened_by(process.pid))
            process.send_signal(signal.SIGINT)
        assert process.wait(timeout=HANGS) == (130 if stopped else 75)
    signal.signal(signal.SIGINT, before)
    assert not (out / "b" / ".jobfetch.lock").exists()


def opened_by(process: int) -> set[str]:
    """The names of the files that a process has open."""
    found = set()
    for link in Path(f"/proc/{process}/fd").iterdir():
        # some are gone by now
        with contextlib.suppress(OSError):
            found.add(link.readlink().name)
    return found


# --- waiting ---


def test_jobs_that_run_are_waited_for_by_the_list(here: Program, sandbox: Sandbox, out: Path) -> None:
    line = ("batch", "download", "playment", "--batch", "batch-mixed", "-o", out, "--wait", "--interval", "0.1")
    run = here(*line, "--json")
    assert (run.code, run.verdict["counts"]) == (0, {"succeeded": 7})
    # the list told that it runs, and then that it is through
    assert sum("/jobs/after-1" in one.path for one in sandbox.asked()) == 1
    assert sum("/batch/batch-mixed" in one.path for one in sandbox.asked()) >= 2


def test_jobs_that_run_are_waited_for_by_bulk_status(here: Program, sandbox: Sandbox, out: Path) -> None:
    line = ("batch", "download", "justcrawl", "--jobs", "-", "-o", out, "--wait", "--interval", "0.1", "--json")
    run = here(*line, "--timeout", "3", stdin=b"after-3\nafter-2\nnever\n")
    assert (run.code, run.verdict["counts"]) == (75, {"running": 1, "succeeded": 2})
    asked = [one for one in sandbox.asked() if one.path.endswith("/batch-status")]
    assert asked
    assert {*json.loads(asked[0].body)["jobIds"]} == {"after-3", "after-2", "never"}
    assert sum(one.path.endswith("/jobs/never") for one in sandbox.asked()) == 1


def test_jobs_are_asked_for_one_by_one_where_bulk_status_is_not_to_be_had(
    home: Path, out: Path, serve: Callable[[Talk], RawServer]
) -> None:
    asked: list[str] = []

    def talk(peer: Peer) -> None:
        path = peer.head.split()[1]
        asked.append(path)
        state = "completed" if asked.count(path) > 1 else "running"
        told = {"id": last_of(peer.head), "jobId": last_of(peer.head), "status": state}
        missing = reply(b'{"error":"not here"}', status="404 Not Found")
        peer.send(missing if path.endswith("batch-status") else reply(json.dumps(told).encode()))

    program = Here(home, {"JOBFETCH_JUSTCRAWL_API_KEY": "k"})
    line = ("batch", "download", "justcrawl", "--jobs", "-", "-o", out, "--base-url", serve(talk).url, "--wait")
    run = program(*line, "--interval", "0.1", "--json", stdin=b"a\nb\n")
    assert (run.code, run.verdict["counts"]) == (0, {"succeeded": 2}), run.said
    assert sum(path.endswith("batch-status") for path in asked) == 1


def test_a_run_that_waits_for_ids_from_a_pipe_can_be_interrupted(jobfetch: Program, out: Path) -> None:
    before = signal.signal(signal.SIGINT, signal.default_int_handler)
    with jobfetch.start("batch", "download", "cognite", "--jobs", "-", "-o", out / "made") as process:
        until((out / "made" / "manifest.jsonl").exists)
        process.send_signal(signal.SIGINT)
        process.wait(timeout=HANGS)
        assert process.stderr
        assert b"Fatal" not in process.stderr.read()
    signal.signal(signal.SIGINT, before)
    assert process.returncode == 130


@pytest.mark.parametrize(
    ("job_ids", "more"),
    [
        (("200", "205"), ()),
        # the first is queued, then runs, then is done
        (("123", "200"), ("--wait", "--interval", "0.1")),
    ],
    ids=["done", "running"],
)
def test_a_job_from_a_pipe_is_there_before_the_next_is_named(
    jobfetch: Program, out: Path, job_ids: tuple[str, ...], more: tuple[str, ...]
) -> None:
    with jobfetch.start("batch", "download", "cognite", "--jobs", "-", "-o", out, *more) as process:
        assert process.stdin
        for job_id in job_ids:
            process.stdin.write(f"{job_id}\n".encode())
            process.stdin.flush()
            # whoever names them waits for this one before naming the next
            until((out / f"{job_id}.json").exists)
        process.stdin.close()
        assert process.wait(timeout=HANGS) == 0


def test_a_job_from_a_pipe_is_asked_for_at_once_also_where_it_failed_before(
    jobfetch: Program, sandbox: Sandbox, out: Path
) -> None:
    line = ("batch", "download", "cognite", "--jobs", "-", "-o", out)
    assert jobfetch(*line, stdin=b"404\n").code == 5
    sandbox.clear()
    with jobfetch.start(*line) as process:
        assert process.stdin
        process.stdin.write(b"404\n")
        process.stdin.flush()
        until(lambda: any("404" in one.path for one in sandbox.asked()))
        process.stdin.close()
        assert process.wait(timeout=HANGS) == 5


@pytest.mark.parametrize("more", [(), ("--dry-run",), ("--wait",)])
def test_a_pipe_that_nobody_closes_holds_no_run_up_beyond_its_deadline(
    jobfetch: Program, out: Path, more: tuple[str, ...]
) -> None:
    line = ("batch", "download", "cognite", "--jobs", "-", "-o", out, "--timeout", "1.5", "--json")
    with jobfetch.start(*line, *more) as process:
        assert process.stdin
        process.stdin.write(b"200\n")
        process.stdin.flush()
        assert process.wait(timeout=HANGS) == 75
        assert process.stdout
        verdict = json.loads(process.stdout.read())
    assert verdict["counts"].get("succeeded", 0) == len(list(out.glob("200.json"))) == ("--dry-run" not in more)


RUNNING = reply(DONE.replace(b"Completed", b"Running"))


@pytest.mark.parametrize("trouble", [DOWN, b"", reply(DONE)[:-9]], ids=["down", "hung up", "cut"])
def test_a_look_that_fails_is_no_end_for_a_job_that_is_waited_for(
    serve: Callable[[Talk], RawServer], vision: Callable[..., Any], out: Path, trouble: bytes
) -> None:
    # four fail in a row, a good one comes, and four fail again
    bad = {*range(1, 5), *range(6, 10)}
    noted = Noted(lambda before: trouble if before in bad else reply(DONE) if before == 10 else RUNNING)
    line = ("--wait", "--interval", "0.05", "--retries", "0", "--json")
    run = vision(serve(noted), 1, *line)
    assert (run.code, run.verdict["counts"], len(noted.at)) == (0, {"succeeded": 1}, 11)
    assert '"exit_code":10' not in (out / "made" / "manifest.jsonl").read_text()


def test_a_job_whose_looks_fail_again_and_again_is_given_up(
    serve: Callable[[Talk], RawServer], vision: Callable[..., Any]
) -> None:
    noted = Noted(lambda before: DOWN if before else RUNNING)
    run = vision(serve(noted), 1, "--wait", "--interval", "0.05", "--retries", "0", "--json")
    assert (run.code, run.verdict["counts"], len(noted.at)) == (10, {"unavailable": 1}, 6)


@pytest.mark.parametrize("rounds", [1, 4])
def test_a_wait_for_many_jobs_goes_on_after_rounds_in_which_every_look_fails(
    serve: Callable[[Talk], RawServer], vision: Callable[..., Any], rounds: int
) -> None:
    looks: Counter[str] = Counter()

    def talk(peer: Peer) -> None:
        # each job is its own: which of them is asked how often by when nobody can say
        job = peer.head.split()[1]
        looks[job] += 1
        peer.send(RUNNING if looks[job] == 1 else DOWN if looks[job] <= 1 + rounds else reply(DONE))

    run = vision(serve(talk), 12, "--wait", "--interval", "0.05", "--retries", "0", "--rate", "none", "--json")
    assert (run.code, run.verdict["counts"]) == (0, {"succeeded": 12}), run.said


def test_a_service_that_is_dead_ends_a_wait_once_jobs_are_given_up(
    serve: Callable[[Talk], RawServer], vision: Callable[..., Any]
) -> None:
    noted = Noted(lambda before: RUNNING if before < 30 else DOWN)
    run = vision(serve(noted), 30, "--wait", "--interval", "0.05", "--retries", "0", "--rate", "none")
    assert (run.code, run.said.count("jobs in a row have failed alike")) == (10, 1)
    assert len(noted.at) <= 30 * 6


def test_two_jobs_whose_looks_fail_again_and_again_end_no_wait_for_a_third(
    home: Path, out: Path, serve: Callable[[Talk], RawServer]
) -> None:
    asked: list[str] = []

    def talk(peer: Peer) -> None:
        name = last_of(peer.head)
        asked.append(name)
        states = {
            "bad-1": "completed",
            "bad-2": "completed",
            "slow": "in_progress" if asked.count("b") < 8 else "completed",
        }
        jobs = [{"id": each, "status": state} for each, state in states.items()]
        data = {"jobs": jobs} if name == "b" else {"job_id": name, "status": "completed", "result": "https://x.test/f"}
        peer.send(DOWN if "bad" in name else reply(json.dumps({"success": True, "data": data}).encode()))

    program = Here(home, {"JOBFETCH_PLAYMENT_API_KEY": "k", "JOBFETCH_PLAYMENT_PROJECT": "p"})
    line = ("batch", "download", "playment", "--batch", "b", "-o", out, "--base-url", serve(talk).url, "--wait")
    run = program(*line, "--interval", "0.05", "--retries", "0", "--json")
    assert (run.code, run.verdict["counts"]) == (8, {"succeeded": 1, "unavailable": 2}), run.said
    assert [asked.count(name) for name in ("bad-1", "bad-2")] == [5, 5]


def test_a_failed_look_by_which_the_deadline_comes_leaves_the_job_for_the_next_run(
    serve: Callable[[Talk], RawServer], vision: Callable[..., Any]
) -> None:
    noted = Noted(lambda before: DOWN if before else RUNNING)
    run = vision(serve(noted), 1, "--wait", "--interval", "60", "--timeout", "1.5", "--retries", "0", "--json")
    assert (run.code, run.verdict["counts"]) == (75, {"running": 1})


def test_a_job_that_asked_to_be_left_alone_is_whatever_a_list_says_of_it(
    home: Path, out: Path, serve: Callable[[Talk], RawServer]
) -> None:
    at: list[tuple[str, float]] = []

    def talk(peer: Peer) -> None:
        asked = last_of(peer.head)
        at.append((asked, time.monotonic()))
        looks = sum(each == asked for each, _ in at)
        # the list calls both done, the service itself says that both run at first, and when to come back for one
        state = "completed" if asked == "b" or looks > 1 else "in_progress"
        # which the list says once as well
        listed = "in_progress" if asked == "b" and looks == 2 else "completed"
        jobs = [{"id": "early", "status": "completed"}, {"id": "late", "status": listed}]
        data = {"jobs": jobs} if asked == "b" else {"job_id": asked, "status": state, "result": "/x"}
        body = json.dumps({"success": True, "data": data}).encode()
        peer.send(reply(body, *(["retry-after: 2"] if asked == "late" and looks == 1 else [])))

    program = Here(home, {"JOBFETCH_PLAYMENT_API_KEY": "k", "JOBFETCH_PLAYMENT_PROJECT": "p"})
    line = ("batch", "download", "playment", "--batch", "b", "-o", out, "--base-url", serve(talk).url, "--wait")
    program(*line, "--interval", "0.1", "--retries", "0", "--timeout", "20")
    first, second = [moment for asked, moment in at if asked == "late"][:2]
    assert second >= first + 2.0
    assert sum(asked == "early" and moment < second for asked, moment in at) >= 2


TWO_BATCHES = {
    "details": {"batches": [{"id": "one"}, {"id": "two"}]},
    "one": {"jobs": [{"id": "1", "status": "in_progress"}, {"id": "2", "status": "in_progress"}]},
    # the list does not tell of the second
    "two": {"jobs": [{"id": "3", "status": "in_progress"}, {"id": "4"}]},
    "4": {"job_id": "4", "status": "in_progress"},
}


def telling(data: Mapping[str, Any]) -> Talk:
    """Playment, where each thing is told by the last part of its path."""
    return lambda peer: peer.send(reply(json.dumps({"success": True, "data": data[last_of(peer.head)]}).encode()))


def test_a_folder_of_somebody_else_keeps_no_other_from_waiting(
    home: Path, out: Path, serve: Callable[[Talk], RawServer]
) -> None:
    (out / "two").mkdir()
    (out / "two" / "manifest.jsonl").write_text("mine\n")
    program = Here(home, {"JOBFETCH_PLAYMENT_API_KEY": "k", "JOBFETCH_PLAYMENT_PROJECT": "p"})
    line = ("batch", "download", "playment", "-o", out, "--base-url", serve(telling(TWO_BATCHES)).url, "--wait")
    run = program(*line, "--json", "--timeout", "2")
    assert (run.code, run.verdict["counts"]) == (3, {"running": 2})
    assert run.verdict["outputs"] == [str(out / "one" / "manifest.jsonl")]
    assert not (out / "one" / ".jobfetch.lock").exists()


def test_a_folder_that_goes_away_while_one_waits_keeps_no_other_from_being_put_in_order(
    home: Path, out: Path, serve: Callable[[Talk], RawServer]
) -> None:
    asked: list[str] = []

    def talk(peer: Peer) -> None:
        name = last_of(peer.head)
        asked.append(name)
        # in the second round, whose first job is recorded where nothing is any more
        if asked.count("one") == 2 and (out / "one").is_dir():
            shutil.rmtree(out / "one")
        batches = [{"id": each, "total_jobs": 3} for each in ("one", "two", "three")]
        states = {
            "good": "completed",
            "bad": "completed",
            "runs": "completed" if asked.count("one") > 1 else "in_progress",
        }
        jobs = [{"id": f"{kind}-{name}", "status": state} for kind, state in states.items()]
        told = {"details": {"batches": batches}} | {each["id"]: {"jobs": jobs} for each in batches}
        job = {"job_id": name, "status": "completed", "result": "https://x.test/f"}
        body = json.dumps({"success": True, "data": told.get(name, job)}).encode()
        peer.send(GONE if name.startswith("bad") else reply(body))

    program = Here(home, {"JOBFETCH_PLAYMENT_API_KEY": "k", "JOBFETCH_PLAYMENT_PROJECT": "p"})
    line = ("batch", "download", "playment", "-o", out, "--base-url", serve(talk).url, "--wait", "--interval", "0.05")
    run = program(*line, "-f", "csv", "--json")
    assert (run.code, run.verdict["error"]["code"]) == (12, "disk"), run.said
    assert run.verdict["counts"] == {"not_found": 3, "running": 3, "succeeded": 3}
    for folder in (out / "two", out / "three"):
        assert {"failures.ndjson", "manifest.jsonl", "rows.csv"} <= {each.name for each in folder.iterdir()}
        assert not (folder / ".jobfetch.lock").exists()
        assert str(folder / "rows.csv") in run.verdict["outputs"]


GONE = reply(b'{"success":false,"error":{"code":"resource_error","message":"no such batch"}}', status="400 Bad Request")


@pytest.mark.parametrize(
    "trouble", [DOWN, GONE, reply(b"<html>", "content-type: text/html")], ids=["down", "gone", "page"]
)
def test_a_list_that_breaks_while_one_waits_costs_neither_its_own_jobs_nor_those_of_others(
    home: Path, out: Path, serve: Callable[[Talk], RawServer], trouble: bytes
) -> None:
    asked: list[str] = []

    def talk(peer: Peer) -> None:
        name = last_of(peer.head)
        asked.append(name)
        looks = asked.count(name)
        state = "completed" if looks > 1 else "in_progress"
        data: dict[str, Any] = {"job_id": name, "status": state, "result": "https://x.test/file"}
        if name == "details":
            data = {"batches": [{"id": "broken"}, {"id": "good"}]}
        elif name in {"broken", "good"}:
            # a list that knows of no state, so that each job is asked for
            data = {"jobs": [{"id": f"{name}-1"}]}
        broken = name == "broken" and looks > 1
        peer.send(trouble if broken else reply(json.dumps({"success": True, "data": data}).encode()))

    program = Here(home, {"JOBFETCH_PLAYMENT_API_KEY": "k", "JOBFETCH_PLAYMENT_PROJECT": "p"})
    line = ("batch", "download", "playment", "-o", out, "--base-url", serve(talk).url, "--wait", "--interval", "0.1")
    run = program(*line, "--retries", "0", "--json")
    assert (run.code, run.verdict["counts"]) == (0, {"succeeded": 2}), run.said
    assert {path.name for path in out.glob("*/*.json")} == {"broken-1.json", "good-1.json"}


def test_a_list_that_fails_until_the_deadline_is_left_for_the_next_run(
    home: Path, out: Path, serve: Callable[[Talk], RawServer]
) -> None:
    program = Here(home, {"JOBFETCH_PLAYMENT_API_KEY": "k", "JOBFETCH_PLAYMENT_PROJECT": "p"})
    line = ("batch", "download", "playment", "--batch", "b", "-o", out, "--base-url", serve(lambda p: p.send(DOWN)).url)
    run = program(*line, "--retries", "0", "--wait", "--interval", "60", "--timeout", "1.5", "--json")
    assert (run.code, run.verdict["counts"]) == (75, {}), run.said
    assert "the deadline came before the list did" in run.verdict["error"]["message"]


def test_a_round_reads_a_list_only_as_far_as_its_jobs_stand_in_it(
    home: Path, out: Path, serve: Callable[[Talk], RawServer]
) -> None:
    pages: list[bool] = []

    def talk(peer: Peer) -> None:
        name, second = last_of(peer.head), "page_token" in peer.head
        data: dict[str, Any] = {"job_id": name, "status": "completed", "result": "https://x.test/file"}
        if name == "b":
            pages.append(second)
            state = "in_progress" if pages.count(False) == 1 else "completed"
            jobs = [{"id": each, "status": "completed" if second else state} for each in ("34" if second else "12")]
            data = {"jobs": jobs, "next_page_token": None if second else "two"}
        peer.send(reply(json.dumps({"success": True, "data": data}).encode()))

    program = Here(home, {"JOBFETCH_PLAYMENT_API_KEY": "k", "JOBFETCH_PLAYMENT_PROJECT": "p"})
    line = ("batch", "download", "playment", "--batch", "b", "-o", out, "--base-url", serve(talk).url, "--wait")
    run = program(*line, "--interval", "0.05", "--json")
    assert (run.code, run.verdict["counts"]) == (0, {"succeeded": 4}), run.said
    assert pages == [False, True, False]


@pytest.mark.parametrize("failing", ["details", "one"])
def test_a_list_that_fails_at_first_comes_again_while_one_waits(
    home: Path, out: Path, serve: Callable[[Talk], RawServer], failing: str
) -> None:
    told = {"details": {"batches": [{"id": "one"}]}, "one": {"jobs": [{"id": "4"}]}}
    told["4"] = {"job_id": "4", "status": "completed", "result": "https://x.test/file"}  # type: ignore[dict-item]
    told["attachments"] = {}
    asked: list[str] = []

    def talk(peer: Peer) -> None:
        asked.append(last_of(peer.head))
        bad = asked[-1] == failing and asked.count(failing) <= 2
        peer.send(DOWN if bad else reply(json.dumps({"success": True, "data": told[asked[-1]]}).encode()))

    program = Here(home, {"JOBFETCH_PLAYMENT_API_KEY": "k", "JOBFETCH_PLAYMENT_PROJECT": "p"})
    line = ("batch", "download", "playment", "-o", out, "--base-url", serve(talk).url, "--retries", "0")
    assert program(*line).code == 10
    asked.clear()
    run = program(*line, "--wait", "--interval", "0.1", "--json")
    assert (run.code, run.verdict["counts"]) == (0, {"succeeded": 1}), run.said


def test_what_is_left_of_a_batch_that_the_project_lists_no_more_is_asked_for(
    home: Path, out: Path, serve: Callable[[Talk], RawServer]
) -> None:
    told: dict[str, Any] = json.loads(json.dumps(TWO_BATCHES))
    server = serve(telling(told))
    program = Here(home, {"JOBFETCH_PLAYMENT_API_KEY": "k", "JOBFETCH_PLAYMENT_PROJECT": "p"})
    line = ("batch", "download", "playment", "-o", out, "--base-url", server.url)
    assert program(*line).code == 75
    told["details"] = {"batches": [{"id": "one"}]}
    for job_id in "34":
        told[job_id] = {"job_id": job_id, "status": "completed", "result": "https://x.test/file"}
    told["attachments"] = {}
    # an other project's folder is none of it
    other = out / "other"
    other.mkdir()
    (other / "manifest.jsonl").write_bytes((out / "two" / "manifest.jsonl").read_bytes().replace(b'"p"', b'"q"'))
    server.heads.clear()
    run = program(*line, "--json")
    assert (run.code, run.verdict["counts"]) == (75, {"running": 2, "succeeded": 2}), run.said
    assert {path.name for path in out.glob("*/*.json")} == {"3.json", "4.json"}
    assert "two" not in {last_of(head) for head in server.heads}


def test_a_list_that_breaks_midway_goes_on_with_what_it_had_not_named(
    home: Path, out: Path, serve: Callable[[Talk], RawServer]
) -> None:
    asked: list[str] = []

    def talk(peer: Peer) -> None:
        path, name = peer.head.split()[1], last_of(peer.head)
        asked.append(path)
        data: dict[str, Any] = {"job_id": name, "status": "completed", "result": "https://x.test/file"}
        if name == "b":
            second = "page_token" in path
            # the second page fails once, and a job was put in front meanwhile
            again = sum("page_token" in each for each in asked) > 1 or (not second and len(asked) > 1)
            jobs = ["3", "4"] if second else ["new", "1", "2"] if again else ["1", "2"]
            data = {"jobs": [{"id": each} for each in jobs], "next_page_token": None if second else "two"}
            if second and not again:
                peer.send(DOWN)
                return
        peer.send(reply(json.dumps({"success": True, "data": data}).encode()))

    program = Here(home, {"JOBFETCH_PLAYMENT_API_KEY": "k", "JOBFETCH_PLAYMENT_PROJECT": "p"})
    line = ("batch", "download", "playment", "--batch", "b", "-o", out, "--base-url", serve(talk).url, "--retries", "0")
    run = program(*line, "--wait", "--interval", "0.1", "--json")
    assert (run.code, run.verdict["counts"]) == (0, {"succeeded": 5}), run.said
    assert all(sum(each.endswith(f"/jobs/{job_id}") for each in asked) == 1 for job_id in ("new", "1", "2", "3", "4"))


def test_each_look_of_a_wait_sends_back_what_the_last_reply_asked_for(
    serve: Callable[[Talk], RawServer], vision: Callable[..., Any]
) -> None:
    def talk(peer: Peer) -> None:
        peer.send(
            reply(DONE)
            if peer.number == 3
            else reply(DONE.replace(b"Completed", b"Running"), f"x-job-token: T{peer.number}")
        )

    server = serve(talk)
    assert vision(server, 1, "--wait", "--interval", "0.05", "--kind", "diagram/detect").code == 0
    sent = [re.findall(r"x-job-token: (\S+)", head.lower()) for head in server.heads]
    assert sent == [[], ["t1"], ["t2"]]


def test_a_run_waits_in_more_folders_than_a_process_may_have_files_open(
    jobfetch: Program, out: Path, serve: Callable[[Talk], RawServer]
) -> None:
    lists = {f"batch-{number}": {"jobs": [{"id": f"job-{number}", "status": "in_progress"}]} for number in range(40)}
    server = serve(telling({"details": {"batches": [{"id": name} for name in lists]}, **lists}))
    line = ("batch", "download", "playment", "-o", out, "--base-url", server.url, "--project", "p", "--wait")
    run = jobfetch(*line, "--timeout", "2", "--json", prefix=("bash", "-c", 'ulimit -Sn 60; exec "$@"', "bash"))
    assert (run.code, run.verdict["counts"]) == (75, {"running": 40}), run.said


def test_an_undocumented_state_in_a_list_is_warned_of_once_a_run_and_costs_no_request(
    home: Path, out: Path, serve: Callable[[Talk], RawServer]
) -> None:
    server = serve(telling(TWO_BATCHES))
    program = Here(home, {"JOBFETCH_PLAYMENT_API_KEY": "k", "JOBFETCH_PLAYMENT_PROJECT": "p"})
    line = ("batch", "download", "playment", "-o", out, "--base-url", server.url)
    assert program(*line, "--dry-run").said.count("nobody has documented") == 1
    run = program(*line)
    assert (run.code, run.said.count("nobody has documented")) == (75, 1)
    assert [last_of(head) for head in server.heads] == [*["details", "one", "two"] * 2, "4"]


def test_whoever_comes_back_when_the_verdict_says_comes_before_no_retry_after(
    serve: Callable[[Talk], RawServer], vision: Callable[..., Any]
) -> None:
    def talk(peer: Peer) -> None:
        runs = last_of(peer.head) == "1"
        refusal = reply(b"{}", "retry-after: 7200", status="429 Too Many Requests")
        peer.send(reply(DONE.replace(b"Completed", b"Running"), "retry-after: 1") if runs else refusal)

    began = datetime.now(UTC)
    run = vision(serve(talk), 2, "--workers", "1", "--retries", "0", "--json")
    assert datetime.fromisoformat(run.verdict["retry_at"]) >= began + timedelta(seconds=7200)


def test_jobs_that_always_fail_keep_no_other_that_has_failed_from_being_asked_again(
    out: Path, serve: Callable[[Talk], RawServer], vision: Callable[..., Any]
) -> None:
    runs: list[int] = []

    def talk(peer: Peer) -> None:
        bad = int(last_of(peer.head)) <= 12
        gone = reply(b"{}", status="404 Not Found")
        peer.send((gone if bad else DOWN) if not runs else (DOWN if bad else reply(DONE)))

    server = serve(talk)
    for _ in range(3):
        runs += [vision(server, 17, "--workers", "1", "--retries", "0").code]
    assert {path.name for path in (out / "made").glob("*.json")} == {f"{number}.json" for number in range(13, 18)}


def test_a_reply_that_never_ends_keeps_no_other_job_from_being_asked_by_the_next_run(
    out: Path, serve: Callable[[Talk], RawServer], vision: Callable[..., Any]
) -> None:
    def talk(peer: Peer) -> None:
        if last_of(peer.head) == "1":
            peer.hold()
        else:
            peer.send(reply(DONE))

    server = serve(talk)
    for _ in range(2):
        assert not (out / "made" / "2.json").exists()
        assert vision(server, 2, "--workers", "1", "--timeout", "2").code == 75
    assert (out / "made" / "2.json").exists()


@pytest.mark.parametrize("shape", ["json", "raw"])
@pytest.mark.parametrize("status", ["201 Created", "202 Accepted"])
def test_a_result_that_is_only_promised_is_none(
    home: Path, out: Path, serve: Callable[[Talk], RawServer], shape: str, status: str
) -> None:
    def talk(peer: Peer) -> None:
        data = {"job_id": "1", "status": "completed", "result": "https://x.test/file"}
        looked = last_of(peer.head) == "1"
        told = json.dumps({"success": True, "data": data}).encode()
        peer.send(reply(told) if looked else reply(b'{"state":"being made"}', status=status))

    program = Here(home, {"JOBFETCH_PLAYMENT_API_KEY": "k", "JOBFETCH_PLAYMENT_PROJECT": "p"})
    line = ("batch", "download", "playment", "--jobs", "-", "-o", out, "--base-url", serve(talk).url, "-f", shape)
    assert program(*line, stdin=b"1\n").code == 11
    assert not (out / "1.json").exists()


def test_a_wait_for_what_comes_after_the_deadline_ends_at_once(
    serve: Callable[[Talk], RawServer], vision: Callable[..., Any]
) -> None:
    running = reply(DONE.replace(b"Completed", b"Running"), "retry-after: 86400")
    server = serve(lambda peer: peer.send(running))
    # to wait for hours is what would be wrong
    assert vision(server, 2, "--wait", "--timeout", "12h").code == 75
    assert len(server.heads) == 2


def test_whoever_stops_a_run_wants_no_other_folder_to_be_begun(
    jobfetch: Program, home: Path, out: Path, serve: Callable[[Talk], RawServer]
) -> None:
    asked = threading.Event()
    told = {"details": {"batches": [{"id": "one"}, {"id": "two"}]}, "one": {"jobs": [{"id": "1"}]}}

    def talk(peer: Peer) -> None:
        name = last_of(peer.head)
        if name == "1":
            asked.set()
            peer.hold()
            return
        peer.send(reply(json.dumps({"success": True, "data": told[name]}).encode()))

    server = serve(talk)
    program = Program(home, {"JOBFETCH_PLAYMENT_API_KEY": "k", "JOBFETCH_PLAYMENT_PROJECT": "p"})
    line = ("batch", "download", "playment", "-o", out, "--base-url", server.url)
    with program.start(*line) as process:
        assert asked.wait(HANGS)
        process.send_signal(signal.SIGINT)
        process.send_signal(signal.SIGINT)
        assert process.wait(HANGS) == 130
    assert [path.name for path in out.iterdir()] == ["one"]
    assert "two" not in {last_of(head) for head in server.heads}


def test_files_are_on_disk_before_the_manifest_tells_of_them(
    here: Program, out: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    steps: list[str] = []
    sync, add = disk.sync_folder, Manifest.add

    def synced(folder: Path) -> None:
        steps.append("synced with " + ", ".join(sorted(path.name for path in folder.glob("2*.json"))))
        sync(folder)

    def added(manifest: Manifest, entries: Any) -> None:
        steps.append("told of " + ", ".join(entry.file for entry in entries))
        add(manifest, entries)

    monkeypatch.setattr(disk, "sync_folder", synced)
    monkeypatch.setattr(Manifest, "add", added)
    assert here("batch", "download", "cognite", "--jobs", "-", "-o", out, stdin=b"200\n").code == 0
    assert steps[-2:] == ["synced with 200.json", "told of 200.json"]


# --- who else is told ---


@pytest.mark.parametrize(("job", "code", "end"), [("200", 0, "/x"), ("750", 75, "/x"), ("404", 5, "/x/fail")])
def test_a_ping_tells_of_the_start_and_of_the_end(
    here: Program, serve: Callable[[Talk], RawServer], out: Path, *, job: str, code: int, end: str
) -> None:
    server = serve(lambda peer: peer.send(reply(b"OK")))
    line = ("batch", "download", "cognite", "--jobs", "-", "-o", out, "--ping", f"{server.url}/x")
    assert here(*line, stdin=job.encode()).code == code
    assert [re.split(r"\s", head)[1] for head in server.heads] == ["/x/start", end]
    assert not any("authorization" in head.lower() for head in server.heads)


def test_a_ping_that_cannot_be_sent_changes_nothing(here: Program, out: Path) -> None:
    line = ("batch", "download", "cognite", "--jobs", "-", "-o", out, "--ping", "http://127.0.0.1:9/secret-uuid")
    run = here(*line, stdin=b"200")
    assert run.code == 0
    assert "could not be sent" in run.said
    assert "secret-uuid" not in run.said


def test_a_report_that_cannot_be_written_is_a_disk_error(here: Program, out: Path) -> None:
    line = ("batch", "download", "cognite", "--jobs", "-", "-o", out / "made", "--report", out / "no" / "r.json")
    assert here(*line, stdin=b"200").code == 12
    assert here("batch", "status", out / "made").code == 0
