"""A method of one's own: what `bench new method NAME` leaves behind. `examples/edge-bound` is its output."""

from __future__ import annotations

from pathlib import Path

from .package import write_package

_MODULE = '''\
"""{title}: how much an edge could matter at most, to first order.

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


@method(name="{name}", kinds=("circuit",), deterministic=True)
def {attribute}(problem: CircuitProblem, generator: torch.Generator, parameters: Parameters) -> EdgeScores:
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
'''

_TEST = '''\
"""The method keeps mechboard's contract: one test per check of `bench check {name}`."""

from mechboard.conformance import conformance_test

test_{attribute} = conformance_test("{name}")
'''


def write_method_package(name: str, parent: Path) -> Path:
    """Write the package into `parent/name`; returns that folder.

    Raises:
        UsageError: the name is not usable, or the folder exists.
        WriteError: it cannot be written.
    """
    return write_package("method", name, parent, module=_MODULE, test=_TEST, run="bench run --method {name} --task all")
