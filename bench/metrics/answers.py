"""Metrics of answers: what a task reads off the logits, one number per prompt."""

from __future__ import annotations

from jaxtyping import Float
from torch import Tensor

from mechboard.graph.pairs import PromptPairs


def logit_difference(
    logits: Float[Tensor, "prompts read d_vocab_out"], pairs: PromptPairs
) -> Float[Tensor, " prompts"]:
    """logit(answer) - logit(wrong) at the one position read; targets `answer` and `wrong` are token ids [prompts]."""
    rows = logits[:, 0]
    answer, wrong = (rows.gather(1, pairs.targets[name][:, None]).squeeze(1) for name in ("answer", "wrong"))
    return answer - wrong


def logit_margin(logits: Float[Tensor, "prompts read d_vocab_out"], pairs: PromptPairs) -> Float[Tensor, " prompts"]:
    """logit(answer) - the largest logit of any wrong answer; targets `answer` [prompts], `wrong` [prompts, wrong]."""
    rows = logits[:, 0]
    answer = rows.gather(1, pairs.targets["answer"][:, None]).squeeze(1)
    return answer - rows.gather(1, pairs.targets["wrong"]).amax(1)


def linear_readout(logits: Float[Tensor, "prompts read d_vocab_out"], pairs: PromptPairs) -> Float[Tensor, " prompts"]:
    """Sum of logits weighted by target `readout` [prompts, read, d_vocab_out]."""
    return (logits * pairs.targets["readout"]).sum((1, 2))


def probability_difference(
    logits: Float[Tensor, "prompts read d_vocab_out"], pairs: PromptPairs
) -> Float[Tensor, " prompts"]:
    """Sum of probabilities weighted by target `readout` [prompts, read, d_vocab_out]."""
    return (logits.softmax(-1) * pairs.targets["readout"]).sum((1, 2))
