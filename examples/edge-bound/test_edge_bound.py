"""The method answers every task and beats chance where the circuit is known."""

import torch
from mechboard_edge_bound import edge_bound

from mechboard.metrics.roc import roc
from mechboard.registry import Registry


def test_finds_more_of_a_compiled_circuit_than_chance():
    task = Registry().load("task", "compiled-brackets")
    problem = task.load(0, "cpu")
    scores = edge_bound(problem, torch.Generator()).scores
    assert roc(scores, task.truths(problem)[0].edges).trapezoid > 0.6
