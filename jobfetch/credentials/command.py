"""Runs a credential command: words, no shell; its standard output is the secret and is never shown, its errors are."""

from __future__ import annotations

import contextlib
import os
import signal
import subprocess
from collections.abc import Callable, Iterator

from jobfetch.errors import ConfigError, CredentialsError, JobfetchError
from jobfetch.model import decode

#: Seconds that a credential command may take.
PATIENCE = 60.0
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
        try:
            out, err = process.communicate(timeout=patience)
        except subprocess.TimeoutExpired:
            raise CredentialsError(
                f"{where}: {words[0]} took over {patience:.0f} s", hint="run it by hand: does it wait for somebody?"
            ) from None
        finally:
            _end(process)
    for text in _texts(out):
        learn(text)
    for line in err.decode("utf-8", "replace").splitlines():
        tell(f"{words[0]}: {line}")
    if process.returncode:
        raise CredentialsError(
            f"{where}: {words[0]} failed (exit code {process.returncode})", hint="run it by hand: its errors are above"
        )
    if len(out) > _MOST:
        raise CredentialsError(f"{where}: {words[0]} printed {len(out)} bytes, which is no secret")
    return out


def _texts(out: bytes) -> Iterator[str]:
    """Everything in an output that may be a secret: its lines, and the texts of a JSON object."""
    text = out[:_MOST].decode("utf-8", "replace")
    yield from (line.strip() for line in text.splitlines()[:_MOST_LINES])
    with contextlib.suppress(JobfetchError):
        given = decode(text.encode())
        yield from (value for value in given.values() if isinstance(value, str)) if isinstance(given, dict) else ()


def _end(process: subprocess.Popen[bytes]) -> None:
    """End the command with all that it has started."""
    if process.poll() is None:
        with contextlib.suppress(OSError):
            if hasattr(os, "killpg"):
                os.killpg(process.pid, signal.SIGKILL)
            else:
                process.kill()
