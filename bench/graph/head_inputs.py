"""Projections of a layer's heads where each head, or each of its q, k and v, reads an input of its own."""

from __future__ import annotations

import torch
from jaxtyping import Float
from torch import Tensor

from .decoder import Decoder
from .graph import Graph

__all__ = ["folded", "queries_keys_values"]


def folded(
    decoder: Decoder, graph: Graph, layer: int
) -> tuple[Float[Tensor, "inputs d_model width"], Float[Tensor, "inputs width"]]:
    """What each input of a layer's heads is multiplied by after its normalisation, with gain and offset in it, and a bias.

    The matrices are smaller than the inputs. At the level of heads q, k and v of a head stand side by side.
    """
    weights = decoder.weights.layers[layer]
    together = 2 if graph.level == "head" else 0
    parts = [weights.q, decoder.per_query_head(weights.k), decoder.per_query_head(weights.v)]
    given = [weights.q_bias, *(b if b is None else decoder.per_query_head(b) for b in (weights.k_bias, weights.v_bias))]
    matrices = torch.cat(parts, dim=together)
    biases = [w.new_zeros(len(w), w.shape[-1]) if b is None else b for w, b in zip(parts, given, strict=True)]
    bias = torch.cat(biases, dim=together // 2)
    norm = weights.attention_norm
    if norm.offset is not None:
        bias = bias + norm.offset @ matrices
    return matrices if norm.gain is None else matrices * norm.gain[:, None], bias


def queries_keys_values(
    values: Float[Tensor, "inputs place width"], graph: Graph, x: Float[Tensor, "batch position d_model"]
) -> tuple[Tensor, Tensor, Tensor]:
    """q, k and v of every query head, [batch, position, heads, d_head] each, of projected inputs shaped like `x`."""
    batch, position, _ = x.shape
    if graph.level == "head":
        parts = values.view(graph.n_heads, batch, position, 3, -1).unbind(3)
    else:
        parts = values.view(3, graph.n_heads, batch, position, -1).unbind(0)
    q, k, v = (part.permute(1, 2, 0, 3) for part in parts)
    return q, k, v
