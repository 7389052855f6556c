"""A classifier with one hidden layer that can be edited: edges run from its inputs to its hidden units."""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from functools import cached_property

import torch
from jaxtyping import Float
from torch import Tensor

from ..graph.cost import count
from .editable import Editable
from .samples import Labelled


class EditableMlp(Editable):
    """logits = W2 relu(W1 x + b1) + b2; an edge is one weight of W1, and a cut one carries its input's mean, or nothing.

    Args:
        weights: `hidden` [features, hidden], `hidden_bias`, `out` [hidden, classes], `out_bias`.
        means: mean of every input for mean ablation; None for zero ablation.
    """

    def __init__(self, weights: Mapping[str, Tensor], means: Float[Tensor, " features"] | None) -> None:
        self._weights = dict(weights)
        self._means = means

    @cached_property
    def edges(self) -> tuple[str, ...]:
        """`x0->h0`, by hidden unit, then input."""
        n_inputs, n_hidden = self._weights["hidden"].shape
        return tuple(f"x{i}->h{j}" for j in range(n_hidden) for i in range(n_inputs))

    @property
    def ablation(self) -> str:
        """`zero` or `mean`."""
        return "zero" if self._means is None else "mean"

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
        """Logits of every class."""
        count(forward=len(samples))
        w = self._weights | dict(parameters or {})
        bias = w["hidden_bias"]
        hidden = w["hidden"]
        if kept is not None:
            mask = kept.view(hidden.shape[1], hidden.shape[0]).T
            if self._means is not None:
                bias = bias + self._means @ (hidden * (1 - mask))
            hidden = hidden * mask
        return torch.relu(samples.inputs @ hidden + bias) @ w["out"] + w["out_bias"]

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
