"""Ground truth: 1 for every edge of the known circuit, 0 for the others; the row no method can beat on AUC.

Its faithfulness need not be perfect: it shows how faithful the known circuit itself is.
Cost: nothing. Limits: it is shown the task's first truth; a task without one cannot be answered.
"""

from __future__ import annotations

from torch import Generator

from mechboard.protocols import CircuitProblem, EdgeScores, NoParameters, method


@method(name="ground-truth", kinds=("circuit",), deterministic=True, sees=("truth",))
def ground_truth(problem: CircuitProblem, generator: Generator, parameters: NoParameters) -> EdgeScores:
    """Score the known circuit's edges 1 and the others 0."""
    assert problem.truth is not None
    return EdgeScores(problem.truth.float())
