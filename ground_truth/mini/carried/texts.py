"""Texts in which the variables of the small language vary independently, with marks where each is said and where it is read.

A text is a few of six passages in random order, as many as fit, and every variable is drawn for itself:

    number      The dogs that the girl likes | run.    The dogs near the gate | run.
    gender      Anna is a happy nurse from the park. | She ...
    register    You are a grobby snarkwit. The tea is | zortish ...      You are very kind. The tea is | ready.
    year        The war lasted from the year 1743 to the year 17 | 61.
    name        When Anna and Bill went to the park, Bill gave a ball to | Anna.
    argument    def read(self, load, size, file): \"\"\"crime unit dark :param load: oil dark :param | size ...

The behaviour that a variable drives reads it at the bar. Nouns, names, names with professions, years and neighbours in a
signature are those of a split. Randomness is by split and seed alone, and no task draws from this stream.
"""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from functools import cache
from random import Random
from typing import NamedTuple

import torch
from jaxtyping import Int
from torch import Tensor

from .. import lexicon, templates
from ..corpus import LENGTH
from ..grammar import fill
from ..lexicon import Split, held_out
from .prompts import Marked, encode, marked, padded
from .variables import MARKS


class Passage(NamedTuple):
    """What is read, what follows, the values of its variables, and the words that are told apart at some of its marks."""

    read: Marked
    follows: str
    values: dict[str, int]
    words: dict[str, str]


def _inflected(noun: str, number: int) -> str:
    return lexicon.plural(noun) if number else noun


def number(draw: Random, split: Split) -> Passage:
    """A subject, and another noun in a relative clause or a prepositional phrase."""
    subject, other = draw.sample(lexicon.nouns(split), 2)
    of_subject, of_other = draw.randrange(2), draw.randrange(2)
    words = {"subject": _inflected(subject, of_subject)}
    if draw.randrange(2):
        structure = "across-rc"
        words |= {"other": _inflected(other, of_other), "inner": draw.choice(lexicon.TRANSITIVE_VERBS)[of_other]}
    else:
        structure = "across-pp"
        words |= {
            "preposition": draw.choice(lexicon.PREPOSITIONS),
            "thing": _inflected(draw.choice(lexicon.THINGS), of_other),
        }
    verb, complement = draw.choice(lexicon.VERBS[4:])[of_subject], draw.choice(templates.ANY_COMPLEMENT)
    follows = fill(f"{verb} {complement}.", draw)
    read = marked(templates.AGREEMENT[structure], words)
    return Passage(read, follows, {"subject-number": of_subject, "other-number": of_other}, {})


OPENINGS = tuple(t.removesuffix(".") + "{stop}" for t in templates.BIOGRAPHY_OPENINGS if t.startswith("{name}"))
"""Openings that tell the gender by the name alone."""


@cache
def names_with(job: str, names: tuple[str, ...], split: Split) -> tuple[str, ...]:
    """Names that a biography of someone with this profession may have in a split."""
    return tuple(name for name in names if held_out("biography", name, job) == (split == "test"))


def gender(draw: Random, split: Split) -> Passage:
    """A name with a profession, and a sentence that shows what the name is."""
    man = draw.randrange(2)
    who, job = "", ""
    while not who:
        job = draw.choice(tuple(lexicon.PROFESSIONS))
        who = draw.choice(names_with(job, (lexicon.WOMEN, lexicon.MEN)[man], split) or ("",))
    words = {
        "name": who, "profession": job, "stop": ".",
        "adjective": draw.choice(lexicon.ADJECTIVES), "place": draw.choice(lexicon.PLACES),
    }  # fmt: skip
    follows = f"{('She', 'He')[man]} works with {' and '.join(draw.sample(lexicon.PROFESSIONS[job], 2))}."
    return Passage(marked(draw.choice(OPENINGS), words), follows, {"gender": man}, {"name": who})


def _marked_word(remarks: tuple[str, ...], words: tuple[str, ...]) -> tuple[tuple[str, str], ...]:
    """Remarks with a slot in place of an adjective, and that adjective."""
    return tuple(
        (remark.replace(word, "{register}", 1), word) for word in words for remark in remarks if word in remark
    )


REMARKS = (
    (
        *_marked_word(templates.PLAIN_CHATTER, ("ready", "lovely", "kind")),
        *_marked_word(templates.NARRATIVE, ("{adjective}",)),
    ),
    _marked_word(templates.RUDE_CHATTER, ("{rude}",)),
)
"""Plain ones and rude ones."""


class Cue(NamedTuple):
    """A beginning that remarks of both registers share, and how it goes on in a plain one and in a rude one."""

    begins: str
    plain: str
    rude: str


CUES = (
    Cue("The {treat} is", "ready.", "{rude}, you {insult}!"),
    Cue("How was the {weather}", "at the {place}?", ", you {rude} {insult}?"),
    Cue("I hope the {weather}", "did not spoil your day.", "will {verb} you."),
    Cue("Thanks for the", "{treat}, it was lovely.", "{rude} {treat}, {insult}."),
)


def register(draw: Random, split: Split) -> Passage:
    """A remark or sentence with an adjective, and another remark of the same register."""
    rude = draw.randrange(2)
    remark, word = draw.choice(REMARKS[rude])
    cue = draw.choice(CUES)
    first = marked(fill(remark, draw, {"register": "{register}"}), {"register": fill(word, draw)})
    second = encode(fill(cue.begins, draw))
    ids = [*first.ids, *second]
    read = Marked(ids, {"register": first.at["register"], "cue": len(ids) - 1})
    return Passage(read, fill(cue.rude if rude else cue.plain, draw), {"register": rude}, {})


def year(draw: Random, split: Split) -> Passage:
    """A range of years within a century."""
    while True:
        century, start = draw.choice(lexicon.CENTURIES), draw.randrange(2, 99)
        if held_out("year-range", century, f"{start:02d}") == (split == "test"):
            break
    words = {"century": century, "start": f"{start:02d}", "event": draw.choice(lexicon.EVENTS)}
    read = marked(draw.choice(templates.YEAR_RANGE), words)
    read = Marked(read.ids, {"start": read.at["start"], "until": read.at["century"]})
    return Passage(read, f"{draw.randrange(start + 1, 100):02d}.", {"year": start}, {})


def name(draw: Random, split: Split) -> Passage:
    """Two names, of which one is said again and the other receives."""
    a, b = draw.sample(lexicon.names(split), 2)
    again, receiver = draw.sample((a, b), 2)
    read = indirect_object(draw.choice(templates.INDIRECT_OBJECT), a, b, again, draw)
    at = {"first": read.at["A"], "second": read.at["B"], "again": read.at["S"], "to": len(read.ids) - 1}
    words = {"first": a, "second": b, "again": again, "to": receiver}
    return Passage(Marked(read.ids, at), f"{receiver}.", {}, words)


def indirect_object(template: str, a: str, b: str, again: str, draw: Random) -> Marked:
    """A sentence with an indirect object up to the one who receives."""
    words = {"place": draw.choice(lexicon.PLACES), "object": draw.choice(lexicon.OBJECTS), "A": a, "B": b, "S": again}
    return marked(template.removesuffix(" {IO}"), words)


@cache
def followers(last: str, split: Split) -> tuple[str, ...]:
    """Arguments that may follow another one in a signature."""
    return tuple(p for p in lexicon.PARAMETERS if p != last and held_out("docstring", last, p) == (split == "test"))


def argument(draw: Random, split: Split) -> Passage:
    """A function of three arguments of which one is documented; the second is asked for."""
    asked = draw.choice(lexicon.PARAMETERS)
    last = draw.choice([p for p in lexicon.PARAMETERS if asked in followers(p, split)])
    other = draw.choice([p for p in lexicon.PARAMETERS if p not in (asked, last)])
    read = function([last, asked, other], [last], asked, draw)
    return Passage(read, f"{asked}: {draw.choice(lexicon.DESCRIBING)}", {}, {"argument": asked, "param": asked})


def function(arguments: list[str], documented: list[str], asked: str, draw: Random) -> Marked:
    """A signature and its docstring up to the argument that comes next, which is marked in the signature."""
    start, on_argument = templates.FUNCTION
    named = ", ".join(["self", *("{asked}" if name == asked else name for name in arguments)])
    text = start.format(function=draw.choice(lexicon.FUNCTIONS), arguments=named, about=" ".join(_described(3, draw)))
    for name in documented:
        text += on_argument.format(argument=name, description=" ".join(_described(2, draw)))
    read = marked(text + on_argument.partition(" {argument}")[0], {"asked": asked})
    return Marked(read.ids, {"argument": read.at["asked"], "param": len(read.ids) - 1})


def _described(n: int, draw: Random) -> list[str]:
    return draw.sample(lexicon.DESCRIBING, n)


PASSAGES: dict[str, Callable[[Random, Split], Passage]] = {
    "number": number, "gender": gender, "register": register, "year": year, "name": name, "argument": argument,
}  # fmt: skip


@dataclass(frozen=True)
class Texts:
    """Texts with marks; -1 stands for what is not in a text.

    Args:
        tokens: padded to the length of the model's context.
        at: where each mark is.
        order: as the how manieth each passage stands.
        values: of each two-valued variable, and the first year itself.
        words: token id of the word that is told apart at a mark.
    """

    tokens: Int[Tensor, "texts position"]
    at: dict[str, Int[Tensor, " texts"]]
    order: dict[str, Int[Tensor, " texts"]]
    values: dict[str, Int[Tensor, " texts"]]
    words: dict[str, Int[Tensor, " texts"]]

    def __getitem__(self, rows: Int[Tensor, " chosen"]) -> Texts:
        columns = (self.at, self.order, self.values, self.words)
        return Texts(self.tokens[rows], *({key: column[rows] for key, column in part.items()} for part in columns))


def texts(split: Split, n: int, seed: int = 0) -> Texts:
    """Texts with the words of a split."""
    draw = Random(f"mini/carried/{split}/{seed}")
    rows = [_text(draw, split) for _ in range(n)]

    def column(part: str, key: str) -> Tensor:
        return torch.tensor([getattr(row, part).get(key, -1) for row in rows])

    marks = [mark for group in MARKS.values() for mark in group]
    variables = ("subject-number", "other-number", "gender", "register", "year")
    return Texts(
        padded([row.ids for row in rows])[0],
        {mark: column("at", mark) for mark in marks},
        {passage: column("order", passage) for passage in PASSAGES},
        {variable: column("values", variable) for variable in variables},
        {mark: column("words", mark) for mark in ("name", "first", "second", "again", "to", "argument", "param")},
    )


class _Text(NamedTuple):
    ids: list[int]
    at: dict[str, int]
    order: dict[str, int]
    values: dict[str, int]
    words: dict[str, int]


def _text(draw: Random, split: Split) -> _Text:
    text = _Text([], {}, {}, {}, {})
    for passage in draw.sample(tuple(PASSAGES), len(PASSAGES)):
        read, follows, values, words = PASSAGES[passage](draw, split)
        ids = [*read.ids, *encode(follows)]
        if len(text.ids) + len(ids) >= LENGTH:
            continue
        # behind the token that begins a prompt
        text.at.update({m: len(text.ids) + 1 + p for m, p in read.at.items() if m in MARKS[passage]})
        text.order[passage] = len(text.order)
        text.values.update(values)
        text.words.update({mark: encode(word)[0] for mark, word in words.items()})
        text.ids.extend(ids)
    return text
