"""From what is kept of a job to its rows: of its result, and of the parts that came window by window."""

from __future__ import annotations

from collections.abc import Callable, Iterator, Sequence
from pathlib import Path

from jobfetch import disk, flatten
from jobfetch.blocks import Block, blocks
from jobfetch.fetch.linked import PARTS_SUFFIX
from jobfetch.spec import Provider

#: (job id, result, where its linked files lie) -> its rows.
Maker = Callable[[str, bytes, Sequence[Path]], Iterator[Block]]


def maker(provider: Provider, asked: str | None) -> Maker:
    """Makes the rows of one job after another: as the provider declares them, or the view or path that is asked for.

    `UsageError` where that is neither.
    """
    name, rules = provider.name, provider.rows
    if asked is not None and asked in rules.named:
        view = asked

        def viewed(job_id: str, result: bytes, _: Sequence[Path]) -> Iterator[Block]:
            return blocks(flatten.view(rules, view, name, job_id, result))

        return viewed
    walk = flatten.walker(flatten.by_path(rules, asked) if asked else rules)

    def made(job_id: str, result: bytes, files: Sequence[Path]) -> Iterator[Block]:
        yield from walk(name, job_id, result)
        for path in files if rules.parts and not asked else ():
            if path.name.endswith(PARTS_SUFFIX):
                with disk.explained(path), path.open("rb") as lines:
                    yield from flatten.part_blocks(rules, name, job_id, lines)

    return made
