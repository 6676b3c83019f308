"""The manifest of a folder: what became of every job, a line each, appended and synced; the last line of a job counts.

Only one thread writes it. In memory it keeps a hash and a place in the file for each job, never the lines themselves.
"""

from __future__ import annotations

import os
import re
from collections.abc import Callable, Iterable, Iterator, Sequence
from collections.abc import Set as AbstractSet
from pathlib import Path
from typing import BinaryIO, Literal, Self

import msgspec

from jobfetch import disk
from jobfetch.errors import (
    BadReply,
    ConfigError,
    DiskError,
    Exit,
    JobfetchError,
    Partial,
    UsageError,
    shortened,
    without_addresses,
)
from jobfetch.model import State, StoredAsset, encode, fingerprint

NAME = "manifest.jsonl"
FAILURES = "failures.ndjson"
LOCK = ".jobfetch.lock"
#: Holds the path or view of `--rows`, so that a later run which only keeps a table up to date makes it of the same rows.
ROWS = ".jobfetch.rows"
#: Files that a batch keeps in a folder beside records and tables.
KEPT = (NAME, FAILURES, LOCK, ROWS)
#: What the name of the folder of a job's linked files ends in.
ASSETS = ".assets"

#: Exit codes that this version knows.
_CODES = frozenset(map(int, Exit))
#: After these the service has said its last word on a job: the same line does not ask again.
_LAST_WORDS = frozenset({Exit.FAILED, Exit.GONE, Exit.PARTIAL})
#: The code of a job whose linked files could not all be had: another run may have them.
LINKS_LOST = "links_lost"

# the last part of a linked file's name: no way out of its folder, and no hidden file
_PLAIN = re.compile(r"[A-Za-z0-9_][A-Za-z0-9_.-]*")


# what we call a linked file: by number, or by what its lines are
_LINKED = re.compile(r"[0-9]{4,}\.[a-z0-9]+|[a-z]+\.ndjson")


class Header(msgspec.Struct, frozen=True, kw_only=True, forbid_unknown_fields=True):
    """The first line: whose jobs these are. `origin` is a hash, so that no address stands here."""

    schema: Literal["jobfetch.manifest/1"]
    provider: str
    params: dict[str, str]
    profile: str | None
    format: str
    origin: str


class Problem(msgspec.Struct, frozen=True, kw_only=True):
    """Why a job is not all there: an exit code of ours, a code, and words without any address."""

    exit_code: int
    code: str
    message: str


class Linked(msgspec.Struct, frozen=True, kw_only=True):
    """A linked file of a job, as it was written; `file` is relative to the manifest's folder."""

    file: str
    bytes: int
    sha256: str


class Entry(msgspec.Struct, frozen=True, kw_only=True, omit_defaults=True):
    """What became of one job. `file` lies in the same folder; `at` is RFC 3339 UTC.

    `assets` stands in the line only where there are any.
    """

    job_id: str
    state: State | None
    file: str | None
    bytes: int | None
    sha256: str | None
    error: Problem | None
    attempts: int
    at: str
    assets: tuple[Linked, ...] = ()

    @property
    def exit(self) -> Exit:
        """What the job counts as."""
        if self.error:
            # a code that is not known here, of a later version perhaps: worth another try
            known = self.error.exit_code in _CODES
            return Exit(self.error.exit_code) if known else Exit.UNAVAILABLE
        return Exit.DONE if self.state and self.state.terminal else Exit.RUNNING

    @property
    def last_word(self) -> bool:
        """Whether the service will not tell more about this job, whatever it is asked."""
        return self.exit in _LAST_WORDS and not self.links_lost

    @property
    def links_lost(self) -> bool:
        """Whether some of its linked files could not be had."""
        return bool(self.error and self.error.code == LINKS_LOST)

    @property
    def done(self) -> bool:
        """Whether there is nothing more to fetch."""
        return self.exit is Exit.DONE or self.last_word

    def path(self, folder: Path) -> Path | None:
        """Where its file lies; None where there is none, `BadReply` where its name is not the job's own: nobody wrote that here."""
        if self.file is None:
            return None
        if self.file != f"{disk.safe_name(self.job_id)}.json":
            raise BadReply(
                f"{folder / NAME}: {self.file[:200]!r} is no name for the file of job {self.job_id}",
                hint=f"jobfetch batch verify {disk.typed(folder)} --repair fetches it again",
            )
        return folder / self.file

    def difference(self, folder: Path, *, verify: bool = False, check: Callable[[], None] = lambda: None) -> str | None:
        """What is wrong with its files as they lie there, linked ones included, by size or by hash; None where nothing is.

        Without a file there is nothing to lose, unless all is said to be there. `check` raises where nobody waits for hashes
        any more.
        """
        if self.file is None:
            return "no file is recorded" if self.exit is Exit.DONE else None
        name = disk.safe_name(self.job_id)
        own = _different(folder, self.file, self.bytes, self.sha256, verify=verify, check=check)
        # a name that is not the job's own was not written by us
        problem = own if self.file == f"{name}.json" else f"{self.file} is no name for this job"
        for each in self.assets:
            place, _, last = each.file.partition("/")
            if place != f"{name}{ASSETS}" or not _PLAIN.fullmatch(last):
                problem = problem or f"{each.file} is no name for a linked file of this job"
            problem = problem or _different(folder, each.file, each.bytes, each.sha256, verify=verify, check=check)
        return problem

    def intact(self, folder: Path, *, verify: bool = False, check: Callable[[], None] = lambda: None) -> bool:
        """Whether its files lie there as they were written; `check` as for `difference`."""
        return self.difference(folder, verify=verify, check=check) is None


def _different(
    folder: Path, file: str, length: int | None, sha256: str | None, *, verify: bool, check: Callable[[], None]
) -> str | None:
    try:
        # text, not paths: this is done for every job of a folder
        same = os.stat(f"{folder}{os.sep}{file}").st_size == length  # noqa: PTH116 - likewise
        same = same and (not verify or disk.digest(folder / file, check) == (length, sha256))
    except (FileNotFoundError, NotADirectoryError):
        return f"{file} is missing"
    except OSError as error:
        return f"{file}: {error.strerror}"
    return None if same else f"{file} has changed"


def linked_files(stored: Iterable[StoredAsset]) -> tuple[Linked, ...]:
    """Those linked files of a job that lie on disk, as they are written down."""
    return tuple(
        Linked(file=each.file, bytes=each.bytes, sha256=each.sha256)
        for each in stored
        if each.file is not None and each.bytes is not None and each.sha256 is not None
    )


def remove_other_links(folder: Path, entry: Entry) -> None:
    """Remove the linked files that an earlier fetch of a job has left, and that it has no more."""
    place = folder / f"{disk.safe_name(entry.job_id)}{ASSETS}"
    stay = {each.file.rpartition("/")[2] for each in entry.assets}
    with disk.explained(place):
        for path in place.iterdir() if place.is_dir() else ():
            if _LINKED.fullmatch(path.name) and path.name not in stay:
                path.unlink(missing_ok=True)
        if not stay and place.is_dir() and not any(place.iterdir()):
            place.rmdir()


def problem(
    error: JobfetchError | None, *, linked: Iterable[StoredAsset] = (), scrub: Callable[[str], str] = str
) -> Problem | None:
    """An error as it is written down, without any secret that `scrub` knows; a job that still runs has none.

    `linked` files that could not be had are one even where the job counts as a success: another run may have them.
    """
    lost = [each.error for each in linked if each.error]
    if error is None and lost:
        error = Partial(f"{len(lost)} linked files could not be had: {lost[0]}")
    if error is None or error.exit is Exit.RUNNING:
        return None
    code = LINKS_LOST if lost else error.code or error.exit.outcome
    pairs = ("(address)", code), ("the server", error.message)
    shown = [shortened(without_addresses(scrub(text), told)) for told, text in pairs]
    return Problem(exit_code=int(error.exit), code=shown[0], message=shown[1])


#: How every manifest begins; what begins otherwise is somebody else's file.
_BEGINS = b'{"schema":"jobfetch.manifest/'

_ENTRIES = msgspec.json.Decoder(Entry)
_HEADERS = msgspec.json.Decoder(Header)

#: The bytes in which most lines end; a longer one is read on.
_USUAL = 640


def recorded_folders(top: Path) -> list[Path]:
    """The folders that a batch has filled: this one, and those in it, each once whatever links lead to it.

    One that nobody may look into is an error, since it may be one of them.
    """
    with disk.explained(top), os.scandir(top) as inside:
        # by the name of a link only where it lies elsewhere
        names = [name for _, name in sorted((each.is_symlink(), each.name) for each in inside if each.is_dir())]
        places = {os.path.realpath(place): place for place in reversed([top, *(top / name for name in names)])}
    return [each for each in sorted(places.values()) if _has_manifest(each)]


def header_of(folder: Path) -> Header | None:
    """Whose jobs a folder holds; None where nobody can tell."""
    try:
        with (folder / NAME).open("rb") as file:
            return _header(file.readline(), folder / NAME)
    except (OSError, ConfigError):
        return None


def _has_manifest(folder: Path) -> bool:
    with disk.explained(folder):
        return (folder / NAME).is_file()


class Manifest:
    """One folder's manifest, open. `Manifest.begin` writes, `Manifest.read` only looks."""

    def __init__(self, path: Path, file: BinaryIO, header: Header | None) -> None:
        self.folder = path.parent
        self._path = path
        self._file = file
        #: fingerprint of an id -> where its last line begins, and in the lowest bit whether anything is left to do
        self._places: dict[int, int] = {}
        self._end = 0
        #: lines in the middle that nobody can read
        self.unreadable = 0
        self._scan(header)

    @classmethod
    def begin(cls, folder: Path, header: Header) -> Self:
        """Open the manifest of a folder to go on with it, or start it; a torn last line is cut off.

        Raises:
            UsageError: the folder holds the jobs of somebody else.
            ConfigError: it is no manifest.
            DiskError: it cannot be read or written.

        """
        path = folder / NAME
        with disk.explained(path):
            file = os.fdopen(
                os.open(path, os.O_RDWR | os.O_CREAT | getattr(os, "O_BINARY", 0), 0o666), "r+b", buffering=0
            )
        try:
            return cls(path, file, header)
        except BaseException:
            file.close()
            raise

    @classmethod
    def read(cls, folder: Path) -> Self | None:
        """Open the manifest of a folder to look into it; None where nothing is recorded yet.

        Raises:
            UsageError: there is none.
            ConfigError: it is no manifest.

        """
        path = folder / NAME
        if not path.is_file():
            raise UsageError(f"{folder} holds no {NAME}", hint="name the folder that a batch download filled")
        with disk.explained(path):
            file = path.open("rb", buffering=0)
        try:
            if _is_torn(file.readline()):
                file.close()
                return None
            return cls(path, file, None)
        except BaseException:
            file.close()
            raise

    def __enter__(self) -> Self:
        return self

    def __exit__(self, *_: object) -> None:
        self._file.close()

    def __len__(self) -> int:
        return len(self._places)

    def last(self, job_id: str) -> Entry | None:
        """What became of a job, as far as it is known here."""
        place = self._places.get(fingerprint(job_id))
        return None if place is None else self._entry(place >> 1)

    def place(self, job_id: str) -> int:
        """Where the last line of a job stands: the later it was asked about, the larger; 0 for one that is not there."""
        return self._places.get(fingerprint(job_id), 0) >> 1

    def entries(self, *, left: bool = False, but: AbstractSet[int] = frozenset()) -> Iterator[Entry]:
        """The last word on every job, in the order in which they were written; or on those `left` that did not succeed.

        `but` are fingerprints of ids that are passed over.
        """
        for place in sorted(place for mark, place in self._places.items() if mark not in but):
            if (not left or place & 1) and (entry := self._entry(place >> 1)):
                yield entry

    def ids(self) -> list[str]:
        """Every job id, by code point."""
        return sorted(entry.job_id for entry in self.entries())

    def add(self, entries: Sequence[Entry]) -> None:
        """Append lines and sync them, all at once: only then they count. On an error none of them is there."""
        lines = [encode(entry) + b"\n" for entry in entries]
        if not lines:
            return
        with disk.explained(self._path):
            self._refuse_changed()
            try:
                self._write(b"".join(lines))
            except BaseException:
                self._cut()
                raise
        place = self._end
        for entry, line in zip(entries, lines, strict=True):
            self._places[fingerprint(entry.job_id)] = place << 1 | _is_left(entry.state, entry.error)
            place += len(line)
        self._end = place

    def _refuse_changed(self) -> None:
        """`DiskError` where somebody else has moved or written what this run has open: its lines would reach nobody."""
        ours = os.fstat(self._file.fileno())
        try:
            moved = not os.path.samestat(ours, self._path.stat())
        except FileNotFoundError:
            moved = True
        if moved or ours.st_size != self._end:
            raise DiskError(
                f"{self._path} was {'removed or moved' if moved else 'written'} by somebody else during the run",
                hint="run the same line again, alone",
            )

    def _write(self, data: bytes) -> None:
        self._file.seek(self._end)
        disk.write(self._file.fileno(), data)
        os.fsync(self._file.fileno())

    def _cut(self) -> None:
        """Take back whatever stands behind the last whole line."""
        os.ftruncate(self._file.fileno(), self._end)

    def _scan(self, expected: Header | None) -> None:
        with disk.explained(self._path):
            self._file.seek(0)
            # a buffer of its own: the file itself stays unbuffered, so that what is written is written
            with os.fdopen(os.dup(self._file.fileno()), "rb") as lines:
                first = lines.readline()
                if not _is_torn(first):
                    self.header = _header(first, self._path)
                    self._end = len(first)
                else:
                    # the very first line was torn, so nothing was ever recorded
                    first = b""
                for line in lines if first else ():
                    if not line.endswith(b"\n"):
                        break
                    self._remember(line)
                    self._end += len(line)
            if expected is not None:
                self._begin(expected, fresh=not first)

    def _begin(self, expected: Header, *, fresh: bool) -> None:
        if not fresh:
            refuse_other(self.folder, self.header, expected)
        self._cut()
        if fresh:
            self.header = expected
            data = encode(expected) + b"\n"
            self._write(data)
            self._end = len(data)
            disk.sync_folder(self.folder)

    def _remember(self, line: bytes) -> None:
        try:
            # all of it, as it is read again later: what cannot be read then is told of now
            read = _ENTRIES.decode(line)
            self._places[fingerprint(read.job_id)] = self._end << 1 | _is_left(read.state, read.error)
        except (msgspec.MsgspecError, UnicodeDecodeError):
            self.unreadable += 1

    def _entry(self, place: int) -> Entry | None:
        try:
            line = _line_at(self._file.fileno(), place)
        except OSError as error:
            raise disk.disk_error(error, str(self._path)) from None
        try:
            return _ENTRIES.decode(line)
        except (msgspec.MsgspecError, UnicodeDecodeError):
            return None


def _line_at(descriptor: int, place: int) -> bytes:
    """The line that begins at a place of a file."""
    os.lseek(descriptor, place, os.SEEK_SET)
    line = b""
    while chunk := os.read(descriptor, _USUAL):
        head, end, _ = chunk.partition(b"\n")
        line += head
        if end:
            break
    return line


def _is_torn(first: bytes) -> bool:
    """Whether the first line of a file is a header of ours that was never written to its end."""
    return not first.endswith(b"\n") and (first.startswith(_BEGINS) or _BEGINS.startswith(first))


def _is_left(state: str | None, error: object) -> bool:
    """Whether a job may have something left to do, or to complain of: anything but a plain success."""
    return error is not None or state != State.SUCCEEDED


def _header(line: bytes, path: Path) -> Header:
    try:
        return _HEADERS.decode(line)
    except (msgspec.MsgspecError, UnicodeDecodeError):
        raise ConfigError(
            f"{path} line 1 is not the beginning of a manifest of jobfetch", hint="name another folder with -o"
        ) from None


def refuse_other(folder: Path, found: Header, wanted: Header) -> None:
    """Refuse to mix: the jobs of two services, projects, batches or addresses, or records with raw bytes."""
    pairs = [("provider", found.provider, wanted.provider)]
    names = sorted({*found.params, *wanted.params})
    pairs += [(name, found.params.get(name, "none"), wanted.params.get(name, "none")) for name in names]
    pairs += [("the service's address", found.origin, wanted.origin)]
    pairs += [("format", _kept(found), _kept(wanted))]
    differs = next(((name, before, now) for name, before, now in pairs if before != now), None)
    if differs:
        name, before, now = differs
        said = "" if name == "the service's address" else f" ({before}, and now {now})"
        raise UsageError(
            f"{folder} holds the jobs of another run: {name} differs{said}",
            hint="name another folder with -o, or ask for the same as before",
        )


def _kept(header: Header) -> str:
    return "raw" if header.format == "raw" else "records"
