"""What each measure of circuits means: its better direction, its anchors, the range of its values."""

from __future__ import annotations

from dataclasses import replace

from ..contract.measures import Definition, Definitions

_AUC = Definition(direction="higher", chance=0.5, oracle=1.0, lowest=0.0, highest=1.0)
_PRECISION = Definition(direction="higher", chance_of="truth", oracle=1.0, lowest=0.0, highest=1.0)
_CORRELATION = Definition(direction="higher", chance=0.0, oracle=1.0, lowest=-1.0, highest=1.0)
_AREA_OF_ERROR = Definition(direction="lower", oracle=0.0, lowest=0.0)

DEFINITIONS = Definitions(
    {
        "auc": _AUC,
        "average-precision": _PRECISION,
        "precision-at-size": _PRECISION,
        "auc-signed": _AUC,
        "correlation": _CORRELATION,
        "rank-correlation": _CORRELATION,
        "auc-low": _AUC,
        "auc-high": _AUC,
        "auc-circuits": _AUC,
        "auc-circuits-low": replace(_AUC, chance=None),
        "youden": Definition(direction="higher", chance=0.0, oracle=1.0, lowest=-1.0, highest=1.0),
        "cmd": replace(_AREA_OF_ERROR, chance_of="task"),
        "cmd-mib": _AREA_OF_ERROR,
        "completeness": _AREA_OF_ERROR,
        "cpr-clipped": Definition(direction="higher", oracle=1.0, lowest=0.0, highest=1.0),
        "cpr": Definition(direction="higher"),
        "coverage": Definition(direction="higher", lowest=0.0, highest=1.0),
        "metric-model": Definition(direction="higher"),
        "metric-empty": Definition(direction="lower"),
    }
)

TASK_STATES_CHANCE = tuple(name for name, known in DEFINITIONS.table.items() if known.chance_of == "task")

measure = DEFINITIONS.make
