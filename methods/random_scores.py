"""Random: a score drawn for every edge, the row that every number must be compared with.

Scores are standard normal, so edges rank in uniformly random order, signed or not.
Cost: nothing. Mean AUC is 0.5; the spread around it is the noise floor of a task.
"""

from __future__ import annotations

import torch
from torch import Generator

from mechboard.protocols import CircuitProblem, EdgeScores, NoParameters, method


@method(name="random", kinds=("circuit",), deterministic=False, reference=True)
def random_scores(problem: CircuitProblem, generator: Generator, parameters: NoParameters) -> EdgeScores:
    """Draw a score for every edge."""
    return EdgeScores(torch.randn(problem.graph.n_edges, generator=generator))
