"""Much to make a table of: one record of a gigabyte, and a million records that come in no order. How long, and how much memory.

    python benchmarks/big.py [--mib 1024] [--records 1000000] [--place FOLDER]

What is told is the most memory that all processes of an export held together. Some 4 GB of disk are needed.
"""

from __future__ import annotations

import argparse
import json
import sys
import tempfile
from pathlib import Path

from measure import JOBFETCH, drawn, held_by_all, timed

#: A step through the job ids that meets each of them once, and none in its place.
_STEP = 7_919


def one_record(path: Path, mib: int) -> None:
    """A record of Playment, as a linked annotations file makes it: so many polygons."""
    head = {"schema": "jobfetch.result/1", "provider": "playment", "job_id": "1", "state": "succeeded", "assets": []}
    begin, _, end = json.dumps({**head, "result": {"data": {"annotations_data": {"annotations": ["?"]}}}}).partition(
        '"?"'
    )
    points = [{"x": round(0.001 * n, 3), "y": round(0.002 * n, 3)} for n in range(8)]
    with path.open("w") as file:
        file.write(begin)
        number = 0
        while file.tell() < mib * 1024 * 1024:
            some = [
                json.dumps(
                    {"_id": f"a{each}", "type": "polygon", "label": "car", "coordinates": points}, separators=(",", ":")
                )
                for each in range(number, number + 1000)
            ]
            file.write(("," if number else "") + ",".join(some))
            number += 1000
        file.write(end + "\n")


def many_records(path: Path, records: int) -> None:
    """Small records of Cognite, one a line, not in the order of their ids."""
    with path.open("w") as file:
        for place in range(records):
            number = place * _STEP % records
            items = [{"fileId": number, "predictions": {"textPredictions": [{"text": "a", "confidence": 0.5}]}}]
            head = {"schema": "jobfetch.result/1", "provider": "cognite", "job_id": f"{number:07}", "assets": []}
            file.write(json.dumps({**head, "result": {"jobId": number, "items": items}}, separators=(",", ":")) + "\n")


def main() -> None:
    """Make both, export both, and print the table."""
    parser = argparse.ArgumentParser(description=__doc__, prog=Path(__file__).name)
    parser.add_argument("--mib", type=int, default=1024)
    parser.add_argument("--records", type=int, default=1_000_000)
    parser.add_argument("--place", help="a folder for the files")
    options = parser.parse_args()
    if options.records % _STEP == 0:
        parser.error(f"--records may not be a multiple of {_STEP}")
    rows: list[list[str]] = []
    with tempfile.TemporaryDirectory(dir=options.place) as name:
        source, out = Path(name) / "source.ndjson", Path(name) / "out"
        for what, make, much, shapes in (
            (f"one record of {options.mib} MiB", one_record, options.mib, ("csv", "parquet")),
            (f"{options.records} records", many_records, options.records, ("csv", "parquet", "sqlite")),
        ):
            make(source, much)
            for shape in shapes:
                line = [str(JOBFETCH), "-q", "export", str(source), "-f", shape, "-o", str(out)]
                run, held = timed(line), held_by_all(line)
                if what.endswith("records") and shape == "csv":
                    _are_sorted(out)
                rows.append([what, shape, f"{run.wall:.1f}", f"{run.cpu:.1f}", f"{held:.0f}"])
    print(drawn(["", "to", "seconds", "CPU s", "peak MB"], rows))


def _are_sorted(path: Path) -> None:
    before = b""
    with path.open("rb") as lines:
        next(lines)
        for line in lines:
            job = line.split(b",")[1]
            if job <= before:
                sys.exit(f"job {job.decode()} stands behind {before.decode()}")
            before = job


if __name__ == "__main__":
    main()
