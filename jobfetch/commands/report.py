"""How every command ends: one exit code, and one verdict or the errors, said where they belong."""

from __future__ import annotations

import _thread
import contextlib
import os
import shlex
import signal
import sys
import threading
import traceback
from collections.abc import Callable, Iterator
from typing import Any, NoReturn

from msgspec import Struct, field

from jobfetch import export
from jobfetch.errors import ConfigError, Exit, Interrupted, JobfetchError, Signalled, Terminated
from jobfetch.model import Json, Outcome, Tally, Verdict, encode
from jobfetch.signals import ENDING, STOPPING
from jobfetch.ui import Ui


class Common(Struct, frozen=True, kw_only=True):
    """Options that every command takes."""

    json: bool = False
    quiet: bool = False
    verbose: int = 0
    log_format: str | None = None


class Report(Struct, kw_only=True):
    """What a command has to show for itself so far; it becomes the verdict, however the command ends."""

    provider: str | None = None
    outcomes: list[Outcome] = field(default_factory=list)
    stdout_is_data: bool = False
    states_told: bool = False
    data: Json = None
    outputs: list[str] = field(default_factory=list)
    #: what very many jobs came to, in place of their outcomes
    tally: Tally | None = None
    #: called with the verdict before it is said: files in which others look for it
    afterwards: list[Callable[[Verdict], None]] = field(default_factory=list)
    #: called with the exit code once the verdict is said: others who are told over the network
    farewells: list[Callable[[Exit], None]] = field(default_factory=list)

    def verdict(self, error: JobfetchError | None = None) -> Verdict:
        """The verdict on all jobs, or on the error that ended the run."""
        for each in (error, *(outcome.error for outcome in self.outcomes)):
            if each and each.hint and self.provider:
                # whoever refuses a credential does not know what it is called here
                each.hint = each.hint.replace("auth login PROVIDER", f"auth login {self.provider}")
        tally = self.tally or _tallied(self.outcomes)
        code = error.exit if error else tally.exit
        # of several kinds one that needs somebody, if there is one: what still runs comes by itself
        kinds = sorted(tally.errors, key=lambda kind: (kind is not code, kind is Exit.RUNNING))
        job_id, shown = tally.errors[kinds[0]] if kinds else (None, None)
        return Verdict(
            exit=code,
            counts=dict(sorted(tally.counts.items())),
            outputs=tuple(dict.fromkeys([*self.outputs, *(f for outcome in self.outcomes for f in outcome.files)])),
            error=error or shown,
            provider=self.provider,
            job_id=None if error else job_id,
            retry_at=(error.retry_at if error else None) or tally.retry_at,
            data=self.data,
        )


def _tallied(outcomes: list[Outcome]) -> Tally:
    tally = Tally()
    for outcome in outcomes:
        tally.add(outcome.job_id, outcome.state, outcome.exit, outcome.error)
    return tally


#: The environment variable that says how much is narrated, and how.
LOG = "JOBFETCH_LOG"
_LOUD = {"verbose": 1, "debug": 2}
_WORDS = frozenset({"quiet", "info", *_LOUD, "text", "json"})


def _log_words() -> set[str]:
    return {word.strip() for word in os.environ.get(LOG, "").split(",")} - {""}


def _check_log_words(words: set[str]) -> None:
    for word in sorted(words - _WORDS):
        raise ConfigError(
            f"{LOG}: {word!r} is none of {', '.join(sorted(_WORDS))}",
            hint="separate several with commas, for example debug,json",
        )


def run(common: Common, work: Callable[[Ui, Report], None]) -> int:
    """Do a command's work and report: the exit code, with the verdict or the error said where it belongs."""
    words = _log_words()
    verbose = common.verbose or max((_LOUD.get(word, 0) for word in words), default=0)
    ui = Ui(
        quiet=common.quiet or (common.json and not common.verbose) or ("quiet" in words and not common.verbose),
        verbose=verbose,
        as_json=(common.log_format or ("json" if "json" in words else "text")) == "json",
        environ=os.environ,
    )
    report = Report()
    error: JobfetchError | None = None
    with _signals():
        try:
            _check_log_words(words)
            work(ui, report)
        except JobfetchError as raised:
            error = raised
        except KeyboardInterrupt as signalled:
            kind, word = (
                (Terminated, "terminated") if isinstance(signalled, Signalled) else (Interrupted, "interrupted")
            )
            error = kind(word, hint="run the same line again: it goes on where this run stopped")
        except Exception as bug:  # noqa: BLE001 - the edge: a bug becomes exit code 1, and its traceback is scrubbed
            return _bug(ui, bug, verbose=verbose)
        finally:
            ui.stop()
        with _undisturbed():
            verdict = _told(ui, report, report.verdict(error))
            if failed := _say(ui, common, report, verdict):
                # the files must say what the process ends with
                verdict = _told(ui, report, report.verdict(failed))
        try:
            for tell in report.farewells:
                tell(verdict.exit)
        except KeyboardInterrupt:
            # the verdict is out, and stands
            ui.warn("interrupted before everybody was told how it ended")
        return int(verdict.exit)


def _told(ui: Ui, report: Report, verdict: Verdict) -> Verdict:
    """The verdict, once everybody else has it; one who cannot be told makes a success none, and the others hear of that."""
    told: list[Callable[[Verdict], None]] = []
    for tell in report.afterwards:
        try:
            tell(verdict)
        except JobfetchError as failed:
            if verdict.exit is not Exit.DONE:
                ui.error(failed)
                continue
            verdict = report.verdict(failed)
            for before in told:
                before(verdict)
        else:
            told.append(tell)
    return verdict


def _say(ui: Ui, common: Common, report: Report, verdict: Verdict) -> JobfetchError | None:
    """Say the verdict where it belongs; the error, where standard output does not take it."""
    if verdict.exit is Exit.READER_GONE:
        return None
    if common.json:
        line = encode(ui.scrub_all(verdict.as_json()))
        if report.stdout_is_data:
            ui.data(line.decode())
        else:
            try:
                export.to_stdout(line + b"\n")
            except JobfetchError as error:
                return error
        return None
    if verdict.error:
        for outcome in report.outcomes:
            if outcome.error and not (report.states_told and outcome.state):
                ui.error(outcome.error, provider=verdict.provider, job_id=outcome.job_id)
        if all(outcome.error is not verdict.error for outcome in report.outcomes):
            ui.error(verdict.error, provider=verdict.provider, job_id=verdict.job_id)
        if verdict.exit is Exit.RUNNING:
            ui.note(f"  again: {shlex.join(['jobfetch', *sys.argv[1:]])}")
    return None


def _bug(ui: Ui, bug: Exception, *, verbose: int) -> int:
    if verbose:
        ui.block("".join(traceback.format_exception(bug)))
    ui.block(f"error: a bug in jobfetch: {type(bug).__name__} (-v shows where)")
    return int(Exit.BUG)


@contextlib.contextmanager
def _undisturbed() -> Iterator[None]:
    """The work has ended: a signal that comes now finds nothing to stop, and costs neither files nor verdict."""
    before = {each: signal.getsignal(each) for each in STOPPING}
    for each in before:
        signal.signal(each, _pass_by)
    try:
        yield
    finally:
        for each, how in before.items():
            signal.signal(each, how)


def _pass_by(*_: Any) -> None:
    """Let a signal pass: of one that is ignored only once it is there, Python tells with a traceback."""


#: Seconds until a signal that was lost comes again.
_MOMENT = 0.01


@contextlib.contextmanager
def _signals() -> Iterator[None]:
    """SIGTERM and SIGHUP end the command like Ctrl-C does: in order, with a verdict."""
    # one that is ignored stays so: that is what `nohup` does
    before = {each: how for each in ENDING if (how := signal.getsignal(each)) is not signal.SIG_IGN}

    def terminate(*_: Any) -> NoReturn:
        # once is enough: a second one must not cost the verdict
        for each in before:
            signal.signal(each, _pass_by)
        raise Signalled

    def lost(dropped: sys.UnraisableHookArgs) -> None:
        # Python drops what is raised while an object is collected; the signal comes once more, a moment later
        if isinstance(dropped.exc_value, KeyboardInterrupt):
            for each in before:
                signal.signal(each, terminate)
            number = next(iter(before)) if isinstance(dropped.exc_value, Signalled) else signal.SIGINT
            threading.Timer(_MOMENT, _thread.interrupt_main, (number,)).start()
        else:
            hook(dropped)

    hook = sys.unraisablehook
    for each in before:
        signal.signal(each, terminate)
    sys.unraisablehook = lost
    try:
        yield
    finally:
        sys.unraisablehook = hook
        for each, how in before.items():
            signal.signal(each, how)
