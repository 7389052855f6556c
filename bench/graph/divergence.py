"""KL divergence as a metric: how far the answers of a run are from those of the clean model.

    m = -mean over read positions of sum over words of p_clean (log p_clean - log p_run)

It is 0 for the clean model, its largest value, so its gradient there is zero and no first-order method can use it there
(Syed et al. 2023, section 3.3).
"""

from __future__ import annotations

from dataclasses import dataclass, replace

import torch
from jaxtyping import Float
from torch import Tensor

from .decoder import Decoder
from .pairs import PromptPairs

__all__ = ["Divergence", "with_clean_answers"]

_CLEAN = "clean log-probabilities"


@dataclass(frozen=True)
class Divergence:
    """-KL(clean model || run), in nats; reads the target that `with_clean_answers` adds."""

    def __call__(
        self, logits: Float[Tensor, "prompts read d_vocab_out"], pairs: PromptPairs
    ) -> Float[Tensor, " prompts"]:
        """Value of each prompt."""
        clean = pairs.targets[_CLEAN]
        return -(clean.exp() * (clean - logits.log_softmax(-1))).sum(-1).mean(1)


@torch.no_grad()
def with_clean_answers(decoder: Decoder, pairs: PromptPairs, batch_size: int) -> PromptPairs:
    """The same prompts with the clean model's log-probabilities at the read positions as a target. Cost: one forward."""
    clean = [
        decoder.unembed(batch.read(decoder.resume(decoder.embed(batch.clean)))).log_softmax(-1)
        for batch in pairs.batches(batch_size)
    ]
    return replace(pairs, targets=pairs.targets | {_CLEAN: torch.cat(clean)})
