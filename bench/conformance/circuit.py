"""What is asked of circuit methods beyond the general checks: batches, graphs of heads, sign and orientation."""

from __future__ import annotations

from dataclasses import replace

import torch

from mechboard.conformance.methods import Trial, Trials
from mechboard.conformance.results import CheckFailed
from mechboard.errors import InvalidSolution
from mechboard.graph import Graph
from mechboard.metrics.roc import roc

_ROUNDING = 1e-4
_BETTER_THAN_CHANCE = 0.6


def check_batch_size(trial: Trial) -> str:
    """Scores do not depend on the batch size."""
    first = trial.first["scores"].nan_to_num()
    small = trial.solve(replace(trial.problem, batch_size=7))["scores"].nan_to_num()
    difference, largest = float((small - first).abs().max()), float(first.abs().max())
    if difference > _ROUNDING * max(largest, 1e-12):
        raise CheckFailed(
            f"Batches of 7 change a score by {difference:.2g}; sum over prompts and divide by their number once."
        )
    return f"largest difference {difference:.1g}"


def check_head_level(trial: Trial) -> str:
    """A graph whose edges end in heads, not in q, k and v, is answered too."""
    graph = Graph.of(trial.problem.model.config, level="head")
    problem = replace(trial.problem, graph=graph, truth=None)
    if trial.problem.truth is not None:
        problem = replace(problem, truth=torch.arange(graph.n_edges) == 0)
    try:
        trial.solve(problem)
    except (InvalidSolution, RuntimeError, IndexError) as error:
        raise CheckFailed(
            f"{error} Sum q/k/v scores with problem.graph.sum_qkv(...) before problem.graph.flat(...)."
        ) from error
    return f"{graph.n_edges} edges"


def check_orientation(trial: Trial) -> str:
    """Edges of a known circuit score higher than others: in size, and with sign."""
    scores, truth = trial.first["scores"], trial.instance.truths[0].edges
    auc = roc(scores, truth).trapezoid
    if auc < _BETTER_THAN_CHANCE:
        raise CheckFailed(
            f"AUC {auc:.2f} on {trial.task.name}, where chance is 0.5; are source and destination exchanged?"
        )
    signed_auc = roc(scores, truth, signed=True).trapezoid
    if signed_auc < 0.5:
        raise CheckFailed(
            f"Signed AUC {signed_auc:.2f}: supporting edges score negative; a score is the metric's *drop* under ablation."
        )
    return f"AUC {auc:.3f}, signed {signed_auc:.3f}"


TRIALS = Trials(
    task="compiled-brackets",
    checks={
        "batch size": check_batch_size,
        "head level": check_head_level,
        "sign and orientation": check_orientation,
    },
    not_for_references=frozenset({"sign and orientation"}),
)
