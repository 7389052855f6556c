"""What a measure means: its better direction, its anchors, the range of its values. A kind has one table of them.

Scoring takes all of it from there, and a record that claims something else is no valid record: anchors belong to the
benchmark, never to an entrant. A measure against one of several truths is named `auc[task:truth]`.
A measure that is in no table (a third party's) has the fields that its scorer gives it.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from math import inf, isfinite

from mechboard.contract.scores import Direction, Measure
from mechboard.errors import ScoringError

_ROUNDING = 1e-9


@dataclass(frozen=True, kw_only=True)
class Definition:
    """What does not depend on who is scored. `chance` and `oracle` are the anchors 0 and 1.

    With `chance_varies` chance is the task's own (a prevalence, what a random ranking scores there), or not known.
    """

    direction: Direction
    chance: float | None = None
    chance_varies: bool = False
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
        fields = ("direction", "oracle") if known.chance_varies else ("direction", "chance", "oracle")
        for field in fields:
            given, valid = getattr(measure, field), getattr(known, field)
            if given != valid:
                return f"{name} has {field} {given!r}; valid: {valid!r}"
        return self.impossible(f"chance of {name}", measure.chance)

    def make(
        self, name: str, value: float | None, *, chance: float | None = None, of: str = "", note: str = ""
    ) -> Measure:
        """A value of a measure of this table; `chance` where it varies.

        Raises:
            ScoringError: the measure cannot have this value, so whatever it was made from is broken.
        """
        if said := self.impossible(name, value):
            raise ScoringError(f"{said}; the metric or the model's logits are broken, so nothing is scored.")
        known = self.table[name.partition("[")[0]]
        return Measure(
            value=value,
            direction=known.direction,
            chance=chance if known.chance_varies else known.chance,
            oracle=known.oracle,
            of=of,
            note=note,
        )
