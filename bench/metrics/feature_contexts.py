"""What a feature stands for: the text on which it is most active, and the tokens that it promotes.

    contexts:  the positions with the largest f_i(x), x the plain run's vector at the feature's place; one per sequence, and
               of sequences that read alike around it one
    promoted:  d = W_dec[i], less its mean where the final norm takes means away;  (d * gain) W_U, less its mean over tokens

A promoted token's weight is how the logits move per unit of the feature if the final norm's scale and everything between stay
as they are: the direct way alone.

Source: Marks et al. 2024, section 3 and figure 4, show features by such contexts; directions read through the unembedding
are nostalgebraist's logit lens (2020).
Cost: a forward per sequence of text, and an encoding at each place with a chosen feature.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import NamedTuple

import torch
from jaxtyping import Float, Int
from torch import Tensor

from ..features.dictionary import Dictionary
from ..features.places import Place
from ..features.stream import record
from ..graph.decoder import Decoder

Feature = tuple[Place, int]
_BATCH = 64
_AROUND = 6
_CANDIDATES = 8


class Active(NamedTuple):
    """Where a feature is active, and how much."""

    sequence: int
    position: int
    activation: float


@torch.no_grad()
def top_contexts(
    decoder: Decoder,
    dictionaries: Mapping[Place, Dictionary],
    tokens: Int[Tensor, "sequences position"],
    features: Sequence[Feature],
    *,
    most: int,
) -> dict[Feature, list[Active]]:
    """Where each feature is most active, strongest first; nowhere where it never is.

    Args:
        decoder: the model.
        dictionaries: of the features' places.
        tokens: the text.
        features: place and number of each.
        most: how many contexts each has at most.
    """
    wanted: dict[Place, list[int]] = {}
    for place, unit in features:
        wanted.setdefault(place, []).append(unit)
    read = {place: dictionaries[place] for place in wanted}
    peaks: dict[Place, list[tuple[Tensor, Tensor]]] = {place: [] for place in wanted}
    for part in torch.split(tokens, _BATCH):
        recorded = record(decoder, decoder.embed(part))
        for place, units in wanted.items():
            values, positions = read[place].encode(recorded[place])[..., units].max(dim=1)
            peaks[place].append((values, positions))
    found: dict[Feature, list[Active]] = {}
    for place, units in wanted.items():
        values, positions = (torch.cat(parts) for parts in zip(*peaks[place], strict=True))
        for column, unit in enumerate(units):
            found[place, unit] = _distinct(values[:, column], positions[:, column], tokens, most)
    return found


def _distinct(
    values: Float[Tensor, " sequences"], positions: Int[Tensor, " sequences"], tokens: Tensor, most: int
) -> list[Active]:
    """The sequences with the largest values, of those that read alike up to there the first."""
    strongest = values.sort(descending=True, stable=True).indices[: most * _CANDIDATES]
    found: dict[tuple[int, ...], Active] = {}
    for sequence, position, value in zip(
        strongest.tolist(), positions[strongest].tolist(), values[strongest].tolist(), strict=True
    ):
        read = tuple(tokens[sequence, max(position - _AROUND, 0) : position + 1].tolist())
        if value > 0 and len(found) < most:
            found.setdefault(read, Active(sequence, position, value))
    return list(found.values())


@torch.no_grad()
def promoted_tokens(
    decoder: Decoder, dictionaries: Mapping[Place, Dictionary], features: Sequence[Feature], n_words: int, most: int
) -> dict[Feature, list[tuple[int, float]]]:
    """The tokens, of the first `n_words`, whose logits each feature raises most: token and logit above the mean per unit."""
    places = dict.fromkeys(place for place, _ in features)
    decoders = {place: dictionaries[place].decoder for place in places}
    found: dict[Feature, list[tuple[int, float]]] = {}
    for place, unit in features:
        weights = through_unembedding(decoder, decoders[place][unit])
        raised = weights[:n_words].topk(min(most, n_words, len(weights)))
        found[place, unit] = list(zip(raised.indices.tolist(), raised.values.tolist(), strict=True))
    return found


def through_unembedding(decoder: Decoder, direction: Float[Tensor, " d_model"]) -> Float[Tensor, " d_vocab_out"]:
    """How logits move along a direction of the final residual stream, less their mean, at a scale of the final norm of one."""
    if decoder.config.norm == "layer":
        direction = direction - direction.mean()
    gain = decoder.weights.final_norm.gain
    logits = (direction if gain is None else direction * gain) @ decoder.weights.unembed
    return logits - logits.mean()
