"""Indirect object on GPT-2 small: "Later, Alice and Oscar walked to the market. Oscar gave a book to" -> " Alice".

Metric: logit(indirect object) - logit(subject) after the last of 15 tokens; no first token (bos). Corrupt ("ABC"): three
unrelated names. 100 prompts for discovery, 100 for scoring.

One template, in which the name that is repeated comes second (ABBA), as Conmy et al. 2023 measure ACDC on it: all prompts then
say the same at the same position, the figures of ACDC are of such prompts, and so is half of what Syed et al. 2023 give EAP (25
prompts in both orders). Names, places, objects and the template are this project's own; the template has each name where
that of Conmy et al. has it.

Read the versions of the circuit together. On a GPT-2 with random weights, which knows no names, EAP reaches an AUC of .715
against the 963 edges, .709 against the 739, .577 against the 242 and .526 against the 182 without MLPs: most edges that an MLP
reads or writes are strong whatever a model has learned, and the larger versions hold hundreds of them.
"""

from __future__ import annotations

from ..behaviours.indirect_object import IndirectObject
from ..tokenizers import Encode
from . import words
from .assets import GPT2, load_gpt2
from .figures import published
from .paper_task import PaperTask

TEMPLATES = ("Later, {A} and {B} walked to the {place}. {S} gave a {object} to {IO}",)


def behaviour(encode: Encode) -> IndirectObject:
    """The behaviour, with one template and names that are one token each."""
    return IndirectObject(TEMPLATES, words.NAMES, {"place": words.PLACES, "object": words.OBJECTS}, order="ABBA")


task = PaperTask(
    name="ioi",
    summary="Indirect object on GPT-2 small, against the published circuit in five versions (resample)",
    assets=(GPT2,),
    opened=load_gpt2,
    behaviour=behaviour,
    n_prompts=100,
    n_tokens=15,
    twin="ioi-mini",
    quoted=published(
        headline="ioi:acdc-963",
        counted="ioi:acdc-1041",
        figure="figure 2a",
        eap=(0.904, "1,131 of 33,367 edges, placeholders among them; what EAP cannot score filled with ACDC's effects; 25 "
             "prompts in both orders; the authors' own table has .902 as optimistic steps, .895 as trapezoids, .888 as pessimistic steps"),
        acdc=(0.588, 0.868),
    ),
    citation={
        "author": "Wang, Kevin and Variengien, Alexandre and Conmy, Arthur and Shlegeris, Buck and Steinhardt, Jacob",
        "title": "Interpretability in the Wild: a Circuit for Indirect Object Identification in GPT-2 small",
        "year": "2022",
        "eprint": "2211.00593",
    },
)  # fmt: skip
