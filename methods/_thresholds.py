"""Thresholds of ACDC and of what is built on it: how they are spaced, and the unit that they are stated in."""

from __future__ import annotations

from typing import get_args

import torch

from mechboard.graph.circuit_means import CircuitMeans
from mechboard.graph.pruning import HeadOrder
from mechboard.protocols import Unsupported

from ._parameters import one_of


def check_order(metric: str, order: str) -> None:
    """Raises ValueError: there is no such metric, or no such order of heads."""
    one_of("metric", metric, ("task", "kl"))
    one_of("order", order, get_args(HeadOrder))


def check_range(count: int, lowest: float, highest: float, *, prefix: str = "") -> None:
    """Raises ValueError: there is no threshold, or one that is not above zero."""
    if count < 1:
        raise ValueError(f"{prefix}thresholds={count} was given; valid: 1 or more.")
    if not 0 < lowest <= highest:
        raise ValueError(
            f"{prefix}lowest={lowest:g} and {prefix}highest={highest:g} were given; valid: 0 < lowest <= highest."
        )


def log_spaced(highest: float, lowest: float, count: int) -> tuple[float, ...]:
    """`count` numbers of equal ratio from the highest down to the lowest; the highest alone if there is one."""
    return tuple(highest * (lowest / highest) ** (i / max(1, count - 1)) for i in range(count))


def whole_behaviour(means: CircuitMeans) -> float:
    """|m(model) - m(everything ablated)|.

    Raises:
        Unsupported: it is zero.
    """
    model, empty = means.of_edges(torch.tensor([[True], [False]]).expand(2, means.problem.graph.n_edges))
    if model == empty:
        raise Unsupported("the ablation does not move the metric, so there is no unit for thresholds")
    return abs(model - empty)
