"""One forward pass that remembers, and the backward pass that yields the gradient at every edge's end.

__all__ = ["InputGradients", "Tape", "input_gradients", "new_outputs", "record_outputs", "record_tape"]

Forward: the ordinary fused pass. It can write every node's output into one preallocated
[source, batch, position, d_model] buffer, and keeps what the backward needs: per layer the
normalised inputs and the small graphs of attention and activation, for which autograd serves.

Backward: the gradient at an edge u -> v does not depend on u; it is the gradient at the input of v,
before normalisation. Those of a layer's 3 x heads inputs come from dq, dk and dv through that head's
own columns of W_Q, W_K, W_V; their sum is what flows on down the residual stream, so no part of an
ordinary backward pass is done twice. Parameter gradients are never computed.
"""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass, field
from typing import NamedTuple

import torch
from jaxtyping import Float
from torch import Tensor

from mechboard.graph.cost import count
from mechboard.graph.decoder import Decoder
from mechboard.graph.graph import Graph
from mechboard.graph.layers import Normalised, apply_gain, normalise_backward
from mechboard.graph.weights import NormWeights


@dataclass
class _LayerTape:
    attention_norm: Normalised
    qkv: tuple[Tensor, Tensor, Tensor]
    z: Tensor
    mlp_norm: Normalised | None = None
    mlp_pre: tuple[Tensor, ...] = ()
    mlp_post: Tensor | None = None


@dataclass
class Tape:
    """What one forward pass remembered; `final` is the residual stream after the last layer."""

    final: Float[Tensor, "batch position d_model"]
    layers: list[_LayerTape] = field(default_factory=list)


class InputGradients(NamedTuple):
    """Gradients at the inputs of a block of destinations."""

    destinations: slice
    gradients: Float[Tensor, "destinations batch position d_model"]
    n_visible: int


def new_outputs(graph: Graph, x: Float[Tensor, "batch position d_model"]) -> Tensor:
    """An empty [source, batch, position, d_model] buffer for the node outputs of `x`'s prompts."""
    return x.new_empty(graph.n_sources, *x.shape)


@torch.no_grad()
def record_outputs(
    decoder: Decoder,
    x: Float[Tensor, "batch position d_model"],
    *,
    into: Float[Tensor, "sources batch position d_model"] | None = None,
) -> Float[Tensor, "sources batch position d_model"]:
    """Outputs of every node in a plain run. Cost: one forward.

    Args:
        decoder: the model.
        x: value of the `input` node, as `decoder.embed(tokens)` gives it.
        into: a buffer to write into, for one that is made once.

    Example:
        >>> from mechboard.ground_truth.mini import model
        >>> decoder = model.load()
        >>> x = decoder.embed(torch.tensor([[0, 7, 3]]))
        >>> outputs = record_outputs(decoder, x)
        >>> torch.allclose(outputs.sum(0), decoder.resume(x), atol=1e-4)  # nodes add to one stream
        True
    """
    outputs = new_outputs(decoder.graph, x) if into is None else into
    _forward(decoder, x, outputs=outputs, subtract=False, tape=None)
    return outputs


@torch.no_grad()
def record_tape(
    decoder: Decoder,
    x: Float[Tensor, "batch position d_model"],
    *,
    subtract_from: Float[Tensor, "sources batch position d_model"] | None = None,
) -> Tape:
    """Run and remember what a backward pass needs. Cost: one forward.

    Args:
        decoder: the model.
        x: value of the `input` node, as `decoder.embed(tokens)` gives it.
        subtract_from: outputs of every node in another run; they become, in place, (this run - those).

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
    _forward(decoder, x, outputs=subtract_from, subtract=True, tape=tape)
    return tape


def _forward(decoder: Decoder, x: Tensor, *, outputs: Tensor | None, subtract: bool, tape: Tape | None) -> None:
    count(forward=x.shape[0])
    config, graph = decoder.config, decoder.graph
    sign = -1 if subtract else 0
    _store(outputs, 0, x, sign)
    for index, weights in enumerate(decoder.weights.layers):
        attention_norm = decoder.norm(x)
        q, k, v = decoder.project(index, apply_gain(attention_norm.unit, weights.attention_norm))
        if tape is not None:
            q, k, v = (t.detach().requires_grad_() for t in (q, k, v))
        with torch.set_grad_enabled(tape is not None):
            z = decoder.attend(q, k, v)  # [batch, position, heads, d_head]
        layer_tape = _LayerTape(attention_norm, (q, k, v), z)
        z = z.detach()
        if outputs is not None:
            _store_heads(outputs[graph.head_sources(index)], z, weights.o, weights.o_bias, sign)
        mid = x + decoder.write_heads(index, z)
        if config.has_mlp:
            layer_tape.mlp_norm = attention_norm if config.parallel else decoder.norm(mid)
            pre, multiplier = decoder.mlp_pre(index, apply_gain(layer_tape.mlp_norm.unit, weights.mlp_norm))
            leaves: tuple[Tensor, ...] = (pre,) if multiplier is None else (pre, multiplier)
            if tape is not None:
                leaves = tuple(t.detach().requires_grad_() for t in leaves)
            with torch.set_grad_enabled(tape is not None):
                post = decoder.mlp_post(leaves[0], leaves[1] if len(leaves) == 2 else None)
            layer_tape.mlp_pre, layer_tape.mlp_post = leaves, post
            written = decoder.write_mlp(index, post.detach())
            _store(outputs, graph.mlp_source(index), written, sign)
            mid = mid + written
        x = mid
        if tape is not None:
            tape.layers.append(layer_tape)
            tape.final = x


def _store(outputs: Tensor | None, row: int, value: Tensor, sign: int) -> None:
    if outputs is None:
        return
    if sign:
        torch.sub(value, outputs[row], out=outputs[row])
    else:
        outputs[row] = value


def _store_heads(rows: Tensor, z: Tensor, o: Tensor, o_bias: Tensor | None, sign: int) -> None:
    """Rows <- z_h W_O[h] + b_O / heads, plus `sign` times what was there."""
    heads = o.shape[0]
    flat = rows.view(heads, -1, rows.shape[-1])  # [heads, batch x position, d_model]
    per_head = z.permute(2, 0, 1, 3).reshape(heads, -1, z.shape[-1])  # [heads, batch x position, d_head]
    torch.baddbmm(flat, per_head, o, beta=sign, out=flat)
    if o_bias is not None:
        flat += o_bias / heads


@torch.no_grad()
def input_gradients(
    decoder: Decoder, tape: Tape, final_gradient: Float[Tensor, "batch position d_model"]
) -> Iterator[InputGradients]:
    """Gradients at every destination's input, last layer first. Cost: one backward. Uses up the tape.

    The yielded tensors are reused: read them before asking for the next.

    Args:
        decoder: the model.
        tape: what `record_tape` remembered of a run.
        final_gradient: the metric's gradient at the residual stream before the final norm.

    Example:
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
    graph = decoder.graph
    logits = graph.n_destinations - 1
    flowing = final_gradient
    yield InputGradients(slice(logits, logits + 1), flowing[None], graph.n_sources)
    while tape.layers:
        index = len(tape.layers) - 1
        layer = tape.layers.pop()
        above = flowing
        if decoder.config.has_mlp:
            at_mlp = _mlp_gradient(decoder, index, layer, above)
            column = graph.mlp_destination(index)
            yield InputGradients(slice(column, column + 1), at_mlp[None], graph.visible_to_mlp(index))
            flowing = above + at_mlp
            above = above if decoder.config.parallel else flowing
        at_heads = _head_gradients(decoder, index, layer, above)
        columns = graph.attention_destinations(index)
        yield InputGradients(columns, at_heads, graph.visible_to_attention(index))
        flowing = flowing + at_heads.sum(0)


def _scaled(matrix: Tensor, norm: NormWeights) -> Tensor:
    return matrix if norm.gain is None else matrix * norm.gain[:, None]


def _mlp_gradient(decoder: Decoder, index: int, layer: _LayerTape, above: Tensor) -> Tensor:
    weights = decoder.weights.layers[index]
    assert layer.mlp_post is not None
    assert layer.mlp_norm is not None
    assert weights.mlp_in is not None
    assert weights.mlp_out is not None
    at_post = above @ weights.mlp_out.T  # [batch, position, d_mlp]
    at_pre = torch.autograd.grad(layer.mlp_post, layer.mlp_pre, at_post)
    if weights.mlp_gate is None:
        at_unit = at_pre[0] @ _scaled(weights.mlp_in, weights.mlp_norm).T
    else:
        at_unit = at_pre[0] @ _scaled(weights.mlp_gate, weights.mlp_norm).T
        at_unit += at_pre[1] @ _scaled(weights.mlp_in, weights.mlp_norm).T
    return normalise_backward(at_unit, layer.mlp_norm, decoder.config.norm)


def _head_gradients(decoder: Decoder, index: int, layer: _LayerTape, above: Tensor) -> Tensor:
    """[3 x heads, batch, position, d_model], q first, then k, then v.

    The backward of the normalisation is folded into the product with W, where vectors are d_head long:
    centring W's rows centres the result, and <W dq, unit> = dq . (q - q at unit 0).
    """
    weights = decoder.weights.layers[index]
    batch, position, d_model = above.shape
    at_z = (above @ weights.o.flatten(0, 1).T).view(batch, position, decoder.config.n_heads, -1)
    at_qkv = _by_head(torch.autograd.grad(layer.z, layer.qkv, at_z))  # [3 x heads, batch x position, d_head]
    # [3 x heads, d_model, d_head]
    matrices = torch.cat([weights.q, decoder.per_query_head(weights.k), decoder.per_query_head(weights.v)])
    if weights.attention_norm.gain is not None:
        matrices = matrices * weights.attention_norm.gain[:, None]
    unit, inverse_scale = layer.attention_norm
    if inverse_scale is None:
        return torch.bmm(at_qkv, matrices.transpose(1, 2)).view(-1, batch, position, d_model)
    if decoder.config.norm == "layer":
        matrices = matrices - matrices.mean(1, keepdim=True)
    # q, k and v of a normalised input of zeros, [1, 1, heads, d_head] each: their biases and what the offset gives.
    origin = decoder.project(index, apply_gain(torch.zeros_like(unit[:1, :1]), weights.attention_norm))
    at_qkv *= inverse_scale.view(1, -1, 1)
    along_unit = (at_qkv * (_by_head(layer.qkv) - _by_head(origin))).sum(-1, keepdim=True)  # [3 x heads, rows, 1]
    at_inputs = torch.bmm(at_qkv, matrices.transpose(1, 2))
    at_inputs.addcmul_(along_unit, unit.view(1, -1, d_model), value=-1 / d_model)
    return at_inputs.view(-1, batch, position, d_model)


def _by_head(qkv: tuple[Tensor, ...]) -> Float[Tensor, "q_k_and_v rows d_head"]:
    return torch.cat(qkv, dim=2).flatten(0, 1).transpose(0, 1).contiguous()
