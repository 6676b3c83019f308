"""The program, the servers it talks to, and how long it takes to start here."""

from collections.abc import Callable, Iterator
from contextlib import ExitStack
from pathlib import Path
from typing import Any

import pytest

from jobfetch.sandbox import Sandbox

from .program import Here, Program, Run
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
def program_of(request: pytest.FixtureRequest) -> type[Program]:
    """How the program is run: as a process of its own, or in this one where a module is marked `here`."""
    return Here if request.node.get_closest_marker("here") else Program


@pytest.fixture
def bare(home: Path, program_of: type[Program]) -> Program:
    """The program without a single setting."""
    return program_of(home, {})


@pytest.fixture
def jobfetch(home: Path, sandbox: Sandbox, program_of: type[Program]) -> Program:
    """The program with the settings that lead it to the sandbox."""
    return program_of(home, sandbox.environment())


@pytest.fixture
def here(home: Path, sandbox: Sandbox) -> Program:
    """The same within this process: for what needs no process of its own."""
    return Here(home, sandbox.environment())


@pytest.fixture
def serve() -> Iterator[Callable[..., RawServer]]:
    """Start a server that talks like this."""
    with ExitStack() as stack:
        yield lambda talk, **options: stack.enter_context(RawServer(talk, **options))


@pytest.fixture
def vision(bare: Program) -> Callable[..., Run]:
    """Fetch Cognite's job 1 from a server, with a ready token."""

    def get(server: RawServer, *options: str | Path, **more: Any) -> Run:
        line = ("get", "cognite", "1", "--base-url", server.url, "--project", "p", "--retries", "1", *options)
        return bare(*line, **({"JOBFETCH_COGNITE_TOKEN": "a-token"} | more))

    return get


@pytest.fixture
def ask(serve: Callable[..., RawServer], vision: Callable[..., Run]) -> Callable[..., Run]:
    """Fetch a job from a server that talks like this."""

    def get(talk: Talk, *options: str | Path, **more: Any) -> Run:
        return vision(serve(talk), *options, **more)

    return get


@pytest.fixture(scope="session")
def in_time(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Callable[[Run, float], bool]]:
    """Whether a run ended at most a second after its deadline, which begins once Python has started.

    The start is timed on a run that nothing holds up; again at once where the machine may have got busier since.
    """
    with Sandbox() as running:
        program = Program(tmp_path_factory.mktemp("home"), running.environment())

        def start_up() -> float:
            return program("get", "cognite", "200").seconds

        known = max(start_up(), start_up())

        def in_time(run: Run, deadline: float) -> bool:
            late = run.seconds - deadline - 1
            return late <= known or late <= max(start_up(), start_up())

        yield in_time
