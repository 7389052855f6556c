"""Greater than on the small GPT: "The war lasted from the year 1743 to the year 17" -> any two digits above 43.

Four templates, centuries 11 to 17. Metric: P(later) - P(not later). Corrupt: the first year ends in 01. Ablation: resample.
Evaluation prompts have the (century, year) that were held out of training, one in eight.
"""

from __future__ import annotations

from mechboard.ground_truth.mini import lexicon, templates
from mechboard.ground_truth.mini.lexicon import Split, held_out

from ..behaviours.greater_than import GreaterThan
from .mini_task import MiniTask


def behaviour(split: Split) -> GreaterThan:
    """The behaviour with the first years of a split."""
    starts = tuple(
        (century, year)
        for century in lexicon.CENTURIES
        for year in range(2, 99)
        if held_out("year-range", century, f"{year:02d}") == (split == "test")
    )
    return GreaterThan(templates.YEAR_RANGE, lexicon.EVENTS, starts)


task = MiniTask(
    name="greater-than-mini",
    summary="A later year on a small GPT; truth measured edge by edge (resample)",
    chance={"cmd": 0.793},
    behaviour=behaviour,
    twin="greater-than",
    citation={
        "author": "Hanna, Michael and Liu, Ollie and Variengien, Alexandre",
        "title": "How does GPT-2 compute greater-than?: Interpreting mathematical abilities in a pre-trained language model",
        "year": "2023",
        "eprint": "2305.00586",
    },
)
