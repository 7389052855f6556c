"""Passes that stop at places: every vector on the way looked at or replaced, and passes that go on behind a place.

A *visit* is given a place and the vectors there and returns what the pass goes on with. Everything is plain autograd.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping

import torch
from jaxtyping import Float, Int
from torch import Tensor

from ..graph.cost import count
from ..graph.decoder import Decoder
from ..graph.reading import resume_to
from .places import Place

Visit = Callable[[Place, Tensor], Tensor]
"""Vectors [batch, position, d_model] at a place, and what stands there instead."""


def walk(
    decoder: Decoder, x: Float[Tensor, "batch position d_model"], visit: Visit, first: int = 0
) -> Float[Tensor, "batch position d_model"]:
    """Final residual stream of a pass that visits every place. Cost: one forward.

    Args:
        decoder: the model.
        x: what enters the first layer, as `decoder.embed(tokens)` gives it; it is visited as `embed`.
        visit: what is done at each place.
        first: the layer to begin with, if `x` is what enters that one; it is then visited by nobody.

    Example:
        >>> from mechboard.ground_truth.mini import model
        >>> decoder = model.load()
        >>> x = decoder.embed(torch.tensor([[0, 7, 3]]))
        >>> torch.equal(walk(decoder, x, lambda place, value: value), decoder.resume(x))
        True
    """
    count(forward=x.shape[0])
    config = decoder.config
    if first == 0:
        x = visit(Place("embed", -1), x)
    for layer in range(first, config.n_layers):
        written = visit(Place("attn", layer), decoder.attention(layer, x))
        mid = x + written
        if config.has_mlp:
            mid = mid + visit(Place("mlp", layer), decoder.mlp(layer, x if config.parallel else mid))
        x = visit(Place("resid", layer), mid)
    return x


@torch.no_grad()
def record(
    decoder: Decoder, x: Float[Tensor, "batch position d_model"]
) -> dict[Place, Float[Tensor, "batch position d_model"]]:
    """What stands at every place in a plain pass. Cost: one forward."""
    found: dict[Place, Tensor] = {}

    def keep(place: Place, value: Tensor) -> Tensor:
        found[place] = value
        return value

    walk(decoder, x, keep)
    return found


def beside(recorded: Mapping[Place, Tensor], place: Place) -> Float[Tensor, "batch position d_model"] | None:
    """What the vectors at a place are added to in a recorded pass; None at the stream itself."""
    if place.is_stream:
        return None
    entering = recorded[Place("resid", place.layer - 1) if place.layer else Place("embed", -1)]
    return entering if place.part == "attn" else entering + recorded[Place("attn", place.layer)]


def resume_behind(
    decoder: Decoder,
    place: Place,
    value: Float[Tensor, "rows position d_model"],
    stream: Float[Tensor, "#rows position d_model"] | None,
    positions: Int[Tensor, "rows read"],
) -> Float[Tensor, "rows read d_model"]:
    """Final residual stream at `positions` of a pass that has `value` at a place and is plain behind it. Cost: one forward.

    Args:
        decoder: the model.
        place: where.
        value: what stands there.
        stream: what it is added to, `beside(recorded, place)`.
        positions: where the final stream is wanted.
    """
    if stream is None:
        return resume_to(decoder, value, place.layer + 1, positions)
    x = stream + value
    if place.part == "attn" and decoder.config.has_mlp:
        x = x + decoder.mlp(place.layer, stream.expand_as(x) if decoder.config.parallel else x)
    return resume_to(decoder, x, place.layer + 1, positions)
