"""What tasks on the small GPT share, whatever they ask: a behaviour, and prompts of it with the words of a split.

Discovery prompts hold what the model was trained on, evaluation prompts what was held out of its training; the
data seed draws both. Weights and card lie in `mechboard.ground_truth.mini`.
"""

from __future__ import annotations

import inspect
from collections.abc import Callable
from dataclasses import dataclass
from functools import lru_cache
from random import Random

from mechboard.graph import PromptPairs
from mechboard.ground_truth.cards import hashes
from mechboard.ground_truth.mini import model
from mechboard.ground_truth.mini.lexicon import Split
from mechboard.protocols import Task

from ..behaviours.examples import Behaviour, as_pairs
from ..tokenizers import Encode, load_tokenizer

DISCOVERY, EVALUATION = 128, 64


@dataclass(frozen=True, kw_only=True)
class MiniBehaviour(Task):
    """`behaviour` gives the behaviour with the words of a split."""

    behaviour: Callable[[Split], Behaviour]

    @property
    def told(self) -> str:
        """The docstring of the module that defines the behaviour's words."""
        return inspect.getdoc(inspect.getmodule(getattr(self.behaviour, "func", self.behaviour))) or ""

    def asset_hashes(self) -> dict[str, str]:
        """Hashes of weights, configuration and tokenizer."""
        return hashes(model.folder())

    def pairs(self, data_seed: int, *, part: str, split: Split, n: int) -> PromptPairs:
        """Clean and corrupt prompts with the words of a split; `part` names the stream of random numbers."""
        draw = Random(f"{self.name}@{self.version}/{data_seed}/{part}")
        behaviour = self.behaviour(split)
        examples = [behaviour.draw(draw) for _ in range(n)]
        return as_pairs(examples, behaviour.metric, _encode(), d_vocab=model.load().config.d_vocab)

    def halves(self, data_seed: int) -> tuple[PromptPairs, PromptPairs]:
        """Prompts for discovery, and prompts for scoring of what was held out of the model's training."""
        discovery = self.pairs(data_seed, part="discovery", split="train", n=DISCOVERY)
        return discovery, self.pairs(data_seed, part="evaluation", split="test", n=EVALUATION)


@lru_cache(maxsize=1)
def _encode() -> Encode:
    return load_tokenizer(model.folder())
