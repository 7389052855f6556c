"""The last layer where a metric reads it, and the metric of many runs at once.

__all__ = ["measure_each", "resume_to", "take"]

Queries are made at the positions that are read, keys and values at all of them, so that the product with W_K and W_V
is what remains of a layer.
"""

from __future__ import annotations

import torch
from jaxtyping import Float, Int
from torch import Tensor

from .cost import count
from .decoder import Decoder
from .layers import by_prompt
from .pairs import Metric, PromptPairs

_LOGITS_AT_ONCE = 1 << 24


def take(
    x: Float[Tensor, "*lead batch position width"], positions: Int[Tensor, "batch read"]
) -> Float[Tensor, "*lead batch read width"]:
    """Rows of `x` at each prompt's positions."""
    rows, columns = by_prompt(positions)
    return x[..., rows, columns, :]


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
    last = decoder.config.n_layers - 1
    for index in range(layer, last):
        x = decoder.after_heads(index, x, decoder.attention(index, x))
    at_read = take(x, positions)
    if layer > last:
        return at_read
    return decoder.after_heads(last, at_read, _attention_at(decoder, last, x, positions))


def _attention_at(decoder: Decoder, layer: int, x: Tensor, positions: Tensor) -> Float[Tensor, "rows read d_model"]:
    unit = decoder.head_input(layer, x)
    q = decoder.project_part(layer, 0, take(unit, positions))
    k, v = (decoder.project_part(layer, part, unit) for part in (1, 2))
    return decoder.write_heads(layer, decoder.attend(q, k, v, positions))


def measure_each(
    decoder: Decoder, finals: Float[Tensor, "runs prompts read d_model"], metric: Metric, pairs: PromptPairs
) -> Float[Tensor, "runs prompts"]:
    """The metric of each run on each prompt, from final residual streams at the positions that it reads."""
    per_run = finals[0, ..., 0].numel() * decoder.config.d_vocab_out
    parts = torch.split(finals, max(1, _LOGITS_AT_ONCE // per_run))
    return torch.stack([metric(logits, pairs) for part in parts for logits in decoder.unembed(part)])
