"""Sets of edges that a search over lambda passes through, and the best of them at each budget.

    best(k) = argmin over sets of at most k edges of L(set)          L on discovery samples, with the set's edges ablated

Compared are the largest sets met within the budget, a smaller one being what a higher price per edge has left of them, and the k
edges of the highest scores.
"""

from __future__ import annotations

from collections.abc import Iterator
from typing import NamedTuple

import torch
from jaxtyping import Bool, Float
from torch import Tensor

from mechboard.protocols import EdgeCuts

from ._masked_loss import MaskedLoss

_COMPARED = 6
_FACTOR = 4.0
_FILLED = 0.75
"""A budget is met by a set of more than this share of it."""


class Run(NamedTuple):
    """One course of training: what lambda was multiplied with, the largest set on its way, and the size of the last."""

    multiplier: float
    peak: int
    end: int


class Cuts:
    """Sets of edges by size, the latest of each, for rising budgets."""

    def __init__(self, budgets: tuple[int, ...]) -> None:
        self._budgets = budgets
        self._met: dict[int, Tensor] = {}
        self._runs: list[Run] = []

    def add(self, cut: Bool[Tensor, " edges"]) -> int:
        """Hold one more set; its size is returned."""
        size = int(cut.sum())
        if 0 < size <= self._budgets[-1]:
            self._met[size] = cut
        return size

    def ran(self, run: Run) -> None:
        """Note the end of a run, and forget sets that no budget asks for."""
        self._runs.append(run)
        wanted = {size for budget in self._budgets for size in self._largest(budget)}
        self._met = {size: cut for size, cut in self._met.items() if size in wanted}

    def next_multiplier(self) -> float | None:
        """Where to look for the first budget that was missed, by bisection; None if all were met.

        A budget above what any run has cut is not missed: no price per edge makes the loss want more.
        """
        for budget in self._budgets:
            crossed = [run for run in self._runs if run.peak > budget]
            if not crossed or any(size > _FILLED * budget for size in self._largest(budget)):
                continue
            too_small = max((run.multiplier for run in self._runs if run.end > budget), default=None)
            too_large = min((run.multiplier for run in crossed if run.end <= budget), default=None)
            if too_large is None:
                assert too_small is not None
                return too_small * _FACTOR
            return too_large / _FACTOR if too_small is None else (too_small * too_large) ** 0.5
        return None

    def best(self, loss: MaskedLoss, scores: Float[Tensor, " edges"]) -> EdgeCuts:
        """The best set at each budget."""
        ranked = EdgeCuts.of_scores(scores.masked_fill(scores <= 0, torch.nan), self._budgets).cut
        values: dict[int, float] = {}

        def chosen(budget: int, top: Tensor) -> Iterator[tuple[float, int, Tensor]]:
            yield loss.of_cut(top), int(top.sum()), top
            for size in self._largest(budget):
                if size not in values:
                    values[size] = loss.of_cut(self._met[size])
                yield values[size], size, self._met[size]

        sets: list[tuple[float, int, Tensor]] = []
        for budget, top in zip(self._budgets, ranked, strict=True):
            best = min(chosen(budget, top), key=lambda each: each[:2])
            sets.append(best if not sets or best[:2] <= sets[-1][:2] else sets[-1])
        return EdgeCuts(cut=torch.stack([cut for _, _, cut in sets]), scores=scores)

    def _largest(self, budget: int) -> list[int]:
        return sorted((size for size in self._met if size <= budget), reverse=True)[:_COMPARED]
