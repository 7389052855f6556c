"""What a features task hands to a method and what comes back: a model written in features, and a score for every node."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass, replace
from functools import cached_property
from typing import Literal

from jaxtyping import Bool, Float, Int
from torch import Tensor

from ..errors import UsageError
from ..graph.decoder import Decoder
from ..graph.pairs import CheckedMetric, Metric, PromptPairs
from .nodes import Nodes
from .store import Dictionaries

Baseline = Literal["pair", "zero"]


@dataclass(frozen=True, kw_only=True)
class FeatureProblem:
    """A model with dictionaries, discovery prompts and a metric.

    Args:
        model: the model.
        dictionaries: one for each place whose features are asked about.
        pairs: clean prompts, and the prompt of each that a node is patched from.
        metric: takes the logits at the positions that it reads, `pairs.read(logits)`, and refuses others.
        baseline: what a node that is ablated has: its value on the paired prompt, or zero (features and errors alike).
        by_position: whether a node is a feature at a position; all prompts have one length then. Else effects are summed.
        batch_size: prompts at a time, which bounds memory; no score depends on it.
        truth: features that are known, in the order of `nodes.summed`, for a method that declares to see them.

    Raises:
        UsageError: model and dictionaries on different devices, or prompts of different lengths, whose positions mean different things, with nodes at positions.
    """

    model: Decoder
    dictionaries: Dictionaries
    pairs: PromptPairs
    metric: Metric
    baseline: Baseline = "pair"
    by_position: bool = True
    batch_size: int = 32
    truth: Bool[Tensor, " units"] | None = None

    def __post_init__(self) -> None:
        if not isinstance(self.metric, CheckedMetric):
            object.__setattr__(self, "metric", CheckedMetric(self.metric, self.model.config.d_vocab_out))
        held = next(self.dictionaries.tensors(), None)
        if held is not None and held.device.type != self.model.device.type:
            raise UsageError(
                f"The model is on {self.model.device.type} and its dictionaries on {held.device.type}; features are asked for on the "
                "CPU, so leave --device away."
            )
        shortest, longest = int(self.pairs.lengths.min()), self.pairs.clean.shape[1]
        if self.by_position and shortest != longest:
            raise UsageError(
                f"Nodes are asked for at {longest} positions and a prompt has {shortest}; sum over positions, or give prompts of "
                "one length."
            )

    def __repr__(self) -> str:
        return f"FeatureProblem({len(self.nodes):,} nodes, {self.n_prompts} prompts, {self.baseline})"

    @property
    def n_prompts(self) -> int:
        """How many discovery pairs there are."""
        return len(self.pairs)

    @cached_property
    def nodes(self) -> Nodes:
        """What is scored: features and errors of all places."""
        positions = self.pairs.clean.shape[1] if self.by_position else None
        return Nodes(self.dictionaries.sizes, self.dictionaries.errors, positions)

    @property
    def is_of_neurons(self) -> bool:
        """Whether its features are the neurons themselves."""
        return not self.dictionaries.errors

    @cached_property
    def neurons(self) -> FeatureProblem:
        """The same question asked of neurons: the identity dictionary at the same places."""
        return replace(
            self, dictionaries=self.dictionaries.neurons(device=self.model.device, dtype=self.model.dtype), truth=None
        )

    def batches(self) -> Iterator[PromptPairs]:
        """The discovery pairs in parts that fit in memory."""
        return self.pairs.batches(self.batch_size)

    def tensors(self) -> Iterator[Tensor]:
        """Everything that a method must leave as it is: weights, prompts."""
        yield from self.model.tensors()
        yield from self.dictionaries.tensors()
        yield from self.pairs.tensors()


@dataclass(frozen=True)
class FeatureEdges:
    """Effects of nodes on the metric through one node downstream: `source` and `target` are numbers of nodes."""

    source: Int[Tensor, " edges"]
    target: Int[Tensor, " edges"]
    effects: Float[Tensor, " edges"]


@dataclass(frozen=True)
class FeatureScores:
    """One signed score per node of `problem.nodes`; NaN is "no opinion".

    A score estimates the *drop* of the metric when the node is ablated: positive supports the behaviour. `neurons` are scores of
    `problem.neurons.nodes` by the same method, if it says something of neurons, and stand beside the features' for
    comparison. `edges` are for pictures.
    """

    scores: Float[Tensor, " nodes"]
    neurons: Float[Tensor, " neurons"] | None = None
    edges: FeatureEdges | None = None
