"""Circuits that a method keeps at settings of its own: what share of the true and of the false edges each keeps.

    TPR = kept true edges / true edges,  FPR = kept false edges / false edges,  Youden's J = TPR - FPR

Circuits need not be nested, so their ROC is the front of those that no other beats, from nothing kept to everything
kept. Its area is told by trapezoid and by the pessimistic steps with which Conmy et al. 2023 measure ACDC:

    sum over the front of (1 - FPR of the next) x (TPR of the next - TPR)

Limits: the best J is that of the setting that the truth itself would choose, so it flatters, the more the more
settings there are.
"""

from __future__ import annotations

from collections.abc import Sequence
from itertools import pairwise
from typing import NamedTuple

from jaxtyping import Bool
from torch import Tensor

from ..graph import Graph
from ..graph.problem import Truth
from .spoken import spoken_of

Point = tuple[float, float]


class Rates(NamedTuple):
    """Rates of one kept circuit."""

    false_rate: float
    true_rate: float
    n_edges: int

    @property
    def youden(self) -> float:
        """TPR - FPR."""
        return self.true_rate - self.false_rate


def rates(graph: Graph, kept: Bool[Tensor, "circuits edges"], truth: Truth) -> list[Rates]:
    """Rates of each circuit against a truth; a direct edge is kept if an edge into its input is."""
    found = []
    for circuit in kept:
        spoken = spoken_of(graph, circuit.float(), truth)
        inside, n_true = spoken.scores > 0, int(spoken.true.sum())
        hits, entered = int((inside & spoken.true).sum()), int(inside.sum())
        n_false = len(spoken.true) - n_true
        found.append(Rates((entered - hits) / n_false, hits / n_true, int(circuit.sum())))
    return found


def front(points: Sequence[Point]) -> list[Point]:
    """The points (FPR, TPR) that no other beats, between (0, 0) and (1, 1).

    >>> front([(0.5, 0.5), (0.25, 0.75)])
    [(0.0, 0.0), (0.25, 0.75), (1.0, 1.0)]
    """
    kept: list[Point] = []
    for false, true in sorted([(0.0, 0.0), *points, (1.0, 1.0)], key=lambda p: (p[0], -p[1])):
        if not kept or true > kept[-1][1]:
            kept.append((false, true))
    # Where all true edges are kept at an FPR below 1, the curve still ends with everything kept.
    start = [] if kept[0] == (0.0, 0.0) else [(0.0, 0.0)]
    end = [] if kept[-1] == (1.0, 1.0) else [(1.0, 1.0)]
    return [*start, *kept, *end]


def areas_under(curve: Sequence[Point]) -> tuple[float, float]:
    """Area under a front by trapezoid, and by pessimistic steps.

    >>> areas_under([(0.0, 0.0), (0.25, 0.75), (1.0, 1.0)])
    (0.75, 0.5625)
    """
    pairs = list(pairwise(curve))
    trapezoid = sum((b[0] - a[0]) * (a[1] + b[1]) / 2 for a, b in pairs)
    return trapezoid, sum((1 - b[0]) * (b[1] - a[1]) for a, b in pairs)
