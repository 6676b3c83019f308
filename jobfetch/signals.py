"""The signals that end a run, and how to hold them back for a moment that must not be cut in two."""

from __future__ import annotations

import contextlib
import signal
from collections.abc import Iterator

#: Signals that end a run in order: whoever stops it, or the terminal that is gone, where there is such a thing.
ENDING = tuple(getattr(signal, name) for name in ("SIGTERM", "SIGHUP") if hasattr(signal, name))
STOPPING = (signal.SIGINT, *ENDING)


@contextlib.contextmanager
def held_back() -> Iterator[None]:
    """Signals that end a run wait until the block is left, where the system can hold them back."""
    if not hasattr(signal, "pthread_sigmask"):
        yield
        return
    before = signal.pthread_sigmask(signal.SIG_BLOCK, STOPPING)
    try:
        yield
    finally:
        signal.pthread_sigmask(signal.SIG_SETMASK, before)
