"""The entry point: answers `--version` itself, so that only a real command waits for its imports."""

from __future__ import annotations

import sys

from jobfetch import __version__


def main() -> None:
    """Run the command line of this process and end with its exit code."""
    if sys.argv[1:] in (["--version"], ["-V"]):
        sys.stdout.write(f"jobfetch {__version__}\n")
        return
    try:
        from jobfetch import cli  # noqa: PLC0415 - Typer alone takes longer than all that `--version` needs

        code = cli.main(sys.argv[1:])
    except KeyboardInterrupt:
        code = 130
    _let_go()
    sys.exit(code)


def _let_go() -> None:
    """Give up streams that nobody takes: Python would turn their last flush into an exit code of its own."""
    for name in ("stdout", "stderr"):
        try:
            getattr(sys, name).flush()
        except (OSError, ValueError, AttributeError):
            setattr(sys, name, None)


if __name__ == "__main__":
    main()
