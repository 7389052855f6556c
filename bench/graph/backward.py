"""The backward pass that yields the gradient at every edge's end.

__all__ = ["InputGradients", "input_gradients"]

The gradient at an edge u -> v does not depend on u; it is the gradient at the input of v, before normalisation. Those of a
layer's 3 x heads inputs come from dq, dk and dv through that head's own columns of W_Q, W_K, W_V; their sum is what flows
on down the residual stream, so no part of an ordinary backward pass is done twice. Parameter gradients are never computed.
"""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from typing import NamedTuple

import torch
from jaxtyping import Float, Int
from torch import Tensor

from .cost import count
from .decoder import Decoder
from .layers import Normalised, apply_gain, by_prompt, normalise_backward
from .trace import LayerTape, Tape


class InputGradients(NamedTuple):
    """Gradients at the inputs of a block of destinations, which see the first `n_visible` sources.

    They are at positions `read` if that is given, because they are zero at all others; else wherever the run was.
    """

    destinations: slice
    gradients: Float[Tensor, "destinations batch position d_model"]
    n_visible: int
    read: Int[Tensor, "batch read"] | None = None

    def seen(
        self, outputs: Float[Tensor, "sources batch run d_model"]
    ) -> Float[Tensor, "visible batch position d_model"]:
        """What the destinations see of node outputs, or of differences of them, at the positions of the gradients."""
        visible = outputs[: self.n_visible]
        return visible if self.read is None else visible[:, *by_prompt(self.read)]


@torch.no_grad()
def input_gradients(
    decoder: Decoder, tape: Tape, final_gradient: Float[Tensor, "batch position d_model"]
) -> Iterator[InputGradients]:
    """Gradients at every destination's input, last layer first. Cost: one backward. Uses up the tape.

    The yielded tensors are reused: read them before asking for the next.

    Args:
        decoder: the model.
        tape: what `record_tape` remembered of a run.
        final_gradient: the metric's gradient at `tape.final`, the residual stream before the final norm.

    Example:
        >>> from mechboard.graph import record_tape
        >>> from mechboard.ground_truth.mini import model
        >>> decoder = model.load()
        >>> tape = record_tape(decoder, decoder.embed(torch.tensor([[0, 7, 3]])))
        >>> blocks = list(input_gradients(decoder, tape, torch.ones_like(tape.final)))
        >>> sum(len(block.gradients) for block in blocks) == decoder.graph.n_destinations
        True
        >>> [decoder.graph.destinations[block.destinations][-1] for block in blocks[:3]]
        ['logits', 'm3', 'a3.h3<v>']
    """
    count(backward=final_gradient.shape[0])
    graph, logits = decoder.graph, decoder.graph.n_destinations - 1
    flowing = final_gradient
    unit = tape.layers[-1].attention_norm.unit
    # Made once, because to touch new memory costs more than what is computed into it.
    scratch = unit.new_empty(3 * decoder.config.n_heads, unit.shape[:2].numel(), unit.shape[-1])
    yield InputGradients(slice(logits, logits + 1), flowing[None], graph.n_sources, tape.layers[-1].read)
    while tape.layers:
        index = len(tape.layers) - 1
        layer = tape.layers.pop()
        above = flowing
        if decoder.config.has_mlp:
            at_mlp = _mlp_gradient(decoder, index, layer, above)
            column = graph.mlp_destination(index)
            yield InputGradients(slice(column, column + 1), at_mlp[None], graph.visible_to_mlp(index), layer.read)
            flowing = above + at_mlp
            above = above if decoder.config.parallel else flowing
        for block in _attention_gradients(decoder, index, layer, above, scratch):
            yield block
            into_heads = block.gradients.sum(0)
            if block.read is not None or layer.read is None:
                flowing = flowing + into_heads
            else:  # keys and values are at all positions, what reads them is not
                flowing = into_heads.index_put_(by_prompt(layer.read), flowing, accumulate=True)


def _mlp_gradient(decoder: Decoder, index: int, layer: LayerTape, above: Tensor) -> Tensor:
    weights = decoder.weights.layers[index]
    assert layer.mlp_post is not None
    assert layer.mlp_norm is not None
    assert weights.mlp_in is not None
    assert weights.mlp_out is not None
    at_post = above @ weights.mlp_out.T  # [batch, position, d_mlp]
    at_pre = torch.autograd.grad(layer.mlp_post, layer.mlp_pre, at_post)
    if weights.mlp_gate is None:
        at_unit = at_pre[0] @ weights.mlp_in.T
    else:
        at_unit = at_pre[0] @ weights.mlp_gate.T
        at_unit += at_pre[1] @ weights.mlp_in.T
    if weights.mlp_norm.gain is not None:
        at_unit *= weights.mlp_norm.gain
    return normalise_backward(at_unit, layer.mlp_norm, decoder.config.norm)


def _attention_gradients(
    decoder: Decoder, index: int, layer: LayerTape, above: Tensor, scratch: Tensor
) -> Iterator[InputGradients]:
    """At q, k and v inputs, in one block; in two where queries are at fewer positions than keys."""
    graph, heads = decoder.graph, decoder.config.n_heads
    first, visible = graph.attention_destinations(index).start, graph.visible_to_attention(index)
    at_z = (above @ decoder.weights.layers[index].o.flatten(0, 1).T).view(*above.shape[:2], heads, -1)
    at_qkv = torch.autograd.grad(layer.z, layer.qkv, at_z)  # [batch, position, heads, d_head] each
    for parts in (slice(0, 3),) if layer.read is None else (slice(0, 1), slice(1, 3)):
        read = layer.read if parts.stop == 1 else None
        inputs = slice(parts.start * heads, parts.stop * heads)
        gradients = _through_norm(
            decoder, index, parts, at_qkv, layer.qkv, layer.attention_norm.at(read), scratch[inputs]
        )
        yield InputGradients(slice(first + inputs.start, first + inputs.stop), gradients, visible, read)


def _through_norm(
    decoder: Decoder,
    index: int,
    parts: slice,
    at_qkv: Sequence[Tensor],
    qkv: Sequence[Tensor],
    norm: Normalised,
    into: Float[Tensor, "inputs rows d_model"],
) -> Float[Tensor, "inputs batch position d_model"]:
    """Gradients at the inputs of every head's q, k and v, or those of them in `parts`, from those at their values.

    The backward of the normalisation is folded into the product with W, where vectors are d_head long:
    centring W's rows centres the result, and <W dq, unit> = dq . (q - q at unit 0).
    """
    weights, unit = decoder.weights.layers[index], norm.unit
    at_values = _by_head(at_qkv, parts)
    # [inputs, d_model, d_head]
    matrices = torch.cat([weights.q, decoder.per_query_head(weights.k), decoder.per_query_head(weights.v)][parts])
    if weights.attention_norm.gain is not None:
        matrices *= weights.attention_norm.gain[:, None]
    if decoder.config.norm == "layer":
        matrices -= matrices.mean(1, keepdim=True)
    if norm.inverse_scale is not None:
        at_values *= norm.inverse_scale.reshape(1, -1, 1)
    at_inputs = torch.bmm(at_values, matrices.transpose(1, 2), out=into[:, : at_values.shape[1]])
    if norm.inverse_scale is not None:
        # Those of a normalised input of zeros, [1, 1, heads, d_head] each: biases and what the offset gives.
        origin = decoder.project(index, apply_gain(torch.zeros_like(unit[:1, :1]), weights.attention_norm))
        along_unit = (at_values * (_by_head(qkv, parts) - _by_head(origin, parts))).sum(-1, keepdim=True)
        at_inputs.addcmul_(along_unit, unit.reshape(1, -1, unit.shape[-1]), value=-1 / unit.shape[-1])
    return at_inputs.view(-1, *unit.shape)


def _by_head(qkv: Sequence[Tensor], parts: slice) -> Float[Tensor, "inputs rows d_head"]:
    return torch.cat([part.detach() for part in qkv][parts], dim=2).flatten(0, 1).transpose(0, 1).contiguous()
