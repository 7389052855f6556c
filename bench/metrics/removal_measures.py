"""What each measure of removals means: its better direction, its anchors, the range of its values."""

from __future__ import annotations

from ..contract.measures import Definition, Definitions

_SHARE = Definition(direction="higher", chance=0.0, oracle=1.0, lowest=0.0, highest=1.0)
_LOSS_UP = Definition(direction="higher", lowest=0.0)
_LOSS_DOWN = Definition(direction="lower", lowest=0.0)
_RATE_DOWN = Definition(direction="lower", lowest=0.0, highest=1.0)

DEFINITIONS = Definitions(
    {
        "frontier": _SHARE,
        "efficacy": _SHARE,
        "specificity": Definition(direction="higher", oracle=1.0, lowest=0.0, highest=1.0),
        "auc": Definition(direction="higher", chance=0.5, oracle=1.0, lowest=0.0, highest=1.0),
        "relearned": _RATE_DOWN,
        "bad-accuracy": _RATE_DOWN,
        "other-accuracy": Definition(direction="higher", lowest=0.0, highest=1.0),
        "restored-accuracy": Definition(direction="higher", lowest=0.0, highest=1.0),
        "bad-loss": _LOSS_UP,
        "bad-loss-filtered": _LOSS_UP,
        "bad-generation": _RATE_DOWN,
        "bad-generation-filtered": _RATE_DOWN,
        "incoherence": _LOSS_DOWN,
        "prompted-incoherence": _LOSS_DOWN,
        "edges": Definition(direction="lower", lowest=0.0),
    }
)
