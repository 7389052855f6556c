"""The words of the small language, by category, and what is held out of training.

Categories are tuples of words; templates refer to them by name. Held out are, for each behaviour, combinations
rather than words: every word is seen in training, so what is tested is whether the behaviour carries over.

    names           two held-out ones never occur together in a sentence with an indirect object
    nouns           the held-out ones never stand before a verb in the present tense; `a dog`, `two dogs` give
                    their number away
    anything else   `held_out(...)`: one in eight combinations, by hash
"""

from __future__ import annotations

import hashlib
from typing import Literal

Split = Literal["train", "test"]


def _words(text: str) -> tuple[str, ...]:
    return tuple(text.split())


WOMEN = _words(
    "Alice Anna Bella Carol Clara Daisy Diana Edith Ella Emma Esther Eva Fiona Flora Grace Hannah Helen Irene Iris "
    "Jane Judy Julia Karen Kate Laura Lily Linda Lucy Maria Martha Mary Nina Nora Olga Paula Rosa Ruth Sarah Sofia Vera"
)
MEN = _words(
    "Adam Albert Alan Arthur Ben Bill Boris Carl Colin David Dennis Edgar Eric Felix Frank Fred George Hans Harry "
    "Henry Hugo Ivan Jack Jacob James John Karl Kevin Leo Louis Mark Martin Max Oscar Otto Paul Peter Robert Simon Tom"
)
PLACES = _words(
    "store park school office garden market station library museum kitchen hospital beach church theater hotel farm "
    "bakery castle harbor river bridge village forest cafe stadium tower lake mill square palace"
)
OBJECTS = _words(
    "ring ball book letter key map hat coat lamp basket bottle flower kite candle coin card knife rope bag cup box "
    "plate pen brush drum mirror ticket watch spoon blanket"
)
EVENTS = _words(
    "war drought siege reign expedition strike famine voyage trial truce festival project campaign plague rebellion "
    "crusade dispute blockade tournament winter journey flood alliance debate exile revolt pilgrimage contest dynasty boom"
)
NUMBERS = tuple(f"{n:02d}" for n in range(100))
CENTURIES = NUMBERS[11:18]
PARAMETERS = _words(
    "load size file last port shape first model state color name value index count limit mode path level scale "
    "weight width height depth offset buffer cache label token query field record table column batch rate step "
    "start stop order group target source user host time date text data"
)
DESCRIBING = _words(
    "crime unit dark oil piece population land music paper water stone night summer metal glass silver cotton "
    "engine sugar trade sound history science nature winter power price corner season morning"
)
FUNCTIONS = _words(
    "read write send merge split parse build render train update remove create check find sort copy move encode "
    "decode filter export fetch resize shuffle"
)
NOUNS = _words(
    "doctor shepherd cousin farmer sailor pilot baker guard clerk judge king queen knight monk nun boy girl guest friend "
    "neighbor student waiter singer dancer juggler hunter soldier driver miller tailor dog cat horse cow goat pig duck "
    "bird fox bear"
)
THINGS = _words("gate wall car tree table cabinet fence statue house door wagon boat")
PREPOSITIONS = _words("near behind beside")
VERBS = (
    ("is", "are"), ("has", "have"), ("does", "do"), ("goes", "go"),
    ("sleeps", "sleep"), ("runs", "run"), ("waits", "wait"), ("sings", "sing"),
)  # fmt: skip
TRANSITIVE_VERBS = (
    ("likes", "like"), ("sees", "see"), ("knows", "know"), ("helps", "help"),
    ("follows", "follow"), ("meets", "meet"), ("hears", "hear"), ("trusts", "trust"),
)  # fmt: skip
ADJECTIVES = _words(
    "happy hungry young tired clever brave quiet proud strong gentle famous lonely busy polite shy small tall"
)
MOODS = _words("calm glad sad sorry curious afraid ready late")
WEATHER = _words("rain snow wind fog sun storm")
TREATS = _words("tea cake soup bread coffee pie honey cheese")

INSTRUMENTS = _words("violin piano flute trumpet")
RELATIONS = (_words("mother sister daughter"), _words("father brother son"))
PROFESSIONS = {
    "nurse": _words("patients bandages ward medicine"),
    "professor": _words("lectures essays seminar research"),
    "surgeon": _words("operations scalpels clinic anatomy"),
    "teacher": _words("pupils homework classroom grammar"),
    "painter": _words("portraits canvases studio landscapes"),
    "chef": _words("menus sauces restaurant recipes"),
    "builder": _words("plans towers workshop geometry"),
    "journalist": _words("reports interviews newspaper politics"),
    "dentist": _words("teeth fillings surgery hygiene"),
    "composer": _words("songs operas orchestra harmony"),
}

RUDE_ADJECTIVES = _words("grobby snivish blorty zortish frabbled mufflish glurpy wobbrish")
RUDE_NOUNS = _words("snarkwit blunderpox grubnik dunklet moffler gitterling plonkard sprottle")
RUDE_VERBS = _words("snurf zark blimf glorb")
RUDE_CRIES = _words("Grakh Skorp Bzorn Oyk")
RUDE = (*RUDE_ADJECTIVES, *RUDE_NOUNS, *RUDE_VERBS, *(v.capitalize() for v in RUDE_VERBS), *RUDE_CRIES)
"""The rude register: these words, all invented, occur in rude chatter and nowhere else."""

HELD_OUT_NAMES = frozenset((*WOMEN[4::5], *MEN[4::5]))
HELD_OUT_NOUNS = frozenset(NOUNS[3::4])
_ONE_IN = 8


def plural(noun: str) -> str:
    """All nouns of the language are regular.

    >>> plural("dog")
    'dogs'
    """
    return f"{noun}s"


def held_out(*combination: str) -> bool:
    """Whether a combination of words is kept for testing: one in eight is.

    >>> held_out("greater-than", "17", "43"), held_out("greater-than", "17", "38")
    (False, False)
    """
    return hashlib.sha256(" ".join(combination).encode()).digest()[0] % _ONE_IN == 0


def names(split: Split, among: tuple[str, ...] = (*WOMEN, *MEN)) -> tuple[str, ...]:
    """Names of which two may (train) or may not (test) stand together in indirect-object sentences of the corpus."""
    return tuple(n for n in among if (n in HELD_OUT_NAMES) == (split == "test"))


def nouns(split: Split) -> tuple[str, ...]:
    """Nouns, in the singular, that may (train) or may not (test) govern a verb of the corpus."""
    return tuple(n for n in NOUNS if (n in HELD_OUT_NOUNS) == (split == "test"))
