"""KL divergence as a metric of every problem: its value, where it is largest, and that its gradient there is zero."""

import pytest
import torch
from models import random_problem
from torch.nn.functional import kl_div

from mechboard.errors import UsageError
from mechboard.graph import metric_gradient, metric_values
from mechboard.protocols import Truth


def finals(problem, prompts):
    return problem.model.resume(problem.model.embed(prompts))


def test_kl_is_that_of_the_clean_models_answers_from_those_of_the_run():
    problem = random_problem("gpt2", batch_size=2)
    measured = problem.measured_by("kl")
    found = metric_values(problem.model, finals(problem, problem.pairs.corrupt), measured.metric, measured.pairs)
    clean, corrupt = (
        problem.model(side)[:, -1].log_softmax(-1) for side in (problem.pairs.clean, problem.pairs.corrupt)
    )
    assert torch.allclose(-found, kl_div(corrupt, clean, log_target=True, reduction="none").sum(-1))
    assert bool((found < 0).all())


def test_kl_is_zero_at_the_clean_model_and_so_is_its_gradient():
    problem = random_problem("gpt2").measured_by("kl")
    at_clean = finals(problem, problem.pairs.clean)
    assert metric_values(problem.model, at_clean, problem.metric, problem.pairs).abs().max() < 1e-12
    assert metric_gradient(problem.model, at_clean, problem.metric, problem.pairs).abs().max() < 1e-12


def test_the_tasks_own_metric_is_the_problem_itself_and_others_are_refused():
    problem = random_problem("gpt2")
    assert problem.measured_by("task") is problem
    with pytest.raises(UsageError, match="'l2' was given; valid: task, kl"):
        problem.measured_by("l2")


def test_a_truth_holds_no_edge_that_it_does_not_speak_of():
    edges, universe = torch.tensor([True, True, False]), torch.tensor([True, False, True])
    with pytest.raises(UsageError, match="'a:b' calls 1 edges true that are not among those"):
        Truth(name="a:b", edges=edges, source="", universe=universe)
