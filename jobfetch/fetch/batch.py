"""Many jobs, each by the very path of `get`: several at a time, each recorded once it is on disk, none asked for twice.

    source -> minus what is done -> workers, `get` for one id each -> Outcome -> manifest (one sync for all that came)

Only the thread that runs this writes the manifest and tells of progress. Memory holds what is in flight, a hash for every job
and the ids of those that still run.
"""

from __future__ import annotations

from collections import deque
from collections.abc import Iterator
from functools import partial

from msgspec.structs import replace

from jobfetch import disk, poll
from jobfetch.errors import (
    DiskError,
    Exit,
    JobfetchError,
    StillRunning,
    UsageError,
)
from jobfetch.fetch.attempt import attempt, counted, error_of, needless, refused, running, verified
from jobfetch.fetch.kept import Kept
from jobfetch.fetch.plan import Books, Pending, Plan
from jobfetch.fetch.service import ends_the_run
from jobfetch.fetch.workers import Came, Workers
from jobfetch.manifest import Entry, Manifest, linked_files, problem, remove_other_links
from jobfetch.model import State, rfc3339
from jobfetch.spec import Item, check_job_id

#: Seconds that requests on their way get after a first signal.
GRACE = 5.0
#: Jobs that are written down at once, at the most, where the list itself tells what there is to know of them.
MOST_AT_ONCE = 1000
#: Seconds between two looks of the book-keeper at what is going on.
TICK = 0.5
#: Seconds in which results gather while many workers have enough to do: one sync serves all of them, and the
#: book-keeper does not take the turn of somebody who has work.
GATHER = 0.02
MANY_WORKERS = 8

_JOBS, _LIST = "jobs", "list"


def ends_all(error: JobfetchError) -> bool:
    """Whether what ended a list ends everything: a wrong line among the ids says nothing of those before it."""
    return ends_the_run(error) and not isinstance(error, UsageError)


Pages = Iterator[list[Item]]


class Folder:
    """One folder of a run: goes through jobs once or more, and knows which of them have not ended."""

    def __init__(self, plan: Plan, books: Books, manifest: Manifest, claim: disk.Claim) -> None:
        self.plan = replace(plan, wanted=replace(plan.wanted, output=manifest.folder, folder=True, claim=claim))
        self.books = books
        self.manifest = manifest
        self.pending: dict[str, Pending] = {}
        #: looks in a row that failed, of the jobs that a wait asks about again
        self._failed_looks: dict[str, int] = {}
        #: one job that has not ended, and why so: to be told for all of them
        self._example: tuple[str, JobfetchError | None] = ("", None)

    def go(self, pages: Pages, *, live: bool = False) -> None:
        """Ask for every job that the pages name and that is not there yet.

        Where they are `live`, whoever names them may wait for one before naming the next.

        What ends the run stands in the books afterwards; an error of the list itself is raised, once all that it had
        named is done.
        """
        with Workers(self._ends, **{_JOBS: self.plan.workers, _LIST: 1}) as workers:
            self.plan.stop.wakes.append(workers.wake)
            try:
                _Pass(self, workers, pages, live=live).run()
            finally:
                self.plan.stop.wakes.remove(workers.wake)

    def _ends(self, came: Came) -> bool:
        """Whether no other job would fare better; asked in the thread of the job that came back."""
        if came.lane != _JOBS:
            return False
        if came.error:
            return True
        if not isinstance(came.value, Kept) or self._is_tick(came.value):
            return False
        return self.books.streak.hear(came.value.outcome.error)

    def may_go_on(self) -> bool:
        """Whether anything new may be begun, be it only told of."""
        over = self.plan.waiting.deadline.left() <= 0
        self.books.cut_short |= over
        return not (over or self.books.ending or self.plan.stop.asked)

    def may_ask(self) -> bool:
        """Whether a request that somebody needs may be sent before the deadline."""
        self.books.cut_short |= self.plan.closed() >= self.plan.waiting.deadline.left()
        return self.may_go_on() and not self.books.cut_short

    def close(self) -> None:
        """Count what has not ended."""
        first, error = self._example
        # each look of a round was one that does not wait: the wait as a whole has ended otherwise
        why = ": the deadline came first" if self.plan.waiting.wait else ""
        for job_id in sorted(self.pending, key=lambda each: each != first):
            pending = self.pending[job_id]
            if why or job_id != first or error is None:
                text = f"job {job_id} is still running ({pending.state or 'unknown'}){why}"
                error = StillRunning(text, hint="run the same line again later", retry_at=pending.retry_at)
            self._settle(job_id, pending.state, Exit.RUNNING, error)

    # --- the books ---

    def skip(self, entry: Entry) -> None:
        """A job that is done, as an earlier run has recorded it."""
        code = counted(entry, self.plan.wanted)
        self._settle(entry.job_id, entry.state, code, error_of(entry, code))
        progress = self.books.progress
        if code is Exit.DONE:
            progress.skipped += 1
        else:
            progress.failed += 1

    def wait_for(self, item: Item, error: JobfetchError | None = None) -> None:
        """A job that has not ended: recorded where that is news."""
        now = self.plan.service.now()
        asked = (error.retry_at - now).total_seconds() if error and error.retry_at else 0.0
        self.books.progress.running += item.job_id not in self.pending
        due, retry_at = self.plan.waiting.deadline.clock() + asked, error.retry_at if error else None
        before = self.pending.get(item.job_id)
        if before and before.due > due and retry_at is None:
            # what the service has asked for holds, whatever a list says meanwhile
            due, retry_at = before.due, before.retry_at
        self.pending[item.job_id] = Pending(item.state, due, retry_at)
        if self._example[0] not in self.pending:
            self._example = (item.job_id, error)

    def record(self, kept: list[Kept]) -> None:
        """Write down what jobs came to, all at once, and only then count it."""
        if isinstance(self.books.ending, DiskError):
            return  # what comes in now lies there whole, and is asked for once more
        # where nobody asked there is nothing to write down, and the run as a whole says why
        self.books.cut_short |= any(each.too_soon for each in kept)
        kept = [self._waited_for(each) for each in kept if not each.too_soon]
        try:
            if any(each.file for each in kept):
                disk.sync_folder(self.manifest.folder)
            lines = [(each, entry) for each in kept if (entry := self._entry(each))]
            self.manifest.add([entry for _, entry in lines])
            for each, entry in lines if self.plan.wanted.assets else ():
                # where some could not be had, those of before stay, and so they do where nothing came
                if each.file and not entry.links_lost:
                    remove_other_links(self.manifest.folder, entry)
        except DiskError as error:
            self.books.ending = error
            return
        for each in kept:
            self._count(each)

    def _is_tick(self, kept: Kept) -> bool:
        """Whether a look that failed is no outcome, while one waits: too few have failed in a row, the job may still run."""
        error, failures = kept.outcome.error, self._failed_looks.get(kept.outcome.job_id, 0) + 1
        return bool(error and error.transient and self.plan.waiting.wait and failures < poll.MOST_FAILED_LOOKS)

    def _waited_for(self, kept: Kept) -> Kept:
        """What a look that is no outcome is taken for: a job that may still run."""
        job_id, error = kept.outcome.job_id, kept.outcome.error
        tick, failures = self._is_tick(kept), self._failed_looks.pop(job_id, 0) + 1
        if error is None or not tick:
            return kept
        self._failed_looks[job_id] = failures
        shown = StillRunning(f"job {job_id} may still be running; last: {error.message}", retry_at=error.retry_at)
        return replace(kept, outcome=replace(kept.outcome, exit=shown.exit, error=shown))

    def _entry(self, kept: Kept) -> Entry | None:
        """The line for a job; None where it would say nothing new."""
        outcome, last = kept.outcome, self.manifest.last(kept.outcome.job_id)
        # what was fetched before lies there still, whatever the service says now
        stays = last if last and not kept.file else None
        entry = Entry(
            job_id=outcome.job_id,
            state=outcome.state,
            file=stays.file if stays else kept.file,
            bytes=stays.bytes if stays else kept.length,
            sha256=stays.sha256 if stays else kept.sha256,
            error=problem(outcome.error, linked=outcome.linked, scrub=self.plan.service.scrub),
            attempts=(last.attempts if last else 0) + kept.asked,
            at=rfc3339(self.plan.service.now()) or "",
            assets=stays.assets if stays else linked_files(outcome.linked),
        )
        unchanged = last and (last.exit is Exit.DONE or (last.state, last.error) == (entry.state, entry.error))
        return None if outcome.exit is Exit.RUNNING and unchanged else entry

    def _count(self, kept: Kept) -> None:
        outcome, progress = kept.outcome, self.books.progress
        if outcome.exit is Exit.RUNNING:
            self.wait_for(Item(outcome.job_id, outcome.state), outcome.error)
        else:
            progress.running -= self.pending.pop(outcome.job_id, None) is not None
            progress.done += outcome.exit is Exit.DONE
            progress.failed += outcome.exit is not Exit.DONE
            progress.bytes += (kept.length or 0) if outcome.exit is Exit.DONE else 0
            progress.changed += kept.changed is True
            progress.unchanged += kept.changed is False
            self._settle(outcome.job_id, outcome.state, outcome.exit, outcome.error)
        if kept.asked:
            self.plan.watcher.settled(outcome)

    def _settle(self, job_id: str, state: State | None, code: Exit, error: JobfetchError | None) -> None:
        self.books.tally.add(job_id, state, code, error)


class _Pass:
    """One way through a list of jobs: pages in, work out, results into the folder's books."""

    def __init__(self, folder: Folder, workers: Workers, pages: Pages, *, live: bool) -> None:
        self.folder, self.workers, self.pages, self.live = folder, workers, pages, live
        self.queue: deque[Item] = deque()
        #: jobs that failed before, or were not over in time, kept for the end: whatever is wrong with them stands in nobody's
        #: way, and those that were asked for last come last
        self.later: deque[Item] = deque()
        self.listed = False
        #: whether nothing came back the last time that somebody waited for it
        self.silent = False
        self.problem: JobfetchError | None = None
        self.hurry: float | None = None
        #: jobs that are asked for again while more may be named, for how long that is put off, and until when
        self.again: set[str] = set()
        self.interval = folder.plan.waiting.schedule.start
        self.again_at = folder.plan.waiting.deadline.clock() + self.interval

    def run(self) -> None:
        folder, workers = self.folder, self.workers
        while True:
            self._feed()
            # a list that does not come, from a pipe that nobody closes, holds nothing up that has to end
            if not workers.busy[_JOBS] and (self._finished() or self._given_up() or not folder.may_go_on()):
                break
            if workers.in_flight:
                self._gather()
                came = workers.take(TICK)
                self.silent = not came
                self._hear(came)
            folder.books.progress.in_flight = workers.busy[_JOBS]
            folder.plan.watcher.progressed(folder.books.progress)
            if self._out_of_patience():
                self._hear(workers.take(0.0))
                break
        if not self._finished() and not folder.plan.stop.asked and not folder.books.ending:
            folder.books.cut_short = True
        if self.problem and not folder.books.ending:
            raise self.problem

    def _gather(self) -> None:
        plan = self.folder.plan
        if plan.workers >= MANY_WORKERS and self.workers.busy[_JOBS] > plan.workers:
            plan.waiting.sleep(GATHER)

    def _finished(self) -> bool:
        return self.listed and not self.queue and not self.later

    def _given_up(self) -> bool:
        """Whether a pipe that names nothing at the moment is not waited for: nothing more may be asked."""
        return self.live and self.silent and not self.folder.may_ask()

    def _feed(self) -> None:
        """Give out as much work as there are hands for, and have the next page fetched in time."""
        folder, workers = self.folder, self.workers
        most = 2 * folder.plan.workers
        known: list[Kept] = []
        if self.live and folder.plan.waiting.wait and not (self.listed or self.queue or self.again):
            self._ask_again()
        while (
            (queue := self._at_hand())
            and workers.busy[_JOBS] < most
            and len(known) < MOST_AT_ONCE
            and folder.may_go_on()
        ):
            known += self._take(queue.popleft(), late=queue is self.later)
        if known:
            # one sync for all that the list itself tells
            folder.record(known)
        if not self.listed and not workers.busy[_LIST] and len(self.queue) < most and folder.may_go_on():
            workers.give(_LIST, partial(next, self.pages, None))

    def _ask_again(self) -> None:
        """Ask for jobs that still run, once it is time: whoever names the others may wait for one of them."""
        schedule, now = self.folder.plan.waiting.schedule, self.folder.plan.waiting.deadline.clock()
        if now < self.again_at:
            return
        self.again = {job_id for job_id, each in self.folder.pending.items() if each.due <= now}
        self.queue.extend(map(Item, self.again))
        if self.again:
            self.interval = min(self.interval * schedule.factor, schedule.cap)
        self.again_at = now + self.interval

    def _at_hand(self) -> deque[Item]:
        """The jobs to go on with; those that failed before once there are no others, and nobody waits for them."""
        idle = self.live and not self.workers.busy[_JOBS]
        return self.queue or (self.later if self.listed or idle else self.queue)

    def _take(self, item: Item, *, late: bool) -> list[Kept]:
        """One job: done already, to be asked for, or what is known of it without asking."""
        folder, plan = self.folder, self.folder.plan
        try:
            check_job_id(plan.service.provider, item.job_id)
        except UsageError as error:
            return [Kept(refused(item, error), asked=0)]
        entry = folder.manifest.last(item.job_id)
        if entry and needless(entry, item, plan):
            if plan.verify:
                self.workers.give(_JOBS, partial(verified, plan, item, entry))
                return []
            if entry.intact(folder.manifest.folder):
                folder.skip(entry)
                return []
        if item.state and not item.state.terminal:
            return [Kept(running(item), asked=0)]
        pending = folder.pending.get(item.job_id)
        if pending and pending.due > plan.waiting.deadline.clock():
            # whatever a list says of it, the service wants to be left alone about this job until then
            return []
        if entry and not late and (entry.error or (entry.exit is Exit.RUNNING and not pending)):
            self.later.append(item)
        elif folder.may_ask():
            # those that may not be asked for any more are left for the next run; others may be there all the same
            self.workers.give(_JOBS, partial(attempt, plan, item))
        return []

    def _hear(self, came: list[Came]) -> None:
        """Put down whatever has come back, with one sync of the manifest for all of it."""
        kept: list[Kept] = []
        for each in came:
            if each.left:
                continue
            if each.error is not None:
                self._fail(each)
            elif each.lane == _LIST:
                self.listed = each.value is None
                self.queue.extend(each.value or ())
                if self.listed:
                    self.later = deque(sorted(self.later, key=self._asked_at))
                    progress = self.folder.books.progress
                    progress.total = progress.settled + len(self.queue) + len(self.later) + self.workers.busy[_JOBS]
            elif isinstance(each.value, Entry):
                self.folder.skip(each.value)
            else:
                kept.append(each.value)
        if kept:
            self.again.difference_update(each.outcome.job_id for each in kept)
            self.folder.record(kept)
        books = self.folder.books
        books.ending = books.ending or books.streak.error
        if books.ending:
            self.workers.halt()

    def _asked_at(self, item: Item) -> int:
        return self.folder.manifest.place(item.job_id)

    def _fail(self, came: Came) -> None:
        if not isinstance(came.error, JobfetchError):
            raise came.error or AssertionError("no error")
        if came.lane == _LIST:
            self.listed = True
            if isinstance(came.error, StillRunning):
                # the deadline fell into the list: what it has not named is left for the next run
                self.folder.books.cut_short = True
                return
            self.problem = came.error
        if came.lane == _JOBS or ends_all(came.error):
            self.folder.books.ending = self.folder.books.ending or came.error

    def _out_of_patience(self) -> bool:
        """Whether what is in flight has had its few seconds since the signal."""
        stop, clock = self.folder.plan.stop, self.folder.plan.waiting.deadline.clock
        if not stop.asked:
            return False
        if self.hurry is None:
            self.workers.halt()
            self.hurry = clock() + GRACE
        return stop.asked > 1 or clock() >= self.hurry or not self.workers.busy[_JOBS]
