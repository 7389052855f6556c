"""Gradient ascent: raise the loss on bad samples, whatever else happens.

    minimise over all weights   - L(bad)

L is the mean cross-entropy in nats. The run ends when bad validation samples (a fifth) lose more than 20 nats, and the
weights are those of that epoch, or of the one with the highest loss if none gets there.
The published code kept "the best" epoch by the *lowest* bad validation loss, which is the one that unlearned least; but it
held references to the weights in training, so what it saved was the last state after all. Here best is highest, and a copy.
The frontier is the straight line from the unedited weights to these, theta + scale (theta' - theta), at tenths.

Cost: a forward and a backward of 16 samples a step, at most 50 passes over the bad samples, and twelve more to choose a rate.
Limits: nothing holds the rest of the model, so at its end it is drowned (published: 4.3 to 15.3 nats on other text). The loss
has no bound; `npo` is the bounded alternative. The published run had a rate of 1e-5 (`rate=1e-5`).

Source: baseline of Li, Davies, Nadeau 2023, "Circuit Breaking", after Ilharco et al. 2023, and the released code.
"""

from __future__ import annotations

from dataclasses import dataclass

from jaxtyping import Float
from torch import Generator, Tensor

from mechboard.protocols import RemovalProblem, WeightChange, method

from ._objectives import Losses, split
from ._parameters import at_least
from ._training import CEILING, TENTHS, Epoch, FineTune


@dataclass(frozen=True)
class Parameters:
    """`rate`: learning rate, 0 chooses one by validation; `epochs`: at most."""

    rate: float = 0.0
    epochs: int = 50

    def __post_init__(self) -> None:
        at_least("rate", self.rate, 0)
        at_least("epochs", self.epochs, 1)


def ascent(losses: Losses) -> Float[Tensor, ""]:
    """- L(bad)."""
    return -losses.bad.mean()


def passed(epoch: Epoch) -> bool:
    """Whether bad validation samples lose more than 20 nats."""
    return epoch.bad > CEILING


@method(
    name="gradient-ascent",
    kinds=("removal",),
    deterministic=False,
    citation={
        "author": "Li, Maximilian and Davies, Xander and Nadeau, Max",
        "title": "Circuit Breaking: Removing Model Behaviors with Targeted Ablation",
        "year": "2023",
        "eprint": "2309.05973",
    },
)
def gradient_ascent(problem: RemovalProblem, generator: Generator, parameters: Parameters) -> WeightChange:
    """Climb, and offer the line to where it ends."""
    tune = FineTune(problem, *split(problem, generator), ascent, passed)
    after = tune.run(generator, rate=parameters.rate, epochs=parameters.epochs)
    return WeightChange.between(problem.editable, after, TENTHS)
