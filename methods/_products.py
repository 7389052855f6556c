"""The inner product that every gradient method ends in: differences of sources with gradients of destinations."""

from __future__ import annotations

import torch
from jaxtyping import Float
from torch import Tensor

from mechboard.graph import Decoder, Graph
from mechboard.graph.backward import InputGradients


class EdgeProducts:
    """Sums over prompts, positions and d_model of difference(u) . gradient(v), for every edge u -> v."""

    def __init__(self, graph: Graph, model: Decoder) -> None:
        self._graph = graph
        qkv = model.graph
        self._sums = torch.zeros(qkv.n_sources, qkv.n_destinations, device=model.device, dtype=model.dtype)

    def add(self, differences: Float[Tensor, "sources batch position d_model"], at_inputs: InputGradients) -> None:
        """Add one batch's products for one block of destinations: a single matrix product."""
        visible = at_inputs.seen(differences).flatten(1)
        cells = self._sums[: at_inputs.n_visible, at_inputs.destinations]
        cells += (at_inputs.gradients.flatten(1) @ visible.T).T

    def sums(self) -> Float[Tensor, " edges"]:
        """The sums so far, one per edge; on a graph of heads, q, k and v of a head are added."""
        return self._graph.flat(self._graph.sum_qkv(self._sums))
