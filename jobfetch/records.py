"""From a status and a result to what is kept: the record with the service's own bytes in it, and rows.

It writes no file: it gives bytes and rows to whoever does.
"""

from __future__ import annotations

import codecs
import json
import mmap
import os
import re
from collections.abc import Callable, Iterable, Iterator, Mapping
from typing import Any, BinaryIO, Literal

import jmespath
import jmespath.exceptions
import msgspec
import pydantic

from jobfetch.errors import BadReply, UsageError
from jobfetch.model import Json, State, Status, StoredAsset, compact, decode, elements, encode, members, opens
from jobfetch.spec import COMMON_COLUMNS, RowRules, Rows

SCHEMA = "jobfetch.result/1"

#: One row: column -> the service's own JSON token.
Row = dict[str, bytes]


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
    envelope = Record.model_construct(
        schema_=SCHEMA,
        provider=provider,
        job_id=job_id,
        state=status.state,
        provider_state=status.provider_state,
        created_at=status.created_at,
        started_at=status.started_at,
        finished_at=status.finished_at,
        progress=status.progress,
        message=status.message,
        error=status.error and ErrorRecord(code=status.error.code, message=status.error.message),
        failed_items=[FailedItemRecord(item_id=item.item_id, message=item.message) for item in status.failed_items],
        assets=[AssetRecord.model_validate(asset, from_attributes=True) for asset in assets],
        fetched_at=fetched_at,
    )
    left_out = {"result"} if fetched_at else {"result", "fetched_at"}
    head = encode(scrub(envelope.model_dump(mode="json", by_alias=True, exclude=left_out)))
    return [head[:-1], b',"result":', compact(result), b"}\n"]


def json_schema() -> bytes:
    """The record's JSON Schema, as it is shipped."""
    schema = Record.model_json_schema(by_alias=True, mode="serialization")
    return json.dumps(schema, indent=2, ensure_ascii=False).encode() + b"\n"


# --- queries ---


def query(expression: str) -> Callable[[bytes], bytes]:
    """A JMESPath expression, compiled: record in, one line of JSON out. `UsageError` where it is none."""
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


# --- rows ---


def compiled(rules: RowRules) -> Callable[[str, str, bytes], Iterator[Row]]:
    """Row rules, compiled: (provider, job id, result) -> rows, each a mapping of column to JSON token.

    Numbers stay as the service wrote them, lists stay compact JSON. A result that none of the rules fits gives one
    row of its own fields, so that nothing is lost.
    """

    def rows_of(provider: str, job_id: str, result: bytes) -> Iterator[Row]:
        start = {"provider": encode(provider), "job_id": encode(job_id)}
        top = members(result)
        walks = _walks(rules, top)
        tops = {walk.steps[0].key for walk in walks}
        beside = {f"{rules.top}.{key}": raw for key, raw in top.items() if key not in tops}
        carried = _named(_leaves_of(beside, rules.left_out)) if walks and "$" not in tops else {}
        rows = (row for walk in walks for row in walk.rows(top, carried, rules))
        first = next(rows, {"kind": encode(rules.top), **carried} if carried else None)
        for row in (first, *rows) if first else ():
            yield start | row
        if not walks:
            for row in _unruled(result, rules):
                yield start | {"kind": encode(rules.top)} | row

    return rows_of


def part_rows(rules: RowRules, provider: str, job_id: str, parts: Iterable[bytes]) -> Iterator[Row]:
    """The rows of parts that came window by window, each part a JSON value."""
    rule = rules.parts or Rows(each=("$",), kind="part")
    walk = _Walk(rule, [_Step("$")])
    for part in parts:
        for row in walk.rows(members(part), {}, RowRules(kinds=())):
            yield {"provider": encode(provider), "job_id": encode(job_id)} | row


def view(rules: RowRules, name: str, provider: str, job_id: str, result: bytes) -> Iterator[Row]:
    """The rows of another view of a result, by its name."""
    for row in rules.named[name](result):
        yield {"provider": encode(provider), "job_id": encode(job_id)} | row


def _walks(rules: RowRules, top: Mapping[str, msgspec.Raw]) -> list[_Walk]:
    """The ways through this result: for every kind the first of its paths that is there, and no path walked twice."""
    walks: list[_Walk] = []
    for kind in rules.kinds:
        for path in kind.each:
            steps = [_Step(text) for text in path.split(".")]
            there = _has(top, steps) if len(kind.each) > 1 or path == "$" else steps[0].key in top
            if there and not any(_same_way(steps, walk.steps) for walk in walks):
                walks.append(_Walk(kind, steps))
                break
    return walks


def _has(level: Mapping[str, msgspec.Raw], steps: list[_Step]) -> bool:
    """Whether a result has anything at a path (an empty list counts, a missing key does not)."""
    step, rest = steps[0], steps[1:]
    if not rest or step.key == "*":
        return step.key in {"*", "$"} or step.key in level
    raw = level.get(step.key)
    if raw is None:
        return False
    inside = elements(raw) if step.many and opens(raw) == b"[" else [raw]
    return not inside or any(_has(members(element), rest) for element in inside) or rest[0].key == "*"


def _same_way(steps: list[_Step], walked: list[_Step]) -> bool:
    return [step.key for step in steps] == [step.key for step in walked][: len(steps)]


def _unruled(result: bytes, rules: RowRules) -> Iterator[Row]:
    """Rows of a result that no rule fits: its own fields, one row for each element where it is a list."""
    for element in elements(result) or [msgspec.Raw(compact(result))]:
        kept = {
            key: raw for key, raw in members(element).items() if not _is_left_out(f"{rules.top}.{key}", rules.left_out)
        }
        row = _named(_leaves_of(kept, {})) if opens(element) == b"{" else {"value": compact(bytes(element))}
        if row:
            yield _beside_common(row)


class _Step:
    """One segment of a path: a key or `*`, and whether its elements are meant."""

    def __init__(self, text: str) -> None:
        self.key = text.removesuffix("[]")
        self.many = text.endswith("[]")


class _Walk:
    """One row kind on its way through one result."""

    def __init__(self, rule: Rows, steps: list[_Step]) -> None:
        self.rule = rule
        self.steps = steps
        self._left_out: Mapping[str, str] = {}

    def rows(self, top: Mapping[str, msgspec.Raw], carried: Row, rules: RowRules) -> Iterator[Row]:
        """Every row of this kind under the opened top of a result."""
        if self.steps[0].key == "$":
            kept = {key: raw for key, raw in top.items() if not _is_left_out(f"{rules.top}.{key}", rules.left_out)}
            yield self._row({}, _named(_leaves_of(kept, {})), self.rule.kind or self.rule.empty)
            return
        self._left_out = rules.left_out
        for leaf, kind, parents in self._walk(top, self.steps, self.rule.kind, {}, ""):
            yield self._row(_named([*carried.items(), *parents.items()]), _own(leaf), kind)

    def _walk(
        self, level: Mapping[str, msgspec.Raw], steps: list[_Step], kind: str | None, parents: Row, name: str
    ) -> Iterator[tuple[msgspec.Raw | None, str, Row]]:
        """Each element at the end of the path, with its kind and what its parents carry; None for an empty level."""
        step, rest = steps[0], steps[1:]
        found = False
        for key, raw in level.items() if step.key == "*" else _only(level, step.key):
            word = (kind or key) if step.key == "*" else kind
            if step.key == "*" and self.rule.member:
                parents = {**parents, self.rule.member: encode(key)}
            here = name if step.key == "*" else f"{name}.{key}".lstrip(".")
            for element in elements(raw) if step.many and opens(raw) == b"[" else (raw,):
                if bytes(element) == b"null":
                    continue
                found = True
                if not rest or opens(element) != b"{":
                    yield element, word or here.rpartition(".")[2], parents
                else:
                    inside = members(element)
                    yield from self._walk(inside, rest, word, self._and_beside(parents, inside, here, rest[0]), here)
        if not found and name:
            yield None, self.rule.empty, parents

    def _and_beside(self, parents: Row, level: Mapping[str, msgspec.Raw], name: str, step: _Step) -> Row:
        return _named([*parents.items(), *_beside(level, name, step, self._left_out).items()])

    def _row(self, carried: Row, own: Row, kind: str) -> Row:
        for name, raw in carried.items():
            own[_free(name, own)] = raw
        row: Row = {"kind": encode(kind)}
        for column, names in self.rule.copies.items():
            found = (_at(own, name) for name in names)
            filled = next((raw for raw in found if raw not in {None, b"null", b'""'}), None)
            if filled is not None:
                row[column] = filled
        for column, names in self.rule.columns.items():
            taken = next((name for name in names if own.get(name, b"null") != b"null"), None)
            if taken is not None:
                row[column] = own.pop(taken)
        for name, raw in own.items():
            row[_free(name, row, COMMON_COLUMNS)] = raw
        return row


def _at(own: Row, name: str) -> bytes | None:
    """A leaf by its name, or an element of one that is a list (`bbox[0]`)."""
    match = re.fullmatch(r"(.+)\[(\d+)\]", name)
    if not match:
        return own.get(name)
    inside = elements(own.get(match[1], b"null"))
    return bytes(inside[int(match[2])]) if int(match[2]) < len(inside) else None


def _only(level: Mapping[str, msgspec.Raw], key: str) -> list[tuple[str, msgspec.Raw]]:
    return [(key, level[key])] if key in level else []


def _beside(level: Mapping[str, msgspec.Raw], name: str, step: _Step, left_out: Mapping[str, str]) -> Row:
    """What stands on a level beside the way down; a way through every member leaves nothing beside it."""
    if step.key == "*":
        return {}
    return _named(_leaves_of({f"{name}.{key}": raw for key, raw in level.items() if key != step.key}, left_out))


def _own(leaf: msgspec.Raw | None) -> Row:
    """An element's own fields; one that is no object is a field `value`."""
    if leaf is None:
        return {}
    return _named(_leaves_of(members(leaf), {})) if opens(leaf) == b"{" else {"value": compact(bytes(leaf))}


def _named(leaves: Iterable[tuple[str, bytes]]) -> Row:
    """Leaves as cells of one row, none over another where their names are the same."""
    row: Row = {}
    for name, raw in leaves:
        row[_free(name, row)] = raw
    return row


def _beside_common(own: Row) -> Row:
    row: Row = {}
    for name, raw in own.items():
        row[_free(name, row, COMMON_COLUMNS)] = raw
    return row


def _free(name: str, taken: Mapping[str, bytes], reserved: tuple[str, ...] = ()) -> str:
    """The name itself, or with marks behind it where another field has it already: nothing may be overwritten."""
    while name in taken or name in reserved:
        name += "~"
    return name


def _leaves_of(level: Mapping[str, msgspec.Raw], left_out: Mapping[str, str]) -> Iterator[tuple[str, bytes]]:
    for name, raw in level.items():
        if not _is_left_out(name, left_out):
            yield from _leaves(name, raw)


def _leaves(name: str, raw: msgspec.Raw) -> Iterator[tuple[str, bytes]]:
    """Every leaf under a value, dotted; lists and empty objects are leaves, as compact JSON."""
    inside = members(raw) if opens(raw) == b"{" else {}
    if not inside:
        yield name, compact(bytes(raw)) if opens(raw) in {b"[", b"{"} else bytes(raw)
    for key, member in inside.items():
        yield from _leaves(f"{name}.{key}" if name else key, member)


def _is_left_out(name: str, left_out: Mapping[str, str]) -> bool:
    return any(name == prefix or name.startswith(prefix + ".") for prefix in left_out)


def check_json_file(file: BinaryIO) -> None:
    """Read over a written file without holding it in memory; `BadReply` where it is not JSON."""
    file.flush()
    if file.seek(0, os.SEEK_END) == 0:
        raise BadReply("the result is empty")
    file.seek(0)
    start = len(codecs.BOM_UTF8) if file.read(3) == codecs.BOM_UTF8 else 0
    utf8 = codecs.getincrementaldecoder("utf-8")()
    try:
        while chunk := file.read(1024 * 1024):
            utf8.decode(chunk)
        utf8.decode(b"", final=True)
        with (
            mmap.mmap(file.fileno(), 0, access=mmap.ACCESS_READ) as body,
            memoryview(body) as view,
            view[start:] as json_,
        ):
            msgspec.json.decode(json_, type=msgspec.Raw)
            if opens(bytes(json_[:4096])) not in {b"{", b"["}:
                raise BadReply("the result is neither a JSON object nor a list")
    except (msgspec.MsgspecError, RecursionError, UnicodeDecodeError):
        raise BadReply("the result is not JSON") from None


def text(raw: bytes) -> str:
    """A JSON token as the text of a table cell: strings decoded, null empty, everything else as written."""
    if raw[:1] == b'"':
        decoded: str = decode(raw)
        return decoded
    return "" if raw == b"null" else raw.decode()
