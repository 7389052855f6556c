"""The last layer where a metric reads it, and the metric of many runs at once.

__all__ = ["attend_at", "measure_each", "resume_to", "take"]

Queries are made at the positions that are read, keys and values at all of them, so that the product with W_K and W_V
is what remains of a layer.
"""

from __future__ import annotations

import torch
import torch.nn.functional as F
from jaxtyping import Float, Int
from torch import Tensor

from .cost import count
from .decoder import Decoder
from .layers import apply_gain, rotate
from .pairs import Metric, PromptPairs

_LOGITS_AT_ONCE = 1 << 24


def take(
    x: Float[Tensor, "*lead batch position width"], positions: Int[Tensor, "batch read"]
) -> Float[Tensor, "*lead batch read width"]:
    """Rows of `x` at each prompt's positions."""
    return x[..., torch.arange(len(positions), device=positions.device)[:, None], positions, :]


def attend_at(
    decoder: Decoder,
    q: Float[Tensor, "rows read heads d_head"],
    k: Float[Tensor, "rows position heads d_head"],
    v: Float[Tensor, "rows position heads d_head"],
    positions: Int[Tensor, "rows read"],
) -> Float[Tensor, "rows read heads d_head"]:
    """Causal attention of queries that stand at `positions`."""
    frequencies = decoder.weights.rotary_frequencies
    if frequencies is not None:
        q, k = rotate(q, frequencies, positions), rotate(k, frequencies)
    seen = torch.arange(k.shape[1], device=k.device) <= positions[:, None, :, None]  # [rows, 1, read, position]
    q, k, v = (t.transpose(1, 2) for t in (q, k, v))
    z = F.scaled_dot_product_attention(q, k, v, attn_mask=seen, scale=decoder.config.attention_scale)
    return z.transpose(1, 2)


def resume_to(
    decoder: Decoder, x: Float[Tensor, "rows position d_model"], layer: int, positions: Int[Tensor, "rows read"]
) -> Float[Tensor, "rows read d_model"]:
    """Final residual stream at `positions`, from the stream that enters `layer`. Cost: one forward.

    Args:
        decoder: the model.
        x: the residual stream.
        layer: which layer it enters; behind the last one nothing is left to do but to read.
        positions: where the final stream is wanted; the last layer is computed there alone.
    """
    count(forward=x.shape[0])
    last, config = decoder.config.n_layers - 1, decoder.config
    for index in range(layer, last):
        mid = x + decoder.attention(index, x)
        if config.has_mlp:
            mid = mid + decoder.mlp(index, x if config.parallel else mid)
        x = mid
    at_read = take(x, positions)
    if layer > last:
        return at_read
    mid = at_read + _attention_at(decoder, last, x, positions)
    if config.has_mlp:
        mid = mid + decoder.mlp(last, at_read if config.parallel else mid)
    return mid


def _attention_at(decoder: Decoder, layer: int, x: Tensor, positions: Tensor) -> Float[Tensor, "rows read d_model"]:
    unit = apply_gain(decoder.norm(x).unit, decoder.weights.layers[layer].attention_norm)
    q = decoder.project_part(layer, 0, take(unit, positions))
    k, v = (decoder.project_part(layer, part, unit) for part in (1, 2))
    return decoder.write_heads(layer, attend_at(decoder, q, k, v, positions))


def measure_each(
    decoder: Decoder, finals: Float[Tensor, "runs prompts read d_model"], metric: Metric, pairs: PromptPairs
) -> Float[Tensor, "runs prompts"]:
    """The metric of each run on each prompt, from final residual streams at the positions that it reads."""
    per_run = finals[0, ..., 0].numel() * decoder.config.d_vocab_out
    parts = finals.split(max(1, _LOGITS_AT_ONCE // per_run))
    return torch.stack([metric(logits, pairs) for part in parts for logits in decoder.unembed(part)])
