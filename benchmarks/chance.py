"""What random rankings score where chance depends on the task: CMD.

    python benchmarks/chance.py [TASK ...] [--json FILE]

For each task (by default those of the suite `embedded`): the mean over three data seeds and ten random orders of the edges
each, on evaluation prompts, and its standard error. Orders of one data seed share its model and prompts, so the
error is the larger of two: that of all draws, and that of the means of the data seeds. The line under the table is what
the task declares. Half a minute to three minutes a task on one core.
"""

from __future__ import annotations

import argparse
import json
from collections.abc import Sequence
from math import sqrt
from pathlib import Path
from statistics import fmean, stdev

import torch
from torch import Tensor

from mechboard.graph import PromptPairs
from mechboard.metrics.circuit import circuit_metrics
from mechboard.metrics.faithfulness import Anchors, areas, edge_counts, nested_circuits
from mechboard.plugins.registry import Registry
from mechboard.protocols import CircuitProblem

DATA_SEEDS, ORDERS = 3, 10


def cmds(problem: CircuitProblem, pairs: PromptPairs, orders: Sequence[Tensor]) -> list[float]:
    """CMD of each order of the edges."""
    n_edges = problem.graph.n_edges
    counts = edge_counts(n_edges)
    everything = torch.ones(n_edges, dtype=torch.bool)
    circuits = [everything, ~everything, *(kept for order in orders for kept in nested_circuits(order, counts))]
    model, empty, *means = circuit_metrics(problem, pairs, circuits)
    anchors = Anchors(model, empty)
    if not anchors.valid:
        raise SystemExit("The ablation hardly moves the metric, so CMD has no meaning on this task.")
    values = [anchors.faithfulness(mean) for mean in means]
    shares = [count / n_edges for count in counts]
    starts = range(0, len(values), len(counts))
    return [areas(shares, values[start : start + len(counts)]).deviation for start in starts]


def summary(found: Sequence[Sequence[float]]) -> tuple[float, float]:
    """Mean and standard error of values by data seed."""
    together, means = [value for values in found for value in values], [fmean(values) for values in found]
    return fmean(together), max(stdev(together) / sqrt(len(together)), stdev(means) / sqrt(len(means)))


def measure(name: str) -> tuple[float, float]:
    """Mean CMD of random orders on a task, and its standard error."""
    task = Registry().load("task", name)
    found = []
    for data_seed in range(DATA_SEEDS):
        instance = task.load(data_seed, "cpu")
        problem = instance.problem
        draw = torch.Generator().manual_seed(data_seed)
        orders = [torch.randperm(problem.graph.n_edges, generator=draw) for _ in range(ORDERS)]
        found.append(cmds(problem, instance.held_out, orders))
    return summary(found)


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("tasks", nargs="*", metavar="TASK")
    parser.add_argument("--json", type=Path, metavar="FILE")
    given = parser.parse_args()
    table = {}
    suite = Registry().load("suite", "embedded")
    for name in given.tasks or [*suite.tasks, *suite.apart]:
        mean, error = measure(name)
        table[name] = {"cmd": round(mean, 3), "standard error": round(error, 3)}
        print(f"{name:<26}{mean:8.3f} ± {error:.3f}", flush=True)
        if given.json:
            given.json.write_text(json.dumps(table, indent=1) + "\n", encoding="utf-8")
    print()
    for name, row in table.items():
        print(f'{name:<26}chance={{"cmd": {row["cmd"]}}},')


if __name__ == "__main__":
    main()
