"""Targeted edge ablation: a mask over all edges is trained to lose the bad behaviour and little else, with few edges cut.

    min over w in [0, 1]^E of    L_keep(w) - alpha L_bad(w) + c lambda_t R(w)          (eq. 4; w mixes as in eq. 3)
    lambda_t = strength clip((t / steps - start) / (full - start), 0, 1)             c: the multiplier that is searched
    R = sum_e 1 - w_e  (`sum`)   or   sum_e sqrt(1.01 - w_e)  (`sqrt`, which makes masks binary)
    cut = { e : w_e < 1/2 }

w begins at 1 and alone is trained (Adam), on a few samples a step, and clamped after every step. lambda is in nats per edge, so it
fits graphs of any size: the paper's appendix, where R is a mean, has lambda / 39,200 here.

A budget is reached by a search over lambda. While lambda_t rises from nothing the set of cut edges shrinks, so one run passes
through sets of most sizes; as in the released code, which stops when few enough edges are left, each is an answer at its size. If
the sets leave out a budget (none of more than 3/4 of it), c is quadrupled or bisected and a whole run added, `runs` at most.
The sets of all runs, and the k edges of the highest scores, are compared on discovery samples (`_cuts.py`). This costs one run
where a full bisection costs ten, and on 8x8 digits sets taken on the way score as those in which lambda was held.

The score of an edge is 1 - w averaged over all steps and runs: over how much of the range of prices, and how far, it is cut.
A circuit task is answered by these scores after one run, with L = m(w) / |m(model) - m(everything ablated)| for L_keep - alpha L_bad,
and without the steps at lambda = 0, where Adam would follow the rounding of a gradient that is zero.

As published, but for the search:
    GPT-2     regulariser=sum, alpha=0.2, strength=0.008, start=0.2, rate=0.05, batch=5, steps=1800, round_every=900, runs=1
    MNIST     regulariser=sqrt, alpha=0.3, strength=0.0204, start=0, full=0.667, rate=0.3, batch=64, steps=12000, runs=1

Cost: for each run `steps` forwards and backwards of `batch` samples of each set; then a forward of up to 256 for each set compared.
Limits: what a lower price leaves out is never found again but by chance, since sqrt is steep at w = 1. Below the size at which
the behaviour is mostly gone no price holds a set, and small budgets get what is left on the way down. A cut needs one edge of each
route, so a long route is not ranked above all else.

Source: Li, Davies, Nadeau 2023, "Circuit breaking: removing model behaviors with targeted ablation"; schedules: their released code.
"""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass, replace

import torch
from jaxtyping import Float
from torch import Generator, Tensor

from mechboard.protocols import CircuitProblem, EdgeCuts, EdgeScores, RemovalProblem, method, progress

from ._cuts import Cuts, Run
from ._masked_loss import CircuitLoss, MaskedLoss, RemovalLoss
from ._parameters import one_of

_THRESHOLD = 0.5


@dataclass(frozen=True)
class Parameters:
    """Those of the formulas; `batch`: samples of each set in a step; `round_every`: steps after which w is rounded, 0 for never."""

    alpha: float = 0.3
    regulariser: str = "sqrt"
    strength: float = 0.1
    start: float = 0.2
    full: float = 1.0
    rate: float = 0.1
    steps: int = 400
    batch: int = 16
    round_every: int = 0
    runs: int = 3

    def __post_init__(self) -> None:
        one_of("regulariser", self.regulariser, ("sum", "sqrt"))
        if min(self.steps, self.batch, self.runs) < 1:
            raise ValueError(
                f"steps={self.steps}, batch={self.batch} and runs={self.runs} were given; valid: 1 or more."
            )
        if not 0 <= self.start < self.full <= 1:
            raise ValueError(f"start={self.start:g} and full={self.full:g} were given; valid: 0 <= start < full <= 1.")

    def weight(self, step: int) -> float:
        """Lambda of one step."""
        return self.strength * min(1.0, max(0.0, ((step + 1) / self.steps - self.start) / (self.full - self.start)))

    def slope(self, w: Float[Tensor, " edges"]) -> Float[Tensor, " edges"]:
        """dR/dw."""
        return -torch.ones_like(w) if self.regulariser == "sum" else -0.5 / (1.01 - w).sqrt()


def train(loss: MaskedLoss, p: Parameters, multiplier: float) -> Iterator[Float[Tensor, " edges"]]:
    """The mask after every step; the same tensor each time."""
    w = loss.ones.clone()
    optimiser = torch.optim.AdamW([w], lr=p.rate, weight_decay=0.0)
    for step in range(p.steps):
        w.grad = loss.gradient(w) + multiplier * p.weight(step) * p.slope(w)
        optimiser.step()
        w.clamp_(0, 1)
        if p.round_every and (step + 1) % p.round_every == 0:
            w.round_()
        yield w


@method(
    name="learned-mask",
    kinds=("circuit", "removal"),
    deterministic=False,
    citation={
        "author": "Li, Maximilian and Davies, Xander and Nadeau, Max",
        "title": "Circuit Breaking: Removing Model Behaviors with Targeted Ablation",
        "year": "2023",
        "eprint": "2309.05973",
    },
)
def learned_mask(
    problem: CircuitProblem | RemovalProblem, generator: Generator, parameters: Parameters
) -> EdgeScores | EdgeCuts:
    """Train masks at rising prices per edge, and round them."""
    p = parameters
    if isinstance(problem, CircuitProblem):
        whole = CircuitLoss(problem, p.batch, generator)
        return EdgeScores(_run(whole, replace(p, start=0.0), 1.0, Cuts((whole.n_edges,))))
    loss, cuts = RemovalLoss(problem, p.alpha, p.batch, generator), Cuts(problem.budgets)
    found: list[Tensor] = []
    multiplier: float | None = 1.0
    while multiplier is not None and len(found) < p.runs:
        found.append(_run(loss, p, multiplier, cuts))
        multiplier = cuts.next_multiplier()
    return cuts.best(loss, torch.stack(found).mean(0))


def _run(loss: MaskedLoss, p: Parameters, multiplier: float, cuts: Cuts) -> Float[Tensor, " edges"]:
    """Add every set on the way; 1 - w, averaged over the way, is returned."""
    total, peak, size = torch.zeros_like(loss.ones), 0, 0
    for step, w in enumerate(train(loss, p, multiplier)):
        total += 1 - w
        size = cuts.add(w < _THRESHOLD)
        peak = max(peak, size)
        progress(step + 1, p.steps, "steps")
        if peak and p.weight(step) and bool((w == 1).all()):
            break
    cuts.ran(Run(multiplier, peak, size))
    return total / p.steps
