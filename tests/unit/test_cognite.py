"""Cognite: failures of single items, in whatever of its two channels they come."""

import json
from datetime import UTC, datetime
from typing import Any

import pytest

from jobfetch.model import Reply, State, Status
from jobfetch.providers import cognite
from jobfetch.spec import Address, look

AT = Address(base_url="https://westeurope-1.cognitedata.com", params={"project": "p"}, job_id="1")


def looked(body: dict[str, Any]) -> Status:
    reply = Reply(200, {"content-type": "application/json"}, json.dumps({"status": "Completed", **body}).encode())
    return look(cognite.PROVIDER, lambda _: reply, AT, lambda: datetime(2026, 1, 1, tzinfo=UTC))


@pytest.mark.parametrize("job", [{}, {"errorMessage": None}])
def test_an_item_that_failed_is_found_whether_the_job_has_a_message_of_its_own_or_not(job: dict[str, Any]) -> None:
    status = looked({**job, "items": [{"fileId": 1, "errorMessage": "no image"}, {"fileId": 2}]})
    assert status.state is State.PARTIAL
    assert [(item.item_id, item.message) for item in status.failed_items] == [("1", "no image")]


@pytest.mark.parametrize("job", [{}, {"errorMessage": None}])
def test_without_a_failed_item_a_job_is_whole(job: dict[str, Any]) -> None:
    assert looked({**job, "items": [{"fileId": 1}]}).state is State.SUCCEEDED
