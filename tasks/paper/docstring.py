"""Docstring on attn-only-4l: after two documented arguments, ":param" -> the argument that comes next.

Metric: logit(next argument) - the largest logit of any other argument, after the last of 41 tokens, the first of them bos.
Corrupt ("random random"): the arguments in question are replaced in the signature and, independently, in the docstring. Two
arguments stand before the three that are documented, one behind; three words are on the function, two on each argument.
50 prompts for discovery, 50 for scoring.

The tokenizer (NeelNanda/gpt-neox-tokenizer-digits) reads a line break with three spaces as one token, which that of
GPT-NeoX, from which it was made, does not: there such a prompt has four tokens more, so a task that was given that one stops.
Names and words are this project's own. AutoCircuit's edges are the same 24.
"""

from __future__ import annotations

from ..behaviours.docstring import Docstring
from ..tokenizers import Encode
from . import words
from .assets import ATTN_ONLY_4L, NEOX_DIGITS, load_attn_only_4l
from .figures import published
from .paper_task import PaperTask

START = '\ndef {function}({arguments}):\n    """{about}\n'


def behaviour(encode: Encode) -> Docstring:
    """The behaviour, with words that are one token each."""
    return Docstring(words.FUNCTIONS, words.ARGUMENTS, words.DESCRIBING, start=START)


task = PaperTask(
    name="docstring",
    summary="The next argument of a docstring on attn-only-4l, against the published circuit (resample)",
    assets=(ATTN_ONLY_4L, NEOX_DIGITS),
    opened=load_attn_only_4l,
    behaviour=behaviour,
    n_prompts=50,
    n_tokens=41,
    bos=True,
    twin="docstring-mini",
    quoted=published(
        headline="docstring:24",
        counted="docstring:37",
        figure="figure 2c",
        eap=(0.976, "what EAP cannot score filled with ACDC's effects; 40 prompts; which area is not said"),
        acdc=(0.972, 0.982),
        patching=(0.978, "as EAP's, by exact effects; which area is not said"),
    ),
    citation={
        "author": "Heimersheim, Stefan and Janiak, Jett",
        "title": "A circuit for Python docstrings in a 4-layer attention-only transformer",
        "year": "2023",
        "howpublished": "Alignment Forum",
    },
)
