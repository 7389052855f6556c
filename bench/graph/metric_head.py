"""From the final residual stream to the metric: its value, and its gradient."""

from __future__ import annotations

import torch
from jaxtyping import Float
from torch import Tensor

from mechboard.graph.decoder import Decoder
from mechboard.graph.pairs import Metric, PromptPairs


@torch.no_grad()
def metric_values(
    decoder: Decoder, final: Float[Tensor, "prompts position d_model"], metric: Metric, pairs: PromptPairs
) -> Float[Tensor, " prompts"]:
    """The metric of each prompt. Only the positions that it reads are unembedded."""
    return metric(decoder.unembed(pairs.read(final)), pairs)


def metric_gradient(
    decoder: Decoder, final: Float[Tensor, "prompts position d_model"], metric: Metric, pairs: PromptPairs
) -> Float[Tensor, "prompts position d_model"]:
    """Gradient of the *sum* of the prompts' metrics at the final residual stream."""
    at_read = pairs.read(final).detach().requires_grad_()
    with torch.enable_grad():
        total = metric(decoder.unembed(at_read), pairs).sum()
        (gradient,) = torch.autograd.grad(total, at_read)
    index = pairs.positions[:, :, None].expand_as(gradient)
    return torch.zeros_like(final).scatter_add_(1, index, gradient)
