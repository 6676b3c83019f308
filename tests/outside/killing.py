"""Runs the program and kills it, as kill -9 does, the so manieth time that it comes to a named step."""

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
    left = [number]

    def come(to: str, what: str) -> bool:
        left[0] -= to == step
        if to == step and left[0] == 0:
            os.write(2, f"killed: {step}, {Path(what).name}\n".encode())
            return True
        return False

    def die() -> None:
        os.kill(os.getpid(), signal.SIGKILL)

    fsync, replace, write = os.fsync, os.replace, os.write

    def at_fsync(descriptor: int) -> None:
        name = _name(descriptor)
        step = "before the manifest's fsync" if name.endswith("manifest.jsonl") else "temp written"
        if (name.endswith((".part", "manifest.jsonl"))) and come(step, name):
            die()
        fsync(descriptor)

    def at_replace(source: Any, target: Any, **more: Any) -> None:
        if come("before the replace", str(target)):
            die()
        replace(source, target, **more)
        if come("after the replace", str(target)):
            die()

    def at_write(descriptor: int, data: Any) -> int:
        if descriptor > 2 and _name(descriptor).endswith("manifest.jsonl") and come("mid manifest line", "manifest"):
            write(descriptor, bytes(data)[: len(data) // 2])
            die()
        return write(descriptor, data)

    os.fsync, os.replace, os.write = at_fsync, at_replace, at_write
    _run()


def _name(descriptor: int) -> str:
    return os.readlink(f"/proc/self/fd/{descriptor}")


def _run() -> None:
    from jobfetch.__main__ import main as program  # noqa: PLC0415 - after the traps are set

    run: Callable[[], None] = program
    run()


if __name__ == "__main__":
    main()
