"""EAP: edge attribution patching, the first-order estimate of what ablating each edge would cost.

Estimates, for an edge from node u to the input of node v, the drop of the metric m when the edge
carries u's ablated output instead of its clean one:

    score(u -> v) = mean over prompts of sum over positions of (u_clean - u_ablated) . dm / dx_v

x_v is v's input before normalisation, in the clean run. One pass yields all edges, since the
gradient depends on v alone and the difference on u alone.

Cost: two forwards (ablated, clean) and one backward, whatever the number of edges.
Limits: first order. Where v is saturated (attention near 0 or 1, a dead ReLU) the gradient vanishes
and an edge that matters scores zero; two edges that stand in for each other both do.

Source: Syed, Rager, Conmy 2023, "Attribution patching outperforms automated circuit discovery".
"""

from __future__ import annotations

from torch import Generator

from mechboard.graph import input_gradients, metric_gradient, record_tape
from mechboard.protocols import CircuitProblem, EdgeScores, NoParameters, method

from ._products import EdgeProducts


@method(
    name="eap",
    kinds=("circuit",),
    deterministic=True,
    citation={
        "author": "Syed, Aaquib and Rager, Can and Conmy, Arthur",
        "title": "Attribution Patching Outperforms Automated Circuit Discovery",
        "year": "2023",
        "eprint": "2310.10348",
    },
)
def eap(problem: CircuitProblem, generator: Generator, parameters: NoParameters) -> EdgeScores:
    """Score every edge from one clean and one ablated pass."""
    model, products = problem.model, EdgeProducts(problem.graph, problem.model)
    for pairs in problem.batches():
        outputs = problem.ablation.outputs(pairs)
        tape = record_tape(model, model.embed(pairs.clean), subtract_from=outputs)  # outputs <- clean - ablated
        at_end = metric_gradient(model, tape.final, problem.metric, pairs)
        for at_inputs in input_gradients(model, tape, at_end):
            products.add(outputs, at_inputs)
    return EdgeScores(products.sums() / len(problem.pairs))
