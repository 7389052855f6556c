"""ROC and AUC of edge scores against a known circuit, exact on the full ranking.

Edges with equal |score| enter together as one step; edges without a score enter last, together.
The area is given in the three conventions that papers mix: `trapezoid` (the headline; equal to the
Mann-Whitney statistic with half credit for ties), `pessimistic` (each step rises after it runs) and
`optimistic` (before). They differ only where scores tie.
"""

from __future__ import annotations

from dataclasses import dataclass

import torch
from jaxtyping import Bool, Float
from torch import Tensor

from mechboard.errors import UsageError
from mechboard.metrics.ranking import strength


@dataclass(frozen=True)
class Roc:
    """A ROC curve with its areas and denominators; `points` are (false, true) positive rates."""

    trapezoid: float
    pessimistic: float
    optimistic: float
    n_true: int
    n_edges: int
    points: tuple[tuple[float, float], ...]


def roc(scores: Float[Tensor, " edges"], truth: Bool[Tensor, " edges"], *, signed: bool = False) -> Roc:
    """ROC of |score| (or, if `signed`, of the score itself) as a detector of `truth`.

    >>> roc(torch.tensor([0.9, -0.8, 0.1, 0.0]), torch.tensor([True, True, False, False])).trapezoid
    1.0

    Raises:
        UsageError: the truth holds no edge or every edge, so that a rate has no denominator.
    """
    n_true, n_edges = int(truth.sum()), len(truth)
    if n_true in (0, n_edges):
        raise UsageError(
            f"A truth of {n_true} of {n_edges} edges has no ROC; it needs at least one edge in and one out."
        )
    values = strength(scores, signed=signed)
    order = torch.argsort(values, descending=True, stable=True)
    ordered, hits = values[order], truth[order].double()
    last_of_tie = torch.ones(n_edges, dtype=torch.bool)
    last_of_tie[:-1] = ordered[1:] != ordered[:-1]
    true_rate = torch.cat([torch.zeros(1), hits.cumsum(0)[last_of_tie] / n_true]).double()
    false_rate = torch.cat([torch.zeros(1), (1 - hits).cumsum(0)[last_of_tie] / (n_edges - n_true)]).double()
    run = false_rate.diff()
    pessimistic, optimistic = float(run @ true_rate[:-1]), float(run @ true_rate[1:])
    return Roc(
        trapezoid=(pessimistic + optimistic) / 2,
        pessimistic=pessimistic,
        optimistic=optimistic,
        n_true=n_true,
        n_edges=n_edges,
        points=_corners(false_rate.tolist(), true_rate.tolist()),
    )


def _corners(x: list[float], y: list[float]) -> tuple[tuple[float, float], ...]:
    """The points at which the curve turns; those on a straight line add nothing to a picture."""
    points = list(zip(x, y, strict=True))
    kept = points[:1]
    for previous, here, following in zip(points, points[1:], points[2:], strict=False):
        turn = (here[0] - previous[0]) * (following[1] - here[1]) - (here[1] - previous[1]) * (following[0] - here[0])
        if turn != 0:
            kept.append(here)
    return (*kept, points[-1])
