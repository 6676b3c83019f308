"""Plays Playment's attachments: results and masks in a bucket, reached through signed links that run out."""

import json
from collections.abc import Mapping
from functools import cache
from urllib.parse import quote

from msgspec.structs import replace

from jobfetch.sandbox import shared, storage, wire
from jobfetch.sandbox.play import Call, Case, Script, first, sample, stored_bytes, verbatim
from jobfetch.sandbox.wire import Reply

_SERVICE = "playment"
BUCKET = "playment-data-uploads"
HOST = f"{BUCKET}.s3.ap-south-1.amazonaws.com"
"""The host that result URLs name; nothing is ever asked there."""


def url(job_id: str, name: str) -> str:
    """Where a job's file seems to lie; only the attachment endpoint makes a link of it."""
    return f"https://{HOST}/{quote(job_id, safe='')}/{name}"


def _path(call: Call) -> str:
    return f"/{BUCKET}/{quote(call.job_id, safe='')}/{quote(call.parts['name'])}"


usual_link = storage.link_to(_path)


def file(name: str) -> Script:
    """A stored result; the masks that it names carry the job's id."""

    def answer(call: Call) -> Reply:
        published, own = f"https://{HOST}/masks/", url(call.job_id, "masks/")
        return verbatim(stored_bytes(_SERVICE, f"{name}.json").replace(published.encode(), own.encode()))

    return answer


usual_file = file("result")


@cache
def _many() -> bytes:
    whole = sample(_SERVICE, "result")
    annotations = whole["data"]["annotations_data"]["annotations"]
    whole["data"]["annotations_data"]["annotations"] = [
        annotations[0] | {"_id": f"0e6d895e-2484-439a-b62b-{n:012}"} for n in range(10_000)
    ]
    return json.dumps(whole).encode()


def usual_mask(_call: Call) -> Reply:
    """A tiny picture in two colours of the legend."""
    return Reply(headers=(("Content-Type", "image/png"),), body=stored_bytes(_SERVICE, "mask.png"))


def _second_mask_missing(call: Call) -> Reply:
    if call.parts["name"].endswith("mask-2.png"):
        return storage.denied(404, "NoSuchKey", "The specified key does not exist.")
    return usual_mask(call)


def _typed(content_type: str) -> Script:
    return lambda call: replace(usual_file(call), headers=(("Content-Type", content_type),))


def cases(done: Script) -> tuple[Case, ...]:
    """The behaviours that the link decides, and the file that it leads to; the job itself is done."""
    expired = storage.link_to(_path, age=2 * storage.LINK_LIVES)
    table: tuple[tuple[str, Mapping[str, Script], int, str], ...] = (
        (
            "expired-link",
            {"link": first(1, expired, usual_link)},
            0,
            "the first signed link is expired, the second works",
        ),
        ("refused-link", {"link": storage.forged_link_to(_path)}, 10, "every signed link is refused"),
        ("link-html", {"file": lambda _call: shared.HTML}, 11, "the storage answers a web page"),
        ("octet-stream", {"file": _typed("binary/octet-stream")}, 0, "the storage does not say that it is JSON"),
        (
            "gzip-attachment",
            {"file": lambda call: shared.zipped(usual_file(call))},
            0,
            "the result comes in a gzip body",
        ),
        ("big-attachment", {"file": lambda _call: verbatim(_many())}, 0, "a result of some MB"),
        ("slow-attachment", {"file": shared.sent(usual_file, wire.drip_body)}, 75, "a result that drips for ever"),
        (
            "cut-attachment",
            {"file": shared.sent(usual_file, wire.cut)},
            11,
            "the result ends in the middle, every time",
        ),
        (
            "cut-attachment-once",
            {"file": first(1, shared.sent(usual_file, wire.cut), usual_file)},
            0,
            "the first result ends in the middle, the second is whole",
        ),
        ("masks", {"file": file("masks")}, 0, "a result with two masks, each an attachment of its own"),
        (
            "masks-missing",
            {"file": file("masks"), "mask": _second_mask_missing},
            8,
            "a result with two masks, one of them lost: 8 with --assets, 0 without",
        ),
        ("frames", {"file": file("frames")}, 0, "a video: annotations for each frame"),
    )
    return tuple(
        Case(name=name, what=what, status=done, more=more, exit_code=exit_code) for name, more, exit_code, what in table
    )
