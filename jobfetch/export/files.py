"""Files that appear whole or not at all, names that no job id can misuse, and standard output that may go away."""

from __future__ import annotations

import contextlib
import errno
import hashlib
import os
import re
import secrets
import shutil
import socket
import stat
import sys
import tempfile
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import BinaryIO

from jobfetch.errors import DiskError, ReaderGone

_PLAIN = re.compile(r"[a-z0-9_][a-z0-9_.-]{0,119}")
_RESERVED = re.compile(r"(con|prn|aux|nul|com[0-9]|lpt[0-9]|manifest|rows|failures)(\..*)?")
_LONGEST_KEPT = 80
CHUNK = 1024 * 1024


def safe_name(job_id: str) -> str:
    """A file name for a job id: the id where it is plain, else its plain part and a hash, distinct on every platform.

    Capitals count as not plain: on some file systems `A` and `a` are one file.
    """
    if _PLAIN.fullmatch(job_id) and not _RESERVED.fullmatch(job_id) and not job_id.endswith("."):
        return job_id
    digest = hashlib.sha256(job_id.encode("utf-8", "surrogatepass")).hexdigest()[:12]
    plain = re.sub(r"[^A-Za-z0-9_-]+", "_", job_id)[:_LONGEST_KEPT].strip("_-")
    return f"{plain or 'job'}~{digest}"


def folder(path: Path) -> Path:
    """The folder itself, made where it is missing."""
    with explained(path):
        path.mkdir(parents=True, exist_ok=True)
    return path


@contextmanager
def replacing(path: Path) -> Iterator[BinaryIO]:
    """A file to write, which takes the place of `path` once it is whole and on disk; on any error nothing is left.

    A device or a pipe gets the bytes once they are whole; a symbolic link is followed.
    """
    with explained(path):
        target = Path(os.path.realpath(path))
        # a stream by its name in /dev is one even where it has been redirected to a file
        if path.exists() and (not path.is_file() or str(path).startswith(("/dev/", "/proc/"))):
            with tempfile.TemporaryFile() as whole, path.open("wb") as device:
                yield whole
                whole.seek(0)
                shutil.copyfileobj(whole, device, CHUNK)
            return
        _sweep(target)
        temporary = target.parent / f"{_prefix(target)}{os.getpid()}.{secrets.token_hex(4)}.part"
        descriptor = os.open(temporary, os.O_RDWR | os.O_CREAT | os.O_EXCL | getattr(os, "O_BINARY", 0), 0o666)
        try:
            with os.fdopen(descriptor, "w+b") as file:
                yield file
                file.flush()
                os.fsync(file.fileno())
            if target.exists():
                temporary.chmod(stat.S_IMODE(target.stat().st_mode))
            temporary.replace(target)
            _sync_folder(target.parent)
        except BaseException:
            temporary.unlink(missing_ok=True)
            raise


@contextmanager
def spool(place: Path | None = None) -> Iterator[BinaryIO]:
    """A nameless file, gone when the block is left: for what must be whole before anybody sees it."""
    with explained(place or Path("the temporary folder")), tempfile.TemporaryFile(dir=place) as file:
        yield file


def _prefix(target: Path) -> str:
    host = hashlib.sha256(socket.gethostname().encode()).hexdigest()[:6]
    # bytes count, not characters: a name may hold 255 of them
    return f".{target.name.encode('utf-8', 'surrogateescape')[:100].decode('utf-8', 'ignore')}.{host}."


def _sweep(target: Path) -> None:
    """Remove what killed runs on this machine left of the same file."""
    prefix = _prefix(target)
    with contextlib.suppress(OSError):  # a folder may be written to and not listed
        for left in target.parent.iterdir():
            owner = left.name.removeprefix(prefix).partition(".")[0]
            ours = left.name.startswith(prefix) and left.name.endswith(".part")
            if ours and owner.isdecimal() and not _alive(int(owner)):
                left.unlink(missing_ok=True)


def _alive(pid: int) -> bool:
    try:
        os.kill(pid, 0)
    except ProcessLookupError:
        return False
    except (PermissionError, OverflowError):
        return True
    return True


def _sync_folder(path: Path) -> None:
    # a rename is safe only once the folder is; where a folder cannot be opened or synced, the file is there all the same
    if not hasattr(os, "O_DIRECTORY"):
        return
    with contextlib.suppress(OSError):
        descriptor = os.open(path, os.O_RDONLY | os.O_DIRECTORY)
        try:
            os.fsync(descriptor)
        finally:
            os.close(descriptor)


@contextmanager
def explained(path: Path) -> Iterator[None]:
    """Local errors as ours: what, where, and what to do next."""
    try:
        yield
    except OSError as error:
        raise disk_error(error, str(path)) from None


def disk_error(error: OSError, where: str) -> DiskError:
    """Our error for a local file's: what, where, and what to do next."""
    advice = {
        errno.ENOSPC: "free some space, then run the same line again",
        errno.EDQUOT: "free some space, then run the same line again",
        errno.EACCES: "check the owner and mode of the folder",
        errno.EROFS: "the file system is read-only: name another place with -o",
        errno.EISDIR: "name a file, or end the path with / for a folder",
        errno.ENOENT: "make the folder first, or name another place with -o",
        errno.ENOTDIR: "a part of this path is a file: name another place with -o",
    }
    return DiskError(
        f"{where}: {error.strerror or 'cannot be written'}",
        hint=advice.get(error.errno or 0, "name another place with -o"),
    )


def to_stdout(data: bytes | BinaryIO) -> None:
    """Write bytes, or a whole file from its start, to standard output, now.

    `ReaderGone` where nobody reads any more, `DiskError` where it is full.
    """
    if not sys.stdout:
        raise DiskError("standard output is closed", hint="redirect it, or name a file with -o")
    try:
        if isinstance(data, bytes):
            sys.stdout.buffer.write(data)
        else:
            data.seek(0)
            shutil.copyfileobj(data, sys.stdout.buffer, CHUNK)
        sys.stdout.buffer.flush()
    except BrokenPipeError:
        _mute_stdout()
        raise ReaderGone("the reader of standard output went away") from None
    except OSError as error:
        _mute_stdout()
        raise disk_error(error, "standard output") from None


def _mute_stdout() -> None:
    # what is left in the buffer would raise again when Python ends
    nowhere = os.open(os.devnull, os.O_WRONLY)
    os.dup2(nowhere, sys.stdout.fileno())
    os.close(nowhere)
