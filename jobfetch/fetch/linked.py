"""What a result links to: files and parts that come window by window, stored beside it, each told of."""

from __future__ import annotations

import contextlib
from collections.abc import Callable
from pathlib import Path

from msgspec.structs import replace

from jobfetch import disk
from jobfetch.errors import (
    BadReply,
    JobfetchError,
    StillRunning,
    UsageError,
)
from jobfetch.fetch.hearing import hashed, overheard
from jobfetch.fetch.service import Service, Wanted, checked, ends_the_run, refused_link
from jobfetch.manifest import ASSETS
from jobfetch.model import (
    Asset,
    FailedItem,
    Parts,
    Reply,
    Request,
    State,
    Status,
    StoredAsset,
    compact,
    elements,
)

_SUFFIXES = {
    "image/png": ".png",
    "image/jpeg": ".jpg",
    "image/webp": ".webp",
    "application/json": ".json",
    "application/pdf": ".pdf",
    "text/plain": ".txt",
    "text/csv": ".csv",
    "text/html": ".html",
    "text/vtt": ".vtt",
    "application/zip": ".zip",
}


PARTS_SUFFIX = ".ndjson"


def assets(service: Service, wanted: Wanted, job_id: str, reply: Reply) -> tuple[StoredAsset, ...]:
    """Everything that the result links to, stored beside it."""
    job, address = service.provider.job, service.at(job_id)
    result = reply.document.whole
    found: tuple[Asset, ...] = ()
    lost: tuple[StoredAsset, ...] = ()
    try:
        found = tuple(job.assets(service.send, address, result)) if job.assets else ()
    except JobfetchError as error:
        if _ends_the_job(error):
            raise
        # the result itself is here: what it links to may be gone before it
        lost = (StoredAsset(path="links", file=None, bytes=None, sha256=None, error=error.message),)

    def anew(path: str) -> Request | None:
        links = job.assets(service.send, address, result) if job.assets else ()
        return next((asset.request for asset in links if asset.path == path), None)

    parts = job.parts(address, reply.document) if job.parts else None
    if not found and not parts:
        return lost
    with wanted.claim or contextlib.nullcontext():
        place = disk.folder(folder_of(wanted, job_id))
    stored = tuple(
        _asset(service, place, number, asset, anew, claim=wanted.claim) for number, asset in enumerate(found, start=1)
    )
    return (*lost, *stored, *((walked(service, place, parts, wanted.claim),) if parts else ()))


def _asset(
    service: Service,
    place: Path,
    number: int,
    asset: Asset,
    anew: Callable[[str], Request | None],
    *,
    claim: disk.Claim | None,
) -> StoredAsset:
    """Store one linked file; one that cannot be had is told of, and does not stop the others.

    A link that is refused is resolved `anew` once.
    """
    try:
        with (
            disk.replacing(place / f"{number:04d}", suffix=lambda: suffix, claim=claim) as file,
            overheard(file, hashed) as sink,
        ):
            reply = service.follow(asset.request, sink)
            if refused_link(service, reply) and (fresh := anew(asset.path)):
                reply = service.follow(fresh, sink)
            checked(service, reply)
            if reply.media_type == "text/html" and not asset.page:
                raise BadReply("the link answers with a web page")
            suffix = _SUFFIXES.get(reply.media_type, ".bin")
            length, [digest] = file.tell(), sink.heard()
            if claim:
                _make_room(place / f"{number:04d}{suffix}", (length, digest), claim)
    except JobfetchError as error:
        if _ends_the_job(error):
            raise
        return StoredAsset(path=asset.path, file=None, bytes=None, sha256=None, error=error.message)
    name = f"{place.name}/{number:04d}{suffix}"
    return StoredAsset(path=asset.path, file=name, bytes=length, sha256=digest)


def _make_room(path: Path, told: tuple[int, str], claim: disk.Claim) -> None:
    """Give another file of before a number of its own: numbers move, and its link may be the one that cannot be had.

    Where all of them can, it is removed with whatever else is left of before.
    """
    with disk.explained(path):
        if not path.is_file() or disk.digest(path) == told:
            return
        numbers = [int(each.stem) for each in path.parent.iterdir() if each.stem.isdecimal()]
        with claim:
            path.rename(path.with_stem(f"{max(numbers) + 1:04d}"))


def walked(service: Service, place: Path, parts: Parts, claim: disk.Claim | None = None) -> StoredAsset:
    """Store what comes window by window, a line each as it comes; fewer than promised is told of.

    Fewer never take the place of a file of before that holds as much.
    """
    path, problem, count, last = place / f"{parts.name}{PARTS_SUFFIX}", None, 0, b""
    try:
        with disk.replacing(path, claim=claim) as file, overheard(file, hashed) as sink:
            try:
                for request in parts.requests:
                    window = _window(service, parts, request)
                    lines = b"".join(window)
                    # a server that repeats itself, or never ends, is not walked for ever
                    if not window or lines == last:
                        break
                    sink.write(lines)
                    count, last = count + len(window), lines
                    if count > parts.count:
                        break
            except JobfetchError as error:
                if _ends_the_job(error):
                    raise
                problem = error.message
            length, [digest] = file.tell(), sink.heard()
            if count != parts.count:
                problem = f"{count} of {parts.count} {parts.name} came" + (f": {problem}" if problem else "")
            if problem:
                _keep_longer(path, (length, digest))
    except _Kept:
        problem = f"{problem}; the file of before stays"
        length, digest = disk.digest(path)
    name = f"{place.name}/{path.name}"
    return StoredAsset(path=f"links.{parts.name}", file=name, bytes=length, sha256=digest, error=problem)


class _Kept(Exception):
    """The file of before stays where it is."""


def _keep_longer(path: Path, told: tuple[int, str]) -> None:
    # what is the same goes there once more without a word, so that a run that was disturbed tells nothing else
    if path.is_file() and path.stat().st_size >= told[0] and disk.digest(path) != told:
        raise _Kept


def _window(service: Service, parts: Parts, request: Request) -> list[bytes]:
    document = checked(service, service.follow(request)).document
    raw = next((raw for path in parts.paths if (raw := document.raw(path)) is not None), document.whole)
    return [compact(bytes(element)) + b"\n" for element in elements(raw)]


def _ends_the_job(error: JobfetchError) -> bool:
    """Whether linked files must wait for another run: nothing of theirs is lost by coming back."""
    return ends_the_run(error) or isinstance(error, StillRunning)


def folder_of(wanted: Wanted, job_id: str) -> Path:
    """Where one job's linked files go: beside its record."""
    if wanted.output is None:
        raise UsageError("--assets needs a place for the files", hint="name one with -o FILE or -o FOLDER/")
    return (wanted.output if wanted.folder else wanted.output.parent) / f"{disk.safe_name(job_id)}{ASSETS}"


def places(wanted: Wanted, job_id: str, stored: tuple[StoredAsset, ...]) -> list[Path]:
    """Where the linked files of one job lie."""
    return [folder_of(wanted, job_id).parent / asset.file for asset in stored if asset.file]


def with_failures(status: Status, stored: tuple[StoredAsset, ...]) -> Status:
    """The status, partial where a linked file could not be had."""
    lost = tuple(FailedItem(asset.path, asset.error) for asset in stored if asset.error)
    if not lost or status.state not in {State.SUCCEEDED, State.PARTIAL}:
        return status
    return replace(status, state=State.PARTIAL, failed_items=(*status.failed_items, *lost))
