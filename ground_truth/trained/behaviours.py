"""What each trained model must do, and through which head-level edges alone.

A behaviour draws prompts, corrupts them, and says what the answer becomes when the output of one node of the
circuit is replaced by its output on another prompt (an interchange). The edge set was declared before
training; everything else is trained to make no difference when it is resampled.
Answers are distributions over the vocabulary, so that "any later year" is an answer too.
"""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass

import torch
from jaxtyping import Float, Int
from torch import Generator, Tensor

Vocabulary = tuple[str, ...]


@dataclass(frozen=True)
class Batch:
    """Prompts, all read at their last position, with the hidden variables that made them."""

    tokens: Int[Tensor, "batch position"]
    answer: Float[Tensor, "batch vocabulary"]
    hidden: dict[str, Tensor]

    def __len__(self) -> int:
        return len(self.tokens)


@dataclass(frozen=True, kw_only=True)
class TrainedBehaviour:
    """One behaviour. `interchange[node]` maps (base, source) to the answer after that node's output is swapped in.

    `sources[node]` draws prompts for that interchange, given the base; a fresh sample where it is absent.
    """

    name: str
    summary: str
    vocabulary: Vocabulary
    length: int
    edges: tuple[str, ...]
    sample: Callable[[int, Generator], Batch]
    corruptions: tuple[Callable[[Batch, Generator], Batch], ...]
    interchange: dict[str, Callable[[Batch, Batch], Tensor]]
    sources: dict[str, Callable[[Batch, Generator], Batch]]


def _one_hot(ids: Tensor, vocabulary: Vocabulary) -> Tensor:
    return torch.nn.functional.one_hot(ids, len(vocabulary)).float()


def _draw(n: int, high: int, generator: Generator) -> Tensor:
    return torch.randint(high, (n,), generator=generator)


def _distinct(n: int, high: int, k: int, generator: Generator) -> Tensor:
    """[n, k] different numbers below `high` in each row."""
    return torch.rand(n, high, generator=generator).argsort(1)[:, :k]


def _ids(words: str, vocabulary: Vocabulary) -> list[int]:
    return [vocabulary.index(word) for word in words.split()]


# -- indirect object -----------------------------------------------------------------------------

_NAMES = (
    "Anna",
    "Bill",
    "Carol",
    "David",
    "Emma",
    "Frank",
    "Grace",
    "Henry",
    "Iris",
    "James",
    "Kate",
    "Liam",
    "Mary",
    "Noah",
    "Olga",
    "Peter",
)
_PLACES, _THINGS = ("store", "park", "school", "office"), ("drink", "book", "ball", "letter")
IOI_VOCABULARY = (*_NAMES, *_PLACES, *_THINGS, "<bos>", "and", "went", "to", "the", ".", "gave", "a")
_IOI_LENGTH = 14


def _ioi_prompts(names: Tensor, subject: Tensor, words: Tensor) -> Batch:
    """`names` [n, 2] in order of appearance; `subject` [n] the name that gives; `words` [n, 2] place and thing."""
    v = IOI_VOCABULARY
    tokens = torch.tensor([_ids("<bos> Anna and Anna went to the store . Anna gave a drink to", v)]).repeat(
        len(names), 1
    )
    tokens[:, 1], tokens[:, 3], tokens[:, 9] = names[:, 0], names[:, 1], subject
    tokens[:, 7], tokens[:, 12] = len(_NAMES) + words[:, 0], len(_NAMES) + len(_PLACES) + words[:, 1]
    place = (names[:, 1] == subject).long()  # 0 if the first name is repeated, 1 if the second
    answer = names.gather(1, 1 - place[:, None]).squeeze(1)
    return Batch(tokens, _one_hot(answer, v), {"names": names, "place": place, "words": words})


def _ioi_sample(n: int, generator: Generator) -> Batch:
    names = _distinct(n, len(_NAMES), 2, generator)
    subject = names.gather(1, _draw(n, 2, generator)[:, None]).squeeze(1)
    words = torch.stack([_draw(n, len(_PLACES), generator), _draw(n, len(_THINGS), generator)], 1)
    return _ioi_prompts(names, subject, words)


def _ioi_fresh(base: Batch, generator: Generator) -> Batch:
    return _ioi_sample(len(base), generator)


def _ioi_three_names(base: Batch, generator: Generator) -> Batch:
    """Three different names: nobody is repeated."""
    names = _distinct(len(base), len(_NAMES), 3, generator)
    return _ioi_prompts(names[:, :2], names[:, 2], base.hidden["words"])


def _ioi_other_subject(base: Batch, generator: Generator) -> Batch:
    """The same two names, the other one gives."""
    names, place = base.hidden["names"], base.hidden["place"]
    return _ioi_prompts(names, names.gather(1, 1 - place[:, None]).squeeze(1), base.hidden["words"])


def _ioi_swapped(base: Batch, generator: Generator) -> Batch:
    """The two names change places; the same one gives."""
    names, place = base.hidden["names"], base.hidden["place"]
    return _ioi_prompts(names.flip(1), names.gather(1, place[:, None]).squeeze(1), base.hidden["words"])


def _ioi_mixed(base: Batch, generator: Generator) -> Batch:
    """A half of fresh prompts, and a quarter each of swapped names and of the other subject."""
    kinds = [_ioi_fresh(base, generator), _ioi_swapped(base, generator), _ioi_other_subject(base, generator)]
    which = torch.tensor([0, 0, 1, 2])[_draw(len(base), 4, generator)]

    def pick(*tensors: Tensor) -> Tensor:
        return torch.stack(tensors, 1)[torch.arange(len(base)), which]

    hidden = {key: pick(*(k.hidden[key] for k in kinds)) for key in base.hidden}
    return Batch(pick(*(k.tokens for k in kinds)), pick(*(k.answer for k in kinds)), hidden)


def _ioi_place_from_source(base: Batch, source: Batch) -> Tensor:
    names = base.hidden["names"].gather(1, 1 - source.hidden["place"][:, None]).squeeze(1)
    return _one_hot(names, IOI_VOCABULARY)


IOI = TrainedBehaviour(
    name="ioi",
    summary="indirect object through a duplicate-token, an S-inhibition and a name-mover head",
    vocabulary=IOI_VOCABULARY,
    length=_IOI_LENGTH,
    edges=("input->a0.h1", "a0.h1->a1.h2", "a1.h2->a2.h0", "input->a2.h0", "a2.h0->logits"),
    sample=_ioi_sample,
    corruptions=(_ioi_fresh, _ioi_three_names, _ioi_other_subject, _ioi_swapped),
    interchange={
        "a0.h1": _ioi_place_from_source,
        "a1.h2": _ioi_place_from_source,
        "a2.h0": lambda base, source: source.answer,
    },
    sources=dict.fromkeys(("a0.h1", "a1.h2", "a2.h0"), _ioi_mixed),
)


# -- greater than --------------------------------------------------------------------------------

_YEARS = tuple(f"{year:02d}" for year in range(20))
_NOUNS = ("war", "strike", "tour", "feud", "reign", "study", "siege", "voyage")
_CENTURIES = ("11", "12", "13", "14", "15", "16", "17", "18")
GREATER_VOCABULARY = (
    *_YEARS, *(f"c{c}" for c in _CENTURIES), *_NOUNS, "<bos>", "the", "lasted", "from", "year", "to",
)  # fmt: skip
_GREATER_LENGTH = 9


def _greater_prompts(year: Tensor, century: Tensor, noun: Tensor) -> Batch:
    v = GREATER_VOCABULARY
    tokens = torch.tensor([_ids("<bos> the war lasted from c11 00 to c11", v)]).repeat(len(year), 1)
    tokens[:, 2] = len(_YEARS) + len(_CENTURIES) + noun
    tokens[:, 5] = tokens[:, 8] = len(_YEARS) + century
    tokens[:, 6] = year
    later = torch.arange(len(_YEARS)) > year[:, None]
    answer = torch.zeros(len(year), len(v))
    answer[:, : len(_YEARS)] = later / later.sum(1, keepdim=True)
    return Batch(tokens, answer, {"year": year, "century": century, "noun": noun})


def _greater_sample(n: int, generator: Generator) -> Batch:
    year = _draw(n, len(_YEARS) - 1, generator)
    return _greater_prompts(year, _draw(n, len(_CENTURIES), generator), _draw(n, len(_NOUNS), generator))


def _greater_fresh(base: Batch, generator: Generator) -> Batch:
    return _greater_sample(len(base), generator)


def _greater_other_year(base: Batch, generator: Generator) -> Batch:
    """Another year, everything else the same."""
    year = _draw(len(base), len(_YEARS) - 1, generator)
    return _greater_prompts(year, base.hidden["century"], base.hidden["noun"])


def _greater_first_year(base: Batch, generator: Generator) -> Batch:
    """The year 00, after which every year comes."""
    return _greater_prompts(torch.zeros_like(base.hidden["year"]), base.hidden["century"], base.hidden["noun"])


GREATER_THAN = TrainedBehaviour(
    name="greater-than",
    summary="a later year through one head that fetches the year and two MLPs that compare",
    vocabulary=GREATER_VOCABULARY,
    length=_GREATER_LENGTH,
    edges=("input->a0.h2", "a0.h2->a1.h3", "a1.h3->m1", "m1->m2", "m2->logits"),
    sample=_greater_sample,
    corruptions=(_greater_fresh, _greater_other_year, _greater_first_year),
    interchange=dict.fromkeys(("a0.h2", "a1.h3", "m1", "m2"), lambda base, source: source.answer),
    sources={},
)


# -- induction -----------------------------------------------------------------------------------

_SYMBOLS = tuple("abcdefghijklmnopqrst")
INDUCTION_VOCABULARY = (*_SYMBOLS, "<bos>")
_PAIRS = 5
_INDUCTION_LENGTH = 2 * _PAIRS + 2


def _induction_prompts(keys: Tensor, values: Tensor, asked: Tensor) -> Batch:
    """`keys` and `values` [n, pairs]; `asked` [n] the slot whose key is repeated at the end."""
    tokens = torch.full((len(keys), _INDUCTION_LENGTH), len(_SYMBOLS))
    tokens[:, 1:-1:2], tokens[:, 2:-1:2] = keys, values
    tokens[:, -1] = keys.gather(1, asked[:, None]).squeeze(1)
    answer = values.gather(1, asked[:, None]).squeeze(1)
    return Batch(tokens, _one_hot(answer, INDUCTION_VOCABULARY), {"keys": keys, "values": values, "asked": asked})


def _induction_sample(n: int, generator: Generator) -> Batch:
    symbols = _distinct(n, len(_SYMBOLS), 2 * _PAIRS, generator)
    return _induction_prompts(symbols[:, :_PAIRS], symbols[:, _PAIRS:], _draw(n, _PAIRS, generator))


def _induction_fresh(base: Batch, generator: Generator) -> Batch:
    return _induction_sample(len(base), generator)


def _induction_other_question(base: Batch, generator: Generator) -> Batch:
    """The same pairs, another key asked for."""
    return _induction_prompts(base.hidden["keys"], base.hidden["values"], _draw(len(base), _PAIRS, generator))


def _induction_permuted(base: Batch, generator: Generator) -> Batch:
    """The same keys in other slots, with other values, the same key asked for."""
    keys, asked = base.hidden["keys"], base.hidden["asked"]
    order = torch.rand(len(base), _PAIRS, generator=generator).argsort(1)
    wanted = keys.gather(1, asked[:, None])
    moved = keys.gather(1, order)
    free = torch.rand(len(base), len(_SYMBOLS), generator=generator)
    free.scatter_(1, keys, 2.0)  # a key is never a value
    values = free.argsort(1)[:, :_PAIRS]
    return _induction_prompts(moved, values, (moved == wanted).long().argmax(1))


def _induction_slot_from_source(base: Batch, source: Batch) -> Tensor:
    """The previous-token head says which key stands before each position: the slot is the source's."""
    slot = (source.hidden["keys"] == base.tokens[:, -1:]).long().argmax(1)
    return _one_hot(base.hidden["values"].gather(1, slot[:, None]).squeeze(1), INDUCTION_VOCABULARY)


INDUCTION = TrainedBehaviour(
    name="induction",
    summary="the symbol that followed, through a previous-token and an induction head",
    vocabulary=INDUCTION_VOCABULARY,
    length=_INDUCTION_LENGTH,
    edges=("input->a0.h3", "a0.h3->a1.h1", "input->a1.h1", "a1.h1->logits"),
    sample=_induction_sample,
    corruptions=(_induction_fresh, _induction_other_question, _induction_permuted),
    interchange={"a0.h3": _induction_slot_from_source, "a1.h1": lambda base, source: source.answer},
    sources={"a0.h3": _induction_permuted},
)

BEHAVIOURS = {b.name: b for b in (IOI, GREATER_THAN, INDUCTION)}
