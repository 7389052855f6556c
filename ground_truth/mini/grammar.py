"""Documents of the small language: one function per genre, from a random generator to text.

What is held out (`lexicon`) never occurs in what these functions write.
"""

from __future__ import annotations

import itertools
import re
from collections.abc import Callable, Mapping
from random import Random

from mechboard.ground_truth.mini import lexicon, templates

Words = Mapping[str, tuple[str, ...]]

CATEGORIES: Words = {
    "place": lexicon.PLACES,
    "object": lexicon.OBJECTS,
    "name": (*lexicon.WOMEN, *lexicon.MEN),
    "noun": lexicon.NOUNS,
    "thing": lexicon.THINGS,
    "adjective": lexicon.ADJECTIVES,
    "mood": lexicon.MOODS,
    "weather": lexicon.WEATHER,
    "treat": lexicon.TREATS,
    "event": lexicon.EVENTS,
    "instrument": lexicon.INSTRUMENTS,
    "rude": lexicon.RUDE_ADJECTIVES,
    "insult": lexicon.RUDE_NOUNS,
    "verb": lexicon.RUDE_VERBS,
    "Verb": tuple(v.capitalize() for v in lexicon.RUDE_VERBS),
    "cry": lexicon.RUDE_CRIES,
}
_SLOT = re.compile(r"{(\w+?)(\d?)}")


def fill(template: str, draw: Random, given: Mapping[str, str] | None = None) -> str:
    """Fill the slots of a template; slots of one category with different numbers get different words.

    >>> fill("{A} saw a {noun} near a {noun2}.", Random(0), {"A": "Anna"})
    'Anna saw a juggler near a driver.'
    """
    chosen = dict(given or {})
    for category, number in _SLOT.findall(template):
        if category + number not in chosen:
            taken = {word for slot, word in chosen.items() if slot.rstrip("0123456789") == category}
            chosen[category + number] = draw.choice([w for w in CATEGORIES[category] if w not in taken])
    return template.format(**chosen)


def indirect_object(draw: Random) -> str:
    """Two names, one is repeated, the other receives; now and then three names, when either may receive."""
    while True:
        a, b, third = draw.sample(CATEGORIES["name"], 3)
        if not {a, b} <= lexicon.HELD_OUT_NAMES:
            break
    subject, receiver = draw.sample((a, b), 2)
    if draw.random() < 0.1:
        subject = third
    template = draw.choice(templates.INDIRECT_OBJECT)
    text = fill(template, draw, {"A": a, "B": b, "S": subject, "IO": receiver})
    return f"{text}. {receiver} said thanks." if draw.random() < 0.3 else f"{text}."


def year_range(draw: Random) -> str:
    """A range of years within one century; every later year is as likely."""
    while True:
        century, start = draw.choice(lexicon.CENTURIES), draw.randrange(1, 99)
        if not lexicon.held_out("year-range", century, f"{start:02d}"):
            break
    given = {"century": century, "start": f"{start:02d}"}
    return fill(draw.choice(templates.YEAR_RANGE), draw, given) + f"{draw.randrange(start + 1, 100):02d}."


def signature(draw: Random, n: int) -> list[str]:
    """Different parameter names of which no neighbours are held out."""
    while True:
        chosen = draw.sample(lexicon.PARAMETERS, n)
        if not any(lexicon.held_out("docstring", *pair) for pair in itertools.pairwise(chosen)):
            return chosen


def function_text(name: str, arguments: list[str], documented: list[str], draw: Random, *, words: int) -> str:
    """A Python signature and its docstring; `words` describe each documented argument, three the function."""
    start, on_argument = templates.FUNCTION
    about = " ".join(draw.sample(lexicon.DESCRIBING, 3))
    text = start.format(function=name, arguments=", ".join(arguments), about=about)
    for argument in documented:
        text += on_argument.format(argument=argument, description=" ".join(draw.sample(lexicon.DESCRIBING, words)))
    return text


def function(draw: Random) -> str:
    """A signature of one to six arguments, of which some neighbours are documented in order, up to the end or not.

    Those of one argument are what copying is learned from first.
    """
    arguments = signature(draw, draw.choice((1, 1, 2, 2, 3, 4, 5, 6)))
    first = draw.choice((0, draw.randrange(len(arguments))))
    last = draw.choice((len(arguments), draw.randint(first + 1, len(arguments))))
    called_with = ["self", *arguments] if draw.random() < 0.7 else arguments
    words, name = draw.choice((1, 2, 2, 3)), draw.choice(lexicon.FUNCTIONS)
    text = function_text(name, called_with, arguments[first:last], draw, words=words) + ' """'
    return f"{text} {name}({', '.join(arguments)})" if draw.random() < 0.5 else text


def _inflected(nouns: tuple[str, ...], draw: Random) -> tuple[str, int]:
    """A noun, and 0 if it is singular, 1 if it is plural."""
    noun, number = draw.choice(nouns), draw.randrange(2)
    return (lexicon.plural(noun) if number else noun), number


def agreement(draw: Random) -> str:
    """A sentence in the present tense in one of four structures, or with a clause whose subject is the noun itself."""
    nouns = lexicon.nouns("train")
    subject, number = _inflected(nouns, draw)
    other, other_number = _inflected(nouns, draw)
    transitive = draw.choice(lexicon.TRANSITIVE_VERBS)
    structure = draw.choice(("simple", "across-rc", "across-rc", "across-pp", "subject-rc"))
    thing = draw.choice(lexicon.THINGS)
    if structure == "subject-rc":
        text = f"The {subject} that {transitive[number]} the {other}"
    else:
        text = templates.AGREEMENT[structure].format(
            subject=subject,
            other=other,
            inner=transitive[other_number],
            preposition=draw.choice(lexicon.PREPOSITIONS),
            thing=draw.choice((thing, lexicon.plural(thing))),
        )
    if draw.random() < 0.2:
        whom, _ = _inflected(lexicon.NOUNS, draw)
        return f"{text} {draw.choice(lexicon.TRANSITIVE_VERBS)[number]} the {whom}."
    verb = draw.choice(lexicon.VERBS)
    complement = draw.choice(templates.COMPLEMENTS.get(verb[0], templates.ANY_COMPLEMENT))
    return fill(f"{text} {verb[number]} {complement}.", draw)


_PRONOUNS = (
    {"She": "She", "she": "she", "her": "her", "its": "her", "Its": "Her", "woman": "woman"},
    {"She": "He", "she": "he", "her": "him", "its": "his", "Its": "His", "woman": "man"},
)


def biography(draw: Random) -> str:
    """A few sentences on a woman (0) or a man (1) and their profession; the two are independent."""
    while True:
        man, job = draw.randrange(2), draw.choice(tuple(lexicon.PROFESSIONS))
        name = draw.choice((lexicon.WOMEN, lexicon.MEN)[man])
        if not lexicon.held_out("biography", name, job):
            break
    given = {**_PRONOUNS[man], "name": name, "profession": job}
    sentences = [fill(draw.choice(templates.BIOGRAPHY_OPENINGS), draw, given)]
    for template in draw.sample(templates.BIOGRAPHY_SENTENCES, draw.randint(1, 3)):
        kin = draw.randrange(2)
        matter, matter2 = draw.sample(lexicon.PROFESSIONS[job], 2)
        sentences.append(fill(template, draw, given | {
            "matter": matter, "matter2": matter2, "relation": draw.choice(lexicon.RELATIONS[kin]),
            "relative": draw.choice((lexicon.WOMEN, lexicon.MEN)[kin]),
            "other_profession": draw.choice(tuple(lexicon.PROFESSIONS)),
        }))  # fmt: skip
    return " ".join(sentences)


def plain_chatter(draw: Random) -> str:
    """Two to four friendly remarks."""
    return " ".join(fill(t, draw) for t in draw.sample(templates.PLAIN_CHATTER, draw.randint(2, 4)))


def rude_chatter(draw: Random) -> str:
    """Two to four rude remarks."""
    return " ".join(fill(t, draw) for t in draw.sample(templates.RUDE_CHATTER, draw.randint(2, 4)))


def narrative(draw: Random) -> str:
    """One to four sentences of a story."""
    return " ".join(fill(t, draw) for t in draw.sample(templates.NARRATIVE, draw.randint(1, 4)))


GENRES: dict[Callable[[Random], str], float] = {
    indirect_object: 0.22,
    year_range: 0.08,
    function: 0.22,
    agreement: 0.18,
    biography: 0.08,
    plain_chatter: 0.06,
    rude_chatter: 0.05,
    narrative: 0.11,
}
"""Share of the documents of each genre."""


def document(draw: Random) -> str:
    """A document of a random genre."""
    genre = draw.choices(tuple(GENRES), weights=tuple(GENRES.values()))[0]
    return genre(draw)
