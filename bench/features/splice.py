"""A decoder with dictionaries spliced in, for autograd: exact forward, and gradients at every feature and every error.

At each place x becomes xhat + eps, which is x. The error is a leaf of its own: it does not pass on what reaches it (a stop-gradient),
so that the gradient at a feature is complete. Behind the place the gradient of the vector flows on as if nothing had been
spliced in (a pass-through): d m / d x := d m / d (xhat + eps). So nodes upstream have the gradient of the model itself, which they would not
have if it flowed through the dictionary.

Methods that want more than node effects differentiate this; node effects alone need no dictionary in the backward (`effects.py`).
Source: Marks et al. 2024, section 3.1 and appendix A.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any

import torch
from jaxtyping import Float, Int
from torch import Tensor

from ..graph.decoder import Decoder
from .dictionary import Dictionary
from .places import Place
from .stream import walk

__all__ = ["Spliced", "splice"]


class _PassThrough(torch.autograd.Function):
    """Forward: the reconstruction. Backward: its gradient, to the reconstruction and to the vector that it stands for."""

    @staticmethod
    def forward(ctx: Any, x: Tensor, reconstructed: Tensor) -> Tensor:
        return reconstructed.view_as(reconstructed)

    @staticmethod
    def backward(ctx: Any, gradient: Tensor) -> tuple[Tensor, Tensor]:
        return gradient, gradient


@dataclass(frozen=True)
class Spliced:
    """A spliced pass: the final residual stream, and features and errors that gradients can be asked of."""

    final: Float[Tensor, "prompts position d_model"]
    features: dict[Place, Tensor]
    errors: dict[Place, Float[Tensor, "prompts position d_model"]]


def splice(
    decoder: Decoder, dictionaries: Mapping[Place, Dictionary], tokens: Int[Tensor, "prompts position"]
) -> Spliced:
    """Run a decoder with dictionaries spliced in. Cost: one forward.

    Example:
        >>> from mechboard.features import Identity, Place
        >>> from mechboard.ground_truth.mini import model
        >>> decoder, tokens = model.load(), torch.tensor([[0, 7, 3]])
        >>> run = splice(decoder, {Place("resid", 0): Identity(128)}, tokens)
        >>> torch.equal(run.final, decoder.resume(decoder.embed(tokens)))
        True
        >>> torch.autograd.grad(run.final.sum(), run.features[Place("resid", 0)])[0].shape
        torch.Size([1, 3, 128])
    """
    at_features: dict[Place, Tensor] = {}
    at_errors: dict[Place, Tensor] = {}

    def visit(place: Place, x: Tensor) -> Tensor:
        if place not in dictionaries:
            return x
        dictionary = dictionaries[place]
        features = dictionary.encode(x.detach()).detach().requires_grad_()
        reconstructed = dictionary.decode(features, x.detach())
        error = (x - reconstructed).detach().requires_grad_()
        at_features[place], at_errors[place] = features, error
        passed: Tensor = _PassThrough.apply(x, reconstructed + error)  # type: ignore[no-untyped-call]
        return passed

    with torch.enable_grad():
        final = walk(decoder, decoder.embed(tokens), visit)
    return Spliced(final, at_features, at_errors)
