"""A masked model that is evaluated, not trained: little is masked, so most inputs are the stream as it is.

    x_j = current stream + sum over sources s with a masked edge of (w_sj - 1) change_s,   change_s = a_s - abar_s

Only these sources have rows, inputs with equal masks are one, and heads that all read one input are projected at once: a cut
of a few edges costs what a plain pass costs. New positions may be computed alone, given keys and values of those before.
"""

from __future__ import annotations

from typing import NamedTuple

import torch
from jaxtyping import Bool, Float, Int
from torch import Tensor

from .cost import count
from .decoder import Decoder
from .graph import Graph
from .head_inputs import folded, queries_keys_values
from .key_values import KeyValueCache

__all__ = ["MaskedModel"]


class _Readers(NamedTuple):
    """Which inputs of a layer's heads read the same, and their projections side by side."""

    inputs: Int[Tensor, " readers"]
    matrix: Float[Tensor, "d_model readers_width"]
    bias: Float[Tensor, " readers_width"]


class _Heads(NamedTuple):
    """How a layer's heads read: weights of the distinct inputs, and who reads each, unless all heads read one."""

    weights: Float[Tensor, "rows distinct"]
    readers: list[_Readers] | None


class MaskedModel:
    """A decoder with a mask on its edges; what a pass needs of the two is made once.

    Args:
        decoder: the model.
        graph: its graph, at the level of heads or of their q, k and v inputs.
        kept: dense edge set of `graph`, from 0 (ablated) to 1; cells that are no edges are ignored.
        ablated: what each source carries when ablated, on each prompt and position or on all (rows are 1 x 1).

    Example:
        >>> from mechboard.ground_truth.mini import model
        >>> decoder = model.load()
        >>> zero = torch.zeros(decoder.graph.n_sources, 1, 1, decoder.config.d_model)
        >>> whole = MaskedModel(decoder, decoder.graph, decoder.graph.valid, zero)
        >>> x = decoder.embed(torch.tensor([[0, 7, 3]]))
        >>> torch.allclose(whole(x), decoder.resume(x), atol=1e-4)
        True
    """

    @torch.no_grad()
    def __init__(
        self,
        decoder: Decoder,
        graph: Graph,
        kept: Float[Tensor, "sources destinations"] | Bool[Tensor, "sources destinations"],
        ablated: Float[Tensor, "sources *rows d_model"],
    ) -> None:
        self._decoder, self._graph = decoder, graph
        lacking = (kept.to(decoder.dtype) - 1) * graph.valid.to(decoder.device)
        self._masked = lacking.any(1)
        self._weights, self._ablated = lacking[self._masked], ablated[self._masked]
        self._before = [0, *self._masked.cumsum(0).tolist()]  # masked sources among the first so many
        self._heads = [self._reading(layer) for layer in range(graph.n_layers)]

    def _reading(self, layer: int) -> _Heads:
        graph = self._graph
        rows = self._before[graph.visible_to_attention(layer)]
        masked = self._weights[:rows, graph.attention_destinations(layer)]
        if not masked.any():
            return _Heads(masked[:, :1], None)
        weights, which = torch.unique(masked, dim=1, return_inverse=True)
        if weights.shape[1] == 1:
            return _Heads(weights, None)
        matrices, bias = folded(self._decoder, graph, layer)
        readers = [(which == number).nonzero().flatten() for number in range(weights.shape[1])]
        return _Heads(
            weights, [_Readers(r, matrices[r].permute(1, 0, 2).flatten(1), bias[r].flatten()) for r in readers]
        )

    @torch.no_grad()
    def __call__(
        self, x: Float[Tensor, "batch position d_model"], cache: KeyValueCache | None = None
    ) -> Float[Tensor, "batch position d_model"]:
        """Residual stream that `logits` reads, of the positions of `x`. Cost: one forward.

        Args:
            x: value of the `input` node, behind the positions in the cache.
            cache: keys and values of those, to which these are added.
        """
        count(forward=x.shape[0])
        decoder, graph = self._decoder, self._graph
        changes = x.new_empty(len(self._weights), *x.shape)
        stream = x.clone()
        self._write(changes, 0, x)
        for layer in range(graph.n_layers):
            q, k, v = self._project(layer, self._inputs(stream, changes, self._heads[layer].weights))
            if cache is not None:
                k, v = cache.extended(layer, k, v)
            z = decoder.attend(q, k, v)
            before = stream
            stream = stream + decoder.write_heads(layer, z)
            self._write_heads(changes, layer, z)
            if graph.has_mlp:
                read = self._input(before if graph.parallel else stream, changes, layer)
                written = decoder.mlp(layer, read)
                stream = stream + written
                self._write(changes, graph.mlp_source(layer), written)
        return self._inputs(stream, changes, self._weights[:, -1:])[0]

    def _inputs(
        self, stream: Tensor, changes: Tensor, weights: Float[Tensor, "rows inputs"]
    ) -> Float[Tensor, "inputs batch position d_model"]:
        if not weights.any():
            return stream.expand(weights.shape[1], *stream.shape)
        moved = torch.addmm(stream.reshape(1, -1), weights.T, changes[: len(weights)].flatten(1))
        return moved.view(-1, *stream.shape)

    def _input(self, stream: Tensor, changes: Tensor, layer: int) -> Float[Tensor, "batch position d_model"]:
        column, rows = self._graph.mlp_destination(layer), self._before[self._graph.visible_to_mlp(layer)]
        return self._inputs(stream, changes, self._weights[:rows, column, None])[0]

    def _project(
        self, layer: int, inputs: Float[Tensor, "distinct batch position d_model"]
    ) -> tuple[Tensor, Tensor, Tensor]:
        readers = self._heads[layer].readers
        if readers is None:
            return self._decoder.read_heads(layer, inputs[0])
        width = len(readers[0].bias) // len(readers[0].inputs)
        places = inputs[0, ..., 0].numel()
        values = inputs.new_empty(sum(len(some.inputs) for some in readers), places, width)
        for read, some in zip(inputs, readers, strict=True):
            projected = torch.addmm(some.bias, self._decoder.norm(read).unit.view(places, -1), some.matrix)
            values[some.inputs] = projected.view(places, -1, width).transpose(0, 1)
        return queries_keys_values(values, self._graph, inputs[0])

    def _write(self, changes: Tensor, source: int, output: Float[Tensor, "batch position d_model"]) -> None:
        if self._masked[source]:
            row = self._before[source]
            torch.sub(output, self._ablated[row], out=changes[row])

    def _write_heads(self, changes: Tensor, layer: int, z: Float[Tensor, "batch position heads d_head"]) -> None:
        weights, sources = self._decoder.weights.layers[layer], self._graph.head_sources(layer)
        for head in self._masked[sources].nonzero().flatten().tolist():
            written = z[:, :, head] @ weights.o[head]
            if weights.o_bias is not None:
                written += weights.o_bias / self._graph.n_heads
            self._write(changes, sources.start + head, written)
