"""The record of a job: a fixed envelope, and the service's own tokens as the result."""

import contextlib
import json
from collections.abc import Callable
from typing import Any

import msgspec
import pytest
from hypothesis import given
from hypothesis import strategies as st

from jobfetch import flatten, jsonfile, record_types, records
from jobfetch.errors import BadReply, UsageError
from jobfetch.model import FailedItem, JobError, Reply, State, Status, StoredAsset

ENVELOPE = [
    "schema",
    "provider",
    "job_id",
    "state",
    "provider_state",
    "created_at",
    "started_at",
    "finished_at",
    "progress",
    "message",
    "error",
    "failed_items",
    "assets",
    "fetched_at",
    "result",
]
TOKENS = [
    b"9223372036854775807",
    b"9007199254740993",
    b"123456789012345678901234567890",
    b"0.10",
    b"1E5",
    b"1e400",
    b"-0",
    b"-0.0",
    b'"\\u00e9\\/\\n"',
    b'"\\ud83d\\ude00"',
    b"null",
    b"[]",
    b"{}",
    b'{"b":1,"a":2}',
    b'{"a":1,"a":2}',
]

JSON = st.recursive(
    st.none() | st.booleans() | st.integers() | st.floats(allow_nan=False, allow_infinity=False) | st.text(),
    lambda inner: st.lists(inner, max_size=4) | st.dictionaries(st.text(), inner, max_size=4),
    max_leaves=20,
)


def status(state: State = State.SUCCEEDED, **more: Any) -> Status:
    return Status(state=state, provider_state="Done", reply=Reply(200, {}, b"{}"), **more)


def line(result: bytes = b"{}", *, fetched_at: str | None = None, **more: Any) -> bytes:
    return b"".join(records.record("acme", "7", status(**more), result, fetched_at=fetched_at))


def test_the_keys_stand_in_the_promised_order() -> None:
    assert list(json.loads(line(fetched_at="2026-01-01T00:00:00.000Z"))) == ENVELOPE


def test_a_record_is_what_its_schema_says() -> None:
    asset = StoredAsset(path="items[0].link", file="7.assets/0001.png", bytes=3, sha256="ab", error=None)
    told = status(error=JobError("it broke", "E1"), failed_items=(FailedItem("1", "bad"),), progress=50)
    [head, *rest] = records.record("acme", "7", told, b"{}", assets=(asset,), fetched_at="2026-01-01T00:00:00.000Z")
    read = record_types.Record.model_validate_json(b"".join([head, *rest]), strict=True, extra="forbid")
    assert json.loads(read.model_dump_json(by_alias=True)) == json.loads(b"".join([head, *rest]))


def test_a_reproducible_record_leaves_out_only_when_it_was_fetched() -> None:
    assert list(json.loads(line())) == [key for key in ENVELOPE if key != "fetched_at"]


def test_the_same_job_gives_the_same_bytes() -> None:
    assert line(b'{"b": 1, "a": 2}') == line(b'{"b": 1, "a": 2}')


def test_a_record_is_one_line() -> None:
    text = line(b'{\n "a": [\n 1 ]\n}\n')
    assert text.count(b"\n") == 1
    assert text.endswith(b"\n")


@pytest.mark.parametrize("token", TOKENS)
def test_every_token_of_the_result_stays_as_the_service_wrote_it(token: bytes) -> None:
    assert line(b'{"a": ' + token + b"}").endswith(b',"result":{"a":' + token + b"}}\n")


@pytest.mark.parametrize("result", [b"", b"nope", b"<html>", b'{"a":', b'{"a":1} more', b'{"a":NaN}'])
def test_what_is_not_json_never_becomes_a_record(result: bytes) -> None:
    with pytest.raises(BadReply):
        line(result)


@given(JSON)
def test_any_result_is_found_again(value: Any) -> None:
    body = json.dumps({"a": value}, indent=2).encode()
    assert json.loads(line(body))["result"] == {"a": value}


@given(st.text())
def test_any_words_of_the_service_are_found_again(words: str) -> None:
    said = json.loads(line(message=words, error=JobError(words), failed_items=(FailedItem(words, words),)))
    assert (said["message"], said["error"]["message"], said["failed_items"][0]["item_id"]) == (words, words, words)


def test_errors_failed_items_and_assets_have_their_keys_in_order() -> None:
    asset = StoredAsset(path="a.url", file="7.assets/0001.png", bytes=3, sha256="ab")
    pieces = records.record(
        "acme",
        "7",
        status(error=JobError("no"), failed_items=(FailedItem("x", None),)),
        b"{}",
        assets=(asset,),
    )
    text = b"".join(pieces)
    assert b'"error":{"code":null,"message":"no"}' in text
    assert b'"failed_items":[{"item_id":"x","message":null}]' in text
    assert b'"assets":[{"path":"a.url","file":"7.assets/0001.png","bytes":3,"sha256":"ab","error":null}]' in text


def test_nothing_known_is_null_and_not_absent() -> None:
    said = json.loads(line())
    assert {key for key, value in said.items() if value is None} == {
        "created_at",
        "started_at",
        "finished_at",
        "progress",
        "message",
        "error",
    }


def test_the_schema_names_every_key_of_the_record() -> None:
    schema = json.loads(record_types.json_schema())
    assert list(schema["properties"]) == ENVELOPE
    assert set(schema["required"]) == set(ENVELOPE) - {"fetched_at"}


# --- a stored file ---


@pytest.fixture
def stored() -> Callable[[bytes], None]:
    """Check a file with these bytes, which come in two pieces."""

    def check(body: bytes) -> None:
        reading = jsonfile.Check()
        reading.feed(body[:5])
        reading.feed(body[5:])
        reading.end()

    return check


@pytest.mark.parametrize(
    "body", [b"{}", b" [1, 2] \n", b'{"a": 1e400}', b'\xef\xbb\xbf{"a": 1}', '{"a": "é"}'.encode()]
)
def test_a_stored_file_of_json_is_fine(stored: Callable[[bytes], None], body: bytes) -> None:
    stored(body)


@pytest.mark.parametrize(
    "body",
    [b"", b" \n", b"<html></html>", b'{"a": 1', b'{"a": 1} more', b"nope", b'{"a": "\xff"}', b"[" * 200_000],
    ids=["empty", "blank", "web page", "cut", "trailing", "word", "not UTF-8", "deep"],
)
def test_a_stored_file_that_is_no_json_is_a_bad_reply(stored: Callable[[bytes], None], body: bytes) -> None:
    with pytest.raises(BadReply):
        stored(body)


# --- queries ---


def ask(expression: str, result: bytes) -> bytes:
    return records.query(expression)(line(result))


@pytest.mark.parametrize("token", [token for token in TOKENS if token not in {b'{"a":1,"a":2}', b"-0"}])
def test_a_query_keeps_what_it_finds_as_written(token: bytes) -> None:
    found = ask("result.a", b'{"a": ' + token + b"}")
    assert found.endswith(b"\n")
    if token.startswith(b'"'):
        assert json.loads(found) == json.loads(token)
    else:
        assert found == token + b"\n"


def test_a_query_may_compare_and_project_numbers() -> None:
    body = b'{"items": [{"n": 0.10}, {"n": 0.90}, {"n": 1E5}, {"n": 7}]}'
    assert ask("result.items[?n > `0.5`].n", body) == b"[0.90,1E5,7]\n"
    assert ask("sort_by(result.items, &n)[0].n", body) == b"0.10\n"
    assert ask("{id: job_id, ns: result.items[*].n}", body) == b'{"id":"7","ns":[0.10,0.90,1E5,7]}\n'


def test_a_query_that_finds_nothing_gives_null() -> None:
    assert ask("result.nothing", b"{}") == b"null\n"


@pytest.mark.parametrize("expression", ["", "a[", "a..b", "nofunction(@)", "a b", "'"])
def test_a_query_that_cannot_be_is_a_matter_of_usage(expression: str) -> None:
    with pytest.raises(UsageError, match="--query"):
        ask(expression, b"{}")


def test_a_query_that_does_not_fit_what_is_there_is_a_matter_of_usage() -> None:
    with pytest.raises(UsageError, match="--query"):
        ask("length(result.a)", b'{"a": 1}')


@pytest.mark.parametrize("value", ["1" + "0" * 5000, '"\\u0000\\u001b[31m"'], ids=["long", "control"])
def test_a_query_survives_hostile_values(value: str) -> None:
    assert ask("result.a", f'{{"a": {value}}}'.encode()).rstrip() == value.encode()


@pytest.mark.parametrize("depth", [300, 500, 900, 5000])
def test_a_query_for_something_deep_never_ends_in_a_crash(depth: int) -> None:
    body = b'{"a": ' + b"[" * depth + b"]" * depth + b"}"
    with contextlib.suppress(UsageError, BadReply):
        assert ask("result.a", body).rstrip() == b"[" * depth + b"]" * depth


# --- cells ---


@pytest.mark.parametrize(
    ("token", "cell"),
    [
        (b"null", ""),
        (b'""', ""),
        (b'"a\\nb"', "a\nb"),
        (b'"\\u00e9"', "é"),
        (b"true", "true"),
        (b"0.10", "0.10"),
        (b"123456789012345678901234567890", "123456789012345678901234567890"),
        (b'[1,"a"]', '[1,"a"]'),
        (b'"=cmd()"', "=cmd()"),
    ],
)
def test_a_token_becomes_the_text_of_a_cell(token: bytes, cell: str) -> None:
    assert flatten.text(token) == cell


@given(st.text(st.characters(codec="utf-8")))
def test_any_text_is_the_text_of_its_cell(text: str) -> None:
    assert flatten.text(msgspec.json.encode(text)) == text
    assert flatten.text(json.dumps(text).encode()) == text
