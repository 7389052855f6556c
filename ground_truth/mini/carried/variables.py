"""The variables of the small language: where each is said and read, what it drives, and which task's behaviour uses it.

A *contrast* has two values. A *variable* is one contrast or several: the number of the subject and that of another noun, three cuts
of the first year, a word against all others. Variables vary independently of each other in `texts`; contrasts of one need not.

Which of two names is said again, the first or the second, is none: neither a feature nor a neuron of the small model tells it (AUC up to
.59), since it tells names by what they are and not by their order.
"""

from __future__ import annotations

from dataclasses import dataclass

CUTS = (25, 50, 75)
"""First years are told apart as above and not above these."""


@dataclass(frozen=True)
class Contrast:
    """Two values, the marks in `texts` at which they are told apart, and the behaviours that hang on them."""

    name: str
    variable: str
    marks: tuple[str, ...]
    drives: tuple[str, ...]


CONTRASTS = (
    Contrast("subject-number", "number", ("subject", "inner", "thing"),
             ("agreement-simple", "agreement-across-rc", "agreement-across-pp")),
    Contrast("other-number", "number", ("other", "inner", "thing"), ("agreement-within-rc",)),
    Contrast("gender", "gender", ("name", "stop"), ("gender",)),
    Contrast("register", "register", ("register", "cue"), ("register",)),
    *(Contrast(f"year>{cut}", "year", ("start", "until"), (f"year>{cut}",)) for cut in CUTS),
)  # fmt: skip

WORDS = {"name": ("name", "first", "second", "again", "to"), "argument": ("argument", "param")}
"""Variables whose value is a word, and the marks at which it is told from others: `name:Anna` drives the behaviour `name:Anna`."""

MARKS = {
    "number": ("subject", "other", "inner", "thing"),
    "gender": ("name", "stop"),
    "register": ("register", "cue"),
    "year": ("start", "until"),
    "name": ("first", "second", "again", "to"),
    "argument": ("argument", "param"),
}
"""Marks by the passage that they are in; a passage is named after its variable."""

BEHAVIOURS = {
    "number": ("agreement-simple", "agreement-across-rc", "agreement-across-pp", "agreement-within-rc"),
    "gender": ("gender",),
    "register": ("register",),
    "year": tuple(f"year>{cut}" for cut in CUTS),
    "name": ("name", "indirect-object"),
    "argument": ("argument",),
}
"""Behaviours by the variable that drives them; `name` and `argument` are asked with words drawn at random."""


@dataclass(frozen=True)
class Use:
    """What a task's behaviour uses: contrasts, or a variable whose value is a word; and the behaviours that it is measured by."""

    contrasts: tuple[str, ...]
    behaviours: tuple[str, ...]


_YEAR = tuple(f"year>{cut}" for cut in CUTS)
USES = {
    "agreement-simple": Use(("subject-number",), ("agreement-simple",)),
    "agreement-across-rc": Use(("subject-number",), ("agreement-across-rc",)),
    "agreement-across-pp": Use(("subject-number",), ("agreement-across-pp",)),
    "agreement-within-rc": Use(("other-number",), ("agreement-within-rc",)),
    "greater-than": Use(_YEAR, _YEAR),
    "ioi": Use(("name",), ("name", "indirect-object")),
    "docstring": Use(("argument",), ("argument",)),
    "gender": Use(("gender",), ("gender",)),
    "register": Use(("register",), ("register",)),
}
"""By the first part of a task's name."""
