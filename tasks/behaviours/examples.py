"""From examples in words to clean and corrupt token ids with the targets of their metric."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from random import Random
from typing import Protocol

import torch

from mechboard.errors import UsageError
from mechboard.graph import PromptPairs
from mechboard.metrics.answers import AnswerIds, AnswerMetric

from ..tokenizers import Encode, answer_id


@dataclass(frozen=True)
class Example:
    """A prompt, its corruption, and what may follow: right answers and wrong ones, with the space in front if any."""

    clean: str
    corrupt: str
    answers: tuple[str, ...]
    wrong: tuple[str, ...]


class Behaviour(Protocol):
    """Draws examples, whose answers one metric reads."""

    @property
    def metric(self) -> AnswerMetric:
        """What is read off the logits after the last token."""
        ...

    def draw(self, draw: Random) -> Example:
        """One example."""
        ...


def as_pairs(examples: Sequence[Example], metric: AnswerMetric, encode: Encode, *, d_vocab: int) -> PromptPairs:
    """Token ids of the examples, padded on the right, read at each prompt's last token.

    Raises:
        UsageError: a word is not in the vocabulary, an answer is not one token, a pair differs in length, or the tokenizer has
            tokens that the model has not.
    """
    clean, corrupt = (
        [encode(text) for text in side] for side in zip(*((e.clean, e.corrupt) for e in examples), strict=True)
    )
    for example, ids, other in zip(examples, clean, corrupt, strict=True):
        if len(ids) != len(other):
            raise UsageError(
                f"{example.clean!r} is {len(ids)} tokens and its corruption {example.corrupt!r} {len(other)}; a pair "
                "must have equally many, so choose other words."
            )
    highest = max(max(ids) for ids in (*clean, *corrupt))
    if highest >= d_vocab:
        raise UsageError(
            f"The tokenizer gives token {highest} and the model knows {d_vocab}; it belongs to another model, so fetch this one's."
        )
    lengths = torch.tensor([len(ids) for ids in clean])
    longest = int(lengths.max())
    padded = [torch.tensor([ids + [0] * (longest - len(ids)) for ids in side]) for side in (clean, corrupt)]
    known: dict[str, int] = {}

    def ids_of(prompt: str, answers: tuple[str, ...]) -> list[int]:
        for answer in answers:
            if answer not in known:
                # What follows without a space is a token of its own: "17" and "00", though GPT-2 has a token for "1700".
                before = prompt if answer.startswith(" ") else ""
                known[answer] = answer_id(encode, before, answer, "answer")
        return [known[answer] for answer in answers]

    answers = [AnswerIds(ids_of(e.clean, e.answers), ids_of(e.clean, e.wrong)) for e in examples]
    return PromptPairs(padded[0], padded[1], lengths, (lengths - 1)[:, None], metric.targets(answers, d_vocab))
