"""All records of one method on one task, and what they come to."""

from __future__ import annotations

from collections import defaultdict
from dataclasses import dataclass
from statistics import fmean, stdev

from mechboard.contract.scores import Measure
from mechboard.records import Record

PASSES = "passes"
"""Forwards plus twice the backwards, per prompt: the one measure that every kind has, and none has anchors for."""


@dataclass(frozen=True)
class Group:
    """All records of one method on one task: instances (data seeds) x seeds."""

    records: tuple[Record, ...]

    @property
    def first(self) -> Record:
        """The record that pictures and curves are drawn from."""
        return (self.done or self.records)[0]

    @property
    def method(self) -> str:
        """The method without its parameters and adapter."""
        return self.first.cell.method

    @property
    def done(self) -> tuple[Record, ...]:
        """Records with a result."""
        return tuple(r for r in self.records if r.status == "done")

    @property
    def failed(self) -> tuple[Record, ...]:
        """Records that should have a result and have none."""
        return tuple(r for r in self.records if r.status not in ("done", "unsupported"))

    @property
    def unsupported(self) -> tuple[Record, ...]:
        """Records of problems that the method declined, which is no failure and no result."""
        return tuple(r for r in self.records if r.status == "unsupported")

    @property
    def reason(self) -> str:
        """Why the first record without a result has none; empty if all have one."""
        without = next((r for r in (*self.failed, *self.unsupported) if r.error), None)
        return without.error.message if without and without.error else ""

    @property
    def status(self) -> str:
        """`done`, or the first other status, with its count if some records are done or failed otherwise."""
        without = self.failed or self.unsupported
        if not without:
            return "done"
        if len(self.unsupported) == len(self.records):
            return "unsupported"
        return f"{without[0].status} {len(without)}/{len(self.records)}"

    @property
    def passes(self) -> float | None:
        """Passes averaged over records; None if a record does not know its own."""
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

    def measure(self, name: str) -> Measure | None:
        """A measure with its value averaged over seeds, then over instances; without a value if any record lacks it."""
        if name == PASSES:
            return Measure(value=self.passes, direction="lower", of="forwards + 2 x backwards per prompt")
        found = [r.measures.get(name) for r in self.records]
        if any(m is None or m.value is None for m in found):
            return next((m for m in found if m is not None and m.value is None), None)
        first = found[0]
        assert first is not None
        return first.model_copy(update={"value": fmean(fmean(v) for v in self._by_instance(name).values())})

    def score(self, name: str) -> float | None:
        """A measure on the scale of its anchors, 0 chance and 1 oracle; None without anchors or where it was declined.

        A failed record counts 0.
        """
        anchored = [_on_scale(r.measures.get(name)) for r in self.done]
        if self.unsupported or any(a is None for a in anchored):
            return None
        by_instance: dict[int, list[float]] = defaultdict(list)
        for record in self.failed:
            by_instance[record.cell.data_seed].append(0.0)
        for record, value in zip(self.done, anchored, strict=True):
            by_instance[record.cell.data_seed].append(value or 0.0)
        return fmean(fmean(values) for values in by_instance.values())

    def spread(self, name: str) -> str:
        """Spread by source, in words: over instances, and over seeds unless the method is deterministic."""
        values = self._by_instance(name)
        means = [fmean(v) for v in values.values()]
        over = f"{len(means)} instances {min(means):.3f} to {max(means):.3f}" if len(means) > 1 else "1 instance"
        return f"{over}; {'deterministic' if self.first.method.deterministic else _over_seeds(values)}"

    def _by_instance(self, name: str) -> dict[int, list[float]]:
        values: dict[int, list[float]] = defaultdict(list)
        for record in self.records:
            measure = record.measures.get(name)
            if measure is not None and measure.value is not None:
                values[record.cell.data_seed].append(measure.value)
        return values


def _over_seeds(values: dict[int, list[float]]) -> str:
    spreads = [stdev(v) for v in values.values() if len(v) > 1]
    seeds = max((len(v) for v in values.values()), default=0)
    return f"{seeds} seeds, sd {fmean(spreads):.3f}" if spreads else "1 seed"


def _on_scale(measure: Measure | None) -> float | None:
    if measure is None or measure.value is None or measure.chance is None or measure.oracle is None:
        return None
    return (measure.value - measure.chance) / (measure.oracle - measure.chance)
