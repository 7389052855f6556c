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

from mechboard.graph import Graph, single_edge_drops
from mechboard.protocols import CircuitProblem, EdgeScores, NoParameters, method, progress


def edge_drops(problem: CircuitProblem) -> Iterator[Float[Tensor, "batch edges"]]:
    """Drop of each prompt's metric when each edge alone is patched, one batch of prompts after the other."""
    graph, n_prompts = problem.graph, problem.n_prompts
    cost = _cost(graph)
    done, work = 0, 0.0  # edges and what they cost, once for each prompt
    everything = float((graph.valid * cost).sum()) * n_prompts
    for pairs in problem.batches():
        size = len(pairs)

        def told(destination: int, edges: int, size: int = size) -> None:
            nonlocal done, work
            done += size * edges
            work += size * edges * float(cost[destination])
            progress(done // n_prompts, graph.n_edges, "edges", share=min(1.0, work / everything))

        ablated = problem.ablation.outputs(pairs)
        yield single_edge_drops(problem.model, graph, pairs, ablated, problem.metric, told=told)


def _cost(graph: Graph) -> Float[Tensor, " destinations"]:
    """What an edge costs by its destination: the layers that run again, and the metric."""
    cost = torch.ones(graph.n_destinations)
    for layer in range(graph.n_layers):
        cost[graph.attention_destinations(layer)] += graph.n_layers - layer
        if graph.has_mlp:
            cost[graph.mlp_destination(layer)] += graph.n_layers - layer
    return cost


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
