"""A classifier with one hidden layer that can be edited: edges run from its inputs to its hidden units."""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from functools import cached_property
from math import prod

import torch
from jaxtyping import Bool, Float, Int
from torch import Tensor

from ..errors import UsageError
from ..graph.cost import count, count_backwards
from .editable import Editable
from .samples import Labelled

_NAMES = ("hidden", "hidden_bias", "out", "out_bias")


class EditableMlp(Editable):
    """logits = W2 relu(W1 x + b1) + b2; an edge is one weight of W1, and a cut one carries its input's mean, or nothing.

    An edge from input i to hidden unit j that is kept by w adds W1_ij (w x_i + (1 - w) mean_i) to what j reads; biases and W2
    are no edges (Li, Davies, Nadeau 2023, appendix E). Cost: one forward of the samples; a backward when a gradient enters.

    Args:
        weights: `hidden` [features, hidden], `hidden_bias` [hidden], `out` [hidden, classes], `out_bias` [classes].
        means: mean of every input for mean ablation; None for zero ablation.
        image: rows and columns of a picture whose pixels, row by row, are the inputs; None if they are no picture.

    Raises:
        UsageError: shapes do not fit together.
    """

    def __init__(
        self,
        weights: Mapping[str, Tensor],
        means: Float[Tensor, " features"] | None,
        *,
        image: tuple[int, int] | None = None,
    ) -> None:
        self._weights = dict(weights)
        self._means = means
        self.image = image
        _check(self._weights, means, image)

    @cached_property
    def edges(self) -> tuple[str, ...]:
        """`x0->h0`, by hidden unit, then input."""
        return tuple(f"x{i}->h{j}" for j in range(self.n_hidden) for i in range(self.n_inputs))

    @property
    def n_inputs(self) -> int:
        """How many inputs there are."""
        return self._weights["hidden"].shape[0]

    @property
    def n_hidden(self) -> int:
        """How many hidden units there are."""
        return self._weights["hidden"].shape[1]

    @property
    def n_edges(self) -> int:
        """One per input and hidden unit."""
        return self._weights["hidden"].numel()

    @property
    def ablation(self) -> str:
        """`zero` or `mean`."""
        return "zero" if self._means is None else "mean"

    def per_input(self, edges: Bool[Tensor, " edges"]) -> Int[Tensor, " features"]:
        """How many of these edges start from each input."""
        return edges.view(self.n_hidden, self.n_inputs).sum(0)

    def tensors(self) -> Iterator[Tensor]:
        """Weights and means."""
        yield from self._weights.values()
        if self._means is not None:
            yield self._means

    def parameters(self) -> dict[str, Tensor]:
        """A copy of the four weights."""
        return {name: tensor.detach().clone() for name, tensor in self._weights.items()}

    def logits(
        self,
        samples: Labelled,
        *,
        kept: Float[Tensor, " edges"] | None = None,
        parameters: Mapping[str, Tensor] | None = None,
    ) -> Float[Tensor, "samples classes"]:
        """Logits of every class.

        Raises:
            UsageError: there is not one mask value per edge, a name is no weight, or samples have other inputs.
        """
        if unknown := sorted(set(parameters or ()) - set(_NAMES)):
            raise UsageError(f"{unknown[0]!r} is no weight of this model; valid: {', '.join(_NAMES)}.")
        if samples.inputs.shape[1] != self.n_inputs:
            raise UsageError(f"Samples with {samples.inputs.shape[1]} inputs were given to a model of {self.n_inputs}.")
        count(forward=len(samples))
        w = self._weights | dict(parameters or {})
        hidden, bias = w["hidden"], w["hidden_bias"]
        if kept is not None:
            hidden, bias = self._masked(hidden, bias, kept)
        logits = torch.relu(samples.inputs @ hidden + bias) @ w["out"] + w["out_bias"]
        count_backwards(logits, len(samples))
        return logits

    def _masked(self, hidden: Tensor, bias: Tensor, kept: Float[Tensor, " edges"]) -> tuple[Tensor, Tensor]:
        """What is left of the first layer; what cut edges carry is the same for all samples, so it joins the bias."""
        if tuple(kept.shape) != (self.n_edges,):
            raise UsageError(
                f"A mask of shape {tuple(kept.shape)} was given; valid: a value for each of the {self.n_edges:,} edges."
            )
        mask = kept.view(self.n_hidden, self.n_inputs).T
        if self._means is not None:
            bias = bias + self._means @ (hidden * (1 - mask))
        return hidden * mask, bias

    def losses(
        self,
        samples: Labelled,
        *,
        kept: Float[Tensor, " edges"] | None = None,
        parameters: Mapping[str, Tensor] | None = None,
    ) -> Float[Tensor, " samples"]:
        """Cross-entropy of each sample's label."""
        logits = self.logits(samples, kept=kept, parameters=parameters)
        return torch.nn.functional.cross_entropy(logits, samples.labels, reduction="none")


def _check(weights: Mapping[str, Tensor], means: Tensor | None, image: tuple[int, int] | None) -> None:
    if tuple(sorted(weights)) != tuple(sorted(_NAMES)):
        raise UsageError(f"The weights are {', '.join(weights) or 'none'}; valid: {', '.join(_NAMES)}.")
    n_inputs, n_hidden = weights["hidden"].shape
    wanted = {
        "hidden_bias": (n_hidden,),
        "out_bias": (weights["out"].shape[1],),
        "out": (n_hidden, weights["out"].shape[1]),
    }
    for name, shape in wanted.items():
        if tuple(weights[name].shape) != shape:
            raise UsageError(f"{name!r} has shape {tuple(weights[name].shape)}; valid with the other weights: {shape}.")
    if means is not None and tuple(means.shape) != (n_inputs,):
        raise UsageError(
            f"There are means of shape {tuple(means.shape)}; valid: one for each of the {n_inputs} inputs."
        )
    if image is not None and prod(image) != n_inputs:
        raise UsageError(f"A picture of {image[0]} x {image[1]} has not the {n_inputs} pixels that the model reads.")
