"""Greater than on GPT-2 small: "The war lasted from the year 1743 to the year 17" -> any two digits above 43.

Metric: P(later years) - P(the same or earlier years) over the tokens "00" to "99", after the last of 12 tokens; no first token
(bos). Corrupt: the first year ends in 01. 100 prompts for discovery, 100 for scoring.

Centuries 11 to 17; of each, the years from 02 to 98 that the tokenizer splits into century and year, without the first and
the last of them. The sentence is that of Hanna et al. 2023; the code of Conmy et al. leaves out the second "the year" and so
has 10 tokens, with the year at the same place. The nouns are this project's own.
"""

from __future__ import annotations

from ..behaviours.greater_than import GreaterThan
from ..tokenizers import Encode
from . import words
from .assets import GPT2, load_gpt2
from .figures import published
from .paper_task import PaperTask

TEMPLATES = ("The {event} lasted from the year {century}{start} to the year {century}",)
CENTURIES = tuple(range(11, 18))


def behaviour(encode: Encode) -> GreaterThan:
    """The behaviour, with the first years that are two tokens, century and year."""
    starts = []
    for century in CENTURIES:
        split = [y for y in range(2, 99) if encode(f" {century}{y:02d}") == encode(f" {century}") + encode(f"{y:02d}")]
        starts += [(str(century), year) for year in split[1:-1]]
    return GreaterThan(TEMPLATES, words.EVENTS, tuple(starts))


task = PaperTask(
    name="greater-than",
    summary="A later year on GPT-2 small, against the published circuit (resample)",
    assets=(GPT2,),
    opened=load_gpt2,
    behaviour=behaviour,
    n_prompts=100,
    n_tokens=12,
    twin="greater-than-mini",
    quoted=published(
        headline="greater-than:235",
        counted="greater-than:262",
        figure="figure 2b",
        eap=(0.896, "289 of 33,367 edges, placeholders among them; what EAP cannot score filled with ACDC's effects; 25 "
             "prompts; the authors' own table has .896 as optimistic steps, .887 as trapezoids, .878 as pessimistic steps"),
        acdc=(0.458, 0.849),
    ),
    citation={
        "author": "Hanna, Michael and Liu, Ollie and Variengien, Alexandre",
        "title": "How does GPT-2 compute greater-than?: Interpreting mathematical abilities in a pre-trained language model",
        "year": "2023",
        "eprint": "2305.00586",
    },
)  # fmt: skip
