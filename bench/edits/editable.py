"""A model that can be edited: its edges can be masked and its weights changed, and what it loses by that can be measured."""

from __future__ import annotations

from abc import ABC, abstractmethod
from collections.abc import Iterator, Mapping
from typing import Any

from jaxtyping import Float
from torch import Tensor


class Editable(ABC):
    """A model, the edges of it that may be cut, and what a cut edge carries instead.

    An edge i -> j that is kept by w carries o_ij = w a_i + (1 - w) abar_i, where a_i is what i computes now and abar_i is zero
    or its mean (Li, Davies, Nadeau 2023, eq. 3).
    """

    @property
    @abstractmethod
    def edges(self) -> tuple[str, ...]:
        """Names of the edges that may be cut, in their order."""

    @property
    def n_edges(self) -> int:
        """How many there are."""
        return len(self.edges)

    @property
    @abstractmethod
    def ablation(self) -> str:
        """What a cut edge carries: `zero` or `mean`."""

    @abstractmethod
    def parameters(self) -> dict[str, Tensor]:
        """A copy of every weight, by name, to be changed or trained; weights that are tied come once."""

    @abstractmethod
    def losses(
        self,
        samples: Any,
        *,
        kept: Float[Tensor, " edges"] | None = None,
        parameters: Mapping[str, Tensor] | None = None,
    ) -> Float[Tensor, " samples"]:
        """Mean cross-entropy of each sample, in nats, differentiable in `kept` and in `parameters`.

        Args:
            samples: of the model's sort, all in one pass.
            kept: how far each edge is kept, from 0 (ablated) to 1; all are if None.
            parameters: weights in place of the model's own; those that are not named stay.
        """

    @abstractmethod
    def tensors(self) -> Iterator[Tensor]:
        """Everything that a method must leave as it is."""
