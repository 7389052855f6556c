"""How far a piece of work has come: methods and scorers say it, whoever runs them listens.

    for n, edge in enumerate(edges):
        ...
        progress(n + 1, len(edges), "edges")

Nothing happens where nobody listens, and what is heard is thinned out by time, so a call in an inner loop costs next to
nothing. How long it will take is the listener's to work out, from when it hears what.
"""

from __future__ import annotations

import re
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager, suppress
from contextvars import ContextVar
from dataclasses import dataclass
from math import inf

__all__ = ["Step", "listening", "progress"]

_UNIT = re.compile(r"[A-Za-z][A-Za-z0-9 /-]{0,23}")
_LARGEST = 2**53
_EVERY = 0.25  # seconds


@dataclass(frozen=True)
class Step:
    """`done` of `total` units, so many `seconds` after the work began.

    `share` is the part of the work that is done, from 0 to 1.
    """

    done: int
    total: int
    unit: str
    share: float
    seconds: float

    @property
    def makes_sense(self) -> bool:
        """Whether it can be shown; what other processes say of themselves need not."""
        return (
            0 <= self.done <= self.total <= _LARGEST
            and self.total > 0
            and 0 <= self.share <= 1
            and 0 <= self.seconds < inf
            and _UNIT.fullmatch(self.unit) is not None
        )


_listener: ContextVar[Callable[[int, int, str, float | None], None] | None] = ContextVar(
    "mechboard_progress", default=None
)


def progress(done: int, total: int, unit: str, *, share: float | None = None) -> None:
    """Say that `done` of `total` units of the work are done; nothing happens where nobody listens.

    Another unit or total begins another stage, whose time is estimated anew. What makes no sense (more done than there
    is, a unit that is no word) is not shown.

    Example:
        >>> with listening(lambda step: print(step.done, step.unit, step.share)):
        ...     progress(1200, 32491, "edges", share=0.1)
        1200 edges 0.1

    Args:
        done: units that are done, from 0 on.
        total: units in all.
        unit: what they are, in the plural and at most 24 characters: `edges`.
        share: part of the work that is done, from 0 to 1, where some units take longer than others; `done / total`
            unless given.
    """
    listener = _listener.get()
    if listener is not None:
        listener(done, total, unit, share)


@contextmanager
def listening(tell: Callable[[Step], None]) -> Iterator[None]:
    """Be told the first step inside the block, then one every quarter of a second at most.

    Threads that the block starts are not heard.
    """
    begun, due = time.monotonic(), 0.0

    def heard(done: int, total: int, unit: str, share: float | None) -> None:
        nonlocal due
        now = time.monotonic()
        if now < due:
            return
        due = now + _EVERY
        # A slip in what is said must not fail the work that it is said of.
        with suppress(TypeError, ValueError, ArithmeticError):
            part = done / total if share is None else float(share)
            step = Step(int(done), int(total), unit, part, now - begun)
            if step.makes_sense:
                tell(step)

    token = _listener.set(heard)
    try:
        yield
    finally:
        _listener.reset(token)
