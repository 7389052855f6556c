"""Joint fine-tuning: unlearn bad samples and go on learning all others, in one loss.

    minimise over all weights   L(keep) - alpha L(bad)                                   (eq. 1)

L is the mean cross-entropy in nats, alpha = 0.2 as published. L(bad) has no bound, so the end decides: the run ends
once a batch of bad samples has lost more than 20 nats, and the weights are those after the epoch that did best on validation
samples, as the paper says (its code only logs validation losses, and stops by the training batches alone).
The frontier is the straight line from the unedited weights to these, theta + scale (theta' - theta), at tenths.

Cost: a forward and a backward of 16 bad samples and 16 others a step, at most 100 passes over the bad samples, and twelve
more to choose a rate.
Limits: all weights may move, so what it changed is not known; it may relearn, or forget, anything that the samples to
keep say little about. The published run had a rate of 1e-5 (`rate=1e-5`).

Source: Li, Davies, Nadeau 2023, "Circuit Breaking", section 3.1 and the released code.
"""

from __future__ import annotations

from dataclasses import dataclass

from torch import Generator

from mechboard.protocols import RemovalProblem, WeightChange, method

from ._objectives import joint, split
from ._parameters import at_least
from ._training import CEILING, TENTHS, Epoch, FineTune


@dataclass(frozen=True)
class Parameters:
    """`alpha`: weight of the bad loss; `rate`: learning rate, 0 chooses one by validation; `epochs`: at most."""

    alpha: float = 0.2
    rate: float = 0.0
    epochs: int = 100

    def __post_init__(self) -> None:
        at_least("alpha", self.alpha, 0)
        at_least("rate", self.rate, 0)
        at_least("epochs", self.epochs, 1)


def passed(epoch: Epoch) -> bool:
    """Whether a batch of bad samples lost more than 20 nats."""
    return epoch.largest > CEILING


@method(
    name="joint-finetune",
    kinds=("removal",),
    deterministic=False,
    citation={
        "author": "Li, Maximilian and Davies, Xander and Nadeau, Max",
        "title": "Circuit Breaking: Removing Model Behaviors with Targeted Ablation",
        "year": "2023",
        "eprint": "2309.05973",
    },
)
def joint_finetune(problem: RemovalProblem, generator: Generator, parameters: Parameters) -> WeightChange:
    """Fine-tune, and offer the line to where it ends."""
    tune = FineTune(problem, *split(problem, generator), joint(parameters.alpha), passed)
    after = tune.run(generator, rate=parameters.rate, epochs=parameters.epochs)
    return WeightChange.between(problem.editable, after, TENTHS)
