"""Runs a credential command: words, no shell; its standard output is the secret and is never shown, its errors are."""

from __future__ import annotations

import contextlib
import os
import signal
import subprocess
import threading
from collections.abc import Callable, Iterator
from typing import IO

from jobfetch.errors import ConfigError, CredentialsError, JobfetchError
from jobfetch.model import decode

#: Seconds that a credential command may take.
PATIENCE = 60.0
#: Seconds that its pipes stay open for what it has started, once it has ended itself.
GRACE = 0.5
#: Bytes of output that are taken for a secret.
_MOST = 1024 * 1024
_MOST_LINES = 100


def output_of(
    words: list[str],
    where: str,
    *,
    patience: float,
    tell: Callable[[str], None],
    learn: Callable[[str], None],
) -> bytes:
    """What the command printed. `learn` hears it first, then `tell` each line of its standard error.

    Raises:
        ConfigError: there is no such command.
        CredentialsError: it failed, took too long, or printed far too much.

    """
    try:
        process = subprocess.Popen(  # noqa: S603 - the user's own words, as they stand, through no shell
            words,
            stdin=subprocess.DEVNULL,
            stdout=subprocess.PIPE,
            stderr=subprocess.PIPE,
            start_new_session=True,
        )
    except (OSError, ValueError) as error:
        reason = getattr(error, "strerror", None) or "cannot be run"
        raise ConfigError(f"{where}: {words[0]}: {reason}", hint="name the command by its whole path") from None
    with process:
        heard = {name: _Heard(pipe) for name, pipe in (("out", process.stdout), ("err", process.stderr)) if pipe}
        try:
            code = process.wait(timeout=patience)
        except subprocess.TimeoutExpired:
            code = None
        finally:
            # what it has started may hold its pipes for ever: it has a moment, then it ends as well
            for each in heard.values():
                each.thread.join(GRACE if process.returncode is not None else 0.0)
            _end(process)
    out, lines = heard["out"].so_far(), heard["err"].so_far().decode("utf-8", "replace").splitlines()
    for text in _texts(out):
        learn(text)
    for line in lines:
        tell(f"{words[0]}: {line}")
    said = f": {lines[-1]}" if lines else ""
    if code is None:
        raise CredentialsError(
            f"{where}: {words[0]} took over {patience:.0f} s{said}", hint="run it by hand: does it wait for somebody?"
        )
    if code:
        raise CredentialsError(f"{where}: {words[0]} failed (exit code {code}){said}", hint="run it by hand to see why")
    if len(out) > _MOST:
        raise CredentialsError(f"{where}: {words[0]} printed over {_MOST} bytes, which is no secret")
    return out


class _Heard:
    """What comes out of a pipe, read by a thread of its own, so that what came is there whenever somebody asks."""

    def __init__(self, pipe: IO[bytes]) -> None:
        self._chunks: list[bytes] = []
        self.thread = threading.Thread(target=self._listen, args=(pipe.fileno(),), daemon=True)
        self.thread.start()

    def _listen(self, descriptor: int) -> None:
        size = 0
        with contextlib.suppress(OSError):  # closed by whoever gave it up
            while chunk := os.read(descriptor, 65536):
                size += len(chunk)
                if size <= 2 * _MOST:
                    self._chunks.append(chunk)

    def so_far(self) -> bytes:
        """Everything that has come by now."""
        return b"".join(self._chunks)


def _texts(out: bytes) -> Iterator[str]:
    """Everything in an output that may be a secret: its lines, and the texts of a JSON object."""
    text = out[:_MOST].decode("utf-8", "replace")
    yield from (line.strip() for line in text.splitlines()[:_MOST_LINES])
    with contextlib.suppress(JobfetchError):
        given = decode(text.encode())
        yield from (value for value in given.values() if isinstance(value, str)) if isinstance(given, dict) else ()


def _end(process: subprocess.Popen[bytes]) -> None:
    """End the command with all that it has started."""
    with contextlib.suppress(OSError):
        if hasattr(os, "killpg"):
            os.killpg(process.pid, signal.SIGKILL)
        else:
            process.kill()
    process.wait()
