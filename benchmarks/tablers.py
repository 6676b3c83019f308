"""What people run instead of `jobfetch export`, each as its documents show it.

python benchmarks/tablers.py pyarrow|polars|duckdb|pandas|loop|jq csv|parquet SOURCE OUT
"""

from __future__ import annotations

import csv
import json
import subprocess
import sys
from pathlib import Path

COLUMNS = ("job_id", "fileExternalId", "fileId", "text", "confidence", "xMin", "yMin", "xMax", "yMax")


def pyarrow(shape: str, source: str, out: str) -> None:
    """Its own JSON reader, lists flattened by their parents' places."""
    import pyarrow as pa  # noqa: PLC0415 - one of them runs
    import pyarrow.compute as pc  # noqa: PLC0415 - likewise
    import pyarrow.csv  # noqa: PLC0415 - likewise
    import pyarrow.json  # noqa: PLC0415 - likewise
    import pyarrow.parquet  # noqa: PLC0415 - likewise

    read = pa.json.read_json(source, read_options=pa.json.ReadOptions(block_size=1 << 24))
    nested = pc.struct_field(read["result"], "items").combine_chunks()
    items, of_job = pc.list_flatten(nested), pc.list_parent_indices(nested)
    found = pc.struct_field(items, ["predictions", "textPredictions"])
    each, of_item = pc.list_flatten(found), pc.list_parent_indices(found)
    columns = {"job_id": read["job_id"].combine_chunks().take(of_job).take(of_item)}
    columns |= {name: pc.struct_field(items, name).take(of_item) for name in ("fileExternalId", "fileId")}
    columns |= {name: pc.struct_field(each, name) for name in ("text", "confidence")}
    columns |= {name: pc.struct_field(each, ["textRegion", name]) for name in ("xMin", "yMin", "xMax", "yMax")}
    made = pa.table(columns)
    _ = pa.csv.write_csv(made, out) if shape == "csv" else pa.parquet.write_table(made, out, compression="zstd")


def polars(shape: str, source: str, out: str) -> None:
    """Read, explode, unnest."""
    import polars as pl  # noqa: PLC0415 - one of them runs

    read = pl.read_ndjson(source).select("job_id", pl.col("result").struct.field("items")).explode("items")
    rows = read.select("job_id", pl.col("items").struct.field("fileExternalId", "fileId", "predictions"))
    rows = rows.with_columns(pl.col("predictions").struct.field("textPredictions")).drop("predictions")
    rows = rows.explode("textPredictions").unnest("textPredictions").unnest("textRegion")
    _ = rows.write_csv(out) if shape == "csv" else rows.write_parquet(out, compression="zstd")


def duckdb(shape: str, source: str, out: str) -> None:
    """One statement."""
    import duckdb as dd  # noqa: PLC0415 - one of them runs

    items = f"SELECT job_id, unnest(result.items) AS i FROM read_ndjson_auto('{source}')"  # noqa: S608 - our own file
    each = f"SELECT job_id, i.fileExternalId, i.fileId, unnest(i.predictions.textPredictions) AS p FROM ({items})"  # noqa: S608 - likewise
    edges = ", ".join(f"p.textRegion.{edge}" for edge in ("xMin", "yMin", "xMax", "yMax"))
    rows = f"SELECT * EXCLUDE (p), p.text, p.confidence, {edges} FROM ({each})"  # noqa: S608 - likewise
    how = "HEADER" if shape == "csv" else "FORMAT parquet, COMPRESSION zstd"
    dd.execute(f"COPY ({rows}) TO '{out}' ({how})")


def pandas(shape: str, source: str, out: str) -> None:
    """`json_normalize`, with the parents as meta."""
    import pandas as pd  # noqa: PLC0415 - one of them runs

    with Path(source).open() as lines:
        records = [json.loads(line) for line in lines]
    flat = [{"job_id": record["job_id"], **item} for record in records for item in record["result"]["items"]]
    rows = pd.json_normalize(flat, ["predictions", "textPredictions"], ["job_id", "fileExternalId", "fileId"])
    _ = rows.to_csv(out, index=False) if shape == "csv" else rows.to_parquet(out, compression="zstd")


def loop(_: str, source: str, out: str) -> None:
    """The standard library, a line at a time."""
    with Path(source).open() as lines, Path(out).open("w", newline="") as file:
        table = csv.writer(file)
        table.writerow(COLUMNS)
        for line in lines:
            record = json.loads(line)
            for item in record["result"]["items"]:
                for each in item["predictions"]["textPredictions"]:
                    box = each["textRegion"]
                    own = (each["text"], each["confidence"], box["xMin"], box["yMin"], box["xMax"], box["yMax"])
                    table.writerow((record["job_id"], item["fileExternalId"], item["fileId"], *own))


def jq(_: str, source: str, out: str) -> None:
    """A filter that ends in @csv."""
    head = json.dumps(COLUMNS)
    rows = (
        "inputs | .job_id as $j | .result.items[] | . as $i | .predictions.textPredictions[] | [$j, $i.fileExternalId, "
        "$i.fileId, .text, .confidence, .textRegion.xMin, .textRegion.yMin, .textRegion.xMax, .textRegion.yMax]"
    )
    with Path(out).open("w") as file:
        subprocess.run(["jq", "-rn", f"({head}, ({rows})) | @csv", source], stdout=file, check=True)


if __name__ == "__main__":
    {each.__name__: each for each in (pyarrow, polars, duckdb, pandas, loop, jq)}[sys.argv[1]](*sys.argv[2:])
