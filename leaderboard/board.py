"""From records to the numbers of the leaderboard: groups, spreads, overall scores and rank ranges.

Anchors belong to the task version, so adding a method moves no other method's score. An overall
score needs every task of its suite; a failed cell counts as its chance anchor and is marked; a
method that lacks a task is partial and has no rank. Ranks are ranges: two methods are told apart
only if the interval of their paired differences over tasks excludes zero.
"""

from __future__ import annotations

from collections import defaultdict
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass, replace
from functools import cached_property
from statistics import fmean, stdev

from mechboard.contract.scores import Measure
from mechboard.contract.task import Suite
from mechboard.records import Record

_CONFIDENCE = 0.95


@dataclass(frozen=True)
class Group:
    """All records of one method on one task: instances (data seeds) x seeds."""

    records: tuple[Record, ...]

    @property
    def first(self) -> Record:
        """The record that pictures and curves are drawn from."""
        done = [r for r in self.records if r.status == "done"]
        return (done or list(self.records))[0]

    @property
    def family(self) -> str:
        """The method without its parameters."""
        return self.first.cell.method

    @property
    def passes(self) -> float | None:
        """Forwards plus twice the backwards, per prompt, averaged; None if a record does not know it."""
        costs = [r.cost.passes for r in self.records if r.cost]
        known = [passes for passes in costs if passes is not None]
        return fmean(known) if known and len(known) == len(costs) else None

    @property
    def notes(self) -> tuple[str, ...]:
        """What must be known of these numbers, each note once, with its cells if it is not of all."""
        cells: dict[str, list[str]] = defaultdict(list)
        for record in self.records:
            for note in record.notes:
                cells[note].append(f"data-{record.cell.data_seed} seed-{record.cell.seed}")
        return tuple(
            note if len(where) == len(self.records) else f"{note} ({', '.join(where)})" for note, where in cells.items()
        )

    @property
    def failed(self) -> tuple[Record, ...]:
        """Records without a result."""
        return tuple(r for r in self.records if r.status != "done")

    def measure(self, name: str) -> Measure | None:
        """A measure with its value averaged over seeds, then over instances; None if any record lacks it."""
        found = [r.measures.get(name) for r in self.records]
        if any(m is None or m.value is None for m in found):
            return next((m for m in found if m is not None and m.value is None), None)
        means = list(self._means_by_instance(name).values())
        first = found[0]
        assert first is not None
        return first.model_copy(update={"value": fmean(means)})

    def _means_by_instance(self, name: str) -> dict[int, float]:
        values: dict[int, list[float]] = defaultdict(list)
        for record in self.records:
            measure = record.measures.get(name)
            if measure is not None and measure.value is not None:
                values[record.cell.data_seed].append(measure.value)
        return {instance: fmean(v) for instance, v in values.items()}

    def spread(self, name: str) -> str:
        """Spread by source, in words: over instances, and over seeds unless the method is deterministic."""
        by_instance = list(self._means_by_instance(name).values())
        parts = []
        if len(by_instance) > 1:
            parts.append(f"{len(by_instance)} instances {min(by_instance):.3f} to {max(by_instance):.3f}")
        else:
            parts.append("1 instance")
        if self.first.method.deterministic:
            parts.append("deterministic")
        else:
            parts.append(self._seed_spread(name))
        return "; ".join(parts)

    def _seed_spread(self, name: str) -> str:
        values: dict[int, list[float]] = defaultdict(list)
        for record in self.records:
            measure = record.measures.get(name)
            if measure is not None and measure.value is not None:
                values[record.cell.data_seed].append(measure.value)
        spreads = [stdev(v) for v in values.values() if len(v) > 1]
        seeds = max((len(v) for v in values.values()), default=0)
        return f"{seeds} seeds, sd {fmean(spreads):.3f}" if spreads else "1 seed"

    @property
    def headline(self) -> Measure | None:
        """The headline, averaged."""
        name = self.first.headline
        return self.measure(name) if name else None

    @property
    def score(self) -> float | None:
        """The headline on the scale of the task's anchors, 0 chance and 1 oracle; a failed record counts 0."""
        done = [r for r in self.records if r.status == "done"]
        anchored = [_anchored(r.headline_measure) for r in done]
        if any(a is None for a in anchored):
            return None
        by_instance: dict[int, list[float]] = defaultdict(list)
        for record in self.failed:
            by_instance[record.cell.data_seed].append(0.0)
        for record, value in zip(done, anchored, strict=True):
            by_instance[record.cell.data_seed].append(value or 0.0)
        return fmean(fmean(values) for values in by_instance.values())

    @property
    def status(self) -> str:
        """`done`, or the first other status with its count."""
        if not self.failed:
            return "done"
        return f"{self.failed[0].status} {len(self.failed)}/{len(self.records)}"


def _anchored(measure: Measure | None) -> float | None:
    if measure is None or measure.value is None or measure.chance is None or measure.oracle is None:
        return None
    return (measure.value - measure.chance) / (measure.oracle - measure.chance)


@dataclass(frozen=True)
class Standing:
    """A method's place in one suite."""

    label: str
    score: float | None
    n_tasks: int
    n_suite: int
    imputed: bool
    reference: bool
    rank: tuple[int, int] | None = None

    @property
    def partial(self) -> bool:
        """Whether a task of the suite is missing."""
        return self.n_tasks < self.n_suite


@dataclass
class Board:
    """Everything the pages show."""

    groups: dict[tuple[str, str], Group]
    suite: Suite
    unreadable: tuple[str, ...] = ()

    @classmethod
    def of(cls, records: Iterable[Record], suite: Suite, unreadable: Sequence[str] = ()) -> Board:
        """Group records by method label and task; of a task only the newest version that anyone was run on counts."""
        given = list(records)
        newest: dict[str, int] = defaultdict(int)
        for record in given:
            newest[record.cell.task] = max(newest[record.cell.task], record.cell.task_version)
        grouped: dict[tuple[str, str], list[Record]] = defaultdict(list)
        for record in given:
            if record.cell.task_version == newest[record.cell.task]:
                grouped[record.cell.label, record.cell.task].append(record)
        return cls({key: Group(tuple(rs)) for key, rs in grouped.items()}, suite, tuple(unreadable))

    @cached_property
    def tasks(self) -> list[str]:
        """Tasks, those of the suite first."""
        present = {task for _, task in self.groups}
        return [t for t in self.suite.tasks if t in present] + sorted(present - set(self.suite.tasks))

    @cached_property
    def standings(self) -> list[Standing]:
        """Methods, ranked ones first, best first; references and partial ones after them."""
        labels = sorted({label for label, _ in self.groups})
        found = [self._standing(label) for label in labels]
        ranked = [s.label for s in found if not s.reference and not s.partial and s.score is not None]
        ranges = rank_ranges({label: self._task_scores(label) for label in ranked})
        found = [replace(s, rank=ranges.get(s.label)) for s in found]
        return sorted(found, key=lambda s: (s.rank is None, s.rank or (0, 0), s.partial, -(s.score or 0.0), s.label))

    def of_task(self, task: str) -> list[tuple[str, Group]]:
        """Methods on one task, best headline first, failures last."""
        rows = [(label, group) for (label, t), group in self.groups.items() if t == task]

        def order(row: tuple[str, Group]) -> tuple[bool, float, str]:
            measure = row[1].headline
            if measure is None or measure.value is None:
                return True, 0.0, row[0]
            return False, -measure.value if measure.direction == "higher" else measure.value, row[0]

        return sorted(rows, key=order)

    def of_method(self, label: str) -> list[tuple[str, Group]]:
        """Tasks of one method."""
        return [(task, self.groups[label, task]) for task in self.tasks if (label, task) in self.groups]

    def cost_and_quality(self) -> list[tuple[str, float, float]]:
        """Label, mean passes per prompt and overall score, for methods that have both."""
        scored = ((s.label, self._passes(s.label), s.score) for s in self.standings)
        return [(label, passes, score) for label, passes, score in scored if passes is not None and score is not None]

    @property
    def of_unknown_cost(self) -> list[str]:
        """Labels of methods with an overall score whose passes are not known: nothing tells whether they are cheap."""
        return [s.label for s in self.standings if s.score is not None and self._passes(s.label) is None]

    def _passes(self, label: str) -> float | None:
        """Mean over tasks; None if it is unknown on one that was solved."""
        solved = [g.passes for _, g in self.of_method(label) if any(r.cost for r in g.records)]
        known = [passes for passes in solved if passes is not None]
        return fmean(known) if known and len(known) == len(solved) else None

    def _task_scores(self, label: str) -> list[float]:
        return [self.groups[label, task].score or 0.0 for task in self.suite.tasks]

    def _standing(self, label: str) -> Standing:
        mine = [self.groups[label, task] for task in self.suite.tasks if (label, task) in self.groups]
        scores = [g.score for g in mine]
        complete = len(mine) == len(self.suite.tasks) and None not in scores
        any_group = next(g for (name, _), g in self.groups.items() if name == label)
        return Standing(
            label=label,
            score=fmean(s for s in scores if s is not None) if complete else None,
            n_tasks=len(mine),
            n_suite=len(self.suite.tasks),
            imputed=any(g.failed for g in mine),
            reference=any(g.first.method.reference for g in mine or [any_group]),
        )


def rank_ranges(scores: Mapping[str, Sequence[float]]) -> dict[str, tuple[int, int]]:
    """Best and worst rank of each entry, from paired differences over tasks (Student t, 95 %).

    With few tasks the intervals are rough; equal entries share a range.

    >>> rank_ranges({"a": [1.0, 1.0, 0.9], "b": [0.1, 0.2, 0.1], "c": [1.0, 0.9, 1.0]})
    {'a': (1, 2), 'b': (3, 3), 'c': (1, 2)}
    """
    names = list(scores)
    better = {n: sum(_separated(scores[o], scores[n]) for o in names if o != n) for n in names}
    worse = {n: sum(_separated(scores[n], scores[o]) for o in names if o != n) for n in names}
    return {n: (1 + better[n], len(names) - worse[n]) for n in names}


def _separated(first: Sequence[float], second: Sequence[float]) -> bool:
    """Whether `first` is better than `second` beyond chance."""
    from scipy.stats import t

    differences = [a - b for a, b in zip(first, second, strict=True)]
    if len(differences) < 2:
        return False
    half = t.ppf((1 + _CONFIDENCE) / 2, len(differences) - 1) * stdev(differences) / len(differences) ** 0.5
    return bool(fmean(differences) > half)
