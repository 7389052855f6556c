"""Who stands where by one measure: overall scores, their intervals, ranges of ranks.

An overall score is a mean over families, each the mean of its tasks, so that no idea counts twice for having variants.
It needs every task of the suite; a failed cell counts as chance and is marked, a method that lacks a task or declined
it is partial and has no rank. Where a task has no scale for the measure, its family drops out for everybody.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, replace
from statistics import fmean

from .families import Family
from .groups import PASSES, Group
from .ranks import half_width, rank_ranges


@dataclass(frozen=True)
class Standing:
    """A method's place by one measure; `method` is its name without parameters. `score` and `interval` are of the mean over families."""

    label: str
    method: str
    score: float | None
    interval: float | None
    n_tasks: int
    n_suite: int
    imputed: bool
    reference: bool
    rank: tuple[int, int] | None = None

    @property
    def partial(self) -> bool:
        """Whether a task is missing."""
        return self.n_tasks < self.n_suite


@dataclass(frozen=True)
class Ranking:
    """Everyone's place by one measure, and over which families; the others have no scale for it."""

    measure: str
    counted: tuple[Family, ...]
    dropped: tuple[Family, ...]
    standings: tuple[Standing, ...]

    def of(self, label: str) -> Standing:
        """The place of one method."""
        return next(s for s in self.standings if s.label == label)


def ranking(
    measure: str,
    families: Sequence[Family],
    methods: Mapping[str, Group],
    *,
    absent: int,
    before: Sequence[str] = (),
) -> Ranking:
    """Methods by a measure: ranked ones, best first, then the others that are whole, then partial ones.

    Args:
        measure: its short name.
        families: what the overall score is over.
        methods: a group of each, by label and in the order of equals; it tells whether one without a task here is a reference.
        absent: how many tasks of the suite nobody ran.
        before: an order of labels for those that the measure does not order.
    """
    counted = tuple(f for f in families if f.counts(measure))
    found = [_standing(label, measure, families, counted, some, absent) for label, some in methods.items()]
    if measure != PASSES:
        ranked = [s.label for s in found if s.score is not None and not s.reference]
        ranges = rank_ranges({label: _scores(label, measure, counted) for label in ranked})
        found = [replace(s, rank=ranges.get(s.label)) for s in found]
    places = {label: place for place, label in enumerate(before)}
    better = 1 if measure == PASSES else -1

    def order(s: Standing) -> tuple[bool, tuple[int, int], bool, bool, bool, float, int]:
        unscored, signed, place = s.score is None, better * (s.score or 0.0), places.get(s.label, 0)
        return s.rank is None, s.rank or (0, 0), s.partial, s.reference, unscored, signed, place

    dropped = tuple(f for f in families if f not in counted)
    return Ranking(measure, counted, dropped, tuple(sorted(found, key=order)))


def _scores(label: str, measure: str, families: Sequence[Family]) -> list[float]:
    return [score for family in families if (score := family.score(label, measure)) is not None]


def _standing(
    label: str, measure: str, families: Sequence[Family], counted: Sequence[Family], some: Group, absent: int
) -> Standing:
    scores = _scores(label, measure, counted)
    whole = bool(counted) and len(scores) == len(counted) and not absent
    tasks = [task for family in counted for task in family.tasks]
    mine = [group for family in families for group in family.groups(label)]
    return Standing(
        label=label,
        method=some.method,
        score=fmean(scores) if whole else None,
        interval=half_width(scores) if whole else None,
        n_tasks=sum(task.score(label, measure) is not None for task in tasks),
        n_suite=len(tasks) + absent,
        imputed=any(group.failed for family in counted for group in family.groups(label)),
        reference=any(group.first.method.reference for group in mine or [some]),
    )
