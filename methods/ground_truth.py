"""Ground truth: 1 for every edge or feature that is known, 0 for the others; the row no method can beat on AUC.

Its faithfulness need not be perfect: it shows how faithful the known circuit itself is. On a removal task it cuts the known
edges of the behaviour and no other, however large the budget; at a budget below their number those that come first in the
model's order, with no claim that these are the best. On a features task it scores the features that are known to carry a
variable which the behaviour uses, at every position: what they carry is known, not how much of the behaviour they are.
Cost: nothing. Limits: it is shown the task's first truth; a task without one cannot be answered.
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


@method(name="ground-truth", kinds=("circuit", "removal", "features"), deterministic=True, sees=("truth",))
def ground_truth(
    problem: CircuitProblem | RemovalProblem | FeatureProblem, generator: Generator, parameters: NoParameters
) -> EdgeScores | EdgeCuts | FeatureScores:
    """Score the known edges or features 1 and the others 0."""
    assert problem.truth is not None
    scores = problem.truth.float()
    if isinstance(problem, FeatureProblem):
        nodes = problem.nodes
        return FeatureScores(
            nodes.join({place: part.repeat(nodes.rows, 1) for place, part in nodes.summed.split(scores).items()})
        )
    if isinstance(problem, RemovalProblem):
        known_alone = scores.masked_fill(~problem.truth, torch.nan)
        return EdgeCuts(cut=EdgeCuts.of_scores(known_alone, problem.budgets).cut, scores=scores)
    return EdgeScores(scores)
