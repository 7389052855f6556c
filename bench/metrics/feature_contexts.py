"""What a feature stands for: the text on which it is most active, and the tokens that it promotes.

    contexts:  the positions with the largest f_i(x), x the plain run's vector at the feature's place; one per sequence, and
               of sequences that read alike around it one
    promoted:  d = W_dec[i], less its mean where the final norm takes means away;  (d * gain) W_U, less its mean over tokens

A promoted token's weight is how the logits move per unit of the feature if the final norm's scale and everything between stay
as they are: the direct way alone.

Source: Marks et al. 2024, section 3 and figure 4, show features by such contexts; directions read through the unembedding
are nostalgebraist's logit lens (2020).
Cost: a forward per sequence of text, and an encoding at each place with a feature that was not looked up before; the vectors of these
places are held for all of the text.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import NamedTuple
from weakref import ref

import torch
from jaxtyping import Float, Int
from torch import Tensor

from ..features.places import Place
from ..features.store import Dictionaries
from ..features.stream import record
from ..graph.decoder import Decoder

Feature = tuple[Place, int]
_BATCH = 32
_AROUND = 6
_CANDIDATES = 64
_MOST = 8


class Active(NamedTuple):
    """Where a feature is active, and how much."""

    sequence: int
    position: int
    activation: float


_latest: list[tuple[ref[Dictionaries], ref[Tensor], dict[Feature, list[Active]]]] = []


def top_contexts(
    decoder: Decoder,
    dictionaries: Dictionaries,
    tokens: Int[Tensor, "sequences position"],
    features: Sequence[Feature],
    *,
    most: int,
) -> dict[Feature, list[Active]]:
    """Where each feature is most active, strongest first; nowhere where it never is.

    The same text and dictionaries are asked about by several methods in a row, and a feature is looked up once.

    Args:
        decoder: the model.
        dictionaries: of the features' places; one is held at a time.
        tokens: the text.
        features: place and number of each.
        most: how many contexts each has at most, up to 8.
    """
    if not _latest or _latest[0][0]() is not dictionaries or _latest[0][1]() is not tokens:
        _latest[:] = [(ref(dictionaries), ref(tokens), {})]
    known = _latest[0][2]
    wanted: dict[Place, list[int]] = {}
    for place, unit in features:
        if (place, unit) not in known:
            wanted.setdefault(place, []).append(unit)
    if wanted:
        known.update(_looked_up(decoder, dictionaries, tokens, wanted))
    return {feature: known[feature][:most] for feature in features}


@torch.no_grad()
def _looked_up(
    decoder: Decoder, dictionaries: Dictionaries, tokens: Tensor, wanted: Mapping[Place, Sequence[int]]
) -> dict[Feature, list[Active]]:
    vectors: dict[Place, list[Tensor]] = {place: [] for place in wanted}
    for part in torch.split(tokens, _BATCH):
        recorded = record(decoder, decoder.embed(part))
        for place, parts in vectors.items():
            parts.append(recorded[place])
    found: dict[Feature, list[Active]] = {}
    for place, units in wanted.items():
        dictionary = dictionaries[place]
        peaks = [dictionary.encode(x)[..., units].max(dim=1) for x in vectors.pop(place)]
        values, positions = (torch.cat(parts) for parts in zip(*peaks, strict=True))
        for column, unit in enumerate(units):
            found[place, unit] = _distinct(values[:, column], positions[:, column], tokens)
    return found


def _distinct(
    values: Float[Tensor, " sequences"], positions: Int[Tensor, " sequences"], tokens: Tensor
) -> list[Active]:
    """The sequences with the largest values, of those that read alike up to there the first."""
    strongest = values.sort(descending=True, stable=True).indices[:_CANDIDATES]
    found: dict[tuple[int, ...], Active] = {}
    for sequence, position, value in zip(
        strongest.tolist(), positions[strongest].tolist(), values[strongest].tolist(), strict=True
    ):
        read = tuple(tokens[sequence, max(position - _AROUND, 0) : position + 1].tolist())
        if value > 0 and len(found) < _MOST:
            found.setdefault(read, Active(sequence, position, value))
    return list(found.values())


@torch.no_grad()
def promoted_tokens(
    decoder: Decoder, dictionaries: Dictionaries, features: Sequence[Feature], n_words: int, most: int
) -> dict[Feature, list[tuple[int, float]]]:
    """The tokens, of the first `n_words`, whose logits each feature raises most: token and logit above the mean per unit."""
    found: dict[Feature, list[tuple[int, float]]] = {}
    for place in dict.fromkeys(place for place, _ in features):
        directions = dictionaries[place].decoder
        for unit in (unit for at, unit in features if at == place):
            weights = through_unembedding(decoder, directions[unit])
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
