"""Gender of a name on the small GPT: "Anna is a happy nurse from the park." -> "She".

Metric: logit(pronoun of the name's gender) - logit(the other). Corrupt: a name of the other gender. In evaluation prompts no
name, of the prompt or of its corruption, ever stood with the profession in a biography of the corpus; that it is a woman's or a man's
was to be learned with others.
"""

from __future__ import annotations

from mechboard.ground_truth.mini import lexicon, templates
from mechboard.ground_truth.mini.lexicon import Split, held_out

from ..behaviours.pronoun import Pronoun
from .mini_features import MARKS, MiniFeatures

_TEMPLATE = templates.BIOGRAPHY_OPENINGS[1]


def behaviour(split: Split) -> Pronoun:
    """The behaviour with the names and professions of a split."""
    people = {
        job: tuple(
            tuple(name for name in names if held_out("biography", name, job) == (split == "test"))
            for names in (lexicon.WOMEN, lexicon.MEN)
        )
        for job in lexicon.PROFESSIONS
    }
    both = {job: (women, men) for job, (women, men) in people.items() if women and men}
    return Pronoun(_TEMPLATE, both, {"adjective": lexicon.ADJECTIVES, "place": lexicon.PLACES})


task = MiniFeatures(
    name="gender-features-mini",
    summary="Features for the gender of a name on a small GPT: the pronoun that follows",
    chance={"faithfulness": 0.03, "completeness": 0.83},
    behaviour=behaviour,
    by_position=True,
    uses=("gender",),
    unused=("profession", "number", "register", "year"),
    citation=MARKS,
)
