"""Clean and corrupt prompts in pairs, and what a metric reads of the model's answer to them."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass
from typing import Protocol, runtime_checkable

import torch
from jaxtyping import Float, Int
from torch import Tensor

from ..errors import UsageError

__all__ = ["CheckedMetric", "Metric", "PromptPairs"]


@dataclass(frozen=True)
class PromptPairs:
    """Clean prompts, the corrupt prompt of each, and the positions at which the metric reads logits.

    Prompts of different lengths are padded on the right; attention is causal, so what follows
    the last position that the metric reads has no effect. `targets` are per-prompt tensors that only the metric understands.

    Example:
        >>> clean, corrupt = torch.tensor([[0, 5, 7], [0, 6, 7]]), torch.tensor([[0, 8, 7], [0, 9, 7]])
        >>> pairs = PromptPairs(clean, corrupt, torch.tensor([3, 3]), torch.tensor([[2], [2]]), {})
        >>> pairs.read(torch.arange(6.0).view(2, 3, 1)).flatten()
        tensor([2., 5.])
        >>> [len(batch) for batch in pairs.batches(1)]
        [1, 1]
    """

    clean: Int[Tensor, "prompts position"]
    corrupt: Int[Tensor, "prompts position"]
    lengths: Int[Tensor, " prompts"]
    positions: Int[Tensor, "prompts read"]
    targets: dict[str, Tensor]

    def __post_init__(self) -> None:
        if self.clean.shape != self.corrupt.shape:
            raise UsageError(
                f"Clean prompts have shape {tuple(self.clean.shape)} and corrupt ones {tuple(self.corrupt.shape)}; "
                "each pair must have the same number of tokens."
            )

    def __len__(self) -> int:
        return int(self.clean.shape[0])

    def __getitem__(self, rows: slice | Int[Tensor, " chosen"]) -> PromptPairs:
        return PromptPairs(
            self.clean[rows],
            self.corrupt[rows],
            self.lengths[rows],
            self.positions[rows],
            {name: target[rows] for name, target in self.targets.items()},
        )

    def tensors(self) -> Iterator[Tensor]:
        """All that the pairs hold."""
        yield from (self.clean, self.corrupt, self.lengths, self.positions, *self.targets.values())

    def read(self, x: Float[Tensor, "prompts position width"], start: int = 0) -> Float[Tensor, "prompts read width"]:
        """Rows of `x`, such as logits at all positions from `start` on, at the positions that the metric reads.

        Raises:
            UsageError: `x` has other prompts than these, or ends before a position that is read.
        """
        prompts, length = self.clean.shape
        if x.ndim != 3 or x.shape[:2] != (prompts, length - start):
            raise UsageError(
                f"A tensor of shape {tuple(x.shape)} was given to be read; valid: (prompts, positions, width) with "
                f"{(prompts, length - start)} in front, as a pass over these prompts gives."
            )
        return x.gather(1, (self.positions - start)[:, :, None].expand(-1, -1, x.shape[-1]))

    def n_shared(self) -> int:
        """How many positions come in front of the first at which a clean and its corrupt prompt differ, or that is read."""
        differ = (self.clean != self.corrupt).any(0).nonzero()
        first_read = int(self.positions.min())
        return min(first_read, int(differ[0])) if len(differ) else first_read

    def batches(self, size: int) -> Iterator[PromptPairs]:
        """Consecutive parts of at most `size` pairs."""
        for start in range(0, len(self), size):
            yield self[start : start + size]

    def to(self, device: torch.device | str) -> PromptPairs:
        """The same pairs on another device."""
        return PromptPairs(
            self.clean.to(device),
            self.corrupt.to(device),
            self.lengths.to(device),
            self.positions.to(device),
            {name: target.to(device) for name, target in self.targets.items()},
        )


@runtime_checkable
class Metric(Protocol):
    """What a task measures on the logits: one number per prompt, higher where the behaviour is stronger."""

    def __call__(
        self, logits: Float[Tensor, "prompts read d_vocab_out"], pairs: PromptPairs
    ) -> Float[Tensor, " prompts"]:
        """Value of each prompt from the logits at its `positions`."""
        ...


@dataclass(frozen=True)
class CheckedMetric:
    """A metric that refuses logits of a shape that it does not read, where it would answer with some other number."""

    metric: Metric
    d_vocab_out: int

    def __call__(self, logits: Tensor, pairs: PromptPairs) -> Float[Tensor, " prompts"]:
        """Value of each prompt from the logits at its `positions`.

        Raises:
            UsageError: the logits are not those at the positions that the metric reads.
        """
        wanted = (*pairs.positions.shape, self.d_vocab_out)
        if tuple(logits.shape) != wanted:
            raise UsageError(
                f"The metric was given logits of shape {tuple(logits.shape)}; valid: {wanted}, those at the positions "
                "that it reads, one row of the prompts each; pass `pairs.read(logits)`."
            )
        return self.metric(logits, pairs)
