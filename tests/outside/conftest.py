"""The program, the servers it talks to, and how long it takes to start here."""

import time
from collections.abc import Callable, Iterator
from contextlib import ExitStack
from pathlib import Path

import pytest

from jobfetch.sandbox import Sandbox

from .program import Program, Run
from .raw import RawServer, Talk

PACE = 0.2


@pytest.fixture
def home(tmp_path: Path) -> Path:
    place = tmp_path / "home"
    place.mkdir()
    return place


@pytest.fixture
def out(tmp_path: Path) -> Path:
    """A folder for results."""
    place = tmp_path / "out"
    place.mkdir()
    return place


@pytest.fixture
def sandbox() -> Iterator[Sandbox]:
    with Sandbox(pace=PACE) as running:
        yield running


@pytest.fixture
def bare(home: Path) -> Program:
    """The program without a single setting."""
    return Program(home, {})


@pytest.fixture
def jobfetch(home: Path, sandbox: Sandbox) -> Program:
    """The program with the settings that lead it to the sandbox."""
    return Program(home, sandbox.environment())


@pytest.fixture
def serve() -> Iterator[Callable[..., RawServer]]:
    """Start a server that talks like this."""
    with ExitStack() as stack:
        yield lambda talk, **options: stack.enter_context(RawServer(talk, **options))


@pytest.fixture
def vision(bare: Program) -> Callable[..., Run]:
    """Fetch Cognite's job 1 from a server, with a ready token."""

    def get(server: RawServer, *options: str | Path, job: str = "1", **more: str) -> Run:
        line = ("get", "cognite", job, "--base-url", server.url, "--project", "p", "--retries", "1", *options)
        return bare(*line, **{"JOBFETCH_COGNITE_TOKEN": "a-token", **more})

    return get


@pytest.fixture
def ask(serve: Callable[..., RawServer], vision: Callable[..., Run]) -> Callable[..., Run]:
    """Fetch a job from a server that talks like this."""

    def get(talk: Talk, *options: str | Path, **more: str) -> Run:
        return vision(serve(talk), *options, **more)

    return get


@pytest.fixture(scope="session")
def start_up(tmp_path_factory: pytest.TempPathFactory) -> float:
    """Seconds that a `get` takes on this machine when nothing holds it up: the second one, since it starts warm."""
    with Sandbox() as running:
        program = Program(tmp_path_factory.mktemp("home"), running.environment())
        program("get", "cognite", "200")
        started = time.monotonic()
        program("get", "cognite", "200")
        return time.monotonic() - started
