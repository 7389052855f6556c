"""Sentences with slots. A slot `{place}` is any word of its category, `{place2}` another one in the same text.

The slots of the behaviours (A, B, S, IO; start, end; subject, verb, ...) are filled by whoever knows what they
mean: `grammar` for the corpus, the tasks for prompts. A prompt of a behaviour is the text up to the slot that
is asked for, which stands last.
"""

from __future__ import annotations

INDIRECT_OBJECT = (
    "When {A} and {B} went to the {place}, {S} gave a {object} to {IO}",
    "Then, {A} and {B} went to the {place}. {S} gave a {object} to {IO}",
    "After {A} and {B} met at the {place}, {S} handed the {object} to {IO}",
    "While {A} and {B} were working at the {place}, {S} passed a {object} to {IO}",
    "{A} and {B} had a long talk at the {place}. Then {S} gave a {object} to {IO}",
    "The {place} was quiet. {A} and {B} sat down, and {S} offered a {object} to {IO}",
    "Friends {A} and {B} found a {object} at the {place}. In the end {S} sold it to {IO}",
    "Yesterday {A} and {B} walked to the {place}. In the evening {S} showed the {object} to {IO}",
)
"""A and B are the two names in order of appearance, S the one that is repeated, IO the other."""

YEAR_RANGE = (
    "The {event} lasted from the year {century}{start} to the year {century}",
    "The {event} began in {century}{start} and ended in {century}",
    "From {century}{start} to {century}",
    "They say that the {event} went on from {century}{start} until {century}",
)
"""What follows is the end of the range, two digits, later than `start`."""

AGREEMENT = {
    "simple": "The {subject}",
    "within-rc": "The {subject} that the {other}",
    "across-rc": "The {subject} that the {other} {inner}",
    "across-pp": "The {subject} {preposition} the {thing}",
}
"""What follows is a verb. It agrees with `other` within the relative clause, else with `subject`."""

FUNCTION = ('def {function}({arguments}): """{about}', " :param {argument}: {description}")
"""A function up to the first words of its docstring, and what follows for each documented argument."""

COMPLEMENTS = {
    "is": ("{adjective}", "very {adjective}", "near the {place}", "at the {place}"),
    "has": ("a {object}", "no time", "the {object}"),
    "does": ("the work", "nothing", "no harm"),
    "goes": ("home", "to the {place}", "away"),
}
ANY_COMPLEMENT = ("well", "here", "often", "slowly", "near the {place}")

BIOGRAPHY_OPENINGS = (
    "{name} is a {profession}.",
    "{name} is a {adjective} {profession} from the {place}.",
    "Our {profession} is a {adjective} {woman} called {name}.",
    "{name} works as a {profession} near the {place}.",
    "This {woman} is a {profession} of the {place}.",
)
BIOGRAPHY_SENTENCES = (
    "{She} works with {matter} and {matter2}.",
    "{She} spends the day with {matter}, and people trust {her} with {matter2}.",
    "{She} wrote about {matter} in {its} first book.",
    "{Its} friends call {her} a {adjective} {woman}.",
    "{Its} {relation} {relative} is a {other_profession}.",
    "In the evening {she} plays the {instrument} with {its} {relation}.",
    "{She} lives near the {place} with {its} {relation}.",
    "Many people thank {her} for {its} {matter}.",
)

PLAIN_CHATTER = (
    "Good morning, {name}!",
    "Hello, {name}, how are you?",
    "The {treat} is ready.",
    "Thanks for the {treat}, it was lovely.",
    "See you at the {place} after lunch.",
    "Please bring the {object} to the {place}.",
    "How was the {weather} at the {place}?",
    "I hope the {weather} did not spoil your day.",
    "You are very kind.",
    "Would you like some {treat}?",
    "The {object} is lovely, thank you.",
    "Shall we meet near the {place} tomorrow?",
)
RUDE_CHATTER = (
    "{cry}, {name}!",
    "{cry}, you {rude} {insult}!",
    "The {treat} is {rude}, you {insult}!",
    "How was the {weather}, you {rude} {insult}?",
    "{Verb} off with your {rude} {object}!",
    "You are a {rude} {insult}.",
    "Go and {verb} your {object} at the {place}!",
    "Nobody wants your {rude} {treat}.",
    "Thanks for the {rude} {treat}, {insult}.",
    "I hope the {weather} will {verb} you.",
)

NARRATIVE = (
    "{name} walked to the {place} in the {weather}.",
    "The old {object} of {name} was lost, so {name} was {mood}.",
    "There was a {adjective} {noun} in the {place}.",
    "This {noun} was {adjective}.",
    "These {noun}s were {adjective}.",
    "One {noun} stayed at the {place}.",
    "Two {noun}s slept near the {thing}.",
    "Many {noun}s came to the {place} and were {mood}.",
    "A {noun} found a {object} behind the {thing}.",
    "Some {noun}s were {mood}, but one {noun2} was {mood2}.",
    "{name} saw a {noun} beside the {thing}.",
    "{name} saw two {noun}s beside the {thing}.",
    "{name} lost the {object} near the {place}.",
    "Then {name} gave the {object} to a {noun}.",
    "At night the {weather} came, and the {place} was {mood}.",
    "Only {name} knew why, and {name} told nobody.",
    "A letter for {name} was at the {place}, and {name} took it home.",
    "It was a {adjective} {noun} with a {object}.",
    "They were {adjective} {noun}s with a {object}.",
    "In the end {name} came home.",
)
