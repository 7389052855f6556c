"""Metrics of answers: what a task reads off the logits, one number per prompt.

Those that compare right answers with wrong ones also say which targets they read, made of the answers' token ids.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import NamedTuple, Protocol

import torch
from jaxtyping import Float
from torch import Tensor

from mechboard.graph.pairs import Metric, PromptPairs


class AnswerIds(NamedTuple):
    """Token ids of what may follow one prompt: right answers and wrong ones."""

    right: Sequence[int]
    wrong: Sequence[int]


class AnswerMetric(Metric, Protocol):
    """A metric that compares right answers with wrong ones."""

    def targets(self, answers: Sequence[AnswerIds], d_vocab: int) -> dict[str, Tensor]:
        """What the metric reads of `pairs.targets`, from the answers of each prompt."""
        ...


@dataclass(frozen=True)
class _LogitDifference:
    """logit(answer) - logit(wrong) at the one position read; targets `answer` and `wrong` are token ids [prompts]."""

    def __call__(
        self, logits: Float[Tensor, "prompts read d_vocab_out"], pairs: PromptPairs
    ) -> Float[Tensor, " prompts"]:
        rows = logits[:, 0]
        answer, wrong = (rows.gather(1, pairs.targets[name][:, None]).squeeze(1) for name in ("answer", "wrong"))
        return answer - wrong

    def targets(self, answers: Sequence[AnswerIds], d_vocab: int) -> dict[str, Tensor]:
        """The first right and the first wrong answer of each prompt."""
        return {
            "answer": torch.tensor([each.right[0] for each in answers]),
            "wrong": torch.tensor([each.wrong[0] for each in answers]),
        }


@dataclass(frozen=True)
class _LogitMargin:
    """logit(answer) - the largest logit of any wrong answer; targets `answer` [prompts], `wrong` [prompts, wrong]."""

    def __call__(
        self, logits: Float[Tensor, "prompts read d_vocab_out"], pairs: PromptPairs
    ) -> Float[Tensor, " prompts"]:
        rows = logits[:, 0]
        answer = rows.gather(1, pairs.targets["answer"][:, None]).squeeze(1)
        return answer - rows.gather(1, pairs.targets["wrong"]).amax(1)

    def targets(self, answers: Sequence[AnswerIds], d_vocab: int) -> dict[str, Tensor]:
        """All wrong answers; a prompt with fewer repeats its last one, which changes no maximum."""
        most = max(len(each.wrong) for each in answers)
        padded = [[*each.wrong, *[each.wrong[-1]] * (most - len(each.wrong))] for each in answers]
        return {"answer": torch.tensor([each.right[0] for each in answers]), "wrong": torch.tensor(padded)}


@dataclass(frozen=True)
class _ProbabilityDifference:
    """Sum of probabilities weighted by target `readout` [prompts, read, d_vocab_out]."""

    def __call__(
        self, logits: Float[Tensor, "prompts read d_vocab_out"], pairs: PromptPairs
    ) -> Float[Tensor, " prompts"]:
        return (logits.softmax(-1) * pairs.targets["readout"]).sum((1, 2))

    def targets(self, answers: Sequence[AnswerIds], d_vocab: int) -> dict[str, Tensor]:
        """+1 for every right answer, -1 for every wrong one, 0 for all other words."""
        readout = torch.zeros(len(answers), 1, d_vocab)
        for row, each in enumerate(answers):
            readout[row, 0, each.right], readout[row, 0, each.wrong] = 1.0, -1.0
        return {"readout": readout}


logit_difference = _LogitDifference()
logit_margin = _LogitMargin()
probability_difference = _ProbabilityDifference()


def linear_readout(logits: Float[Tensor, "prompts read d_vocab_out"], pairs: PromptPairs) -> Float[Tensor, " prompts"]:
    """Sum of logits weighted by target `readout` [prompts, read, d_vocab_out]."""
    return (logits * pairs.targets["readout"]).sum((1, 2))
