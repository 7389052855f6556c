"""Indirect object on GPT-2 small: "Later, Alice and Oscar walked to the market. Oscar gave a book to" -> " Alice".

Metric: logit(indirect object) - logit(subject) after the last of 15 tokens; no first token (bos). Corrupt ("ABC"): three
unrelated names. 100 prompts for discovery, 100 for scoring.

One template, in which the name that is repeated comes second (ABBA), as Conmy et al. 2023 measure ACDC on it: all prompts then
say the same at the same position, the figures of ACDC are of such prompts, and so is half of what Syed et al. 2023 give EAP (25
prompts in both orders). Names, places, objects and the template are this project's own; the template has each name where
that of Conmy et al. has it.
"""

from __future__ import annotations

from ..behaviours.indirect_object import IndirectObject
from ..tokenizers import Encode
from .assets import GPT2, load_gpt2
from .figures import published
from .paper_task import PaperTask

TEMPLATES = ("Later, {A} and {B} walked to the {place}. {S} gave a {object} to {IO}",)
NAMES = tuple(
    """Alice Oscar Clara Hugo Simon Martin Helen Victor Julia Peter Diana Felix Leo Nina Paul Lucy Henry Ruth Eva George
    Marie Walter Vera Carl Louis Ellen Ralph Sara Arthur Maria Oliver Jane Harry Nora Philip Joan Hannah Roy Lily Ben
    Claire Sam Sophie Dan Elena Neil Zoe Alan Sally Jack Emma Bruce Rita Colin Fiona Derek Gloria Gordon Naomi Craig
    Judy Leon Lena Ivan Marco Luna Glenn Bella Keith Paula Wayne Carmen Dennis Tara Edgar Hans Isaac Jacob Leah Noah
    Ada Owen Ross Stan Dave Jill Ted Anne Fred Karl Cindy Albert Vincent Betty Edward Kate Stuart Lisa Theo Molly""".split()
)
WORDS = {
    "place": tuple(
        "market station museum garden library beach church bakery castle harbor farm forest temple bank".split()
    ),
    "object": tuple("book pen ring coin map letter ticket flower sandwich key basket hat cup lamp toy card".split()),
}


def behaviour(encode: Encode) -> IndirectObject:
    """The behaviour, with one template and names that are one token each."""
    return IndirectObject(TEMPLATES, NAMES, WORDS, order="ABBA")


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
