"""What a node changes by when it is ablated: from its value on the clean prompt to that on the paired one, or to zero."""

from __future__ import annotations

from typing import NamedTuple

import torch
from jaxtyping import Float
from torch import Tensor

from .dictionary import Dictionary


class Change(NamedTuple):
    """Patched minus clean at one place: of features, of the error, and of the vector that they make together."""

    features: Float[Tensor, "prompts position features"]
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
    features = -dictionary.encode(clean) if corrupt is None else dictionary.encode(corrupt) - dictionary.encode(clean)
    vector = vector_change(dictionary, clean, corrupt)
    if not dictionary.errors:
        return Change(features, torch.zeros_like(vector), vector)
    return Change(features, vector - dictionary.write(features, clean), vector)
