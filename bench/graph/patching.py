"""Exact patched runs: a forward pass in which chosen edges carry their ablated value.

A patched edge carries the source's output from the *pure* ablated run; an edge that is kept carries
the source's current output, which earlier patches may have changed. So the input of destination v is

    x_v = x + sum over patched u of (ablated_u - current_u)

where x is the current residual stream. `run_patched` does this for any set of edges in one pass;
`patch_each_edge` patches every edge alone, recomputing only what lies behind it.
"""

from __future__ import annotations

from collections.abc import Iterator
from typing import NamedTuple

import torch
from jaxtyping import Bool, Float, Int
from torch import Tensor

from mechboard.graph.cost import count
from mechboard.graph.decoder import Decoder
from mechboard.graph.graph import Graph
from mechboard.graph.layers import apply_gain
from mechboard.graph.trace import new_outputs, record_outputs

__all__ = ["patch_each_edge", "run_patched"]


@torch.no_grad()
def run_patched(
    decoder: Decoder,
    x: Float[Tensor, "batch position d_model"],
    ablated: Float[Tensor, "sources batch position d_model"],
    patched: Bool[Tensor, "sources qkv_destinations"],
) -> Float[Tensor, "batch position d_model"]:
    """Residual stream that `logits` reads, when the patched edges carry ablated values. Cost: one forward.

    Args:
        decoder: the model.
        x: value of the `input` node in the clean run.
        ablated: every source's output in the ablated run.
        patched: dense edge set at the q/k/v level (`graph.to_qkv(graph.dense(edges))`); cells that are
            no edges are ignored.

    Example:
        >>> from mechboard.ground_truth.mini import model
        >>> decoder = model.load()
        >>> clean, corrupt = (decoder.embed(torch.tensor([[0, word, 3]])) for word in (7, 8))
        >>> ablated, every_edge = record_outputs(decoder, corrupt), decoder.graph.valid
        >>> torch.allclose(run_patched(decoder, clean, ablated, ~every_edge), decoder.resume(clean), atol=1e-4)
        True
        >>> torch.allclose(run_patched(decoder, clean, ablated, every_edge), decoder.resume(corrupt), atol=1e-4)
        True
    """
    count(forward=x.shape[0])
    graph = decoder.graph
    patched = (patched & graph.valid.to(patched.device)).to(x.device)
    change = new_outputs(graph, x)  # ablated - current output, row by row as the run goes
    torch.sub(ablated[0], x, out=change[0])
    for index, weights in enumerate(decoder.weights.layers):
        columns, visible = graph.attention_destinations(index), graph.visible_to_attention(index)
        inputs = _inputs(x, change[:visible], patched[:visible, columns])
        z = decoder.attend(*_project_separately(decoder, index, inputs))
        per_head = torch.einsum("bshe,hed->hbsd", z, weights.o)  # [heads, batch, position, d_model]
        if weights.o_bias is not None:
            per_head += weights.o_bias / decoder.config.n_heads
        heads = graph.head_sources(index)
        torch.sub(ablated[heads], per_head, out=change[heads])
        mid = x + per_head.sum(0)
        if decoder.config.has_mlp:
            column, visible = graph.mlp_destination(index), graph.visible_to_mlp(index)
            base = x if decoder.config.parallel else mid
            read, _ = _inputs(base, change[:visible], patched[:visible, column : column + 1])
            written = decoder.mlp(index, read[0])
            row = graph.mlp_source(index)
            torch.sub(ablated[row], written, out=change[row])
            mid = mid + written
        x = mid
    return _inputs(x, change, patched[:, -1:])[0][0]


def _inputs(
    x: Tensor, change: Float[Tensor, "visible batch position d_model"], patched: Bool[Tensor, "visible destinations"]
) -> tuple[Float[Tensor, "distinct batch position d_model"], Int[Tensor, " destinations"]]:
    """The distinct inputs of a block of destinations, and which of them each destination reads."""
    distinct, which = torch.unique(patched.T, dim=0, return_inverse=True)  # [distinct, visible], [destinations]
    used = distinct.any(0)
    if not bool(used.any()):
        return x[None], which
    if bool(used.all()):
        moved = distinct.to(x.dtype) @ change.flatten(1)
    else:
        # A circuit near the whole graph patches few sources; the others' changes need not be multiplied by zero.
        rows = used.nonzero().squeeze(1)
        moved = distinct[:, rows].to(x.dtype) @ change[rows].flatten(1)
    return moved.view(-1, *x.shape).add_(x), which


def _project_separately(decoder: Decoder, layer: int, inputs: tuple[Tensor, Tensor]) -> tuple[Tensor, Tensor, Tensor]:
    """q, k, v of all heads when each of the 3 x heads inputs may read another residual stream."""
    distinct, which = inputs
    weights = decoder.weights.layers[layer]
    unit = apply_gain(decoder.norm(distinct).unit, weights.attention_norm)
    if len(unit) == 1:
        return decoder.project(layer, unit[0])
    _, batch, position, d_model = unit.shape
    # [3 x heads, d_model, d_head]
    matrices = torch.cat([weights.q, decoder.per_query_head(weights.k), decoder.per_query_head(weights.v)])
    y = torch.bmm(unit.view(len(unit), -1, d_model)[which], matrices)  # [3 x heads, batch x position, d_head]
    parts = y.view(3, decoder.config.n_heads, -1, decoder.config.d_head)
    if weights.q_bias is not None:
        parts[0] += weights.q_bias[:, None]
    for part, bias in zip(parts[1:], (weights.k_bias, weights.v_bias), strict=True):
        if bias is not None:
            part += decoder.per_query_head(bias)[:, None]
    q, k, v = y.view(-1, batch, position, decoder.config.d_head).permute(1, 2, 0, 3).chunk(3, dim=2)
    return q, k, v


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
