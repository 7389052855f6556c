"""What a truth speaks about: the edges by which scores are held against it, and their labels.

A truth may speak about fewer edges than the graph has (its universe), and about more: ACDC's graph also holds each head's
way from its query, key or value input on, the *direct* edges. No method here scores those. Such an edge is in a circuit
as soon as an edge into its input is, so it stands where the strongest of these stands.
"""

from __future__ import annotations

from typing import NamedTuple

import torch
from jaxtyping import Bool, Float
from torch import Tensor

from ..graph import Graph
from ..graph.problem import Truth
from .ranking import strength


class Spoken(NamedTuple):
    """Scores of everything that a truth speaks about, and what is true of it."""

    scores: Float[Tensor, " parts"]
    true: Bool[Tensor, " parts"]


def spoken_of(graph: Graph, scores: Float[Tensor, " edges"], truth: Truth) -> Spoken:
    """Scores and labels of the edges of a truth's universe, then of its direct edges if it counts them.

    Example:
        >>> graph = Graph(n_layers=1, n_heads=1, has_mlp=False, parallel=False)
        >>> graph.edges[:3]
        ('input->a0.h0<q>', 'input->a0.h0<k>', 'input->a0.h0<v>')
        >>> true = torch.tensor([True, False, False, False, False])
        >>> truth = Truth(name="t:t", edges=true, source="", direct=torch.tensor([True, False, False, False]))
        >>> spoken_of(graph, torch.tensor([5.0, 4.0, 3.0, 2.0, 1.0]), truth).scores.tolist()
        [5.0, 4.0, 3.0, 2.0, 1.0, 5.0, 4.0, 3.0]
    """
    inside = torch.ones_like(truth.edges) if truth.universe is None else truth.universe
    kept, true = scores[inside], truth.edges[inside]
    if truth.direct is None:
        return Spoken(kept, true)
    inputs = torch.tensor(["<" in name for name in graph.destinations])
    return Spoken(torch.cat([kept, _strongest_into(graph, scores)[inputs]]), torch.cat([true, truth.direct[inputs]]))


def _strongest_into(graph: Graph, scores: Tensor) -> Float[Tensor, " destinations"]:
    """The score of the strongest edge into each destination, NaN where none has one."""
    strongest = graph.dense(strength(scores, signed=False), fill=-torch.inf).argmax(0)
    return graph.dense(scores, fill=torch.nan).gather(0, strongest[None])[0]
