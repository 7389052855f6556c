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


class _Heads(NamedTuple):
    """How a layer's heads read: weights of the distinct inputs; unless all read one, which each reads, matrices and bias."""

    weights: Float[Tensor, "rows distinct"]
    projection: tuple[Int[Tensor, " inputs"], Tensor, Tensor] | None


class MaskedModel:
    """A decoder with a mask on its edges; what a pass needs of the two is made once.

    Args:
        decoder: the model.
        graph: its graph, at the level of heads or of their q, k and v inputs.
        kept: dense edge set of `graph`, from 0 (ablated) to 1; cells that are no edges are ignored.
        ablated: what each source carries when ablated, on each prompt and position or on all (rows are 1 x 1).

    Example:
        >>> from mechboard.ground_truth.mini import model
        >>> decoder, zero = model.load(), torch.zeros(21, 1, 1, 64)
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
        return _Heads(weights, (which, *folded(self._decoder, graph, layer)))

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
        projection = self._heads[layer].projection
        if projection is None:
            return self._decoder.read_heads(layer, inputs[0])
        which, matrices, bias = projection
        unit = self._decoder.norm(inputs).unit.flatten(1, 2)[which]
        return queries_keys_values(torch.baddbmm(bias[:, None], unit, matrices), self._graph, inputs[0])

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
