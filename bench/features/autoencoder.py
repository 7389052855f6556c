"""Sparse autoencoders: one linear encoder, one linear decoder, and an activation that leaves few features.

    f = act(W_enc (x - b_pre) + b_enc),    xhat = W_dec f + b_dec

`b_pre` is b_dec where a dictionary subtracts it, else zero. The activations are those of the architectures in use: ReLU, the k
largest (by value or by magnitude), ReLU with a threshold per feature (JumpReLU, which trained BatchTopK dictionaries are
too), and ReLU behind a gate. Gradients are the plain ones: that of a feature that is off is zero, thresholds move nothing.
"""

from __future__ import annotations

import math
from abc import ABC, abstractmethod
from collections.abc import Iterator
from dataclasses import dataclass
from typing import Literal

import torch
from jaxtyping import Float
from torch import Tensor

from .dictionary import Dictionary

_LAYER_NORM_EPS = 1e-5


class Activation(ABC):
    """From what the encoder gives to features."""

    @abstractmethod
    def __call__(self, pre: Float[Tensor, "*rows features"]) -> Float[Tensor, "*rows features"]:
        """Features of pre-activations."""

    def tensors(self) -> Iterator[Tensor]:
        """Its own weights."""
        yield from ()


@dataclass(frozen=True)
class Relu(Activation):
    """What is above zero.

    >>> Relu()(torch.tensor([-1.0, 2.0]))
    tensor([0., 2.])
    """

    def __call__(self, pre: Float[Tensor, "*rows features"]) -> Float[Tensor, "*rows features"]:
        """Features of pre-activations."""
        return pre.relu()


@dataclass(frozen=True)
class TopK(Activation):
    """The k largest, of which those under zero are none; by magnitude both signs stay.

    >>> TopK(2)(torch.tensor([3.0, -9.0, 1.0, 2.0])), TopK(2, magnitude=True)(torch.tensor([3.0, -9.0, 1.0, 2.0]))
    (tensor([3., 0., 0., 2.]), tensor([ 3., -9.,  0.,  0.]))
    """

    k: int
    magnitude: bool = False

    def __call__(self, pre: Float[Tensor, "*rows features"]) -> Float[Tensor, "*rows features"]:
        """Features of pre-activations."""
        chosen = (pre.abs() if self.magnitude else pre).topk(min(self.k, pre.shape[-1]), dim=-1, sorted=False).indices
        kept = pre.gather(-1, chosen)
        return torch.zeros_like(pre).scatter_(-1, chosen, kept if self.magnitude else kept.relu())


@dataclass(frozen=True)
class JumpRelu(Activation):
    """What is above its own threshold, and above zero.

    >>> JumpRelu(torch.tensor([1.0, 1.0]))(torch.tensor([0.5, 2.0]))
    tensor([0., 2.])
    """

    threshold: Float[Tensor, " features"]

    def __call__(self, pre: Float[Tensor, "*rows features"]) -> Float[Tensor, "*rows features"]:
        """Features of pre-activations."""
        return torch.where(pre > self.threshold.clamp_min(0), pre, 0.0)

    def tensors(self) -> Iterator[Tensor]:
        """The thresholds."""
        yield self.threshold


@dataclass(frozen=True)
class Gated(Activation):
    """ReLU of magnitudes where a gate, which reads the same projection, is open: scale and bias of each (Rajamanoharan et al. 2024)."""

    gate_bias: Float[Tensor, " features"]
    scale: Float[Tensor, " features"]
    magnitude_bias: Float[Tensor, " features"]

    def __call__(self, pre: Float[Tensor, "*rows features"]) -> Float[Tensor, "*rows features"]:
        """Features of projections."""
        magnitude = torch.addcmul(self.magnitude_bias, pre, self.scale).relu_()
        return torch.where(pre > -self.gate_bias, magnitude, 0.0)

    def tensors(self) -> Iterator[Tensor]:
        """Gate and magnitude."""
        yield from (self.gate_bias, self.scale, self.magnitude_bias)


Normalise = Literal["none", "layer_norm", "constant_norm_rescale"]
"""What is done to a vector before it is read, and undone behind the decoder; sae_lens' names."""


class Normalised(Dictionary):
    """A dictionary that may bring what it reads to one length first, and undoes that behind its linear decoder.

    Args:
        decoder: [n_features, d_in], a row per feature.
        decoder_bias: [d_in].
        normalise: what is done to a vector before.
    """

    def __init__(
        self,
        decoder: Float[Tensor, "features d_in"],
        decoder_bias: Float[Tensor, " d_in"],
        normalise: Normalise = "none",
    ) -> None:
        self.decoder, self.decoder_bias, self.normalise = decoder, decoder_bias, normalise

    def origin(self, x: Float[Tensor, "*rows d_in"]) -> Float[Tensor, "*#rows d_in"]:
        """The decoder's bias, as large as what is read if that is normalised."""
        bias, scale = self.decoder_bias.expand(*(1,) * (x.dim() - 1), -1), self.scale(x)
        if scale is not None:
            bias = bias * scale
        return bias + x.mean(-1, keepdim=True) if self.normalise == "layer_norm" else bias

    def scale(self, x: Float[Tensor, "*rows d_in"]) -> Float[Tensor, "*#rows 1"] | None:
        """How large the vectors are that are read, if they are normalised."""
        if self.normalise == "none":
            return None
        if self.normalise == "layer_norm":
            return x.std(-1, keepdim=True)
        norm: Tensor = torch.linalg.vector_norm(x, dim=-1, keepdim=True)
        return norm / math.sqrt(x.shape[-1])

    def normalised(self, x: Float[Tensor, "*rows d_in"]) -> Float[Tensor, "*rows d_in"]:
        """What the encoder is given."""
        scale = self.scale(x)
        if scale is None:
            return x
        if self.normalise == "layer_norm":
            return (x - x.mean(-1, keepdim=True)) / (scale + _LAYER_NORM_EPS)
        return x / scale

    def tensors(self) -> Iterator[Tensor]:
        """All of its weights."""
        yield from (self.decoder, self.decoder_bias)


class Autoencoder(Normalised):
    """A sparse autoencoder.

    Args:
        encoder: [d_in, n_features].
        encoder_bias: [n_features]; none where the activation holds the biases.
        decoder: [n_features, d_in], a row per feature.
        decoder_bias: [d_in].
        activation: what makes features sparse.
        centred: whether the decoder's bias is subtracted from what is read.
        normalise: what is done to a vector before.

    Example:
        >>> identity = torch.eye(2)
        >>> sae = Autoencoder(identity, torch.zeros(2), identity, torch.zeros(2), Relu(), centred=False)
        >>> sae.encode(torch.tensor([1.0, -2.0]))
        tensor([1., 0.])
    """

    def __init__(
        self,
        encoder: Float[Tensor, "d_in features"],
        encoder_bias: Float[Tensor, " features"] | None,
        decoder: Float[Tensor, "features d_in"],
        decoder_bias: Float[Tensor, " d_in"],
        activation: Activation,
        *,
        centred: bool,
        normalise: Normalise = "none",
    ) -> None:
        super().__init__(decoder, decoder_bias, normalise)
        self.encoder, self.activation = encoder, activation
        # (x - b) W + c = x W + (c - b W): one pass less over every vector that is read
        offset = -(decoder_bias @ encoder) if centred else encoder.new_zeros(encoder.shape[1])
        self.offset = offset if encoder_bias is None else offset + encoder_bias

    def encode(self, x: Float[Tensor, "*rows d_in"]) -> Float[Tensor, "*rows features"]:
        """Features of vectors; differentiable in them."""
        flat = self.normalised(x).reshape(-1, x.shape[-1])
        return self.activation(torch.addmm(self.offset, flat, self.encoder)).view(*x.shape[:-1], -1)

    def tensors(self) -> Iterator[Tensor]:
        """All of its weights."""
        yield from (self.encoder, self.offset, self.decoder, self.decoder_bias)
        yield from self.activation.tensors()
