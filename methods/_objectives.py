"""What fine-tuning minimises: a function of the losses of bad samples and of those to keep, on a training or validation part.

A fifth of the discovery samples of either sort is never trained on and validates. Samples are drawn once, at random.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping
from dataclasses import dataclass
from functools import cached_property
from math import inf
from typing import Any, NamedTuple

import torch
from jaxtyping import Float
from torch import Generator, Tensor

from mechboard.protocols import RemovalProblem

SHARE_VALIDATED = 0.2
MOST_VALIDATED = 64


class Part(NamedTuple):
    """Bad samples with their losses in the unedited model [bad], and samples to keep."""

    bad: Any
    before: Float[Tensor, " bad"]
    keep: Any


@dataclass(frozen=True)
class Losses:
    """Losses of a part under some weights (the model's own if None), in nats; each is computed when it is asked for.

    `ceiling`: what the mean of bad losses counts for at most.
    """

    problem: RemovalProblem
    part: Part
    parameters: Mapping[str, Tensor] | None = None
    ceiling: float = inf

    @property
    def bad(self) -> Float[Tensor, " bad"]:
        """Of the bad samples; all at the ceiling if their mean is above it."""
        return torch.full_like(self._bad, self.ceiling) if self.mean_bad > self.ceiling else self._bad

    @property
    def before(self) -> Float[Tensor, " bad"]:
        """Of the bad samples in the unedited model."""
        return self.part.before

    @cached_property
    def keep(self) -> Float[Tensor, " keep"]:
        """Of the samples to keep."""
        return self._of(self.part.keep)

    @cached_property
    def mean_bad(self) -> float:
        """Mean of the bad samples, whatever the ceiling."""
        return float(self._bad.detach().mean())

    @cached_property
    def _bad(self) -> Tensor:
        return self._of(self.part.bad)

    def _of(self, samples: Any) -> Tensor:
        batches = samples.batches(self.problem.batch_size)
        return torch.cat([self.problem.losses(batch, parameters=self.parameters) for batch in batches])


Objective = Callable[[Losses], Float[Tensor, ""]]
"""What is minimised."""


def joint(alpha: float) -> Objective:
    """L_keep - alpha L_bad (Li, Davies, Nadeau 2023, eq. 1)."""
    return lambda losses: losses.keep.mean() - alpha * losses.bad.mean()


def split(problem: RemovalProblem, generator: Generator) -> tuple[Part, Part]:
    """Samples to train on and those to validate with: a fifth of either sort, at most 64; a sole sample does both."""
    bad, keep = (_sides(samples, generator) for samples in (problem.bad, problem.keep))
    training, validation = (Part(b, _before(problem, b), k) for b, k in zip(bad, keep, strict=True))
    return training, validation


def _sides(samples: Any, generator: Generator) -> tuple[Any, Any]:
    if len(samples) == 1:
        return samples, samples
    order = torch.randperm(len(samples), generator=generator)
    n = min(MOST_VALIDATED, max(1, round(SHARE_VALIDATED * len(samples))))
    return samples[order[n:]], samples[order[:n]]


@torch.no_grad()
def _before(problem: RemovalProblem, samples: Any) -> Tensor:
    return torch.cat([problem.losses(batch) for batch in samples.batches(problem.batch_size)])
