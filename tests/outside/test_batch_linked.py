"""Linked files of many jobs: lost ones are tried again, missing and spoilt ones are found, temporary ones are removed."""

import json
import os
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest

from jobfetch import disk
from jobfetch.sandbox import Sandbox

from .program import Here, Program, tree
from .raw import Peer, RawServer, Talk, reply

# within this process, where nothing speaks against it
pytestmark = pytest.mark.here

MASKS = ("batch", "download", "playment", "-o")
PICTURE = reply(b"PNG", "content-type: image/png")


@pytest.fixture
def linking(
    home: Path, out: Path, serve: Callable[[Talk], RawServer]
) -> Callable[..., tuple[Here, list[str], dict[str, bytes]]]:
    """The program, a line that downloads one job with a linked file, and what its storage answers by path."""

    def start() -> tuple[Here, list[str], dict[str, bytes]]:
        answers = {"/t.png": PICTURE}
        storage = serve(lambda peer: peer.send(answers[peer.head.split()[1]]))
        job = {"id": "a", "state": "completed", "links": {}}
        job |= {"extraction": {"common": {"thumbnail": f"{storage.url}/t.png"}}}

        def talk(peer: Peer) -> None:
            peer.send(answers.get("job") or reply(json.dumps(job).encode()))

        answers["first job"] = reply(json.dumps(job).encode())
        (home / "ids").write_text("a\n")
        line = ["batch", "download", "exabase", "--jobs", str(home / "ids"), "-o", str(out), "--assets"]
        line += ["--base-url", serve(talk).url, "--retries", "0", "--rate", "none"]
        return Here(home, {"JOBFETCH_EXABASE_API_KEY": "k"}), line, answers

    return start


Linking = Callable[[], tuple[Here, list[str], dict[str, bytes]]]


def test_a_file_in_the_place_of_the_folder_of_linked_files_costs_its_job_alone(linking: Linking, out: Path) -> None:
    program, line, _ = linking()
    (out / "a.assets").write_bytes(b"mine")
    run = program(*line, "--json")
    assert (run.code, run.verdict["counts"]) == (12, {"disk": 1}), run.said
    assert (out / "failures.ndjson").exists()
    assert (out / "a.assets").read_bytes() == b"mine"


@pytest.mark.parametrize(
    ("more", "lost"),
    [
        ({"links": {"download": "httpx://127.0.0.1/f"}}, "links.download"),
        ({"links": {"download": ["/f"]}}, "links.download"),
        ({"links": {"chunks": "nowhere"}, "extraction": {"common": {"chunkCount": 2}}}, "links.chunks"),
        ({"links": {"chunks": "/c"}, "extraction": {"common": {"chunkCount": "many"}}}, "links.chunks"),
    ],
)
def test_a_link_that_can_be_none_is_lost_and_told_of(
    linking: Linking, out: Path, more: dict[str, Any], lost: str
) -> None:
    program, line, answers = linking()
    answers["job"] = reply(json.dumps({"id": "a", "state": "completed", **more}).encode())
    run = program(*line, "--json")
    assert (run.code, run.verdict["counts"]) == (8, {"partial": 1}), run.said
    [asset] = json.loads((out / "a.json").read_bytes())["assets"]
    assert asset["path"] == lost
    assert asset["error"]


def test_a_link_that_is_relative_to_the_service_is_fetched_from_it(linking: Linking, out: Path) -> None:
    program, line, answers = linking()
    answers["job"] = reply(json.dumps({"id": "a", "state": "completed", "links": {"download": "/f"}}).encode())
    assert program(*line).code == 0
    assert json.loads((out / "a.assets" / "0001.json").read_bytes())["id"] == "a"


def test_a_web_page_in_the_place_of_a_picture_is_a_lost_link(linking: Linking, out: Path) -> None:
    program, line, answers = linking()
    answers["/t.png"] = reply(b"<html>log in", "content-type: text/html")
    run = program(*line, "--json")
    assert (run.code, run.verdict["counts"]) == (8, {"partial": 1}), run.said
    assert not any((out / "a.assets").iterdir())
    answers["/t.png"] = PICTURE
    assert program(*line).code == 0
    assert (out / "a.assets" / "0001.png").read_bytes() == b"PNG"


def test_fewer_chunks_than_promised_end_with_the_same_files_however_often_they_are_asked_for(
    linking: Linking, out: Path
) -> None:
    program, line, answers = linking()
    job = {"id": "a", "state": "completed", "links": {"chunks": "/c"}, "extraction": {"common": {"chunkCount": 2}}}
    answers["job"] = reply(json.dumps(job).encode())
    assert program(*line, "--reproducible").code == 8
    first = {name: data for name, data in tree(out).items() if name != "manifest.jsonl"}
    assert program(*line, "--reproducible").code == 8
    assert {name: data for name, data in tree(out).items() if name != "manifest.jsonl"} == first


@pytest.mark.parametrize("again", ["download", "retry"])
def test_a_lost_link_that_was_allowed_is_tried_again_by_the_next_run(linking: Linking, out: Path, again: str) -> None:
    program, line, answers = linking()
    answers["/t.png"] = reply(b"{}", status="404 Not Found")
    assert program(*line, "--allow-partial").code == 0
    assert not (out / "failures.ndjson").exists()
    assert program("batch", "status", out).code == 8
    answers["/t.png"] = PICTURE
    asked = (
        line if again == "download" else ["batch", "retry", str(out), "--base-url", line[line.index("--base-url") + 1]]
    )
    assert program(*asked, "--allow-partial").code == 0
    assert (out / "a.assets" / "0001.png").read_bytes() == b"PNG"
    assert program("batch", "status", out).code == 0


@pytest.mark.parametrize("now", ["another kind", "none", "lost"])
def test_a_refresh_leaves_the_linked_files_that_a_fresh_run_would_and_loses_none_that_cannot_be_had(
    linking: Linking, out: Path, now: str
) -> None:
    program, line, answers = linking()
    assert program(*line).code == 0
    (out / "a.assets" / "mine.txt").touch()
    if now == "none":
        answers["job"] = reply(b'{"id":"a","state":"completed"}')
    else:
        status = "404 Not Found" if now == "lost" else "200 OK"
        answers["/t.png"] = reply(b"%PDF", "content-type: application/pdf", status=status)
    run = program(*line, "--refresh")
    assert run.code == (8 if now == "lost" else 0), run.said
    left = {"another kind": {"0001.pdf", "mine.txt"}, "none": {"mine.txt"}, "lost": {"0001.png", "mine.txt"}}
    assert set(tree(out / "a.assets")) == left[now]


def test_linked_files_of_a_killed_run_that_the_result_has_no_more_are_removed(linking: Linking, out: Path) -> None:
    program, line, _ = linking()
    (out / "a.assets").mkdir()
    for name in ("0001.jpg", "0002.png", "mine.txt"):
        (out / "a.assets" / name).write_bytes(b"x")
    assert program(*line).code == 0
    assert set(tree(out / "a.assets")) == {"0001.png", "mine.txt"}


@pytest.mark.parametrize("lost", [True, False])
def test_a_refresh_keeps_a_file_whose_number_another_link_has_taken_as_long_as_one_cannot_be_had(
    linking: Linking, out: Path, *, lost: bool
) -> None:
    program, line, answers = linking()
    assert program(*line).code == 0
    place = out / "a.assets"
    first = reply(b"first", "content-type: image/png")
    job = json.loads(answers["first job"].partition(b"\r\n\r\n")[2])
    thumbnail = job["extraction"]["common"]["thumbnail"]
    job["links"] = {"download": thumbnail.replace("/t.png", "/new.png")}
    answers["job"], answers["/new.png"] = reply(json.dumps(job).encode()), first
    if lost:
        answers["/t.png"] = reply(b"{}", status="404 Not Found")
    assert program(*line, "--refresh").code == (8 if lost else 0)
    kept = {path.name: path.read_bytes() for path in place.iterdir()}
    assert sorted(kept.values()) == [b"PNG", b"first"]
    assert sorted(kept) == (["0001.png", "0002.png"])


@pytest.mark.parametrize("shape", ["json", "raw"])
def test_a_linked_file_that_is_missing_is_found_and_fetched_again(
    jobfetch: Program, sandbox: Sandbox, out: Path, shape: str
) -> None:
    line = (*MASKS, out, "--jobs", "-", "--assets", "--reproducible", "-f", shape)
    assert jobfetch(*line, stdin=b"masks\ndone\n").code == 0
    before = {name: whole for name, whole in tree(out).items() if "manifest" not in name}
    assert len(before) == 4
    sandbox.clear()
    assert jobfetch(*line, stdin=b"masks\ndone\n").code == 0
    assert sandbox.asked() == ()
    spoilt = out / "masks.assets" / "0001.png"
    for spoil in (spoilt.unlink, lambda: spoilt.write_bytes(b"")):
        spoil()
        told = jobfetch("batch", "verify", out, "--json").verdict
        assert (told["exit_code"], [each["job_id"] for each in told["data"]]) == (8, ["masks"])
        assert jobfetch(*line, "--dry-run", stdin=b"masks\ndone\n").out == b"masks\n"
        sandbox.clear()
        assert jobfetch(*line, stdin=b"masks\ndone\n").code == 0
        assert {name: whole for name, whole in tree(out).items() if "manifest" not in name} == before
        assert not [one.path for one in sandbox.asked() if one.path.endswith("/jobs/done")]


@pytest.mark.parametrize("shape", ["json", "raw"])
def test_a_linked_file_that_has_changed_is_found_out_by_its_hash(jobfetch: Program, out: Path, shape: str) -> None:
    line = (*MASKS, out, "--jobs", "-", "--assets", "-f", shape)
    assert jobfetch(*line, stdin=b"masks\n").code == 0
    spoilt = out / "masks.assets" / "0002.png"
    good = spoilt.read_bytes()
    spoilt.write_bytes(bytes(len(good)))
    assert jobfetch(*line, stdin=b"masks\n").code == 0
    assert spoilt.read_bytes() != good
    [told] = jobfetch("batch", "verify", out, "--json").verdict["data"]
    assert told["problem"] == "masks.assets/0002.png has changed"
    assert jobfetch(*line, "--verify", stdin=b"masks\n").code == 0
    assert spoilt.read_bytes() == good
    spoilt.write_bytes(bytes(len(good)))
    assert jobfetch("batch", "verify", out, "--repair").code == 0
    assert spoilt.read_bytes() == good


def test_what_a_dead_process_left_of_linked_files_is_removed_also_where_its_id_is_ours(
    jobfetch: Program, out: Path
) -> None:
    line = (*MASKS, out, "--jobs", "-", "--assets")
    (out / "masks.assets").mkdir()
    (out / "gone.assets").mkdir()
    prefix = disk._prefix("0001")
    for folder in ("masks.assets", "gone.assets"):
        (out / folder / f"{prefix}{os.getpid()}.0badcafe.part").touch()
    assert jobfetch(*line, stdin=b"masks\ngone\n").code == 8
    assert sorted(tree(out / "masks.assets")) == ["0001.png", "0002.png"]
    assert tree(out / "gone.assets") == {}
