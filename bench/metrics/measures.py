"""What each measure means: its better direction, its anchors, the range of its values. The one place that says so.

Scoring takes all of it from here, and a record that claims something else is no valid record: anchors belong to the
benchmark, never to an entrant. A measure against one of several truths is named `auc[task:truth]`.
A measure that is not listed here (a third party's) has the fields that its scorer gives it.
"""

from __future__ import annotations

from dataclasses import dataclass
from math import inf, isfinite

from mechboard.errors import ScoringError
from mechboard.protocols import Direction, Measure

_ROUNDING = 1e-9


@dataclass(frozen=True, kw_only=True)
class Definition:
    """What does not depend on who is scored. `chance` and `oracle` are the anchors 0 and 1."""

    direction: Direction
    chance: float | None = None
    oracle: float | None = None
    lowest: float = -inf
    highest: float = inf


_AUC = Definition(direction="higher", chance=0.5, oracle=1.0, lowest=0.0, highest=1.0)
_AREA_OF_ERROR = Definition(direction="lower", oracle=0.0, lowest=0.0)

DEFINITIONS = {
    "auc": _AUC,
    "auc-low": _AUC,
    "auc-high": _AUC,
    "correlation": Definition(direction="higher", chance=0.0, oracle=1.0, lowest=-1.0, highest=1.0),
    "cmd": _AREA_OF_ERROR,
    "cmd-mib": _AREA_OF_ERROR,
    "completeness": _AREA_OF_ERROR,
    "cpr": Definition(direction="higher"),
    "cpr-clipped": Definition(direction="higher", oracle=1.0, lowest=0.0, highest=1.0),
    "coverage": Definition(direction="higher", lowest=0.0, highest=1.0),
    "metric-model": Definition(direction="higher"),
    "metric-empty": Definition(direction="lower"),
}


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


def measure(name: str, value: float | None, *, of: str = "", note: str = "") -> Measure:
    """A value of a measure of ours.

    Raises:
        ScoringError: the measure cannot have this value, so whatever it was made from is broken.
    """
    if problem := impossible(name, value):
        raise ScoringError(f"{problem}; the metric or the model's logits are broken, so nothing is scored.")
    known = DEFINITIONS[name.partition("[")[0]]
    return Measure(value=value, direction=known.direction, chance=known.chance, oracle=known.oracle, of=of, note=note)
