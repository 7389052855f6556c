"""A task on a model whose circuit was declared, edge by edge, before it was trained in.

The graph is at the level of heads, where the circuit was declared. The data seed draws prompts.
Weights, card (accuracies under interchange and with everything else resampled) and the exact effect of
every edge lie in `mechboard.ground_truth.trained`.
"""

from __future__ import annotations

import hashlib
import inspect
from collections.abc import Callable
from dataclasses import dataclass
from functools import lru_cache
from importlib.resources import files
from pathlib import Path

import torch
from torch import Tensor

from mechboard.graph import Ablation, Decoder, Graph, Metric, PromptPairs
from mechboard.graph.hf import load_checkpoint
from mechboard.ground_truth.cards import hashes, read_card
from mechboard.ground_truth.trained import effects
from mechboard.ground_truth.trained.behaviours import Batch, TrainedBehaviour
from mechboard.hashing import sha256
from mechboard.protocols import CircuitProblem, Instance, Task, Truth

_DISCOVERY, _EVALUATION, _BATCH = 128, 128, 64


@dataclass(frozen=True, kw_only=True)
class TrainedTask(Task):
    """A behaviour with its trained model. `targets` says what the metric reads of (clean, corrupt)."""

    kind: str = "circuit"
    behaviour: TrainedBehaviour
    corrupt: Callable[[Batch, torch.Generator], Batch]
    metric: Metric
    targets: Callable[[Batch, Batch], dict[str, Tensor]]

    @property
    def folder(self) -> Path:
        """Where weights and card are."""
        return Path(str(files("mechboard.ground_truth.trained"))) / self.behaviour.name

    @property
    def description(self) -> str:
        """The docstring of the module that defines the task."""
        return inspect.getdoc(inspect.getmodule(self.targets)) or ""

    def asset_hashes(self) -> dict[str, str]:
        """Hashes of weights and configuration."""
        return hashes(self.folder)

    def truth_hashes(self) -> dict[str, str]:
        """Hash of the measured effects; the edges themselves were declared in source."""
        return {effects.FILE: sha256(self.folder / effects.FILE)}

    def pairs(self, data_seed: int, *, part: str, n: int) -> PromptPairs:
        """Clean and corrupt prompts; `part` names the stream of random numbers."""
        text = f"{self.name}@{self.version}/{data_seed}/{part}"
        generator = torch.Generator().manual_seed(int(hashlib.sha256(text.encode()).hexdigest(), 16) % 2**63)
        clean = self.behaviour.sample(n, generator)
        corrupt = self.corrupt(clean, generator)
        length = clean.tokens.shape[1]
        return PromptPairs(
            clean.tokens,
            corrupt.tokens,
            torch.full((n,), length),
            torch.full((n, 1), length - 1),
            self.targets(clean, corrupt),
        )

    def load(self, data_seed: int, device: str) -> Instance[CircuitProblem]:
        """The model and its prompts; evaluation prompts are fresh ones.

        Raises:
            ModelError: the weights are not those of their card.
        """
        read_card(self.folder)
        decoder = _load(self.folder).to(device=device)
        pairs = self.pairs(data_seed, part="discovery", n=_DISCOVERY).to(device)
        problem = CircuitProblem(
            model=decoder,
            graph=Graph.of(decoder.config, level="head"),
            pairs=pairs,
            metric=self.metric,
            ablation=Ablation("resample", decoder, pairs),
            batch_size=_BATCH,
        )
        held_out = self.pairs(data_seed, part="evaluation", n=_EVALUATION).to(device)
        return Instance(problem=problem, held_out=held_out, truths=(self._truth(problem.graph),))

    def _truth(self, graph: Graph) -> Truth:
        """The declared edges, and the exact effects of all.

        Raises:
            ModelError: the effects cannot be read or are of other edges.
        """
        source = (
            "declared before training, head-level; trained in with interchange and a strict loss on all other edges"
        )
        return Truth(
            name=f"{self.name}:declared",
            edges=graph.edge_mask(self.behaviour.edges),
            source=source,
            effects=effects.read_effects(self.folder, graph.edges),
        )


@lru_cache(maxsize=4)
def _load(folder: Path) -> Decoder:
    return load_checkpoint(folder)
