"""Task arithmetic: fine-tune towards the bad behaviour, then go the opposite way.

    theta_bad = minimise over all weights   L(bad)
    theta'    = theta - s (theta_bad - theta)

L is the mean cross-entropy in nats; s = 1 as published. theta_bad is a copy of the weights after the epoch with the lowest loss on
bad validation samples, a fifth. (The published code means the same, but held references, and so saved the last epoch.)
With `scale=0`, s is the quarter from 0.25 to 4 with the lowest L(keep) - 0.2 L(bad), a bad loss counting up to 20 nats, on
validation samples; Ilharco et al. tune it on held-out data too, from 0 to 1, by the accuracy on a control task.
The frontier is the line itself, at tenths of s.

Cost: a forward and a backward of 16 samples a step, at most 50 passes over the bad samples, and twelve more to choose a rate.
Limits: where the model does the bad thing well already there is little to learn, and a short vector; a straight line
stands in for what unlearning would be. The published run had a rate of 1e-5 (`rate=1e-5`).

Source: Ilharco et al. 2023, "Editing models with task arithmetic"; baseline of Li, Davies, Nadeau 2023, section 3.2.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass

import torch
from jaxtyping import Float
from torch import Generator, Tensor

from mechboard.protocols import RemovalProblem, WeightChange, method

from ._objectives import Losses, Part, joint, split
from ._parameters import at_least
from ._training import CEILING, TENTHS, FineTune

ALPHA = 0.2
SCALES = tuple(quarter / 4 for quarter in range(1, 17))


@dataclass(frozen=True)
class Parameters:
    """`scale`: s, 0 chooses it by validation; `rate`: learning rate, 0 chooses one by validation; `epochs`: at most."""

    scale: float = 1.0
    rate: float = 0.0
    epochs: int = 50

    def __post_init__(self) -> None:
        at_least("scale", self.scale, 0)
        at_least("rate", self.rate, 0)
        at_least("epochs", self.epochs, 1)


def towards(losses: Losses) -> Float[Tensor, ""]:
    """L(bad)."""
    return losses.bad.mean()


@method(
    name="task-arithmetic",
    kinds=("removal",),
    deterministic=False,
    citation={
        "author": "Ilharco, Gabriel and Ribeiro, Marco Tulio and Wortsman, Mitchell and others",
        "title": "Editing Models with Task Arithmetic",
        "year": "2023",
        "eprint": "2212.04089",
    },
)
def task_arithmetic(problem: RemovalProblem, generator: Generator, parameters: Parameters) -> WeightChange:
    """Subtract what learning the bad behaviour adds."""
    training, validation = split(problem, generator)
    tune = FineTune(problem, training, validation, towards)
    learned = tune.run(generator, rate=parameters.rate, epochs=parameters.epochs)
    before = problem.editable.parameters()
    away = {name: before[name] - tensor for name, tensor in learned.items()}
    scale = parameters.scale or tuned(problem, validation, before, away)
    return WeightChange(change=away, scales=tuple(scale * tenth for tenth in TENTHS))


@torch.no_grad()
def tuned(problem: RemovalProblem, validation: Part, before: Mapping[str, Tensor], away: Mapping[str, Tensor]) -> float:
    """The scale with the lowest joint objective on validation samples."""

    def objective(scale: float) -> float:
        weights = {name: tensor + scale * away[name] for name, tensor in before.items()}
        return float(joint(ALPHA)(Losses(problem, validation, weights, ceiling=CEILING)))

    return min(SCALES, key=objective)
