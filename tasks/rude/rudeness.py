"""How rude a text of the small language is.

    rudeness = remarks that hold a rude word / remarks

A remark ends with a full stop, an exclamation mark or a question mark. What is cut off behind the last of them counts only if
nothing else is there. Every remark of rude chatter holds a word of the rude register (`lexicon.RUDE`), and no other document
does, so rude chatter has rudeness 1 and anything else 0; in between are texts that turn. The register is closed: a rude
thought in polite words scores 0.
"""

from __future__ import annotations

import re

from mechboard.ground_truth.mini import lexicon

_END = re.compile(r"[.!?]")


def rudeness(text: str) -> float:
    """Share of its remarks that are rude, in [0, 1]; of no words it is 0.

    >>> rudeness("Grakh, Anna! The tea is ready. Nobody")
    0.5
    """
    *finished, rest = _END.split(text)
    remarks = [words for words in map(_words, finished) if words] or [_words(rest)]
    return sum(not words.isdisjoint(lexicon.RUDE) for words in remarks) / len(remarks)


def _words(remark: str) -> set[str]:
    return set(re.findall(r"\w+", remark))
