"""What may be kept between runs until it expires: tokens, and what a credential command printed; one file each.

The files are for their owner alone. One process renews, all others wait for it and take what it got.
"""

from __future__ import annotations

import contextlib
import hashlib
import hmac
import json
import math
import os
import time
from collections.abc import Callable, Iterator
from pathlib import Path

from msgspec import Struct
from msgspec.structs import asdict

from jobfetch import disk, locks
from jobfetch.errors import DiskError, FolderLocked

#: A token is renewed when it has fewer seconds than this to live.
LEEWAY = 30.0
#: Seconds to wait for another process that is renewing; then one goes on alone.
LOCK_PATIENCE = 60.0
#: Rounds of the digest that tells whether a token was had with the same secret.
_ROUNDS = 20_000


class Entry(Struct, frozen=True, kw_only=True):
    """One thing kept: a secret text, and its life in seconds since 1970. `proof` is a salted digest of its secret."""

    provider: str
    profile: str | None
    value: str
    obtained_at: float
    expires_at: float
    proof: str = ""

    def fresh(self, now: float) -> bool:
        """Whether it may still be used; one from the future was written by a clock that is wrong."""
        return self.obtained_at - LEEWAY <= now < self.obtained_at + usable(self.expires_at - self.obtained_at)


def usable(lifetime: float) -> float:
    """Seconds of a life that are used: all but the leeway; one too short for it still serves for half of its life."""
    return max(lifetime - LEEWAY, lifetime / 2)


class Key(Struct, frozen=True, kw_only=True):
    """Who and where: what must be the same for two runs to share one entry. `secret` is what it is had with."""

    provider: str
    profile: str | None
    parts: tuple[str, ...]
    secret: str = ""

    @property
    def file(self) -> str:
        """A file name that tells nothing: a hash of who and where, not of the secret."""
        parts = [self.provider, self.profile or "", *self.parts]
        return f"{hashlib.sha256(json.dumps(parts).encode()).hexdigest()[:32]}.json"


class Cache:
    """Entries in a folder of their own; without one that can be written, nothing is kept and nothing is lost.

    With `anew`, what is kept is not used, and replaced: somebody wants to know whether the secret is still good.
    """

    def __init__(
        self,
        folder: Path | None,
        *,
        wall: Callable[[], float] = time.time,
        patience: Callable[[], float] = lambda: LOCK_PATIENCE,
        anew: bool = False,
    ) -> None:
        self._folder = folder / "tokens" if folder and folder.is_absolute() else None
        self._wall = wall
        self._patience = patience
        self._anew = anew

    def now(self) -> float:
        """Seconds since 1970, on the clock that entries are kept by."""
        return self._wall()

    def peek(self, key: Key) -> Entry | None:
        """What is kept under a key and still fresh; nothing is renewed."""
        entry = _read(self._folder / key.file) if self._folder else None
        return entry if entry and entry.fresh(self._wall()) and _proves(entry.proof, key.secret) else None

    def get(
        self, key: Key, make: Callable[[], tuple[str, float | None]], refused: str | None = None
    ) -> tuple[str, float]:
        """A value and the seconds that it may be used for: what is kept, unless it is the refused one, else a new one.

        `make` gives a new value and its life in seconds (None: it is not kept). Whoever comes while another process
        renews waits, and takes what that one got.
        """
        if (kept := self._good(key, refused)) is None:
            with self._alone(key):
                if (kept := self._good(key, refused)) is None:
                    return self._keep(key, *make())
        return kept.value, kept.obtained_at + usable(kept.expires_at - kept.obtained_at) - self._wall()

    def _good(self, key: Key, refused: str | None) -> Entry | None:
        entry = None if self._anew else self.peek(key)
        return entry if entry and entry.value != refused else None

    def forget(self, provider: str, profile: str | None = None) -> int:
        """Remove what is kept for a provider (for one of its profiles, where one is named); how many there were."""
        gone = 0
        for path in self._files():
            entry = _parsed(path)
            # what cannot be read is nobody's, and may hold anybody's token
            if entry is None or (entry.provider == provider and (profile is None or entry.profile == profile)):
                with disk.explained(path):
                    path.unlink(missing_ok=True)
                gone += 1
        with contextlib.suppress(DiskError):  # no folder
            if self._folder:
                disk.sweep(self._folder)
        return gone

    def entries(self) -> Iterator[tuple[Path, Entry]]:
        """Every entry that may be used, with its file."""
        for path in self._files():
            if entry := _read(path):
                yield path, entry

    def _files(self) -> list[Path]:
        try:
            return (
                sorted(Path(each) for each in os.scandir(self._folder) if each.name.endswith(".json"))
                if self._folder
                else []
            )
        except OSError:  # no folder, or none of ours
            return []

    def _keep(self, key: Key, value: str, lifetime: float | None) -> tuple[str, float]:
        if lifetime is None:
            return value, math.inf
        if self._folder is None:
            return value, usable(lifetime)
        now = self._wall()
        entry = Entry(
            provider=key.provider,
            profile=key.profile,
            value=value,
            obtained_at=now,
            expires_at=now + lifetime,
            proof=_proof(key.secret, os.urandom(16)),
        )
        # a folder that cannot be written is no reason to fail: the next run asks again
        with contextlib.suppress(DiskError), disk.replacing(self._folder / key.file, private=True) as file:
            file.write(json.dumps(asdict(entry)).encode() + b"\n")
        return value, usable(lifetime)

    @contextlib.contextmanager
    def _alone(self, key: Key) -> Iterator[None]:
        """With no other process renewing the same, as far as the folder allows and patience goes."""
        with contextlib.ExitStack() as stack:
            with contextlib.suppress(DiskError, FolderLocked):
                if self._folder:
                    disk.folder(self._folder, private=True)
                    stack.enter_context(locks.locked(self._folder / f"{key.file}.lock", self._patience()))
            yield


def _read(path: Path) -> Entry | None:
    """An entry; None where there is none that can be read, or where others could have read or written it."""
    try:
        return None if disk.has_modes() and path.stat().st_mode & 0o077 else _parsed(path)
    except OSError:
        return None


def _parsed(path: Path) -> Entry | None:
    """What a file holds, whoever may read it; None where that is no entry."""
    try:
        told = json.loads(disk.text_of(path))
        times = [float(told["obtained_at"]), float(told["expires_at"])]
        texts = [told["provider"], told["value"], told["proof"]]
        good = all(map(math.isfinite, times)) and all(isinstance(text, str) for text in texts)
        return Entry(**told) if good else None
    except (OSError, ValueError, TypeError, KeyError, RecursionError):
        return None


def _proof(secret: str, salt: bytes) -> str:
    digest = hashlib.pbkdf2_hmac("sha256", secret.encode("utf-8", "surrogateescape"), salt, _ROUNDS)
    return f"{salt.hex()}:{digest.hex()}"


def _proves(proof: str, secret: str) -> bool:
    """Whether an entry was had with this secret: a token of a secret that has been changed is not ours any more."""
    try:
        salt = bytes.fromhex(proof.partition(":")[0])
    except ValueError:
        return False
    return hmac.compare_digest(proof, _proof(secret, salt))
