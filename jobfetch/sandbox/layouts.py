"""What expert.ai says about a document: its layout, and its words as packed records."""

import base64
import gzip
import json
import struct
from collections.abc import Iterable, Mapping
from functools import cache
from typing import Any

from jobfetch.sandbox.play import Call, Script, sample, stored_bytes, verbatim
from jobfetch.sandbox.wire import Reply

_SERVICE = "expertai"
MANY = 20_000
"""So many elements are in the layout of the result that is big."""

SEPARATOR = bytes(4)
"""What stands after each record, in some results."""

_ELEMENT = {"label": "P", "page": 1, "parent": 1, "type": "text"}


def stored(name: str) -> Script:
    """A stored reply, byte for byte."""
    return lambda _call: verbatim(stored_bytes(_SERVICE, f"{name}.json"))


def told(name: str, *, gap: bytes = b"", more: Mapping[str, Any] | None = None, **header: Any) -> Script:
    """A stored result with the words of its own layout, and with its header and its first floor changed."""

    def answer(_call: Call) -> Reply:
        reply = sample(_SERVICE, name)
        result = reply["result"]
        result["header"].update(header)
        result["words"] = packed(result["layout"], result["header"]["totPages"], gap)
        return verbatim(json.dumps({**(more or {}), **reply}, ensure_ascii=False).encode())

    return answer


def packed(layout: list[Any], pages: int, gap: bytes = b"") -> list[str]:
    """The words of a layout: for each page a base64 text of a gzip file of records."""
    return [_of_page([one for one in layout if one["page"] == page], gap) for page in range(1, pages + 1)]


def _of_page(elements: Iterable[Any], gap: bytes) -> str:
    records = b"".join(record + gap for element in elements for record in _records(element))
    return base64.b64encode(gzip.compress(records, mtime=0)).decode()


def _records(element: Any) -> Iterable[bytes]:
    """A word, a zero, then the element's id and the word's box as little-endian integers."""
    words = element.get("content", "").split()
    left, top, right, bottom = element["bbox"]
    for number, word in enumerate(words):
        start, end = (left + (right - left) * place // len(words) for place in (number, number + 1))
        yield word.encode() + b"\0" + struct.pack("<5i", element["id"], start, top, end, bottom)


@cache
def _big() -> bytes:
    reply = sample(_SERVICE, "success")
    page = reply["result"]["layout"][0]
    elements = [
        {"bbox": [100, 100, 700, 114], "content": f"Line {n} of very many lines.\n", "id": n, **_ELEMENT}
        for n in range(2, MANY + 2)
    ]
    reply["result"]["layout"] = [page | {"children": [one["id"] for one in elements]}, *elements]
    reply["result"]["words"] = packed(reply["result"]["layout"], 1)
    return json.dumps(reply).encode()


def big(_call: Call) -> Reply:
    """A result of some MB."""
    return verbatim(_big())
