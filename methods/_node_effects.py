"""What attribution methods of features share: scores by a gradient, and edges among the strongest nodes for pictures."""

from __future__ import annotations

from dataclasses import replace

import torch

from mechboard.features import Gradient, edge_effects, linear_effects
from mechboard.graph import MetricGradient
from mechboard.protocols import FeatureProblem, FeatureScores, Unsupported


def attributed(problem: FeatureProblem, gradient: Gradient, n_drawn: int) -> FeatureScores:
    """Gradient times change of every node, and the edges among the `n_drawn` strongest.

    Raises:
        Unsupported: the metric's gradient at the clean run is zero up to rounding.
    """
    refuse_a_flat_metric(problem)
    scores, gradients = linear_effects(problem, gradient)
    if n_drawn < 2:
        return scores
    strongest = torch.argsort(scores.scores.abs(), descending=True, stable=True)[:n_drawn]
    return replace(scores, edges=edge_effects(problem, strongest, gradients))


def refuse_a_flat_metric(problem: FeatureProblem) -> None:
    """See that the metric has a slope at the clean run.

    Raises:
        Unsupported: it has none, so that scores would be rounding.
    """
    slope = MetricGradient(problem.model, problem.metric)
    for pairs in problem.batches():
        slope.at(problem.model.resume(problem.model.embed(pairs.clean)), pairs)
    if slope.vanishes:
        raise Unsupported("the metric's gradient is zero at the clean run, so a first-order estimate is rounding")
