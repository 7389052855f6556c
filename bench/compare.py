"""Pairs the cells of two sets of records and gives a verdict on each, for gates in CI.

better, worse      the headline moved by more than the tolerance
same               it did not
not comparable     the task's version or the scorer differs, so the numbers mean different things
newly failing      done in BASE, not in HEAD; counts as worse
mended             not done in BASE, done in HEAD
missing            not in HEAD
new                not in BASE
failing            done in neither
"""

from __future__ import annotations

from collections.abc import Iterable
from dataclasses import dataclass

from mechboard.records import Record

Key = tuple[str, str, int, int]
FAILING_VERDICTS = frozenset({"worse", "newly failing"})


@dataclass(frozen=True)
class Verdict:
    """One pair of cells. `change` is positive where HEAD is better."""

    label: str
    task: str
    data_seed: int
    seed: int
    verdict: str
    headline: str | None = None
    base: float | None = None
    head: float | None = None
    change: float | None = None


def compare(base: Iterable[Record], head: Iterable[Record], *, tolerance: float) -> list[Verdict]:
    """A verdict for every cell of either side."""
    old, new = ({_key(r): r for r in side} for side in (base, head))
    return [_verdict(key, old.get(key), new.get(key), tolerance) for key in sorted({*old, *new})]


def _key(record: Record) -> Key:
    cell = record.cell
    return cell.label, cell.task, cell.data_seed, cell.seed


def _verdict(key: Key, base: Record | None, head: Record | None, tolerance: float) -> Verdict:
    def say(verdict: str, *values: float | str | None) -> Verdict:
        return Verdict(*key, verdict, *values)  # type: ignore[arg-type]

    if head is None:
        return say("missing")
    if base is None:
        return say("new")
    if base.status != "done":
        return say("mended" if head.status == "done" else "failing")
    if head.status != "done":
        return say("newly failing", base.headline)
    before, after = base.headline_measure, head.headline_measure
    same_meaning = (base.cell.task_version, base.scorer_id, base.headline) == (
        head.cell.task_version,
        head.scorer_id,
        head.headline,
    )
    if not same_meaning or before is None or after is None or before.value is None or after.value is None:
        return say("not comparable", base.headline)
    change = (after.value - before.value) * (1 if before.direction == "higher" else -1)
    verdict = "same" if abs(change) <= tolerance else "better" if change > 0 else "worse"
    return say(verdict, base.headline, before.value, after.value, change)
