"""How scores distribute: inside and outside a known circuit, and by the role of the head that an edge starts from.

Source: Syed et al. 2023, figures 7 (inside, outside) and 10 (edges of the known circuit by the role of their origin).
"""

from __future__ import annotations

from typing import NamedTuple

import torch
from jaxtyping import Bool, Float
from torch import Tensor

from ..graph import Graph
from ..graph.problem import Truth

_BINS = 40


class ScoreGroup(NamedTuple):
    """Scores of one group of edges: how many in each bin, their number, mean and standard deviation."""

    name: str
    counts: tuple[int, ...]
    n: int
    mean: float
    deviation: float


class ScoreDistribution(NamedTuple):
    """Groups over the same bins; `bounds` has one number more than there are bins."""

    bounds: tuple[float, ...]
    groups: tuple[ScoreGroup, ...]
    roles: tuple[ScoreGroup, ...]


def distribution(graph: Graph, scores: Float[Tensor, " edges"], truth: Truth | None) -> ScoreDistribution:
    """Histograms of the scores; an edge without one is in none. Bins run from the lowest to the highest score."""
    told = ~scores.isnan()
    values = scores[told].double()
    low, high = float(values.min()), float(values.max())
    if low == high:
        low, high = low - 0.5, high + 0.5
    bounds = torch.linspace(low, high, _BINS + 1, dtype=torch.float64)

    def group(name: str, chosen: Bool[Tensor, " edges"]) -> ScoreGroup | None:
        members = scores[chosen & told].double()
        if not len(members):
            return None
        # The last bin holds its upper bound too.
        place = (torch.bucketize(members, bounds, right=True) - 1).clamp(0, _BINS - 1)
        counts = tuple(torch.bincount(place, minlength=_BINS).tolist())
        return ScoreGroup(name, counts, len(members), float(members.mean()), float(members.std(correction=0)))

    if truth is None:
        groups, roles = [group("all edges", told)], []
    else:
        outside = ~truth.edges if truth.universe is None else truth.universe & ~truth.edges
        groups = [group(f"in {truth.name}", truth.edges), group("outside", outside)]
        roles = [group(name, truth.edges & _from(graph, nodes)) for name, nodes in truth.roles.items()]
    found = ([each for each in several if each is not None] for several in (groups, roles))
    return ScoreDistribution(tuple(bounds.tolist()), *(tuple(each) for each in found))


def _from(graph: Graph, nodes: tuple[str, ...]) -> Bool[Tensor, " edges"]:
    rows = torch.tensor([name in nodes for name in graph.sources])
    return rows[graph.edge_sources]
