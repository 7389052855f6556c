"""How rude a text of the small language is: 1 if it holds a word of the rude register, else 0.

The register is invented (`ground_truth/mini/lexicon.py`) and its words occur in rude chatter alone, so that this scorer, unlike a
classifier of real text, is never wrong.
"""

from __future__ import annotations

import re
from collections.abc import Sequence

from mechboard.ground_truth.mini.lexicon import RUDE

_WORD = re.compile(r"\w+")
_RUDE = frozenset(RUDE)


def rudeness(texts: Sequence[str]) -> list[float]:
    """1 for every text with a rude word.

    >>> from mechboard.ground_truth.mini.lexicon import RUDE
    >>> rudeness(["The cheese is ready.", f"You {RUDE[0]}!"])
    [0.0, 1.0]
    """
    return [float(any(word in _RUDE for word in _WORD.findall(text))) for text in texts]
