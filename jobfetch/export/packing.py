"""Compression of a table's file: the same bytes each time, without the time and the name that gzip likes to note."""

from __future__ import annotations

import gzip
import tempfile
from collections.abc import Iterator
from contextlib import contextmanager
from importlib import import_module
from pathlib import Path
from typing import Any, BinaryIO, cast

from jobfetch.disk import CHUNK
from jobfetch.errors import UsageError

_PACKINGS = {".gz": "gz", ".zst": "zst"}


def packing_of(path: Path | None) -> str:
    """`gz` or `zst` by the last suffix of a file, else nothing."""
    return _PACKINGS.get(path.suffix.lower(), "") if path else ""


@contextmanager
def packed(packing: str, file: BinaryIO) -> Iterator[BinaryIO]:
    """A file to write that ends up in `file`, compressed where that is asked for.

    What is written can be taken back until the block is left: so the bytes are compressed at the end.
    """
    if not packing:
        yield file
        return
    opened = _OPENERS[packing](file)
    with tempfile.TemporaryFile() as whole, opened as out:
        yield cast("BinaryIO", whole)
        whole.seek(0)
        while chunk := whole.read(CHUNK):
            out.write(chunk)


def _gzip(file: BinaryIO) -> Any:
    return gzip.GzipFile(filename="", mode="wb", fileobj=file, mtime=0)


def available(packing: str) -> None:
    """`UsageError` where what compresses so is not installed."""
    if packing == "zst":
        _zstd_module()


def _zstd(file: BinaryIO) -> Any:
    found = _zstd_module()
    if found.__name__ == "zstandard":
        return found.ZstdCompressor().stream_writer(file, closefd=False)
    return found.ZstdFile(file, "wb")


def _zstd_module() -> Any:
    for module in ("compression.zstd", "zstandard"):
        try:
            return import_module(module)
        except ImportError:
            continue
    raise UsageError(
        ".zst needs a library that is not installed here",
        hint="write .gz, or install jobfetch again with its extra: pipx install --force '.[zstd]' (README, Install)",
    )


_OPENERS = {"gz": _gzip, "zst": _zstd}
