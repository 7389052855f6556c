"""Circuits of nodes: runs in which every node outside the circuit has its mean, and what the metric is then.

At each place in scope, in the order of a pass, of a stream that is already changed:

    f = encode(x),  eps = x - decode(f);   x <- decode(f where kept, mean f elsewhere) + (eps if kept, mean eps otherwise)

Places out of scope run free. Means are over the given prompts, of the plain run, at each position or, where nodes are summed over
positions, over all of them.

Source: Marks et al. 2024, section 3.2; their code replaces in forward order, as this does.
"""

from __future__ import annotations

from collections.abc import Mapping
from typing import NamedTuple

import torch
from jaxtyping import Bool, Float, Int
from torch import Tensor

from ..graph.decoder import Decoder
from ..graph.pairs import Metric, PromptPairs
from .dictionary import Dictionary
from .nodes import Nodes
from .places import Place
from .stream import record, walk

__all__ = ["Means", "circuit_metrics", "means_over"]


class Mean(NamedTuple):
    """Mean features and mean error of one place, at each position, or one row for all."""

    features: Float[Tensor, "row features"]
    error: Float[Tensor, "row d_model"]


Means = Mapping[Place, Mean]


@torch.no_grad()
def means_over(
    decoder: Decoder,
    dictionaries: Mapping[Place, Dictionary],
    tokens: Int[Tensor, "prompts position"],
    lengths: Int[Tensor, " prompts"],
    *,
    by_position: bool,
    batch_size: int,
) -> Means:
    """Means of the plain run on these prompts. Cost: one forward."""
    sums: dict[Place, Mean] = {}
    count = torch.zeros(tokens.shape[1], device=tokens.device)
    for start in range(0, len(tokens), batch_size):
        part = tokens[start : start + batch_size]
        real = torch.arange(part.shape[1], device=part.device) < lengths[start : start + batch_size, None]
        count += real.sum(0)
        recorded = record(decoder, decoder.embed(part))
        for place, dictionary in dictionaries.items():
            x = recorded[place]
            features = dictionary.encode(x)
            error = x - dictionary.decode(features, x) if dictionary.errors else torch.zeros_like(x)
            weight = real[..., None].to(x.dtype)
            total = Mean((features * weight).sum(0), (error * weight).sum(0))
            sums[place] = (
                total if place not in sums else Mean(*(a + b for a, b in zip(sums[place], total, strict=True)))
            )
    if by_position:
        return {place: Mean(*(part / count[:, None] for part in total)) for place, total in sums.items()}
    return {place: Mean(*(part.sum(0, keepdim=True) / count.sum() for part in total)) for place, total in sums.items()}


@torch.no_grad()
def circuit_metrics(
    decoder: Decoder,
    dictionaries: Mapping[Place, Dictionary],
    nodes: Nodes,
    circuits: Bool[Tensor, "circuits nodes"],
    means: Means,
    metric: Metric,
    pairs: PromptPairs,
    *,
    rows: int,
) -> Float[Tensor, " circuits"]:
    """The mean metric of each circuit. Cost: a forward per circuit.

    Args:
        decoder: the model.
        dictionaries: of the places in scope.
        nodes: their nodes, in whose order the circuits are.
        circuits: which nodes each keeps.
        means: what the others have.
        metric: what is measured.
        pairs: prompts, of which the clean ones are run.
        rows: circuits times prompts that are run at a time, which bounds memory.
    """
    at_once, found = max(1, rows // len(pairs)), []
    first = max(0, min(place.layer for place in dictionaries))
    # In front of the first layer in scope all circuits are the model.
    entering = decoder.embed(pairs.clean)
    if first:
        entering = record(decoder, entering)[Place("resid", first - 1)]
    for part in torch.split(circuits, at_once):
        kept = nodes.split(part)

        def visit(place: Place, x: Tensor, kept: Mapping[Place, Tensor] = kept, n: int = len(part)) -> Tensor:
            if place not in dictionaries:
                return x
            return _replaced(dictionaries[place], x.view(n, -1, *x.shape[1:]), kept[place], means[place]).flatten(0, 1)

        each = torch.arange(len(pairs), device=entering.device).repeat(len(part))
        final = walk(decoder, entering.repeat(len(part), 1, 1), visit, first)
        repeated = pairs[each]
        found.append(metric(decoder.unembed(repeated.read(final)), repeated).view(len(part), -1).mean(1))
    return torch.cat(found)


def _replaced(
    dictionary: Dictionary,
    x: Float[Tensor, "circuits prompts position d_model"],
    kept: Bool[Tensor, "circuits row units"],
    mean: Mean,
) -> Float[Tensor, "circuits prompts position d_model"]:
    """The vectors with every node that is not kept at its mean.

    Where the error is kept that is x with the other features moved to their means, else the means with the kept features in
    place; either way one product with the decoder.
    """
    if bool(kept.all()):
        return x
    kept = kept[:, None]  # for all prompts
    features_kept = kept[..., : dictionary.n_features]
    features = dictionary.encode(x)
    if not dictionary.errors:
        return dictionary.decode(torch.where(features_kept, features, mean.features), x)
    error_kept = kept[..., -1:]
    base = torch.where(error_kept, x, dictionary.origin(x) + mean.error)
    stays = torch.where(features_kept, features, mean.features)
    written = torch.where(error_kept, stays - features, stays)
    return base + dictionary.write(written, x)
