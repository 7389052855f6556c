"""What a removal task hands to a method: a model, a few samples of what it must no longer do, and samples of all else."""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from typing import Any

from jaxtyping import Bool, Float
from torch import Tensor

from ..errors import PluginError
from .editable import Editable


@dataclass(frozen=True, kw_only=True)
class RemovalProblem:
    """A model, samples of the bad behaviour, samples of what it should go on doing, and how many edges may be cut.

    Args:
        model: what is edited; methods work on copies of its weights.
        bad: a few samples on which the model has a low loss and should have a high one.
        keep: samples of all else, whose loss should stay.
        budgets: rising numbers of edges, at each of which a method that cuts edges is scored.
        batch_size: samples in one pass; bounds memory.
        truth: the edges of the bad behaviour, None unless they are known and the method declares that it sees them.

    Raises:
        PluginError: a budget is larger than the graph, or budgets do not rise.
    """

    model: Any  # an Editable; of which sort, a method asks with isinstance
    bad: Any
    keep: Any
    budgets: tuple[int, ...]
    batch_size: int
    truth: Bool[Tensor, " edges"] | None = None

    def __post_init__(self) -> None:
        n_edges = self.model.n_edges
        if not self.budgets or list(self.budgets) != sorted({b for b in self.budgets if 1 <= b <= n_edges}):
            raise PluginError(f"Budgets are {self.budgets}; valid: rising numbers of edges from 1 to {n_edges:,}.")

    def __repr__(self) -> str:
        return f"RemovalProblem({self.model.n_edges:,} edges, {len(self.bad)} bad and {len(self.keep)} other samples)"

    @property
    def n_prompts(self) -> int:
        """How many samples of the bad behaviour there are."""
        return len(self.bad)

    @property
    def editable(self) -> Editable:
        """The model, as its type."""
        model: Editable = self.model
        return model

    def losses(
        self,
        samples: Any,
        *,
        kept: Float[Tensor, " edges"] | None = None,
        parameters: Mapping[str, Tensor] | None = None,
    ) -> Float[Tensor, " samples"]:
        """Loss of each sample; see `Editable.losses`."""
        return self.editable.losses(samples, kept=kept, parameters=parameters)

    def tensors(self) -> Iterator[Tensor]:
        """Everything that a method must leave as it is: weights, means, samples."""
        yield from self.editable.tensors()
        yield from self.bad.tensors()
        yield from self.keep.tensors()
