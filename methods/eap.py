"""EAP: edge attribution patching, the first-order estimate of what ablating each edge would cost.

Estimates, for an edge from node u to the input of node v, the drop of the metric m when the edge
carries u's ablated output instead of its clean one:

    score(u -> v) = mean over prompts of sum over positions of (u_clean - u_ablated) . dm / dx_v

x_v is v's input before normalisation, in the clean run (`at=clean`, the expansion of the paper) or in that of the
corrupt prompt (`at=corrupt`, as TransformerLens 4 has it). One pass yields all edges, since the gradient depends on v
alone and the difference on u alone. Positions before the first different token, where u_clean = u_ablated, are run once.

Cost: two forwards (ablated, clean) and one backward, whatever the number of edges; one more forward for `metric=kl`.
Limits: first order. Where v is saturated (attention near 0 or 1, a dead ReLU) the gradient vanishes
and an edge that matters scores zero; two edges that stand in for each other both do. A metric that is at an extremum
where the gradient is taken, as KL divergence is at the clean run (section 3.3), gives nothing, and is declined.

Source: Syed, Rager, Conmy 2023, "Attribution patching outperforms automated circuit discovery".
"""

from __future__ import annotations

from dataclasses import dataclass

from torch import Generator

from mechboard.graph import MetricGradient, input_gradients, record_outputs, record_tape
from mechboard.graph.trace import OutputBuffer
from mechboard.protocols import CircuitProblem, EdgeScores, Unsupported, method

from ._parameters import one_of
from ._products import EdgeProducts


@dataclass(frozen=True)
class Parameters:
    """`at`: the run at which the gradient is taken, clean or corrupt; `metric`: task, the task's own, or kl."""

    at: str = "clean"
    metric: str = "task"

    def __post_init__(self) -> None:
        one_of("at", self.at, ("clean", "corrupt"))
        one_of("metric", self.metric, ("task", "kl"))


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
def eap(problem: CircuitProblem, generator: Generator, parameters: Parameters) -> EdgeScores:
    """Score every edge from one clean and one ablated pass."""
    at, problem = parameters.at, problem.measured_by(parameters.metric)
    if at == "corrupt" and problem.ablation.kind != "resample":
        raise Unsupported(
            f"at=corrupt needs a run of the model on corrupt prompts; under {problem.ablation.kind} ablation there is none, "
            "use at=clean."
        )
    model, products = problem.model, EdgeProducts(problem.graph, problem.model)
    gradient, buffer = MetricGradient(model, problem.metric), OutputBuffer(model.graph)
    for pairs in problem.batches():
        span = problem.ablation.span(pairs)
        clean = span.embed(model, pairs.clean)
        if at == "clean":
            differences = problem.ablation.outputs(pairs, span=span, into=buffer.of(clean))
            tape = record_tape(model, clean, subtract_from=differences, span=span)  # differences <- clean - ablated
        else:
            differences = record_outputs(model, clean, span=span, into=buffer.of(clean))
            tape = record_tape(model, span.embed(model, pairs.corrupt), subtract_from=differences, span=span)
        for at_inputs in input_gradients(model, tape, gradient.at(tape.final, pairs, span)):
            products.add(differences, at_inputs)
    if gradient.vanishes:
        raise Unsupported(
            f"The gradient of metric={parameters.metric} is zero at the {at} run, so a first-order score says nothing there; "
            f"use at={'corrupt' if at == 'clean' else 'clean'}, or exact patching such as acdc[metric={parameters.metric}]."
        )
    sign = 1 if at == "clean" else -1  # of differences, which are this run minus the other
    return EdgeScores(sign * products.sums() / len(problem.pairs))
