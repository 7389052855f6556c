"""The prompts of subject-verb agreement that Marks et al. 2024 publish, as their code reads them, and split anew.

    {"clean_prefix": "The boys", "patch_prefix": "The boy", "clean_answer": " are", "patch_answer": " is", "case": "plural"}

Read as there: rows shuffled by `Random(12)`; kept are pairs of equal length whose answers are one token, of one stated length; no first
token (bos). Of the rows of the train and the test file those fit for Pythia's tokenizer, which splits some nouns: simple 413 of 480 and 97 of
120, nounpp 1,546 of 1,920 and 396 of 480, within_rc 6,914 of 9,600 and 1,726 of 2,400. Data seed n shuffles by `Random(12 + n)`, so that 0 is the published order.

Two splits. `published` takes discovery prompts from the train file and evaluation prompts from the test file, which overlap: 113 of the 120 rows
of simple, 83 of the 480 of nounpp and 2,302 of the 2,400 of within_rc are in the train file too. `disjoint` puts both files together
and holds every third noun out: a discovery prompt has none of them, an evaluation prompt no other. Prompts with nouns of both kinds are used
by neither.

Source: Marks et al. 2024 and its code; the sentences are adapted from Finlayson et al. 2021.
"""

from __future__ import annotations

import re
from collections.abc import Sequence
from pathlib import Path
from random import Random
from typing import Literal, NamedTuple

from mechboard.errors import UsageError

from ..behaviours.examples import Example
from ..own_files import read_lines
from ..tokenizers import Encode

Split = Literal["published", "disjoint"]
_SEED = 12
_EVERY, _HELD_OUT_FROM = 3, 2
_KEYS = ("clean_prefix", "patch_prefix", "clean_answer", "patch_answer")
_VALID = f"JSON lines with {', '.join(_KEYS)}"
_IRREGULAR = {"men": "man", "women": "woman"}
_NOUN = re.compile(r"\b[Tt]he (\w+)")


class Halves(NamedTuple):
    """Prompts for discovery and prompts for scoring."""

    discovery: list[Example]
    evaluation: list[Example]


def read_rows(path: Path) -> list[Example]:
    """Every row of a file, in its order.

    Raises:
        UsageError: a row lacks something or holds something else than text.
    """
    found = []
    for where, row in read_lines(path, "the asset file", _VALID, fewest=1):
        values = [row.get(key) for key in _KEYS]
        if not all(isinstance(value, str) and value for value in values):
            raise UsageError(f"{where} lacks {', '.join(_KEYS)} as text; valid: {_VALID}.")
        clean, corrupt, answer, wrong = map(str, values)
        found.append(Example(clean, corrupt, (answer,), (wrong,)))
    return found


def halves(train: Sequence[Example], test: Sequence[Example], split: Split) -> Halves:
    """Rows for discovery and rows for scoring."""
    if split == "published":
        return Halves(list(train), list(test))
    every = [*train, *test]
    nouns = {example.clean: list(map(_singular, _NOUN.findall(example.clean))) for example in every}
    held_out = {
        noun for in_slot in zip(*nouns.values(), strict=True) for noun in sorted(set(in_slot))[_HELD_OUT_FROM::_EVERY]
    }
    return Halves(
        [example for example in every if not held_out.intersection(nouns[example.clean])],
        [example for example in every if held_out.issuperset(nouns[example.clean])],
    )


def drawn(
    rows: Sequence[Example], encode: Encode, *, n_tokens: int, n: int, data_seed: int, what: str
) -> list[Example]:
    """The first so many pairs of a shuffle that have this length and answers of one token.

    Raises:
        UsageError: there are fewer; says of `what`.
    """
    shuffled = list(rows)
    Random(_SEED + data_seed).shuffle(shuffled)
    fit = [
        e for e in shuffled
        if {len(encode(text)) for text in (e.clean, e.corrupt)} == {n_tokens}
        and all(len(encode(answer)) == 1 for answer in (*e.answers, *e.wrong))
    ]  # fmt: skip
    if len(fit) < n:
        raise UsageError(
            f"{what} holds {len(fit)} pairs of {n_tokens} tokens whose answers are one token each, of {len(rows)}; valid: {n} or more; "
            "is the tokenizer Pythia's and are the files those of the structure?"
        )
    return fit[:n]


def _singular(noun: str) -> str:
    return _IRREGULAR.get(noun, noun.removesuffix("s"))
