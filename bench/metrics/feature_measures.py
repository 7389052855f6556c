"""What each measure of feature circuits means: its better direction, its anchors, the range of its values."""

from __future__ import annotations

from ..contract.measures import Definition, Definitions

_SHARE = Definition(direction="higher", chance_of="task", oracle=1.0, lowest=0.0, highest=1.0)

DEFINITIONS = Definitions(
    {
        "faithfulness": _SHARE,
        "completeness": Definition(direction="lower", chance_of="task", oracle=0.0, lowest=0.0),
        "auc": Definition(direction="higher", chance=0.5, oracle=1.0, lowest=0.0, highest=1.0),
        "average-precision": Definition(direction="higher", chance_of="truth", oracle=1.0, lowest=0.0, highest=1.0),
        "linearity": Definition(direction="higher", chance=0.0, oracle=1.0, lowest=-1.0, highest=1.0),
        "nodes-for-half": Definition(direction="lower", lowest=1.0),
        "coverage": Definition(direction="higher", lowest=0.0, highest=1.0),
        "metric-model": Definition(direction="higher"),
        "metric-empty": Definition(direction="lower"),
    }
)
