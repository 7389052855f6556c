"""From the final residual stream to the metric: its value, and its gradient."""

from __future__ import annotations

import torch
from jaxtyping import Float
from torch import Tensor

from mechboard.graph.decoder import Decoder
from mechboard.graph.pairs import Metric, PromptPairs

__all__ = ["metric_gradient", "metric_values"]


@torch.no_grad()
def metric_values(
    decoder: Decoder, final: Float[Tensor, "prompts position d_model"], metric: Metric, pairs: PromptPairs
) -> Float[Tensor, " prompts"]:
    """The metric of each prompt. Only the positions that it reads are unembedded.

    Args:
        decoder: the model.
        final: residual stream after the last layer.
        metric: what is measured on the logits.
        pairs: the prompts that `final` is of, with the metric's positions and targets.

    Example:
        >>> from mechboard.ground_truth.mini import model
        >>> decoder, tokens = model.load(), torch.tensor([[0, 7, 3], [0, 5, 9]])
        >>> pairs = PromptPairs(tokens, tokens, torch.tensor([3, 3]), torch.tensor([[2], [2]]), {})
        >>> final = decoder.resume(decoder.embed(tokens))
        >>> values = metric_values(decoder, final, lambda logits, pairs: logits[:, 0].amax(1), pairs)
        >>> torch.allclose(values, decoder(tokens)[:, 2].amax(1))
        True
    """
    return metric(decoder.unembed(pairs.read(final)), pairs)


def metric_gradient(
    decoder: Decoder, final: Float[Tensor, "prompts position d_model"], metric: Metric, pairs: PromptPairs
) -> Float[Tensor, "prompts position d_model"]:
    """Gradient of the *sum* of the prompts' metrics at the final residual stream.

    Args:
        decoder: the model.
        final: residual stream after the last layer.
        metric: what is measured on the logits.
        pairs: the prompts that `final` is of, with the metric's positions and targets.

    Example:
        >>> from mechboard.ground_truth.mini import model
        >>> decoder, tokens = model.load(), torch.tensor([[0, 7, 3]])
        >>> pairs = PromptPairs(tokens, tokens, torch.tensor([3]), torch.tensor([[2]]), {})
        >>> final = decoder.resume(decoder.embed(tokens))
        >>> gradient = metric_gradient(decoder, final, lambda logits, pairs: logits[:, 0, 0], pairs)
        >>> gradient[0].any(dim=-1)  # a position that is not read has no influence from here on
        tensor([False, False,  True])
    """
    at_read = pairs.read(final).detach().requires_grad_()  # [prompts, read, d_model]
    with torch.enable_grad():
        total = metric(decoder.unembed(at_read), pairs).sum()
        (gradient,) = torch.autograd.grad(total, at_read)
    index = pairs.positions[:, :, None].expand_as(gradient)
    # Adds, because a position can be read twice.
    return torch.zeros_like(final).scatter_add_(1, index, gradient)
