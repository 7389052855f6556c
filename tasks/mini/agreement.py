"""Subject-verb agreement on the small GPT, in four structures: "The dogs that the girl likes" -> "are".

Metric: logit(verb in the right number) - logit(in the other). Corrupt: the noun that governs the verb, in the other
number. Ablation: resample. The nouns of evaluation prompts never stood before a verb in the present tense in
training; that they are singular or plural was to be learned from "a dog", "two dogs", "these dogs were".
"""

from __future__ import annotations

from functools import partial

from mechboard.ground_truth.mini import lexicon, templates
from mechboard.ground_truth.mini.lexicon import Split, plural

from ..behaviours.agreement import Agreement
from .mini_task import MiniTask

_CITATION = {
    "author": "Marks, Samuel and Rager, Can and Michaud, Eric J. and Belinkov, Yonatan and Bau, David and Mueller, Aaron",
    "title": "Sparse Feature Circuits: Discovering and Editing Interpretable Causal Graphs in Language Models",
    "year": "2024",
    "eprint": "2403.19647",
}


def behaviour(structure: str, split: Split) -> Agreement:
    """The behaviour in one structure with the nouns of a split."""
    within = structure == "within-rc"
    return Agreement(
        templates.AGREEMENT[structure],
        "other" if within else "subject",
        tuple((noun, plural(noun)) for noun in lexicon.nouns(split)),
        lexicon.TRANSITIVE_VERBS if within else lexicon.VERBS,
        lexicon.TRANSITIVE_VERBS,
        lexicon.PREPOSITIONS,
        tuple((thing, plural(thing)) for thing in lexicon.THINGS),
    )


simple = MiniTask(
    name="agreement-simple-mini",
    family="agreement-mini",
    summary="Verb after its subject on a small GPT; truth measured edge by edge (resample)",
    chance={"cmd": 0.785},
    behaviour=partial(behaviour, "simple"),
    citation=_CITATION,
)
within_rc = MiniTask(
    name="agreement-within-rc-mini",
    family="agreement-mini",
    summary="Verb within a relative clause on a small GPT; truth measured edge by edge (resample)",
    chance={"cmd": 0.784},
    behaviour=partial(behaviour, "within-rc"),
    citation=_CITATION,
)
across_rc = MiniTask(
    name="agreement-across-rc-mini",
    family="agreement-mini",
    summary="Verb across a relative clause on a small GPT; truth measured edge by edge (resample)",
    chance={"cmd": 0.806},
    behaviour=partial(behaviour, "across-rc"),
    citation=_CITATION,
)
across_pp = MiniTask(
    name="agreement-across-pp-mini",
    family="agreement-mini",
    summary="Verb across a prepositional phrase on a small GPT; truth measured edge by edge (resample)",
    chance={"cmd": 0.802},
    behaviour=partial(behaviour, "across-pp"),
    citation=_CITATION,
)
