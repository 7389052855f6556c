"""What a measure means: its better direction, its anchors, the range of its values. A kind has one table of them.

Scoring takes all of it from there, and a record that claims something else is no valid record: anchors belong to the
benchmark, never to an entrant. Chance is a constant of most measures; of some it depends on the truth (its prevalence)
or on the task (what random scores give there, which the task states). A measure against one of several truths is named `auc[task:truth]`.
A measure that is in no table (a third party's) has the fields that its scorer gives it.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from math import inf, isfinite
from typing import Literal

from mechboard.contract.scores import Direction, Measure
from mechboard.errors import ScoringError

_ROUNDING = 1e-9


@dataclass(frozen=True, kw_only=True)
class Definition:
    """What does not depend on who is scored. `chance` and `oracle` are the anchors 0 and 1.

    `chance_of` says whose chance it is: this constant, always that of the truth, or that of the task if it states one.
    """

    direction: Direction
    chance: float | None = None
    chance_of: Literal["measure", "truth", "task"] = "measure"
    oracle: float | None = None
    lowest: float = -inf
    highest: float = inf


@dataclass(frozen=True)
class Definitions:
    """The measures of one kind, by their names without brackets.

    >>> table = Definitions({"auc": Definition(direction="higher", chance=0.5, oracle=1.0, lowest=0.0, highest=1.0)})
    >>> table.of("auc[ioi:acdc-963]").chance
    0.5
    >>> table.impossible("auc[ioi:acdc-963]", 7.5)
    'auc[ioi:acdc-963] is 7.5; valid: 0 to 1'
    >>> table.wrong_chance("auc[ioi:acdc-963]", 0.8)
    'auc[ioi:acdc-963] has chance 0.8; valid: 0.5'
    """

    table: Mapping[str, Definition]

    def of(self, name: str) -> Definition | None:
        """The definition of a measure, None if it is not in the table."""
        return self.table.get(name.partition("[")[0])

    def impossible(self, name: str, value: float | None) -> str:
        """Why a measure cannot have this value; empty if it can."""
        if value is None:
            return ""
        if not isfinite(value):
            return f"{name} is {value}; valid: a finite number"
        known = self.of(name)
        if known is None or known.lowest - _ROUNDING <= value <= known.highest + _ROUNDING:
            return ""
        valid = f"{known.lowest:g} to {known.highest:g}" if known.highest < inf else f"{known.lowest:g} or more"
        return f"{name} is {value:g}; valid: {valid}"

    def untrue(self, name: str, measure: Measure) -> str:
        """What a measure in a record claims that cannot be; empty if nothing."""
        if said := self.impossible(name, measure.value):
            return said
        known = self.of(name)
        if known is None:
            return ""
        for field in ("direction", "oracle"):
            given, valid = getattr(measure, field), getattr(known, field)
            if given != valid:
                return f"{name} has {field} {given!r}; valid: {valid!r}"
        return self.wrong_chance(name, measure.chance)

    def wrong_chance(self, name: str, chance: float | None) -> str:
        """Why a measure cannot have this chance; empty if it can."""
        known = self.of(name)
        if known is None or (chance is None and known.chance_of == "task"):
            return ""
        if known.chance_of == "measure":
            return "" if chance == known.chance else f"{name} has chance {chance!r}; valid: {known.chance!r}"
        assert known.oracle is not None
        higher = known.direction == "higher"
        fits = chance is not None and (known.lowest <= chance < known.oracle if higher else known.oracle < chance < inf)
        valid = f"{known.lowest:g} or more and under {known.oracle:g}" if higher else f"over {known.oracle:g}"
        return "" if fits else f"{name} has chance {chance!r}; valid: {valid}"

    def make(
        self, name: str, value: float | None, *, chance: float | None = None, of: str = "", note: str = ""
    ) -> Measure:
        """A value of a measure of this table; `chance` where it is that of the truth or of the task.

        Raises:
            ScoringError: the measure cannot have this value or this chance, so whatever it was made from is broken.
        """
        if said := self.impossible(name, value):
            raise ScoringError(f"{said}; the metric or the model's logits are broken, so nothing is scored.")
        known = self.table[name.partition("[")[0]]
        if known.chance_of == "measure" and chance is None:
            chance = known.chance
        if said := self.wrong_chance(name, chance):
            raise ScoringError(f"{said}; state another chance, or none.")
        return Measure(value=value, direction=known.direction, chance=chance, oracle=known.oracle, of=of, note=note)
