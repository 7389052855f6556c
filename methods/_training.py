"""Fine-tuning of a copy of the weights on discovery samples, which several removal methods share.

    theta <- AdamW(theta, gradient of the objective on a batch of bad samples and one of those to keep)

What comes out is a copy of the weights after the epoch whose objective on the validation part was lowest; an epoch is a
pass over the bad samples. In validation a mean bad loss counts up to 20 nats, where the published runs stop.

The published rate, 1e-5, is that of GPT-2 and does not move a small model. Unless a rate is given, each of a grid is tried for
three epochs, and the one with the lowest objective on the validation part (of discovery samples, as all here) trains in full;
of equals the smallest.

Source: the baselines of Li, Davies, Nadeau 2023 (batches of 16, no weight decay). Theirs train and validate with
dropout; there is none here.
Memory: five copies of the weights beside the model (trained, gradient, two moments of AdamW, best).
"""

from __future__ import annotations

from collections.abc import Callable, Iterator, Mapping
from dataclasses import dataclass
from math import inf, isfinite
from typing import NamedTuple

import torch
from torch import Generator, Tensor

from mechboard.errors import InvalidSolution
from mechboard.protocols import RemovalProblem, progress

from ._objectives import Losses, Objective, Part

RATES = (1e-5, 1e-4, 1e-3, 1e-2)
TRIED = 3
BATCH = 16
PATIENCE = 10

CEILING = 20.0
"""Mean loss on bad samples at which the published runs stop, in nats."""

TENTHS = tuple(tenth / 10 for tenth in range(1, 11))
"""Scales of the line from the unedited model to the end of a fine-tune."""


class Epoch(NamedTuple):
    """After an epoch: the largest mean bad loss of its batches, and bad loss and objective on the validation part."""

    largest: float
    bad: float
    objective: float


def never(epoch: Epoch) -> bool:
    """The rule of a fine-tune that no loss ends."""
    return False


@dataclass(frozen=True)
class FineTune:
    """A fine-tune of a problem's model: what it minimises, on which samples, and when it ends.

    Args:
        problem: the model.
        training: samples that weights are fitted to.
        validation: samples that choose the rate and the epoch.
        objective: what is minimised.
        ends: whether training ends after an epoch; ten without progress in validation end it too.
    """

    problem: RemovalProblem
    training: Part
    validation: Part
    objective: Objective
    ends: Callable[[Epoch], bool] = never

    def run(self, generator: Generator, *, rate: float, epochs: int) -> dict[str, Tensor]:
        """The weights after the best epoch; the model's own if none is better than these.

        Args:
            generator: draws the order of samples.
            rate: learning rate; 0 chooses one.
            epochs: passes over the bad training samples, at most.

        Raises:
            InvalidSolution: training diverged before any epoch was better than the unedited model.
        """
        best = _Best(self._validated(None).objective)
        finite = self._train(generator, rate or self._chosen(generator), epochs, best)
        if best.weights is None and not finite:
            raise InvalidSolution(
                f"Training diverged (rate={rate:g}): losses or weights became infinite or NaN before anything was "
                "removed; use a smaller rate, or 0 to have one chosen."
            )
        return best.weights or self.problem.editable.parameters()

    def _chosen(self, generator: Generator) -> float:
        lowest, chosen = inf, RATES[0]
        for rate in RATES:
            tried = _Best(lowest, holds=False)
            self._train(generator, rate, TRIED, tried)
            if tried.objective < lowest:
                lowest, chosen = tried.objective, rate
        return chosen

    def _train(self, generator: Generator, rate: float, epochs: int, best: _Best) -> bool:
        """Offer the weights after every epoch; False if training diverged."""
        lowest, stale = inf, 0
        for n, (epoch, weights) in enumerate(self._epochs(generator, rate), 1):
            progress(n, epochs, "epochs")
            if not _is_finite(epoch, weights):
                return False
            best.offer(epoch.objective, weights)
            lowest, stale = (epoch.objective, 0) if epoch.objective < lowest else (lowest, stale + 1)
            if n == epochs or stale == PATIENCE or self.ends(epoch):
                return True
        raise AssertionError("epochs do not end by themselves")

    def _epochs(self, generator: Generator, rate: float) -> Iterator[tuple[Epoch, dict[str, Tensor]]]:
        """Train without end from the model's own weights; every epoch with the weights that it left."""
        training, size = self.training, min(BATCH, self.problem.batch_size)
        weights = {name: tensor.requires_grad_() for name, tensor in self.problem.editable.parameters().items()}
        optimizer = torch.optim.AdamW(weights.values(), lr=rate, weight_decay=0.0, fused=True)
        to_keep = _drawn(len(training.keep), size, generator)
        while True:
            largest = -inf
            for rows in torch.split(torch.randperm(len(training.bad), generator=generator), size):
                batch = Part(training.bad[rows], training.before[rows], training.keep[next(to_keep)])
                losses = Losses(self.problem, batch, weights)
                self.objective(losses).backward()  # type: ignore[no-untyped-call]
                optimizer.step()
                optimizer.zero_grad()
                largest = max(largest, losses.mean_bad)
            yield self._validated(weights)._replace(largest=largest), weights

    @torch.no_grad()
    def _validated(self, weights: Mapping[str, Tensor] | None) -> Epoch:
        losses = Losses(self.problem, self.validation, weights, ceiling=CEILING)
        return Epoch(largest=-inf, bad=losses.mean_bad, objective=float(self.objective(losses)))


def _drawn(n: int, size: int, generator: Generator) -> Iterator[Tensor]:
    """Rows of batches, in a new random order on every pass."""
    while True:
        yield from torch.split(torch.randperm(n, generator=generator), size)


def _is_finite(epoch: Epoch, weights: Mapping[str, Tensor]) -> bool:
    return all(map(isfinite, epoch)) and all(bool(tensor.isfinite().all()) for tensor in weights.values())


class _Best:
    """The lowest objective that was offered, and unless it `holds` nothing a copy of its weights; None if none was lower than at first."""

    def __init__(self, objective: float, *, holds: bool = True) -> None:
        self.objective = objective
        self.weights: dict[str, Tensor] | None = None
        self._holds = holds

    def offer(self, objective: float, weights: Mapping[str, Tensor]) -> None:
        if objective >= self.objective:
            return
        self.objective = objective
        if self._holds:
            self.weights = self.weights or {name: torch.empty_like(tensor) for name, tensor in weights.items()}
            for name, tensor in weights.items():
                self.weights[name].copy_(tensor.detach())
