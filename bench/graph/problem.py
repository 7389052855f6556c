"""What a circuit task hands to a method and what comes back: a model as a graph, and a score for every edge."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass
from typing import Any

from jaxtyping import Bool, Float
from torch import Tensor

from .ablation import Ablation
from .decoder import Decoder
from .graph import Graph
from .pairs import CheckedMetric, Metric, PromptPairs


@dataclass(frozen=True, kw_only=True)
class CircuitProblem:
    """A model as a graph, discovery prompts, a metric and an ablation.

    `metric` takes the logits at the positions that it reads, `pairs.read(logits)`, and refuses others.
    `truth` is None unless the method declares that it sees it. `batch_size` bounds memory; no score depends on it.
    """

    model: Decoder
    graph: Graph
    pairs: PromptPairs
    metric: Metric
    ablation: Ablation
    batch_size: int
    truth: Bool[Tensor, " edges"] | None = None

    def __post_init__(self) -> None:
        if not isinstance(self.metric, CheckedMetric):
            object.__setattr__(self, "metric", CheckedMetric(self.metric, self.model.config.d_vocab_out))

    def __repr__(self) -> str:
        return f"CircuitProblem({self.graph.n_edges:,} edges, {self.n_prompts} prompts, {self.ablation.kind})"

    @property
    def n_prompts(self) -> int:
        """How many discovery pairs there are."""
        return len(self.pairs)

    def batches(self) -> Iterator[PromptPairs]:
        """The discovery pairs in parts that fit in memory."""
        return self.pairs.batches(self.batch_size)

    def tensors(self) -> Iterator[Tensor]:
        """Everything that a method must leave as it is: weights, prompts, means."""
        yield from self.model.tensors()
        yield from self.pairs.tensors()
        yield from self.ablation.tensors()

    def bridge(self) -> Any:
        """The same weights as a TransformerLens `TransformerBridge`, for methods written with hooks; its passes count."""
        from .bridge import to_bridge

        return to_bridge(self.model)


@dataclass(frozen=True)
class EdgeScores:
    """One signed score per edge, in the order of `graph.edges`; NaN is "no opinion".

    A score estimates the *drop* of the metric when the edge is ablated: positive supports the behaviour.
    """

    scores: Float[Tensor, " edges"]


@dataclass(frozen=True, kw_only=True)
class Truth:
    """A known set of edges, `task:name`, and where it comes from; with the exact effect of every edge if it was measured."""

    name: str
    edges: Bool[Tensor, " edges"]
    source: str
    effects: Float[Tensor, " edges"] | None = None
