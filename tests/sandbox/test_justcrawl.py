"""JustCrawl's jobs with their two endpoints, rows, lists and raw pages, as the sandbox plays them."""

import json
from collections.abc import Callable
from typing import Any

import pytest

from jobfetch.sandbox import BEHAVIOURS, Sandbox

Ask = Callable[..., Any]

SAMPLE = "2489E9AD-2EE2-8E00-8EC9-32D5F69181C0"


def row(crawl: Ask, job_id: str) -> Any:
    return crawl(f"/extraction/results/{job_id}")


def job(crawl: Ask, job_id: str) -> Any:
    return crawl(f"/jobs/{job_id}")


def test_the_sample_has_the_published_row_under_its_upper_case_id_only(crawl: Ask) -> None:
    assert [row(crawl, SAMPLE).status for _ in range(3)] == [404, 404, 200]
    published = row(crawl, SAMPLE).json()
    assert (published["id"], published["jobId"], published["normalized"]) == (SAMPLE, SAMPLE, {})
    assert row(crawl, SAMPLE.lower()).status == 404


@pytest.mark.parametrize("path", ["/extraction/results/done", "/jobs/done", "/jobs", "/jobs/done/result"])
def test_a_wrong_key_is_a_flat_401(crawl: Ask, path: str) -> None:
    reply = crawl(path, key="sr_live_guess")
    assert (reply.status, list(reply.json())) == (401, ["error"])


def test_a_client_that_asks_for_the_row_first_and_then_for_the_job_hears_one_story(crawl: Ask) -> None:
    told = [(row(crawl, "after-2").status, job(crawl, "after-2").json()["status"]) for _ in range(3)]
    assert told == [(404, "pending"), (404, "running"), (200, "completed")]


def test_a_client_that_asks_for_the_job_until_it_is_done_finds_the_row(crawl: Ask) -> None:
    assert [job(crawl, "after-2").json()["status"] for _ in range(3)] == ["pending", "running", "completed"]
    assert row(crawl, "after-2").status == 200


@pytest.mark.parametrize(
    ("job_id", "header", "body"),
    [
        ("indexing", "1", 1),
        ("indexing-header", "1", None),
        ("indexing-body", None, 1),
        ("indexing-larger-body", "1", 2),
        ("indexing-silent", None, None),
        ("indexing-zero", "0", 0),
        ("indexing-negative", "-1", -1),
        ("indexing-text", "abc", "abc"),
    ],
)
def test_a_row_that_is_not_indexed_yet_hints_in_every_way(crawl: Ask, job_id: str, header: Any, body: Any) -> None:
    first, second, third = (row(crawl, job_id) for _ in range(3))
    assert (first.status, second.status, third.status) == (404, 202, 200)
    assert second.json()["indexingPending"] is True
    assert (second.headers.get("retry-after"), second.json().get("retryAfterSeconds")) == (header, body)


def test_a_hint_may_be_eleven_days_long(crawl: Ask) -> None:
    replies = [row(crawl, "indexing-long") for _ in range(3)]
    assert {(one.status, one.headers["retry-after"], one.json()["retryAfterSeconds"]) for one in replies} == {
        (202, "999999", 999999)
    }
    assert job(crawl, "indexing-long").json()["status"] == "extraction_done"


@pytest.mark.parametrize(
    ("job_id", "looks", "row_status", "state"),
    [
        ("fails", 2, 404, "failed"),
        ("canceled", 1, 404, "canceled"),
        ("expired", 1, 404, "completed"),
        ("expired-500", 1, 500, "completed"),
        ("refunded", 1, 404, "completed"),
        ("row-lost", 5, 500, "completed"),
        ("row-lost-404", 5, 404, "completed"),
        ("row-late", 2, 404, "completed"),
        ("row-late", 3, 200, "completed"),
        ("row-late-500", 2, 500, "completed"),
        ("row-late-500", 3, 200, "completed"),
        ("transient-500", 2, 500, "running"),
        ("transient-500", 3, 200, "completed"),
        ("waiting-retry", 1, 404, "waiting_retry"),
        ("waiting-retry", 6, 200, "completed"),
    ],
)
def test_row_and_job_tell_together_how_it_went(
    crawl: Ask, job_id: str, looks: int, row_status: int, state: str
) -> None:
    replies = [row(crawl, job_id) for _ in range(looks)]
    assert (replies[-1].status, job(crawl, job_id).json()["status"]) == (row_status, state)


def test_a_job_that_nobody_knows_has_neither_face(crawl: Ask) -> None:
    assert (row(crawl, "nobody").status, job(crawl, "nobody").status) == (404, 404)
    assert crawl("/jobs/nobody/result").status == 404
    assert crawl("/extraction/results/nobody/raw").status == 404


def test_a_failed_job_says_why(crawl: Ask) -> None:
    job(crawl, "fails")
    assert (told := job(crawl, "fails").json())["errorType"] == "blocked"
    assert told["errorMessage"]


def test_expired_is_said_where_the_page_is_pointed_at(crawl: Ask) -> None:
    reply = crawl("/jobs/expired/result")
    assert (reply.status, sorted(reply.json())) == (410, ["expiredAt", "message"])


def test_refunded_is_a_404_with_a_reason_and_not_yet_one_without(crawl: Ask) -> None:
    assert crawl("/jobs/refunded/result").json()["reason"] == "credit_refunded"
    early = crawl("/jobs/never/result")
    assert (early.status, "reason" in early.json()) == (404, False)


@pytest.mark.parametrize(
    ("job_id", "status", "said"),
    [
        ("quota", 402, ("error", "message", "plan", "remainingCredits", "isTrialExpired")),
        ("no-permission", 403, ("error", "missing")),
        ("forbidden", 403, ("error",)),
    ],
)
def test_refusals_come_in_their_shapes_from_both_endpoints(
    crawl: Ask, job_id: str, status: int, said: tuple[str, ...]
) -> None:
    for reply in (row(crawl, job_id), job(crawl, job_id)):
        assert (reply.status, tuple(reply.json())) == (status, said)


@pytest.mark.parametrize(("job_id", "status"), [("structured-error", 409), ("structured-forbidden", 403)])
def test_an_error_may_be_structured(crawl: Ask, job_id: str, status: int) -> None:
    reply = row(crawl, job_id)
    assert (reply.status, sorted(reply.json()["error"])) == (status, ["code", "docs_url", "message", "request_id"])


@pytest.mark.parametrize(
    ("job_id", "kind"),
    [
        ("product", "product"),
        ("product-list", "product_list"),
        ("bestseller", "bestseller"),
        ("article", "article"),
    ],
)
def test_rows_are_of_many_kinds(crawl: Ask, job_id: str, kind: str) -> None:
    told = row(crawl, job_id).json()
    assert (told["jobId"], told["dataType"]) == (job_id, kind)


def test_a_bestsellers_lists_belong_together_by_their_index(crawl: Ask) -> None:
    lists = [part for part in row(crawl, "bestseller").json()["normalized"].values() if isinstance(part, list)]
    assert {len(part) for part in lists} == {3}


def test_the_raw_page_lies_behind_a_link_that_takes_no_authorization(crawl: Ask, ask: Ask, sandbox: Sandbox) -> None:
    told = crawl("/jobs/assets/result").json()
    assert told["resultUrl"].startswith(sandbox.storage_url)
    assert "blobKey" not in told
    page = ask(told["resultUrl"])
    assert (page.status, len(page.body)) == (200, told["bodySize"])
    assert ask(told["resultUrl"], authorization="Bearer any").status == 400


def test_the_raw_page_may_have_a_key_and_is_served_by_job_and_by_row(crawl: Ask) -> None:
    told = crawl("/jobs/assets-blob/result").json()
    assert (told["blobKey"].endswith("/body.html"), "resultUrl" in told) == (True, False)
    row_id = row(crawl, "assets-blob").json()["id"]
    for one in ("assets-blob", row_id):
        reply = crawl(f"/extraction/results/{one}/raw")
        assert (reply.headers["content-type"].partition(";")[0], b"Widget" in reply.body) == ("text/html", True)


def test_the_first_link_may_be_expired_and_a_page_may_be_lost(crawl: Ask, ask: Ask) -> None:
    links = [crawl("/jobs/assets-expired-link/result").json()["resultUrl"] for _ in range(2)]
    assert [ask(link).status for link in links] == [403, 200]
    assert ask(crawl("/jobs/assets-missing/result").json()["resultUrl"]).status == 404
    assert crawl("/extraction/results/assets-missing/raw").status == 404


def test_the_list_has_numbered_pages_and_a_total(crawl: Ask) -> None:
    pages = [crawl(f"/jobs?page={number}&pageSize=50").json() for number in (1, 2, 3, 4)]
    assert [len(page["items"]) for page in pages] == [50, 50, 24, 0]
    assert {page["total"] for page in pages} == {124}
    assert len(crawl("/jobs").json()["items"]) == 25


def test_the_list_can_be_narrowed(crawl: Ask) -> None:
    assert [one["id"] for one in crawl("/jobs?status=failed").json()["items"]] == ["fails"]
    assert crawl("/jobs?workflowId=workflow-done").json()["total"] == 120


@pytest.mark.parametrize("query", ["page=0", "pageSize=101", "pageSize=x", "page=-1"])
def test_a_page_that_is_none_is_refused(crawl: Ask, query: str) -> None:
    assert crawl(f"/jobs?{query}").status == 400


def test_every_job_that_is_listed_can_be_asked_for(crawl: Ask) -> None:
    listed = [one["id"] for one in crawl("/jobs?pageSize=100&page=2").json()["items"]]
    assert {job(crawl, one).status for one in listed} == {200}


def test_many_jobs_are_asked_about_at_once_and_unknown_ones_left_out(crawl: Ask) -> None:
    asked = json.dumps({"jobIds": ["done", "nobody", "after-2", "html"]})
    told = [crawl("/jobs/batch-status", body=asked).json() for _ in range(3)]
    assert [one["id"] for one in told[0]] == ["done", "after-2", "html"]
    assert [{one["id"]: one["status"] for one in many}["after-2"] for many in told] == [
        "pending",
        "running",
        "completed",
    ]


@pytest.mark.parametrize(
    "asked", [{"jobIds": []}, {"jobIds": ["x"] * 101}, {}, [], {"jobIds": "text"}, {"jobIds": [[]]}]
)
def test_a_question_about_too_few_or_too_many_is_refused(crawl: Ask, asked: Any) -> None:
    assert crawl("/jobs/batch-status", body=json.dumps(asked)).status == 400


def test_both_endpoints_show_the_common_trouble(crawl: Ask) -> None:
    table = {"html": 200, "error-500": 500, "gone": 410, "refused-token": 401, "redirect-loop": 302, "teapot": 418}
    for name, status in table.items():
        assert (row(crawl, name).status, job(crawl, name).status) == (status, status)


def test_no_behaviour_is_without_an_answer(crawl: Ask) -> None:
    broken = {"reset", "reset-once", "stall", "slow-headers", "slow-body", "cut-body", "cut-once", "not-found"}
    mine = [one.job_id for one in BEHAVIOURS if one.provider == "justcrawl" and one.name not in broken]
    answered = {name: (row(crawl, name).status, job(crawl, name).status) for name in mine}
    assert [name for name, told in answered.items() if told == (404, 404)] == []


def test_a_client_that_lets_itself_be_sent_away_finds_a_job_and_a_row_that_look_done(crawl: Ask, ask: Ask) -> None:
    told = ask(job(crawl, "redirect-elsewhere").headers["location"]).json()
    assert (told["status"], told["dataType"]) == ("completed", "product")
