"""EAP-IG (inputs): edge attribution patching with gradients averaged along a path of inputs.

The gradient of EAP is replaced by its mean over points on the straight line from the ablated to the
clean value of the `input` node, which sees past a saturated point:

    score(u -> v) = mean over prompts of sum over positions of
                    (u_clean - u_ablated) . (1 / steps) sum_k dm / dx_v at input = ablated + t_k (clean - ablated)

with t_k = k / steps for k = 0 .. steps - 1, the points of the authors' library and of MIB: the path
starts at the ablated input and stops one step before the clean one.

Cost: two forwards for the differences, then `steps` forwards and `steps` backwards.
Limits: only the input is interpolated, so intermediate runs are of no real prompt.

Source: Hanna, Pezzelle, Belinkov 2024, "Have faith in faithfulness".
"""

from __future__ import annotations

from dataclasses import dataclass

from torch import Generator

from mechboard.graph import input_gradients, metric_gradient, record_outputs, record_tape
from mechboard.protocols import CircuitProblem, EdgeScores, method

from ._products import EdgeProducts


@dataclass(frozen=True)
class Parameters:
    """`steps`: points on the path; 5 as in MIB."""

    steps: int = 5

    def __post_init__(self) -> None:
        if self.steps < 1:
            raise ValueError(f"steps={self.steps} was given; valid: 1 or more.")


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
    for pairs in problem.batches():
        differences = problem.ablation.outputs(pairs)
        ablated_input, clean_input = differences[0].clone(), model.embed(pairs.clean)
        differences.neg_().add_(record_outputs(model, clean_input))
        for step in range(parameters.steps):
            between = ablated_input + step / parameters.steps * (clean_input - ablated_input)
            tape = record_tape(model, between)
            at_end = metric_gradient(model, tape.final, problem.metric, pairs)
            for at_inputs in input_gradients(model, tape, at_end):
                products.add(differences, at_inputs)
    return EdgeScores(products.sums() / (len(problem.pairs) * parameters.steps))
