"""Faithfulness and completeness of circuits of nodes, by how many they keep.

    f(C) = (m(C) - m(empty)) / (m(model) - m(empty)),    completeness = f of all nodes in scope but C, 0 best

m: mean metric of evaluation prompts; C: the strongest nodes by |score|; the others have their mean over the paired prompts
(`features/kept.py`); empty: every node in scope at its mean. One number of a curve is an area over the logarithm of the number of
nodes, from 1 to all nodes of the problem in scope:

    faithfulness = area of max(0, 1 - |1 - f|),   completeness = area of |f of the complement|

so that a circuit that does twice as much as the model is no better than one that does nothing.

A *set* says which nodes a circuit may hold: all; all but the errors of attention and MLPs; no errors at all. What it may not hold stays
in the complement. Neurons are another basis of the same vectors, without errors.

Source: Marks et al. 2024, section 3.3 and figure 3.
"""

from __future__ import annotations

import math
from collections.abc import Sequence
from typing import NamedTuple

import torch
from jaxtyping import Bool, Float, Int
from torch import Tensor

from ..features.kept import Means, circuit_metrics, means_over
from ..features.nodes import Nodes
from ..features.problem import FeatureProblem
from .faithfulness import Anchors
from .feature_examination import FeatureExamination
from .ranking import ranking

_COUNTS = 20
_ROWS = 1024
SETS = ("features", "no-attn-mlp-errors", "no-errors")


class NodeCurve(NamedTuple):
    """Faithfulness of circuits of each size and of what they leave out."""

    counts: tuple[int, ...]
    faithfulness: tuple[float, ...]
    complement: tuple[float, ...]

    def area(self, n_all: int) -> tuple[float, float]:
        """Faithfulness and completeness over all sizes up to `n_all`, from where on a set that is used up stays as it is.

        >>> NodeCurve((1, 10), (0.0, 1.0), (1.0, 0.0)).area(10)
        (0.5, 0.5)
        >>> NodeCurve((1, 10), (1.0, 1.0), (0.0, 0.0)).area(100)
        (1.0, 0.0)
        """
        # a dictionary may have fewer features than there are neurons
        x = [math.log(count) for count in (*self.counts, max(n_all, self.counts[-1]))]
        close = [max(0.0, 1 - abs(1 - f)) for f in self.faithfulness]
        rest = [abs(f) for f in self.complement]
        return _mean_height(x, [*close, close[-1]]), _mean_height(x, [*rest, rest[-1]])

    @property
    def half(self) -> int | None:
        """The smallest circuit of those examined that keeps half of the behaviour, None if none does."""
        return next((n for n, f in zip(self.counts, self.faithfulness, strict=True) if f >= 0.5), None)


def node_counts(n_nodes: int) -> list[int]:
    """Sizes to examine: spaced evenly by logarithm from 1 to all.

    >>> node_counts(10), len(node_counts(27_702))
    ([1, 2, 3, 4, 5, 6, 7, 8, 9, 10], 20)
    """
    if n_nodes <= _COUNTS:
        return list(range(1, n_nodes + 1))
    return sorted({round(math.exp(math.log(n_nodes) * i / (_COUNTS - 1))) for i in range(_COUNTS)})


class Examined:
    """One basis of a problem on evaluation prompts: its nodes in scope, their means, and the anchors of faithfulness.

    Args:
        problem: the model in this basis.
        held_out: evaluation prompts and scope.
    """

    def __init__(self, problem: FeatureProblem, held_out: FeatureExamination) -> None:
        self.problem, self.pairs = problem, held_out.pairs
        self.dictionaries = {
            place: problem.dictionaries[place] for place in problem.dictionaries if place in held_out.scope
        }
        sizes = {place: dictionary.n_features for place, dictionary in self.dictionaries.items()}
        errors = frozenset(place for place, dictionary in self.dictionaries.items() if dictionary.errors)
        self.nodes = Nodes(sizes, errors, problem.nodes.positions)
        self.means: Means = means_over(
            problem.model, self.dictionaries, self.pairs.corrupt, self.pairs.lengths,
            by_position=problem.by_position, batch_size=problem.batch_size,
        )  # fmt: skip
        everything = torch.ones(1, len(self.nodes), dtype=torch.bool)
        model, empty = self.metrics(torch.cat([everything, ~everything])).tolist()
        self.anchors = Anchors(model, empty)

    def metrics(self, circuits: Bool[Tensor, "circuits nodes"]) -> Float[Tensor, " circuits"]:
        """The mean metric of each circuit of nodes in scope."""
        return circuit_metrics(
            self.problem.model, self.dictionaries, self.nodes, circuits.to(self.pairs.clean.device), self.means,
            self.problem.metric, self.pairs, rows=_ROWS,
        ).cpu()  # fmt: skip

    def scores(self, scores: Float[Tensor, " nodes"]) -> Float[Tensor, " scoped"]:
        """Scores of all of the problem's nodes, to those of the nodes in scope."""
        return self.nodes.join(self.problem.nodes.split(scores))

    def curve(self, scores: Float[Tensor, " scoped"], may_keep: str = SETS[0]) -> NodeCurve:
        """Circuits of the strongest nodes of one of the sets, at every size."""
        allowed = self._allowed(may_keep)
        order = _strongest(scores, allowed)
        counts = node_counts(len(order))
        rank = torch.full((len(self.nodes),), len(self.nodes))
        rank[order] = torch.arange(len(order))
        kept = torch.stack([rank < count for count in counts])
        found = [self.anchors.faithfulness(m) for m in self.metrics(torch.cat([kept, ~kept])).tolist()]
        return NodeCurve(tuple(counts), tuple(found[: len(counts)]), tuple(found[len(counts) :]))

    def _allowed(self, may_keep: str) -> Bool[Tensor, " scoped"]:
        allowed = torch.ones(len(self.nodes), dtype=torch.bool)
        for place, part in self.nodes.split(allowed).items():
            if place in self.nodes.errors and (
                may_keep == "no-errors" or (may_keep != "features" and not place.is_stream)
            ):
                part[:, -1] = False
        return allowed


def _strongest(scores: Float[Tensor, " scoped"], allowed: Bool[Tensor, " scoped"]) -> Int[Tensor, " allowed"]:
    order = ranking(scores, signed=False)
    return order[allowed[order]]


def _mean_height(x: Sequence[float], y: Sequence[float]) -> float:
    if x[-1] == x[0]:
        return y[0]
    steps = zip(x, x[1:], y, y[1:], strict=False)
    return sum((x1 - x0) * (y0 + y1) / 2 for x0, x1, y0, y1 in steps) / (x[-1] - x[0])
