"""`providers list` and `providers show`: what there is to know of a provider before using it."""

from __future__ import annotations

from collections.abc import Mapping

from jobfetch import config, export
from jobfetch.commands.report import Common, Report, run
from jobfetch.errors import UsageError
from jobfetch.model import Json
from jobfetch.providers import PROVIDERS
from jobfetch.spec import Param, Provider, Rows
from jobfetch.ui import Ui


def list_all(common: Common) -> int:
    """Every provider, a line each."""

    def work(ui: Ui, report: Report) -> None:
        report.data = [{"name": p.name, "title": p.title, "docs": p.docs} for p in PROVIDERS.values()]
        if not common.json:
            lines = "".join(f"{p.name:10} {p.title}\n" for p in PROVIDERS.values())
            table = ui.table(("provider", "jobs"), [(p.name, p.title) for p in PROVIDERS.values()])
            export.to_stdout((table or lines).encode())

    return run(common, work)


def show(name: str, common: Common) -> int:
    """Everything that a provider takes and knows."""

    def work(_: Ui, report: Report) -> None:
        if name not in PROVIDERS:
            raise UsageError(f"there is no provider {name!r}", hint=f"there are: {', '.join(PROVIDERS)}")
        report.provider = name
        report.data = _shown(PROVIDERS[name])
        if not common.json:
            export.to_stdout(_as_text(report.data).encode())

    return run(common, work)


def _shown(spec: Provider) -> dict[str, Json]:
    def param(each: Param, *, secret: bool = False) -> dict[str, Json]:
        told: dict[str, Json] = {"name": each.name, "help": each.help}
        told |= {} if secret else {"option": each.option}
        return told | {"env": [f"JOBFETCH_{spec.name}_{each.name}".upper(), *each.env], "required": each.required}

    return {
        "name": spec.name,
        "title": spec.title,
        "docs": spec.docs,
        "notes": list(spec.notes),
        "settings": [param(each) for each in config.params_of(spec)],
        "secrets": [param(each, secret=True) for each in spec.auth.secrets],
        "states": {word: str(state) for word, state in spec.job.words.states.items()},
        "rows": [_row_kind(rows) for rows in (*spec.rows.kinds, *([spec.rows.parts] if spec.rows.parts else []))],
        "views": list(spec.rows.named),
        "left_out_of_rows": dict(spec.rows.left_out),
        "listing": _listing(spec),
        "workers": spec.workers,
        "rate": spec.rate,
        "limits": list(spec.limits),
        "retention": spec.retention,
    }


def _listing(spec: Provider) -> dict[str, Json] | None:
    """How the service lists its jobs, and what a list may be narrowed by."""
    if spec.listing is None:
        return None
    group = spec.listing.groups
    return {
        "path": spec.listing.path,
        "filters": [param.name for param in spec.filters],
        "tells_states": spec.listing.word is not None,
        "bulk_status": spec.listing.bulk.most if spec.listing.bulk else None,
        "all_of": group.param if group else None,
    }


def _row_kind(rows: Rows) -> dict[str, Json]:
    """One kind of row, and which of the service's fields the common columns take."""
    columns = {column: list(names) for column, names in (*rows.copies.items(), *rows.columns.items())}
    kind = rows.kind or "the name of what stands there"
    told: dict[str, Json] = {"kind": kind, "each": list(rows.each), "columns": dict(sorted(columns.items()))}
    told |= {"when": " is ".join(rows.when)} if rows.when else {}
    return told | ({"names": rows.member} if rows.member else {})


def _batch_facts(told: Mapping[str, Json]) -> list[str]:
    """What is worth knowing before many jobs are fetched."""
    speed = f"{told['workers']} jobs at a time, " + (
        f"at most {told['rate']} requests" if told["rate"] else "at any rate"
    )
    listing = told["listing"]
    if listing is None:
        return ["lists no jobs: name them with --jobs", speed]
    facts = [f"lists jobs at {listing['path']}" + (", with their states" if listing["tells_states"] else "")]
    facts += [f"every {listing['all_of']} where none is named, a folder each"] if listing["all_of"] else []
    facts += [f"filters: {', '.join(listing['filters'])}"] if listing["filters"] else []
    facts += [f"tells {listing['bulk_status']} states in one question"] if listing["bulk_status"] else []
    return [*facts, speed]


def _as_text(told: Mapping[str, Json]) -> str:
    lines = [f"{told['name']}: {told['title']}", f"documents: {told['docs']}", *told["notes"], "", "settings:"]
    lines += [f"  {p['option']:14} {p['help']}\n{'':17}{', '.join(p['env'])}" for p in told["settings"]]
    lines += ["", "secrets (no option takes their value):"]
    lines += [f"  {p['name']:14} {p['help']}\n{'':17}{', '.join(p['env'])}" for p in told["secrets"]]
    lines += ["", "states (any other word is taken as running):"]
    lines += [f"  {word:16} {state}" for word, state in told["states"].items()]
    lines += ["", "rows (common column <- the service's field; every other field keeps its own name):"]
    for row in told["rows"]:
        when = f", where {row['when']}" if "when" in row else ""
        lines += [f"  {row['kind']}: each {', or '.join(row['each'])}{when}"]
        lines += [f"    {row['names']:10} <- the name of each"] if "names" in row else []
        lines += [f"    {column:10} <- {', or '.join(names)}" for column, names in row["columns"].items()]
    lines += [f"  other view: --rows {name}" for name in told["views"]]
    lines += [
        "  any path of your own: --rows 'items[].things[]' ([] every element, * every member, {} lists side by side)"
    ]
    lines += ["", "left out of rows:"] if told["left_out_of_rows"] else []
    lines += [f"  {name:20} {why}" for name, why in told["left_out_of_rows"].items()]
    lines += ["", "batch download:", *(f"  {fact}" for fact in _batch_facts(told))]
    facts = [*told["limits"], *([told["retention"]] if told["retention"] else [])]
    lines += ["", "limits:", *(f"  {fact}" for fact in facts)] if facts else []
    return "\n".join(lines) + "\n"
