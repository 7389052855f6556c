"""Pronoun: "Anna is a happy nurse from the park." -> " She".

Metric: logit(the pronoun of the name's gender) - logit(the other). Corrupt: a name of the other gender, and nothing else, so that
what is asked about a person stays and who it is changes.

Source: the biographies of Marks et al. 2024 (section 4), whose classifier takes gender for the profession; here gender is what
is asked for.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from random import Random

from mechboard.metrics.answers import AnswerMetric, logit_difference

from .examples import Example


@dataclass(frozen=True)
class Pronoun:
    """The template has the slots name and profession; `words` fill the others.

    `people` are for each profession the names that may stand with it, women's and men's; `pronouns` in the same order.
    """

    template: str
    people: Mapping[str, tuple[tuple[str, ...], tuple[str, ...]]]
    words: Mapping[str, tuple[str, ...]]
    pronouns: tuple[str, str] = (" She", " He")
    metric: AnswerMetric = logit_difference

    def draw(self, draw: Random) -> Example:
        """One pair of prompts."""
        profession, man = draw.choice(tuple(self.people)), draw.randrange(2)
        names = [draw.choice(of_gender) for of_gender in self.people[profession]]
        words = {slot: draw.choice(choices) for slot, choices in self.words.items()}
        clean, corrupt = (
            self.template.format(name=names[who], profession=profession, **words) for who in (man, 1 - man)
        )
        return Example(clean, corrupt, (self.pronouns[man],), (self.pronouns[1 - man],))
