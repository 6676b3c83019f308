"""The foreign storage: links, ranges and the refusals that S3 would answer."""

from collections.abc import Callable
from typing import Any

import pytest

from jobfetch.sandbox import Sandbox

Ask = Callable[..., Any]


@pytest.mark.parametrize("spoil", [lambda place: place.partition("?")[0], lambda place: place.replace("done", "masks")])
def test_without_a_signature_for_this_very_file_there_is_none(link: Ask, ask: Ask, spoil: Callable[[str], str]) -> None:
    reply = ask(spoil(link("done")))
    assert (reply.status, reply.headers["content-type"]) == (403, "application/xml")
    assert b"<Code>AccessDenied</Code>" in reply.body


def test_a_second_way_to_sign_in_is_a_bad_request(link: Ask, ask: Ask) -> None:
    reply = ask(link("done"), authorization="Bearer x")
    assert reply.status == 400
    assert b"Only one auth mechanism allowed" in reply.body


def test_a_key_that_came_along_is_in_the_log(link: Ask, ask: Ask, sandbox: Sandbox) -> None:
    ask(link("done"), X_API_Key="leaked")
    asked = sandbox.asked()[-1]
    assert asked.origin == "storage"
    assert ("X-API-Key", "leaked") in asked.headers


@pytest.mark.parametrize(("span", "part"), [("0-9", slice(10)), ("5-", slice(5, None)), ("-7", slice(-7, None))])
def test_a_range_is_that_part_of_the_whole(link: Ask, ask: Ask, span: str, part: slice) -> None:
    place = link("done")
    whole = ask(place).body
    reply = ask(place, range=f"bytes={span}")
    assert (reply.status, reply.body) == (206, whole[part])
    start = whole.index(reply.body)
    assert reply.headers["content-range"] == f"bytes {start}-{start + len(reply.body) - 1}/{len(whole)}"


def test_a_range_beyond_the_end_cannot_be_had(link: Ask, ask: Ask) -> None:
    assert ask(link("done"), range="bytes=999999-").status == 416


def test_a_range_of_something_else_is_the_whole(link: Ask, ask: Ask) -> None:
    place = link("done")
    tag = ask(place).headers["etag"]
    assert ask(place, range="bytes=5-", if_range=tag).status == 206
    assert ask(place, range="bytes=5-", if_range='"other"').status == 200


def test_a_cut_file_can_be_resumed_where_it_ended(link: Ask, ask: Ask) -> None:
    whole = ask(link("done")).body
    assert ask(link("cut-attachment-once"), range="bytes=5-", method="HEAD").status == 206
    assert ask(link("cut-attachment-once"), range="bytes=5-").body == whole[5:]


def test_what_nobody_stored_is_denied(sandbox: Sandbox, ask: Ask) -> None:
    assert ask(f"{sandbox.storage_url}/anything").status == 403


@pytest.mark.parametrize("job_id", ["redirect-elsewhere"])
def test_whoever_follows_a_job_to_another_host_is_seen_there(
    playment: Ask, ask: Ask, sandbox: Sandbox, job_id: str
) -> None:
    place = playment(f"jobs/{job_id}").headers["location"]
    assert ask(place).json()["data"]["status"] == "completed"
    assert sandbox.asked()[-1].origin == "storage"
