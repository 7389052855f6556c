"""Random: a score drawn for every edge or feature, the row that every number must be compared with.

Scores are standard normal, so edges and features rank in uniformly random order, signed or not. A removal task gets the first k of one such
order cut at a budget of k.
Cost: nothing. Mean AUC is 0.5; the spread around it is the noise floor of a task.
"""

from __future__ import annotations

import torch
from torch import Generator

from mechboard.protocols import (
    CircuitProblem,
    EdgeCuts,
    EdgeScores,
    FeatureProblem,
    FeatureScores,
    NoParameters,
    RemovalProblem,
    method,
)


@method(name="random", kinds=("circuit", "removal", "features"), deterministic=False, reference=True)
def random_scores(
    problem: CircuitProblem | RemovalProblem | FeatureProblem, generator: Generator, parameters: NoParameters
) -> EdgeScores | EdgeCuts | FeatureScores:
    """Draw a score for every edge or node."""
    if isinstance(problem, FeatureProblem):
        neurons = None if problem.is_of_neurons else torch.randn(len(problem.neurons.nodes), generator=generator)
        return FeatureScores(torch.randn(len(problem.nodes), generator=generator), neurons=neurons)
    if isinstance(problem, RemovalProblem):
        return EdgeCuts.of_scores(torch.randn(problem.model.n_edges, generator=generator), problem.budgets)
    return EdgeScores(torch.randn(problem.graph.n_edges, generator=generator))
