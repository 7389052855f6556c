"""A dictionary: vectors at one place written as features, and back.

    f = encode(x),    xhat = decode(f) = origin + scale W_dec^T f,    eps = x - xhat

`decode` is affine in f, and everything here rests on that: a gradient at xhat is one at f by `pull`, and the way from features
f_clean to f_patch with errors on the way from eps_clean to eps_patch is the straight way from x_clean to x_patch, whatever the
dictionary is. Origin and scale are constants but for dictionaries that normalise what they read, of which they depend on x.

Shapes: `x` is [..., d_in], features are [..., n_features].
"""

from __future__ import annotations

from abc import ABC, abstractmethod
from collections.abc import Iterator

import torch
from jaxtyping import Float, Int
from torch import Tensor


class Dictionary(ABC):
    """Features of the vectors at one place.

    Attributes:
        decoder: what one unit of each feature writes, [n_features, d_in].
        errors: whether it leaves an error, so that its place has an error node.
        by_vector: whether features of a vector depend on it alone, and not on those around it.
    """

    decoder: Float[Tensor, "features d_in"]
    errors: bool = True
    by_vector: bool = True

    @property
    def d_in(self) -> int:
        """Width of the vectors."""
        return self.decoder.shape[1]

    @property
    def n_features(self) -> int:
        """How many features there are."""
        return self.decoder.shape[0]

    @abstractmethod
    def encode(self, x: Float[Tensor, "*rows d_in"]) -> Float[Tensor, "*rows features"]:
        """Features of vectors; differentiable in them."""

    @abstractmethod
    def origin(self, x: Float[Tensor, "*rows d_in"]) -> Float[Tensor, "*#rows d_in"]:
        """What no features at all decode to."""

    def scale(self, x: Float[Tensor, "*rows d_in"]) -> Float[Tensor, "*#rows 1"] | None:
        """What the decoder is multiplied by; None for 1."""
        return None

    def write(
        self,
        features: Float[Tensor, "*rows chosen"],
        x: Float[Tensor, "*#rows d_in"],
        only: Int[Tensor, " chosen"] | None = None,
    ) -> Float[Tensor, "*rows d_in"]:
        """What features add to the origin: all of them, or `only` some, which are then the columns of `features`."""
        written = features @ (self.decoder if only is None else self.decoder[only])
        scale = self.scale(x)
        return written if scale is None else written * scale

    def pull(
        self,
        gradient: Float[Tensor, "*rows d_in"],
        x: Float[Tensor, "*#rows d_in"],
        only: Int[Tensor, " chosen"] | None = None,
    ) -> Float[Tensor, "*rows chosen"]:
        """Gradient at the features, or at `only` some of them, from that at what they decode to."""
        scale = self.scale(x)
        scaled = gradient if scale is None else gradient * scale
        return scaled @ (self.decoder if only is None else self.decoder[only]).T

    def decode(
        self, features: Float[Tensor, "*rows features"], x: Float[Tensor, "*#rows d_in"]
    ) -> Float[Tensor, "*rows d_in"]:
        """Vectors of features that were read from `x`."""
        return self.origin(x) + self.write(features, x)

    def tensors(self) -> Iterator[Tensor]:
        """All of its weights."""
        yield self.decoder


class Identity(Dictionary):
    """Neurons: every coordinate of the vector is a feature, and nothing is left over.

    >>> x = torch.tensor([[1.0, -2.0]])
    >>> neurons = Identity(2)
    >>> torch.equal(neurons.decode(neurons.encode(x), x), x)
    True
    """

    errors = False

    def __init__(
        self, d_in: int, *, device: torch.device | str | None = None, dtype: torch.dtype | None = None
    ) -> None:
        self.decoder = torch.eye(d_in, device=device, dtype=dtype)

    def encode(self, x: Float[Tensor, "*rows d_in"]) -> Float[Tensor, "*rows features"]:
        """The vector."""
        return x

    def origin(self, x: Float[Tensor, "*rows d_in"]) -> Float[Tensor, "*#rows d_in"]:
        """Zero."""
        return torch.zeros_like(x)
