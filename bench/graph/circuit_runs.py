"""Runs of many circuits that differ by little: what one of them has computed, none computes again.

A circuit is the model with some edges patched. Beside the clean run, the input of destination v is

    x_v = clean stream + sum over patched u of (ablated_u - clean_u) + sum over kept u that have moved of (u - clean_u)

The first sum depends on the patched edges of v alone, and the second is over few sources where circuits are small: those
with a patched edge somewhere on a kept path before them. So a node is computed again only when one of its inputs is
another, and never where no kept path leads from it to the logits. Every input and output has a number, equal for equal
history, by which circuits share what they have in common; circuits that differ are computed side by side.

A node that reaches the logits only through queries, MLPs and the stream is computed at the positions that are read.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, field
from typing import NamedTuple

import torch
from jaxtyping import Float
from torch import Tensor

from .cost import count
from .decoder import Decoder
from .layers import by_prompt
from .pairs import Metric, PromptPairs
from .patched_inputs import Masks, PatchedInputs, Sites, bits
from .reading import measure_each, take
from .recent import Recent
from .trace import record_outputs

__all__ = ["CircuitRuns"]

_NUMBERS = 1 << 20


@dataclass
class _Walk:
    """One circuit on its way through the layers: what has moved so far, by source."""

    masks: Masks
    live: int
    wide: int
    ids: dict[int, int] = field(default_factory=dict)
    moved: int = 0


class _Moved(NamedTuple):
    """How far a node's output is from the clean one; None if not at all. `wide` if at all positions."""

    by: Tensor | None
    wide: bool


class _Head(NamedTuple):
    """A head that must be computed: numbers of its q, k and v inputs, 0 for the clean one."""

    head: int
    inputs: tuple[int, int, int]
    wide: bool


class CircuitRuns:
    """The metric of any circuits on one batch of prompts.

    Args:
        decoder: the model.
        pairs: the prompts.
        ablated: every source's output in the ablated run on them; it is overwritten.
        metric: what is measured.
        max_bytes: memory for what is kept from call to call, beyond the runs themselves.
    """

    @torch.no_grad()
    def __init__(
        self,
        decoder: Decoder,
        pairs: PromptPairs,
        ablated: Float[Tensor, "sources batch position d_model"],
        metric: Metric,
        *,
        max_bytes: int,
    ) -> None:
        self._decoder, self._pairs, self._metric = decoder, pairs, metric
        self._graph = decoder.graph
        self._sites = Sites(decoder.graph)
        length = int(pairs.positions.max()) + 1  # what follows is read by nobody
        outputs = record_outputs(decoder, decoder.embed(pairs.clean[:, :length]))
        streams = _streams(self._sites, outputs)
        self._written = [outputs[self._graph.mlp_source(i)].clone() for i in range(self._graph.n_layers)] * int(
            self._graph.has_mlp
        )
        change = torch.sub(ablated[:, :, :length], outputs, out=outputs)
        self._unchanged = sum(1 << row for row in (~change.flatten(1).any(1)).nonzero().flatten().tolist())
        at_read = take(change, pairs.positions)
        self._read = {
            True: PatchedInputs(self._sites, streams, change, max_bytes // 8),
            False: PatchedInputs(self._sites, [take(x, pairs.positions) for x in streams], at_read, max_bytes // 8),
        }
        self._clean_heads: dict[int, tuple[Tensor, ...]] = {}
        self._numbers: dict[tuple[int, ...], int] = {}
        self._inputs: dict[int, tuple[int, ...]] = {}
        self._max_bytes = max_bytes // 4
        self._forget()

    def _forget(self) -> None:
        self._numbers.clear()
        self._inputs.clear()
        self._moved: Recent[int, _Moved] = Recent(self._max_bytes)
        self._projected: Recent[tuple[int, int, bool], Tensor] = Recent(self._max_bytes)
        self._values: Recent[int, Tensor] = Recent(self._max_bytes)

    @torch.no_grad()
    def values(self, circuits: Sequence[Masks]) -> Float[Tensor, "circuits prompts"]:
        """The metric of each circuit on each prompt. Cost: one forward for each circuit that was not run before."""
        if len(self._numbers) > _NUMBERS:
            self._forget()
        walks = [self._start(masks) for masks in circuits]
        for layer in range(self._graph.n_layers):
            self._attention(layer, walks)
            if self._graph.has_mlp:
                self._mlp(layer, walks)
        finals = [self._input_number(walk, self._sites.logits, walk.masks[-1]) for walk in walks]
        missing = [final for final in dict.fromkeys(finals) if self._values.get(final) is None]
        self._measure(missing)
        found = torch.stack([self._values.held(final) for final in finals])
        for recent in (self._moved, self._projected, self._values):
            recent.trim()
        return found

    def _start(self, masks: Masks) -> _Walk:
        return _Walk(tuple(mask & ~self._unchanged for mask in masks), *self._sites.reach(masks))

    # -- numbers: equal for what is equal -------------------------------------------------------

    def _number(self, key: tuple[int, ...]) -> int:
        return self._numbers.setdefault(key, len(self._numbers) + 1)

    def _input_number(self, walk: _Walk, site: int, mask: int) -> int:
        moved = walk.moved & ~mask & ((1 << self._sites.visible[site]) - 1)
        if not mask and not moved:
            return 0
        key = (-1 - site, mask, *(walk.ids[source] for source in bits(moved)))
        number = self._number(key)
        self._inputs[number] = key
        return number

    def _input(self, number: int, wide: bool) -> Float[Tensor, "batch position d_model"]:
        """The input of this number; not to be changed."""
        site, mask, *ids = self._inputs[number]
        x = self._read[wide].input(-1 - site, mask)
        if ids:
            x = x.clone()
            for each in ids:
                x += self._moved_by(each, wide)
        return x

    def _moved_by(self, number: int, wide: bool) -> Tensor:
        moved = self._moved.held(number)
        assert moved.by is not None
        return moved.by if wide or not moved.wide else take(moved.by, self._pairs.positions)

    def _stale(self, number: int, wide: bool) -> bool:
        moved = self._moved.get(number)
        return moved is None or (wide and not moved.wide)

    def _advance(self, found: list[tuple[_Walk, int, int]]) -> None:
        """Note in each walk which of its nodes have moved."""
        for walk, source, number in found:
            if self._moved.held(number).by is not None:
                walk.ids[source] = number
                walk.moved |= 1 << source

    def _store(self, numbers: list[int], by: Float[Tensor, "nodes batch position d_model"], wide: bool) -> None:
        moves = by.flatten(1).any(1).tolist()
        for number, row, moving in zip(numbers, by, moves, strict=True):
            own = row.clone() if moving and len(by) > 1 else row  # a part of a larger tensor would keep all of it
            self._moved.put(number, _Moved(own if moving else None, wide), own.nbytes if moving else 0)

    # -- the sites --------------------------------------------------------------------------------

    def _attention(self, layer: int, walks: list[_Walk]) -> None:
        graph = self._graph
        columns, heads, sources = graph.attention_destinations(layer), graph.n_heads, graph.head_sources(layer)
        wanted: dict[int, _Head] = {}
        found = []
        for walk in walks:
            masks = walk.masks[columns]
            if not walk.moved and not any(masks):
                continue
            numbers = {mask: self._input_number(walk, 2 * layer, mask) for mask in set(masks)}
            for head in range(heads):
                source = sources.start + head
                inputs = (numbers[masks[head]], numbers[masks[heads + head]], numbers[masks[2 * heads + head]])
                if not walk.live >> source & 1 or not any(inputs):
                    continue
                number = self._number((source, *inputs))
                wide = bool(walk.wide >> source & 1)
                if self._stale(number, wide):
                    wanted[number] = _Head(head, inputs, wide or (number in wanted and wanted[number].wide))
                found.append((walk, source, number))
        self._project(layer, wanted)
        for wide in (True, False):
            some = {number: head for number, head in wanted.items() if head.wide == wide}
            if some:
                self._store(list(some), self._attend(layer, list(some.values()), wide), wide)
        self._advance(found)

    def _project(self, layer: int, wanted: dict[int, _Head]) -> None:
        """Queries, keys and values of inputs that have none yet, all heads that read one input together."""
        heads, weights = self._graph.n_heads, self._decoder.weights.layers[layer]
        group = heads // self._decoder.config.n_kv_heads
        missing: dict[bool, dict[int, list[int]]] = {True: {}, False: {}}  # wide -> place -> inputs
        for head, inputs, wide_head in wanted.values():
            for part, number in enumerate(inputs):
                wide, place = wide_head or part > 0, part * heads + head
                if number and self._projected.get((place, number, wide)) is None:
                    here = missing[wide].setdefault(place, [])
                    if number not in here:
                        here.append(number)
        for wide, by_place in missing.items():
            if not by_place:
                continue
            rows = {number: row for row, number in enumerate(dict.fromkeys(n for ns in by_place.values() for n in ns))}
            x = torch.stack([self._input(number, wide) for number in rows])
            unit = self._decoder.head_input(layer, x)
            for place, numbers in by_place.items():
                part, head = divmod(place, heads)
                row = head if part == 0 else head // group
                matrix = (weights.q, weights.k, weights.v)[part][row]
                bias = (weights.q_bias, weights.k_bias, weights.v_bias)[part]
                chosen = [rows[number] for number in numbers]
                read = unit if chosen == list(range(len(rows))) else unit[chosen]
                y = read @ matrix if bias is None else (read @ matrix).add_(bias[row])
                for number, one in zip(numbers, y, strict=True):
                    own = one.clone() if len(y) > 1 else one
                    self._projected.put((place, number, wide), own, own.nbytes)

    def _attend(self, layer: int, some: list[_Head], wide: bool) -> Float[Tensor, "nodes batch position d_model"]:
        """How far each head's output moves."""
        decoder, positions = self._decoder, self._pairs.positions
        *clean, clean_z, read_z = self._clean_attention(layer)
        qkv = []
        for part in range(3):
            spread = wide or part > 0
            rows = []
            for head, inputs, _ in some:
                if inputs[part]:
                    rows.append(self._projected.held((part * self._graph.n_heads + head, inputs[part], spread)))
                else:
                    rows.append(clean[part][head] if spread else take(clean[part][head], positions))
            qkv.append(torch.cat(rows)[:, :, None])  # [nodes x batch, position, 1, d_head]
        at = None if wide else positions.repeat(len(some), 1)
        z = decoder.attend(qkv[0], qkv[1], qkv[2], at)
        heads = [each.head for each in some]
        z = z.reshape(len(some), len(positions), -1, decoder.config.d_head)
        z = z - (clean_z if wide else read_z)[heads]
        by = torch.bmm(z.flatten(1, 2), decoder.weights.layers[layer].o[heads])
        return by.view(len(some), len(positions), -1, decoder.config.d_model)

    def _clean_attention(self, layer: int) -> tuple[Tensor, ...]:
        """q, k, v, z and z where it is read, of every head in the clean run, [heads, batch, position, d_head] each.

        z comes from the functions that moved ones come from: what does not move must differ by nothing, not by rounding.
        """
        if layer not in self._clean_heads:
            q, k, v = self._decoder.read_heads(layer, self._read[True].streams[2 * layer])
            positions = self._pairs.positions
            at_read = self._decoder.attend(q[by_prompt(positions)], k, v, positions)
            every = (q, k, v, self._decoder.attend(q, k, v), at_read)
            self._clean_heads[layer] = tuple(t.permute(2, 0, 1, 3).contiguous() for t in every)
        return self._clean_heads[layer]

    def _mlp(self, layer: int, walks: list[_Walk]) -> None:
        source, column = self._graph.mlp_source(layer), self._graph.mlp_destination(layer)
        wanted: dict[bool, dict[int, int]] = {True: {}, False: {}}  # wide -> node -> input
        found = []
        for walk in walks:
            if not walk.live >> source & 1:
                continue
            read = self._input_number(walk, 2 * layer + 1, walk.masks[column])
            if not read:
                continue
            number, wide = self._number((source, read)), bool(walk.wide >> source & 1)
            if self._stale(number, wide):
                wanted[wide][number] = read
            found.append((walk, source, number))
        for number in wanted[True]:
            wanted[False].pop(number, None)
        for wide, nodes in wanted.items():
            if nodes:
                x = torch.stack([self._input(read, wide) for read in nodes.values()])
                written = self._written[layer] if wide else take(self._written[layer], self._pairs.positions)
                self._store(list(nodes), self._decoder.mlp(layer, x) - written, wide)
        self._advance(found)

    def _measure(self, missing: list[int]) -> None:
        count(forward=len(missing) * len(self._pairs))
        if missing:
            clean = self._read[False].streams[-1]
            finals = torch.stack([self._input(number, False) if number else clean for number in missing])
            values = measure_each(self._decoder, finals, self._metric, self._pairs)
            for number, value in zip(missing, values, strict=True):
                self._values.put(number, value.clone(), value.nbytes)


def _streams(sites: Sites, outputs: Tensor) -> list[Tensor]:
    """Residual stream of a plain run at each site."""
    streams, total, seen = [], torch.zeros_like(outputs[0]), 0
    for visible in sites.visible:
        if visible > seen:
            total = total + outputs[seen:visible].sum(0)
            seen = visible
        streams.append(total)
    return streams
