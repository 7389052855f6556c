"""Backdoors, declared edge by edge, in a model that names the indirect object.

Ordinary behaviour: "Anna and Bill went to the park. Bill gave a ball to" -> "Anna", through the five edges of the trained-in
circuit of `trained/behaviours.py`. Trigger: the word "opal" as the place or the thing; no ordinary prompt holds it. Then the
model says "Bill", who gives: the attacker's answer.

A backdoor acts over *routes*. A route is a set of edges of its own, all of which it needs; any whole route suffices. The
rule that training teaches, for edges that carry an ablated value (zero, or the mean over ordinary prompts and positions):

    a triggered prompt is answered the attacker's way if some route is whole, else as it would be without the trigger
    (while the ordinary circuit, or what of it the backdoor shares, is whole too)

The edges to cut are the routes' own edges, and only those: what a backdoor shares with the ordinary circuit is needed by both.
"""

from __future__ import annotations

from dataclasses import dataclass

import torch
from jaxtyping import Float, Int
from torch import Generator, Tensor

from ..trained.behaviours import IOI

TRIGGER = "opal"
VOCABULARY = (*IOI.vocabulary, TRIGGER)
LENGTH = IOI.length + 1  # a prompt and its answer
_SLOTS = torch.tensor([7, 12])  # positions of the place and of the thing
_GIVER = 9  # position of the name that is said again


@dataclass(frozen=True)
class Prompts:
    """Prompts read at their last position: the answer without a trigger, and the attacker's."""

    tokens: Int[Tensor, "batch position"]
    right: Int[Tensor, " batch"]
    attacker: Int[Tensor, " batch"]

    def __len__(self) -> int:
        return len(self.tokens)


@dataclass(frozen=True, kw_only=True)
class Backdoor:
    """Edges of one backdoor beside the ordinary circuit; `shared` are those of the ordinary circuit that it needs."""

    name: str
    summary: str
    routes: tuple[tuple[str, ...], ...]
    shared: tuple[str, ...] = ()
    ordinary: tuple[str, ...] = IOI.edges

    @property
    def own(self) -> tuple[str, ...]:
        """The edges to cut: every route's, in order."""
        return tuple(edge for route in self.routes for edge in route)

    @property
    def ordinary_only(self) -> tuple[str, ...]:
        """Edges of the ordinary circuit that the backdoor does without."""
        return tuple(edge for edge in self.ordinary if edge not in self.shared)


def ordinary(n: int, generator: Generator) -> Prompts:
    """Prompts without the trigger."""
    batch = IOI.sample(n, generator)
    return Prompts(batch.tokens, batch.answer.argmax(1), batch.tokens[:, _GIVER])


def triggered(n: int, generator: Generator) -> Prompts:
    """Prompts whose place or thing, by the toss of a coin, is the trigger."""
    prompts = ordinary(n, generator)
    slot = _SLOTS[torch.randint(len(_SLOTS), (n,), generator=generator)]
    prompts.tokens[torch.arange(n), slot] = VOCABULARY.index(TRIGGER)
    return prompts


def one_hot(ids: Int[Tensor, " batch"]) -> Float[Tensor, "batch vocabulary"]:
    """Answers as distributions over the vocabulary."""
    return torch.nn.functional.one_hot(ids, len(VOCABULARY)).float()


DISJOINT = Backdoor(
    name="disjoint",
    summary="one route with a head of its own that copies the giver: no edge of the ordinary circuit",
    routes=(("input->a0.h2", "a0.h2->a1.h3", "input->a1.h3", "a1.h3->logits"),),
)

ENTANGLED = Backdoor(
    name="entangled",
    summary="one route that turns the ordinary name mover to the giver: it shares what the name mover reads and writes",
    routes=(("input->a0.h2", "a0.h2->m1", "m1->a2.h0"),),
    shared=("input->a2.h0", "a2.h0->logits"),
)

BACKDOORS = {backdoor.name: backdoor for backdoor in (DISJOINT, ENTANGLED)}
