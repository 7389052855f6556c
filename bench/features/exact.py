"""Exact effects of single nodes: one node alone patched, everything behind it plain.

    effect(u) = mean over prompts of m(clean) - m(clean | do(u = u patched))

A feature is moved by adding W_dec (its change) to the vector at its place, an error by adding its change. A prompt on which a node
does not change has no effect and is not run; a row of a batch is one node on one prompt, so that few changes cost little.
"""

from __future__ import annotations

from collections.abc import Iterator
from typing import NamedTuple

import torch
from jaxtyping import Bool, Float, Int
from torch import Tensor

from ..contract.progress import progress
from ..graph.pairs import PromptPairs
from .changes import Change, change
from .dictionary import Dictionary
from .effects import Runs, runs
from .places import Place
from .problem import FeatureProblem
from .stream import beside, resume_behind

__all__ = ["exact_effects"]

_ROWS = 1024


@torch.no_grad()
def exact_effects(problem: FeatureProblem, only: Int[Tensor, " chosen"] | None = None) -> Float[Tensor, " nodes"]:
    """The exact effect of every node, or of some; NaN for the others. Cost: a forward per node and prompt on which it changes.

    Args:
        problem: what is asked.
        only: numbers of the nodes that are wanted.
    """
    nodes = problem.nodes
    wanted = torch.zeros(len(nodes), dtype=torch.bool)
    wanted[slice(None) if only is None else only.cpu()] = True
    parts = nodes.split(wanted)
    totals = {place: torch.zeros(nodes.rows, nodes.width(place)) for place in nodes.places}
    batches = runs(problem)
    for index, place in enumerate(nodes.places):
        if not parts[place].any():
            continue
        dictionary = problem.dictionaries[place]
        for batch in batches:
            totals[place] += _place(problem, batch, place, dictionary, parts[place])
            progress(index * len(batches) + batch.number + 1, len(nodes.places) * len(batches), "places and batches")
    effects = nodes.join(totals) / problem.n_prompts
    return effects.masked_fill(~wanted, torch.nan)


def _place(
    problem: FeatureProblem, batch: Runs, place: Place, dictionary: Dictionary, wanted: Tensor
) -> Float[Tensor, "row units"]:
    clean, stream = batch.clean[place], beside(batch.clean, place)
    changed = change(dictionary, clean, batch.patched(place))
    plain = _measure(problem, place, clean, stream, batch.pairs)
    total = torch.zeros(wanted.shape, device=clean.device, dtype=plain.dtype)
    wanted = wanted.to(clean.device)
    for prompt, row, unit, moved in _moves(dictionary, clean, changed, wanted):
        beside_it = None if stream is None else stream[prompt]
        after = _measure(problem, place, clean[prompt] + moved, beside_it, batch.pairs[prompt])
        total.index_put_((row, unit), plain[prompt] - after, accumulate=True)
    return total.cpu()


def _measure(
    problem: FeatureProblem, place: Place, value: Tensor, stream: Tensor | None, pairs: PromptPairs
) -> Float[Tensor, " rows"]:
    final = resume_behind(problem.model, place, value, stream, pairs.positions)
    return problem.metric(problem.model.unembed(final), pairs)


class _Move(NamedTuple):
    """Rows to run: of which prompt, which node, and how the prompt's vectors move."""

    prompt: Int[Tensor, " rows"]
    row: Int[Tensor, " rows"]
    unit: Int[Tensor, " rows"]
    moved: Float[Tensor, "rows position d_model"]


def _moves(
    dictionary: Dictionary, clean: Tensor, changed: Change, wanted: Bool[Tensor, "row units"]
) -> Iterator[_Move]:
    """Every prompt on which a wanted node changes, so many at a time."""
    error, rows = torch.tensor([dictionary.n_features], device=clean.device), len(wanted)
    for of_features, numbers, change_of in ((True, changed.active, changed.features), (False, error, changed.error)):
        if not of_features and not dictionary.errors:
            return
        differs = change_of != 0 if of_features else change_of.any(-1, keepdim=True)
        if rows == 1:
            differs = differs.any(1, keepdim=True)
        places = (differs & wanted[:, numbers]).nonzero()  # prompt, row, unit among these numbers
        if not len(places):
            continue
        for prompt, row, unit in (part.unbind(1) for part in torch.split(places, _ROWS)):
            each = torch.arange(len(prompt), device=clean.device)
            if of_features:
                of_unit = change_of[prompt, :, unit, None]  # [rows, position, 1]
                moved = dictionary.decoder[numbers[unit]][:, None] * of_unit
                scale = dictionary.scale(clean)
                moved = moved if scale is None else moved * scale[prompt]
            else:
                moved = change_of[prompt]
            if rows > 1:  # at this node's position alone
                here = torch.zeros_like(moved)
                here[each, row] = moved[each, row]
                moved = here
            yield _Move(prompt, row, numbers[unit], moved)
