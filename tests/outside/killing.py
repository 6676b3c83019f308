"""Runs the program and kills it, as kill -9 does, the so manieth time that it comes to a named step."""

import itertools
import os
import signal
import sys
from collections.abc import Callable
from pathlib import Path
from typing import Any

STEPS = ("temp written", "before the replace", "after the replace", "mid manifest line", "before the manifest's fsync")


def main() -> None:
    """`killing.py STEP NUMBER PROGRAM ARGUMENTS...`."""
    step, number, sys.argv = sys.argv[1], int(sys.argv[2]), sys.argv[3:]
    left = itertools.count(number - 1, -1)

    def come(to: str, what: str, last: Callable[[], object] = lambda: None) -> None:
        """Die where this is the step, and the so manieth time; `last` is done just before."""
        if to == step and next(left) == 0:
            last()
            os.write(2, f"killed: {step}, {Path(what).name}\n".encode())
            os.kill(os.getpid(), signal.SIGKILL)

    fsync, replace, write = os.fsync, os.replace, os.write

    def at_fsync(descriptor: int) -> None:
        name = _name(descriptor)
        if name.endswith((".part", _MANIFEST)):
            come("before the manifest's fsync" if name.endswith(_MANIFEST) else "temp written", name)
        fsync(descriptor)

    def at_replace(source: Any, target: Any, **more: Any) -> None:
        come("before the replace", str(target))
        replace(source, target, **more)
        come("after the replace", str(target))

    def at_write(descriptor: int, data: Any) -> int:
        if (name := _name(descriptor)).endswith(_MANIFEST):
            come("mid manifest line", name, lambda: write(descriptor, bytes(data)[: len(data) // 2]))
        return write(descriptor, data)

    for name, trap in {"fsync": at_fsync, "replace": at_replace, "write": at_write}.items():
        setattr(os, name, trap)
    _run()


_MANIFEST = "manifest.jsonl"


def _name(descriptor: int) -> str:
    return str(Path(f"/proc/self/fd/{descriptor}").readlink())


def _run() -> None:
    from jobfetch.__main__ import main as program  # noqa: PLC0415 - after the traps are set

    run: Callable[[], None] = program
    run()


if __name__ == "__main__":
    main()
