"""Samples of a behaviour: sequences of tokens with the positions whose loss counts, or inputs with labels."""

from __future__ import annotations

from abc import ABC, abstractmethod
from collections.abc import Iterator
from dataclasses import dataclass, fields
from typing import Self

import torch
from jaxtyping import Bool, Float, Int
from torch import Tensor

from ..errors import UsageError


class Samples(ABC):
    """Samples in a fixed order; every field is a tensor with one row per sample."""

    def __len__(self) -> int:
        return len(next(self.tensors()))

    def __getitem__(self, rows: slice | Int[Tensor, " chosen"] | list[int]) -> Self:
        return self._of(getattr(self, f.name)[rows] for f in fields(self))  # type: ignore[arg-type]

    def tensors(self) -> Iterator[Tensor]:
        """All that the samples hold."""
        yield from (getattr(self, f.name) for f in fields(self))  # type: ignore[arg-type]

    def to(self, device: torch.device | str) -> Self:
        """The same samples on another device."""
        return self._of(tensor.to(device) for tensor in self.tensors())

    def batches(self, size: int) -> Iterator[Self]:
        """Consecutive parts of at most `size` samples."""
        for start in range(0, len(self), size):
            yield self[start : start + size]

    @abstractmethod
    def joined(self, other: Self) -> Self:
        """These samples with others behind them."""

    def _of(self, tensors: Iterator[Tensor]) -> Self:
        return type(self)(*tensors)


@dataclass(frozen=True)
class Text(Samples):
    """Sequences of tokens, padded on the right. `scored[i, t]`: the prediction of token t, from those before it, counts.

    A question with one answer is a sequence whose last token is the answer, which alone is scored.

    Raises:
        UsageError: a sample scores nothing, its first token, or padding.

    Example:
        >>> tokens = torch.tensor([[0, 5, 7], [0, 6, 0]])
        >>> text = Text.whole(tokens, torch.tensor([3, 2]))
        >>> text.scored.tolist()
        [[False, True, True], [False, True, False]]
        >>> len(text.joined(text)), text[:1].tokens.tolist()
        (4, [[0, 5, 7]])
    """

    tokens: Int[Tensor, "samples position"]
    lengths: Int[Tensor, " samples"]
    scored: Bool[Tensor, "samples position"]

    def __post_init__(self) -> None:
        real = torch.arange(self.tokens.shape[1], device=self.tokens.device) < self.lengths[:, None]
        nothing = ~self.scored.any(1)
        if bool(nothing.any()) or bool((self.scored & ~real).any()) or bool(self.scored[:, :1].any()):
            raise UsageError(
                f"{int(nothing.sum())} of {len(self.tokens)} sequences have no token whose loss counts, or one counts that "
                "is the first or padding; valid: at least one of the tokens from the second to the last."
            )

    @classmethod
    def whole(cls, tokens: Int[Tensor, "samples position"], lengths: Int[Tensor, " samples"] | None = None) -> Text:
        """Sequences of which every token but the first counts."""
        lengths = torch.full((len(tokens),), tokens.shape[1]) if lengths is None else lengths
        at = torch.arange(tokens.shape[1])
        return cls(tokens, lengths, (at > 0) & (at < lengths[:, None]))

    def joined(self, other: Text) -> Text:
        """These samples with others behind them; the shorter are padded."""
        width = max(self.tokens.shape[1], other.tokens.shape[1])

        def wide(tensor: Tensor) -> Tensor:
            return torch.nn.functional.pad(tensor, (0, width - tensor.shape[1]))

        return Text(
            torch.cat([wide(self.tokens), wide(other.tokens)]),
            torch.cat([self.lengths, other.lengths]),
            torch.cat([wide(self.scored), wide(other.scored)]),
        )


@dataclass(frozen=True)
class Labelled(Samples):
    """Inputs of a classifier with their labels."""

    inputs: Float[Tensor, "samples features"]
    labels: Int[Tensor, " samples"]

    def joined(self, other: Labelled) -> Labelled:
        """These samples with others behind them."""
        return Labelled(torch.cat([self.inputs, other.inputs]), torch.cat([self.labels, other.labels]))
