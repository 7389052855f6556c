"""Indirect object: "When Anna and Bill went to the park, Bill gave a ball to" -> " Anna".

Metric: logit(the name said once) - logit(the name said twice). Corrupt ("ABC"): each of the three names is replaced
by another one, all different, so that nobody is repeated and nothing but names changes.

Source: Wang et al. 2022; the corruption and the metric are those that Conmy et al. 2023 measure with.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from random import Random
from typing import Literal

from mechboard.metrics.answers import AnswerMetric, logit_difference

from .examples import Example

_ASKED = " {IO}"


@dataclass(frozen=True)
class IndirectObject:
    """Templates have the slots A and B (the names in order of appearance), S, and last IO; `words` fill the others.

    The repeated name S is said second of the two (`ABBA`: A and B, B gave to A), or first or second, equally likely
    (`mixed`).
    """

    templates: tuple[str, ...]
    names: tuple[str, ...]
    words: Mapping[str, tuple[str, ...]]
    order: Literal["ABBA", "mixed"] = "mixed"
    metric: AnswerMetric = logit_difference

    def draw(self, draw: Random) -> Example:
        """One pair of prompts."""
        template = draw.choice(self.templates).removesuffix(_ASKED)
        a, b, *others = draw.sample(self.names, 5)
        subject, receiver = draw.sample((a, b), 2) if self.order == "mixed" else (b, a)
        words = {slot: draw.choice(choices) for slot, choices in self.words.items()}
        return Example(
            template.format(A=a, B=b, S=subject, **words),
            template.format(A=others[0], B=others[1], S=others[2], **words),
            (f" {receiver}",),
            (f" {subject}",),
        )
