"""A behaviour of the small GPT, whose true edges were measured: each edge patched alone on many prompts.

Discovery prompts hold what the model was trained on, evaluation prompts what was held out of its training; the
data seed draws both. `activation-patching` does on the discovery prompts what made the truth, so it is a reference.
Weights, card and effects lie in `mechboard.ground_truth.mini`.
"""

from __future__ import annotations

import inspect
from collections.abc import Callable, Mapping
from dataclasses import dataclass, field
from functools import lru_cache
from random import Random

from mechboard.assets import Asset
from mechboard.errors import ModelError
from mechboard.graph import Ablation, Graph, PromptPairs
from mechboard.ground_truth.cards import hashes
from mechboard.ground_truth.mini import effects, model
from mechboard.ground_truth.mini.lexicon import Split
from mechboard.hashing import sha256
from mechboard.protocols import CircuitProblem, Kind, Tier, Truth
from mechboard.tasks.behaviours.examples import Behaviour, as_pairs
from mechboard.tasks.tokenizers import Encode, load_tokenizer

_DISCOVERY, _EVALUATION, _BATCH = 128, 64, 64


@dataclass(frozen=True, kw_only=True)
class MiniTask:
    """`behaviour` gives the behaviour with the words of a split."""

    name: str
    version: int
    kind: Kind
    tier: Tier
    summary: str
    behaviour: Callable[[Split], Behaviour]
    citation: Mapping[str, str] = field(hash=False)
    ranked: bool = True
    has_truth: bool = True
    oracles: tuple[str, ...] = ("activation-patching",)
    assets: tuple[Asset, ...] = ()
    resolution: float = 0.0

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

    def problem(self, pairs: PromptPairs, data_seed: int, device: str) -> CircuitProblem:
        """The model with these prompts."""
        decoder, pairs = model.load().to(device=device), pairs.to(device)
        return CircuitProblem(
            model=decoder,
            graph=Graph.of(decoder.config),
            pairs=pairs,
            metric=self.behaviour("train").metric,
            ablation=Ablation("resample", decoder, pairs),
            batch_size=_BATCH,
            data_seed=data_seed,
        )

    def load(self, data_seed: int, device: str) -> CircuitProblem:
        """The model and its discovery prompts."""
        return self.problem(self.pairs(data_seed, part="discovery", split="train", n=_DISCOVERY), data_seed, device)

    def truths(self, problem: CircuitProblem) -> tuple[Truth, ...]:
        """The edges whose measured effect is at least a share of the behaviour, for each share; the headline first."""
        measured = effects.read_effects(self.name, self.version, sha256(model.folder() / "model.safetensors"))
        if measured.edges != problem.graph.edges:
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

    def held_out(self, problem: CircuitProblem) -> PromptPairs:
        """Prompts of what was held out of the model's training."""
        pairs = self.pairs(problem.data_seed, part="evaluation", split="test", n=_EVALUATION)
        return pairs.to(problem.model.device)


@lru_cache(maxsize=1)
def _encode() -> Encode:
    return load_tokenizer(model.folder())
