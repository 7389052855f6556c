"""What a features task holds back, by which every set of nodes is examined."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass

from jaxtyping import Int
from torch import Tensor

from ..contract.scores import Curve
from ..features.places import Place
from ..graph.pairs import PromptPairs


@dataclass(frozen=True, kw_only=True)
class Contexts:
    """Text in which to look for what activates a feature.

    Args:
        tokens: sequences of one length.
        words: how a token is shown, as many as the vocabulary has.
        link: where a feature is shown on the web, from its place and number; empty if nowhere.
    """

    tokens: Int[Tensor, "sequences position"]
    words: tuple[str, ...]
    link: Callable[[Place, int], str] | None = None


@dataclass(frozen=True, kw_only=True)
class FeatureExamination:
    """Evaluation prompts, and where circuits are taken apart.

    Args:
        pairs: clean prompts, on which circuits are run, and paired ones, over which means are taken.
        scope: places whose nodes are kept or ablated; all others run free.
        contexts: text to illustrate features with.
        published: curves of faithfulness and completeness by number of nodes, by the name of the set, drawn behind.
    """

    pairs: PromptPairs
    scope: tuple[Place, ...]
    contexts: Contexts | None = None
    published: tuple[tuple[str, Curve], ...] = ()
