"""What a feature carries, by three requirements on what was measured of it.

A feature *carries* a contrast (subject-number, gender, name:Anna, ...) of a variable (number, gender, name, ...) if it

1. separates    its AUC for the contrast at one of the contrast's own marks is at least .90;
2. is selective it touches no other variable: its AUC for no contrast of any other variable exceeds .65 at any mark of texts in
                which all vary independently, nor, for a variable whose value is a word, .80 for any word at the word's own marks
                (a word is one of many and stands in fewer texts);
3. is causal    set to its mean at every position it takes at least a share of a behaviour along that the contrast drives (2 %;
                1 % and 5 % beside), and of no behaviour of any other variable more than a quarter of that share, up or down.

For a task, of features that carry something:

    true    it carries a contrast that the behaviour uses, and takes the share along of this very behaviour;
    false   it carries another one, touches none that the behaviour uses, takes at most a quarter of its largest share along of
            this behaviour, and is on in its prompts: one that never is has no effect there, which is too easy to find out.

All others are outside the universe. Contrasts of one variable need not exclude each other: a feature that carries the number of any
noun is true for agreement with the subject and for that within a relative clause, one of either noun alone true for one of them and
false for the other. The thresholds were chosen before any method was scored.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import NamedTuple

import torch
from jaxtyping import Bool, Float
from torch import Tensor

from .variables import BEHAVIOURS, CONTRASTS, WORDS, Use

SHARES = (0.02, 0.01, 0.05)
"""Shares of a behaviour; the first is the headline."""


@dataclass(frozen=True)
class Thresholds:
    """Where each requirement begins to hold."""

    separates: float = 0.9
    touches: float = 0.65
    touches_word: float = 0.8
    elsewhere: float = 0.25
    share: float = SHARES[0]


class Share(NamedTuple):
    """Share of a behaviour that features take along, and its standard error."""

    mean: Float[Tensor, " features"]
    error: Float[Tensor, " features"]


@dataclass(frozen=True)
class Evidence:
    """What was measured of some features.

    Args:
        features: places and numbers, as `resid_1/37`.
        own: AUC for each of `CONTRASTS`, the largest at its own marks.
        anywhere: the largest at any mark.
        words: for each variable whose value is a word, that which a feature tells best from the others.
        word_areas: and its AUC.
        shares: of each behaviour; of `name` and `argument` with words drawn at random.
        word_shares: of the behaviours of these with the feature's own word.
        on: features that are not the same in all prompts of a behaviour.
    """

    features: tuple[str, ...]
    own: Float[Tensor, "contrasts features"]
    anywhere: Float[Tensor, "contrasts features"]
    words: dict[str, tuple[str, ...]]
    word_areas: dict[str, Float[Tensor, " features"]]
    shares: dict[str, Share]
    word_shares: dict[str, Share]
    on: dict[str, Bool[Tensor, " features"]]

    def touches(self, variable: str, thresholds: Thresholds) -> Bool[Tensor, " features"]:
        """Features that tell any of its values apart, however badly."""
        if variable in WORDS:
            return self.word_areas[variable] > thresholds.touches_word
        return (self.anywhere[_numbers(variable)] > thresholds.touches).any(0)

    def separates(self, contrast: str, thresholds: Thresholds) -> Bool[Tensor, " features"]:
        """Features that tell the values of a contrast, or a word of a variable from the others, apart where it is said or read."""
        if contrast in WORDS:
            return self.word_areas[contrast] >= thresholds.separates
        return self.own[_NUMBER[contrast]] >= thresholds.separates

    def selective(self, variable: str, thresholds: Thresholds) -> Bool[Tensor, " features"]:
        """Features that touch no other variable."""
        others = [self.touches(v, thresholds) for v in BEHAVIOURS if v != variable]
        return ~torch.stack(others).any(0)

    def elsewhere(self, variable: str) -> Float[Tensor, " features"]:
        """The largest share, up or down, of a behaviour of any other variable."""
        others = [self.shares[b].mean.abs() for v, names in BEHAVIOURS.items() if v != variable for b in names]
        return torch.stack(others).amax(0)

    def share_of(self, contrast: str, behaviours: tuple[str, ...]) -> Float[Tensor, " features"]:
        """The largest share of these behaviours, or of that of the feature's own word."""
        if contrast in WORDS:
            return self.word_shares[contrast].mean
        return torch.stack([self.shares[b].mean for b in behaviours]).amax(0)


_NUMBER = {contrast.name: number for number, contrast in enumerate(CONTRASTS)}
VARIABLE_OF = {contrast.name: contrast.variable for contrast in CONTRASTS} | {word: word for word in WORDS}
DRIVES = {contrast.name: contrast.drives for contrast in CONTRASTS} | {word: (word,) for word in WORDS}


def _numbers(variable: str) -> list[int]:
    return [number for number, contrast in enumerate(CONTRASTS) if contrast.variable == variable]


def carried(
    evidence: Evidence, contrast: str, thresholds: Thresholds, behaviours: tuple[str, ...] | None = None
) -> Bool[Tensor, " features"]:
    """Features that carry a contrast, or a word of a variable.

    Args:
        evidence: what was measured.
        contrast: its name; `name` or `argument` for any word.
        thresholds: where requirements begin to hold.
        behaviours: those of which a share must go, if not any that the contrast drives.
    """
    variable = VARIABLE_OF[contrast]
    share = evidence.share_of(contrast, DRIVES[contrast] if behaviours is None else behaviours)
    causal = (share >= thresholds.share) & (evidence.elsewhere(variable) <= thresholds.elsewhere * share)
    return evidence.separates(contrast, thresholds) & evidence.selective(variable, thresholds) & causal


class Verdict(NamedTuple):
    """Features that are true of a task, and those that are true or false."""

    true: Bool[Tensor, " features"]
    universe: Bool[Tensor, " features"]


def verdict(evidence: Evidence, use: Use, thresholds: Thresholds) -> Verdict:
    """What features are to a task's behaviour."""
    true = torch.zeros(len(evidence.features), dtype=torch.bool)
    touched = true.clone()
    for contrast in use.contrasts:
        asked = tuple(b for b in use.behaviours if b in DRIVES[contrast])
        true |= carried(evidence, contrast, thresholds, asked)
        touched |= _touches(evidence, contrast, thresholds)
    of_this = torch.stack([evidence.shares[b].mean.abs() for b in use.behaviours]).amax(0)
    on = torch.stack([evidence.on[b] for b in use.behaviours]).any(0)
    false = torch.zeros_like(true)
    for contrast in VARIABLE_OF.keys() - set(use.contrasts):
        little = of_this <= thresholds.elsewhere * evidence.share_of(contrast, DRIVES[contrast])
        false |= carried(evidence, contrast, thresholds) & ~touched & little & on
    return Verdict(true, true | false)


def _touches(evidence: Evidence, contrast: str, thresholds: Thresholds) -> Bool[Tensor, " features"]:
    if contrast in WORDS:
        return evidence.touches(contrast, thresholds)
    return evidence.anywhere[_NUMBER[contrast]] > thresholds.touches
