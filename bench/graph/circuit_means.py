"""The mean metric of any circuits over all discovery prompts, in bounded memory.

__all__ = ["CircuitMeans"]
"""

from __future__ import annotations

from collections.abc import Callable, Iterator, Sequence

import torch
from jaxtyping import Bool
from torch import Tensor

from .circuit_runs import CircuitRuns
from .patched_inputs import Masks
from .problem import CircuitProblem

Told = Callable[[int, int], None]

_RUNS = 4
"""A batch's runs and what is kept beside them, in multiples of one run's node outputs."""


def _nobody(done: int, total: int) -> None:
    """Told nothing further."""


class CircuitMeans:
    """Mean metric of circuits, for searches that ask for many that differ by little.

    Clean and ablated runs of all prompts are held if they fit, and else made again for each call, batch by batch.

    Args:
        problem: model, prompts, metric and ablation.
        max_bytes: memory for runs and for what is kept of circuits. It changes no mean.
    """

    def __init__(self, problem: CircuitProblem, *, max_bytes: int = 1 << 30) -> None:
        self.problem = problem
        config = problem.model.config
        length = int(problem.pairs.positions.max()) + 1
        per_prompt = problem.model.graph.n_sources * length * config.d_model * problem.model.dtype.itemsize
        self._all_fit = _RUNS * per_prompt * problem.n_prompts <= max_bytes
        held = problem.n_prompts if self._all_fit else min(problem.batch_size, problem.n_prompts)
        self._left = max(0, max_bytes - per_prompt * held) // held  # for each prompt
        self.at_once = max(1, max_bytes // (2 * per_prompt * held))
        self._runs: list[CircuitRuns] = []
        at = problem.graph.to_qkv(torch.arange(problem.graph.n_destinations)[None])[0]
        columns = [
            (at == destination).nonzero().flatten().tolist() for destination in range(problem.graph.n_destinations)
        ]
        ends = zip(problem.graph.edge_sources.tolist(), problem.graph.edge_destinations.tolist(), strict=True)
        self.places = [(source, tuple(columns[destination])) for source, destination in ends]
        """Of each edge of the problem's graph: its source, and its destinations at the q/k/v level."""

    def _each(self) -> Iterator[CircuitRuns]:
        if self._runs:
            yield from self._runs
            return
        problem = self.problem
        for pairs in problem.batches():
            ablated = problem.ablation.outputs(pairs)
            runs = CircuitRuns(problem.model, pairs, ablated, problem.metric, max_bytes=self._left * len(pairs))
            if self._all_fit:
                self._runs.append(runs)
            yield runs

    def masks(self, kept: Bool[Tensor, " edges"]) -> Masks:
        """The circuit that keeps these edges, with all others patched."""
        patched = [0] * self.problem.model.graph.n_destinations
        for edge in (~kept).nonzero().flatten().tolist():
            source, columns = self.places[edge]
            for column in columns:
                patched[column] |= 1 << source
        return tuple(patched)

    def of_edges(self, kept: Bool[Tensor, "circuits edges"], told: Told = _nobody) -> list[float]:
        """The mean of each circuit, given by the edges that it keeps; see `of`."""
        return self.of([self.masks(each) for each in kept], told)

    def of(self, circuits: Sequence[Masks], told: Told = _nobody) -> list[float]:
        """The mean of each circuit, given by its patched sources.

        Args:
            circuits: those that differ by little should be neighbours.
            told: called with how many circuits are done, once for each prompt, and of how many.
        """
        sums, done = torch.zeros(len(circuits), dtype=torch.float64), 0
        for runs in self._each():
            for start in range(0, len(circuits), self.at_once):
                values = runs.values(circuits[start : start + self.at_once])
                sums[start : start + self.at_once] += values.double().sum(1).cpu()
                done += values.numel()
                told(done, len(circuits) * self.problem.n_prompts)
        return (sums / self.problem.n_prompts).tolist()
