"""Clean and corrupt prompts in pairs, and what a metric reads of the model's answer to them."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass
from typing import Protocol, runtime_checkable

import torch
from jaxtyping import Float, Int
from torch import Tensor

from mechboard.errors import UsageError


@dataclass(frozen=True)
class PromptPairs:
    """Clean prompts, the corrupt prompt of each, and the positions at which the metric reads logits.

    Prompts of different lengths are padded on the right; attention is causal, so what follows
    the last position that the metric reads has no effect. `targets` are per-prompt tensors that only the metric understands.
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

    def __getitem__(self, rows: slice) -> PromptPairs:
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


def read(
    x: Float[Tensor, "prompts position d_model"], positions: Int[Tensor, "prompts read"]
) -> Float[Tensor, "prompts read d_model"]:
    """Rows of `x` at each prompt's own positions."""
    return x.gather(1, positions[:, :, None].expand(-1, -1, x.shape[-1]))
