"""Indirect object on the small GPT: "When Anna and Bill went to the park, Bill gave a ball to" -> "Anna".

Eight templates, both orders. Metric: logit(indirect object) - logit(subject). Corrupt: three unrelated names.
Ablation: resample. Evaluation prompts have other names than discovery prompts: the 16 of which no two stood together
in such a sentence of the corpus.
"""

from __future__ import annotations

from mechboard.ground_truth.mini import lexicon, templates
from mechboard.ground_truth.mini.lexicon import Split

from ..behaviours.indirect_object import IndirectObject
from .mini_task import MiniTask


def behaviour(split: Split) -> IndirectObject:
    """The behaviour with the names of a split."""
    return IndirectObject(
        templates.INDIRECT_OBJECT, lexicon.names(split), {"place": lexicon.PLACES, "object": lexicon.OBJECTS}
    )


task = MiniTask(
    name="ioi-mini",
    summary="Indirect object on a small GPT; truth measured edge by edge (resample)",
    chance={"cmd": 0.785},
    behaviour=behaviour,
    twin="ioi",
    citation={
        "author": "Wang, Kevin and Variengien, Alexandre and Conmy, Arthur and Shlegeris, Buck and Steinhardt, Jacob",
        "title": "Interpretability in the Wild: a Circuit for Indirect Object Identification in GPT-2 small",
        "year": "2022",
        "eprint": "2211.00593",
    },
)
