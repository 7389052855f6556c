"""Correlation of scores with exact effects, where a task knows them: no threshold, and signs count.

    r = Pearson correlation over edges of score(e) with the exact drop of the metric when e alone is ablated
    rank correlation = r of their ranks among the edges, equal ones at the mean of their ranks (Spearman)

r asks for the sizes of effects and rests on the few that are large; the rank correlation asks for their order alone, and
most of it is the order of the many that are small. An edge without a score counts as zero, which is what a method that
leaves it out says of it. Syed et al. 2023 compare attribution with activation patching by r.
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


def rank_correlation(scores: Float[Tensor, " edges"], effects: Float[Tensor, " edges"]) -> float | None:
    """Spearman's coefficient, None if all scores or all effects are equal.

    >>> rank_correlation(torch.tensor([20.0, float("nan"), -4.0]), torch.tensor([1.0, 0.5, -2.0]))
    1.0
    """
    return correlation(_ranks(scores.nan_to_num(0.0)), _ranks(effects))


def _ranks(values: Float[Tensor, " edges"]) -> Float[Tensor, " edges"]:
    """Ranks from the lowest up; equal values share the mean of theirs."""
    ordered = values.sort().values
    lower, not_higher = (torch.searchsorted(ordered, values, right=right) for right in (False, True))
    return (lower + not_higher + 1) / 2
