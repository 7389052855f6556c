"""The arithmetic of one block, as pure functions of tensors: normalise, attend, activate.

__all__ = ["Normalised", "activate", "apply_gain", "attend", "by_prompt", "normalise", "normalise_backward", "rotate"]

Shapes: `x` is [batch, position, d_model]; per-head tensors are [batch, position, head, d_head].
"""

from __future__ import annotations

from typing import NamedTuple

import torch
import torch.nn.functional as F
from jaxtyping import Float, Int
from torch import Tensor

from .config import Activation, DecoderConfig, Norm
from .weights import NormWeights


def by_prompt(positions: Int[Tensor, "batch read"]) -> tuple[Int[Tensor, "batch 1"], Int[Tensor, "batch read"]]:
    """Index of each prompt's own positions in a tensor [batch, position, ...]."""
    return torch.arange(len(positions), device=positions.device)[:, None], positions


class Normalised(NamedTuple):
    """Output of a normalisation before its gain: `unit`, and what its backward needs."""

    unit: Float[Tensor, "*rows d_model"]
    inverse_scale: Float[Tensor, "*rows 1"] | None

    def at(self, positions: Int[Tensor, "batch read"] | None) -> Normalised:
        """The same at each prompt's own positions, if any are given."""
        if positions is None:
            return self
        at = by_prompt(positions)
        return Normalised(self.unit[at], None if self.inverse_scale is None else self.inverse_scale[at])


def normalise(x: Float[Tensor, "*rows d_model"], norm: Norm, eps: float) -> Normalised:
    """LayerNorm (`layer`), RMSNorm (`rms`) or the identity (`none`), without gain and offset."""
    if norm == "none":
        return Normalised(x, None)
    if norm == "layer":
        unit, _, inverse_scale = torch.native_layer_norm(x, x.shape[-1:], None, None, eps)
        return Normalised(unit, inverse_scale)
    inverse_scale = (x.square().mean(-1, keepdim=True) + eps).rsqrt()
    return Normalised(x * inverse_scale, inverse_scale)


def normalise_backward(
    gradient: Float[Tensor, "*rows d_model"], state: Normalised, norm: Norm
) -> Float[Tensor, "*rows d_model"]:
    """Gradient with respect to the input of `normalise`, given the gradient with respect to `unit`."""
    if state.inverse_scale is None:
        return gradient
    if norm == "layer":
        gradient = gradient - gradient.mean(-1, keepdim=True)
    along_unit = (gradient * state.unit).mean(-1, keepdim=True)
    return torch.addcmul(gradient, along_unit, state.unit, value=-1).mul_(state.inverse_scale)


def apply_gain(unit: Float[Tensor, "*rows d_model"], weights: NormWeights) -> Float[Tensor, "*rows d_model"]:
    """Gain and offset of a normalisation."""
    if weights.gain is not None:
        unit = unit * weights.gain
    if weights.offset is not None:
        unit = unit + weights.offset
    return unit


def rotate(
    x: Float[Tensor, "batch position heads d_head"],
    frequencies: Float[Tensor, " half"],
    positions: Int[Tensor, "#batch position"],
) -> Float[Tensor, "batch position heads d_head"]:
    """Rotary positions in the half-split convention of GPT-NeoX and Llama."""
    angle = positions.to(x.dtype)[:, :, None, None] * frequencies
    cos, sin = angle.cos(), angle.sin()  # [batch or 1, position, 1, half]
    half = frequencies.shape[0]
    first, second, rest = x[..., :half], x[..., half : 2 * half], x[..., 2 * half :]
    return torch.cat([first * cos - second * sin, second * cos + first * sin, rest], dim=-1)


def attend(
    q: Float[Tensor, "batch query heads d_head"],
    k: Float[Tensor, "batch position heads d_head"],
    v: Float[Tensor, "batch position heads d_head"],
    config: DecoderConfig,
    frequencies: Float[Tensor, " half"] | None,
    at: Int[Tensor, "batch query"] | None = None,
) -> Float[Tensor, "batch query heads d_head"]:
    """Causal attention of heads that each have their own q, k and v.

    Args:
        q: queries, of the last positions unless `at` says otherwise.
        k: keys of all positions, from the first on.
        v: values of all positions.
        config: scale.
        frequencies: rotary frequencies, if the model has them.
        at: position of each query.
    """
    keys = torch.arange(k.shape[1], device=k.device)
    queries = keys[None, len(keys) - q.shape[1] :] if at is None else at
    if frequencies is not None:
        q, k = rotate(q, frequencies, queries), rotate(k, frequencies, keys[None])
    # A mask of its own where there are fewer queries than keys: SDPA's `is_causal` aligns the first of both.
    square = at is None and q.shape[1] == k.shape[1]
    mask = None if square else (keys <= queries[:, :, None])[:, None]  # [batch or 1, 1, query, position]
    q, k, v = (t.transpose(1, 2) for t in (q, k, v))  # [batch, heads, position, d_head] each
    z = F.scaled_dot_product_attention(q, k, v, attn_mask=mask, is_causal=square, scale=config.attention_scale)
    return z.transpose(1, 2)


def activate(pre: Float[Tensor, "*rows d_mlp"], activation: Activation) -> Float[Tensor, "*rows d_mlp"]:
    """The MLP's non-linearity."""
    if activation == "relu":
        return F.relu(pre)
    if activation == "silu":
        return F.silu(pre)
    return F.gelu(pre, approximate="tanh" if activation == "gelu_new" else "none")
