"""A behaviour of the small GPT, asked of the features of its dictionaries: which of them does it rest on?

Nodes are the features and the errors of all 13 places (embedding, attention outputs, MLP outputs, residual streams), at positions
where all prompts are one template, else summed over positions. A node that is ablated has its value on the corrupt prompt. Methods are
shown 128 prompts with words of the training; they are scored on 64 with what was held out of it.

Circuits are taken apart in layers 1 to 3: embedding and the first layer run free, as embedding and the first third of the layers do
in Marks et al. 2024. What is not in a circuit has its mean over the corrupt prompts for scoring.

A task names the variables that its behaviour uses and some that it does not; what features carry is measured on text that was held
back (`mechboard.ground_truth.mini.carried`).
"""

from __future__ import annotations

import inspect
from dataclasses import dataclass
from functools import lru_cache

from jaxtyping import Int
from torch import Tensor

from mechboard.features import Nodes, Place, all_places
from mechboard.graph import Decoder, PromptPairs
from mechboard.ground_truth.cards import read_card
from mechboard.ground_truth.mini import carried, corpus, dictionaries, model
from mechboard.ground_truth.mini.vocabulary import VOCABULARY
from mechboard.hashing import sha256
from mechboard.metrics.feature_examination import Contexts, FeatureExamination
from mechboard.protocols import FeatureProblem, FeatureTruth, Instance

from ..mini.mini_behaviour import MiniBehaviour

MARKS = {
    "author": "Marks, Samuel and Rager, Can and Michaud, Eric J. and Belinkov, Yonatan and Bau, David and Mueller, Aaron",
    "title": "Sparse Feature Circuits: Discovering and Editing Interpretable Causal Graphs in Language Models",
    "year": "2024",
    "eprint": "2403.19647",
}
_FIRST_LAYER = 1
_SEQUENCES = 512
_BATCH = 64


@dataclass(frozen=True, kw_only=True)
class MiniFeatures(MiniBehaviour):
    """The features of a behaviour.

    Args:
        by_position: whether all prompts are one template, so that a position means one thing.
        uses: variables of the text that the behaviour rests on.
        unused: variables that it does not rest on.
    """

    kind: str = "features"
    by_position: bool = False
    uses: tuple[str, ...]
    unused: tuple[str, ...]

    @property
    def description(self) -> str:
        """The docstring of the module that defines the behaviour, its variables, and what all such tasks share."""
        variables = f"Uses: {', '.join(self.uses)}. Does not use: {', '.join(self.unused)}."
        return f"{self.told}\n\n{variables}\n\n{inspect.getdoc(inspect.getmodule(MiniFeatures)) or ''}"

    def asset_hashes(self) -> dict[str, str]:
        """Hashes of the model and of its dictionaries."""
        found = read_card(dictionaries.folder())["files"]  # which it has compared with the files
        return super().asset_hashes() | {f"dictionaries/{name}": value for name, value in found.items()}

    def truth_hashes(self) -> dict[str, str]:
        """Hash of what was measured of the features."""
        path = carried.path(self.version)
        return {path.name: sha256(path)}

    def load(self, data_seed: int, device: str) -> Instance[FeatureProblem]:
        """The model with its dictionaries and discovery prompts; prompts of what was held out of its training."""
        discovery, held_out = self.halves(data_seed)
        problem = self.problem(discovery, device)
        examination = FeatureExamination(
            pairs=held_out.to(device),
            scope=_scope(problem.model),
            contexts=Contexts(tokens=_contexts(), words=VOCABULARY),
        )
        return Instance(problem=problem, held_out=examination, truths=self.truths(problem.nodes))

    def problem(self, pairs: PromptPairs, device: str) -> FeatureProblem:
        """The model and its dictionaries with these prompts."""
        decoder = model.load()
        return FeatureProblem(
            model=decoder.to(device=device),
            dictionaries=dictionaries.load(decoder.config),
            pairs=pairs.to(device),
            metric=self.behaviour("train").metric,
            by_position=self.by_position,
            batch_size=_BATCH,
        )

    def truths(self, nodes: Nodes) -> tuple[FeatureTruth, ...]:
        """Features that carry a variable which the behaviour uses, among those that clearly carry one."""
        return carried.truths(self.name, self.version, nodes)


def _scope(decoder: Decoder) -> tuple[Place, ...]:
    return tuple(place for place in all_places(decoder.config) if place.layer >= _FIRST_LAYER)


@lru_cache(maxsize=1)
def _contexts() -> Int[Tensor, "sequences position"]:
    return corpus.sequences("held back", 0, _SEQUENCES)
