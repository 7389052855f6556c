"""The tokenizer of the small language: one token per word, punctuation mark or pair of digits.

A year such as 1743 is two tokens, 17 and 43; white space separates and is no token; `<bos>` goes in front.
"""

from __future__ import annotations

import re
from collections.abc import Iterator
from functools import cache
from typing import Any

from . import lexicon, templates

BOS, UNKNOWN = "<bos>", "<unk>"
_PATTERN = r'"""|\d\d|[^\W\d]+|[^\w\s]'
_OF_FUNCTIONS = 'def self param . , : ( ) """'
_OF_GRAMMAR = "said thanks She she He he her him his Her His woman man The that"


def _texts() -> Iterator[str]:
    for name in sorted(vars(templates)):
        value = getattr(templates, name)
        if name.isupper():
            for part in value.values() if isinstance(value, dict) else value:
                yield from (part,) if isinstance(part, str) else part


def _words() -> Iterator[str]:
    yield from (BOS, UNKNOWN)
    yield from lexicon.NUMBERS
    for words in (
        lexicon.WOMEN, lexicon.MEN, lexicon.PLACES, lexicon.OBJECTS, lexicon.EVENTS, lexicon.PARAMETERS,
        lexicon.DESCRIBING, lexicon.FUNCTIONS, lexicon.NOUNS, map(lexicon.plural, lexicon.NOUNS), lexicon.THINGS,
        map(lexicon.plural, lexicon.THINGS), lexicon.PREPOSITIONS, *lexicon.VERBS, *lexicon.TRANSITIVE_VERBS,
        lexicon.ADJECTIVES, lexicon.MOODS, lexicon.WEATHER, lexicon.TREATS, lexicon.INSTRUMENTS, *lexicon.RELATIONS,
        *((job, *matters) for job, matters in lexicon.PROFESSIONS.items()), lexicon.RUDE,
    ):  # fmt: skip
        yield from words
    for text in (_OF_FUNCTIONS, _OF_GRAMMAR, *_texts()):
        yield from re.findall(_PATTERN, re.sub(r"{\w+}s?", " ", text))


VOCABULARY = tuple(dict.fromkeys(_words()))
"""All words, each once; the place of a word is its token id."""


@cache
def tokenizer() -> Any:
    """The tokenizer, as Hugging Face's library knows it; what it does not know becomes `<unk>`."""
    from tokenizers import Regex, Tokenizer, models, pre_tokenizers, processors

    built = Tokenizer(models.WordLevel({word: i for i, word in enumerate(VOCABULARY)}, unk_token=UNKNOWN))
    built.pre_tokenizer = pre_tokenizers.Sequence([
        pre_tokenizers.WhitespaceSplit(),
        pre_tokenizers.Split(Regex(_PATTERN), behavior="isolated"),
    ])  # fmt: skip
    built.post_processor = processors.TemplateProcessing(single=f"{BOS} $A", special_tokens=[(BOS, 0)])
    return built
