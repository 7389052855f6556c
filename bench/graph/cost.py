"""Counts what a method spends: sequences sent forward and backward through a model.

A pass that is resumed half way counts as a whole one, so counts are upper bounds of the work.
"""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import contextmanager
from contextvars import ContextVar
from dataclasses import dataclass


@dataclass
class Cost:
    """Sequences sent through a model."""

    forward_sequences: int = 0
    backward_sequences: int = 0


_current: ContextVar[Cost | None] = ContextVar("mechboard_cost", default=None)


@contextmanager
def counting() -> Iterator[Cost]:
    """Count every pass made inside the block."""
    cost = Cost()
    token = _current.set(cost)
    try:
        yield cost
    finally:
        _current.reset(token)


def count(*, forward: int = 0, backward: int = 0) -> None:
    """Report passes of this many sequences; nothing happens outside `counting`."""
    cost = _current.get()
    if cost is not None:
        cost.forward_sequences += forward
        cost.backward_sequences += backward
