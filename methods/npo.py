"""NPO: negative preference optimisation, a bounded ascent on bad samples beside ordinary training on all others.

    minimise over all weights   (2 / beta) E_bad log(1 + (pi(x) / pi_ref(x))^beta) + L(keep)

pi_ref is the unedited model and log pi(x) = -loss(x), the mean over a sample's scored tokens, so that samples of any length
weigh alike; a ratio of whole sequences of T tokens with the published beta of 0.1 is beta = 0.1 T here. Its gradient is
that of ascent times 2 (pi^beta / (pi^beta + pi_ref^beta)): 1 at first, and nothing once a sample is unlearned.
As beta goes to 0 it becomes ascent. The weights are those after the epoch that did best on validation samples, a fifth.
The frontier is the straight line from the unedited weights to these, theta + scale (theta' - theta), at tenths.

Cost: a forward and a backward of 16 bad samples and 16 others a step, at most 100 passes over the bad samples, and twelve
more to choose a rate.
Limits: as of any fine-tune, what it changed is not known, and unlearned is not unable.

Source: Zhang, Lin, Bai, Mei 2024, "Negative Preference Optimization".
"""

from __future__ import annotations

from dataclasses import dataclass

import torch
from jaxtyping import Float
from torch import Generator, Tensor

from mechboard.protocols import RemovalProblem, WeightChange, method

from ._objectives import Losses, Objective, split
from ._parameters import above, at_least
from ._training import TENTHS, FineTune


@dataclass(frozen=True)
class Parameters:
    """`beta`: how soon an unlearned sample is left alone; `rate`: learning rate, 0 chooses one by validation; `epochs`: at most."""

    beta: float = 1.0
    rate: float = 0.0
    epochs: int = 100

    def __post_init__(self) -> None:
        above("beta", self.beta, 0)
        at_least("rate", self.rate, 0)
        at_least("epochs", self.epochs, 1)


def preference(beta: float) -> Objective:
    """(2 / beta) E_bad log(1 + (pi / pi_ref)^beta) + L(keep)."""

    def objective(losses: Losses) -> Float[Tensor, ""]:
        log_ratio = losses.before - losses.bad
        return 2 / beta * torch.nn.functional.softplus(beta * log_ratio).mean() + losses.keep.mean()

    return objective


@method(
    name="npo",
    kinds=("removal",),
    deterministic=False,
    citation={
        "author": "Zhang, Ruiqi and Lin, Licong and Bai, Yu and Mei, Song",
        "title": "Negative Preference Optimization: From Catastrophic Collapse to Effective Unlearning",
        "year": "2024",
        "eprint": "2404.05868",
    },
)
def npo(problem: RemovalProblem, generator: Generator, parameters: Parameters) -> WeightChange:
    """Prefer the bad samples less than before, and offer the line to where it ends."""
    tune = FineTune(problem, *split(problem, generator), preference(parameters.beta))
    after = tune.run(generator, rate=parameters.rate, epochs=parameters.epochs)
    return WeightChange.between(problem.editable, after, TENTHS)
