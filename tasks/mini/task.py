"""A behaviour of the small GPT, whose true edges were measured: each edge patched alone on many prompts.

Discovery prompts hold what the model was trained on, evaluation prompts what was held out of its training; the
data seed draws both. `activation-patching` does on the discovery prompts what made the truth, so it is a reference.
Weights, card and effects lie in `mechboard.ground_truth.mini`.
"""

from __future__ import annotations

import inspect
from collections.abc import Callable
from dataclasses import dataclass
from functools import lru_cache
from random import Random

from mechboard.errors import ModelError
from mechboard.graph import Ablation, Graph, PromptPairs
from mechboard.ground_truth.cards import hashes
from mechboard.ground_truth.mini import effects, model
from mechboard.ground_truth.mini.lexicon import Split
from mechboard.hashing import sha256
from mechboard.protocols import CircuitProblem, Instance, Task, Truth
from mechboard.tasks.behaviours.examples import Behaviour, as_pairs
from mechboard.tasks.tokenizers import Encode, load_tokenizer

_DISCOVERY, _EVALUATION, _BATCH = 128, 64, 64


@dataclass(frozen=True, kw_only=True)
class MiniTask(Task):
    """`behaviour` gives the behaviour with the words of a split."""

    kind: str = "circuit"
    behaviour: Callable[[Split], Behaviour]
    oracles: tuple[str, ...] = ("activation-patching",)

    @property
    def description(self) -> str:
        """The docstring of the module that defines the task, and how its truth was made."""
        own = inspect.getdoc(inspect.getmodule(getattr(self.behaviour, "func", self.behaviour))) or ""
        return f"{own}\n\n{inspect.getdoc(effects) or ''}"

    def asset_hashes(self) -> dict[str, str]:
        """Hashes of weights, configuration and tokenizer."""
        return hashes(model.folder())

    def truth_hashes(self) -> dict[str, str]:
        """Hash of the measured effects."""
        path = effects.path(self.name, self.version)
        return {path.name: sha256(path)}

    def pairs(self, data_seed: int, *, part: str, split: Split, n: int) -> PromptPairs:
        """Clean and corrupt prompts with the words of a split; `part` names the stream of random numbers."""
        draw = Random(f"{self.name}@{self.version}/{data_seed}/{part}")
        behaviour = self.behaviour(split)
        examples = [behaviour.draw(draw) for _ in range(n)]
        return as_pairs(examples, behaviour.metric, _encode(), d_vocab=model.load().config.d_vocab)

    def load(self, data_seed: int, device: str) -> Instance[CircuitProblem]:
        """The model, its discovery prompts, and prompts of what was held out of its training."""
        problem = self.problem(self.pairs(data_seed, part="discovery", split="train", n=_DISCOVERY), device)
        held_out = self.pairs(data_seed, part="evaluation", split="test", n=_EVALUATION).to(device)
        return Instance(problem=problem, held_out=held_out, truths=self.truths(problem.graph))

    def problem(self, pairs: PromptPairs, device: str) -> CircuitProblem:
        """The model with these prompts."""
        decoder, pairs = model.load().to(device=device), pairs.to(device)
        return CircuitProblem(
            model=decoder,
            graph=decoder.graph,
            pairs=pairs,
            metric=self.behaviour("train").metric,
            ablation=Ablation("resample", decoder, pairs),
            batch_size=_BATCH,
        )

    def truths(self, graph: Graph) -> tuple[Truth, ...]:
        """The edges whose measured effect is at least a share of the behaviour, for each share; the headline first.

        Raises:
            ModelError: the effects were measured on another model.
        """
        measured = effects.read_effects(self.name, self.version, sha256(model.folder() / "model.safetensors"))
        if measured.edges != graph.edges:
            raise ModelError(f"The effects of {self.name}@v{self.version} name other edges than the model has.")
        return tuple(
            Truth(
                name=f"{self.name}:exact-{share:.0%}",
                edges=measured.true_edges(share),
                source=measured.source(share),
                effects=measured.means if share == effects.SHARES[0] else None,
            )
            for share in effects.SHARES
        )


@lru_cache(maxsize=1)
def _encode() -> Encode:
    return load_tokenizer(model.folder())
