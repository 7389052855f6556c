"""Text with marks: templates filled so that it is known where each word stands."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from functools import lru_cache
from string import Formatter
from typing import NamedTuple

import torch
from jaxtyping import Int
from torch import Tensor

from ..vocabulary import BOS, VOCABULARY, tokenizer


class Marked(NamedTuple):
    """Token ids of a text, and where the words of its slots stand in it: the last one, if a slot occurs twice."""

    ids: list[int]
    at: dict[str, int]


@lru_cache(maxsize=1 << 14)
def encode(text: str) -> tuple[int, ...]:
    """Token ids of a piece of text, without the token that begins a prompt."""
    return tuple(tokenizer().encode(text, add_special_tokens=False).ids)


def marked(template: str, words: Mapping[str, str]) -> Marked:
    """Fill a template; a slot stands at the last token of its word.

    >>> marked("From {century}{start} to", {"century": "17", "start": "43"}).at
    {'century': 1, 'start': 2}
    """
    ids: list[int] = []
    at: dict[str, int] = {}
    for literal, slot, _, _ in Formatter().parse(template):
        ids += encode(literal)
        if slot is not None:
            ids += encode(words[slot])
            at[slot] = len(ids) - 1
    return Marked(ids, at)


def padded(rows: Sequence[Sequence[int]]) -> tuple[Int[Tensor, "rows position"], Int[Tensor, " rows"]]:
    """Rows behind the token that begins a prompt, filled up on the right, and their lengths."""
    begin = VOCABULARY.index(BOS)
    lengths = torch.tensor([len(row) + 1 for row in rows])
    longest = int(lengths.max())
    return torch.tensor([[begin, *row, *[begin] * (longest - len(row) - 1)] for row in rows]), lengths
