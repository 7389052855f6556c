"""Pairs the cells of two sets of records and gives a verdict on each measure, for gates in CI.

Records are paired by method label, task, data seed and seed, then aggregated to one row per label, task and measure.

worse              moved for the worse by more than the tolerance                                           fails
missing            some records of the cell are not in HEAD                                                 fails
newly failing      done in BASE, not in HEAD                                                                fails
not comparable     the numbers mean different things: task version, graph, scorer, adapter, headline, direction
                   or truths differ; or BASE has a value and HEAD has none; or a record cannot be read      fails
inside the noise   moved by more than the tolerance, as BASE itself may with other seeds (`mechboard.comparison.noise`)
better, same       what they say
mended             not done in BASE, done in HEAD
new                not in BASE
failing            done on neither side
no value           neither side has one

What better means is BASE's word: a HEAD that declares another direction is not comparable. Of each side only the
newest version of a task counts. A value that is no finite number is never compared and never the same.
"""

from __future__ import annotations

from collections import defaultdict
from collections.abc import Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass
from math import isfinite
from pathlib import Path
from typing import Literal

from ..contract.scores import Measure
from ..errors import RecordError, UsageError
from ..records import Record
from .noise import Difference, difference
from .wanted import HEADLINE, PASSES, Wanted, full_name, measure_of

Word = Literal[
    "worse", "missing", "newly failing", "not comparable",
    "inside the noise", "better", "same", "mended", "new", "failing", "no value",
]  # fmt: skip
Seeds = tuple[int, int]
Pair = tuple[Record, Record]
Both = tuple[Measure | None, Measure | None]

FAILING: frozenset[Word] = frozenset({"worse", "missing", "newly failing", "not comparable"})
UNCHANGED: frozenset[Word] = frozenset({"same", "failing", "no value"})
# Rounding of decimal tolerances: 1 - 0.98 is 0.02 and a little more.
_ROUNDING = 1e-9


@dataclass(frozen=True)
class Verdict:
    """One row. `measure` is None where the verdict is on the whole cell; `change` is HEAD minus BASE."""

    verdict: Word
    label: str
    task: str
    measure: str | None = None
    direction: str | None = None
    base: float | None = None
    head: float | None = None
    change: float | None = None
    interval: tuple[float, float] | None = None
    tolerance: float | None = None
    pairs: int = 0
    reason: str = ""


def compare(base: Iterable[Record], head: Iterable[Record], wanted: Sequence[Wanted]) -> list[Verdict]:
    """A verdict for every wanted measure of every cell of either side, in the order of labels and tasks.

    Raises:
        UsageError: a side holds two records of one cell.
    """
    old, new = _cells("BASE", base), _cells("HEAD", head)
    return [v for key in sorted({*old, *new}) for v in _cell(*key, old.get(key, {}), new.get(key, {}), wanted)]


def unreadable(path: Path, error: RecordError) -> Verdict:
    """The verdict on a record that cannot be read: what it would have said is not known, so it is not comparable."""
    label, task = path.parts[-4:-2]
    return Verdict("not comparable", label, task.partition("@")[0], reason=str(error))


def nothing_compared(verdicts: Iterable[Verdict]) -> bool:
    """Whether no quality was compared at all; cost alone says nothing about answers."""
    said: frozenset[Word] = frozenset({"worse", "inside the noise", "better", "same", "mended"})
    return not any(v.verdict in said and v.measure != PASSES for v in verdicts)


def _cells(side: str, records: Iterable[Record]) -> dict[tuple[str, str], dict[Seeds, Record]]:
    found: dict[tuple[str, str], dict[Seeds, Record]] = defaultdict(dict)
    newest: dict[tuple[str, str], int] = {}
    for record in sorted(records, key=lambda r: r.cell.task_version):
        cell = record.cell
        key, seeds = (cell.label, cell.task), (cell.data_seed, cell.seed)
        if newest.get(key) != cell.task_version:
            newest[key] = cell.task_version
            found[key].clear()
        if seeds in found[key]:
            raise UsageError(f"{side} holds two records of {cell.name}; valid: one per cell, so remove one of them.")
        found[key][seeds] = record
    return found


def _cell(
    label: str, task: str, base: Mapping[Seeds, Record], head: Mapping[Seeds, Record], wanted: Sequence[Wanted]
) -> Iterator[Verdict]:
    """The verdict on the whole cell, if there is one, and on each measure of the pairs that are done on both sides."""
    gone = [seeds for seeds in base if seeds not in head]
    if gone:
        reason = f"{len(gone)} of {len(base)} records are not in HEAD"
        yield Verdict("missing", label, task, reason=reason)
    if not base:
        yield Verdict("new", label, task, reason=f"{len(head)} records are not in BASE")
    pairs = {seeds: (base[seeds], head[seeds]) for seeds in sorted(base) if seeds in head}
    broken = [h for b, h in pairs.values() if b.status == "done" != h.status]
    if broken:
        yield Verdict("newly failing", label, task, pairs=len(pairs), reason=_why(broken))
        return
    mended = [h for b, h in pairs.values() if b.status != "done" == h.status]
    if mended:
        yield Verdict("mended", label, task, pairs=len(pairs), reason=f"{len(mended)} of {len(pairs)} records")
    done = {seeds: pair for seeds, pair in pairs.items() if pair[0].status == "done"}
    if pairs and not done:
        yield Verdict("failing", label, task, pairs=len(pairs), reason="done on neither side")
    meaning = next((found for pair in done.values() if (found := _other_meaning(*pair))), None)
    if meaning:
        yield Verdict("not comparable", label, task, pairs=len(done), reason=meaning)
    elif done:
        yield from _measures(label, task, done, wanted)


def _why(broken: Sequence[Record]) -> str:
    first = broken[0]
    error = f": {first.error.type}: {first.error.message}" if first.error else ""
    return f"{len(broken)} records are {first.status}{error}"


def _other_meaning(base: Record, head: Record) -> str | None:
    """Why the numbers of two records mean different things, None if they mean the same."""
    facts = {
        "task version": (base.cell.task_version, head.cell.task_version),
        "problem": (base.task.facts, head.task.facts),
        "headline": (base.headline, head.headline),
    }
    for what, (before, after) in facts.items():
        if before != after:
            return f"the {what} differs" + ("" if what == "problem" else f": {before} in BASE, {after} in HEAD")
    truths = {truth.name: truth.n_true for truth in head.task.truths}
    for truth in base.task.truths:
        if truths.get(truth.name) != truth.n_true:
            return f"HEAD lacks the truth {truth.name} of {truth.n_true} edges"
    return None if base.scorer_id == head.scorer_id else "the scorer differs: make new BASE records with it"


def _measures(label: str, task: str, pairs: Mapping[Seeds, Pair], wanted: Sequence[Wanted]) -> Iterator[Verdict]:
    """A verdict per measure; where two words name one measure, the one that was typed or came later counts."""
    first = next(iter(pairs.values()))
    chosen: dict[str, Wanted] = {}
    for want in sorted(wanted, key=lambda w: w.typed):
        name = full_name(first[0], want.name) or full_name(first[1], want.name)
        if name:
            chosen[name] = want
    if first[0].headline is None:
        yield Verdict("no value", label, task, HEADLINE, pairs=len(pairs), reason="no headline on either side")
    for name, want in chosen.items():
        found = {seeds: (measure_of(b, name), measure_of(h, name)) for seeds, (b, h) in pairs.items()}
        verdict = _measure(label, task, name, found, want, first[0].method.deterministic)
        if verdict.verdict != "no value" or name == first[0].headline:
            yield verdict


def _measure(
    label: str, task: str, name: str, found: Mapping[Seeds, Both], want: Wanted, deterministic: bool
) -> Verdict:
    """The verdict on one measure of the pairs that are done on both sides."""

    def say(verdict: Word, reason: str) -> Verdict:
        return Verdict(verdict, label, task, name, pairs=len(found), reason=reason)

    reason = next((why for both in found.values() if (why := _incomparable(*both))), None)
    if reason:
        return say("not comparable", reason)
    valued = {seeds: (b, h) for seeds, (b, h) in found.items() if b and h and b.value is not None}
    if not valued:
        appeared = any(h and h.value is not None for _, h in found.values())
        return say("new", "BASE has no value") if appeared else say("no value", "no value on either side")
    directions = {b.direction for b, _ in valued.values()}
    if len(directions) > 1:
        return say("not comparable", "BASE itself disagrees about whether higher or lower is better")
    values: dict[int, list[tuple[float, float]]] = defaultdict(list)
    for (instance, _), (b, h) in valued.items():
        if b.value is not None and h.value is not None:
            values[instance].append((b.value, h.value))
    moved, direction = difference(values, deterministic=deterministic), directions.pop()
    tolerance = want.tolerance.around(moved.base)
    return Verdict(
        _judge(moved, direction, tolerance), label, task, name, direction, moved.base, moved.head, moved.change,
        moved.interval, tolerance, moved.pairs,
    )  # fmt: skip


def _incomparable(base: Measure | None, head: Measure | None) -> str | None:
    """Why two values cannot be compared; None if they can, or if BASE has none to begin with."""
    if any(m and m.value is not None and not isfinite(m.value) for m in (base, head)):
        return "a value is no finite number"
    if base is None or base.value is None:
        return None
    if head is None or head.value is None:
        return "HEAD has no value" + (f": {head.note}" if head and head.note else "")
    if base.direction != head.direction:
        return f"{base.direction} is better in BASE, {head.direction} in HEAD"
    return None


def _judge(moved: Difference, direction: str, tolerance: float) -> Word:
    gain = moved.change if direction == "higher" else -moved.change
    if abs(gain) <= tolerance + _ROUNDING:
        return "same"
    if moved.noise:
        return "inside the noise"
    return "better" if gain > 0 else "worse"
