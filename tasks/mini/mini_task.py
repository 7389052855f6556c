"""A behaviour of the small GPT, whose true edges were measured: each edge patched alone on many prompts.

`activation-patching` does on the discovery prompts what made the truth, so it is a reference.
Weights, card and effects lie in `mechboard.ground_truth.mini`.
"""

from __future__ import annotations

import inspect
from dataclasses import dataclass

from mechboard.errors import ModelError
from mechboard.graph import Ablation, Graph, PromptPairs
from mechboard.ground_truth.mini import effects, model
from mechboard.hashing import sha256
from mechboard.protocols import CircuitProblem, Instance, Truth

from .mini_behaviour import MiniBehaviour

_BATCH = 64


@dataclass(frozen=True, kw_only=True)
class MiniTask(MiniBehaviour):
    """The circuit of a behaviour."""

    kind: str = "circuit"
    oracles: tuple[str, ...] = ("activation-patching",)

    @property
    def description(self) -> str:
        """The docstring of the module that defines the task, and how its truth was made."""
        return f"{self.told}\n\n{inspect.getdoc(effects) or ''}"

    def truth_hashes(self) -> dict[str, str]:
        """Hash of the measured effects."""
        path = effects.path(self.name, self.version)
        return {path.name: sha256(path)}

    def load(self, data_seed: int, device: str) -> Instance[CircuitProblem]:
        """The model, its discovery prompts, and prompts of what was held out of its training."""
        discovery, held_out = self.halves(data_seed)
        problem = self.problem(discovery, device)
        return Instance(problem=problem, held_out=held_out.to(device), truths=self.truths(problem.graph))

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
