"""Every edge patched alone, recomputing only what lies behind it; `patched_run.py` has sets of edges in one pass.

A patched edge carries the source's output from the *pure* ablated run; an edge that is kept carries
the source's current output, which earlier patches may have changed.
"""

from __future__ import annotations

from collections.abc import Iterator
from typing import NamedTuple

import torch
from jaxtyping import Float
from torch import Tensor

from .decoder import Decoder
from .graph import Graph
from .layers import apply_gain
from .trace import record_outputs

__all__ = ["patch_each_edge"]


@torch.no_grad()
def patch_each_edge(
    decoder: Decoder,
    x: Float[Tensor, "batch position d_model"],
    ablated: Float[Tensor, "sources batch position d_model"],
    *,
    graph: Graph | None = None,
    max_rows: int = 2048,
) -> Iterator[tuple[int, slice, Float[Tensor, "edges batch position d_model"]]]:
    """Patch every edge alone; yields (destination, source rows, final streams).

    Only the destination is recomputed, then the pass resumes behind it; an edge that does not move
    its destination's output at all yields the clean final stream without a pass.
    Cost: at most one forward per edge.

    Args:
        decoder: the model.
        x: value of the `input` node in the clean run.
        ablated: every source's output in the ablated run.
        graph: whose edges; the decoder's own, at the q/k/v level, unless given.
        max_rows: prompts x edges in one pass, which bounds memory and changes no value. The default fills the matrix
            products of a small model.

    Example:
        >>> from mechboard.ground_truth.mini import model
        >>> decoder = model.load()
        >>> clean, corrupt = (decoder.embed(torch.tensor([[0, word, 3]])) for word in (7, 8))
        >>> patched = patch_each_edge(decoder, clean, record_outputs(decoder, corrupt))
        >>> destination, sources, finals = next(patched)
        >>> [f"{s}->{decoder.graph.destinations[destination]}" for s in decoder.graph.sources[sources]]
        ['input->a0.h0<q>']
        >>> finals.shape == (1, *clean.shape)
        True
    """
    graph = decoder.graph if graph is None else graph
    clean = _CleanRun.of(decoder, x)
    outputs = clean.outputs
    change = ablated - outputs  # [sources, batch, position, d_model]
    chunk = max(1, max_rows // x.shape[0])
    for index, stream in enumerate(clean.streams):
        mid = stream + outputs[graph.head_sources(index)].sum(0)
        qkv = decoder.project(index, _unit(decoder, index, stream))
        for offset, column in enumerate(range(*graph.attention_destinations(index).indices(graph.n_destinations))):
            part, head = divmod(offset, decoder.config.n_heads)
            parts = (part,) if graph.level == "qkv" else (0, 1, 2)
            for rows in _chunks(graph.visible_to_attention(index), chunk):
                moved = _head_change(decoder, index, parts, head, stream, change[rows], qkv)
                yield column, rows, _resume_moved(decoder, index, clean, mid, moved, after_mlp=False)
        if decoder.config.has_mlp:
            column = graph.mlp_destination(index)
            base = stream if decoder.config.parallel else mid
            written = outputs[graph.mlp_source(index)]
            for rows in _chunks(graph.visible_to_mlp(index), chunk):
                moved = decoder.mlp(index, base + change[rows]) - written
                yield column, rows, _resume_moved(decoder, index, clean, mid + written, moved, after_mlp=True)
    for rows in _chunks(graph.n_sources, chunk):
        yield graph.n_destinations - 1, rows, clean.final + change[rows]


class _CleanRun(NamedTuple):
    """Outputs of a clean run, and the residual stream that enters each layer."""

    outputs: Float[Tensor, "sources batch position d_model"]
    streams: list[Float[Tensor, "batch position d_model"]]
    final: Float[Tensor, "batch position d_model"]

    @classmethod
    def of(cls, decoder: Decoder, x: Tensor) -> _CleanRun:
        outputs = record_outputs(decoder, x)
        streams = [
            outputs[: decoder.graph.visible_to_attention(layer)].sum(0) for layer in range(decoder.config.n_layers)
        ]
        return cls(outputs, streams, outputs.sum(0))


def _chunks(total: int, size: int) -> Iterator[slice]:
    for start in range(0, total, size):
        yield slice(start, min(start + size, total))


def _unit(decoder: Decoder, layer: int, x: Tensor) -> Tensor:
    return apply_gain(decoder.norm(x).unit, decoder.weights.layers[layer].attention_norm)


def _head_change(
    decoder: Decoder,
    layer: int,
    parts: tuple[int, ...],
    head: int,
    stream: Tensor,
    change: Tensor,
    qkv: tuple[Tensor, ...],
) -> Float[Tensor, "edges batch position d_model"]:
    """Change of one head's output when its q (0), k (1) and v (2) inputs in `parts` move by each of `change`."""
    weights = decoder.weights.layers[layer]
    edges = change.shape[0]
    unit = _unit(decoder, layer, stream + change).flatten(0, 1)  # [edges x batch, position, d_model]
    group = decoder.config.n_heads // decoder.config.n_kv_heads
    projections = (
        (weights.q[head], weights.q_bias, head),
        (weights.k[head // group], weights.k_bias, head // group),
        (weights.v[head // group], weights.v_bias, head // group),
    )
    clean = [t[:, :, head : head + 1] for t in qkv]  # [batch, position, 1, d_head] each
    many = [t.repeat(edges, 1, 1, 1) for t in clean]  # [edges x batch, position, 1, d_head] each
    for part in parts:
        matrix, bias, row = projections[part]
        many[part] = (unit @ matrix + (0 if bias is None else bias[row]))[:, :, None]
    z: Tensor = decoder.attend(*many)[:, :, 0].view(edges, *stream.shape[:2], -1) - decoder.attend(*clean)[:, :, 0]
    return z @ weights.o[head]


def _resume_moved(
    decoder: Decoder,
    layer: int,
    clean: _CleanRun,
    mid: Tensor,
    moved: Float[Tensor, "edges batch position d_model"],
    *,
    after_mlp: bool,
) -> Float[Tensor, "edges batch position d_model"]:
    """Final streams when the stream inside `layer` is `mid + moved`; edges that move nothing cost nothing."""
    alive = moved.flatten(1).any(1)  # [edges]
    finals = clean.final.expand_as(moved).clone()
    if not bool(alive.any()):
        return finals
    x = (mid + moved[alive]).flatten(0, 1)  # [alive edges x batch, position, d_model]
    if not after_mlp and decoder.config.has_mlp:
        base = clean.streams[layer].repeat(int(alive.sum()), 1, 1) if decoder.config.parallel else x
        x = x + decoder.mlp(layer, base)
    finals[alive] = decoder.resume(x, layer + 1).view(-1, *mid.shape)
    return finals
