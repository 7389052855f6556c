"""Orders of edges by score. NaN means "no opinion" and always ranks last."""

from __future__ import annotations

import torch
from jaxtyping import Float, Int
from torch import Tensor


def strength(scores: Float[Tensor, " edges"], *, signed: bool) -> Float[Tensor, " edges"]:
    """What edges are ranked by: the score itself or its absolute value, float64, -inf for no opinion."""
    values = scores.double() if signed else scores.double().abs()
    return torch.where(values.isnan(), torch.full_like(values, -torch.inf), values)


def ranking(scores: Float[Tensor, " edges"], *, signed: bool) -> Int[Tensor, " edges"]:
    """Edge indices, strongest first; equal scores keep the graph's edge order.

    >>> ranking(torch.tensor([0.1, -3.0, float("nan"), 2.0]), signed=False).tolist()
    [1, 3, 0, 2]
    """
    return torch.argsort(strength(scores, signed=signed), descending=True, stable=True)
