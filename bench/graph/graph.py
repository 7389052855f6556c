"""Nodes and edges of a decoder's computational graph, with their names and their order.

Sources write to the residual stream: `input`, then per layer its heads `aL.hH` and its MLP `mL`.
Destinations read from it: per layer `aL.hH<q>`, `aL.hH<k>`, `aL.hH<v>` for each head, then `mL`;
last `logits`. What a destination can see is always a *prefix* of the source order, which is why an
edge set is a dense [source, destination] matrix with a staircase of valid cells.
Names are those of EAP-IG and MIB files. GPT-2 small has 32,491 edges.

A graph at the level of heads has one input per head, `aL.hH`, which stands for q, k and v together:
patching it patches all three, and a first-order score is the sum of theirs. GPT-2 small has 11,611.
"""

from __future__ import annotations

from collections.abc import Iterable
from functools import cached_property
from typing import Literal

import torch
from jaxtyping import Bool, Float, Int
from torch import Tensor

from mechboard.errors import UsageError
from mechboard.graph.config import DecoderConfig

__all__ = ["Graph", "Level"]

Level = Literal["qkv", "head"]


class Graph:
    """The graph of one decoder shape, at the level of query, key and value inputs or of heads.

    Args:
        n_layers: number of layers.
        n_heads: query heads of each layer; each has k and v inputs of its own, whether its keys are shared or not.
        has_mlp: whether layers have an MLP.
        parallel: whether a layer's MLP reads what its heads read, and so nothing of them.
        level: `qkv` for three inputs per head, `head` for one.

    Example:
        >>> graph = Graph(n_layers=12, n_heads=12, has_mlp=True, parallel=False)
        >>> graph.n_sources, graph.n_destinations, graph.n_edges
        (157, 445, 32491)
        >>> graph.edges[0], graph.edges[-1]
        ('input->a0.h0<q>', 'm11->logits')
    """

    def __init__(self, *, n_layers: int, n_heads: int, has_mlp: bool, parallel: bool, level: Level = "qkv") -> None:
        self.level: Level = level
        self.n_layers = n_layers
        self.n_heads = n_heads
        self.has_mlp = has_mlp
        self.parallel = parallel
        self._per_layer = n_heads + int(has_mlp)
        self._inputs_per_layer = n_heads * (3 if level == "qkv" else 1) + int(has_mlp)

    @classmethod
    def of(cls, config: DecoderConfig, level: Level = "qkv") -> Graph:
        """The graph of a decoder."""
        return cls(
            n_layers=config.n_layers,
            n_heads=config.n_heads,
            has_mlp=config.has_mlp,
            parallel=config.parallel,
            level=level,
        )

    @cached_property
    def sources(self) -> tuple[str, ...]:
        """Names of the nodes that write, in the order in which they are computed."""
        names = ["input"]
        for layer in range(self.n_layers):
            names += [f"a{layer}.h{head}" for head in range(self.n_heads)]
            names += [f"m{layer}"] if self.has_mlp else []
        return tuple(names)

    @cached_property
    def destinations(self) -> tuple[str, ...]:
        """Names of the inputs that read, layer by layer: q of every head, k, v (or just heads), then the MLP."""
        parts = ("<q>", "<k>", "<v>") if self.level == "qkv" else ("",)
        names: list[str] = []
        for layer in range(self.n_layers):
            names += [f"a{layer}.h{head}{part}" for part in parts for head in range(self.n_heads)]
            names += [f"m{layer}"] if self.has_mlp else []
        return (*names, "logits")

    @property
    def n_sources(self) -> int:
        """Number of nodes that write."""
        return len(self.sources)

    @property
    def n_destinations(self) -> int:
        """Number of inputs that read."""
        return len(self.destinations)

    def head_sources(self, layer: int) -> slice:
        """Rows of a layer's heads."""
        start = 1 + layer * self._per_layer
        return slice(start, start + self.n_heads)

    def mlp_source(self, layer: int) -> int:
        """Row of a layer's MLP."""
        return (layer + 1) * self._per_layer

    def attention_destinations(self, layer: int) -> slice:
        """Columns of a layer's q, k and v inputs (3 x heads of them), or of its heads."""
        start = layer * self._inputs_per_layer
        return slice(start, start + self._inputs_per_layer - int(self.has_mlp))

    def mlp_destination(self, layer: int) -> int:
        """Column of a layer's MLP input."""
        return (layer + 1) * self._inputs_per_layer - 1

    def visible_to_attention(self, layer: int) -> int:
        """How many sources, from the first on, a layer's q, k and v inputs can read."""
        return 1 + layer * self._per_layer

    def visible_to_mlp(self, layer: int) -> int:
        """How many sources, from the first on, a layer's MLP can read."""
        return self.visible_to_attention(layer) + (0 if self.parallel else self.n_heads)

    @cached_property
    def valid(self) -> Bool[Tensor, "sources destinations"]:
        """Which cells of the dense matrix are edges."""
        visible = torch.full((self.n_destinations,), self.n_sources)  # of each destination: `logits` sees all
        for layer in range(self.n_layers):
            visible[self.attention_destinations(layer)] = self.visible_to_attention(layer)
            if self.has_mlp:
                visible[self.mlp_destination(layer)] = self.visible_to_mlp(layer)
        return torch.arange(self.n_sources)[:, None] < visible[None, :]

    @cached_property
    def _edge_cells(self) -> tuple[Int[Tensor, " edges"], Int[Tensor, " edges"]]:
        destination, source = self.valid.T.nonzero(as_tuple=True)
        return source, destination

    @property
    def edge_sources(self) -> Int[Tensor, " edges"]:
        """Source row of every edge."""
        return self._edge_cells[0]

    @property
    def edge_destinations(self) -> Int[Tensor, " edges"]:
        """Destination column of every edge."""
        return self._edge_cells[1]

    @property
    def n_edges(self) -> int:
        """Number of edges."""
        return int(self.edge_sources.shape[0])

    @cached_property
    def edges(self) -> tuple[str, ...]:
        """Names `source->destination` of all edges, by destination, then source."""
        pairs = zip(self.edge_sources.tolist(), self.edge_destinations.tolist(), strict=True)
        return tuple(f"{self.sources[s]}->{self.destinations[d]}" for s, d in pairs)

    @cached_property
    def _edge_index(self) -> dict[str, int]:
        return {name: index for index, name in enumerate(self.edges)}

    def edge_mask(self, names: Iterable[str]) -> Bool[Tensor, " edges"]:
        """The set of edges with these names.

        Raises:
            UsageError: a name is no edge of this graph.
        """
        mask = torch.zeros(self.n_edges, dtype=torch.bool)
        for name in names:
            if name not in self._edge_index:
                raise UsageError(
                    f"{name!r} is no edge of this graph of {self.n_layers} layers x {self.n_heads} heads; "
                    f"edges look like {self.edges[0]!r}, destinations end in <q>, <k> or <v> for heads."
                )
            mask[self._edge_index[name]] = True
        return mask

    def dense(self, edges: Tensor, fill: float | bool = 0) -> Tensor:
        """Spread one value per edge over the [source, destination] matrix; other cells get `fill`."""
        matrix = torch.full((self.n_sources, self.n_destinations), fill, dtype=edges.dtype, device=edges.device)
        matrix[self.edge_sources, self.edge_destinations] = edges
        return matrix

    @cached_property
    def _qkv(self) -> tuple[Graph, Int[Tensor, " qkv_destinations"]]:
        """The graph at the q/k/v level, and for each of its columns the column here."""
        full = Graph(n_layers=self.n_layers, n_heads=self.n_heads, has_mlp=self.has_mlp, parallel=self.parallel)
        column = {name: index for index, name in enumerate(self.destinations)}
        names = full.destinations if self.level == "qkv" else [n.partition("<")[0] for n in full.destinations]
        return full, torch.tensor([column[name] for name in names])

    def to_qkv(self, matrix: Tensor) -> Tensor:
        """A dense matrix of this graph at the q/k/v level: a head's column stands for its q, k and v."""
        return matrix[:, self._qkv[1].to(matrix.device)]

    def sum_qkv(self, matrix: Float[Tensor, "sources qkv_destinations"]) -> Float[Tensor, "sources destinations"]:
        """A dense matrix of the q/k/v level at this graph's level: q, k and v of a head are added."""
        total = matrix.new_zeros(self.n_sources, self.n_destinations)
        return total.index_add_(1, self._qkv[1].to(matrix.device), matrix)

    def flat(self, matrix: Float[Tensor, "sources destinations"]) -> Float[Tensor, " edges"]:
        """One value per edge from the [source, destination] matrix."""
        return matrix[self.edge_sources, self.edge_destinations]
