"""Node effects by a linear estimate: gradient times change, of features and of the error.

    effect(feature i) = - <gradient at f_i> . (f_i patched - f_i clean),   gradient at f = W_dec gradient at the vector
    effect(error)     = - <gradient at the vector> . (eps patched - eps clean)

summed over d_model, and over positions where the problem does so; mean over prompts. The sign makes it the estimated drop of the
metric. All effects of a place add to -<gradient> . (vector patched - vector clean).

Source: Marks et al. 2024, equations 3 and 4. Which gradient is the method's choice.
"""

from __future__ import annotations

from collections.abc import Callable
from typing import NamedTuple

import torch
from jaxtyping import Float
from torch import Tensor

from ..contract.progress import progress
from ..graph.pairs import PromptPairs
from .changes import Change, change
from .dictionary import Dictionary
from .places import Place
from .problem import FeatureProblem, FeatureScores
from .stream import record


class Runs(NamedTuple):
    """Batch `number` of the pairs with what stood at every place; `corrupt` is None where nodes are ablated to zero."""

    number: int
    pairs: PromptPairs
    clean: dict[Place, Float[Tensor, "prompts position d_model"]]
    corrupt: dict[Place, Float[Tensor, "prompts position d_model"]] | None

    def patched(self, place: Place) -> Float[Tensor, "prompts position d_model"] | None:
        """What stands at a place on the paired prompts, if nodes are patched from there."""
        return None if self.corrupt is None else self.corrupt[place]


def runs(problem: FeatureProblem) -> list[Runs]:
    """The discovery pairs in batches. Cost: one forward, two where nodes are patched from the pair.

    All of them are held, so that whoever needs a dictionary that is not in memory goes through places and has it once.
    """
    found = []
    for number, pairs in enumerate(problem.batches()):
        clean = record(problem.model, problem.model.embed(pairs.clean))
        corrupt = record(problem.model, problem.model.embed(pairs.corrupt)) if problem.baseline == "pair" else None
        found.append(Runs(number, pairs, clean, corrupt))
    return found


Gradient = Callable[[Runs, Place, Tensor], Tensor]
"""Gradient of the sum of a batch's metrics at a place, [prompts, position, d_model], given how the vector there changes."""


class Estimated(NamedTuple):
    """Scores, and the gradients that they are made of: batch by batch, at every place."""

    scores: FeatureScores
    gradients: list[dict[Place, Tensor]]


def linear_effects(problem: FeatureProblem, gradient: Gradient) -> Estimated:
    """The estimate for every node and, of the same gradients, for every neuron.

    Args:
        problem: what is asked.
        gradient: asked once for each batch and place; twice where neurons and features change the vector differently.
    """
    bases = [problem] if problem.is_of_neurons else [problem, problem.neurons]
    totals = [{place: torch.zeros(b.nodes.rows, b.nodes.width(place)) for place in b.nodes.places} for b in bases]
    batches = runs(problem)
    gradients: list[dict[Place, Tensor]] = [{} for _ in batches]
    for index, place in enumerate(problem.nodes.places):
        dictionaries = [basis.dictionaries[place] for basis in bases]
        for batch in batches:
            at_vector = None
            for dictionary, total in zip(dictionaries, totals, strict=True):
                x = batch.clean[place]
                changed = change(dictionary, x, batch.patched(place))
                if at_vector is None or problem.baseline == "zero":
                    at_vector = gradient(batch, place, changed.vector)
                    gradients[batch.number].setdefault(place, at_vector)
                total[place] -= place_effects(dictionary, x, changed, at_vector, problem.nodes.rows).cpu()
            progress(
                index * len(batches) + batch.number + 1, len(problem.nodes.places) * len(batches), "places and batches"
            )
    scores = [basis.nodes.join(total) / problem.n_prompts for basis, total in zip(bases, totals, strict=True)]
    return Estimated(FeatureScores(scores[0], neurons=scores[1] if len(scores) > 1 else None), gradients)


def place_effects(
    dictionary: Dictionary,
    x: Float[Tensor, "prompts position d_model"],
    changed: Change,
    gradient: Float[Tensor, "prompts position d_model"],
    rows: int,
) -> Float[Tensor, "rows units"]:
    """Gradient times change of the features and the error of one place, summed over prompts, and over positions if `rows` is 1."""
    effects = x.new_zeros(x.shape[1], dictionary.n_features + dictionary.errors)
    at_features = dictionary.pull(gradient, x, changed.active)
    effects[:, changed.active] = (at_features * changed.features).sum(0)
    if dictionary.errors:
        effects[:, -1] = (gradient * changed.error).sum((0, 2))
    return effects.sum(0, keepdim=True) if rows == 1 else effects
