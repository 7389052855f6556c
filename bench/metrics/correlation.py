"""Correlation of scores with exact effects, where a task knows them: no threshold, and signs count.

    r = Pearson correlation over edges of score(e) with the exact drop of the metric when e alone is ablated

An edge without a score counts as zero, which is what a method that leaves it out says of it. Syed et al. 2023
compare attribution with activation patching in this way.
"""

from __future__ import annotations

import torch
from jaxtyping import Float
from torch import Tensor


def correlation(scores: Float[Tensor, " edges"], effects: Float[Tensor, " edges"]) -> float | None:
    """Pearson's r, None if all scores or all effects are equal.

    >>> correlation(torch.tensor([2.0, float("nan"), -4.0]), torch.tensor([1.0, 0.0, -2.0]))
    1.0
    """
    pair = torch.stack([scores.nan_to_num(0.0), effects]).double()
    pair = pair - pair.mean(1, keepdim=True)
    norms = pair.norm(dim=1)
    if bool((norms == 0).any()):
        return None
    return round(float(pair[0] @ pair[1] / norms.prod()), 12)
