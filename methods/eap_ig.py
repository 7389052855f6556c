"""EAP-IG (inputs): edge attribution patching with gradients averaged along a path of inputs.

The gradient of EAP is replaced by its mean over points on the straight line from the ablated to the
clean value of the `input` node, which sees past a saturated point:

    score(u -> v) = mean over prompts of sum over positions of
                    (u_clean - u_ablated) . (1 / steps) sum_k dm / dx_v at input = ablated + t_k (clean - ablated)

with k = 0 .. steps - 1 and t_k = k / steps (`rule=left`, the points of the authors' library and of MIB: the path
starts at the ablated input and stops one step before the clean one), (k + 1) / steps (`rule=right`, which ends at the
clean input) or (k + 1/2) / steps (`rule=midpoint`, the Riemann sum with the smallest error of the three).
Positions before the first different token are the same at every point and run once.

Cost: two forwards for the differences, then `steps` forwards and `steps` backwards.
Limits: only the input is interpolated, so intermediate runs are of no real prompt. A metric whose gradient is zero at
every point is declined.

Source: Hanna, Pezzelle, Belinkov 2024, "Have faith in faithfulness".
"""

from __future__ import annotations

from dataclasses import dataclass

from torch import Generator

from mechboard.graph import MetricGradient, input_gradients, record_outputs, record_tape
from mechboard.graph.trace import OutputBuffer
from mechboard.protocols import CircuitProblem, EdgeScores, Unsupported, method

from ._parameters import one_of
from ._products import EdgeProducts

_SHIFT = {"left": 0.0, "right": 1.0, "midpoint": 0.5}


@dataclass(frozen=True)
class Parameters:
    """`steps`: points on the path; 5 as in MIB. `rule`: where in its step each point is, left, right or midpoint."""

    steps: int = 5
    rule: str = "left"

    def __post_init__(self) -> None:
        if self.steps < 1:
            raise ValueError(f"steps={self.steps} was given; valid: 1 or more.")
        one_of("rule", self.rule, tuple(_SHIFT))


@method(
    name="eap-ig",
    kinds=("circuit",),
    deterministic=True,
    citation={
        "author": "Hanna, Michael and Pezzelle, Sandro and Belinkov, Yonatan",
        "title": "Have Faith in Faithfulness: Going Beyond Circuit Overlap When Finding Model Mechanisms",
        "year": "2024",
        "eprint": "2403.17806",
    },
)
def eap_ig(problem: CircuitProblem, generator: Generator, parameters: Parameters) -> EdgeScores:
    """Score every edge from gradients along the path of inputs."""
    model, products = problem.model, EdgeProducts(problem.graph, problem.model)
    gradient, buffer = MetricGradient(model, problem.metric), OutputBuffer(model.graph)
    for pairs in problem.batches():
        span = problem.ablation.span(pairs)
        clean = span.embed(model, pairs.clean)
        differences = problem.ablation.outputs(pairs, span=span, into=buffer.of(clean))
        ablated = differences[0].clone()
        record_outputs(model, clean, into=differences, subtract=True, span=span)  # <- clean - ablated
        for step in range(parameters.steps):
            t = (step + _SHIFT[parameters.rule]) / parameters.steps
            tape = record_tape(model, ablated + t * (clean - ablated), span=span)
            for at_inputs in input_gradients(model, tape, gradient.at(tape.final, pairs, span)):
                products.add(differences, at_inputs)
    if gradient.vanishes:
        raise Unsupported(
            "The gradient of the metric is zero at every point of the path; use exact patching, such as acdc."
        )
    return EdgeScores(products.sums() / (len(problem.pairs) * parameters.steps))
