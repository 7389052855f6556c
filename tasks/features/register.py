"""Rude or friendly on the small GPT: behind a remark, "I hope the rain" -> "will" (zark you) or "did" (not spoil your day).

Metric: logit(the word of the remark's register) - logit(that of the other). Corrupt: a remark of the other register, of as many
tokens. Prompts are 11 or 13 tokens, so effects are summed over positions. No remark of an evaluation prompt is one of a discovery
prompt; none was held out of training.
"""

from __future__ import annotations

from functools import partial

from mechboard.ground_truth.mini.grammar import fill
from mechboard.ground_truth.mini.lexicon import Split, held_out

from ..behaviours.register import Register
from .mini_features import MiniFeatures

_RUDE = ("The {treat} is {rude}, you {insult}!", "Thanks for the {rude} {treat}, {insult}.")
_FRIENDLY = (
    "See you at the {place} after lunch.",
    "Please bring the {object} to the {place}.",
    "The {object} is lovely, thank you.",
    "Shall we meet near the {place} tomorrow?",
)
_BEGINNINGS = (
    ("How was the {weather}", ",", "at"),
    ("I hope the {weather}", "will", "did"),
    ("You are", "a", "very"),
)


def _allowed(split: Split, remark: str) -> bool:
    return held_out("remark", remark) == (split == "test")


def behaviour(split: Split) -> Register:
    """The behaviour with the remarks of a split."""
    return Register((_RUDE, _FRIENDLY), _BEGINNINGS, fill, partial(_allowed, split))


task = MiniFeatures(
    name="register-features-mini",
    summary="Features for rude against friendly talk on a small GPT: how a remark is followed",
    chance={"faithfulness": 0.03, "completeness": 0.766},
    behaviour=behaviour,
    uses=("register",),
    unused=("number", "gender", "year"),
)
