"""What an edited model is examined on: measures of the bad behaviour and of all else, on samples that no method saw."""

from __future__ import annotations

from abc import ABC, abstractmethod
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from typing import NamedTuple

import torch
from jaxtyping import Float
from torch import Tensor

from ..edits import Edited, Labelled, Text
from ..errors import PluginError
from .frontier import Axis


class Estimate(NamedTuple):
    """A mean over samples, its standard error, and their number."""

    value: float
    error: float
    n: int

    @classmethod
    def of(cls, values: Float[Tensor, " samples"]) -> Estimate:
        """Mean of one value per sample; its standard error is 0 where there is but one.

        >>> Estimate.of(torch.tensor([0.0, 1.0]))
        Estimate(value=0.5, error=0.5, n=2)
        """
        values = values.double()
        error = float(values.std() / len(values) ** 0.5) if len(values) > 1 else 0.0
        return cls(float(values.mean()), error, len(values))


class Completion(NamedTuple):
    """What a model says to a prompt before and after an edit, with the score of each from 0 to 1, higher for worse."""

    prompt: str
    before: str
    after: str
    score_prompt: float
    score_before: float
    score_after: float


@dataclass(frozen=True, kw_only=True)
class Relearning:
    """How an edited model is trained on the bad discovery samples again: steps of AdamW, and their learning rate.

    Raises:
        PluginError: no step, or no rate.
    """

    steps: int
    rate: float

    def __post_init__(self) -> None:
        if self.steps < 1 or not self.rate > 0:
            raise PluginError(f"Relearning has {self.steps} steps at a rate of {self.rate:g}; valid: both above 0.")

    @property
    def checkpoints(self) -> tuple[int, ...]:
        """Steps after which the model is examined: a quarter, a half and all.

        >>> Relearning(steps=20, rate=0.1).checkpoints, Relearning(steps=1, rate=0.1).checkpoints
        ((5, 10, 20), (1,))
        """
        return tuple(sorted({step for step in (self.steps // 4, self.steps // 2, self.steps) if step}))


@dataclass(frozen=True, kw_only=True)
class Examination(ABC):
    """Measures of an edited model, and how they make efficacy and specificity.

    Args:
        removed: measures of the bad behaviour, each with its value when the behaviour is gone.
        kept: measures of all else, each with its value at ruin.
        marked: the budget at which a cut is reported in columns, one of the problem's; the largest if None.
        may_show: the highest score of a text that records and pages show; 1 where the words are invented.
        relearning: how the reported edit is trained again to see what comes back; it is not if None.
    """

    removed: tuple[Axis, ...]
    kept: tuple[Axis, ...]
    marked: int | None = None
    may_show: float = 0.1
    relearning: Relearning | None = None

    @abstractmethod
    def examine(self, edited: Edited) -> Mapping[str, Estimate]:
        """Every measure of one edited model."""

    def completions(self, unedited: Edited, edited: Edited) -> Sequence[Completion]:
        """What the model says before and after the edit; nothing for models that do not speak."""
        return ()


@dataclass(frozen=True, kw_only=True)
class Accuracies(Examination):
    """Share of samples that are answered as labelled: `bad-accuracy` of the behaviour to remove, `other-accuracy` of all else.

    Sequences are answered at their scored tokens, all of which must be the most likely ones. Cost: one forward of each sample.
    """

    bad: Text | Labelled
    other: Text | Labelled
    batch_size: int = 512
    removed: tuple[Axis, ...] = (Axis("bad-accuracy", 0.0),)
    kept: tuple[Axis, ...] = field(default=(Axis("other-accuracy", 0.0),))

    def examine(self, edited: Edited) -> Mapping[str, Estimate]:
        """Both accuracies."""
        return {
            "bad-accuracy": Estimate.of(self._right(edited, self.bad)),
            "other-accuracy": Estimate.of(self._right(edited, self.other)),
        }

    @torch.no_grad()
    def _right(self, edited: Edited, samples: Text | Labelled) -> Float[Tensor, " samples"]:
        return torch.cat([answered(edited, batch).float() for batch in samples.batches(self.batch_size)])


def answered(edited: Edited, samples: Text | Labelled) -> Tensor:
    """Which samples are answered as they say, [samples]."""
    said = edited.logits(samples).argmax(-1)
    if isinstance(samples, Labelled):
        return said == samples.labels
    right = said[:, :-1] == samples.tokens[:, 1:]
    return (right | ~samples.scored[:, 1:]).all(1)
