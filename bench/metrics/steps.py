"""Walking down a ranking: how many true edges lie among the strongest. What ROC and precision are made from.

Edges of equal strength enter together as one step; edges without a score enter last, together.
"""

from __future__ import annotations

from dataclasses import dataclass

import torch
from jaxtyping import Bool, Float
from torch import Tensor

from mechboard.errors import UsageError
from mechboard.metrics.ranking import strength


@dataclass(frozen=True)
class Steps:
    """Edges, and true edges among them, that have entered before the first step and after each one."""

    entered: Float[Tensor, " steps"]
    hits: Float[Tensor, " steps"]
    n_true: int
    n_edges: int


def walk(scores: Float[Tensor, " edges"], truth: Bool[Tensor, " edges"], *, signed: bool) -> Steps:
    """The steps of a ranking by |score| or, if `signed`, by the score itself.

    >>> walk(torch.tensor([0.5, -2.0, 0.5]), torch.tensor([True, True, False]), signed=False).hits.tolist()
    [0.0, 1.0, 2.0]

    Raises:
        UsageError: the truth holds no edge or every edge, so that there is nothing to tell apart.
    """
    n_true, n_edges = int(truth.sum()), len(truth)
    if n_true in (0, n_edges):
        raise UsageError(
            f"A truth of {n_true} of {n_edges} edges has no ROC; it needs at least one edge in and one out."
        )
    values = strength(scores, signed=signed)
    order = torch.argsort(values, descending=True, stable=True)
    ordered = values[order]
    last_of_tie = torch.ones(n_edges, dtype=torch.bool)
    last_of_tie[:-1] = ordered[1:] != ordered[:-1]
    start = torch.zeros(1, dtype=torch.float64)
    return Steps(
        entered=torch.cat([start, torch.arange(1, n_edges + 1).double()[last_of_tie]]),
        hits=torch.cat([start, truth[order].double().cumsum(0)[last_of_tie]]),
        n_true=n_true,
        n_edges=n_edges,
    )


def corners(x: list[float], y: list[float]) -> tuple[tuple[float, float], ...]:
    """The points at which a curve turns; those on a straight line add nothing to a picture."""
    points = list(zip(x, y, strict=True))
    kept = points[:1]
    for previous, here, following in zip(points, points[1:], points[2:], strict=False):
        turn = (here[0] - previous[0]) * (following[1] - here[1]) - (here[1] - previous[1]) * (following[0] - here[0])
        if turn != 0:
            kept.append(here)
    return (*kept, points[-1])
