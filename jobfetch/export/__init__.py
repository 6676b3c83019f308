"""Puts results where they belong: tables, and standard output."""

from jobfetch.export.stdout import to_stdout
from jobfetch.export.tables import write_csv, write_ndjson, write_table

__all__ = ["to_stdout", "write_csv", "write_ndjson", "write_table"]
