"""Every edge patched alone, recomputing only what lies behind it; `patched_run.py` has sets of edges in one pass.

A patched edge carries the source's output from the *pure* ablated run; an edge that is kept carries
the source's current output, which earlier patches may have changed. So the input of destination v is

    x_v = x + sum over patched u of (ablated_u - current_u)

where x is the current residual stream. `patch_each_edge` yields the streams, `single_edge_drops` measures them.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator

import torch
from jaxtyping import Float, Int
from torch import Tensor

from .cost import count
from .decoder import Decoder
from .graph import Graph
from .layers import by_prompt
from .pairs import Metric, PromptPairs
from .reading import measure_each, resume_to, take
from .trace import record_outputs

__all__ = ["patch_each_edge", "single_edge_drops"]


@torch.no_grad()
def patch_each_edge(
    decoder: Decoder,
    x: Float[Tensor, "batch position d_model"],
    ablated: Float[Tensor, "sources batch position d_model"],
    read: Int[Tensor, "batch read"],
    *,
    graph: Graph | None = None,
    max_elements: int = 1 << 21,
) -> Iterator[tuple[int, slice, Float[Tensor, "edges batch read d_model"]]]:
    """Patch every edge alone; yields (destination, source rows, final streams at the positions `read`).

    Only the destination is recomputed, then the pass resumes behind it, in the last layer where it is read. An edge that
    does not move its destination's output at all yields the clean final stream without a pass.
    Cost: one forward, then at most one per edge.

    Args:
        decoder: the model.
        x: value of the `input` node in the clean run.
        ablated: every source's output in the ablated run.
        read: positions at which the final stream is wanted.
        graph: whose edges; the decoder's own, at the q/k/v level, unless given.
        max_elements: numbers of one residual stream in one pass, which bounds memory and changes no value. The default
            fills the matrix products of a small model and stays within the cache of a processor.

    Example:
        >>> from mechboard.ground_truth.mini import model
        >>> decoder = model.load()
        >>> clean, corrupt = (decoder.embed(torch.tensor([[0, word, 3]])) for word in (7, 8))
        >>> patched = patch_each_edge(decoder, clean, record_outputs(decoder, corrupt), torch.tensor([[2]]))
        >>> destination, sources, finals = next(patched)
        >>> [f"{s}->{decoder.graph.destinations[destination]}" for s in decoder.graph.sources[sources]]
        ['input->a0.h0<q>']
        >>> finals.shape == (1, 1, 1, clean.shape[2])
        True
    """
    graph = decoder.graph if graph is None else graph
    length = int(read.max()) + 1  # attention is causal: nothing behind is read
    run = _CleanRun(decoder, x[:, :length], ablated[:, :, :length], read)
    chunk = max(1, max_elements // run.streams[0].numel())
    for layer in range(decoder.config.n_layers):
        run.enter(layer)
        for offset, column in enumerate(range(*graph.attention_destinations(layer).indices(graph.n_destinations))):
            part, head = divmod(offset, decoder.config.n_heads)
            parts = (part,) if graph.level == "qkv" else (0, 1, 2)
            for rows in _chunks(graph.visible_to_attention(layer), chunk):
                yield column, rows, run.after_attention(run.head_change(parts, head, rows))
        if decoder.config.has_mlp:
            for rows in _chunks(graph.visible_to_mlp(layer), chunk):
                yield graph.mlp_destination(layer), rows, run.after_mlp(run.mlp_change(rows))
    for rows in _chunks(graph.n_sources, chunk):
        yield graph.n_destinations - 1, rows, run.final + take(run.change[rows], read)


@torch.no_grad()
def single_edge_drops(
    decoder: Decoder,
    graph: Graph,
    pairs: PromptPairs,
    ablated: Float[Tensor, "sources prompts position d_model"],
    metric: Metric,
    *,
    told: Callable[[int, int], None] = lambda destination, edges: None,
) -> Float[Tensor, "prompts edges"]:
    """Drop of each prompt's metric when each edge alone is patched. Cost: two forwards, then at most one per edge.

    Args:
        decoder: the model.
        graph: whose edges.
        pairs: the prompts.
        ablated: every source's output in the ablated run on them.
        metric: what is measured.
        told: called with a destination and a number of its edges whenever these are done.
    """
    clean = decoder.embed(pairs.clean)
    whole = resume_to(decoder, clean[:, : int(pairs.positions.max()) + 1], 0, pairs.positions)
    unpatched = measure_each(decoder, whole[None], metric, pairs)[0]
    drops = unpatched.new_zeros(graph.n_sources, graph.n_destinations, len(pairs))
    for destination, rows, finals in patch_each_edge(decoder, clean, ablated, pairs.positions, graph=graph):
        drops[rows, destination] = unpatched - measure_each(decoder, finals, metric, pairs)
        told(destination, len(finals))
    return drops[graph.edge_sources, graph.edge_destinations].T


def _chunks(total: int, size: int) -> Iterator[slice]:
    for start in range(0, total, size):
        yield slice(start, min(start + size, total))


class _CleanRun:
    """A clean run that is resumed from nodes inside it: what ablation changes, and what one layer's nodes read and wrote."""

    def __init__(self, decoder: Decoder, x: Tensor, ablated: Tensor, read: Tensor) -> None:
        graph, layers = decoder.graph, range(decoder.config.n_layers)
        outputs = record_outputs(decoder, x)
        self.decoder, self.read, self.layer = decoder, read, 0
        self.streams = [outputs[: graph.visible_to_attention(layer)].sum(0) for layer in layers]
        self._mids = [s + outputs[graph.head_sources(layer)].sum(0) for layer, s in enumerate(self.streams)]
        self._written = [outputs[graph.mlp_source(layer)].clone() for layer in layers] if graph.has_mlp else []
        self.final = take(outputs.sum(0), read)
        self.change = torch.sub(ablated, outputs, out=outputs)  # [sources, batch, position, d_model]

    def enter(self, layer: int) -> None:
        """Go to a layer: make its queries, keys and values."""
        self.layer, self._last = layer, layer == self.decoder.config.n_layers - 1
        self._qkv = self.decoder.read_heads(layer, self.streams[layer])
        q, k, v = self._qkv
        # By the same function as the moved ones: what does not move must differ by nothing, not by rounding.
        z = (
            self.decoder.attend(q[by_prompt(self.read)], k, v, self.read)
            if self._last
            else self.decoder.attend(q, k, v)
        )
        self._z = z.permute(2, 0, 1, 3)  # [heads, batch, here, d_head]

    def _here(self, x: Float[Tensor, "*lead batch position width"]) -> Tensor:
        """What is needed of this layer's rows: in the last layer those that are read."""
        return take(x, self.read) if self._last else x

    def head_change(self, parts: tuple[int, ...], head: int, rows: slice) -> Float[Tensor, "edges batch here d_model"]:
        """Change of one head's output when its q (0), k (1) and v (2) inputs in `parts` each carry an ablated source."""
        decoder, weights = self.decoder, self.decoder.weights.layers[self.layer]
        stream, change = self.streams[self.layer], self.change[rows]
        row = head // (decoder.config.n_heads // decoder.config.n_kv_heads)
        projections = ((weights.q[head], weights.q_bias, head), (weights.k[row], weights.k_bias, row),
                       (weights.v[row], weights.v_bias, row))  # fmt: skip
        alone = parts == (0,)
        x = self._here(stream) + self._here(change) if alone else stream + change
        unit = decoder.head_input(self.layer, x)
        qkv = []
        for part, clean in enumerate(self._qkv):
            if part in parts:
                matrix, bias, at = projections[part]
                read = self._here(unit) if part == 0 and not alone else unit
                y = read @ matrix if bias is None else (read @ matrix).add_(bias[at])
            else:
                mine = clean[:, :, head]
                y = (self._here(mine) if part == 0 else mine).expand(len(change), *[-1] * 3)
            qkv.append(y.flatten(0, 1)[:, :, None])  # [edges x batch, position, 1, d_head]
        z = decoder.attend(qkv[0], qkv[1], qkv[2], self.read.repeat(len(change), 1) if self._last else None)
        moved: Tensor = (z[:, :, 0].view(len(change), len(stream), -1, z.shape[-1]) - self._z[head]) @ weights.o[head]
        return moved

    def mlp_change(self, rows: slice) -> Float[Tensor, "edges batch here d_model"]:
        """Change of the MLP's output when its input carries an ablated source."""
        base = (self.streams if self.decoder.config.parallel else self._mids)[self.layer]
        moved = self.decoder.mlp(self.layer, self._here(base) + self._here(self.change[rows]))
        return moved.sub_(self._here(self._written[self.layer]))

    def after_attention(self, moved: Float[Tensor, "edges batch here d_model"]) -> Tensor:
        """Final streams at the positions read when the layer's heads add `moved` more."""
        return self._resumed(moved, with_mlp=self.decoder.config.has_mlp)

    def after_mlp(self, moved: Float[Tensor, "edges batch here d_model"]) -> Tensor:
        """Final streams at the positions read when the layer's MLP adds `moved` more."""
        return self._resumed(moved, with_mlp=False)

    def _resumed(self, moved: Tensor, *, with_mlp: bool) -> Float[Tensor, "edges batch read d_model"]:
        alive = moved.flatten(1).any(1)  # edges that move nothing cost nothing
        finals = self.final.expand(len(moved), -1, -1, -1).clone()
        n = int(alive.sum())
        if not n:
            return finals
        parallel, mid = self.decoder.config.parallel, self._mids[self.layer]
        written = None if with_mlp and not parallel else self._written[self.layer] if self._written else None
        start = self._here(mid if written is None else mid + written)
        x = start + (moved if n == len(moved) else moved[alive])  # [alive edges, batch, here, d_model]
        if with_mlp and not parallel:
            x = x + self.decoder.mlp(self.layer, x)
        if self._last:
            count(forward=n * x.shape[1])
            finals[alive] = x
        else:
            resumed = resume_to(self.decoder, x.flatten(0, 1), self.layer + 1, self.read.repeat(n, 1))
            finals[alive] = resumed.view(n, *finals.shape[1:])
        return finals
