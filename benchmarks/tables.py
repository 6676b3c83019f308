"""Saved records to a table: pyarrow, polars, DuckDB, pandas, jq, a loop with json and csv, and jobfetch, in one run.

    python benchmarks/tables.py [--records 10000] [--rounds 3] [--format csv|parquet]

Every contender makes the same rows, one for each prediction: the peers from one NDJSON file of all records, jobfetch from
a folder of a file each, as `batch download` leaves it, and from that one file. Whole processes are timed; in one more run,
which is not, it is looked at how much memory each holds at most, all of its processes together. The number of rows is checked. A peer that is not installed is left out, and said to be:
`pip install 'jobfetch[bench]'`.
"""

from __future__ import annotations

import argparse
import importlib.util
import json
import random
import shutil
import sys
import tempfile
from collections.abc import Callable
from dataclasses import replace
from pathlib import Path

from measure import HERE, JOBFETCH, Run, held_by_all, table, timed

#: Predictions of a record: with them it has about 10 KB.
PREDICTIONS = 75
PEERS = {"pyarrow": "pyarrow", "polars": "polars", "duckdb": "duckdb", "pandas": "pandas", "loop": "json"}

#: The command line that fills a file.
Contender = Callable[[Path], list[str]]


def record(number: int) -> str:
    """One saved record, as Cognite's jobs give it."""
    dice = random.Random(number)  # noqa: S311 - no secret

    def prediction() -> dict[str, object]:
        region = {edge: round(dice.random(), 6) for edge in ("xMin", "xMax", "yMin", "yMax")}
        text = f"{dice.randrange(100)}-PT-{dice.randrange(10_000)}"
        return {"text": text, "confidence": round(dice.random(), 6), "textRegion": region}

    found = {"textPredictions": [prediction() for _ in range(PREDICTIONS)]}
    item = {"fileId": number, "fileExternalId": f"file-{number}.png", "predictions": found}
    head = {"schema": "jobfetch.result/1", "provider": "cognite", "job_id": f"{number}", "state": "succeeded"}
    result = {"status": "Completed", "createdTime": 1730204346000, "jobId": number, "items": [item]}
    return json.dumps({**head, "assets": [], "result": result}, separators=(",", ":")) + "\n"


def contenders(place: Path, shape: str) -> dict[str, Contender]:
    """Who takes part here, by name; who cannot is told of."""
    together, folder = place / "records.ndjson", place / "records"

    def peer(name: str) -> Contender:
        return lambda out: [sys.executable, str(HERE / "tablers.py"), name, shape, str(together), str(out)]

    def jobfetch(source: Path) -> Contender:
        return lambda out: [str(JOBFETCH), "-q", "export", str(source), "-f", shape, "-o", str(out)]

    found: dict[str, Contender] = {}
    for name, module in PEERS.items():
        if shape == "parquet" and name == "loop":
            continue
        if importlib.util.find_spec(module):
            found[name] = peer(name)
        else:
            print(f"{name} is not installed: left out")
    if shape == "csv" and shutil.which("jq"):
        found["jq"] = peer("jq")
    elif shape == "csv":
        print("jq is not on PATH: left out")
    return {**found, "jobfetch, a folder": jobfetch(folder), "jobfetch": jobfetch(together)}


def rows_in(path: Path, shape: str) -> int:
    """How many rows a table has."""
    if shape == "csv":
        with path.open("rb") as file:
            return sum(1 for _ in file) - 1
    import pyarrow.parquet  # noqa: PLC0415 - not for csv

    return int(pyarrow.parquet.read_metadata(path).num_rows)


def main() -> None:
    """Run the rounds and print the table."""
    parser = argparse.ArgumentParser(description=__doc__, prog=Path(__file__).name)
    parser.add_argument("--records", type=int, default=10_000)
    parser.add_argument("--rounds", type=int, default=3)
    parser.add_argument("--format", choices=["csv", "parquet"], default="csv")
    parser.add_argument("--place", help="a folder for the files, for example on a memory-backed disk")
    options = parser.parse_args()
    with tempfile.TemporaryDirectory(dir=options.place) as name:
        place = Path(name)
        (place / "records").mkdir()
        with (place / "records.ndjson").open("w") as together:
            for number in range(options.records):
                line = record(number)
                together.write(line)
                (place / "records" / f"{number}.json").write_text(line)
        taking_part = contenders(place, options.format)
        runs: dict[str, list[Run]] = {name: [] for name in taking_part}
        out, environment = place / "out", {"JOBFETCH_CONFIG_DIR": "/nonexistent"}
        held: dict[str, float] = {}
        for who, contender in taking_part.items():
            held[who] = held_by_all(contender(out), environment)
            out.unlink()
        for _ in range(options.rounds):
            for who, contender in taking_part.items():
                runs[who].append(replace(timed(contender(out), environment), peak=held[who]))
                if (rows := rows_in(out, options.format)) != options.records * PREDICTIONS:
                    sys.exit(f"{who}: {rows} rows instead of {options.records * PREDICTIONS}")
                out.unlink()
        size = (place / "records.ndjson").stat().st_size / 1e6
    print(f"{options.records} records, {size:.0f} MB, {options.records * PREDICTIONS} rows to {options.format}\n")
    print(table(runs, against="jobfetch"))


if __name__ == "__main__":
    main()
