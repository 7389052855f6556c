"""A removal problem as a circuit problem: what circuit methods answer on their way to a cut.

The metric is L_keep - alpha L_bad, which removal lowers, with both sets in one batch of prompts; a score is the drop of it when the
edge is ablated, so that edges of the highest scores are cut. A prompt's value is its loss by its set's weight, so
that the mean over all prompts is the difference of the two sets' means.
"""

from __future__ import annotations

from dataclasses import dataclass

import torch
from jaxtyping import Float
from torch import Tensor

from ..errors import Unsupported
from ..graph import PromptPairs
from ..graph.problem import CircuitProblem
from .decoder import EditableDecoder
from .problem import RemovalProblem
from .samples import Text

ALPHA = 0.2
"""How much the loss on bad samples weighs (Li, Davies, Nadeau 2023)."""


@dataclass(frozen=True)
class WeightedLoss:
    """A prompt's mean loss, by its weight; targets `next` and `counts` [prompts, read], `weight` [prompts]."""

    def __call__(
        self, logits: Float[Tensor, "prompts read d_vocab_out"], pairs: PromptPairs
    ) -> Float[Tensor, " prompts"]:
        """Value of each prompt, in nats."""
        counts = pairs.targets["counts"]
        losses = torch.nn.functional.cross_entropy(logits.transpose(1, 2), pairs.targets["next"], reduction="none")
        return pairs.targets["weight"] * (losses * counts).sum(1) / counts.sum(1)


def circuit_problem(problem: RemovalProblem) -> CircuitProblem:
    """Discovery prompts are the bad samples and those to keep; the ablation is the removal problem's.

    Raises:
        Unsupported: the model is no decoder.
    """
    model = problem.model
    if not isinstance(model, EditableDecoder):
        raise Unsupported("a circuit method needs a transformer, and the model of this task is none")
    both: Text = problem.bad.joined(problem.keep)
    n, n_bad = len(both), len(problem.bad)
    is_bad = torch.arange(n, device=both.tokens.device) < n_bad
    weight = torch.where(is_bad, -ALPHA * n / n_bad, n / (n - n_bad)).to(model.decoder.dtype)
    # Read in front of every token that counts for any prompt.
    columns = both.scored.any(0).nonzero().squeeze(1)
    targets = {"next": both.tokens[:, columns], "counts": both.scored[:, columns].to(weight.dtype), "weight": weight}
    positions = (columns - 1).expand(n, -1).contiguous()
    return CircuitProblem(
        model=model.decoder,
        graph=model.graph,
        pairs=PromptPairs(both.tokens, both.tokens, both.lengths, positions, targets),
        metric=WeightedLoss(),
        ablation=model.ablated_by,
        batch_size=problem.batch_size,
        truth=problem.truth,
    )
