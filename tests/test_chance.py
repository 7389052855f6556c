"""What random orders score is what scoring would give them."""

import importlib.util
from pathlib import Path

import pytest
import torch

from mechboard.metrics.circuit import evaluate_edges
from mechboard.plugins.registry import Registry

EMBEDDED = Registry().load("suite", "embedded")
_FILE = Path(__file__).parent.parent / "benchmarks" / "chance.py"
_SPEC = importlib.util.spec_from_file_location("chance", _FILE)
chance = importlib.util.module_from_spec(_SPEC)
_SPEC.loader.exec_module(chance)


def test_an_order_has_the_cmd_of_scores_that_rank_edges_so():
    from mechboard.tasks.compiled.brackets import task

    instance = task.load(0, "cpu")

    problem = instance.problem
    pairs = instance.held_out[:8]
    orders = [torch.randperm(370, generator=torch.Generator().manual_seed(i)) for i in range(2)]
    scores = [-order.argsort().float() - 1 for order in orders]
    expected = [evaluate_edges(problem, s.reciprocal(), pairs, ()).measures["cmd"].value for s in scores]
    assert chance.cmds(problem, pairs, orders) == pytest.approx(expected)
    assert expected[0] != pytest.approx(expected[1], abs=1e-3)


def test_a_task_on_which_the_ablation_does_nothing_has_no_chance():
    from mechboard.tasks.compiled.brackets import task

    instance = task.load(0, "cpu")

    problem = instance.problem
    same = instance.held_out[:2]
    same.corrupt[:] = same.clean
    with pytest.raises(SystemExit, match="hardly moves the metric"):
        chance.cmds(problem, same, [torch.arange(370)])


def test_draws_that_share_a_data_seed_are_not_counted_as_independent():
    assert chance.summary([[1.0, 3.0], [1.0, 3.0]]) == (2.0, pytest.approx((4 / 3) ** 0.5 / 2))
    assert chance.summary([[1.0, 1.0], [3.0, 3.0]]) == (2.0, pytest.approx(1.0))


@pytest.mark.parametrize("name", [*EMBEDDED.tasks, *EMBEDDED.apart])
def test_every_embedded_task_states_its_chance_of_cmd(name):
    task = Registry().load("task", name)
    assert set(task.chance) == {"cmd"}
    assert 0.6 < task.chance["cmd"] < 1


def test_a_stated_chance_is_what_random_orders_score():
    task = Registry().load("task", "trained-ioi")
    instance = task.load(0, "cpu")
    orders = [torch.randperm(118, generator=torch.Generator().manual_seed(i)) for i in range(6)]
    found = chance.cmds(instance.problem, instance.held_out, orders)
    assert abs(sum(found) / len(found) - task.chance["cmd"]) < 0.12


def test_random_nodes_have_the_faithfulness_of_scores_that_rank_them_so():
    from mechboard.metrics.node_circuits import Examined

    instance = Registry().load("task", "agreement-simple-features-mini").load(0, "cpu")
    found = chance.node_areas(instance.problem, instance.held_out, 1, torch.Generator().manual_seed(3))
    examined = Examined(instance.problem, instance.held_out)
    n = len(examined.nodes)
    expected = examined.curve(torch.randn(n, generator=torch.Generator().manual_seed(3))).area(n)
    assert (found["faithfulness"], found["completeness"]) == ([expected[0]], [expected[1]])


@pytest.mark.parametrize("name", Registry().load("suite", "features").tasks)
def test_every_features_task_states_its_chance(name):
    task = Registry().load("task", name)
    assert set(task.chance) == {"faithfulness", "completeness"}
    assert 0 <= task.chance["faithfulness"] < 0.2
    assert 0.5 < task.chance["completeness"] < 1
