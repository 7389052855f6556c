"""Hard-concrete masks: every edge is kept with a learned probability, under a constraint on how many are cut.

    z_e = clip(1.2 s_e - 0.1, 0, 1),   s_e = sigmoid((log u - log(1 - u) + a_e) / b),   u uniform, b = 2/3
    min over a, max over l1, l2 of     E[L(z)] + l1 (c(a) - k_t) + l2 (c(a) - k_t)^2
    c(a) = sum_e P(z_e = 0) = sum_e 1 - sigmoid(a_e - b log(0.1 / 1.1))

L is that of targeted edge ablation (eq. 4 without its regulariser, `learned-mask`), with one z per step. The target k_t is the number
of edges to cut: it goes through the budgets from the largest to the smallest, `steps` of training at each, beginning with
what is learned there. At the end of each the k edges of the least a are cut. The score of an edge is 1 - s_e at u = 1/2,
averaged over the budgets. A circuit task has no budgets and gets those of 1/4, 1/16 and 1/64 of its edges.

The constraint is relative, c(a) / k_t - 1, so that one rate of l1 and l2 serves all budgets.
Cost: `steps` forwards and backwards of `batch` samples of each set for every budget.
Limits: samples of z are noise beside that of the batch, which a small number of edges, each of much effect, feels most. A budget
above what the loss wants is filled all the same.

Source: Louizos, Welling, Kingma 2018 (hard concrete); Bhaskar et al. 2024, "Finding transformer circuits with edge pruning" (edges,
Lagrangian), which trains a circuit to keep and not a cut; rates and schedule here are this project's.
"""

from __future__ import annotations

import math
from dataclasses import dataclass

import torch
from jaxtyping import Float
from torch import Generator, Tensor

from mechboard.protocols import CircuitProblem, EdgeCuts, EdgeScores, RemovalProblem, method, progress

from ._masked_loss import CircuitLoss, MaskedLoss, RemovalLoss

_LOW, _HIGH, _TEMPERATURE = -0.1, 1.1, 2 / 3
_AT_FIRST = 4.0  # of a: 92 in 100 draws of z are 1
_SHARES = (4, 16, 64)


@dataclass(frozen=True)
class Parameters:
    """`alpha`: weight of L_bad; `steps` at each budget; `batch` of each set; `rate` of a and `price_rate` of l1 and l2."""

    alpha: float = 0.3
    steps: int = 100
    batch: int = 16
    rate: float = 0.2
    price_rate: float = 0.02

    def __post_init__(self) -> None:
        if min(self.steps, self.batch) < 1 or min(self.rate, self.price_rate) <= 0:
            raise ValueError(f"{self} was given; valid: steps and batch of 1 or more, rates above zero.")


def stretched(s: Float[Tensor, " edges"]) -> Float[Tensor, " edges"]:
    """Z of s: wider than [0, 1], and clipped to it, so that both ends have a probability.

    >>> stretched(torch.tensor([0.0, 0.5, 1.0])).tolist()
    [0.0, 0.5, 1.0]
    """
    return (s * (_HIGH - _LOW) + _LOW).clamp(0, 1)


def expected_cuts(a: Float[Tensor, " edges"]) -> Float[Tensor, ""]:
    """How many z are zero on average."""
    return torch.sigmoid(_TEMPERATURE * math.log(-_LOW / _HIGH) - a).sum()


def train(
    loss: MaskedLoss, budgets: tuple[int, ...], p: Parameters, generator: Generator
) -> dict[int, Float[Tensor, " edges"]]:
    """A at the end of each budget."""
    a = torch.full_like(loss.ones, _AT_FIRST).requires_grad_()
    prices = torch.zeros(2, dtype=a.dtype, device=a.device)
    optimiser, found = torch.optim.Adam([a], lr=p.rate), {}
    for number, budget in enumerate(sorted(budgets, reverse=True)):
        for step in range(p.steps):
            u = torch.rand(loss.n_edges, generator=generator).clamp(1e-6, 1 - 1e-6).to(a)
            with torch.enable_grad():
                z = stretched(torch.sigmoid((u.logit() + a) / _TEMPERATURE))
                off = expected_cuts(a) / budget - 1
                constraint = prices[0] * off + prices[1] * off**2
                surrogate = (z * loss.gradient(z.detach())).sum() + constraint
                (a.grad,) = torch.autograd.grad(surrogate, a)
            optimiser.step()
            missed = off.detach()
            prices += p.price_rate * torch.stack([missed, missed**2])
            progress(number * p.steps + step + 1, len(budgets) * p.steps, "steps")
        found[budget] = a.detach().clone()
    return found


@method(
    name="hard-concrete",
    kinds=("circuit", "removal"),
    deterministic=False,
    citation={
        "author": "Bhaskar, Adithya and Wettig, Alexander and Friedman, Dan and Chen, Danqi",
        "title": "Finding Transformer Circuits with Edge Pruning",
        "year": "2024",
        "eprint": "2406.16778",
    },
)
def hard_concrete(
    problem: CircuitProblem | RemovalProblem, generator: Generator, parameters: Parameters
) -> EdgeScores | EdgeCuts:
    """Train with the number of cut edges constrained to each budget."""
    p = parameters
    if isinstance(problem, CircuitProblem):
        budgets = tuple(sorted({max(1, problem.graph.n_edges // share) for share in _SHARES}))
        circuit = train(CircuitLoss(problem, p.batch, generator), budgets, p, generator)
        return EdgeScores(_scores(circuit))
    found = train(RemovalLoss(problem, p.alpha, p.batch, generator), problem.budgets, p, generator)
    cut = [EdgeCuts.of_scores(-found[budget], (budget,)).cut[0] for budget in problem.budgets]
    return EdgeCuts(cut=torch.stack(cut), scores=_scores(found))


def _scores(found: dict[int, Float[Tensor, " edges"]]) -> Float[Tensor, " edges"]:
    return torch.stack([torch.sigmoid(-a / _TEMPERATURE) for a in found.values()]).mean(0)
