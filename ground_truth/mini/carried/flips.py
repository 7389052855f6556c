"""Prompts in which a variable has one value and then the other, all else alike, and what the model says of it.

    m = log-odds of the answers that go with value 1 against those that go with value 0, at the last token
    whole = mean over prompts of m(value 1) - m(value 0)

For the year m is P(above the cut) - P(not above it) instead, since one of the two is often next to nothing. Words are those of a split,
but `name:Anna` and `argument:file` ask for one word (value 1) against another one (value 0) of the same kind.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from random import Random

import torch
from jaxtyping import Bool, Float, Int
from torch import Tensor

from mechboard.graph import Decoder

from .. import lexicon, templates
from ..grammar import fill
from ..lexicon import Split, held_out
from ..vocabulary import VOCABULARY
from .prompts import encode, marked, padded
from .texts import CUES, OPENINGS, followers, function, indirect_object, names_with

_REMARKS = 2
_ARGUMENTS, _ASKED = 6, 4


@dataclass(frozen=True)
class Flips:
    """Prompts with value 1 and, as many rows further down, those with value 0.

    Args:
        tokens: padded on the right.
        lengths: of each row; the answer is read at the last token.
        one: answers that go with value 1, for each row.
        zero: those that go with value 0.
        likelihoods: whether probabilities are subtracted, in place of log-odds.
    """

    tokens: Int[Tensor, "rows position"]
    lengths: Int[Tensor, " rows"]
    one: Bool[Tensor, "rows vocabulary"]
    zero: Bool[Tensor, "rows vocabulary"]
    likelihoods: bool = False

    @property
    def last(self) -> Int[Tensor, "rows 1"]:
        """Where answers are read."""
        return self.lengths[:, None] - 1

    def differences(
        self, decoder: Decoder, final: Float[Tensor, "*runs rows 1 d_model"]
    ) -> Float[Tensor, "*runs prompts"]:
        """m(value 1) - m(value 0) of each prompt, from final residual streams at the last token."""
        said = decoder.unembed(final)[..., 0, :].log_softmax(-1)
        one, zero = (said.masked_fill(~answers, -torch.inf).logsumexp(-1) for answers in (self.one, self.zero))
        metric = one.exp() - zero.exp() if self.likelihoods else one - zero
        of_one, of_zero = metric.chunk(2, dim=-1)
        return of_one - of_zero


Pair = tuple[Sequence[int], Sequence[int], Sequence[str], Sequence[str]]
"""A prompt with value 1, the same with value 0, and the answers that go with 1 and with 0."""


def flips(behaviour: str, split: Split, n: int, seed: int = 0) -> Flips:
    """Prompts of a behaviour with the words of a split; of `name` or `argument` alone with words drawn at random."""
    draw = Random(f"mini/flips/{behaviour}/{split}/{seed}")
    name, _, of = behaviour.partition(":")
    kind, _, cut = name.partition(">")
    if kind.startswith("agreement-"):
        pairs = [_agreement(kind.removeprefix("agreement-"), draw, split) for _ in range(n)]
    elif kind == "year":
        pairs = [_year(int(cut), draw, split) for _ in range(n)]
    elif kind in ("name", "argument"):
        pairs = [(_name if kind == "name" else _argument)(of, draw, split) for _ in range(n)]
    else:
        pairs = [_TWO[kind](draw, split) for _ in range(n)]
    ones, zeros, for_one, for_zero = zip(*pairs, strict=True)
    tokens, lengths = padded([*ones, *zeros])
    return Flips(tokens, lengths, _answers(for_one), _answers(for_zero), likelihoods=kind == "year")


def _answers(words: Sequence[Sequence[str]]) -> Bool[Tensor, "rows vocabulary"]:
    found = torch.zeros(len(words), len(VOCABULARY), dtype=torch.bool)
    for row, some in enumerate(words):
        found[row, [encode(word)[0] for word in some]] = True
    return found.repeat(2, 1)


def _agreement(structure: str, draw: Random, split: Split) -> Pair:
    subject, other = draw.sample(lexicon.nouns(split), 2)
    thing, preposition = draw.choice(lexicon.THINGS), draw.choice(lexicon.PREPOSITIONS)
    asked = "other" if structure == "within-rc" else "subject"
    verb = draw.choice(lexicon.TRANSITIVE_VERBS if asked == "other" else lexicon.VERBS)
    numbers = {slot: draw.randrange(2) for slot in ("subject", "other", "thing")}
    inner = draw.choice(lexicon.TRANSITIVE_VERBS)

    def ids(value: int) -> list[int]:
        given = numbers | {asked: value}
        nouns = {
            slot: lexicon.plural(noun) if given[slot] else noun
            for slot, noun in (("subject", subject), ("other", other), ("thing", thing))
        }
        return marked(
            templates.AGREEMENT[structure], {**nouns, "inner": inner[given["other"]], "preposition": preposition}
        ).ids

    return ids(1), ids(0), (verb[1],), (verb[0],)


def _gender(draw: Random, split: Split) -> Pair:
    pairs: list[tuple[str, str]] = []
    while not pairs:
        job = draw.choice(tuple(lexicon.PROFESSIONS))
        men, women = (names_with(job, names, split) for names in (lexicon.MEN, lexicon.WOMEN))
        pairs = [(man, woman) for man in men for woman in women]
    words = {
        "profession": job, "stop": ".",
        "adjective": draw.choice(lexicon.ADJECTIVES), "place": draw.choice(lexicon.PLACES),
    }  # fmt: skip
    opening, (man, woman) = draw.choice(OPENINGS), draw.choice(pairs)
    prompts = [marked(opening, words | {"name": name}).ids for name in (man, woman)]
    return prompts[0], prompts[1], ("He", "His"), ("She", "Her")


_GOES_ON: tuple[tuple[tuple[str, ...], tuple[str, ...]], ...] = (
    (lexicon.RUDE_ADJECTIVES, ("ready",)),
    ((",",), ("at",)),
    (("will",), ("did",)),
    (lexicon.RUDE_ADJECTIVES, lexicon.TREATS),
)
"""What follows each of `texts.CUES` in rude and in plain chatter."""


def _register(draw: Random, split: Split) -> Pair:
    cue, (rude, plain) = draw.choice(tuple(zip(CUES, _GOES_ON, strict=True)))
    begins = fill(cue.begins, draw)
    rude_ids, plain_ids = (
        encode(" ".join([*(fill(t, draw) for t in draw.sample(remarks, _REMARKS)), begins]))
        for remarks in (templates.RUDE_CHATTER, templates.PLAIN_CHATTER)
    )
    return rude_ids, plain_ids, rude, plain


def _year(cut: int, draw: Random, split: Split) -> Pair:
    template, event = draw.choice(templates.YEAR_RANGE), draw.choice(lexicon.EVENTS)
    century = draw.choice(lexicon.CENTURIES)
    allowed = [y for y in range(2, 99) if held_out("year-range", century, f"{y:02d}") == (split == "test")]
    starts = (draw.choice([y for y in allowed if y > cut]), draw.choice([y for y in allowed if y <= cut]))
    one, zero = (
        marked(template, {"event": event, "century": century, "start": f"{start:02d}"}).ids for start in starts
    )
    years = lexicon.NUMBERS
    return one, zero, years[cut + 1 :], years[: cut + 1]


def _indirect_object(draw: Random, split: Split) -> Pair:
    """Of two names the second and then the first is said again."""
    a, b = draw.sample(lexicon.names(split), 2)
    template, seed = draw.choice(templates.INDIRECT_OBJECT), draw.random()
    one, zero = (indirect_object(template, a, b, again, Random(seed)).ids for again in (b, a))
    return one, zero, (a,), (b,)


_TWO = {"gender": _gender, "register": _register, "indirect-object": _indirect_object}


def _name(name: str, draw: Random, split: Split) -> Pair:
    """One name and then another one of the same gender receives."""
    name = name or draw.choice(lexicon.names(split))
    same: Split = "test" if name in lexicon.HELD_OUT_NAMES else "train"
    alike = [other for other in (lexicon.WOMEN if name in lexicon.WOMEN else lexicon.MEN) if other != name]
    other = draw.choice(lexicon.names(same, tuple(alike)))
    again = draw.choice([third for third in lexicon.names(same) if third not in (name, other)])
    template, seed, first = draw.choice(templates.INDIRECT_OBJECT), draw.random(), draw.randrange(2)
    one, zero = (
        indirect_object(template, *((receiver, again) if first else (again, receiver)), again, Random(seed)).ids
        for receiver in (name, other)
    )
    return one, zero, (name,), (other,)


def _argument(name: str, draw: Random, split: Split) -> Pair:
    """One argument and then another one comes next in a signature."""
    name = name or draw.choice(lexicon.PARAMETERS)
    last = draw.choice([p for p in lexicon.PARAMETERS if name in followers(p, split) and len(followers(p, split)) > 1])
    other = draw.choice([p for p in followers(last, split) if p != name])
    rest = draw.sample([p for p in lexicon.PARAMETERS if p not in (name, other, last)], _ARGUMENTS - 2)
    seed = draw.random()

    def ids(asked: str) -> list[int]:
        arguments = [*rest[: _ASKED - 1], last, asked, *rest[_ASKED - 1 :]]
        return function(arguments, [rest[_ASKED - 2], last], asked, Random(seed)).ids

    return ids(name), ids(other), (name,), (other,)
