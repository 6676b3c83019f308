"""Local files: they appear whole or not at all, under names that no job id can misuse, and under locks."""

from __future__ import annotations

import contextlib
import errno
import functools
import hashlib
import itertools
import os
import re
import secrets
import shlex
import shutil
import socket
import stat
import sys
import tempfile
import threading
import time
from collections.abc import Callable, Iterable, Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import BinaryIO

from jobfetch.errors import DiskError, Interrupted, InTheWay

_PLAIN = re.compile(r"[a-z0-9_][a-z0-9_.-]{0,119}")
_RESERVED = re.compile(r"(con|prn|aux|nul|com[0-9]|lpt[0-9]|manifest|rows|failures)(\..*)?")
_LONGEST_KEPT = 80
CHUNK = 1024 * 1024
#: Seconds after which nobody works any more on a temporary file that has not changed.
_NOBODYS = 24 * 3600.0
#: When this process began, in seconds since 1970, or a moment later.
_BEGAN = time.time()


def safe_name(job_id: str) -> str:
    """A file name for a job id: the id where it is plain, else its plain part and a hash, distinct on every platform.

    Capitals count as not plain: on some file systems `A` and `a` are one file.
    """
    if _PLAIN.fullmatch(job_id) and not _RESERVED.fullmatch(job_id) and not job_id.endswith("."):
        return job_id
    # so long that nobody who chooses ids finds two of one name
    digest = hashlib.sha256(job_id.encode("utf-8", "surrogatepass")).hexdigest()[:32]
    plain = re.sub(r"[^A-Za-z0-9_-]+", "_", job_id)[:_LONGEST_KEPT].strip("_-")
    return f"{plain or 'job'}~{digest}"


def folder(path: Path, *, private: bool = False) -> Path:
    """The folder itself, made where it is missing; a private one is for its owner alone from the start."""
    with explained(path):
        if private:
            # every folder on the way: whoever may write in one of them could put another in the place of the next
            for each in reversed([path, *path.parents]):
                if not each.exists():
                    each.mkdir(mode=0o700, exist_ok=True)
        path.mkdir(parents=True, exist_ok=True)
    return path


def text_of(path: Path, check: Callable[[os.stat_result], None] = lambda _: None) -> str:
    """A small text file, whole, without the mark that some editors put in front; `check` looks at it once it is open.

    What is no file is refused: a pipe that nobody writes to would never end.
    """
    descriptor = os.open(path, os.O_RDONLY | getattr(os, "O_NONBLOCK", 0))
    with os.fdopen(descriptor, "rb") as file:
        found = os.fstat(descriptor)
        if stat.S_ISDIR(found.st_mode) or stat.S_ISFIFO(found.st_mode) or stat.S_ISSOCK(found.st_mode):
            raise OSError(errno.EINVAL, "it is no file")
        check(found)
        return file.read().decode("utf-8-sig")


def has_modes() -> bool:
    """Whether this system has modes that keep others out of a file."""
    return os.name == "posix"


@contextmanager
def replacing(
    path: Path,
    *,
    private: bool = False,
    swept: bool = False,
    suffix: Callable[[], str] = str,
    claim: Claim | None = None,
) -> Iterator[BinaryIO]:
    """A file to write, which takes the place of `path` once it is whole and on disk; on any error nothing is left.

    A device or a pipe gets the bytes once they are whole; a symbolic link is followed. A private file can be read by
    its owner alone from its first byte on, whatever the mode of the one before it. What killed runs left of the same
    file is removed, unless the whole folder has been `swept`, as one is that somebody has a `claim` to. A `suffix` is asked
    for at the end and added to the name: what kind of file it is may be known only then.
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
        if not swept and claim is None:
            _sweep(target)
        with placing(target, private=private, suffix=suffix, claim=claim) as file:
            yield file
        sync_folder(target.parent)


@contextmanager
def placing(
    path: Path, *, private: bool = False, suffix: Callable[[], str] = str, claim: Claim | None = None
) -> Iterator[BinaryIO]:
    """The same in a folder that holds nothing but files of ours, swept, and synced by whoever fills it."""
    with _placing(path, private, suffix, claim) as descriptor, os.fdopen(descriptor, "w+b", closefd=False) as file:
        yield file


def place(path: Path | str, pieces: Iterable[bytes], claim: Claim | None = None) -> tuple[int, str]:
    """A whole file in such a folder; its length and SHA-256."""
    digest, length = hashlib.sha256(), 0
    with _placing(path, claim=claim) as descriptor:
        for piece in pieces:
            digest.update(piece)
            length += len(piece)
            write(descriptor, piece)
    return length, digest.hexdigest()


def write(descriptor: int, data: bytes) -> None:
    """Write all of it."""
    view = memoryview(data)
    while view:
        view = view[os.write(descriptor, view) :]


_NEW = os.O_RDWR | os.O_CREAT | os.O_EXCL | getattr(os, "O_BINARY", 0)
#: What this process writes, counted from anywhere: one that was killed may have had the same id.
_begun = itertools.count(secrets.randbits(32))


@contextmanager
def _placing(
    path: Path | str,
    private: bool = False,  # noqa: FBT001, FBT002
    suffix: Callable[[], str] = str,
    claim: Claim | None = None,
) -> Iterator[int]:
    # text, not paths: in a batch, this is done for every job
    folder, name = os.path.split(path)
    temporary = os.path.join(folder, f"{_prefix(name)}{os.getpid()}.{next(_begun) & 0xFFFFFFFF:08x}.part")  # noqa: PTH118
    begun = False
    try:
        # nothing is begun in a folder either that was let go of, and swept
        with claim or contextlib.nullcontext():
            descriptor = os.open(temporary, _NEW, 0o600 if private else 0o666)
        begun = True
        try:
            yield descriptor
            os.fsync(descriptor)
        finally:
            os.close(descriptor)
        target = os.path.join(folder, name + suffix())  # noqa: PTH118 - likewise
        if not private:
            _keep_mode(target, temporary)
        with claim or contextlib.nullcontext():
            os.replace(temporary, target)  # noqa: PTH105 - likewise
    except BaseException as error:
        if begun:
            with contextlib.suppress(FileNotFoundError):
                os.unlink(temporary)  # noqa: PTH108 - likewise
        if isinstance(error, OSError):
            raise disk_error(error, str(path)) from None
        raise


class Claim:
    """A run's right to put files into a folder, held while one goes to its place, and gone before the folder's lock is.

    Threads that nobody waits for any more may still be at work then: what they have goes nowhere.
    """

    def __init__(self) -> None:
        self._changed = threading.Condition()
        self._placing = 0
        self._over = False

    def __enter__(self) -> None:
        with self._changed:
            if self._over:
                raise Interrupted("the run was over before this file was whole", hint="run the same line again")
            self._placing += 1

    def __exit__(self, *_: object) -> None:
        with self._changed:
            self._placing -= 1
            self._changed.notify_all()

    def end(self) -> None:
        """Nothing goes to its place from now on; what is going there just now is waited for."""
        with self._changed:
            self._over = True
            self._changed.wait_for(lambda: not self._placing, _LONGEST_RENAME)


#: Seconds that a disk may take to give a file its name, before nobody waits for it.
_LONGEST_RENAME = 30.0


def _keep_mode(target: str, temporary: str) -> None:
    """Give a new file the mode of the one whose place it takes."""
    try:
        mode = stat.S_IMODE(os.stat(target).st_mode)  # noqa: PTH116 - likewise
    except FileNotFoundError:
        return
    os.chmod(temporary, mode)  # noqa: PTH101 - likewise


@contextmanager
def spool(place: Path | None = None) -> Iterator[BinaryIO]:
    """A nameless file, gone when the block is left: for what must be whole before anybody sees it."""
    with explained(place or Path("the temporary folder")), tempfile.TemporaryFile(dir=place) as file:
        yield file


@contextmanager
def scratch() -> Iterator[Path]:
    """A folder for what is too much for memory, gone when the block is left; those of killed runs are removed first."""
    with explained(Path("the temporary folder")):
        top = Path(tempfile.gettempdir())
        prefix = f"jobfetch.{_host()}."
        with contextlib.suppress(OSError):  # the temporary folder may be closed to those who list it
            for left in top.glob(f"{prefix}*"):
                owner = left.name.removeprefix(prefix).partition(".")[0]
                if owner.isdecimal() and _abandoned(int(owner), left):
                    shutil.rmtree(left, ignore_errors=True)
        made = tempfile.TemporaryDirectory(prefix=f"{prefix}{os.getpid()}.", dir=top)
    with made as place:
        yield Path(place)


@functools.cache
def _host() -> str:
    return hashlib.sha256(socket.gethostname().encode()).hexdigest()[:6]


def _prefix(name: str) -> str:
    # bytes count, not characters: a name may hold 255 of them
    return f".{os.fsencode(name)[:100].decode(sys.getfilesystemencoding(), 'ignore')}.{_host()}."


def _sweep(target: Path) -> None:
    """Remove what killed runs on this machine left of the same file."""
    prefix = _prefix(target.name)
    with contextlib.suppress(OSError):  # a folder may be written to and not listed
        for left in target.parent.iterdir():
            owner = left.name.removeprefix(prefix).partition(".")[0]
            ours = left.name.startswith(prefix) and left.name.endswith(".part")
            if ours and owner.isdecimal() and _abandoned(int(owner), left):
                left.unlink(missing_ok=True)


def _abandoned(owner: int, left: Path) -> bool:
    if owner != os.getpid():
        return not _alive(owner)
    # an id is given out again: what is older than this process is not its own
    return left.stat().st_mtime < _BEGAN


def sweep(folder: Path, below: str | None = None) -> None:
    """Remove whatever killed runs left in a folder, before or after this process writes there.

    Those on other machines, whose life nobody can see from here, once a day has passed.

    So it does in the folders in it whose names end in `below`.
    """
    temporary = re.compile(r"\..*\.([0-9a-f]{6})\.([0-9]+)\.[0-9a-f]{8}\.part", re.DOTALL)
    long_ago = time.time() - _NOBODYS
    with explained(folder):
        places = [str(folder)]
        if below:
            found = (entry for entry in os.scandir(folder) if entry.name.endswith(below))
            places += [entry.path for entry in found if entry.is_dir(follow_symlinks=False)]
        left = (entry for place in places for entry in os.scandir(place))
        for path, match in [(entry.path, match) for entry in left if (match := temporary.fullmatch(entry.name))]:
            # an id is given out again: what bears our own is somebody else's, or nobody works on it any more
            dead = match[1] == _host() and (int(match[2]) == os.getpid() or not _alive(int(match[2])))
            if dead or _written(path) < long_ago:
                Path(path).unlink(missing_ok=True)


def _written(path: str) -> float:
    """When a file was last written to, in seconds since 1970; now where it is gone."""
    try:
        return os.stat(path).st_mtime  # noqa: PTH116 - likewise
    except FileNotFoundError:
        return time.time()


def typed(path: Path) -> str:
    """A path as it is typed: one word of a shell, and no option."""
    return shlex.quote(os.path.join(".", path) if str(path).startswith("-") else str(path))  # noqa: PTH118 - a Path drops the dot


def digest(path: Path, check: Callable[[], None] = lambda: None) -> tuple[int, str]:
    """The length and the SHA-256 of a file; `check` raises where nobody waits for them any more."""
    told, room = hashlib.sha256(), memoryview(bytearray(CHUNK // 4))
    with path.open("rb", buffering=0) as file:
        while length := file.readinto(room):
            check()
            told.update(room[:length])
        return file.tell(), told.hexdigest()


def _alive(pid: int) -> bool:
    try:
        os.kill(pid, 0)
    except ProcessLookupError:
        return False
    except (PermissionError, OverflowError):
        return True
    return True


def sync_folder(path: Path) -> None:
    """Make new names in a folder last."""
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


#: What is wrong with the place of one file, and not with the disk.
_IN_THE_WAY = {errno.EISDIR, errno.EEXIST, errno.ELOOP, errno.ENOTDIR, errno.ENAMETOOLONG}


def disk_error(error: OSError, where: str) -> DiskError:
    """Our error for a local file's: what, where, and what to do next."""
    advice = {
        errno.ENOSPC: "free some space, then run the same line again",
        errno.EDQUOT: "free some space, then run the same line again",
        errno.EACCES: "check the owner and mode of the folder",
        errno.EROFS: "the file system is read-only: name another place",
        errno.EISDIR: "name a file, or end the path with / for a folder",
        errno.ENOENT: "make the folder first, or name another place",
        errno.ENOTDIR: "a part of this path is a file: name another place",
    }
    kind = InTheWay if error.errno in _IN_THE_WAY else DiskError
    return kind(
        f"{where}: {error.strerror or 'cannot be written'}",
        hint=advice.get(error.errno or 0, "name another place"),
    )
