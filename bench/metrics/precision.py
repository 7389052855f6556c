"""Precision of edge scores against a known circuit: what share of the strongest edges is true.

    precision(k), recall(k) = share of the k strongest edges that are true, share of the true edges among them
    average precision = sum over steps of (recall(k) - recall(k')) x precision(k), k' the step before
    precision at size = precision(number of true edges)

True edges are few, so a wrong edge that enters early costs far more here than in AUC. Edges are ranked by |score|, those
of equal |score| enter together and those without a score last, together. Where a tie lies across the size of the
truth, precision at size is what its edges give in random order on average.

Source: Manning, Raghavan, Schuetze 2008, "Introduction to Information Retrieval", chapter 8; in steps and never
interpolated, as in scikit-learn. Limits: both depend on the prevalence, the share of edges that are true, so they compare
within a task and not across tasks. Scores that tell no edge from another have the prevalence p; scores in random order
have p at size too, and an average precision of about p + (ln n + 0.6) / n for n edges.
"""

from __future__ import annotations

from dataclasses import dataclass

import torch
from jaxtyping import Bool, Float
from torch import Tensor

from mechboard.metrics.steps import Steps, corners, walk


@dataclass(frozen=True)
class Precision:
    """`points` are (recall, precision) along the steps; the area below them is the average precision."""

    average: float
    at_size: float
    points: tuple[tuple[float, float], ...]


def precision(scores: Float[Tensor, " edges"], truth: Bool[Tensor, " edges"]) -> Precision:
    """Precision of |score| as a detector of `truth`.

    >>> precision(torch.tensor([0.9, -0.8, 0.1, 0.0]), torch.tensor([True, False, True, False])).at_size
    0.5

    Raises:
        UsageError: the truth holds no edge or every edge.
    """
    steps = walk(scores, truth, signed=False)
    recall, share_true = steps.hits / steps.n_true, steps.hits[1:] / steps.entered[1:]
    rising = steps.hits.diff() > 0
    x = torch.stack([recall[:-1], recall[1:]], dim=1)[rising]
    y = share_true[rising].repeat_interleave(2)
    return Precision(
        average=float(recall.diff() @ share_true),
        at_size=_hits_among(steps, steps.n_true) / steps.n_true,
        points=corners(x.flatten().tolist(), y.tolist()),
    )


def _hits_among(steps: Steps, count: int) -> float:
    """True edges among the `count` strongest, on average over the orders of the tie that lies across."""
    entered, hits = steps.entered, steps.hits
    step = int((entered < count).sum())
    share = (count - entered[step - 1]) / (entered[step] - entered[step - 1])
    return float(hits[step - 1] + share * (hits[step] - hits[step - 1]))
