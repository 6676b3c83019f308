"""The entry point: answers `--version` and a TAB press itself, so that only a real command waits for its imports."""

from __future__ import annotations

import atexit
import gc
import os
import sys

from jobfetch import __version__


def main() -> None:
    """Run the command line of this process and end with its exit code."""
    if sys.argv[1:] in (["--version"], ["-V"]):
        sys.stdout.write(f"jobfetch {__version__}\n")
        return
    try:
        code = _complete(sys.argv[3:]) if sys.argv[1:3] == ["completions", "words"] else _run(sys.argv[1:])
    except KeyboardInterrupt:
        code = 130
    _let_go()
    _end(code)


def _run(arguments: list[str]) -> int:
    # next to nothing here is left behind in circles: looking for it as often as Python does takes a twentieth of a run
    gc.set_threshold(100_000)
    # glibc gives the memory of a block that is freed back at once, and takes it anew page by page, unless it has seen a large
    # one come and go: this one, of which no page is ever touched
    bytes(31 << 20)
    from jobfetch import cli  # noqa: PLC0415 - Typer alone takes longer than all that `--version` needs

    return cli.main(arguments)


def _complete(asked: list[str]) -> int:
    """Answer `completions words KIND WORD...`, which the shells' files ask for; a kind that nobody knows is usage."""
    from jobfetch import completions  # noqa: PLC0415 - likewise

    if not asked or asked[0] not in completions.KINDS:
        return _run(sys.argv[1:])
    found = completions.words(asked[0], asked[1:], os.environ)
    sys.stdout.reconfigure(encoding="utf-8", newline="\n")  # type: ignore[union-attr]  # a stream that Python opened
    sys.stdout.write("".join(f"{word}\n" for word in found))
    return 0


def _end(code: int) -> None:
    """End at once: whatever counts is on disk, and to take the interpreter apart takes as long as a small request."""
    # where other programs clean up, as they asked to
    atexit._run_exitfuncs()  # noqa: SLF001 - Python has no other name for it
    os._exit(code)


def _let_go() -> None:
    """Give up streams that nobody takes: Python would turn their last flush into an exit code of its own."""
    for name in ("stdout", "stderr"):
        try:
            getattr(sys, name).flush()
        except (OSError, ValueError, AttributeError):
            setattr(sys, name, None)


if __name__ == "__main__":
    main()
