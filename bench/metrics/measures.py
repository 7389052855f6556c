"""What each measure of circuits means: its better direction, its anchors, the range of its values."""

from __future__ import annotations

from mechboard.contract.measures import Definition, Definitions

_AUC = Definition(direction="higher", chance=0.5, oracle=1.0, lowest=0.0, highest=1.0)
_AREA_OF_ERROR = Definition(direction="lower", oracle=0.0, lowest=0.0)

DEFINITIONS = Definitions(
    {
        "auc": _AUC,
        "auc-low": _AUC,
        "auc-high": _AUC,
        "correlation": Definition(direction="higher", chance=0.0, oracle=1.0, lowest=-1.0, highest=1.0),
        "cmd": Definition(direction="lower", chance_varies=True, oracle=0.0, lowest=0.0),
        "cmd-mib": _AREA_OF_ERROR,
        "completeness": _AREA_OF_ERROR,
        "cpr": Definition(direction="higher"),
        "cpr-clipped": Definition(direction="higher", oracle=1.0, lowest=0.0, highest=1.0),
        "coverage": Definition(direction="higher", lowest=0.0, highest=1.0),
        "metric-model": Definition(direction="higher"),
        "metric-empty": Definition(direction="lower"),
    }
)

measure = DEFINITIONS.make
