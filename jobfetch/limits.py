"""Durations and sizes as people type them: `90`, `30m`, `1h30m`, `512MiB`."""

from __future__ import annotations

import re

from jobfetch.errors import UsageError

_SECONDS = {"ms": 0.001, "s": 1.0, "m": 60.0, "h": 3600.0, "d": 86400.0, "": 1.0}
_BYTES = {"": 1, "b": 1, "k": 1000, "kb": 1000, "kib": 1024, "m": 10**6, "mb": 10**6, "mib": 2**20}
_BYTES |= {"g": 10**9, "gb": 10**9, "gib": 2**30}
_LONGEST = 10 * 365 * 86400.0


def duration(text: str) -> float:
    """Seconds for `90`, `30s`, `5m`, `1h30m`, `1.5h`; a bare number is seconds."""
    parts = re.findall(r"([0-9]+(?:\.[0-9]*)?|\.[0-9]+)\s*(ms|s|m|h|d|)", text.strip().lower())
    whole = "".join(number + unit for number, unit in parts)
    if not parts or whole != re.sub(r"\s", "", text.lower()) or (len(parts) > 1 and not all(u for _, u in parts)):
        raise UsageError(f"{text!r} is no duration", hint="write for example 90, 30s, 5m or 1h30m")
    return min(sum(float(number) * _SECONDS[unit] for number, unit in parts), _LONGEST)


def size(text: str) -> int:
    """Bytes for `1048576`, `100kB`, `512MiB`, `2g`."""
    match = re.fullmatch(r"([0-9]+)(?:\.([0-9]+))?\s*([a-z]*)", text.strip().lower())
    if not match or match[3] not in _BYTES:
        raise UsageError(f"{text!r} is no size", hint="write for example 100kB, 512MiB or 2GiB")
    rest = match[2] or ""
    try:
        return int(match[1] + rest) * _BYTES[match[3]] // int("1" + "0" * len(rest))
    except ValueError:  # more digits than Python is willing to count
        raise UsageError(f"{text[:20]!r}... is no size", hint="write for example 512MiB") from None


#: Jobs at once that nobody needs more of: threads, connections, open files.
MOST_WORKERS = 256


def workers(text: str) -> int:
    """How many jobs are fetched at once: a number from 1 to 256."""
    if not re.fullmatch(r"[0-9]{1,4}", text) or not 1 <= int(text) <= MOST_WORKERS:
        raise UsageError(f"{text!r} is no number of workers", hint=f"write a number from 1 to {MOST_WORKERS}")
    return int(text)
