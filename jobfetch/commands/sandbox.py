"""`sandbox serve|jobs|run` and `demo`: rehearsing against services that this machine plays itself."""

from __future__ import annotations

import contextlib
import os
import shlex
import subprocess
import sys
import tempfile
import threading
from collections.abc import Iterator, Mapping
from pathlib import Path

from jobfetch import disk, export
from jobfetch.commands.report import LOG, Common, Report, run
from jobfetch.demo import NEXT, SCENES
from jobfetch.errors import MEANINGS, Exit, UsageError
from jobfetch.model import encode
from jobfetch.providers import PROVIDERS
from jobfetch.sandbox import BEHAVIOURS, Sandbox
from jobfetch.ui import Ui


def jobs(common: Common) -> int:
    """What the sandbox plays, by job id."""

    def work(ui: Ui, report: Report) -> None:
        report.data = [
            {"provider": b.provider, "job_id": b.job_id, "name": b.name, "exit_code": b.exit_code, "what": b.what}
            for b in BEHAVIOURS
        ]
        if not common.json:
            lines = [f"{b.provider:9} {b.job_id:22} {b.exit_code:3}  {b.what}\n" for b in BEHAVIOURS]
            rows = [(b.provider, b.job_id, f"{b.exit_code}", b.what) for b in BEHAVIOURS]
            table = ui.table(("provider", "job", "exit", "what it plays"), rows)
            export.to_stdout((table or "".join(lines)).encode())

    return run(common, work)


def serve(port: int, storage_port: int, pace: float, trouble: float, common: Common) -> int:
    """Play the services until interrupted."""

    def work(ui: Ui, report: Report) -> None:
        with _sandbox(port, storage_port, pace, trouble) as box:
            report.data = box.environment()
            lines = [f"export {name}={shlex.quote(value)}\n" for name, value in box.environment().items()]
            export.to_stdout(encode(report.data) + b"\n" if common.json else "".join(lines).encode())
            report.stdout_is_data = True
            ui.note(f"playing the services at {box.url}, foreign storage at {box.storage_url}; Ctrl-C ends it")
            ui.note("shells that have read the lines on standard output reach it, and nothing real")
            threading.Event().wait()

    return run(common, work)


def run_in(command: list[str], pace: float, trouble: float, common: Common) -> int:
    """Run a command against a sandbox of its own; its exit code is ours."""
    code = int(Exit.DONE)

    def work(ui: Ui, report: Report) -> None:
        nonlocal code
        report.stdout_is_data = True
        with _sandbox(0, 0, pace, trouble) as box, tempfile.TemporaryDirectory() as home:
            if ui.can_ask:
                ui.note(f"what {command[0]} runs reaches a sandbox at {box.url} and nothing real, until it ends")
            try:
                code = subprocess.run(command, env=apart(box.environment(), Path(home)), check=False).returncode  # noqa: S603 - what the user typed
            except UnicodeEncodeError:
                raise UsageError(
                    "the sandbox's secrets have letters that this locale has not", hint="set LC_ALL=C.UTF-8"
                ) from None
            except OSError as error:
                raise UsageError(f"{command[0]} cannot be run: {error.strerror}") from None
            ui.detail(f"the sandbox was asked {len(box.asked())} times")

    ended = run(common, work)
    return ended or (code if code >= 0 else 128 - code)


def apart(environment: Mapping[str, str], home: Path) -> dict[str, str]:
    """An environment that reaches the sandbox and nothing real: no setting, secret, file or proxy of the user's.

    How it narrates stays as it is: that is part of what is rehearsed.
    """
    vendors = {name for spec in PROVIDERS.values() for p in (*spec.settings, *spec.auth.secrets) for name in p.env}
    vendors |= {name for spec in PROVIDERS.values() for name in spec.base_url_env}
    kept = {
        name: value
        for name, value in os.environ.items()
        if name not in vendors
        and (name == LOG or not name.startswith("JOBFETCH_"))
        and not name.lower().endswith("_proxy")
    }
    folders = {"JOBFETCH_CONFIG_DIR": str(home / "config"), "JOBFETCH_STATE_DIR": str(home / "state")}
    return {**kept, **environment, **folders}


@contextlib.contextmanager
def _sandbox(port: int, storage_port: int, pace: float, trouble: float = 0.0) -> Iterator[Sandbox]:
    try:
        with Sandbox(port=port, storage_port=storage_port, pace=pace, trouble=trouble) as box:
            yield box
    except OSError as error:
        raise UsageError(f"the sandbox cannot listen: {error.strerror}", hint="name another --port") from None


# --- demo ---


def demo(output: str, common: Common) -> int:
    """Show real commands and their real output, against an embedded sandbox."""

    def work(ui: Ui, report: Report) -> None:
        place = disk.folder(Path(output))
        ids = {b.name: b.job_id for b in BEHAVIOURS if b.provider == "cognite"}
        with _sandbox(0, 0, 0.5) as box, tempfile.TemporaryDirectory() as home:
            environment = apart(box.environment(), Path(home))
            ui.note(f"A sandbox plays the services at {box.url}; nothing real is asked or read.")
            for scene in SCENES:
                words = [word.format(dir=place, **ids) for word in scene.arguments]
                ui.note("")
                ui.note(f"# {scene.says}")
                ui.note(f"$ jobfetch {shlex.join(words)}")
                code = subprocess.run(  # noqa: S603 - this very program, with words of its own
                    [sys.executable, "-m", "jobfetch", *words],
                    env=environment,
                    check=False,
                    # with a verdict to come, what a scene prints is narration
                    stdout=sys.stderr if common.json else None,
                ).returncode
                ui.note(f"exit code {code}: {MEANINGS[Exit(code)]}")
        report.outputs = [str(path) for path in sorted(place.rglob("*")) if path.is_file()]
        ui.note("")
        ui.note("What it wrote:")
        for path in report.outputs:
            ui.note(f"  {path}  {Path(path).stat().st_size} bytes")
        ui.note("")
        ui.block(NEXT)

    return run(common, work)
