"""Distributions of scores, their agreement with exact effects, and interpolations: measured as the paper's figures are."""

import pytest
import torch
from models import random_problem

from mechboard.graph import Graph
from mechboard.kinds.circuit_exhibits import Agreement, Distribution, Interpolation, exhibits_of
from mechboard.methods.activation_patching import activation_patching
from mechboard.methods.eap import eap
from mechboard.metrics import exact
from mechboard.metrics.distribution import distribution
from mechboard.metrics.exact import Effects, effects_for, fit, worst_paths
from mechboard.protocols import EdgeScores, Truth

GRAPH = Graph(n_layers=1, n_heads=2, has_mlp=False, parallel=False)
TRUE = GRAPH.edge_mask(["input->a0.h0<q>", "a0.h0->logits", "a0.h1->logits"])


def solved(method, problem):
    return method(problem, torch.Generator().manual_seed(0)).scores.detach()


def test_every_scored_edge_is_in_one_bin_of_one_group():
    scores = torch.linspace(-1, 3, GRAPH.n_edges)
    scores[4] = torch.nan
    found = distribution(GRAPH, scores, Truth(name="t:t", edges=TRUE, source=""))
    assert [(group.name, group.n, sum(group.counts)) for group in found.groups] == [("in t:t", 3, 3), ("outside", 5, 5)]
    assert found.groups[0].mean == pytest.approx(float(scores[TRUE].mean()))
    assert (found.bounds[0], found.bounds[-1]) == (-1.0, 3.0)
    assert found.groups[1].counts[-1] + found.groups[0].counts[-1] == 1  # the highest score is in the last bin


def test_a_role_holds_the_known_edges_that_start_from_its_heads():
    roles = {"mover": ("a0.h1",), "first": ("a0.h0",), "absent": ("a0.h9",)}
    found = distribution(GRAPH, torch.ones(GRAPH.n_edges), Truth(name="t:t", edges=TRUE, source="", roles=roles))
    assert [(role.name, role.n) for role in found.roles] == [("mover", 1), ("first", 1)]


def test_edges_that_a_truth_does_not_speak_about_are_not_outside_its_circuit():
    universe = TRUE | GRAPH.edge_mask(["input->logits"])
    truth = Truth(name="t:t", edges=TRUE, source="", universe=universe)
    assert [group.n for group in distribution(GRAPH, torch.ones(GRAPH.n_edges), truth).groups] == [3, 1]


def test_effects_are_measured_exactly_where_the_task_has_none():
    problem = random_problem("gpt2", batch_size=2)
    found = effects_for(problem, torch.zeros(problem.graph.n_edges), ())
    assert torch.allclose(found.drops, solved(activation_patching, problem))


def test_effects_that_the_task_measured_are_taken():
    problem = random_problem("gpt2")
    effects = torch.randn(problem.graph.n_edges)
    truth = Truth(name="t:t", edges=effects > 0, source="", effects=effects)
    assert torch.equal(effects_for(problem, effects, [truth]).drops, effects.double())


def test_on_a_large_graph_only_the_strongest_edges_are_measured(monkeypatch):
    monkeypatch.setattr(exact, "_ALL_UP_TO", 10)
    problem = random_problem("gpt2", batch_size=2)
    scores, effects = solved(eap, problem), solved(activation_patching, problem)
    found = effects_for(problem, scores, ())
    assert found.edges.tolist() == scores.abs().argsort(descending=True)[:12].tolist()
    assert torch.allclose(found.drops, effects[found.edges])


def test_the_slope_says_what_effect_a_score_of_one_stands_for():
    effects = Effects(torch.arange(4), torch.tensor([0.5, 1.0, -1.5, 0.0], dtype=torch.float64), "")
    found = fit(torch.tensor([1.0, 2.0, -3.0, 0.0]), effects)
    assert (found.slope, found.r2) == (pytest.approx(0.5), pytest.approx(1.0))
    assert fit(torch.zeros(4), effects).slope is None
    raised = effects._replace(drops=effects.drops + 0.25)
    assert fit(torch.tensor([1.0, 2.0, -3.0, 0.0]), raised).intercept == pytest.approx(0.25)
    assert fit(torch.zeros(4), effects).intercept is None


def test_a_path_ends_at_the_exact_effect_and_begins_with_the_slope_of_eap():
    problem = random_problem("gpt2", batch_size=2)
    scores, effects = solved(eap, problem), solved(activation_patching, problem)
    paths = worst_paths(problem, scores, effects_for(problem, scores, ()))
    error = (scores - effects).abs()
    assert [path.edge for path in paths] == error.argsort(descending=True)[:3].tolist()
    for path in paths:
        assert path.shares == (0.0, 0.2, 0.4, 0.6, 0.8, 1.0)
        assert path.drops[-1] == pytest.approx(float(effects[path.edge]))
    small = exact._drops(problem, [paths[0].edge], (1e-6,))
    assert float(small) / 1e-6 == pytest.approx(float(scores[paths[0].edge]), rel=1e-3)


def test_a_third_partys_scores_get_every_exhibit_and_no_circuits_no_operating_points():
    problem = random_problem("gpt2")
    truth = Truth(name="t:t", edges=problem.graph.edge_mask(problem.graph.edges[:4]), source="")
    found = exhibits_of(problem, EdgeScores(torch.full((problem.graph.n_edges,), 0.5)), [truth])
    assert list(found) == ["circuit", "distribution", "agreement", "interpolation"]
    assert [type(found[name]) for name in list(found)[1:]] == [Distribution, Agreement, Interpolation]
    assert found["agreement"].r2 is None  # equal scores explain nothing
    assert {edge.known for edge in found["agreement"].edges} == {True, False}
