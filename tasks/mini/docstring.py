"""Docstring on the small GPT: after two documented arguments, ":param" -> the argument that comes next.

Metric: logit(next argument) - the largest logit of any other argument. Corrupt ("random random"): the arguments in question are
replaced in the signature and, independently, in the docstring. Ablation: resample. In evaluation prompts the
last documented argument and the next were never neighbours in training.
"""

from __future__ import annotations

from functools import partial

from mechboard.ground_truth.mini import lexicon, templates
from mechboard.ground_truth.mini.lexicon import Split, held_out

from ..behaviours.docstring import Docstring
from .mini_task import MiniTask


def _allowed(split: Split, last: str, following: str) -> bool:
    return held_out("docstring", last, following) == (split == "test")


def behaviour(split: Split) -> Docstring:
    """The behaviour with the neighbours of a split."""
    allowed = partial(_allowed, split)
    return Docstring(lexicon.FUNCTIONS, lexicon.PARAMETERS, lexicon.DESCRIBING, allowed, *templates.FUNCTION)


task = MiniTask(
    name="docstring-mini",
    summary="The next argument of a docstring on a small GPT; truth measured edge by edge (resample)",
    chance={"cmd": 0.809},
    behaviour=behaviour,
    twin="docstring",
    citation={
        "author": "Heimersheim, Stefan and Janiak, Jett",
        "title": "A circuit for Python docstrings in a 4-layer attention-only transformer",
        "year": "2023",
        "howpublished": "Alignment Forum",
    },
)
