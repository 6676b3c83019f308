"""`get` and `status`: from what was typed to a service with settings, credentials and connections, and back."""

from __future__ import annotations

import os
import time
from collections.abc import Mapping
from functools import partial
from pathlib import Path

from msgspec import Struct

from jobfetch import disk, export, fetch, records
from jobfetch.commands.account import Account, Network, account_of, connected, refuse_empty
from jobfetch.commands.report import Common, Report, run
from jobfetch.errors import DiskError, UsageError
from jobfetch.fetch.rows import maker
from jobfetch.model import Format, Json
from jobfetch.spec import Provider, check_job_id
from jobfetch.ui import Ui


class Output(Struct, frozen=True, kw_only=True):
    """Where results go and in what shape, as typed."""

    path: str | None = None
    format: str | None = None
    assets: bool = False
    rows: str | None = None
    query: str | None = None
    reproducible: bool = False
    allow_partial: bool = False
    columns: str | None = None
    delimiter: str | None = None
    csv_safe: bool = False


def get(provider: str, job_ids: list[str], common: Common, network: Network, output: Output, *, wait: bool) -> int:
    """Wait for jobs if asked to, fetch what they made, and keep it."""

    def work(ui: Ui, report: Report) -> None:
        started = time.monotonic()
        refuse_empty(output)
        account = account_of(provider, report, network)
        ids = ids_of(account.provider, job_ids)
        wanted = wanted_of(account, output, many=len(ids) > 1)
        report.stdout_is_data = wanted.output is None
        with connected(account, network, ui, started, wait=wait) as (service, waiting):
            for outcome in fetch.get(service, waiting, wanted, ids, partial(_wrote, ui, report)):
                report.outcomes.append(outcome)
                for path in outcome.files[:1] if not wanted.format.tabular else ():
                    ui.note(
                        f"{outcome.job_id}: {outcome.state}, wrote {path}",
                        job_id=outcome.job_id,
                        state=str(outcome.state),
                        file=str(path),
                    )

    return run(common, work)


def _wrote(ui: Ui, report: Report, table: Path, written: bool) -> None:  # noqa: FBT001 - told as it comes
    if written:
        report.outputs.append(str(table))
        ui.note(f"wrote {table}", file=str(table))
    else:
        ui.warn(f"{table} is left as it is: not every job gave rows, and it may hold what cannot be had again")


def status(provider: str, job_ids: list[str], common: Common, network: Network) -> int:
    """Ask for the state of jobs, and fetch nothing."""

    def work(ui: Ui, report: Report) -> None:
        started = time.monotonic()
        account = account_of(provider, report, network)
        ids = ids_of(account.provider, job_ids)
        report.data = []
        # the states are this command's data: no second telling of them on standard error
        report.states_told, ui.tells_states = True, False
        with connected(account, network, ui, started, wait=False) as (service, waiting):
            for outcome, told in fetch.states(service, waiting, ids):
                report.outcomes.append(outcome)
                report.data.append(told)
                if not common.json:
                    export.to_stdout(_state_line(ui, told).encode())

    return run(common, work)


def _state_line(ui: Ui, told: Mapping[str, Json]) -> str:
    cells = [
        told["job_id"],
        told["state"] or ("unknown" if told["outcome"] == "running" else told["outcome"]),
        told["provider_state"],
        told["progress"],
        told["message"],
    ]
    texts = ["-" if cell is None else f"{cell:g} %" if isinstance(cell, float) else str(cell) for cell in cells]
    return "\t".join(map(ui.safe, texts)) + "\n"


def ids_of(spec: Provider, job_ids: list[str]) -> list[str]:
    """The ids, each once; `UsageError` for one that cannot be this provider's."""
    return list(dict.fromkeys(check_job_id(spec, job_id) for job_id in job_ids))


def refuse_rows(spec: Provider, rows: str | None, shape: Format) -> None:
    """`UsageError` where `--rows` names nothing that can be, or goes with no table."""
    if rows and not shape.tabular:
        raise UsageError(f"--rows gives a table, so it goes with -f csv or ndjson and not with {shape}")
    if rows:
        maker(spec, rows)


def wanted_of(account: Account, output: Output, *, many: bool) -> fetch.Wanted:
    """What is to become of the results, with the defaults of every other place; `UsageError` where it cannot be."""
    spec = account.provider
    said = output.path or account.text("output")
    path = None if said in {None, "-"} else Path(said or "")
    default = Format(account.text("format") or Format.JSON)
    layout = export.table_for(
        path,
        output.format,
        default=default,
        columns=output.columns,
        delimiter=output.delimiter,
        csv_safe=output.csv_safe,
    )
    shape = layout.format
    if not shape.tabular and (layout.packing or layout.columns):
        raise UsageError(f"--columns, .gz and .zst are for tables, and {shape} is none", hint="take -f csv or ndjson")
    ends_as_folder = (said or "").endswith(("/", os.sep))
    folder = False
    with disk.explained(path or Path("-")):
        folder = path is not None and (path.is_dir() or ends_as_folder or (many and not shape.tabular))
        if folder and path and path.exists() and not path.is_dir():
            raise UsageError(f"-o {path} is a file, and several results need a folder")
        if path and not folder and not path.parent.is_dir():
            # found out now, and not after an hour of waiting
            raise DiskError(f"{path.parent} is no folder", hint="make it first, or name another place with -o")
    if output.query and shape is not Format.JSON:
        raise UsageError(f"--query reads the record, so it goes with -f json and not with {shape}")
    refuse_rows(spec, output.rows, shape)
    if many and shape is Format.RAW and path is None:
        raise UsageError("-f raw with several ids needs a folder", hint="name one with -o FOLDER/")
    if output.assets and path is None:
        raise UsageError("--assets needs a place for the files", hint="name one with -o FILE or -o FOLDER/")
    return fetch.Wanted(
        format=shape,
        output=path,
        folder=folder,
        assets=output.assets,
        rows=output.rows,
        reproducible=output.reproducible,
        allow_partial=output.allow_partial,
        layout=layout,
        query=records.query(output.query) if output.query else None,
    )
