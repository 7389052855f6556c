"""Faithfulness of circuits as a function of their size, and the areas CMD and CPR.

    f(C) = (m(C) - m(empty)) / (m(model) - m(empty))

m: mean of the task's metric over evaluation prompts; C: the edges that are kept, all others ablated;
empty: every edge ablated. Areas are over the share of edges kept, on a linear axis, by trapezoid:

    CMD = area of |1 - f|, edges ranked by |score|        0 is best
    CPR = area of f, edges ranked by score, highest first

CPR is unbounded and can be gamed by edges whose removal helps, so it stands beside its clipped form
(f cut to [0, 1]). Source: Mueller et al. 2025 (MIB), whose ten percentages are always in the grid;
`cmd_mib` is the area over those ten alone. Completeness is f of the complement of C, 0 best.
"""

from __future__ import annotations

import math
from collections.abc import Sequence
from dataclasses import dataclass

from jaxtyping import Bool, Int
from torch import Tensor

MIB_PERCENTAGES = (0.1, 0.2, 0.5, 1.0, 2.0, 5.0, 10.0, 20.0, 50.0, 100.0)
_LOG_SPACED = 20
_EVERY_COUNT_UP_TO = 200
_SMALLEST_SHARE = 0.05


@dataclass(frozen=True)
class Anchors:
    """The metric's mean with every edge kept and with every edge ablated."""

    model: float
    empty: float

    @property
    def valid(self) -> bool:
        """Whether the ablation removes at least 5 % of the metric, so that f has a meaning."""
        return abs(self.model - self.empty) >= _SMALLEST_SHARE * abs(self.model) and self.model != self.empty

    def faithfulness(self, value: float) -> float:
        """Share of the metric that a circuit of this mean keeps."""
        return (value - self.empty) / (self.model - self.empty)


@dataclass(frozen=True)
class Areas:
    """Areas of one faithfulness curve."""

    deviation: float
    raw: float
    clipped: float


def mib_counts(n_edges: int) -> list[int]:
    """Edge counts at MIB's percentages, without duplicates.

    >>> mib_counts(479)
    [1, 2, 5, 10, 24, 48, 96, 240, 479]
    """
    return sorted({max(1, round(n_edges * percentage / 100)) for percentage in MIB_PERCENTAGES})


def edge_counts(n_edges: int) -> list[int]:
    """Circuit sizes to evaluate: MIB's percentages and log-spaced counts; every count up to 200 edges."""
    if n_edges <= _EVERY_COUNT_UP_TO:
        return list(range(1, n_edges + 1))
    exponents = [math.log(n_edges) * i / (_LOG_SPACED - 1) for i in range(_LOG_SPACED)]
    return sorted({*mib_counts(n_edges), *(max(1, round(math.exp(e))) for e in exponents)})


def nested_circuits(order: Int[Tensor, " edges"], counts: Sequence[int]) -> list[Bool[Tensor, " edges"]]:
    """The `count` first edges of a ranking, for each count."""
    position = order.argsort()
    return [position < count for count in counts]


def areas(shares: Sequence[float], faithfulness: Sequence[float]) -> Areas:
    """Areas under one curve over the share of edges that is kept.

    >>> areas([0.0, 0.5, 1.0], [0.0, 2.0, 1.0])
    Areas(deviation=0.75, raw=1.25, clipped=0.75)
    """

    def area(values: list[float]) -> float:
        steps = zip(shares, shares[1:], values, values[1:], strict=False)
        return sum((x1 - x0) * (y0 + y1) / 2 for x0, x1, y0, y1 in steps)

    return Areas(
        deviation=area([abs(1 - f) for f in faithfulness]),
        raw=area(list(faithfulness)),
        clipped=area([min(1.0, max(0.0, f)) for f in faithfulness]),
    )
