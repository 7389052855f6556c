"""Unedited: cuts nothing, the row that shows the model as it is.

Cost: nothing. Its frontier is 0, and its columns are what every edit is compared with.
"""

from __future__ import annotations

import torch
from torch import Generator

from mechboard.protocols import EdgeCuts, NoParameters, RemovalProblem, method


@method(name="unedited", kinds=("removal",), deterministic=True, reference=True)
def unedited(problem: RemovalProblem, generator: Generator, parameters: NoParameters) -> EdgeCuts:
    """Cut nothing at any budget."""
    return EdgeCuts(cut=torch.zeros(len(problem.budgets), problem.model.n_edges, dtype=torch.bool))
