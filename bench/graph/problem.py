"""What a circuit task hands to a method and what comes back: a model as a graph, and a score for every edge."""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from dataclasses import dataclass, field, replace
from typing import Any

from jaxtyping import Bool, Float
from torch import Tensor

from ..errors import UsageError
from .ablation import Ablation
from .decoder import Decoder
from .divergence import Divergence, with_clean_answers
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

    def measured_by(self, metric: str) -> CircuitProblem:
        """The same problem with one of its two metrics: `task`, its own, or `kl`. Cost of `kl`: one forward.

        `kl` is -KL(clean model || this run) of the answers at the positions that are read: 0 for the model itself, lower
        for every other circuit. Conmy et al. 2023 run ACDC with either.

        Raises:
            UsageError: it has no such metric.
        """
        if metric == "task":
            return self
        if metric != "kl":
            raise UsageError(f"Metric {metric!r} was given; valid: task, kl.")
        return replace(self, metric=Divergence(), pairs=with_clean_answers(self.model, self.pairs, self.batch_size))

    def tensors(self) -> Iterator[Tensor]:
        """Everything that a method must leave as it is: weights, prompts, means."""
        yield from self.model.tensors()
        yield from self.pairs.tensors()
        yield from self.ablation.tensors()

    def bridge(self) -> Any:
        """The same weights as a TransformerLens `TransformerBridge`, for methods written with hooks; its passes count."""
        from .bridge import to_bridge

        return to_bridge(self.model)


@dataclass(frozen=True, kw_only=True)
class Circuits:
    """Sets of edges that a method keeps at settings of its own, such as thresholds; they need not be nested.

    `settings` has one value per circuit for each name: `{"threshold": (0.1, 0.01)}`.
    """

    kept: Bool[Tensor, "circuits edges"]
    settings: Mapping[str, tuple[float, ...]]


@dataclass(frozen=True)
class EdgeScores:
    """One signed score per edge, in the order of `graph.edges`; NaN is "no opinion".

    A score estimates the *drop* of the metric when the edge is ablated: positive supports the behaviour.
    `circuits` are sets of edges that the method itself would keep, if it draws such lines.
    """

    scores: Float[Tensor, " edges"]
    circuits: Circuits | None = None


@dataclass(frozen=True, kw_only=True)
class Truth:
    """A known set of edges, `task:name`, and where it comes from; with the exact effect of every edge if it was measured.

    Args:
        name: `task:name`.
        edges: which edges are true.
        source: who says so.
        effects: the exact drop of the metric when each edge alone is ablated.
        universe: the edges that it speaks about, all if None; others are neither true nor false.
        direct: for a source that also counts each head's way from an input to its own query, key or value: the inputs of
            which it does. Such an edge is found as soon as an edge into its input is.
        roles: heads by the role that the source gives them.
    """

    name: str
    edges: Bool[Tensor, " edges"]
    source: str
    effects: Float[Tensor, " edges"] | None = None
    universe: Bool[Tensor, " edges"] | None = None
    direct: Bool[Tensor, " destinations"] | None = None
    roles: Mapping[str, tuple[str, ...]] = field(default_factory=dict, hash=False)

    def __post_init__(self) -> None:
        outside = 0 if self.universe is None else int((self.edges & ~self.universe).sum())
        if outside:
            raise UsageError(
                f"Truth {self.name!r} calls {outside} edges true that are not among those it speaks about; widen its universe."
            )
