"""Cross-entropy of tokens from residual vectors, without logits of all of them at once.

    loss_i = logsumexp(x_i U + b) - (x_i U + b)[token_i]          d loss_i / d x_i = (softmax - onehot) U^T

A vocabulary is long: for 500 tokens of GPT-2 logits, their logarithmic softmax and the gradients of both are 100 MB each. Here a
part of the tokens is unembedded at a time, and its gradient is taken at once, so that each product is done once.
Where the unembedding itself is trained, all logits are needed again and autograd does it.
"""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import torch
from jaxtyping import Float, Int
from torch import Tensor
from torch.autograd.function import once_differentiable

from .decoder import Decoder
from .layers import apply_gain

__all__ = ["token_losses"]

_LOGITS_AT_ONCE = 2**23
"""Few enough to stay out of the way of everything else, and enough tokens for a matrix product at full speed."""


def token_losses(
    decoder: Decoder, final: Float[Tensor, "places d_model"], tokens: Int[Tensor, " places"]
) -> Float[Tensor, " places"]:
    """Cross-entropy of each token, in nats, given the residual vector in front of it; differentiable in `final` and weights.

    Example:
        >>> from mechboard.ground_truth.mini import model
        >>> decoder = model.load()
        >>> final = torch.ones(2, decoder.config.d_model)
        >>> losses = token_losses(decoder, final, torch.tensor([3, 5]))
        >>> torch.allclose(losses, -decoder.unembed(final).log_softmax(-1)[[0, 1], [3, 5]], atol=1e-5)
        True
    """
    weights = decoder.weights
    unembedding = (weights.unembed, weights.unembed_bias)
    if torch.is_grad_enabled() and any(w is not None and w.requires_grad for w in unembedding):
        return torch.nn.functional.cross_entropy(decoder.unembed(final), tokens, reduction="none")
    unit = apply_gain(decoder.norm(final).unit, weights.final_norm)
    return _losses(unit, *unembedding, tokens)


class _TokenLosses(torch.autograd.Function):
    @staticmethod
    def forward(ctx: Any, unit: Tensor, unembed: Tensor, bias: Tensor | None, tokens: Tensor) -> Tensor:
        losses = unit.new_empty(len(unit))
        gradients = torch.empty_like(unit) if ctx.needs_input_grad[0] else None
        at_once = max(1, _LOGITS_AT_ONCE // unembed.shape[1])
        for start in range(0, len(unit), at_once):
            part = slice(start, start + at_once)
            logits = unit[part] @ unembed
            if bias is not None:
                logits += bias
            chosen = tokens[part, None]
            top = logits.amax(-1, keepdim=True)
            answer = logits.gather(-1, chosen) - top
            total = logits.sub_(top).exp_().sum(-1, keepdim=True)
            losses[part] = (total.log() - answer).squeeze(-1)
            if gradients is not None:
                softmax = logits.div_(total)
                softmax.scatter_add_(-1, chosen, -torch.ones_like(answer))
                gradients[part] = softmax @ unembed.T
        if gradients is not None:
            ctx.save_for_backward(gradients)
        return losses

    @staticmethod
    @once_differentiable
    def backward(ctx: Any, at_losses: Tensor) -> tuple[Tensor | None, ...]:
        (gradients,) = ctx.saved_tensors
        return gradients * at_losses[:, None], None, None, None


_losses: Callable[[Tensor, Tensor, Tensor | None, Tensor], Tensor] = _TokenLosses.apply
