"""The circuit tasks of the small GPT asked of features: the same prompts, other nodes.

What a behaviour uses is what the sentence that it completes rests on; what it does not use stands in the same sentence, or in others of
the language. Prompts of agreement are one template each, so nodes are at positions. Docstrings are one too, but of 37 tokens: at positions
they would have 246,753 nodes, too many to ablate one by one, so theirs are summed.
"""

from __future__ import annotations

from functools import partial

from ..mini import agreement, docstring, greater_than, ioi
from .mini_features import MARKS, MiniFeatures

_SUBJECT, _OTHER = "number of the subject", "number of the other noun"

agreement_simple = MiniFeatures(
    name="agreement-simple-features-mini",
    family="agreement-features-mini",
    summary="Features for the verb after its subject on a small GPT",
    chance={"faithfulness": 0.036, "completeness": 0.806},
    behaviour=partial(agreement.behaviour, "simple"),
    by_position=True,
    uses=(_SUBJECT,),
    unused=("gender", "register", "year"),
    twin="agreement-simple-features",
    citation=MARKS,
)
agreement_across_pp = MiniFeatures(
    name="agreement-across-pp-features-mini",
    family="agreement-features-mini",
    summary="Features for the verb across a prepositional phrase on a small GPT",
    chance={"faithfulness": 0.033, "completeness": 0.822},
    behaviour=partial(agreement.behaviour, "across-pp"),
    by_position=True,
    uses=(_SUBJECT,),
    unused=(_OTHER, "gender", "register", "year"),
    twin="agreement-across-pp-features",
    citation=MARKS,
)
agreement_within_rc = MiniFeatures(
    name="agreement-within-rc-features-mini",
    family="agreement-features-mini",
    summary="Features for the verb within a relative clause on a small GPT",
    chance={"faithfulness": 0.034, "completeness": 0.834},
    behaviour=partial(agreement.behaviour, "within-rc"),
    by_position=True,
    uses=(_OTHER,),
    unused=(_SUBJECT, "gender", "register", "year"),
    twin="agreement-within-rc-features",
    citation=MARKS,
)
agreement_across_rc = MiniFeatures(
    name="agreement-across-rc-features-mini",
    family="agreement-features-mini",
    summary="Features for the verb across a relative clause on a small GPT",
    chance={"faithfulness": 0.031, "completeness": 0.833},
    behaviour=partial(agreement.behaviour, "across-rc"),
    by_position=True,
    uses=(_SUBJECT,),
    unused=(_OTHER, "gender", "register", "year"),
    twin="agreement-across-rc-features",
    citation=MARKS,
)
greater_than_years = MiniFeatures(
    name="greater-than-features-mini",
    summary="Features for a later year on a small GPT",
    chance={"faithfulness": 0.051, "completeness": 0.796},
    behaviour=greater_than.behaviour,
    uses=("year",),
    unused=("number", "gender", "register"),
    citation=greater_than.task.citation,
)
indirect_object = MiniFeatures(
    name="ioi-features-mini",
    summary="Features for the indirect object on a small GPT",
    chance={"faithfulness": 0.034, "completeness": 0.726},
    behaviour=ioi.behaviour,
    uses=("name", "which of two names is said again"),
    unused=("gender", "number", "register", "year"),
    citation=ioi.task.citation,
)
next_argument = MiniFeatures(
    name="docstring-features-mini",
    summary="Features for the next argument of a docstring on a small GPT",
    chance={"faithfulness": 0.027, "completeness": 0.676},
    behaviour=docstring.behaviour,
    uses=("argument",),
    unused=("number", "gender", "register", "year"),
    citation=docstring.task.citation,
)
