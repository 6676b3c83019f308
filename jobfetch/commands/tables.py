"""`export`: saved records as a table, asking nobody."""

from __future__ import annotations

import os
import time
from collections.abc import Callable, Iterator
from difflib import get_close_matches
from functools import cache, partial
from pathlib import Path
from typing import Any

from msgspec import Struct, field

from jobfetch import disk
from jobfetch.commands.progress import clock_text, size
from jobfetch.commands.report import Common, Report, run
from jobfetch.errors import BadReply, DiskError, UsageError
from jobfetch.export import Survey, Table, schema_of, table_for, to_stdout, write_table
from jobfetch.fetch.found import Saved
from jobfetch.fetch.rows import Maker, maker
from jobfetch.flatten import leads_anywhere
from jobfetch.manifest import NAME
from jobfetch.model import Format
from jobfetch.providers import PROVIDERS
from jobfetch.spec import RowRules
from jobfetch.spread import cores
from jobfetch.ui import Ui

#: Bytes of records that are worth more than one process.
MUCH = 16 * 1024 * 1024
#: Seconds between two signs of how far it is.
_PAUSE = 0.2


class Asked(Struct, frozen=True, kw_only=True):
    """A table as it was typed."""

    output: str | None = None
    format: str | None = None
    columns: str | None = None
    rows: str | None = None
    delimiter: str | None = None
    csv_safe: bool = False


def export(sources: list[str], common: Common, **options: Any) -> int:
    """Read the records of folders and files, and write one table of all their rows; `options` are those of `Asked`."""
    asked = Asked(**options)

    def work(ui: Ui, report: Report) -> None:
        # Arrow's own pool keeps for itself what it was once given: some 30 MB more
        os.environ.setdefault("ARROW_DEFAULT_MEMORY_POOL", "system")
        path = None if asked.output in {None, "-"} else Path(asked.output or "")
        report.stdout_is_data = path is None
        table = table_for(path, asked.format, columns=asked.columns, delimiter=asked.delimiter, csv_safe=asked.csv_safe)
        if table.format is Format.RAW:
            raise UsageError(
                "-f raw is the service's bytes, and no table", hint="take csv, ndjson, json, parquet or sqlite"
            )
        if path and not path.parent.is_dir():
            raise DiskError(f"{path.parent} is no folder", hint="make it first, or name another place with -o")
        teller = _Teller(ui)
        with disk.scratch() as scratch:
            saved = Saved(make_for=cache(partial(_maker, asked.rows)), read=teller.read)
            saved.find([Path(source) for source in sources], scratch, path)
            for other in saved.others:
                ui.warn(f"{other} is no record: left out")
            for gone in saved.missing:
                ui.warn(
                    f"{gone} is not there: left out; `jobfetch batch verify {disk.typed(gone.parent)} --repair` fetches it again"
                )
            for folder, lines in saved.unreadable:
                ui.warn(
                    f"{folder / NAME}: {lines} lines cannot be read: the jobs that they tell of may be left out; "
                    "the line that filled the folder asks for them again"
                )
            if not saved.records:
                raise UsageError(f"no record in {', '.join(sources)}", hint="name a folder or a file of records")
            _warn_of_path(ui, asked.rows, saved)
            teller.total = saved.bytes
            saved.processes = min(cores(), saved.records) if saved.bytes >= MUCH else 1
            survey = _write(path, table, saved)
        ui.stop()
        _warn_of_columns(ui, table, survey)
        report.data = {"records": saved.records, "rows": survey.rows}
        if path:
            report.outputs += [str(path), str(_schema_path(path))]
            ui.note(f"{saved.records} records, {survey.rows} rows: wrote {path}", file=str(path))

    return run(common, work)


def _maker(rows: str | None, provider: str) -> Maker:
    if provider not in PROVIDERS:
        raise BadReply(f"there is no provider {provider!r}", hint=f"there are: {', '.join(PROVIDERS)}")
    return maker(PROVIDERS[provider], rows)


def _write(path: Path | None, table: Table, saved: Saved) -> Survey:
    if path is None:
        with disk.spool() as spool:
            survey = write_table(table, saved, spool)
            to_stdout(spool)
        return survey
    schema = _schema_path(path)
    with disk.replacing(path) as file:
        survey = write_table(table, saved, file)
        with disk.explained(schema):
            # whoever is killed between the two leaves a table without its description, and never with another's
            schema.unlink(missing_ok=True)
    with disk.replacing(schema) as file:
        file.write(schema_of(table, survey))
    return survey


def _schema_path(path: Path) -> Path:
    return path.with_name(path.name + ".schema.json")


def _warn_of_path(ui: Ui, rows: str | None, saved: Saved) -> None:
    """A path that leads nowhere gives a row a record all the same, so that nothing is lost; but was it meant?"""
    if rows is None:
        return
    looked = [(PROVIDERS[provider].rows, result) for provider, result in saved.first() if provider in PROVIDERS]
    unnamed = [result for rules, result in looked if rows not in rules.named]
    if not unnamed or any(leads_anywhere(rows, result) for result in unnamed):
        return
    known = {path for rules, result in looked for path in (*rules.named, *_paths(rules, result))}
    near = "".join(f" {path} leads somewhere" for path in get_close_matches(rows, sorted(known), n=1))
    ui.warn(f"none of the first {len(unnamed)} records has anything at {rows}: is the path right?{near}")


def _paths(rules: RowRules, result: bytes) -> Iterator[str]:
    """The paths of a provider that lead somewhere in a result."""
    return (path for kind in rules.kinds for path in kind.each if leads_anywhere(path, result))


def _warn_of_columns(ui: Ui, table: Table, survey: Survey) -> None:
    missing = [name for name in table.columns if name not in survey.seen]
    if missing:
        ui.warn(f"no row has {', '.join(missing)}; `jobfetch providers show NAME` tells the columns of a provider")


class _Teller(Struct):
    """Tells how many bytes have been read, and how long the others will take."""

    ui: Ui
    total: int = 0
    done: int = 0
    clock: Callable[[], float] = time.monotonic
    started: float = field(default_factory=time.monotonic)
    told: float = field(default_factory=time.monotonic)

    def read(self, number: int) -> None:
        """A record is through. Rows may be gone through twice, so that there may be more to read than there is."""
        self.done += number
        now = self.clock()
        if now - self.told >= _PAUSE:
            self.told = now
            total = max(self.total, -(-self.done // max(1, self.total)) * self.total)
            left = (total - self.done) * (now - self.started) / max(1, self.done)
            self.ui.transferred(f"{size(self.done)} of {size(total)}, {clock_text(left)} left", self.done, total)
