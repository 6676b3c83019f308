"""Killed at any moment, the same line again ends with the same files as a run that nobody disturbed."""

import json
import random
import threading
from collections.abc import Callable
from pathlib import Path

import pytest

from jobfetch.sandbox import Sandbox

from .program import Program, tree, until
from .raw import Peer, RawServer, reply

IDS = ("done", "after-2", "masks", "expired-link", "cut-attachment-once", "big-attachment", "frames")
LINE = ("get", "playment", *IDS, "--wait", "--interval", "0.1", "--retries", "2", "--reproducible", "--assets")
MOMENTS = sorted(random.Random(7).sample(range(26), 6))  # any will do, the same every time
"""After so many requests have arrived."""


@pytest.fixture(scope="module")
def undisturbed(tmp_path_factory: pytest.TempPathFactory) -> dict[str, bytes]:
    """What the line leaves when nobody disturbs it."""
    out = tmp_path_factory.mktemp("out")
    with Sandbox(pace=0.1) as sandbox:
        assert Program(tmp_path_factory.mktemp("home"), sandbox.environment())(*LINE, "-o", out).code == 0
    return tree(out)


@pytest.mark.parametrize("moment", MOMENTS)
def test_a_run_that_was_killed_is_made_good_by_the_same_line(
    jobfetch: Program, sandbox: Sandbox, out: Path, undisturbed: dict[str, bytes], moment: int
) -> None:
    with jobfetch.start(*LINE, "-o", out) as process:
        until(lambda: len(sandbox.asked()) >= moment or process.poll() is not None)
        process.kill()
        process.communicate()
    assert all(json.loads(whole) for name, whole in tree(out).items() if name.endswith(".json"))
    assert jobfetch(*LINE, "-o", out).code == 0
    assert tree(out) == undisturbed


NEW = b'{"data":"' + b"x" * 4_000_000 + b'"}'


@pytest.mark.parametrize("shape", ["raw", "json"])
def test_the_old_file_is_intact_when_a_kill_comes_while_the_new_one_is_written(
    serve: Callable[..., RawServer], bare: Program, out: Path, shape: str
) -> None:
    file = out / "record.json"
    file.write_text("old")
    going_well = threading.Event()

    def talk(peer: Peer) -> None:
        if "/jobs/" in peer.head:
            peer.send(reply(b'{"data":{"job_id":"1","status":"completed","result":"https://x.example/r.json"}}'))
        elif going_well.is_set():
            peer.send(reply(NEW))
        else:
            peer.send(reply(NEW)[:2_000_000])
            peer.hold()

    server = serve(talk)
    line = ("get", "playment", "1", "--base-url", server.url, "--project", "p", "-f", shape, "-o", file)
    with bare.start(*line, JOBFETCH_PLAYMENT_API_KEY="k") as process:
        until(lambda: len(server.heads) == 2 and (shape == "json" or _grown(out)))
        process.kill()
        process.communicate()
    assert file.read_text() == "old"
    going_well.set()
    assert bare(*line, JOBFETCH_PLAYMENT_API_KEY="k").code == 0
    assert b"x" * 4_000_000 in file.read_bytes()
    assert [path.name for path in out.iterdir()] == ["record.json"]


def _grown(out: Path) -> bool:
    return any(path.stat().st_size > 1_000_000 for path in out.glob(".*.part"))
