"""Counts what a method spends: sequences sent forward and backward through a model.

A pass that is resumed half way counts as a whole one, so counts are upper bounds of the work.
Work that cannot be counted makes the cost unknown, never zero.
"""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import contextmanager
from contextvars import ContextVar
from dataclasses import dataclass
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from torch import Tensor

__all__ = ["Cost", "count", "count_backwards", "counting", "current"]


@dataclass
class Cost:
    """Sequences sent through a model; not `known` if some of the work could not be counted."""

    forward_sequences: int = 0
    backward_sequences: int = 0
    known: bool = True


_current: ContextVar[Cost | None] = ContextVar("mechboard_cost", default=None)


@contextmanager
def counting() -> Iterator[Cost]:
    """Count every pass made inside the block.

    Example:
        >>> with counting() as cost:
        ...     count(forward=2)
        >>> cost.forward_sequences
        2
    """
    cost = Cost()
    token = _current.set(cost)
    try:
        yield cost
    finally:
        _current.reset(token)


def current() -> Cost:
    """What counts now; outside `counting` one that nobody reads. For passes that end in another thread."""
    return _current.get() or Cost()


def count(*, forward: int = 0, backward: int = 0) -> None:
    """Report passes of this many sequences; nothing happens outside `counting`."""
    cost = current()
    cost.forward_sequences += forward
    cost.backward_sequences += backward


def count_backwards(output: Tensor, sequences: int) -> None:
    """Report every backward pass that enters a model at its output, as one of this many sequences."""
    if not output.requires_grad:
        return
    cost = current()  # kept, since on a GPU gradients arrive in a thread that counts nothing

    def entered(gradient: Tensor) -> None:
        cost.backward_sequences += sequences

    output.register_hook(entered)  # type: ignore[no-untyped-call]
