"""Finds secrets in whatever a run left behind. It shares nothing with the program's own way to hide them."""

import base64
import html
import json
from collections.abc import Iterable, Iterator, Mapping
from pathlib import Path
from urllib.parse import quote, quote_plus

from jobfetch.sandbox import Asked

SIGNATURE = "X-Amz-Signature"


def spellings(secret: str) -> set[bytes]:
    """Every way in which a secret may be written down: plain, in URLs, JSON, Python's repr, HTML and base64."""
    raw = secret.encode()
    texts = {
        secret,
        quote(raw, safe=""),
        quote(raw),
        quote_plus(raw),
        json.dumps(secret)[1:-1],
        json.dumps(secret, ensure_ascii=False)[1:-1],
        json.dumps(json.dumps(secret)[1:-1])[1:-1],
        repr(secret)[1:-1],
        repr(raw)[2:-1],
        secret.replace("\\", "\\\\").replace("'", "\\'"),
        html.escape(secret),
    }
    return {text.encode() for text in texts} | set(_in_base64(raw))


def _in_base64(raw: bytes) -> Iterator[bytes]:
    """What base64 makes of it wherever it begins, without the ends that its neighbours have a say in."""
    for lead in range(3):
        encoded = base64.b64encode(b"\0" * lead + raw)
        inner = encoded[(0, 2, 3)[lead] : len(encoded) - (0, 3, 2)[(lead + len(raw)) % 3]]
        yield inner
        yield inner.translate(bytes.maketrans(b"+/", b"-_"))


def leaks(evidence: Mapping[str, bytes], secrets: Iterable[str]) -> list[str]:
    """The places in which a secret stands, in whatever spelling."""
    wanted = {spelling for secret in secrets for spelling in spellings(secret)}
    return [place for place, data in evidence.items() if any(spelling in data for spelling in wanted)]


def signed_links(evidence: Mapping[str, bytes]) -> list[str]:
    """The places in which a signature of a link stands."""
    return leaks(evidence, [SIGNATURE])


def heard(asked: Iterable[Asked], origin: str) -> dict[str, bytes]:
    """What one origin of the sandbox received, request by request."""
    return {
        f"request {number} to {origin}": repr_of(one)
        for number, one in enumerate(asked, start=1)
        if one.origin == origin
    }


def repr_of(asked: Asked) -> bytes:
    """One request as it stood on the wire."""
    lines = [f"{asked.method} {asked.path}", *(f"{name}: {value}" for name, value in asked.headers)]
    return "\n".join(lines).encode() + b"\n\n" + asked.body


def files(*folders: Path) -> dict[str, bytes]:
    """Names and contents of all files below some folders."""
    found = (path for folder in folders for path in folder.rglob("*"))
    return {f"file {path}": path.name.encode() + (path.read_bytes() if path.is_file() else b"") for path in found}
