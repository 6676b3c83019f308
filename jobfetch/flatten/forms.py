"""Opens whole results of one form at once: one typed decoding each, and one block for the rows of many.

What a form gives is not told a second time: the general way goes through one result of that form, with marks in the place
of values, and where the marks come out, whole columns go. Nothing is guessed: where a result is not accounted for byte by
byte, or not all of its rows come out alike, it is given back unopened.
"""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from itertools import chain, groupby, islice
from typing import Any

import msgspec
from msgspec import Struct, field

from jobfetch.blocks import Block, Column, Row
from jobfetch.errors import BadReply
from jobfetch.flatten.node import Node
from jobfetch.flatten.outlines import Keys, Level, NoOutlineError, Seen, levels_of, sample_of, struct_of
from jobfetch.flatten.plans import Maker
from jobfetch.flatten.rules import Kind, Step
from jobfetch.flatten.shapes import PATIENCE, Fields, Opened, Tree, are_leaves, columns_of
from jobfetch.flatten.walk import Walker
from jobfetch.model import elements, encode
from jobfetch.spec import RowRules

#: Forms that are remembered: results of more of them are gone through one by one.
MOST_FORMS = 8

#: (job id, result)
Job = tuple[str, bytes]


class _Form(Struct, frozen=True, eq=False):
    """How some results look, and what becomes of them."""

    tree: Tree | None
    fields: Fields
    make: Maker
    word: str
    decoder: Any
    levels: list[Level]
    #: what an element's fields are called in a row, by number
    own: dict[int, str]
    #: what every row carries
    same: Row

    def block(self, provider: str, jobs: Sequence[Job], found: Sequence[Any]) -> Block | None:
        """The rows of some results; None where each wants a look of its own."""
        objects, length, counts = found, 0, list[list[int]]()
        carried: list[tuple[str, list[bytes], int]] = []
        for level in self.levels:
            columns = [*columns_of(level.ways, objects)]
            lists: list[Any] = [*map(level.inside, objects)]
            counts.append([*map(len, lists)])
            if not all(counts[-1]) or not all(map(are_leaves, columns)) or not _are_fixed(level, columns):
                return None
            length += sum(len(column.joined) for column in columns)
            length += len(objects) * (level.weight + 1) + sum(counts[-1])
            carried += (
                (name, [*map(bytes, columns[number].tokens)], len(counts) - 1) for number, name in level.carried.items()
            )
            objects = [*chain.from_iterable(lists)]
        columns, count = self.fields.columns(objects), len(objects)
        length += self.fields.accounted(count, columns) - 1 - count
        if length != sum(len(result) for _, result in jobs) or not all(map(are_leaves, columns)):
            return None
        times = [*_times(counts), [1] * count]
        fields = {name: columns[number] for number, name in self.own.items() if columns[number].joined}
        fields |= {name: Column.spread(tokens, times[level]) for name, tokens, level in carried}
        block = self.make.block(Opened(count, fields), self.same, self.word)
        if block is None:
            return None
        job_ids = Column.spread([encode(job_id) for job_id, _ in jobs], times[0])
        return Block(count, {"provider": encode(provider), **block.same}, {"job_id": job_ids, **block.own})


def _times(counts: list[list[int]]) -> list[list[int]]:
    """How many rows stand below each object of each level, of how many objects stand right below it."""
    times = counts[-1:]
    for above in reversed(counts[:-1]):
        below = iter(times[0])
        times.insert(0, [sum(islice(below, number)) for number in above])
    return times


def _are_fixed(level: Level, columns: Sequence[Column]) -> bool:
    return all({*map(bytes, columns[number].tokens)} == {token} for number, token in level.fixed.items())


class Forms(Struct):
    """The forms that the results of one service have had so far."""

    rules: RowRules
    _walker: Walker
    _told: list[tuple[Row, Row, str]]
    _forms: list[_Form] = field(default_factory=list)
    _tried: int = 0
    _failed: int = 0

    @classmethod
    def of(cls, rules: RowRules) -> Forms:
        """Row rules of which no result has been seen."""
        told: list[tuple[Row, Row, str]] = []
        return cls(rules, Walker(rules, lambda _: _Probe(told)), told)

    def groups(self, provider: str, jobs: Sequence[Job]) -> Iterator[tuple[Sequence[Job], Block | None]]:
        """Jobs that follow each other and look alike, with all of their rows; None where each is to be gone through."""
        found = [(job, *self._opened(job[1])) for job in jobs]
        for form, group in groupby(found, key=lambda each: each[1]):
            some = [*group]
            alike = [job for job, _, _ in some]
            block = form.block(provider, alike, [opened for _, _, opened in some]) if form else None
            self._failed += len(some) if form and block is None else 0
            yield alike, block

    def _opened(self, result: bytes) -> tuple[_Form | None, Any]:
        if self._failed > PATIENCE + self._tried // 2:
            return None, None
        self._tried += 1
        for form in self._forms:
            try:
                return form, form.decoder.decode(result)
            except (msgspec.MsgspecError, RecursionError):
                continue
        self._failed += 1
        try:
            form_, news = self._learned(result)
            return (form_, form_.decoder.decode(result)) if form_ and news else (None, None)
        except (msgspec.MsgspecError, BadReply, RecursionError, ValueError):
            return None, None

    def _learned(self, result: bytes) -> tuple[_Form | None, bool]:
        """The form of a result, made or widened; None where it has none."""
        whole = Node(result)
        for learned, steps in self._walker.ways(whole):
            seen = Seen()
            tree: Tree | None = None
            if steps[0].key == "$":
                seen.rows += elements(b"[" + result + b"]")
            else:
                try:
                    tree = seen.tree(result, steps, ())
                except NoOutlineError:
                    continue
            before = next((form for form in self._forms if form.tree == tree and form.make.kind is learned.kind), None)
            if before is None and len(self._forms) >= MOST_FORMS:
                return None, False
            fields = before.fields.copy() if before else Fields()
            news = fields.learn(seen.rows)
            made = self._made(learned.kind, tree, fields, seen) if news and fields.fit else None
            if made:
                self._forms = [made, *(form for form in self._forms if form is not before)]
                return made, True
        return None, False

    def _made(self, kind: Kind, tree: Tree | None, fields: Fields, seen: Seen) -> _Form | None:
        # the sizes of pages stand among the rows of one result, and are none of another's
        if kind.rule.sheets or any(self._steers((*seen.place, key)) for key in fields.keys):
            return None
        fixed = {keys: tokens for keys, tokens in seen.tokens.items() if self._steers(keys)}
        if any(len(tokens) > 1 or min(tokens)[1:2] == b"\\" for tokens in fixed.values()):
            return None
        tokens = {keys: b'"\\u0000%d"' % number for number, keys in enumerate(seen.tokens)}
        marks = {token: keys for keys, token in tokens.items()}
        tokens |= {keys: min(values) for keys, values in fixed.items()}
        rows = {b'"\\u0000r%d"' % number: number for number in range(len(fields.names))}
        told = self._probed(sample_of(tree, (), tokens, fields.sample([*rows])) if tree else fields.sample([*rows]))
        if told is None:
            return None
        carried, own, word = told
        if not rows.keys() >= {*own.values()} or carried.keys() & own.keys():
            return None
        same = {name: token for name, token in carried.items() if token not in marks}
        if any(b"\\u0000" in token for token in same.values()):
            # what is carried holds the rows themselves
            return None
        called = {marks[token]: name for name, token in carried.items() if token in marks}
        return _Form(
            tree=tree,
            fields=fields,
            make=Maker(kind),
            word=word,
            decoder=msgspec.json.Decoder(struct_of(tree, fields.struct) if tree else fields.struct),
            levels=[*levels_of(tree, (), {keys: tokens[keys] for keys in fixed}, called)] if tree else [],
            own={rows[token]: name for name, token in own.items()},
            same=same,
        )

    def _probed(self, sample: bytes) -> tuple[Row, Row, str] | None:
        """What the general way does with one result: the fields of its only row."""
        self._told.clear()
        rows = sum(block.count for block in self._walker(sample))
        return self._told[0] if rows == len(self._told) == 1 else None

    def _steers(self, keys: Keys) -> bool:
        """Whether what stands here may change the way through a result."""
        words = [[Step(kind.when[0], many=False)] for kind in self.rules.kinds if kind.when]
        return any(
            len(keys) <= len(steps) and all(step.key in {"*", key} for step, key in zip(steps, keys, strict=False))
            for steps in (*self._walker.paths, *words)
        )


class _Probe(Struct, frozen=True):
    """Takes the place of what makes rows, and tells what it was given."""

    told: list[tuple[Row, Row, str]]

    def row(self, carried: Row, own: Row, kind: str) -> Row:
        """Remember one row."""
        self.told.append((carried, own, kind))
        return {}

    def block(self, *_: object) -> None:
        """Nothing: rows are to come one by one."""
