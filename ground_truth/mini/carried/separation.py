"""How well the activation of each feature tells the values of each variable apart, at every mark of many texts.

    AUC(feature, contrast, mark) = P(a text with value 1 activates it more than one with value 0), ties at half; max with 1 - AUC

A contrast is looked at in texts that have it up to the mark. A word is told from all others at its own mark, a name from those of
its gender, since a name cannot have another.
"""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from typing import NamedTuple

import torch
from jaxtyping import Bool, Float, Int
from torch import Tensor

from mechboard.features.dictionary import Dictionary
from mechboard.features.places import Place
from mechboard.features.stream import record
from mechboard.graph import Decoder

from .. import lexicon
from .prompts import encode
from .texts import Texts
from .variables import CONTRASTS, MARKS, WORDS, Contrast

_FEWEST = 8
"""Texts with a word at a mark, below which it is not told apart there."""
_BATCH, _ROWS = 256, 8192

Vectors = Mapping[Place, Float[Tensor, "texts mark d_model"]]

ALL_MARKS = tuple(mark for group in MARKS.values() for mark in group)
PASSAGE = {mark: passage for passage, group in MARKS.items() for mark in group}


@torch.no_grad()
def vectors_at_marks(decoder: Decoder, texts: Texts) -> Vectors:
    """What stands at every place, at the marks of each text; at a mark that a text has not, anything. Cost: one forward."""
    at = torch.stack([texts.at[mark] for mark in ALL_MARKS], 1).clamp(min=0)
    parts: dict[Place, list[Tensor]] = {}
    for start in range(0, len(at), _BATCH):
        chosen = at[start : start + _BATCH]
        for place, x in record(decoder, decoder.embed(texts.tokens[start : start + _BATCH])).items():
            parts.setdefault(place, []).append(x[torch.arange(len(chosen))[:, None], chosen])
    return {place: torch.cat(part) for place, part in parts.items()}


def areas(
    activations: Float[Tensor, "texts units"], values: Bool[Tensor, "contrasts texts"]
) -> Float[Tensor, "contrasts units"]:
    """AUC of each unit for each contrast, in the direction in which it is larger.

    >>> areas(torch.tensor([[3.0], [2.0], [1.0]]), torch.tensor([[False, False, True]]))
    tensor([[1.]])
    """
    found = torch.full((len(values), activations.shape[1]), 0.5)
    alive = (activations != activations[:1]).any(0).nonzero().squeeze(1)
    if not len(alive):
        return found
    columns = activations[:, alive].T.contiguous()
    ordered = columns.sort(dim=1).values
    lower, not_higher = (torch.searchsorted(ordered, columns, right=right) for right in (False, True))
    ranks = (lower + not_higher + 1).double() / 2
    ones = values.double()
    n_one = ones.sum(1, keepdim=True)
    pairs = n_one * (values.shape[1] - n_one)
    area = (ones @ ranks.T - n_one * (n_one + 1) / 2) / pairs
    found[:, alive] = torch.maximum(area, 1 - area).float()
    return found


@dataclass(frozen=True)
class Activations:
    """Activations of features at all marks of some texts, [text, mark, unit]; at a mark that a text has not, anything."""

    texts: Texts
    values: Float[Tensor, "texts mark units"]

    @classmethod
    def of(
        cls,
        dictionary: Dictionary,
        vectors: Float[Tensor, "texts mark d_model"],
        texts: Texts,
        units: Int[Tensor, " units"] | None = None,
    ) -> Activations:
        """Those of the features of a place, or of some of them."""
        rows = torch.split(vectors.flatten(0, 1), _ROWS)
        encoded = [dictionary.encode(x) if units is None else dictionary.encode(x)[:, units] for x in rows]
        return cls(texts, torch.cat(encoded).view(*vectors.shape[:2], -1))

    def __getitem__(self, rows: Int[Tensor, " chosen"]) -> Activations:
        return Activations(self.texts[rows], self.values[rows])


class Areas(NamedTuple):
    """The largest AUC of each feature for each contrast: at the contrast's own marks, and at all marks."""

    own: Float[Tensor, "contrasts units"]
    anywhere: Float[Tensor, "contrasts units"]


def contrast_areas(activations: Activations) -> Areas:
    """How features tell the values of two-valued variables apart, in the order of `CONTRASTS`."""
    own, anywhere = (torch.full((len(CONTRASTS), activations.values.shape[2]), 0.5) for _ in range(2))
    for index, mark in enumerate(ALL_MARKS):
        for contrasts, rows in _comparisons(activations.texts, mark):
            told = torch.stack([_value(activations.texts, CONTRASTS[c])[rows] for c in contrasts])
            for contrast, area in zip(contrasts, areas(activations.values[rows, index], told), strict=True):
                anywhere[contrast] = torch.maximum(anywhere[contrast], area)
                if mark in CONTRASTS[contrast].marks:
                    own[contrast] = torch.maximum(own[contrast], area)
    return Areas(own, anywhere)


def word_areas(activations: Activations, variable: str) -> dict[str, Float[Tensor, " units"]]:
    """How features tell each word that occurs often enough from the others, the largest over marks: by `name:Anna`."""
    found: dict[str, Tensor] = {}
    for mark in WORDS[variable]:
        at_mark = activations.values[:, ALL_MARKS.index(mark)]
        for names, rows, values in _words(activations.texts, variable, mark):
            for name, area in zip(names, areas(at_mark[rows], values), strict=True):
                found[name] = torch.maximum(found[name], area) if name in found else area
    return found


def _value(texts: Texts, contrast: Contrast) -> Bool[Tensor, " texts"]:
    variable, _, cut = contrast.name.partition(">")
    return texts.values[variable] > (int(cut) if cut else 0)


def _comparisons(texts: Texts, mark: str) -> Iterator[tuple[list[int], Bool[Tensor, " texts"]]]:
    """Contrasts of one passage, by number, and the texts that have the mark and the passage at or before it."""
    here = texts.order[PASSAGE[mark]]
    for passage in MARKS:
        rows = (texts.at[mark] >= 0) & (texts.order[passage] >= 0) & (texts.order[passage] <= here)
        told = [
            number
            for number, contrast in enumerate(CONTRASTS)
            if contrast.variable == passage and 0 < int(_value(texts, contrast)[rows].sum()) < int(rows.sum())
        ]
        if told:
            yield told, rows


def _words(
    texts: Texts, variable: str, mark: str
) -> Iterator[tuple[list[str], Bool[Tensor, " texts"], Bool[Tensor, "words texts"]]]:
    """Words that occur often enough at a mark, the texts in which they are told apart, and where each stands."""
    said = texts.words[mark]
    for kind in (lexicon.WOMEN, lexicon.MEN) if variable == "name" else (lexicon.PARAMETERS,):
        ids = torch.tensor([encode(word)[0] for word in kind])
        rows = torch.isin(said, ids)
        values = said[rows] == ids[:, None]
        often = (values.sum(1) >= _FEWEST) & (values.sum(1) < rows.sum())
        if often.any():
            yield [f"{variable}:{kind[i]}" for i in often.nonzero().squeeze(1).tolist()], rows, values[often]
