"""One forward pass that can write down every node's output, and remember what a backward pass needs.

__all__ = ["LayerTape", "OutputBuffer", "Tape", "new_outputs", "record_outputs", "record_tape"]

It is the ordinary fused pass. Outputs go into one preallocated [source, batch, position, d_model] buffer; a tape keeps per
layer the normalised inputs and the small graphs of attention and activation, for which autograd serves (`backward.py`).
Over a span, the pass attends to the prefix in front of it, and the last layer is computed where it is read alone.
"""

from __future__ import annotations

from dataclasses import dataclass, field

import torch
from jaxtyping import Float, Int
from torch import Tensor

from .cost import count
from .decoder import Decoder
from .graph import Graph
from .layers import Normalised, apply_gain, by_prompt
from .span import Span


@dataclass
class LayerTape:
    """What a pass remembered of one layer; queries and all behind them are at positions `read` only, if that is given."""

    attention_norm: Normalised
    qkv: tuple[Tensor, Tensor, Tensor]
    z: Tensor
    read: Int[Tensor, "batch read"] | None = None
    mlp_norm: Normalised | None = None
    mlp_pre: tuple[Tensor, ...] = ()
    mlp_post: Tensor | None = None


@dataclass
class Tape:
    """What one forward pass remembered; `final` is the residual stream after the last layer, where it was computed."""

    final: Float[Tensor, "batch position d_model"]
    layers: list[LayerTape] = field(default_factory=list)


def new_outputs(graph: Graph, x: Float[Tensor, "batch position d_model"]) -> Tensor:
    """An empty [source, batch, position, d_model] buffer for the node outputs of `x`'s prompts."""
    return x.new_empty(graph.n_sources, *x.shape)


class OutputBuffer:
    """Memory for the node outputs of one batch after another: to touch new memory costs more than to fill it."""

    def __init__(self, graph: Graph) -> None:
        self._graph = graph
        self._memory: Tensor | None = None

    def of(self, x: Float[Tensor, "batch position d_model"]) -> Float[Tensor, "sources batch position d_model"]:
        """The buffer for the prompts of `x`; what it held for those before is lost."""
        size = self._graph.n_sources * x.numel()
        if self._memory is None or self._memory.numel() < size:
            self._memory = new_outputs(self._graph, x).flatten()
        return self._memory[:size].view(-1, *x.shape)


@torch.no_grad()
def record_outputs(
    decoder: Decoder,
    x: Float[Tensor, "batch position d_model"],
    *,
    into: Float[Tensor, "sources batch position d_model"] | None = None,
    subtract: bool = False,
    span: Span | None = None,
) -> Float[Tensor, "sources batch position d_model"]:
    """Outputs of every node in a plain run. Cost: one forward.

    Args:
        decoder: the model.
        x: value of the `input` node, as `decoder.embed(tokens)` gives it.
        into: a buffer to write into, for one that is made once.
        subtract: write this run minus what `into` holds of another.
        span: the positions that `x` is of, if not all. Of the last layer's nodes only rows that are read are written.

    Example:
        >>> from mechboard.ground_truth.mini import model
        >>> decoder = model.load()
        >>> x = decoder.embed(torch.tensor([[0, 7, 3]]))
        >>> outputs = record_outputs(decoder, x)
        >>> torch.allclose(outputs.sum(0), decoder.resume(x), atol=1e-4)  # nodes add to one stream
        True
    """
    outputs = new_outputs(decoder.graph, x) if into is None else into
    _forward(decoder, x, _Outputs(outputs, subtract), None, span or Span.whole())
    return outputs


@torch.no_grad()
def record_tape(
    decoder: Decoder,
    x: Float[Tensor, "batch position d_model"],
    *,
    subtract_from: Float[Tensor, "sources batch position d_model"] | None = None,
    span: Span | None = None,
) -> Tape:
    """Run and remember what a backward pass needs. Cost: one forward.

    Args:
        decoder: the model.
        x: value of the `input` node, as `decoder.embed(tokens)` gives it.
        subtract_from: outputs of every node in another run; they become, in place, (this run - those).
        span: the positions that `x` is of, if not all.

    Example:
        >>> from mechboard.ground_truth.mini import model
        >>> decoder = model.load()
        >>> clean, corrupt = (decoder.embed(torch.tensor([[0, word, 3]])) for word in (7, 8))
        >>> differences = record_outputs(decoder, corrupt)
        >>> tape = record_tape(decoder, clean, subtract_from=differences)
        >>> torch.allclose(differences.sum(0), tape.final - decoder.resume(corrupt), atol=1e-4)
        True
    """
    tape = Tape(final=x)
    _forward(decoder, x, _Outputs(subtract_from, subtract=True), tape, span or Span.whole())
    return tape


def _forward(decoder: Decoder, x: Tensor, outputs: _Outputs, tape: Tape | None, span: Span) -> None:
    count(forward=x.shape[0])
    config, graph = decoder.config, decoder.graph
    outputs.store(0, x)
    for index, weights in enumerate(decoder.weights.layers):
        norm = decoder.norm(x)
        q, k, v = decoder.project(index, apply_gain(norm.unit, weights.attention_norm))
        outputs.read = read = span.read_in(decoder, index)
        if read is not None:
            q, x = q[by_prompt(read)], x[by_prompt(read)]
        if tape is not None:
            q, k, v = (t.detach().requires_grad_() for t in (q, k, v))
        with torch.set_grad_enabled(tape is not None):
            z = span.attend(decoder, index, q, k, v)  # [batch, query, heads, d_head]
        layer = LayerTape(norm, (q, k, v), z, read)
        z = z.detach()
        outputs.store_heads(graph.head_sources(index), z, weights.o, weights.o_bias)
        mid = x + decoder.write_heads(index, z)
        if config.has_mlp:
            layer.mlp_norm = norm.at(read) if config.parallel else decoder.norm(mid)
            layer.mlp_pre, layer.mlp_post = _activations(decoder, index, layer.mlp_norm, remember=tape is not None)
            written = decoder.write_mlp(index, layer.mlp_post.detach())
            outputs.store(graph.mlp_source(index), written)
            mid = mid + written
        x = mid
        if tape is not None:
            tape.layers.append(layer)
            tape.final = x


def _activations(
    decoder: Decoder, index: int, norm: Normalised, *, remember: bool
) -> tuple[tuple[Tensor, ...], Tensor]:
    """What an MLP's activation reads, leaves of a graph if it is to be remembered, and what it gives."""
    pre, multiplier = decoder.mlp_pre(index, apply_gain(norm.unit, decoder.weights.layers[index].mlp_norm))
    leaves: tuple[Tensor, ...] = (pre,) if multiplier is None else (pre, multiplier)
    if remember:
        leaves = tuple(t.detach().requires_grad_() for t in leaves)
    with torch.set_grad_enabled(remember):
        return leaves, decoder.mlp_post(leaves[0], leaves[1] if len(leaves) == 2 else None)


@dataclass
class _Outputs:
    """Where node outputs are written, or subtracted from; nowhere, if there is no buffer."""

    buffer: Float[Tensor, "sources batch position d_model"] | None
    subtract: bool
    read: Int[Tensor, "batch read"] | None = None
    """Positions that rows are of, if not all."""

    def store(self, row: int, value: Float[Tensor, "batch position d_model"]) -> None:
        """Row <- value, minus what was there if that is subtracted."""
        if self.buffer is None:
            return
        if self.read is None and self.subtract:
            torch.sub(value, self.buffer[row], out=self.buffer[row])
        elif self.read is None:
            self.buffer[row] = value
        else:
            at = by_prompt(self.read)
            self.buffer[row][at] = value - self.buffer[row][at] if self.subtract else value

    def store_heads(self, heads: slice, z: Tensor, o: Tensor, o_bias: Tensor | None) -> None:
        """Rows <- z_h W_O[h] + b_O / heads, minus what was there if that is subtracted."""
        if self.buffer is None:
            return
        rows = self.buffer[heads]
        # [heads, batch x position, d_model], a view where rows are of all positions
        flat = (rows if self.read is None else rows[:, *by_prompt(self.read)]).view(len(o), -1, o.shape[-1])
        per_head = z.permute(2, 0, 1, 3).reshape(len(o), -1, z.shape[-1])  # [heads, batch x position, d_head]
        torch.baddbmm(flat, per_head, o, beta=-1 if self.subtract else 0, out=flat)
        if o_bias is not None:
            flat += o_bias / len(o)
        if self.read is not None:
            rows[:, *by_prompt(self.read)] = flat.view(len(o), *self.read.shape, -1)
