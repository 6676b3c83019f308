"""Runs the installed program as a process of its own, in an environment that holds nothing of the user's."""

import io
import json
import os
import pty
import select
import subprocess
import sys
import time
from collections.abc import Callable, Iterator, Mapping
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import Any
from unittest import mock

from jobfetch import cli

JOBFETCH = Path(sys.executable).with_name("jobfetch")

#: Whether coverage follows the program into processes of its own, at half again the time: `make cover` does.
FOLLOWED = "JOBFETCH_FOLLOW" in os.environ

#: Seconds that only a run that hangs takes, on whatever machine and beside whatever else.
HANGS = 240

VERDICT = ["ok", "exit_code", "outcome", "retryable", "retry_at", "counts", "outputs", "error"]
ERROR = ["code", "message", "hint", "provider", "job_id", "request_id"]


_GIVES_UP = """
import ctypes, os, sys
for capability in (1, 2):
    ctypes.CDLL(None).prctl(24, capability, 0, 0, 0)
os.execv(sys.argv[1], sys.argv[1:])
"""

#: Runs a program that no mode opens a file for: root gives up to overrule them (24 drops a capability, 1 and 2 are those).
MORTAL = (sys.executable, "-c", _GIVES_UP)

#: Runs a program as a user whom this machine does not know, who may read what it takes to start, and write nowhere.
_AWAY = "env -u COVERAGE_PROCESS_CONFIG -u COVERAGE_PROCESS_START setpriv --reuid=54321 --regid=54321 --clear-groups"
_READING = "--inh-caps=+dac_read_search --ambient-caps=+dac_read_search"
STRANGER: tuple[str, ...] = tuple(f"{_AWAY} {_READING}".split()) if os.geteuid() == 0 else ()


@dataclass(frozen=True, slots=True, kw_only=True)
class Run:
    """How one run ended, and what it left on its streams."""

    code: int
    out: bytes
    err: bytes
    seconds: float

    @property
    def said(self) -> str:
        return self.err.decode()

    @property
    def verdict(self) -> Any:
        [line] = self.out.splitlines()
        return json.loads(line)


class Program:
    """The program with a home of its own; keywords add to its environment."""

    def __init__(self, home: Path, environment: Mapping[str, str]) -> None:
        self.home = home
        self.environment = {
            "PATH": os.environ["PATH"],
            "HOME": str(home),
            "JOBFETCH_CONFIG_DIR": str(home / "config"),
            "JOBFETCH_STATE_DIR": str(home / "state"),
            # coverage of a process that another one starts costs more than the process itself
            **({name: value for name, value in os.environ.items() if name.startswith("COVERAGE")} if FOLLOWED else {}),
            **environment,
        }

    @contextmanager
    def start(
        self,
        *arguments: str | Path,
        prefix: tuple[str | Path, ...] = (),
        env: Mapping[str, str] | None = None,
        **more: Any,
    ) -> "Iterator[subprocess.Popen[bytes]]":
        """A process on its way, killed at the end of the block if it is still there.

        `prefix` is a command that runs it. `env` and names in capitals add to its environment, all others are Popen's.
        """
        environment = {**self.environment, **(env or {})}
        environment |= {name: more.pop(name) for name in [*more] if name.isupper()}
        pipes = dict.fromkeys(("stdin", "stdout", "stderr"), subprocess.PIPE)
        line = [*map(str, prefix), str(JOBFETCH), *map(str, arguments)]
        with subprocess.Popen(line, **{"env": environment, **pipes, **more}) as process:
            try:
                yield process
            finally:
                process.kill()

    def __call__(self, *arguments: str | Path, stdin: bytes = b"", **more: Any) -> Run:
        """A whole run."""
        started = time.monotonic()
        with self.start(*arguments, **more) as process:
            out, err = process.communicate(stdin, timeout=HANGS)
        return Run(code=process.returncode, out=out or b"", err=err or b"", seconds=time.monotonic() - started)

    def typed(self, *arguments: str, answers: list[tuple[str, str]], **more: Any) -> tuple[int, str]:
        """A run in a terminal, where each question gets its answer; the exit code, and all that the terminal showed."""
        ours, theirs = pty.openpty()
        streams: dict[str, Any] = dict.fromkeys(("stdin", "stdout", "stderr"), theirs)
        shown = b""
        # a session of its own, since a hidden answer is asked for at the terminal itself
        with self.start(*arguments, prefix=("setsid", "-c", "-w"), **streams, **more) as process:
            os.close(theirs)
            for question, answer in answers:
                shown += until_shown(ours, question.encode())
                os.write(ours, answer.encode() + b"\n")
            shown += until_shown(ours, None)
            code = process.wait(timeout=HANGS)
        os.close(ours)
        return code, shown.decode()

    def configure(self, text: str) -> None:
        """Write its config.toml."""
        (self.home / "config").mkdir(exist_ok=True)
        (self.home / "config" / "config.toml").write_text(text, encoding="utf-8")


def until_shown(terminal: int, wanted: bytes | None) -> bytes:
    """What a terminal shows until something is there, or until its program has ended."""
    shown = b""
    ends = time.monotonic() + HANGS
    while wanted is None or wanted not in shown:
        ready, _, _ = select.select([terminal], [], [], max(0.0, ends - time.monotonic()))
        assert ready, f"never shown: {wanted!r}; so far: {shown!r}"
        try:
            chunk = os.read(terminal, 4096)
        except OSError:  # what a terminal says once its program has ended
            chunk = b""
        if not chunk:
            assert wanted is None, f"ended before it showed {wanted!r}: {shown!r}"
            break
        shown += chunk
    return shown


class Here(Program):
    """The program within this process, where nothing is killed and nothing hangs: a start costs nothing."""

    def __call__(self, *arguments: str | Path, stdin: bytes = b"", **more: Any) -> Run:
        """A whole run; with anything but names in capitals it is a process of its own all the same."""
        if not all(name.isupper() for name in more):
            return super().__call__(*arguments, stdin=stdin, **more)
        words = [str(word) for word in arguments]
        streams = [io.TextIOWrapper(io.BytesIO(data), encoding="utf-8") for data in (stdin, b"", b"")]
        started = time.monotonic()
        with (
            mock.patch.dict(os.environ, self.environment | more, clear=True),
            mock.patch.multiple(sys, stdin=streams[0], stdout=streams[1], stderr=streams[2], argv=["jobfetch", *words]),
        ):
            code = cli.main(words)
            out, err = (self._held(stream) for stream in streams[1:])
        return Run(code=code, out=out, err=err, seconds=time.monotonic() - started)

    @staticmethod
    def _held(stream: io.TextIOWrapper) -> bytes:
        stream.flush()
        held = stream.buffer
        assert isinstance(held, io.BytesIO)
        return held.getvalue()


def tree(folder: Path) -> dict[str, bytes]:
    """Every file below a folder, by its path there."""
    return {str(path.relative_to(folder)): path.read_bytes() for path in sorted(folder.rglob("*")) if path.is_file()}


def until(happened: Callable[[], bool], *, within: float = 30.0) -> None:
    """Wait for something that must happen."""
    ends = time.monotonic() + within
    while not happened():
        assert time.monotonic() < ends, "it never happened"
        time.sleep(0.005)
