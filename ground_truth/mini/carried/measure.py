"""Measures what the features of the small model's dictionaries carry; what it makes of that is `rule`.

First AUCs of all features, then, of those that separate something and touch little else by the loosest thresholds (`CANDIDATES`),
the share of every behaviour. With some words of training for comparison, with those held out for the published truth; names are
always told apart in texts of both splits, since no two held-out ones ever stand together with others.
"""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from dataclasses import dataclass, replace
from typing import NamedTuple

import torch
from jaxtyping import Float, Int
from torch import Tensor

from mechboard.features.dictionary import Dictionary
from mechboard.features.places import Place
from mechboard.graph import Decoder

from .. import lexicon
from ..lexicon import Split
from .causal import Ablations
from .flips import flips
from .rule import Evidence, Share, Thresholds
from .separation import Activations, contrast_areas, vectors_at_marks, word_areas
from .texts import Texts, texts
from .variables import BEHAVIOURS, CONTRASTS, WORDS

CANDIDATES = Thresholds(separates=0.85, touches=0.7, touches_word=0.85)
"""Thresholds below which nothing more is measured of a feature."""


class Separated(NamedTuple):
    """AUCs of features, as `rule.Evidence` has them."""

    own: Float[Tensor, "contrasts features"]
    anywhere: Float[Tensor, "contrasts features"]
    words: dict[str, tuple[str, ...]]
    word_areas: dict[str, Float[Tensor, " features"]]


def separated(activations: tuple[Activations, ...]) -> Separated:
    """What features tell apart: contrasts and arguments in the first texts, names in all of them."""
    own, anywhere = contrast_areas(activations[0])
    words, best = {}, {}
    for variable in WORDS:
        found: dict[str, Tensor] = {}
        for each in activations if variable == "name" else activations[:1]:
            for word, area in word_areas(each, variable).items():
                found[word] = torch.maximum(found[word], area) if word in found else area
        known = sorted(found)
        stacked = torch.stack([found[word] for word in known]) if known else torch.full((1, own.shape[1]), 0.5)
        best[variable], which = stacked.max(0)
        words[variable] = tuple(known[i] if known else "" for i in which.tolist())
    return Separated(own, anywhere, words, best)


@dataclass(frozen=True)
class PlaceMeasures:
    """Of the candidates of one place: their numbers, activations at marks, and shares of behaviours, prompt by prompt."""

    place: Place
    units: Int[Tensor, " units"]
    activations: tuple[Activations, ...]
    separated: Separated
    drops: dict[str, Float[Tensor, "units prompts"]]
    word_drops: dict[str, Float[Tensor, "units prompts"]]

    def resampled(self, texts: Int[Tensor, " texts"], prompts: Int[Tensor, " prompts"]) -> PlaceMeasures:
        """The same of other texts and prompts, given by number."""
        again = separated(tuple(each[texts] for each in self.activations))
        return replace(
            self,
            separated=again._replace(words=self.separated.words),
            drops={name: drops[:, prompts] for name, drops in self.drops.items()},
            word_drops={name: drops[:, prompts] for name, drops in self.word_drops.items()},
        )


def evidence(places: list[PlaceMeasures]) -> Evidence:
    """What was measured at all places, as the rule reads it."""

    def share(parts: list[Tensor]) -> Share:
        drops = torch.cat(parts)
        return Share(drops.mean(1), drops.std(1) / drops.shape[1] ** 0.5)

    parts = [place.separated for place in places]
    return Evidence(
        tuple(f"{place.place}/{unit}" for place in places for unit in place.units.tolist()),
        torch.cat([part.own for part in parts], 1),
        torch.cat([part.anywhere for part in parts], 1),
        {v: tuple(word for part in parts for word in part.words[v]) for v in WORDS},
        {v: torch.cat([part.word_areas[v] for part in parts]) for v in WORDS},
        {name: share([place.drops[name] for place in places]) for name in places[0].drops},
        {name: share([place.word_drops[name] for place in places]) for name in places[0].word_drops},
        {name: torch.cat([place.drops[name].any(1) for place in places]) for name in places[0].drops},
    )


def measure(
    decoder: Decoder,
    dictionaries: Mapping[Place, Dictionary],
    split: Split,
    *,
    n_texts: int,
    n_prompts: int,
    seed: int = 0,
) -> list[PlaceMeasures]:
    """What features carry, with the words of a split. Cost: a few forwards, and one for each candidate and prompt.

    Args:
        decoder: the model.
        dictionaries: of its places.
        split: whose words; names are of both.
        n_texts: texts of each split.
        n_prompts: prompts of each behaviour, with either value.
        seed: of texts and prompts.
    """
    other: Split = "train" if split == "test" else "test"
    asked = [texts(s, n_texts, seed) for s in (split, other)]
    vectors = [vectors_at_marks(decoder, each) for each in asked]
    found = [
        _candidates(place, dictionaries[place], [each[place] for each in vectors], asked) for place in dictionaries
    ]
    for name in (name for names in BEHAVIOURS.values() for name in names):
        ablations = Ablations(decoder, flips(name, split, n_prompts, seed))
        for each in found:
            each.drops[name] = ablations.shares(each.place, dictionaries[each.place], each.units)
    for variable in WORDS:
        for each in found:
            each.word_drops[variable] = torch.zeros(len(each.units), n_prompts)
        for word, chosen in _by_word(found, variable):
            ablations = Ablations(decoder, flips(word, split, n_prompts, seed))
            for each, rows in chosen:
                drops = ablations.shares(each.place, dictionaries[each.place], each.units[rows])
                each.word_drops[variable][rows] = drops
    return found


def _candidates(place: Place, dictionary: Dictionary, vectors: list[Tensor], asked: list[Texts]) -> PlaceMeasures:
    every = tuple(Activations.of(dictionary, v, t) for v, t in zip(vectors, asked, strict=True))
    areas = separated(every)
    blank = Evidence((), *areas, {}, {}, {})
    separates = torch.stack([blank.separates(c, CANDIDATES) for c in (*(c.name for c in CONTRASTS), *WORDS)]).any(0)
    touches = torch.stack([blank.touches(variable, CANDIDATES) for variable in BEHAVIOURS]).sum(0)
    units = (separates & (touches == 1)).nonzero().squeeze(1)
    chosen = tuple(Activations(each.texts, each.values[..., units].clone()) for each in every)
    return PlaceMeasures(place, units, chosen, _of_units(areas, units), {}, {})


def _of_units(areas: Separated, units: Tensor) -> Separated:
    return Separated(
        areas.own[:, units],
        areas.anywhere[:, units],
        {v: tuple(words[i] for i in units.tolist()) for v, words in areas.words.items()},
        {v: area[units] for v, area in areas.word_areas.items()},
    )


def _by_word(places: list[PlaceMeasures], variable: str) -> Iterator[tuple[str, list[tuple[PlaceMeasures, Tensor]]]]:
    """Words, and the features at each place that tell them from others."""
    kinds = (*lexicon.WOMEN, *lexicon.MEN) if variable == "name" else lexicon.PARAMETERS
    for word in (f"{variable}:{word}" for word in kinds):
        chosen = []
        for each in places:
            told = each.separated.word_areas[variable] >= CANDIDATES.separates
            says = torch.tensor([name == word for name in each.separated.words[variable]], dtype=torch.bool)
            rows = (told & says).nonzero().squeeze(1)
            if len(rows):
                chosen.append((each, rows))
        if chosen:
            yield word, chosen
