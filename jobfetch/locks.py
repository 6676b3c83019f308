"""Lock files between processes: held by one at a time, by nobody once their process has died."""

from __future__ import annotations

import contextlib
import errno
import os
import socket
import stat
import sys
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from pathlib import Path

from jobfetch.disk import explained
from jobfetch.errors import FolderLocked

#: Seconds between two tries for a lock that somebody else holds.
_LOCK_PAUSE = 0.02
#: Locks that may be removed under our hands before somebody else is taken to hold it.
_MOST_STALE_LOCKS = 100
#: What file systems say that know no locks: there, one goes without.
_NO_LOCKS = {errno.ENOLCK, errno.ENOSYS, errno.EOPNOTSUPP, errno.EINVAL}


@contextmanager
def locked(
    path: Path,
    patience: float,
    *,
    clock: Callable[[], float] = time.monotonic,
    sleep: Callable[[float], None] = time.sleep,
) -> Iterator[None]:
    """Hold a lock file against every other process until the block is left; it is gone afterwards.

    The system lets go of it when its process dies, so a dead one holds nothing.

    Raises:
        FolderLocked: somebody else still held it after `patience` seconds.
        DiskError: the file cannot be made there.

    """
    ends = clock() + patience
    with explained(path):
        while (descriptor := _lock(path)) is None:
            if clock() >= ends:
                raise FolderLocked(
                    f"{path.parent} is held by another run{_holder(path)}",
                    hint="run the same line again once it is over",
                )
            sleep(min(_LOCK_PAUSE, max(0.0, ends - clock())))
    try:
        yield
    finally:
        with contextlib.suppress(OSError):  # an open file cannot be removed everywhere
            path.unlink(missing_ok=True)
        os.close(descriptor)


def _lock(path: Path) -> int | None:
    """The descriptor of the locked file; None where somebody else has it."""
    for _ in range(_MOST_STALE_LOCKS):
        descriptor = os.open(path, os.O_RDWR | os.O_CREAT | getattr(os, "O_NOFOLLOW", 0), 0o600)
        try:
            found = os.fstat(descriptor)
            if not stat.S_ISREG(found.st_mode) or found.st_nlink > 1:
                # it is written to: what stands here under another name as well is not ours
                raise OSError(errno.EPERM, "is no lock file of ours")  # noqa: TRY301 - closed below
            held = not _try_lock(descriptor)
            if not held and _same_file(descriptor, path):
                os.ftruncate(descriptor, 0)
                os.write(descriptor, f"{os.getpid()} {socket.gethostname()}\n".encode())
                return descriptor
        except BaseException:
            os.close(descriptor)
            raise
        os.close(descriptor)
        if held:
            return None
        # whoever held it has removed it since it was opened here: a lock on a file that is gone keeps nobody out
    return None


def _same_file(descriptor: int, path: Path) -> bool:
    try:
        return os.path.samestat(os.fstat(descriptor), path.lstat())
    except FileNotFoundError:
        return False


def _try_lock(descriptor: int) -> bool:
    try:
        if sys.platform == "win32":
            import msvcrt  # noqa: PLC0415 - there only

            msvcrt.locking(descriptor, msvcrt.LK_NBLCK, 1)
        else:
            import fcntl  # noqa: PLC0415 - not there on every platform

            fcntl.flock(descriptor, fcntl.LOCK_EX | fcntl.LOCK_NB)
    except OSError as error:
        if error.errno in {errno.EWOULDBLOCK, errno.EACCES, errno.EDEADLK}:
            return False
        if error.errno not in _NO_LOCKS:
            raise
    return True


def _holder(path: Path) -> str:
    try:
        process, host = path.read_text(encoding="utf-8").split()
    except (OSError, ValueError):
        return ""
    return f" (process {process} on {host})"
