"""Attribution patching of features: gradient at the clean run times how much a feature changes.

    score(u) = - < grad_u m at the clean run,  u_patch - u_clean >

for every feature and every error at every place; positive where the node supports the behaviour. The gradient at a feature is that of
the stream times the feature's direction, so the dictionaries run forward once on either side and never backward; the
same gradients score neurons. Exact to first order: where a layer saturates between the two prompts the estimate is off (compare
`ig-features`; the page of a task shows both beside exact effects).

Edges among the `drawn` strongest nodes, for pictures: the same product through one Jacobian.

Source: Marks et al. 2024, equation 3; Syed et al. 2023; Nanda 2022.
Cost: two forwards and one backward per prompt, with one more pair of each to see that the metric has a slope; for edges two
forwards more and a backward through one layer per drawn node.
"""

from __future__ import annotations

from dataclasses import dataclass

from torch import Generator, Tensor

from mechboard.features import Place, Runs, gradients
from mechboard.protocols import FeatureProblem, FeatureScores, method

from ._node_effects import attributed


@dataclass(frozen=True)
class Parameters:
    """Parameters of `atp-features`.

    Attributes:
        drawn: among how many of the strongest nodes edges are measured; 0 for none.
    """

    drawn: int = 40


@method(
    name="atp-features",
    kinds=("features",),
    deterministic=True,
    citation={
        "author": "Marks, Samuel and Rager, Can and Michaud, Eric J. and Belinkov, Yonatan and Bau, David and Mueller, Aaron",
        "title": "Sparse Feature Circuits: Discovering and Editing Interpretable Causal Graphs in Language Models",
        "year": "2024",
        "eprint": "2403.19647",
    },
)
def atp_features(problem: FeatureProblem, generator: Generator, parameters: Parameters) -> FeatureScores:
    """Score every node by one gradient."""
    found: dict[int, dict[Place, Tensor]] = {}

    def at_clean(batch: Runs, place: Place, change: Tensor) -> Tensor:
        if batch.number not in found:
            found[batch.number] = gradients(problem.model, problem.metric, batch.pairs)
        return found[batch.number][place]

    return attributed(problem, at_clean, parameters.drawn)
