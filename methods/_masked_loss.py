"""What an edge mask is trained on, without its regulariser: a loss under the mask, and its gradient in the mask.

    removal    L(w) = mean over samples to keep of loss - alpha mean over bad samples of loss          (eq. 4 of Li, Davies, Nadeau)
    circuit    L(w) = mean over prompts of m(w) / |m(model) - m(everything ablated)|

Both are low when what is ablated carries the behaviour. The unit of the second is the whole behaviour, so that one weight of
a regulariser serves metrics of any scale. A step sees a few samples, which are drawn; no loss depends on the problem's
batch size but by rounding.
"""

from __future__ import annotations

from abc import ABC, abstractmethod
from collections.abc import Callable, Iterator
from typing import Any

import torch
from jaxtyping import Bool, Float, Int
from torch import Generator, Tensor

from mechboard.graph.masked_run import run_masked
from mechboard.graph.problem import CircuitProblem
from mechboard.protocols import RemovalProblem, Unsupported

_JUDGED = 128
"""Samples of a set, from the first on, on which finished cuts are compared."""


def passes(n: int, size: int, generator: Generator) -> Iterator[Int[Tensor, " drawn"]]:
    """Rows of a set of n, without end: every pass in a new order, in parts of `size`, of which the last may be smaller."""
    while True:
        yield from _parts_of(torch.randperm(n, generator=generator), size)


def _parts_of(rows: Int[Tensor, " rows"], size: int) -> Iterator[Int[Tensor, " part"]]:
    yield from (rows[start : start + size] for start in range(0, len(rows), size))


class MaskedLoss(ABC):
    """A loss of a mask, which holds for each edge how far it is kept, from 0 to 1."""

    n_edges: int
    ones: Float[Tensor, " edges"]
    """The mask that keeps every edge, of the model's type and on its device."""

    @abstractmethod
    def gradient(self, kept: Float[Tensor, " edges"]) -> Float[Tensor, " edges"]:
        """dL/dw on the samples that are drawn next. Cost: a forward and a backward of each."""

    @abstractmethod
    def of_cut(self, cut: Bool[Tensor, " edges"]) -> float:
        """L on the first samples with these edges ablated. Cost: a forward of each."""

    def _sum(self, parts: Iterator[Callable[[Tensor], Tensor]], kept: Tensor) -> Float[Tensor, " edges"]:
        total = torch.zeros_like(kept)
        for part in parts:
            leaf = kept.detach().requires_grad_()
            with torch.enable_grad():
                (gradient,) = torch.autograd.grad(part(leaf), leaf)
            total += gradient
        if not bool(total.isfinite().all()):
            raise Unsupported(
                "the loss under the mask has no finite gradient; lower the rate, or look for NaN in the model"
            )
        return total


class RemovalLoss(MaskedLoss):
    """L_keep - alpha L_bad, in nats; a step sees up to `batch` samples of each.

    Raises:
        Unsupported: from `gradient`, the loss is infinite or no number.
    """

    def __init__(self, problem: RemovalProblem, alpha: float, batch: int, generator: Generator) -> None:
        self._problem, self._alpha = problem, alpha
        self.n_edges = problem.model.n_edges
        weights = next(problem.tensors())
        self.ones = torch.ones(self.n_edges, dtype=weights.dtype, device=weights.device)
        self._keep = passes(len(problem.keep), batch, generator)
        self._bad = passes(len(problem.bad), batch, generator)

    def gradient(self, kept: Float[Tensor, " edges"]) -> Float[Tensor, " edges"]:
        """Of the next samples of each set."""
        return self._sum(self._parts(self._problem.keep[next(self._keep)], self._problem.bad[next(self._bad)]), kept)

    @torch.no_grad()
    def of_cut(self, cut: Bool[Tensor, " edges"]) -> float:
        """Of the first samples of each set."""
        kept = self.ones * ~cut
        return sum(float(part(kept)) for part in self._parts(self._problem.keep[:_JUDGED], self._problem.bad[:_JUDGED]))

    def _parts(self, keep: Any, bad: Any) -> Iterator[Callable[[Tensor], Tensor]]:
        both = keep.joined(bad)
        weight = self.ones.new_full((len(both),), 1 / len(keep))
        weight[len(keep) :] = -self._alpha / len(bad)
        for rows in _parts_of(torch.arange(len(both)), self._problem.batch_size):

            def part(kept: Tensor, rows: Tensor = rows) -> Tensor:
                return (weight[rows] * self._problem.losses(both[rows], kept=kept)).sum()

            yield part


class CircuitLoss(MaskedLoss):
    """The metric in units of the whole behaviour; a step sees up to `batch` prompts.

    Raises:
        Unsupported: the ablation of everything does not move the metric.
    """

    def __init__(self, problem: CircuitProblem, batch: int, generator: Generator) -> None:
        self._problem, self.n_edges = problem, problem.graph.n_edges
        self.ones = torch.ones(self.n_edges, dtype=problem.model.dtype, device=problem.model.device)
        self._drawn = passes(problem.n_prompts, batch, generator)
        self._unit = 1.0
        nothing = torch.zeros(self.n_edges, dtype=torch.bool, device=problem.model.device)
        self._unit = abs(self.of_cut(nothing) - self.of_cut(~nothing))
        if not self._unit > 0:
            raise Unsupported("the ablation does not move the metric, so there is nothing to be cut")

    def gradient(self, kept: Float[Tensor, " edges"]) -> Float[Tensor, " edges"]:
        """Of the next prompts."""
        return self._sum(self._parts(next(self._drawn)), kept)

    @torch.no_grad()
    def of_cut(self, cut: Bool[Tensor, " edges"]) -> float:
        """Of the first prompts."""
        kept = self.ones * ~cut
        first = torch.arange(min(_JUDGED, self._problem.n_prompts))
        return sum(float(part(kept)) for part in self._parts(first))

    def _parts(self, rows: Int[Tensor, " drawn"]) -> Iterator[Callable[[Tensor], Tensor]]:
        problem = self._problem
        for some in _parts_of(rows, problem.batch_size):
            pairs = problem.pairs[some]
            x, ablated = problem.model.embed(pairs.clean), problem.ablation.outputs(pairs)

            def part(kept: Tensor, pairs: Any = pairs, x: Tensor = x, ablated: Tensor = ablated) -> Tensor:
                final = run_masked(problem.model, problem.graph, x, problem.graph.dense(kept), ablated)
                values: Tensor = problem.metric(problem.model.unembed(pairs.read(final)), pairs)
                return values.sum() / (len(rows) * self._unit)

            yield part
