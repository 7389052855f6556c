"""Activation patching: the exact effect of ablating each edge alone.

    score(u -> v) = mean over prompts of m(clean run) - m(clean run with u -> v carrying u's ablated output)

Every other edge carries its current value, so what lies behind v reacts. This is what EAP estimates
to first order, and the oracle against which the gradient methods are tested.

Cost: three forwards, then at most one forward per edge and batch; only what lies behind v is recomputed,
and the last layer only where the metric reads it.
Limits: one edge at a time. Of two edges that can stand in for each other, neither has an effect.

Source: Vig et al. 2020; Wang et al. 2022 (path patching); Conmy et al. 2023 for edges.
"""

from __future__ import annotations

from collections.abc import Iterator

import torch
from jaxtyping import Float
from torch import Generator, Tensor

from mechboard.graph import single_edge_drops
from mechboard.protocols import CircuitProblem, EdgeScores, NoParameters, method


def edge_drops(problem: CircuitProblem) -> Iterator[Float[Tensor, "batch edges"]]:
    """Drop of each prompt's metric when each edge alone is patched, one batch of prompts after the other."""
    for pairs in problem.batches():
        ablated = problem.ablation.outputs(pairs)
        yield single_edge_drops(problem.model, problem.graph, pairs, ablated, problem.metric)


@method(
    name="activation-patching",
    kinds=("circuit",),
    deterministic=True,
    citation={
        "author": "Conmy, Arthur and Mavor-Parker, Augustine N. and Lynch, Aengus and Heimersheim, Stefan"
        " and Garriga-Alonso, Adri{\\`a}",
        "title": "Towards Automated Circuit Discovery for Mechanistic Interpretability",
        "year": "2023",
        "eprint": "2304.14997",
    },
)
def activation_patching(problem: CircuitProblem, generator: Generator, parameters: NoParameters) -> EdgeScores:
    """Patch every edge alone and measure the drop of the metric."""
    total = torch.zeros(problem.graph.n_edges, device=problem.model.device, dtype=problem.model.dtype)
    for drops in edge_drops(problem):
        total += drops.sum(0)
    return EdgeScores(total / len(problem.pairs))
