"""From what is kept of a job to its rows: of its result, and of the parts that came window by window."""

from __future__ import annotations

from collections.abc import Callable, Iterator, Sequence
from pathlib import Path
from typing import TYPE_CHECKING

from msgspec import Struct

from jobfetch import disk
from jobfetch.blocks import Block, blocks
from jobfetch.fetch.linked import PARTS_SUFFIX
from jobfetch.spec import Provider

if TYPE_CHECKING:
    from jobfetch.flatten import Forms, Result


class Maker(Struct, frozen=True):
    """Makes the rows of one job after another: (job id, result, its linked files) -> rows.

    `lists` names what may be long in a result, and need not be held. `forms` makes the rows of many jobs at once, where
    no linked files belong to them.
    """

    make: Callable[[str, Result, Sequence[Path]], Iterator[Block]]
    lists: frozenset[str] = frozenset()
    forms: Forms | None = None


def maker(provider: Provider, asked: str | None) -> Maker:
    """Makes rows as the provider declares them, or the view or path that is asked for; `UsageError` where that is neither."""
    from jobfetch import flatten  # noqa: PLC0415 - a run that makes no table does not need it

    name, rules = provider.name, provider.rows
    if asked is not None and asked in rules.named:
        view = asked
        return Maker(lambda job_id, result, _: blocks(flatten.view(rules, view, name, job_id, bytes(result))))
    rules = flatten.by_path(rules, asked) if asked else rules
    walk, lists = flatten.walker(rules)

    def made(job_id: str, result: Result, files: Sequence[Path]) -> Iterator[Block]:
        yield from walk(name, job_id, result)
        for path in files if rules.parts and not asked else ():
            if path.name.endswith(PARTS_SUFFIX):
                with disk.explained(path), path.open("rb") as lines:
                    yield from flatten.part_blocks(rules, name, job_id, lines)

    return Maker(made, lists, flatten.Forms.of(rules))
