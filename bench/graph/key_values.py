"""Keys and values of the positions that a model has read, for one position after another."""

from __future__ import annotations

from jaxtyping import Float
from torch import Tensor

__all__ = ["KeyValueCache"]


class KeyValueCache:
    """Keys and values of every layer, in memory that is made once.

    Args:
        capacity: most positions.

    Example:
        >>> import torch
        >>> cache, keys = KeyValueCache(4), torch.ones(1, 3, 2, 8)
        >>> [tuple(t.shape) for t in cache.extended(0, keys, keys)]
        [(1, 3, 2, 8), (1, 3, 2, 8)]
        >>> cache.extended(0, keys[:, :1], keys[:, :1])[0].shape[1]
        4
    """

    def __init__(self, capacity: int) -> None:
        self._capacity = capacity
        self._memory: dict[int, Tensor] = {}  # of a layer: [k and v, batch, capacity, heads, d_head]
        self._filled: dict[int, int] = {}

    def extended(
        self,
        layer: int,
        k: Float[Tensor, "batch new heads d_head"],
        v: Float[Tensor, "batch new heads d_head"],
    ) -> tuple[Float[Tensor, "batch position heads d_head"], Float[Tensor, "batch position heads d_head"]]:
        """All keys and values of a layer so far, with those of the next positions."""
        if layer not in self._memory:
            self._memory[layer] = k.new_empty(2, len(k), self._capacity, *k.shape[2:])
        memory, start = self._memory[layer], self._filled.get(layer, 0)
        stop = self._filled[layer] = start + k.shape[1]
        memory[0, :, start:stop], memory[1, :, start:stop] = k, v
        return memory[0, :, :stop], memory[1, :, :stop]
