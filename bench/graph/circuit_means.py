"""The mean metric of any circuits over all discovery prompts, in bounded memory.

__all__ = ["CircuitMeans"]
"""

from __future__ import annotations

from collections.abc import Iterator, Sequence

import torch

from .circuit_runs import CircuitRuns
from .problem import CircuitProblem
from .spans import Masks

_RUNS = 4
"""A batch's runs and what is kept beside them, in multiples of one run's node outputs."""


class CircuitMeans:
    """Mean metric of circuits, for searches that ask for many that differ by little.

    Clean and ablated runs of all prompts are held if they fit, and else made again for each call, batch by batch.

    Args:
        problem: model, prompts, metric and ablation.
        max_bytes: memory for runs and for what is kept of circuits. It changes no mean.
    """

    def __init__(self, problem: CircuitProblem, *, max_bytes: int = 3 << 30) -> None:
        self.problem = problem
        config = problem.model.config
        length = int(problem.pairs.positions.max()) + 1
        per_prompt = problem.model.graph.n_sources * length * config.d_model * problem.model.dtype.itemsize
        self._all_fit = _RUNS * per_prompt * problem.n_prompts <= max_bytes
        held = problem.n_prompts if self._all_fit else min(problem.batch_size, problem.n_prompts)
        self._left = max(0, max_bytes - per_prompt * held) // held  # for each prompt
        self.at_once = max(1, max_bytes // (2 * per_prompt * held))
        self._runs: list[CircuitRuns] = []

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

    def of(self, circuits: Sequence[Masks]) -> list[float]:
        """The mean of each circuit."""
        sums = torch.zeros(len(circuits), dtype=torch.float64)
        for runs in self._each():
            sums += runs.values(circuits).double().sum(1).cpu()
        return (sums / self.problem.n_prompts).tolist()
