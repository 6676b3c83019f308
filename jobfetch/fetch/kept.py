"""What lies on disk of a job after it was asked for: its file, length and hash, and whether it is news."""

from __future__ import annotations

import hashlib
import os
import re
from pathlib import Path
from typing import Self

from msgspec import Struct

from jobfetch.errors import TooSoon
from jobfetch.model import Outcome

# quotes within JSON text are escaped, so that this stands between two members only
_FETCHED_AT = re.compile(rb',"fetched_at":"[^"]*"(?=,"result":)')
#: Bytes of a record in which that moment is looked for: it stands before the result, which may be of any size.
_HEAD = 16 << 20


class Kept(Struct, frozen=True):
    """One job's outcome with the file that it left; `asked` is how often the service was asked for it."""

    outcome: Outcome
    asked: int = 1
    file: str | None = None
    length: int | None = None
    sha256: str | None = None
    #: whether the result differs from the one that was there before; None where nothing was compared
    changed: bool | None = None

    @property
    def too_soon(self) -> bool:
        """Whether time was up before the job's result could be asked for, so that there is nothing to record."""
        return isinstance(self.outcome.error, TooSoon) and self.outcome.state is None

    @classmethod
    def of(cls, outcome: Outcome, before: bytes | None = None) -> Self:
        """An outcome with the file that it left."""
        if outcome.digest is None:
            return cls(outcome)
        length, sha256 = outcome.digest
        path = outcome.files[0]
        changed = None if before is None else essence(Path(path)) != before
        return cls(outcome, 1, path.rpartition(os.sep)[2], length, sha256, changed)


def essence(path: Path) -> bytes | None:
    """A hash of a result without the moment when it was fetched; None where there is no file."""
    try:
        with path.open("rb") as file:
            digest = hashlib.sha256(_FETCHED_AT.sub(b"", file.read(_HEAD), count=1))
            while chunk := file.read(_HEAD):
                digest.update(chunk)
            return digest.digest()
    except OSError:
        return None
