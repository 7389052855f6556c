"""What a node changes by when it is ablated: from its value on the clean prompt to that on the paired one, or to zero."""

from __future__ import annotations

from typing import NamedTuple

import torch
from jaxtyping import Float, Int
from torch import Tensor

from .dictionary import Dictionary


class Change(NamedTuple):
    """Patched minus clean at one place: of features, of the error, and of the vector that they make together.

    Of a sparse dictionary most features are off on all of these prompts, so only those that change somewhere are held: `active` are
    their numbers.
    """

    features: Float[Tensor, "prompts position active"]
    active: Int[Tensor, " active"]
    error: Float[Tensor, "prompts position d_model"]
    vector: Float[Tensor, "prompts position d_model"]


@torch.no_grad()
def vector_change(
    dictionary: Dictionary,
    clean: Float[Tensor, "prompts position d_model"],
    corrupt: Float[Tensor, "prompts position d_model"] | None,
) -> Float[Tensor, "prompts position d_model"]:
    """How the vector at a place changes when all of its nodes are ablated: to that of the paired prompt, or to the origin."""
    return (dictionary.origin(clean) if corrupt is None else corrupt) - clean


@torch.no_grad()
def change(
    dictionary: Dictionary,
    clean: Float[Tensor, "prompts position d_model"],
    corrupt: Float[Tensor, "prompts position d_model"] | None,
) -> Change:
    """How features and error change.

    Args:
        dictionary: of the place.
        clean: what stands there on the clean prompts.
        corrupt: on the paired prompts; None to set nodes to zero.
    """
    every = -dictionary.encode(clean) if corrupt is None else _difference(dictionary, clean, corrupt)
    vector = vector_change(dictionary, clean, corrupt)
    active = every.flatten(0, 1).any(0).nonzero().squeeze(1)
    features = every[..., active]
    error = vector - dictionary.write(features, clean, active) if dictionary.errors else torch.zeros_like(vector)
    return Change(features, active, error, vector)


def _difference(dictionary: Dictionary, clean: Tensor, corrupt: Tensor) -> Float[Tensor, "prompts position features"]:
    """Features of the paired prompt minus those of the clean one.

    Where both have one vector, as in front of the first word in which they differ, nothing is read.
    """
    differs = (clean != corrupt).any(-1)
    if not dictionary.by_vector or bool(differs.all()):
        return dictionary.encode(corrupt) - dictionary.encode(clean)
    features = clean.new_zeros(*clean.shape[:-1], dictionary.n_features)
    features[differs] = dictionary.encode(corrupt[differs]) - dictionary.encode(clean[differs])
    return features
