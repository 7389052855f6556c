"""Greedy pruning as it is defined: one edge at a time, one threshold at a time, every test a whole patched run."""

import torch

from mechboard.graph import metric_values, run_patched


def runs_of(problem):
    return [(pairs, problem.model.embed(pairs.clean), problem.ablation.outputs(pairs)) for pairs in problem.batches()]


def mean_metric(problem, kept, runs=None):
    model, graph = problem.model, problem.graph
    patched = graph.to_qkv(graph.dense(~kept))
    total = 0.0
    for pairs, clean, ablated in runs or runs_of(problem):
        final = run_patched(model, clean, ablated, patched)
        total += float(metric_values(model, final, problem.metric, pairs).double().sum())
    return total / len(problem.pairs)


def pruned(problem, threshold, order, start=None):
    runs = runs_of(problem)
    kept = torch.ones(problem.graph.n_edges, dtype=torch.bool) if start is None else start.clone()
    current = mean_metric(problem, kept, runs)
    for edge in order.tolist():
        if kept[edge]:
            kept[edge] = False
            without = mean_metric(problem, kept, runs)
            if current - without < threshold:
                current = without
            else:
                kept[edge] = True
    return kept
