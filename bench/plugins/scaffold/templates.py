"""Working methods to start from, one for each kind of question, which names its own. `examples/edge-bound` is made of the first.

Each is a template of `name`, `attribute`, `module` and `title`; braces that stay are doubled.
"""

CIRCUIT = '''\
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

FEATURES = '''\
"""{title}: attribution of features with gradients at both ends of the way.

    score(u) = - < (1 - share) grad at clean + share grad at paired, u_patch - u_clean >

With a share of a half it is the trapezoid rule with two points; `atp-features` is a share of zero. Replace this text and the
formula by your own.

Cost: two forwards and two backwards, and two forwards of the dictionaries.
"""

from dataclasses import dataclass, replace

import torch

from mechboard.features import Place, Runs, gradients, linear_effects
from mechboard.protocols import FeatureProblem, FeatureScores, method


@dataclass(frozen=True)
class Parameters:
    """`share`: how much of the gradient is that at the paired prompt."""

    share: float = 0.5


@method(name="{name}", kinds=("features",), deterministic=True)
def {attribute}(problem: FeatureProblem, generator: torch.Generator, parameters: Parameters) -> FeatureScores:
    """Score every feature, error and neuron."""
    found: dict[int, list[dict[Place, torch.Tensor]]] = {{}}

    def at_both_ends(batch: Runs, place: Place, change: torch.Tensor) -> torch.Tensor:
        if batch.number not in found:
            ends = (batch.pairs, replace(batch.pairs, clean=batch.pairs.corrupt))
            found[batch.number] = [gradients(problem.model, problem.metric, end) for end in ends]
        clean, paired = (end[place] for end in found[batch.number])
        return torch.lerp(clean, paired, parameters.share)

    return linear_effects(problem, at_both_ends).scores
'''

REMOVAL = '''\
"""{title}: cut the edges whose loss would raise the bad samples' loss most and all others' least, to first order.

    score(e) = dL_keep / dw_e - weight dL_bad / dw_e    at w = 1, where every edge is kept

Cutting an edge lowers its w from 1 to 0, so a high score is an edge without which the behaviour goes and little else does.
Replace this text and the formula by your own.

Cost: one forward and one backward of every sample.
"""

from dataclasses import dataclass

import torch

from mechboard.protocols import EdgeCuts, RemovalProblem, method


@dataclass(frozen=True)
class Parameters:
    """`weight`: of the bad samples beside all others."""

    weight: float = 1.0


@method(name="{name}", kinds=("removal",), deterministic=True)
def {attribute}(problem: RemovalProblem, generator: torch.Generator, parameters: Parameters) -> EdgeCuts:
    """Score every edge and cut the first ones at every budget."""
    scores = torch.zeros(problem.model.n_edges)
    for samples, sign in ((problem.keep, 1.0), (problem.bad, -parameters.weight)):
        for batch in samples.batches(problem.batch_size):
            kept = torch.ones(problem.model.n_edges, requires_grad=True)
            (gradient,) = torch.autograd.grad(problem.losses(batch, kept=kept).sum(), kept)
            scores += sign * gradient / len(samples)
    return EdgeCuts.of_scores(scores, problem.budgets)
'''
