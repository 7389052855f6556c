"""One pass in which any set of edges carries ablated values: what a circuit does when it is alone.

The input of a destination v is written in either of two ways, whichever has fewer terms:

    x_v = ablated stream + sum over kept u of change_u  =  current stream - sum over patched u of change_u
    change_u = u's current output - u's output in the ablated run

so a small circuit costs its kept edges and a nearly whole one its patched edges. A node of which no path of kept edges leads
to the logits is not computed: nobody hears of it.
"""

from __future__ import annotations

import torch
from jaxtyping import Bool, Float, Int
from torch import Tensor

from .cost import count
from .decoder import Decoder
from .graph import Graph
from .layers import apply_gain
from .trace import new_outputs

__all__ = ["run_patched"]

_Chosen = slice | Int[Tensor, " chosen"]  # an index of rows; a slice makes no copy


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
        >>> from mechboard.graph import record_outputs
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
    kept = graph.valid.to(x.device) & ~patched.to(x.device)
    run = _Run(graph, x, ablated, kept)
    for layer in range(graph.n_layers):
        heads = graph.head_sources(layer)
        before = run.input(graph.visible_to_mlp(layer), graph.mlp_destination(layer)) if graph.parallel else None
        live = _chosen(run.needed[heads])
        if live is not None:
            columns = kept[:, graph.attention_destinations(layer)].reshape(len(kept), 3, -1)[:, :, live].flatten(1)
            inputs, which = run.inputs(graph.visible_to_attention(layer), columns)
            z = decoder.attend(*_project(decoder, layer, inputs, which, live))
            run.write(heads, live, _head_changes(decoder, layer, z, live, ablated[heads][live]))
        run.pass_by(heads)
        if graph.has_mlp:
            row = graph.mlp_source(layer)
            if run.needed[row]:
                read = (
                    run.input(graph.visible_to_mlp(layer), graph.mlp_destination(layer)) if before is None else before
                )
                run.write(slice(row, row + 1), slice(None), (decoder.mlp(layer, read) - ablated[row])[None])
            run.pass_by(slice(row, row + 1))
    return run.input(graph.n_sources, graph.n_destinations - 1)


class _Run:
    """What a pass knows behind the nodes that it has passed by: changes of the needed ones, and two residual streams."""

    def __init__(
        self, graph: Graph, x: Tensor, ablated: Tensor, kept: Bool[Tensor, "sources qkv_destinations"]
    ) -> None:
        self._graph, self._ablated, self._kept = graph, ablated, kept
        self.needed = _needed(graph, kept)
        self._change = new_outputs(graph, x)
        self._change[~self.needed] = 0
        self._ablated_stream = torch.zeros_like(x)
        self._current_stream = torch.zeros_like(x)  # with ablated outputs where a source is not needed
        if self.needed[0]:
            self.write(slice(0, 1), slice(None), (x - ablated[0])[None])
        self.pass_by(slice(0, 1))

    def write(self, rows: slice, live: _Chosen, changes: Float[Tensor, "live batch position d_model"]) -> None:
        """Changes of the sources in `rows` that are chosen."""
        self._change[rows][live] = changes
        self._current_stream = self._current_stream + changes.sum(0)

    def pass_by(self, rows: slice) -> None:
        """Go on behind these sources."""
        outputs = self._ablated[rows].sum(0)
        self._ablated_stream = self._ablated_stream + outputs
        self._current_stream = self._current_stream + outputs

    def input(self, visible: int, column: int) -> Float[Tensor, "batch position d_model"]:
        """What one destination reads."""
        return self.inputs(visible, self._kept[:, column : column + 1])[0][0]

    def inputs(
        self, visible: int, kept: Bool[Tensor, "sources destinations"]
    ) -> tuple[Float[Tensor, "distinct batch position d_model"], Int[Tensor, " destinations"] | slice]:
        """The distinct inputs of a block of destinations, and which of them each destination reads."""
        kept = kept[:visible]
        distinct, which = torch.unique(kept, dim=1, return_inverse=True)
        if distinct.shape[1] == kept.shape[1]:
            which = slice(None)  # each has its own
        else:
            kept = distinct
        patched = self.needed[:visible, None] & ~kept
        by_kept, by_patched = (_chosen(edges.any(1)) for edges in (kept, patched))
        few_kept = _length(by_kept, visible) < _length(by_patched, visible)
        stream, sign = (self._ablated_stream, 1) if few_kept else (self._current_stream, -1)
        edges, rows = (kept, by_kept) if few_kept else (patched, by_patched)
        if rows is None:
            return stream[None], which
        if _length(rows, visible) > visible // 2:
            rows = slice(None)  # a copy of most rows costs more than to multiply the others by zero
        changes = self._change[:visible][rows].flatten(1)
        moved = torch.addmm(stream.reshape(1, -1), edges[rows].T.to(stream.dtype), changes, alpha=sign)
        return moved.view(-1, *stream.shape), which


def _chosen(rows: Bool[Tensor, " n"]) -> _Chosen | None:
    """An index of the rows that are set: a slice, which copies nothing, if all are, and None if none is."""
    index = rows.nonzero().squeeze(1)
    if not len(index):
        return None
    return slice(None) if len(index) == len(rows) else index


def _length(chosen: _Chosen | None, of: int) -> int:
    if chosen is None:
        return 0
    return of if isinstance(chosen, slice) else len(chosen)


def _needed(graph: Graph, kept: Bool[Tensor, "sources qkv_destinations"]) -> Bool[Tensor, " sources"]:
    """Sources from which a path of kept edges leads to the logits."""
    needed = kept[:, -1].clone()
    for layer in reversed(range(graph.n_layers)):
        if graph.has_mlp and needed[graph.mlp_source(layer)]:
            needed |= kept[:, graph.mlp_destination(layer)]
        columns = kept[:, graph.attention_destinations(layer)].reshape(len(kept), 3, -1)  # [sources, 3, heads]
        needed |= (columns & needed[graph.head_sources(layer)]).flatten(1).any(1)
    return needed


def _project(
    decoder: Decoder,
    layer: int,
    inputs: Float[Tensor, "distinct batch position d_model"],
    which: Int[Tensor, " destinations"] | slice,
    live: _Chosen,
) -> tuple[Tensor, Tensor, Tensor]:
    """q, k and v of the heads in `live`, [batch, position, live, d_head] each.

    The gain goes into the matrices, which are smaller than the inputs; what the offset gives is the projection of zeros.
    """
    weights = decoder.weights.layers[layer]
    unit = decoder.norm(inputs).unit
    if len(unit) == 1:
        shared = decoder.project(layer, apply_gain(unit[0], weights.attention_norm))
        q, k, v = (t[:, :, live] for t in shared)
        return q, k, v
    matrices = torch.cat([w[live] for w in (weights.q, *map(decoder.per_query_head, (weights.k, weights.v)))])
    if weights.attention_norm.gain is not None:
        matrices *= weights.attention_norm.gain[:, None]
    nothing = apply_gain(torch.zeros_like(unit[0, :1, :1]), weights.attention_norm)
    at_zero = torch.cat([t[0, 0, live] for t in decoder.project(layer, nothing)])  # [3 x live, d_head]
    y = torch.baddbmm(at_zero[:, None], unit.flatten(1, 2)[which], matrices)  # [3 x live, batch x position, d_head]
    q, k, v = y.view(3, -1, *unit.shape[1:3], y.shape[-1]).permute(0, 2, 3, 1, 4)
    return q, k, v


def _head_changes(
    decoder: Decoder,
    layer: int,
    z: Float[Tensor, "batch position live d_head"],
    live: _Chosen,
    ablated: Float[Tensor, "live batch position d_model"],
) -> Float[Tensor, "live batch position d_model"]:
    """z_h W_O[h] + b_O / heads, less the ablated output."""
    weights = decoder.weights.layers[layer]
    by_head = z.permute(2, 0, 1, 3).reshape(z.shape[2], -1, z.shape[-1])
    changes = torch.baddbmm(ablated.flatten(1, 2), by_head, weights.o[live], beta=-1)
    if weights.o_bias is not None:
        changes += weights.o_bias / decoder.config.n_heads
    return changes.view_as(ablated)
