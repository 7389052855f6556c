"""Whether what ranks high carries the variables that the behaviour rests on: AUC and average precision over known features.

A feature's strength is the sum over positions of |score|. Errors are no features and are left out.
"""

from __future__ import annotations

from typing import NamedTuple

from jaxtyping import Float
from torch import Tensor

from ..features.nodes import Node, Nodes
from ..features.truth import FeatureTruth
from .precision import precision
from .ranking import ranking
from .roc import roc


class Carried(NamedTuple):
    """How well strengths tell features that carry a used variable from those that carry another."""

    auc: float
    average_precision: float
    n_true: int
    n_all: int


class Ranked(NamedTuple):
    """A feature with its strength and what it is known to carry, nothing if that is empty; `true` is None where nobody knows."""

    node: Node
    strength: float
    label: str
    true: bool | None


def strengths(scores: Float[Tensor, " nodes"], nodes: Nodes) -> Float[Tensor, " units"]:
    """Sum over positions of |score|, in the order of `nodes.summed`; NaN where there is no opinion at any position."""
    parts = {}
    for place, part in nodes.split(scores).items():
        silent = part.isnan().all(0, keepdim=True)
        parts[place] = part.abs().nan_to_num(0.0).sum(0, keepdim=True).masked_fill(silent, float("nan"))
    return nodes.summed.join(parts)


def carried(scores: Float[Tensor, " nodes"], nodes: Nodes, truth: FeatureTruth) -> Carried:
    """Detection of the features that carry a used variable, among those that carry one."""
    strength, known = strengths(scores, nodes)[truth.universe], truth.carries[truth.universe]
    found = roc(strength, known)
    return Carried(found.trapezoid, precision(strength, known).average, found.n_true, found.n_edges)


def strongest(scores: Float[Tensor, " nodes"], nodes: Nodes, truth: FeatureTruth, n: int = 20) -> list[Ranked]:
    """The strongest features of a ranking, errors and those without an opinion left out, with what each carries."""
    summed, strength = nodes.summed, strengths(scores, nodes)
    found: list[Ranked] = []
    for index in ranking(strength, signed=False).tolist():
        node = summed[index]
        if len(found) == n or strength[index].isnan():
            break
        if node.unit is not None:
            true = bool(truth.carries[index]) if truth.universe[index] else None
            found.append(Ranked(node, float(strength[index]), truth.labels.get(index, ""), true))
    return found
