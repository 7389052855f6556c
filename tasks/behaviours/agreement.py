"""Subject-verb agreement: "The dogs that the girl likes" -> " are".

Four structures: simple ("The dog"), within a relative clause ("The dog that the girls", whose verb follows),
across one ("The dog that the girls like") and across a prepositional phrase ("The dog near the gates").
Metric: logit(verb in the right number) - logit(the same verb in the other). Corrupt: the noun that governs the
verb, and that noun alone, in the other number.

Source: Finlayson et al. 2021; Marks et al. 2024, whose test prompts are mostly also training prompts: here the
nouns of the two are disjoint.
"""

from __future__ import annotations

from dataclasses import dataclass
from random import Random
from typing import Literal

from mechboard.metrics.answers import AnswerMetric, logit_difference
from mechboard.tasks.behaviours.examples import Example

Forms = tuple[str, str]
"""Singular and plural."""


@dataclass(frozen=True)
class Agreement:
    """The template may have the slots subject, other, inner (the clause's verb), preposition and thing.

    `governor` is the slot of the noun that the asked verb agrees with.
    """

    template: str
    governor: Literal["subject", "other"]
    nouns: tuple[Forms, ...]
    verbs: tuple[Forms, ...]
    inner_verbs: tuple[Forms, ...] = (("", ""),)
    prepositions: tuple[str, ...] = ("",)
    things: tuple[Forms, ...] = (("", ""),)
    metric: AnswerMetric = logit_difference

    def draw(self, draw: Random) -> Example:
        """One pair of prompts."""
        nouns = dict(zip(("subject", "other"), draw.sample(self.nouns, 2), strict=True))
        number = {slot: draw.randrange(2) for slot in nouns}
        rest = {
            "inner": draw.choice(self.inner_verbs)[number["other"]],
            "preposition": draw.choice(self.prepositions),
            "thing": draw.choice(self.things)[draw.randrange(2)],
        }
        verb, right = draw.choice(self.verbs), number[self.governor]

        def text(flipped: int) -> str:
            numbers = number | {self.governor: right ^ flipped}
            return self.template.format(**{slot: forms[numbers[slot]] for slot, forms in nouns.items()}, **rest)

        return Example(text(0), text(1), (f" {verb[right]}",), (f" {verb[1 - right]}",))
