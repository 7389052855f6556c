"""An edit of a decoder as weights of a decoder, where weights can hold it.

A change of weights is held as it is. Of cuts, weights hold what is the same for all who read:

    a source that no live node reads any more     its output is what it carries when ablated: W_O of the head or W_out of the MLP
                                                  is zero, the bias is the mean; a head takes its share of b_O along
    an input of which every edge is cut           it reads a constant c, the sum of what its sources carry when ablated: W is zero,
                                                  the bias W norm(c) + b

A node is live if a path of edges that are not cut leads from it to the logits; what others read or do not read of a dead node is
of no consequence. A cut between two live nodes, of which either has other edges left, is a change to what one node reads of the
stream, for which a transformer has no weight. All of this is exact, also for means. Cost: no forward.
"""

from __future__ import annotations

from dataclasses import replace
from typing import Any, NamedTuple

import torch
from jaxtyping import Bool, Float
from torch import Tensor

from ..errors import Unsupported
from ..graph import Decoder, Graph
from ..graph.layers import apply_gain
from ..graph.weights import LayerWeights
from .decoder import EditableDecoder
from .edit import Edited


def as_decoder(edited: Edited) -> Decoder:
    """A decoder that computes, without masks, what the edited model computes.

    Raises:
        Unsupported: the model is no decoder, or the cut is not one that weights can hold.
    """
    model = edited.model
    if not isinstance(model, EditableDecoder):
        raise Unsupported("the model of this task is no transformer, so there is no checkpoint of its kind to write")
    decoder = model.with_parameters(edited.parameters) if edited.parameters else model.decoder
    if edited.kept is None:
        return decoder
    return _without(decoder, model.graph, ~edited.kept, model.ablated_by.everywhere()[:, 0, 0])


class _Parts(NamedTuple):
    """What a cut amounts to: which sources are live, and which inputs read a constant."""

    live: Bool[Tensor, " sources"]
    constant: Bool[Tensor, " destinations"]


def _without(
    decoder: Decoder, graph: Graph, cut: Bool[Tensor, " edges"], ablated: Float[Tensor, "sources d_model"]
) -> Decoder:
    full = decoder.graph
    parts = _parts(full, graph.to_qkv(graph.dense(cut)).cpu())
    weights, layers = decoder.weights, []
    for layer in range(full.n_layers):
        changed = _attention(decoder, layer, parts, ablated)
        layers.append(_mlp(decoder, layer, changed, parts, ablated) if full.has_mlp else changed)
    changed_weights = replace(weights, layers=tuple(layers))
    if not bool(parts.live[0]):
        nothing = None if weights.position is None else torch.zeros_like(weights.position)
        token = ablated[0].expand_as(weights.token).clone()
        changed_weights = replace(changed_weights, token=token, position=nothing)
    return Decoder(decoder.config, changed_weights, architecture=decoder.architecture)


def _parts(graph: Graph, cut: Bool[Tensor, "sources destinations"]) -> _Parts:
    """Which sources are live and which inputs constant, at the level of q, k and v.

    Raises:
        Unsupported: a live node reads some of its live sources and not others.
    """
    live, read = torch.zeros(graph.n_sources, dtype=torch.bool), torch.zeros(graph.n_destinations, dtype=torch.bool)
    read[-1] = True
    # A node is read by later ones only, so of these it is known whether they are live.
    for source in reversed(range(graph.n_sources)):
        live[source] = (graph.valid[source] & read & ~cut[source]).any()
        read[_inputs(graph, source)] = live[source]
    seen = graph.valid & read & live[:, None]
    constant = seen.any(0) & (cut | ~seen).all(0)
    split = (seen & cut & ~constant).nonzero().tolist()
    if split:
        names = ", ".join(f"{graph.sources[s]}->{graph.destinations[d]}" for s, d in split[:2])
        raise Unsupported(
            f"{len(split):,} of the edges that are cut, such as {names}, lead from a node that others still read to one that still "
            "reads others, and no weight of a transformer belongs to one edge alone; what can be written are whole heads and MLPs "
            "silenced, or inputs cut off altogether; closest to it is a method that changes weights, or another --point"
        )
    return _Parts(live, constant)


def _inputs(graph: Graph, source: int) -> list[int]:
    """Columns through which a source reads."""
    if source == 0:
        return []
    layer, place = divmod(source - 1, graph.n_heads + int(graph.has_mlp))
    if place == graph.n_heads:
        return [graph.mlp_destination(layer)]
    return [graph.attention_destinations(layer).start + part * graph.n_heads + place for part in range(3)]


def _attention(decoder: Decoder, layer: int, parts: _Parts, ablated: Tensor) -> LayerWeights:
    """A layer's weights with its heads silenced or made to read constants."""
    graph, config, weights = decoder.graph, decoder.config, decoder.weights.layers[layer]
    rows, visible = graph.head_sources(layer), graph.visible_to_attention(layer)
    dead = ~parts.live[rows].to(weights.o.device)
    changed = replace(weights, o=torch.where(dead[:, None, None], 0.0, weights.o))
    if bool(dead.any()):
        bias = torch.zeros_like(ablated[0]) if weights.o_bias is None else weights.o_bias
        bias = bias * (1 - dead.sum() / config.n_heads) + ablated[rows][dead].sum(0)
        changed = replace(changed, o_bias=_needed(bias, weights.o_bias))
    read = apply_gain(decoder.norm(ablated[:visible].sum(0)).unit, weights.attention_norm)
    constant = parts.constant[graph.attention_destinations(layer)].view(3, -1).to(weights.o.device)
    for name, of_heads in zip("qkv", constant, strict=True):
        if not bool(of_heads.any()):
            continue
        matrix, bias = getattr(weights, name), getattr(weights, f"{name}_bias")
        chosen = of_heads if name == "q" else _by_group(of_heads, dead, matrix.shape[0])
        before = matrix.new_zeros(matrix.shape[0], matrix.shape[2]) if bias is None else bias
        after = torch.where(chosen[:, None], before + torch.einsum("m,hme->he", read, matrix), before)
        held: dict[str, Any] = {
            name: torch.where(chosen[:, None, None], 0.0, matrix),
            f"{name}_bias": _needed(after, bias),
        }
        changed = replace(changed, **held)
    return changed


def _by_group(constant: Bool[Tensor, " heads"], dead: Bool[Tensor, " heads"], n_groups: int) -> Bool[Tensor, " groups"]:
    """The same for keys or values that several query heads share.

    Raises:
        Unsupported: live heads of a group differ.
    """
    of_group, none_live = constant.view(n_groups, -1), dead.view(n_groups, -1)
    every, any_ = (of_group | none_live).all(1) & ~none_live.all(1), (of_group & ~none_live).any(1)
    if bool((every != any_).any()):
        raise Unsupported(
            "an input is cut off of some of the heads that share keys and values and not of others, which one weight cannot hold; "
            "closest to it is a method that changes weights, or another --point"
        )
    return every


def _mlp(decoder: Decoder, layer: int, changed: LayerWeights, parts: _Parts, ablated: Tensor) -> LayerWeights:
    """A layer's weights with its MLP silenced or made to read a constant, either of which makes its output one."""
    graph, weights = decoder.graph, decoder.weights.layers[layer]
    row, column = graph.mlp_source(layer), graph.mlp_destination(layer)
    assert weights.mlp_out is not None
    if not bool(parts.live[row]):
        output = ablated[row]
    elif bool(parts.constant[column]):
        output = decoder.mlp(layer, ablated[: graph.visible_to_mlp(layer)].sum(0))
    else:
        return changed
    bias = _needed(output, weights.mlp_out_bias)
    return replace(changed, mlp_out=torch.zeros_like(weights.mlp_out), mlp_out_bias=bias)


def _needed(bias: Tensor, before: Tensor | None) -> Tensor | None:
    """A bias, None where the model has none and needs none."""
    return bias.clone() if before is not None or bool(bias.any()) else None
