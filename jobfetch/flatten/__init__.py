"""From a result to rows: the row rules of a provider, compiled; numbers stay as the service wrote them.

It knows no file and no format: it makes blocks of rows, each row a JSON token a column. `rules` reads the declaration,
`walk` goes through a result, `shapes` opens long lists of like elements at once.
"""

from __future__ import annotations

from collections.abc import Callable, Iterable, Iterator
from contextlib import contextmanager

from jobfetch.blocks import Block, Row, text
from jobfetch.errors import BadReply
from jobfetch.flatten.forms import Forms, Job
from jobfetch.flatten.long import Large, check_text, readable, shortened
from jobfetch.flatten.node import Node, Result
from jobfetch.flatten.rules import by_path, compiled_kind, steps
from jobfetch.flatten.walk import Learned, Walk, Walker, has
from jobfetch.model import encode
from jobfetch.spec import RowRules, Rows

__all__ = [
    "Forms",
    "Job",
    "Large",
    "Result",
    "Row",
    "by_path",
    "check_text",
    "compiled",
    "leads_anywhere",
    "named",
    "part_blocks",
    "part_rows",
    "shortened",
    "text",
    "view",
    "walker",
]

#: (provider, job id, result) -> rows in blocks.
Blocks = Callable[[str, str, Result], Iterator[Block]]


def walker(rules: RowRules) -> tuple[Blocks, frozenset[str]]:
    """Row rules, compiled: (provider, job id, result) -> blocks of rows.

    With it come the names of the lists that may be long, and stay elsewhere (`shortened`).

    Numbers stay as the service wrote them, lists stay compact JSON. A result that none of the rules fits gives one
    row of its own fields, so that nothing is lost. Use one for many results: it learns how their elements look.
    """
    walk = Walker(rules)

    def blocks_of(provider: str, job_id: str, result: Result) -> Iterator[Block]:
        start = {"provider": encode(provider), "job_id": encode(job_id)}
        with named(provider, job_id):
            for block in walk(result):
                yield Block(block.count, {**start, **block.same}, block.own)

    return blocks_of, walk.lists


def compiled(rules: RowRules) -> Callable[[str, str, bytes], Iterator[Row]]:
    """The same a row at a time."""
    blocks_of, _ = walker(rules)
    return lambda provider, job_id, result: (
        row for block in blocks_of(provider, job_id, result) for row in block.rows()
    )


def part_blocks(rules: RowRules, provider: str, job_id: str, parts: Iterable[bytes]) -> Iterator[Block]:
    """The rows of parts that came window by window, each part a JSON value."""
    kind = compiled_kind(rules.parts or Rows(each=("$",), kind="part"))
    walk = Walk(Learned.of(kind), kind.paths[0], RowRules(kinds=()))
    start = {"provider": encode(provider), "job_id": encode(job_id)}
    with named(provider, job_id):
        for part in parts:
            block = walk.whole(Node(readable(part)))
            yield Block(block.count, {**start, **block.same}, block.own)


def part_rows(rules: RowRules, provider: str, job_id: str, parts: Iterable[bytes]) -> Iterator[Row]:
    """The same a row at a time."""
    return (row for block in part_blocks(rules, provider, job_id, parts) for row in block.rows())


def view(rules: RowRules, name: str, provider: str, job_id: str, result: bytes) -> Iterator[Row]:
    """The rows of another view of a result, by its name."""
    start = {"provider": encode(provider), "job_id": encode(job_id)}
    with named(provider, job_id):
        for row in rules.named[name](result):
            yield {**start, **row}


def leads_anywhere(path: str, result: bytes) -> bool:
    """Whether a result has anything at a path of the user's own."""
    read = steps(path)
    return read[0].key == "$" or has(Node.of(result).members, read)


@contextmanager
def named(provider: str, job_id: str) -> Iterator[None]:
    """Says whose result it was, where a result cannot be read."""
    who = f"{provider} job {job_id}"
    try:
        yield
    except RecursionError:
        raise BadReply(f"{who}: nested too deeply to be made rows of", hint="-f json keeps it whole") from None
    except BadReply as error:
        raise BadReply(f"{who}: {error.message}", hint=error.hint, code=error.code) from None
