"""Edge bound: how much an edge could matter at most, to first order.

    score(u -> v) = mean over prompts and positions of |u_clean - u_ablated| |dm / dx_v|

By Cauchy-Schwarz this bounds what EAP estimates at each position. It has no sign, so it says how
strong an edge may be, never whether it helps. Replace this text and the formula by your own.

Cost: two forwards and one backward.
"""

from dataclasses import dataclass

import torch

from mechboard.graph import input_gradients, metric_gradient, record_tape
from mechboard.protocols import CircuitProblem, EdgeScores, method


@dataclass(frozen=True)
class Parameters:
    """`power`: exponent of the gradient's norm."""

    power: float = 1.0


@method(name="edge-bound", kinds=("circuit",), deterministic=True)
def edge_bound(problem: CircuitProblem, generator: torch.Generator, parameters: Parameters) -> EdgeScores:
    """Score every edge by the product of two norms."""
    model, qkv = problem.model, problem.model.graph
    scores = torch.zeros(qkv.n_sources, qkv.n_destinations, device=model.device)
    for pairs in problem.batches():
        outputs = problem.ablation.outputs(pairs)
        tape = record_tape(model, model.embed(pairs.clean), subtract_from=outputs)  # outputs <- clean - ablated
        differences = outputs.norm(dim=-1).flatten(1)
        at_end = metric_gradient(model, tape.final, problem.metric, pairs)
        for destinations, gradients, *_ in input_gradients(model, tape, at_end):
            scores[:, destinations] += differences @ gradients.norm(dim=-1).flatten(1).T ** parameters.power
    return EdgeScores(problem.graph.flat(problem.graph.sum_qkv(scores)) / problem.pairs.clean.numel())
