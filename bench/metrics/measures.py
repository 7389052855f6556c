"""What each measure means: its better direction, its anchors, the range of its values. The one place that says so.

Scoring takes all of it from here, and a record that claims something else is no valid record: anchors belong to the
benchmark, never to an entrant. Chance is a constant of most measures; of some it depends on the truth (its prevalence)
or on the task (what random scores give there, which the task states). A measure against one of several truths is named
`auc[task:truth]`.
A measure that is not listed here (a third party's) has the fields that its scorer gives it.
"""

from __future__ import annotations

from dataclasses import dataclass, replace
from math import inf, isfinite
from typing import Literal

from mechboard.errors import ScoringError
from mechboard.protocols import Direction, Measure

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


_AUC = Definition(direction="higher", chance=0.5, oracle=1.0, lowest=0.0, highest=1.0)
_PRECISION = Definition(direction="higher", chance_of="truth", oracle=1.0, lowest=0.0, highest=1.0)
_CORRELATION = Definition(direction="higher", chance=0.0, oracle=1.0, lowest=-1.0, highest=1.0)
_AREA_OF_ERROR = Definition(direction="lower", oracle=0.0, lowest=0.0)

DEFINITIONS = {
    "auc": _AUC,
    "average-precision": _PRECISION,
    "precision-at-size": _PRECISION,
    "auc-signed": _AUC,
    "correlation": _CORRELATION,
    "rank-correlation": _CORRELATION,
    "auc-low": _AUC,
    "auc-high": _AUC,
    "cmd": replace(_AREA_OF_ERROR, chance_of="task"),
    "cmd-mib": _AREA_OF_ERROR,
    "completeness": _AREA_OF_ERROR,
    "cpr-clipped": Definition(direction="higher", oracle=1.0, lowest=0.0, highest=1.0),
    "cpr": Definition(direction="higher"),
    "coverage": Definition(direction="higher", lowest=0.0, highest=1.0),
    "metric-model": Definition(direction="higher"),
    "metric-empty": Definition(direction="lower"),
}

TASK_STATES_CHANCE = tuple(name for name, known in DEFINITIONS.items() if known.chance_of == "task")


def definition(name: str) -> Definition | None:
    """The definition of a measure, None if it is not one of ours.

    >>> definition("auc[ioi:acdc-963]").chance
    0.5
    """
    return DEFINITIONS.get(name.partition("[")[0])


def impossible(name: str, value: float | None) -> str:
    """Why a measure cannot have this value; empty if it can.

    >>> impossible("auc[ioi:acdc-963]", 7.5)
    'auc[ioi:acdc-963] is 7.5; valid: 0 to 1'
    """
    if value is None:
        return ""
    if not isfinite(value):
        return f"{name} is {value}; valid: a finite number"
    known = definition(name)
    if known is None or known.lowest - _ROUNDING <= value <= known.highest + _ROUNDING:
        return ""
    valid = f"{known.lowest:g} to {known.highest:g}" if known.highest < inf else f"{known.lowest:g} or more"
    return f"{name} is {value:g}; valid: {valid}"


def wrong_chance(name: str, chance: float | None) -> str:
    """Why a measure cannot have this chance; empty if it can.

    >>> wrong_chance("auc[ioi:acdc-963]", 0.8)
    'auc[ioi:acdc-963] has chance 0.8; valid: 0.5'
    """
    known = definition(name)
    if known is None:
        return ""
    if known.chance_of == "measure":
        return "" if chance == known.chance else f"{name} has chance {chance!r}; valid: {known.chance!r}"
    if chance is None and known.chance_of == "task":
        return ""
    assert known.oracle is not None
    higher = known.direction == "higher"
    fits = chance is not None and (known.lowest <= chance < known.oracle if higher else known.oracle < chance < inf)
    valid = f"{known.lowest:g} or more and under {known.oracle:g}" if higher else f"over {known.oracle:g}"
    return "" if fits else f"{name} has chance {chance!r}; valid: {valid}"


def measure(name: str, value: float | None, *, chance: float | None = None, of: str = "", note: str = "") -> Measure:
    """A value of a measure of ours; `chance` where it is that of the truth or of the task.

    Raises:
        ScoringError: the measure cannot have this value or this chance, so whatever it was made from is broken.
    """
    if problem := impossible(name, value):
        raise ScoringError(f"{problem}; the metric or the model's logits are broken, so nothing is scored.")
    known = DEFINITIONS[name.partition("[")[0]]
    if known.chance_of == "measure" and chance is None:
        chance = known.chance
    if problem := wrong_chance(name, chance):
        raise ScoringError(f"{problem}; state another chance, or none.")
    return Measure(value=value, direction=known.direction, chance=chance, oracle=known.oracle, of=of, note=note)
