"""One pass in which every edge carries a mixture of its source's current and ablated output, differentiable in the mixture.

    o_ij = w_ij a_i + (1 - w_ij) abar_i          the input of j is the sum of o_ij over all i that it sees

a_i is what source i computes in this very pass, abar_i what it carries when ablated. With w = 1 everywhere it is the model, with
w = 0 everywhere the ablated run; a boolean w is a circuit (`patched_run.py` does those faster). Li, Davies, Nadeau 2023, eq. 3.
"""

from __future__ import annotations

import torch
from jaxtyping import Float
from torch import Tensor

from mechboard.graph.cost import count
from mechboard.graph.decoder import Decoder
from mechboard.graph.graph import Graph
from mechboard.graph.layers import apply_gain

__all__ = ["run_masked"]


def run_masked(
    decoder: Decoder,
    graph: Graph,
    x: Float[Tensor, "batch position d_model"],
    kept: Float[Tensor, "sources destinations"],
    ablated: Float[Tensor, "sources *rows d_model"],
) -> Float[Tensor, "batch position d_model"]:
    """Residual stream that `logits` reads, differentiable in `kept`, in `x` and in the decoder's weights.

    Args:
        decoder: the model.
        graph: its graph, at the level of heads or of their q, k and v inputs.
        x: value of the `input` node.
        kept: dense edge set of `graph`, from 0 (ablated) to 1; cells that are no edges are ignored.
        ablated: what each source carries when ablated, on each prompt and position or on all (rows are 1 x 1).
    """
    count(forward=x.shape[0])
    kept = kept * graph.valid.to(kept)
    sources = [x]

    def read(destinations: slice, visible: int) -> Float[Tensor, "destinations batch position d_model"]:
        changes = torch.stack(sources[:visible]) - ablated[:visible]
        moved = torch.einsum("sd,sbpm->dbpm", kept[:visible, destinations], changes)
        return moved + ablated[:visible].sum(0)

    config = decoder.config
    for layer in range(graph.n_layers):
        weights = decoder.weights.layers[layer]
        inputs = read(graph.attention_destinations(layer), graph.visible_to_attention(layer))
        unit = apply_gain(decoder.norm(inputs).unit, weights.attention_norm)
        parts = unit.view(-1, config.n_heads, *x.shape)  # [3 or 1, heads, batch, position, d_model]
        q, k, v = (
            _project(parts[min(i, len(parts) - 1)], w, b)
            for i, (w, b) in enumerate(((weights.q, weights.q_bias), *_per_query_head(decoder, layer)))
        )
        z = decoder.attend(q, k, v)
        written = torch.einsum("bphe,hem->hbpm", z, weights.o)
        if weights.o_bias is not None:
            written = written + weights.o_bias / config.n_heads
        if graph.has_mlp:
            before = len(sources)
            sources += list(written)
            visible = before if graph.parallel else len(sources)
            column = graph.mlp_destination(layer)
            sources.append(decoder.mlp(layer, read(slice(column, column + 1), visible)[0]))
        else:
            sources += list(written)
    return read(slice(graph.n_destinations - 1, None), graph.n_sources)[0]


def _per_query_head(decoder: Decoder, layer: int) -> tuple[tuple[Tensor, Tensor | None], ...]:
    weights = decoder.weights.layers[layer]
    pairs = ((weights.k, weights.k_bias), (weights.v, weights.v_bias))
    return tuple((decoder.per_query_head(w), None if b is None else decoder.per_query_head(b)) for w, b in pairs)


def _project(
    unit: Float[Tensor, "heads batch position d_model"],
    matrices: Float[Tensor, "heads d_model d_head"],
    bias: Float[Tensor, "heads d_head"] | None,
) -> Float[Tensor, "batch position heads d_head"]:
    values = torch.einsum("hbpm,hme->bphe", unit, matrices)
    return values if bias is None else values + bias
