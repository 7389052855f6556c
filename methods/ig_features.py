"""Integrated gradients of features: the gradient averaged on the way from the clean value of a place to the patched one.

    score(u) = - < 1/N sum_{k=0}^{N-1} grad_u m at u_clean + (k/N) (u_patch - u_clean),  u_patch - u_clean >

one place at a time: all of its features and errors at all positions move together, places behind it are plain. Scores of a
place add to its whole effect as N grows. What moves in the stream is x_clean + (k/N) (x_patch - x_clean), whatever the dictionary, because decoders
are affine: so dictionaries run on both ends alone, and one set of gradients scores features, errors and neurons.

Source: Marks et al. 2024, equation 4; N = 10 and the left sum as in their code. Sundararajan et al. 2017.
Cost: N forwards and N backwards from each place on, two forwards before; edges as in `atp-features`.
Limits: the way of a place is one line, so effects that need two of its features to move one after the other are shared among them.
"""

from __future__ import annotations

from dataclasses import dataclass

from torch import Generator, Tensor

from mechboard.errors import UsageError
from mechboard.features import Place, Runs, integrated_gradient
from mechboard.protocols import FeatureProblem, FeatureScores, method

from ._node_effects import attributed
from .atp_features import atp_features


@dataclass(frozen=True)
class Parameters:
    """Parameters of `ig-features`.

    Attributes:
        steps: points on the way, N.
        drawn: among how many of the strongest nodes edges are measured; 0 for none.
    """

    steps: int = 10
    drawn: int = 40


@method(name="ig-features", kinds=("features",), deterministic=True, citation=atp_features.citation)
def ig_features(problem: FeatureProblem, generator: Generator, parameters: Parameters) -> FeatureScores:
    """Score every node by a gradient that is averaged on the way.

    Raises:
        UsageError: no steps.
    """
    if parameters.steps < 1:
        raise UsageError(f"ig-features was given {parameters.steps} steps; valid: 1 or more.")

    def on_the_way(batch: Runs, place: Place, change: Tensor) -> Tensor:
        return integrated_gradient(
            problem.model,
            problem.metric,
            batch.pairs,
            place,
            batch.clean,
            batch.clean[place] + change,
            steps=parameters.steps,
            rows=_ROWS_PER_PROMPT * problem.batch_size,
        )

    return attributed(problem, on_the_way, parameters.drawn)


_ROWS_PER_PROMPT = 8
"""Points that are run at a time, for every prompt of a batch."""
