"""Puts bytes where they belong: files that appear whole or not at all, tables, standard output."""

from jobfetch.export.files import explained, folder, replacing, safe_name, spool, to_stdout
from jobfetch.export.tables import write_csv, write_ndjson

__all__ = ["explained", "folder", "replacing", "safe_name", "spool", "to_stdout", "write_csv", "write_ndjson"]
