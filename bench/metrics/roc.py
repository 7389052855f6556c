"""ROC and AUC of edge scores against a known circuit, exact on the full ranking.

Edges with equal |score| enter together as one step; edges without a score enter last, together.
The area is given in the three conventions that papers mix: `trapezoid` (the headline; equal to the
Mann-Whitney statistic with half credit for ties), `pessimistic` (each step rises after it runs) and
`optimistic` (before). They differ only where scores tie, and no map of |score| that keeps its order changes any.
"""

from __future__ import annotations

from dataclasses import dataclass

from jaxtyping import Bool, Float
from torch import Tensor

from mechboard.metrics.steps import corners, walk


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

    >>> import torch
    >>> roc(torch.tensor([0.9, -0.8, 0.1, 0.0]), torch.tensor([True, True, False, False])).trapezoid
    1.0

    Raises:
        UsageError: the truth holds no edge or every edge, so that a rate has no denominator.
    """
    steps = walk(scores, truth, signed=signed)
    true_rate = steps.hits / steps.n_true
    false_rate = (steps.entered - steps.hits) / (steps.n_edges - steps.n_true)
    run = false_rate.diff()
    pessimistic, optimistic = float(run @ true_rate[:-1]), float(run @ true_rate[1:])
    return Roc(
        trapezoid=(pessimistic + optimistic) / 2,
        pessimistic=pessimistic,
        optimistic=optimistic,
        n_true=steps.n_true,
        n_edges=steps.n_edges,
        points=corners(false_rate.tolist(), true_rate.tolist()),
    )
