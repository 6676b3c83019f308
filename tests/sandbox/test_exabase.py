"""Exabase's jobs, lists, chunks and files, as the sandbox plays them."""

import json
from collections.abc import Callable
from typing import Any
from urllib.parse import quote

import pytest

from jobfetch.sandbox import Sandbox

Ask = Callable[..., Any]

SAMPLE = "123e4567-e89b-12d3-a456-426614174000"
ADDRESSES = ("thumbnail", "url")


def addresses(value: Any) -> list[str]:
    """All links to files that an extraction holds, however deep."""
    found: list[str] = []
    for name, part in value.items() if isinstance(value, dict) else ():
        if name in ADDRESSES and isinstance(part, str) and "exabase-cdn" in part:
            found.append(part)
        found += addresses(part)
    return found


def pages(exabase: Ask, query: str = "", base: str = "", most: int = 5) -> list[dict[str, Any]]:
    seen: list[dict[str, Any]] = []
    cursor: str | None = ""
    while cursor is not None and len(seen) < most:
        seen.append(exabase(f"?limit=50&cursor={quote(cursor)}{query}", base=base).json())
        cursor = seen[-1]["nextCursor"]
    return seen


def test_the_sample_job_has_the_published_id_and_goes_through_all_states(exabase: Ask) -> None:
    jobs = [exabase(f"/{SAMPLE}").json() for _ in range(3)]
    assert [job["state"] for job in jobs] == ["pending", "processing", "completed"]
    assert {job["id"] for job in jobs} == {SAMPLE}


def test_a_pending_job_has_nothing_extracted(exabase: Ask) -> None:
    assert exabase("/never").json()["extraction"] is None


def test_the_published_example_is_pending_with_every_section_filled(exabase: Ask) -> None:
    job = exabase("/filled-pending").json()
    assert (job["state"], sorted(job["extraction"])) == ("pending", ["common", "document", "media", "web"])
    assert exabase("/filled-pending").json()["state"] == "completed"


@pytest.mark.parametrize("path", ["/done", "", "/done/chunks", "/done/download"])
def test_nothing_is_served_without_the_right_key(exabase: Ask, path: str) -> None:
    assert exabase(path, key="guess").status == 401


@pytest.mark.parametrize("path", ["/nobody", "/nobody/chunks", "/nobody/download"])
def test_an_unknown_job_has_nothing(exabase: Ask, path: str) -> None:
    reply = exabase(path)
    assert (reply.status, reply.json()["message"]) == (404, "Extraction job not found")


def test_a_failed_and_a_cleaned_job_say_so(exabase: Ask) -> None:
    assert [exabase("/fails").json()["state"] for _ in range(2)] == ["processing", "failed"]
    job = exabase("/cleaned").json()
    assert (job["state"], job["extraction"], job["links"]) == ("cleaned", None, None)
    assert exabase("/cleaned/download").status == 404


def test_a_rate_limit_may_not_say_how_long(exabase: Ask) -> None:
    refused = exabase("/rate-limited-bare")
    assert (refused.status, refused.headers.get("retry-after")) == (429, None)
    assert [exabase("/rate-limited-bare").status for _ in range(2)] == [429, 200]


def test_links_are_absolute_and_files_lie_on_the_other_origin(exabase: Ask, sandbox: Sandbox) -> None:
    job = exabase("/done").json()
    assert job["links"]["chunks"] == f"{sandbox.url}/v2/extract/done/chunks?start=1&end=20"
    assert job["links"]["download"] == f"{sandbox.url}/v2/extract/done/download"
    assert all(link.startswith(sandbox.storage_url) for link in addresses(job["extraction"]))


@pytest.mark.parametrize("job_id", ["done", "assets-chunks"])
def test_42_chunks_come_in_three_windows_counted_from_one_and_with_both_ends(exabase: Ask, job_id: str) -> None:
    windows = [exabase(f"/{job_id}/chunks?start={start}&end={start + 19}").json()["items"] for start in (1, 21, 41)]
    assert [len(window) for window in windows] == [20, 20, 2]
    assert [chunk["sequence"] for window in windows for chunk in window] == list(range(1, 43))
    assert sorted(windows[0][0]) == ["pageNumber", "sequence", "text"]
    assert (windows[0][0]["pageNumber"], windows[2][1]["pageNumber"]) == (1, 18)


def test_no_window_is_wider_than_twenty_and_none_is_needed(exabase: Ask) -> None:
    assert len(exabase("/done/chunks?start=1&end=42").json()["items"]) == 20
    assert len(exabase("/done/chunks").json()["items"]) == 20
    assert exabase("/done/chunks?start=43&end=62").json() == {"items": []}


@pytest.mark.parametrize("query", ["start=0", "start=x", "start=5&end=4", "start=1&end=-1"])
def test_a_window_that_is_none_is_refused(exabase: Ask, query: str) -> None:
    assert exabase(f"/done/chunks?{query}").status == 400


def test_chunks_may_be_a_bare_list(exabase: Ask) -> None:
    assert len(exabase("/assets-chunks-list/chunks?start=1&end=20").json()) == 20


def test_fewer_chunks_may_come_than_are_announced(exabase: Ask) -> None:
    assert exabase("/chunks-missing").json()["extraction"]["common"]["chunkCount"] == 42
    windows = [exabase(f"/chunks-missing/chunks?start={start}&end={start + 19}").json() for start in (1, 21, 41)]
    assert [len(window["items"]) for window in windows] == [20, 10, 0]


def test_chunks_of_a_recording_have_times(exabase: Ask) -> None:
    last = exabase("/media/chunks?start=42&end=42").json()["items"][0]
    assert sorted(last) == ["sequence", "text", "timeEnd", "timeStart"]
    assert last["timeEnd"] == exabase("/media").json()["extraction"]["media"]["duration"]


def test_a_web_page_has_one_chunk_that_stands_nowhere(exabase: Ask) -> None:
    [chunk] = exabase("/web/chunks").json()["items"]
    assert sorted(chunk) == ["sequence", "text"]


def test_a_client_that_lets_itself_be_sent_away_finds_a_job_that_looks_done(exabase: Ask, ask: Ask) -> None:
    assert ask(exabase("/redirect-elsewhere").headers["location"]).json()["state"] == "completed"


def test_links_may_lead_to_another_origin_which_takes_no_key(exabase: Ask, ask: Ask, sandbox: Sandbox) -> None:
    for link in exabase("/assets-elsewhere").json()["links"].values():
        assert link.startswith(sandbox.storage_url)
        assert (ask(link).status, ask(link, x_api_key="any").status) == (200, 400)


def test_the_file_is_bytes_with_a_name_nobody_should_use(exabase: Ask) -> None:
    reply = exabase("/done/download")
    assert reply.body.startswith(b"%PDF")
    assert "../" in reply.headers["content-disposition"]


def test_the_file_may_be_a_redirect_to_the_storage(exabase: Ask, ask: Ask, sandbox: Sandbox) -> None:
    reply = exabase("/assets-redirect/download")
    assert reply.status == 302
    assert reply.headers["location"].startswith(sandbox.storage_url)
    assert ask(reply.headers["location"]).body.startswith(b"%PDF")


@pytest.mark.parametrize("job_id", ["done", "media", "web", "assets"])
def test_every_file_that_a_job_names_is_there_for_those_without_a_key(exabase: Ask, ask: Ask, job_id: str) -> None:
    links = addresses(exabase(f"/{job_id}").json()["extraction"])
    assert len(links) >= 2
    assert {ask(link).status for link in links} == {200}
    assert {ask(link, **{name: "any"}).status for link in links for name in ("x_api_key", "authorization")} == {400}


def test_one_file_may_be_lost(exabase: Ask, ask: Ask) -> None:
    links = addresses(exabase("/assets-missing").json()["extraction"])
    assert [link.rpartition("/")[2] for link in links if ask(link).status == 404] == ["transcript.vtt"]


def test_sections_may_be_few_or_none(exabase: Ask) -> None:
    assert list(exabase("/few-sections").json()["extraction"]) == ["common"]
    assert exabase("/extraction-null").json()["extraction"] is None
    assert exabase("/extraction-null/chunks").json() == {"items": []}


def test_a_file_may_be_infected(exabase: Ask) -> None:
    assert exabase("/infected").json()["extraction"]["common"]["infected"] is True


def test_a_list_has_three_pages_and_ends_with_null(exabase: Ask) -> None:
    seen = pages(exabase)
    assert [len(page["items"]) for page in seen] == [50, 50, 25]
    assert seen[-1]["nextCursor"] is None
    assert len({job["id"] for page in seen for job in page["items"]}) == 125


def test_a_list_can_be_narrowed_by_state_and_kind(exabase: Ask) -> None:
    [cleaned] = pages(exabase, "&state=cleaned")
    assert [job["id"] for job in cleaned["items"]] == ["cleaned"]
    [videos] = pages(exabase, "&kind=video&state=completed")
    assert [job["id"] for job in videos["items"]] == ["media"]


def test_every_job_that_is_listed_can_be_asked_for(exabase: Ask) -> None:
    for page in pages(exabase):
        assert {exabase(f"/{job['id']}").status for job in page["items"][-3:]} == {200}


def test_other_bases_have_other_lists(exabase: Ask) -> None:
    assert pages(exabase, base="base-empty") == [{"items": [], "nextCursor": None}]
    assert len(pages(exabase, base="base-done")) == 3
    endless = pages(exabase, base="base-endless")
    assert len({page["nextCursor"] for page in endless}) == 1
    assert exabase("?cursor=broken", base="base-bad-cursor").status == 400
    assert exabase(f"?cursor={quote('YWZ0ZXI6')}").status == 400


@pytest.mark.parametrize("limit", ["0", "101", "many"])
def test_a_page_has_a_sound_size(exabase: Ask, limit: str) -> None:
    assert exabase(f"?limit={limit}").status == 400


def test_the_base_is_recorded(exabase: Ask, sandbox: Sandbox) -> None:
    exabase("/done", base="base-1")
    assert ("x-exabase-base-id", "base-1") in [(k.lower(), v) for k, v in sandbox.asked()[-1].headers]


def test_odd_numbers_stay_as_they_are_written(exabase: Ask) -> None:
    assert exabase("/hostile").json()["state"] != "completed"
    body = exabase("/hostile").body
    for number in (b"0.10", b"1E5", b"123456789012345678901234567890", b"9223372036854775808"):
        assert number in body
    assert json.loads(body)["state"] == "completed"
