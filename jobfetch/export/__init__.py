"""Puts results where they belong: tables, and standard output."""

from jobfetch.export.columns import Survey
from jobfetch.export.stdout import to_stdout
from jobfetch.export.tables import SUFFIXES, Table, available, schema_of, table_for, write_table

__all__ = ["SUFFIXES", "Survey", "Table", "available", "schema_of", "table_for", "to_stdout", "write_table"]
