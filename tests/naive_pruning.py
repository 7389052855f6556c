"""Greedy pruning as it is defined: one edge at a time, one threshold at a time, every test a whole patched run."""

import torch

from mechboard.graph import metric_values, run_patched


def mean_metric(problem, kept):
    model, graph = problem.model, problem.graph
    total = 0.0
    for pairs in problem.batches():
        ablated = problem.ablation.outputs(pairs)
        final = run_patched(model, model.embed(pairs.clean), ablated, graph.to_qkv(graph.dense(~kept)))
        total += float(metric_values(model, final, problem.metric, pairs).double().sum())
    return total / len(problem.pairs)


def pruned(problem, threshold, order, start=None):
    kept = torch.ones(problem.graph.n_edges, dtype=torch.bool) if start is None else start.clone()
    current = mean_metric(problem, kept)
    for edge in order.tolist():
        if kept[edge]:
            kept[edge] = False
            without = mean_metric(problem, kept)
            if current - without < threshold:
                current = without
            else:
                kept[edge] = True
    return kept
