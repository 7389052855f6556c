"""Circuits that a method keeps: their rates, the front that their ROC is, its areas, and what a solution may hold."""

import pytest
import torch
from models import random_problem

from mechboard.errors import InvalidSolution
from mechboard.graph import Graph
from mechboard.kinds.circuit import circuit
from mechboard.kinds.circuit_exhibits import OperatingPoints
from mechboard.metrics.circuit import evaluate_edges
from mechboard.metrics.kept import areas_under, front, rates
from mechboard.protocols import Circuits, EdgeScores, Truth

GRAPH = Graph(n_layers=1, n_heads=2, has_mlp=False, parallel=False)  # 9 edges
TRUE = GRAPH.edge_mask(["input->a0.h0<q>", "input->a0.h0<v>", "a0.h0->logits"])
TRUTH = Truth(name="t:t", edges=TRUE, source="")


def kept(*circuits):
    return torch.stack([GRAPH.edge_mask(names) for names in circuits])


def made(of, **fields):
    """What a plugin may hand over: nobody checks types and shapes before we do."""
    unchecked = object.__new__(of)
    vars(unchecked).update(fields)
    return unchecked


def unchecked(kept, **settings):
    return made(Circuits, kept=kept, settings=settings)


def test_rates_are_shares_of_true_and_of_false_edges():
    (found,) = rates(GRAPH, kept(["input->a0.h0<q>", "a0.h0->logits", "a0.h1->logits"]), TRUTH)
    assert (found.true_rate, found.false_rate, found.n_edges) == (2 / 3, 1 / 6, 3)
    assert found.youden == pytest.approx(2 / 3 - 1 / 6)


def test_a_direct_edge_is_kept_with_an_edge_into_its_input():
    direct = torch.tensor([name == "a0.h0<q>" for name in GRAPH.destinations])
    truth = Truth(name="t:t", edges=TRUE, source="", direct=direct)
    (found,) = rates(GRAPH, kept(["input->a0.h0<q>", "input->a0.h1<k>"]), truth)
    assert (found.true_rate, found.false_rate) == (2 / 4, 2 / 11)


def test_a_circuit_that_another_beats_is_not_on_the_front_and_adds_nothing():
    better, worse = (0.1, 0.8), (0.3, 0.6)
    assert front([worse, better]) == front([better]) == [(0.0, 0.0), (0.1, 0.8), (1.0, 1.0)]


def test_the_front_ends_with_everything_kept_also_where_all_true_edges_are_kept_before():
    assert front([(0.4, 1.0)]) == [(0.0, 0.0), (0.4, 1.0), (1.0, 1.0)]


def test_the_area_by_steps_is_the_one_that_acdc_was_published_with():
    curve = [(0.0, 0.0), (0.1, 0.5), (0.4, 0.8), (1.0, 1.0)]
    trapezoid, pessimistic = areas_under(curve)
    assert pessimistic == pytest.approx(0.9 * 0.5 + 0.6 * 0.3 + 0.0 * 0.2)
    assert trapezoid == pytest.approx(0.1 * 0.25 + 0.3 * 0.65 + 0.6 * 0.9)


def test_an_evaluation_measures_kept_circuits_and_leaves_them_out_where_there_are_none():
    problem = random_problem("gpt2")
    truth = Truth(name="t:t", edges=problem.graph.edge_mask(problem.graph.edges[:5]), source="")
    scores = torch.randn(problem.graph.n_edges)
    circuits = Circuits(kept=torch.stack([truth.edges, ~truth.edges]), settings={"threshold": (0.1, 0.2)})
    with_them, without = (
        evaluate_edges(problem, scores, problem.pairs, [truth], circuits=each) for each in (circuits, None)
    )
    assert with_them.measures["youden[t:t]"].value == 1.0
    assert with_them.measures["auc-circuits[t:t]"].value == 1.0
    assert "roc-circuits[t:t]" in with_them.curves
    assert {name for name in with_them.measures if name not in without.measures} == {
        "youden[t:t]", "auc-circuits[t:t]", "auc-circuits-low[t:t]",
    }  # fmt: skip


def test_packed_circuits_come_back_with_their_settings():
    scores = torch.randn(9)
    circuits = Circuits(kept=kept(["input->a0.h0<q>"], []), settings={"a": (1.0, 2.0), "b c": (0.1, 1e-9)})
    back = circuit.unpack(circuit.pack(EdgeScores(scores, circuits)))
    assert torch.equal(back.circuits.kept, circuits.kept)
    assert back.circuits.settings == circuits.settings
    assert circuit.unpack(circuit.pack(EdgeScores(scores))).circuits is None


@pytest.mark.parametrize(
    ("given", "said"),
    [
        ("all", "circuits as str"),
        (unchecked(torch.ones(2, 3, dtype=torch.bool)), r"shape \(2, 3\)"),
        (unchecked(torch.ones(0, 479, dtype=torch.bool)), r"shape \(0, 479\)"),
        (unchecked(torch.ones(2, 479)), "torch.float32 circuits"),
        (unchecked(torch.ones(2, 479, dtype=torch.bool), t=(1.0,)), "one finite number each"),
        (unchecked(torch.ones(1, 479, dtype=torch.bool), t=(float("nan"),)), "one finite number each"),
    ],
    ids=["type", "edges", "none", "floats", "settings", "nan"],
)
def test_circuits_that_cannot_be_scored_are_invalid(given, said):
    graph = Graph(n_layers=4, n_heads=4, has_mlp=True, parallel=False)
    problem = type("Problem", (), {"graph": graph})()
    with pytest.raises(InvalidSolution, match=said):
        circuit.check(made(EdgeScores, scores=torch.zeros(graph.n_edges), circuits=given), problem)


def test_operating_points_tell_settings_and_rates_of_every_circuit():
    circuits = Circuits(kept=kept(["input->a0.h0<q>"], GRAPH.edges), settings={"threshold": (0.5, 0.0)})
    points = OperatingPoints.of(GRAPH, circuits, TRUTH)
    assert [(c.settings["threshold"], c.n_edges, c.false_rate) for c in points.circuits] == [
        (0.5, 1, 0.0),
        (0.0, 9, 1.0),
    ]
    assert list(points.lines()) == ["best of 2 circuits against t:t: J 0.333 at threshold 0.5, 1 edges"]
