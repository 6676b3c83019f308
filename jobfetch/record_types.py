"""The record as types: what Python programs get of it, and the JSON Schema that is shipped.

Apart from `records`, since no command needs it: to build its classes takes longer than many a file that is written.
"""

from __future__ import annotations

import json
from typing import Any, Literal

import pydantic

from jobfetch.model import State
from jobfetch.records import SCHEMA


class FailedItemRecord(pydantic.BaseModel):
    """A part of the job that failed."""

    item_id: str | None
    message: str | None


class ErrorRecord(pydantic.BaseModel):
    """Why the job failed, in the service's words."""

    code: str | None
    message: str


class AssetRecord(pydantic.BaseModel):
    """A linked file: where its link stands in the result, and where it lies, relative to the record."""

    path: str
    file: str | None
    bytes: int | None
    sha256: str | None
    error: str | None


class Record(pydantic.BaseModel):
    """The normalised record of one job. Times are RFC 3339 UTC, progress is percent."""

    model_config = pydantic.ConfigDict(json_schema_extra={"$id": SCHEMA})

    schema_: Literal["jobfetch.result/1"] = pydantic.Field(alias="schema")
    provider: str
    job_id: str
    state: State
    provider_state: str | None
    created_at: str | None
    started_at: str | None
    finished_at: str | None
    progress: float | None
    message: str | None
    error: ErrorRecord | None
    failed_items: list[FailedItemRecord]
    assets: list[AssetRecord]
    fetched_at: str | None = pydantic.Field(None, description="left out with --reproducible")
    result: Any = pydantic.Field(description="the final reply's body, verbatim")


def json_schema() -> bytes:
    """The record's JSON Schema, as it is shipped."""
    schema = Record.model_json_schema(by_alias=True, mode="serialization")
    return json.dumps(schema, indent=2, ensure_ascii=False).encode() + b"\n"
