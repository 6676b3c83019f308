"""What a person sees on standard error: lines, a spinner on a terminal, errors with what to do next; never a secret.

Standard output is data and none of this module's business. Only here is rich known.
"""

from __future__ import annotations

import base64
import io
import json
import re
import shutil
import sys
import time
import warnings
from collections.abc import Callable, Iterable, Mapping, Sequence
from datetime import UTC, datetime
from typing import Any, TextIO
from urllib.parse import quote, quote_plus

from msgspec import Struct

from jobfetch.errors import CredentialsError, Exit, JobfetchError, shortened, without_queries
from jobfetch.model import Json, Status, encode, rfc3339

#: Seconds between two signs of life while nothing changes.
HEARTBEAT = 60.0

# C0 and C1 controls, and the marks that reorder text: a service's words must not steer a terminal
_UNSAFE = re.compile("[\x00-\x08\x0b-\x1f\x7f-\x9f\u061c\u200e\u200f\u202a-\u202e\u2066-\u2069]|\n|\t")


def clean(text: str) -> str:
    """Text with every control character written out, fit for one line of a terminal or a log."""
    return _UNSAFE.sub(lambda match: repr(match[0])[1:-1], text)


def spellings(secret: str) -> set[str]:
    """The ways a secret may be written: plain, in URLs, in JSON, as Python shows it, in base64."""
    plain = secret.encode("utf-8", "surrogateescape")
    percent = {quote(plain, safe=""), quote(plain), quote_plus(plain)}
    return {
        secret,
        *percent,
        *(re.sub("%..", lambda match: match[0].lower(), spelling) for spelling in percent),
        json.dumps(secret)[1:-1],
        json.dumps(secret, ensure_ascii=False)[1:-1],
        repr(secret)[1:-1],
        base64.b64encode(plain).decode(),
        base64.urlsafe_b64encode(plain).decode(),
    }


def _seconds(wait: float) -> str:
    return f"{wait:.1f} s" if wait < 10 else f"{wait:.0f} s"  # noqa: PLR2004 - tenths matter below it


def _ahead(wait: float) -> str:
    return f"; next look in {_seconds(wait)}"


def _rounded(wait: float | None) -> float | None:
    return None if wait is None else round(wait, 3)


class _Countdown(Struct, frozen=True):
    """A line for the spinner that tells anew, each time it is drawn, how long it is until the next look."""

    text: str
    ends: float
    clock: Callable[[], float]

    def __rich__(self) -> Any:
        from rich.text import Text  # noqa: PLC0415 - 30 ms that only a terminal needs

        left = self.ends - self.clock()
        return Text(self.text + (_ahead(left) if left > 0 else "; looking"))


#: How a line begins -> its style, and how many of its characters have it.
_STYLES = {"error: ": ("bold red", 6), "warning: ": ("yellow", 8), "  hint: ": ("cyan", 7)}


def _takes_colours(environ: Mapping[str, str]) -> bool:
    return environ.get("TERM") != "dumb" and not environ.get("NO_COLOR")


def _texts(value: Json) -> list[str]:
    """Every text in a JSON value, but for the names of members."""
    if isinstance(value, str):
        return [value]
    held = value.values() if isinstance(value, dict) else value if isinstance(value, list) else ()
    found: list[str] = []
    for each in held:
        if isinstance(each, str):
            found.append(each)
        elif isinstance(each, (dict, list)) and each:
            found += _texts(each)
    return found


class Ui:
    """Standard error, spoken to in lines. `verbose` 1 tells of retries, 2 of every look.

    `as_json` makes every line an object, for those who collect logs: `time` (RFC 3339, UTC), `level` (`debug`, `info`,
    `warning`, `error`), `message`, and what else is known of it.
    """

    def __init__(
        self,
        *,
        quiet: bool,
        verbose: int,
        environ: Mapping[str, str],
        as_json: bool = False,
        stream: TextIO | None = None,
        clock: Callable[[], float] = time.monotonic,
    ) -> None:
        # Python has no standard error where it was closed before the start
        self._stream: TextIO = stream or sys.stderr or io.StringIO()
        #: whether states are narrated; not where they are the data
        self.tells_states = True
        self._quiet = quiet
        self._verbose = verbose
        self._as_json = as_json
        self._clock = clock
        #: every spelling of every secret, the longest first
        self._secrets: tuple[str, ...] = ()
        self._said: dict[str, tuple[object, float]] = {}
        self._told: set[str] = set()
        self._waiting: set[str] = set()
        self._fancy = not (quiet or as_json) and self._stream.isatty() and environ.get("TERM") != "dumb"
        #: whether standard error is a terminal that takes colours
        self._coloured = self._stream.isatty() and not as_json and _takes_colours(environ)
        self._environ = environ
        self._spinner: Any = None
        self._bar: Any = None
        self._progress_told = clock()

    def learn(self, secret: str) -> None:
        """From now on, this secret is never written, in whatever spelling."""
        known = {*self._secrets, *(spelling for spelling in spellings(secret) if len(spelling) > 1)}
        self._secrets = tuple(sorted(known, key=len, reverse=True))

    def scrub(self, text: str) -> str:
        """Text without any secret that is known."""
        for secret in self._secrets:
            text = text.replace(secret, "***")
        return text

    def scrub_all(self, value: Json) -> Json:
        """A JSON value without any secret in its texts: before it is encoded, so that it stays JSON."""
        # one look at all texts together, since a record is scrubbed for every job of a batch and next to none holds a secret
        whole = "\n".join(_texts(value))
        if whole.isascii() and not any(secret in whole for secret in self._secrets):
            return value
        return self._scrubbed(value)

    def _scrubbed(self, value: Json) -> Json:
        if isinstance(value, dict):
            return {key: self._scrubbed(each) for key, each in value.items()}
        if isinstance(value, list):
            return [self._scrubbed(element) for element in value]
        if not isinstance(value, str):
            return value
        told = self.scrub(value)
        # what no encoding can carry is written out: a path may hold any byte
        return told if told.isascii() else told.encode("utf-8", "backslashreplace").decode()

    def safe(self, text: str) -> str:
        """Text fit for one line of anything: no secret, no query of an address, no control character."""
        told = clean(shortened(without_queries(self.scrub(text))))
        # a path may hold any byte
        return told if told.isascii() else told.encode("utf-8", "backslashreplace").decode()

    def data(self, line: str) -> None:
        """A line for a machine, as it is; it comes even when quiet."""
        self._write(line)

    def note(self, text: str, **known: Json) -> None:
        """Tell something, unless quiet; `known` is what a line of JSON says of it beside the text."""
        if not self._quiet:
            self._line(text, "info", **known)

    def detail(self, text: str, **known: Json) -> None:
        """Tell something to those who asked for more (-v)."""
        if self._verbose and not self._quiet:
            self._line(text, "debug", **known)

    def warn(self, text: str, **known: Json) -> None:
        """Tell of something odd, unless quiet."""
        if not self._quiet:
            self._line(text if self._as_json else f"warning: {text}", "warning", **known)

    def error(self, error: JobfetchError, *, provider: str | None = None, job_id: str | None = None) -> None:
        """Tell what went wrong and what to do next, quiet or not; that a job runs on is no error, and narrated."""
        runs = error.exit is Exit.RUNNING
        if runs and self._quiet:
            return
        if self._as_json:
            known = {
                "provider": provider,
                "job_id": job_id,
                "exit_code": int(error.exit),
                "code": error.code,
                "hint": error.hint,
                "request_id": error.request_id,
            }
            self._line(error.message, "info" if runs else "error", **{key: each for key, each in known.items() if each})
            return
        self._line(error.message if runs else f"error: {error.message}", "error")
        if error.request_id:
            self._line(f"  request id: {error.request_id}", "error")
        if error.hint:
            self._line(f"  hint: {error.hint}", "error")

    def block(self, text: str, level: str = "error") -> None:
        """Several lines at once, as a traceback needs them; one object where lines are JSON."""
        lines = text.rstrip().splitlines()
        if self._as_json:
            self._object("\n".join(map(self.safe, lines)).strip(), level)
        else:
            for line in lines:
                self._line(line, level)

    @property
    def draws_tables(self) -> bool:
        """Whether a terminal reads standard output."""
        return bool(sys.stdout) and sys.stdout.isatty() and self._environ.get("TERM") != "dumb"

    def table(self, head: Sequence[str], rows: Iterable[Sequence[str]]) -> str | None:
        """Rows as a table for a terminal that reads standard output; None where none does, and lines are to be plain.

        Where a word would have to be cut, each cell has a line of its own.
        """
        if not self.draws_tables:
            return None
        rows = [[*map(self.safe, row), *[""] * (len(head) - len(row))] for row in rows]
        words = [max(map(len, " ".join(column).split()), default=0) for column in zip(head, *rows, strict=True)]
        width = shutil.get_terminal_size().columns
        if sum(words) + 2 * len(words) > width:
            return "".join(f"{name}\n" + "".join(f"  {cell}\n" for cell in rest if cell) for name, *rest in rows)
        from rich.console import Console  # noqa: PLC0415 - 30 ms that only a terminal needs
        from rich.table import Table  # noqa: PLC0415 - likewise
        from rich.text import Text  # noqa: PLC0415 - likewise

        drawn = Table(box=None, pad_edge=False, padding=(0, 2, 0, 0), header_style="bold")
        for number, name in enumerate(head):
            # the first is what one takes along to the next command
            drawn.add_column(name, overflow="fold", no_wrap=not number, min_width=words[number])
        for row in rows:
            drawn.add_row(*map(Text, row))
        console = Console(
            file=io.StringIO(), force_terminal=True, width=width, no_color=not _takes_colours(self._environ)
        )
        console.print(drawn)
        return str(console.file.getvalue())  # type: ignore[attr-defined]

    # --- what a person is asked ---

    @property
    def can_ask(self) -> bool:
        """Whether a person sits at this terminal."""
        return bool(sys.stdin) and sys.stdin.isatty() and self._stream.isatty()

    def ask(self, text: str, *, hidden: bool = False) -> str:
        """What the person types, without blanks around it; a hidden answer does not appear on the terminal."""
        import getpass  # noqa: PLC0415 - few lines ask for anything

        prompt = f"{self.safe(text)}: "
        try:
            if hidden:
                with warnings.catch_warnings():
                    # a terminal that cannot hide what is typed must not show a secret
                    warnings.simplefilter("error", getpass.GetPassWarning)
                    return getpass.getpass(prompt).strip()
            self._stream.write(prompt)
            self._stream.flush()
            return sys.stdin.readline().strip()
        except (EOFError, getpass.GetPassWarning):
            raise CredentialsError("this terminal gives no hidden answer", hint="pipe it to --secret-stdin") from None

    # --- what the poller tells ---

    def looked(self, job_id: str, status: Status, wait: float | None) -> None:
        """A look came back: said when the state changes, once a minute otherwise."""
        for warning in status.warnings:
            self.warn_once(warning, job_id=job_id)
        if not self.tells_states:
            return
        progress = "" if status.progress is None else f" {status.progress:g} %"
        message = f": {status.message}" if status.message else ""
        text = f"{job_id} {status.state} ({status.provider_state}){progress}{message}"
        after = "" if wait is None else _ahead(wait)
        self._spin(job_id, text, wait)
        key = (status.state, status.provider_state)
        said, at = self._said.get(job_id, (None, 0.0))
        if said != key or self._clock() - at >= HEARTBEAT or self._verbose > 1:
            self._said[job_id] = (key, self._clock())
            if not (self._fancy and wait is not None):
                known = {
                    "state": str(status.state),
                    "provider_state": status.provider_state,
                    "next_look_s": _rounded(wait),
                }
                self.note(text + after, job_id=job_id, **known)

    def failed(self, job_id: str, error: JobfetchError, wait: float) -> None:
        """A look failed, and the wait goes on."""
        self.note(
            f"{job_id}: {error.message}; looking again in {_seconds(wait)}", job_id=job_id, next_look_s=_rounded(wait)
        )

    def stuck(self, job_id: str, status: Status, seconds: float) -> None:
        """Nothing has moved for a while."""
        self.warn(
            f"{job_id} has been {status.provider_state} for {seconds / 60:.0f} min; is it stuck, or the id wrong?",
            job_id=job_id,
        )

    def warn_once(self, text: str, **known: Json) -> None:
        """Tell of something odd the first time that it is to be told."""
        if text not in self._told:
            self._told.add(text)
            self.warn(text, **known)

    # --- what a batch tells ---

    def progress(self, text: str, done: int, total: int | None) -> None:
        """How far many jobs have come: a bar on a terminal, a line a minute elsewhere."""
        if self._fancy:
            self._draw(text, done, total)
        elif self._clock() - self._progress_told >= HEARTBEAT:
            self._progress_told = self._clock()
            self.note(f"{done}{'' if total is None else f' of {total}'} jobs: {text}")

    def transferred(self, text: str, done: int, total: int) -> None:
        """How many bytes of one thing are through: a bar on a terminal, a line a minute elsewhere."""
        if self._fancy:
            self._draw(text, done, total, counted=False)
        elif self._clock() - self._progress_told >= HEARTBEAT:
            self._progress_told = self._clock()
            self.note(text)

    def _draw(self, text: str, done: int, total: int | None, *, counted: bool = True) -> None:
        if self._bar is None:
            from rich import progress  # noqa: PLC0415 - 30 ms that only a terminal needs
            from rich.console import Console  # noqa: PLC0415 - likewise

            self._bar = progress.Progress(
                progress.BarColumn(),
                *([progress.MofNCompleteColumn()] if counted else []),
                progress.TextColumn("{task.description}", markup=False),
                console=Console(file=self._stream),
                transient=True,
                refresh_per_second=4,
            )
            self._bar.add_task("", total=None)
            self._bar.start()
        self._bar.update(self._bar.task_ids[0], description=self.safe(text), completed=done, total=total)

    def stop(self) -> None:
        """Take the spinner and the bar away."""
        if self._bar:
            self._bar.stop()
            self._bar = None
        if self._spinner:
            self._spinner.stop()
            self._spinner = None

    def _spin(self, job_id: str, text: str, wait: float | None) -> None:
        if wait is None:
            # its record may go to the same terminal now; the next look brings the spinner back
            self._waiting.discard(job_id)
            self.stop()
            return
        self._waiting.add(job_id)
        if not self._fancy:
            return
        line = self.safe(text)
        shown = line if len(self._waiting) == 1 else f"{len(self._waiting)} jobs waited for; {line}"
        left = _Countdown(shown, self._clock() + wait, self._clock)
        if self._spinner is None:
            from rich.console import Console  # noqa: PLC0415 - 30 ms that only a terminal needs

            self._spinner = Console(file=self._stream).status(left)
            self._spinner.start()
        else:
            self._spinner.update(left)

    def _line(self, text: str, level: str, **known: Json) -> None:
        line = self.safe(text)
        if self._as_json:
            self._object(line.strip(), level, **known)
            return
        shown = self._bar or self._spinner
        style = next((style for word, style in _STYLES.items() if line.startswith(word)), None)
        if shown or (style and self._coloured):
            self._print(line, style, shown)
        else:
            self._write(line)

    def _print(self, line: str, style: tuple[str, int] | None, shown: Any) -> None:
        from rich.console import Console  # noqa: PLC0415 - 30 ms that only a terminal needs
        from rich.text import Text  # noqa: PLC0415 - likewise

        text = Text(line)
        if style and self._coloured:
            text.stylize(style[0], 0, style[1])
        console = shown.console if shown else Console(file=self._stream)
        try:
            console.print(text, soft_wrap=True)
        except (OSError, ValueError):
            self._stream = io.StringIO()

    def _object(self, message: str, level: str, **known: Json) -> None:
        told = {"time": rfc3339(datetime.now(UTC)), "level": level, "message": message, **known}
        self._write(encode(self.scrub_all(told)).decode())

    def _write(self, line: str) -> None:
        try:
            self._stream.write(line + "\n")
            self._stream.flush()
        except (OSError, ValueError):
            # nobody listens any more: that must not change how the command ends
            self._stream = io.StringIO()
