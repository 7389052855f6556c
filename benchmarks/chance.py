"""What random rankings score where chance depends on the task: CMD of edges, faithfulness and completeness of feature nodes.

    python benchmarks/chance.py [TASK ...] [--json FILE]

For each task (by default those of the suites `embedded` and `features`): the mean over three data seeds and ten random orders of the
edges each, four of the nodes, which are thousands, on evaluation prompts, and its standard error. Orders of one data seed share its model and prompts, so the
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
from mechboard.metrics.feature_examination import FeatureExamination
from mechboard.metrics.node_circuits import Examined
from mechboard.plugins.registry import Registry
from mechboard.protocols import CircuitProblem, FeatureProblem

DATA_SEEDS, ORDERS, NODE_ORDERS = 3, 10, 4


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


def node_areas(
    problem: FeatureProblem, held_out: FeatureExamination, orders: int, draw: torch.Generator
) -> dict[str, list[float]]:
    """Faithfulness and completeness of random orders of the nodes in scope."""
    examined = Examined(problem, held_out)
    if not examined.anchors.valid:
        raise SystemExit("The ablation hardly moves the metric, so faithfulness has no meaning on this task.")
    n = len(examined.nodes)
    areas_found = [examined.curve(torch.randn(n, generator=draw)).area(n) for _ in range(orders)]
    return dict(zip(("faithfulness", "completeness"), map(list, zip(*areas_found, strict=True)), strict=True))


def measure(name: str) -> dict[str, tuple[float, float]]:
    """Mean of each measure whose chance is the task's, over random orders, and its standard error."""
    task = Registry().load("task", name)
    found: dict[str, list[list[float]]] = {}
    for data_seed in range(DATA_SEEDS):
        instance = task.load(data_seed, "cpu")
        problem = instance.problem
        draw = torch.Generator().manual_seed(data_seed)
        if task.kind == "features":
            values = node_areas(problem, instance.held_out, NODE_ORDERS, draw)
        else:
            orders = [torch.randperm(problem.graph.n_edges, generator=draw) for _ in range(ORDERS)]
            values = {"cmd": cmds(problem, instance.held_out, orders)}
        for measured, of_orders in values.items():
            found.setdefault(measured, []).append(of_orders)
    return {measured: summary(by_seed) for measured, by_seed in found.items()}


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("tasks", nargs="*", metavar="TASK")
    parser.add_argument("--json", type=Path, metavar="FILE")
    given = parser.parse_args()
    table = {}
    suites = [Registry().load("suite", suite) for suite in ("embedded", "features")]
    for name in given.tasks or [task for suite in suites for task in (*suite.tasks, *suite.apart)]:
        table[name] = {}
        for measured, (mean, error) in measure(name).items():
            table[name] |= {measured: round(mean, 3), f"standard error of {measured}": round(error, 3)}
            print(f"{name:<36}{measured:<14}{mean:8.3f} ± {error:.3f}", flush=True)
        if given.json:
            given.json.write_text(json.dumps(table, indent=1) + "\n", encoding="utf-8")
    print()
    for name, row in table.items():
        stated = {measured: value for measured, value in row.items() if not measured.startswith("standard error")}
        print(f"{name:<36}chance={json.dumps(stated)},")


if __name__ == "__main__":
    main()
