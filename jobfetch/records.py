"""From a status and a result to what is kept: the record, with the service's own bytes in it.

It writes no file: it gives bytes to whoever does.
"""

from __future__ import annotations

import json
from collections.abc import Callable
from typing import Any

import msgspec
from msgspec.structs import asdict

from jobfetch.errors import BadReply, UsageError
from jobfetch.model import Json, Status, StoredAsset, compact, encode

SCHEMA = "jobfetch.result/1"

#: Bytes of a result that may be copied once more.
_SMALL = 64 * 1024


def record(
    provider: str,
    job_id: str,
    status: Status,
    result: bytes,
    *,
    assets: tuple[StoredAsset, ...] = (),
    fetched_at: str | None = None,
    scrub: Callable[[Json], Json] = lambda value: value,
) -> list[bytes]:
    """The record as one line of JSON, in pieces, the service's own tokens as `result`; the result may be large.

    `scrub` takes secrets out of everything but the result.
    """
    # plain data, since this is done for every job of a batch: a test holds it to the schema
    envelope = {
        "schema": SCHEMA,
        "provider": provider,
        "job_id": job_id,
        "state": str(status.state),
        "provider_state": status.provider_state,
        "created_at": status.created_at,
        "started_at": status.started_at,
        "finished_at": status.finished_at,
        "progress": None if status.progress is None else float(status.progress),
        "message": status.message,
        "error": status.error and {"code": status.error.code, "message": status.error.message},
        "failed_items": [{"item_id": item.item_id, "message": item.message} for item in status.failed_items],
        "assets": [asdict(asset) for asset in assets],
        **({"fetched_at": fetched_at} if fetched_at else {}),
    }
    pieces = [encode(scrub(envelope))[:-1], b',"result":', compact(result), b"}\n"]
    # a small one whole: each piece is a call to the system
    return pieces if len(result) > _SMALL else [b"".join(pieces)]


# --- queries ---


def query(expression: str) -> Callable[[bytes], bytes]:
    """A JMESPath expression, compiled: record in, one line of JSON out. `UsageError` where it is none."""
    import jmespath  # noqa: PLC0415 - only a query needs it
    import jmespath.exceptions  # noqa: PLC0415 - likewise

    try:
        compiled = jmespath.compile(expression)
    except jmespath.exceptions.JMESPathError as error:
        raise UsageError(f"--query: {' '.join(str(error).split())}", hint="see https://jmespath.org") from None

    def run(line: bytes) -> bytes:
        try:
            found = compiled.search(json.loads(line, parse_float=_number, parse_int=_integer))
            return encode(_as_written(found)) + b"\n"
        except (jmespath.exceptions.JMESPathError, ValueError, TypeError, ArithmeticError) as error:
            raise UsageError(f"--query: {' '.join(str(error).split())}") from None
        except RecursionError:
            raise BadReply("--query: the record is nested too deeply to be queried", hint="take it whole") from None

    return run


# JMESPath knows a number by the name of its type; this one remembers how it was written
_Written: Any = type("float", (float,), {})


def _number(text: str) -> Any:
    number = _Written(text)
    number.text = text
    return number


def _integer(text: str) -> Any:
    try:
        return int(text)
    except ValueError:  # more digits than Python is willing to count
        return _number(text)


def _as_written(value: Json) -> Json:
    if isinstance(value, list):
        return [_as_written(element) for element in value]
    if isinstance(value, dict):
        return {key: _as_written(member) for key, member in value.items()}
    if isinstance(value, float) and hasattr(value, "text"):
        return msgspec.Raw(value.text)
    return msgspec.Raw(str(value)) if isinstance(value, int) and not isinstance(value, bool) else value
