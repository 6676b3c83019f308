"""One job of a batch: whether it need be asked for, `get` for it alone, and what is known of it where nobody asks."""

from __future__ import annotations

from functools import partial
from pathlib import Path

from jobfetch.errors import (
    BadReply,
    Exit,
    InTheWay,
    JobfetchError,
    StillRunning,
    TooSoon,
    Unauthorized,
    UsageError,
    recorded,
)
from jobfetch.fetch import get
from jobfetch.fetch.kept import Kept, essence
from jobfetch.fetch.plan import Plan
from jobfetch.fetch.service import Wanted
from jobfetch.manifest import Entry
from jobfetch.model import Outcome, State
from jobfetch.spec import Item

#: What to do about something else that stands in the place of a file of ours.
IN_THE_WAY = "move away what stands there, then run the same line again"


def needless(entry: Entry, item: Item, plan: Plan) -> bool:
    """Whether a job need not be asked for, provided that its file is intact."""
    if plan.refresh or not entry.done:
        return False
    if plan.named and counted(entry, plan.wanted) is not Exit.DONE:
        return False
    # a job that failed, and that the list tells something else of, was started again
    again = entry.state in {State.FAILED, State.CANCELLED} and item.state not in {None, entry.state}
    return not again


def counted(entry: Entry, wanted: Wanted) -> Exit:
    """What a recorded job counts as in this run."""
    if entry.state is State.PARTIAL:
        return Exit.DONE if wanted.allow_partial else Exit.PARTIAL
    return entry.exit


def attempt(plan: Plan, item: Item) -> Kept:
    """`get` for one job, and what now lies on disk of it. Errors that end the run are raised."""
    before = _before(plan, item)
    try:
        [outcome] = get(plan.service, plan.once, plan.wanted, [item.job_id], lambda *_: None)
    except Unauthorized as error:
        # this answer is for this job; whether it is for every other one as well is seen by theirs
        outcome = Outcome(job_id=item.job_id, state=None, exit=error.exit, error=error)
    if isinstance(outcome.error, InTheWay):
        outcome.error.hint = IN_THE_WAY
    return Kept.of(outcome, before)


def _before(plan: Plan, item: Item) -> bytes | None:
    """What there was of the job's result, to be compared with what comes now."""
    path = plan.wanted.path(item.job_id) if plan.refresh else None
    return essence(Path(path)) if path else None


def verified(plan: Plan, item: Item, entry: Entry) -> Entry | Kept:
    """The entry itself where its file is what was written; otherwise what came of asking again."""
    folder = plan.wanted.output
    try:
        intact = folder and entry.intact(folder, verify=True, check=partial(refuse_late, plan))
    except TooSoon as error:
        return Kept(Outcome(job_id=item.job_id, state=None, exit=error.exit, error=error), asked=0)
    return entry if intact else attempt(plan, item)


def refuse_late(plan: Plan) -> None:
    """`TooSoon` where nobody waits for a file to be looked through any more: time is up, or a signal came."""
    if plan.stop.asked or plan.waiting.deadline.left() <= 0:
        raise TooSoon("time was up before every file was looked through", hint="run the same line again")


def refused(item: Item, error: UsageError) -> Outcome:
    """A job that a list names, and that nobody can ask for."""
    shown = BadReply(f"the list names a job that cannot be asked for: {error.message}", hint=error.hint)
    return Outcome(job_id=item.job_id, state=None, exit=shown.exit, error=shown)


def running(item: Item) -> Outcome:
    """A job that a list tells to run."""
    error = StillRunning(f"job {item.job_id} is still running ({item.state})", hint="run the same line again later")
    return Outcome(job_id=item.job_id, state=item.state, exit=error.exit, error=error)


def error_of(entry: Entry, code: Exit) -> JobfetchError | None:
    """The error that was recorded, as far as it was written down."""
    if code is Exit.DONE:
        return None
    if entry.error:
        return recorded(code, entry.error.message, entry.error.code)
    return recorded(code, f"job {entry.job_id} ended, but some of it failed")
