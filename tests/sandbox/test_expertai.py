"""expert.ai's login and tasks, as the sandbox plays them."""

import base64
import gzip
import json
import struct
import time
from collections.abc import Callable, Iterator
from typing import Any

import pytest

from jobfetch.sandbox import SECRETS, Sandbox

Ask = Callable[..., Any]

PUBLISHED = json.loads(r"""
{"current":100,"message":"completed","state":"SUCCESS","result":{
 "header":{"conversionDateTime":"2022-03-09 10:47","customInfo":{"Producer":"Skia/PDF m100 Google Docs Renderer","Title":"test"},
           "documentName":"test.pdf","errorPages":0,"metadata":[],"totPages":1,"version":"2.1.1"},
 "layout":[{"bbox":[0,0,850,1100],"children":[2],"id":1,"page":1,"type":"page"},
           {"bbox":[100,100,125,114],"content":"test\n","id":2,"label":"H","page":1,"parent":1,"type":"text"}],
 "words":["H4sIAK+FKGIC/ytJLS5hYGJgYEgB4lQgrgHiIiAGAEjL9hsZAAAA"]}}
""")


def claims(token: str) -> dict[str, Any]:
    part = token.split(".")[1]
    known: dict[str, Any] = json.loads(base64.urlsafe_b64decode(part + "=" * (-len(part) % 4)))
    return known


def records(words: str, gap: int) -> Iterator[tuple[str, tuple[int, ...]]]:
    data = gzip.decompress(base64.b64decode(words))
    start = 0
    while start < len(data):
        end = data.index(b"\0", start)
        yield data[start:end].decode(), struct.unpack_from("<5i", data, end + 1)
        start = end + 21 + gap
        assert data[start - gap : start] == bytes(gap)


def test_a_login_gives_a_token_as_plain_text_that_says_when_it_ends(login: Ask) -> None:
    reply = login()
    token = reply.body.decode()
    assert reply.headers["content-type"].startswith("text/plain")
    assert 3500 < claims(token)["exp"] - time.time() <= 3600
    assert any(token.startswith(secret) for secret in SECRETS)
    assert json.loads(base64.urlsafe_b64decode(token.split(".")[0] + "=="))["typ"] == "JWT"


def test_no_two_tokens_are_alike(login: Ask) -> None:
    assert login().body != login().body


@pytest.mark.parametrize("wrong", [{"username": "x"}, {"password": "x"}, {"password": ""}])
def test_a_wrong_name_or_password_gives_no_token(login: Ask, wrong: dict[str, str]) -> None:
    assert login(**wrong).status == 401


def test_a_login_must_be_json_and_say_so(sandbox: Sandbox, ask: Ask) -> None:
    url = sandbox.environment()["JOBFETCH_EXPERTAI_TOKEN_URL"]
    assert ask(url, "POST", "username=x").status == 415
    assert ask(url, "POST", "[1]", content_type="application/json").status == 401
    assert ask(url, "POST", "{", content_type="application/json").status == 401


def test_the_password_is_trouble_for_whoever_quotes_it(sandbox: Sandbox) -> None:
    password = sandbox.environment()["JOBFETCH_EXPERTAI_PASSWORD"]
    assert set("\"'%&=+\\ ü") - set(password) == {"ü"}
    assert not password.isascii()


@pytest.mark.parametrize("kind", ["token", "token-short", "token-not-jwt"])
def test_every_token_given_as_text_is_good(login: Ask, task: Ask, kind: str) -> None:
    assert task("done", login(kind).body.decode()).status == 200


def test_a_token_may_be_in_json_or_have_a_line_end(login: Ask, task: Ask) -> None:
    assert task("done", login("token-json").json()["access_token"]).status == 200
    assert task("done", login("token-quoted").json()).status == 200
    assert login("token-line").body.endswith(b"\n")


def test_a_short_token_ends_soon(login: Ask) -> None:
    assert claims(login("token-short").body.decode())["exp"] - time.time() <= 31


@pytest.mark.parametrize(
    ("kind", "status"),
    [
        ("token-html", 200),
        ("token-not-json", 200),
        ("token-empty", 200),
        ("token-refuses", 401),
        ("token-echo", 401),
        ("token-elsewhere", 302),
        ("token-unavailable", 503),
        ("token-nobody-knows", 404),
    ],
)
def test_the_login_may_go_wrong(login: Ask, kind: str, status: int) -> None:
    assert login(kind).status == status


@pytest.mark.parametrize("token", ["guess", "a.b.c", "..", "sbx-opaque/"])
def test_a_token_that_was_never_given_is_refused(task: Ask, token: str) -> None:
    assert task("done", token).status == 401


def test_a_token_that_was_changed_is_refused(login: Ask, task: Ask) -> None:
    head, body, mark = login().body.decode().split(".")
    assert task("done", f"{head}.{body}x.{mark}").status == 401


def test_a_finished_task_is_the_published_sample(task: Ask) -> None:
    assert task("done").json() == PUBLISHED


def test_the_sample_task_is_queued_and_runs_and_is_done(task: Ask) -> None:
    seen = [task("sample").json() for _ in range(3)]
    assert [(one["state"], one["current"]) for one in seen] == [("PENDING", 0), ("PROGRESS", 35), ("SUCCESS", 100)]


def test_the_tasks_are_below_a_prefix(sandbox: Sandbox, ask: Ask) -> None:
    assert ask(f"{sandbox.url}/status/done").status == 404
    assert ask(f"{sandbox.url}/beta/status/done").status == 401


@pytest.mark.parametrize(("task_id", "state"), [("fails", "FAILURE"), ("aborted", "ABORTED")])
def test_a_task_that_failed_is_a_200_that_says_so(task: Ask, task_id: str, state: str) -> None:
    assert task(task_id).json()["state"] == "PROGRESS"
    reply = task(task_id)
    assert (reply.status, reply.json()["state"]) == (200, state)


def test_a_task_may_be_pending_for_ever(task: Ask) -> None:
    assert {(one["state"], one["current"]) for one in (task("always-pending").json() for _ in range(5))} == {
        ("PENDING", 0)
    }


def test_pages_may_have_failed(task: Ask) -> None:
    reply = task("error-pages").json()
    assert (reply["state"], reply["result"]["header"]["errorPages"]) == ("SUCCESS", 2)


def test_a_revoked_token_is_refused_and_another_is_welcome(login: Ask, task: Ask) -> None:
    assert [task("expired-token").status for _ in range(3)] == [200, 401, 401]
    assert task("expired-token", login().body.decode()).json()["state"] == "SUCCESS"


def test_the_published_words_are_one_record(task: Ask) -> None:
    [words] = task("done").json()["result"]["words"]
    assert list(records(words, 0)) == [("test", (2, 100, 101, 124, 114))]


@pytest.mark.parametrize(("task_id", "gap"), [("words-plain", 0), ("words-separated", 4), ("pages", 0)])
def test_words_are_records_with_or_without_a_gap(task: Ask, task_id: str, gap: int) -> None:
    result = task(task_id).json()["result"]
    pages = [list(records(words, gap)) for words in result["words"]]
    assert [[word for word, _ in page] for page in pages] == [
        ["Annual", "report", "Pumps", "and", "valves", "were", "checked."],
        ["Annual", "report", "Größe", "und", "Länge."],
        ["3"],
    ]
    known = {one["id"]: one["page"] for one in result["layout"]}
    assert [{known[box[0]] for _, box in page} for page in pages] == [{1}, {2}, {3}]


def test_a_table_has_cells_with_heads_spelled_in_two_ways(task: Ask) -> None:
    cells = [one for one in task("table").json()["result"]["layout"] if one["type"] == "cell"]
    assert {(cell["row"], cell["column"]) for cell in cells} == {(0, 0), (1, 0), (1, 1), (2, 0), (2, 1), (3, 1)}
    assert {name for cell in cells for name in cell if name.lower() == "ishead"} == {"isHEad", "isHead"}
    assert [cell["span"] for cell in cells if cell.get("span")] == [[1, 2], [2, 1]]


def test_a_field_may_come_that_nobody_documented(task: Ask) -> None:
    assert [(one["state"], one["total"]) for one in (task("extra-total").json() for _ in range(2))] == [
        ("PROGRESS", 100.0),
        ("SUCCESS", 100.0),
    ]


def test_a_missing_subscription_is_said_inside(task: Ask) -> None:
    reply = task("no-subscription")
    assert (reply.status, reply.json()["_embedded"]["errors"][0]["message"]) == (403, "No active subscription")


@pytest.mark.parametrize(("task_id", "status"), [("over-plan", 413), ("nobody", 404), ("error-500", 500)])
def test_refusals_have_their_status(task: Ask, task_id: str, status: int) -> None:
    assert task(task_id).status == status


def test_celerys_other_words_may_come(task: Ask) -> None:
    assert [task("celery-words").json()["state"] for _ in range(4)] == ["RECEIVED", "STARTED", "RETRY", "SUCCESS"]


def test_a_big_result_has_some_megabytes(task: Ask) -> None:
    reply = task("big-body")
    assert len(reply.body) > 2_000_000
    assert len(list(records(reply.json()["result"]["words"][0], 0))) == 120_000


def test_odd_numbers_stay_as_they_are_written(task: Ask) -> None:
    task("hostile")
    body = task("hostile").body
    for number in (b"0.10", b"1E5", b"123456789012345678901234567890", b"9223372036854775808"):
        assert number in body


def test_a_client_that_lets_itself_be_sent_away_with_its_password_finds_a_token(login: Ask, ask: Ask) -> None:
    place = login("token-elsewhere").headers["location"]
    assert ask(place, "POST", "{}").body.count(b".") == 2


def test_a_client_that_lets_itself_be_sent_away_finds_a_task_that_looks_done(task: Ask, ask: Ask) -> None:
    assert ask(task("redirect-elsewhere").headers["location"]).json()["state"] == "SUCCESS"
