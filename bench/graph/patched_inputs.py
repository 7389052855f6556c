"""What every destination reads under any set of patched edges, while nothing before it has moved.

A set of patched edges is held as one integer per destination, whose bits are the sources that are patched there.
A *site* is a place at which destinations read the same stream: a layer's attention, its MLP, the logits.
"""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass
from functools import cached_property
from typing import NamedTuple

from jaxtyping import Float
from torch import Tensor

from .graph import Graph

__all__ = ["Masks", "PatchedInputs", "Reach", "Sites", "bits"]

Masks = tuple[int, ...]
"""Patched sources of every destination at the q/k/v level, as bits."""


def bits(mask: int) -> Iterator[int]:
    """Places of the bits that are set, from the lowest on."""
    while mask:
        lowest = mask & -mask
        yield lowest.bit_length() - 1
        mask ^= lowest


class Reach(NamedTuple):
    """Sources that are heard, as bits.

    Attributes:
        live: those from which a path of kept edges leads to the logits.
        wide: those of them that are also heard at positions that the metric does not read, through a key or a value.
    """

    live: int
    wide: int


@dataclass(frozen=True)
class Sites:
    """Numbers of the sites of a graph: 2 l for the attention of layer l, 2 l + 1 for its MLP, then the logits."""

    graph: Graph

    @property
    def logits(self) -> int:
        """The last site."""
        return 2 * self.graph.n_layers

    @cached_property
    def visible(self) -> tuple[int, ...]:
        """How many sources, from the first on, each site can read."""
        counts: list[int] = []
        for layer in range(self.graph.n_layers):
            counts += [self.graph.visible_to_attention(layer), self.graph.visible_to_mlp(layer)]
        return (*counts, self.graph.n_sources)

    @cached_property
    def of_destination(self) -> tuple[int, ...]:
        """Site of every destination."""
        sites: list[int] = []
        for layer in range(self.graph.n_layers):
            columns = self.graph.attention_destinations(layer)
            sites += [2 * layer] * (columns.stop - columns.start) + [2 * layer + 1] * self.graph.has_mlp
        return (*sites, self.logits)

    def reach(self, masks: Masks) -> Reach:
        """Which sources are heard where the edges in `masks` are patched; `run_patched` asks the same of a matrix."""
        graph, everything = self.graph, [(1 << visible) - 1 for visible in self.visible]
        live, wide = everything[-1] & ~masks[-1], 0
        for layer in reversed(range(graph.n_layers)):
            if graph.has_mlp and live >> graph.mlp_source(layer) & 1:
                read = everything[2 * layer + 1] & ~masks[graph.mlp_destination(layer)]
                live |= read
                wide |= read if wide >> graph.mlp_source(layer) & 1 else 0
            first, sources = graph.attention_destinations(layer).start, graph.head_sources(layer)
            for head, source in enumerate(range(sources.start, sources.stop)):
                if live >> source & 1:
                    columns = (first + part * graph.n_heads + head for part in range(3))
                    q, k, v = (everything[2 * layer] & ~masks[column] for column in columns)
                    live |= q | k | v
                    wide |= k | v | (q if wide >> source & 1 else 0)
        return Reach(live, wide)


class PatchedInputs:
    """The clean run and what ablation changes of it, at all positions or at those that the metric reads.

    Args:
        sites: of the decoder's graph.
        streams: residual stream of the clean run at each site.
        change: ablated minus clean output of every source.
        max_bytes: memory for inputs that are kept because similar ones may be asked for.
    """

    def __init__(
        self,
        sites: Sites,
        streams: list[Float[Tensor, "batch position d_model"]],
        change: Float[Tensor, "sources batch position d_model"],
        max_bytes: int,
    ) -> None:
        self.streams = streams
        self._visible = sites.visible
        self._change = change
        self._per_site = max(4, max_bytes // (len(streams) * streams[0].nbytes))
        self._known: list[dict[int, Tensor]] = [{} for _ in streams]

    def input(self, site: int, mask: int) -> Float[Tensor, "batch position d_model"]:
        """What a destination at `site` reads when the sources in `mask` are patched and none has moved; not to be changed.

        Masks differ by an edge or two from one that was asked for before, so an input is the nearest known one and the
        changes of the sources in which they differ.
        """
        known = self._known[site]
        found = known.pop(mask, None)
        if found is None:
            found = self._from_nearest(site, mask)
        known[mask] = found
        if len(known) > self._per_site:
            del known[next(iter(known))]
        return found

    def _from_nearest(self, site: int, mask: int) -> Tensor:
        if not mask:
            return self.streams[site]
        visible = self._visible[site]
        nearest = min((0, *self._known[site]), key=lambda other: (other ^ mask).bit_count())
        if (nearest ^ mask).bit_count() > visible // 2:
            everything = self.streams[site] + self._change[:visible].sum(0)
            self._known[site][(1 << visible) - 1] = everything
            return everything if mask == (1 << visible) - 1 else self._from_nearest(site, mask)
        x = (self._known[site][nearest] if nearest else self.streams[site]).clone()
        for source in bits(nearest ^ mask):
            x.add_(self._change[source], alpha=1 if mask >> source & 1 else -1)
        return x
