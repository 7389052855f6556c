"""The project's half of the comparison with AutoCircuit runs, and what is extrapolated is what was said to be."""

import json
from pathlib import Path

import pytest

from mechboard.graph import Graph

FOLDER = Path(__file__).parent.parent / "benchmarks" / "autocircuit"


@pytest.fixture
def comparison(monkeypatch):
    monkeypatch.syspath_prepend(str(FOLDER))
    import comparison

    return comparison


class _InThisProcess:
    def run(self, task, workload, **job):
        import ours

        tasks = {"eap": ours.run_eap, "faithfulness": ours.run_faithfulness, "edges": ours.run_edges}
        result = tasks[task](ours.load(workload), job) | {"peak": 1, "loaded": 1}
        return json.loads(json.dumps(result))


def test_both_halves_of_the_comparison_agree_where_they_are_the_same_side(comparison, tmp_path):
    import workload

    workload.make(tmp_path, workload.SHAPES["tiny"], seed=0)
    side = _InThisProcess()
    bout = comparison.Bout(side, side, tmp_path, workload.SHAPES["tiny"], rounds=1)
    scores = side.run("eap", tmp_path, repeats=1)["value"]
    assert comparison._difference(scores, scores)["largest value"] > 0
    parts = comparison._parts(bout.graph)
    effects = [name for part in parts for name in part["edges"]]
    whole = side.run("edges", tmp_path, parts=[], effects=effects)["value"]
    in_parts = side.run("edges", tmp_path, parts=parts[:-1], effects=effects)["value"]
    assert in_parts == pytest.approx(whole, abs=1e-7)
    assert any(whole.values())


def test_a_mean_over_all_edges_weighs_each_layer_by_its_edges(comparison):
    graph = Graph(n_layers=9, n_heads=2, has_mlp=True, parallel=False)
    parts = comparison._parts(graph)
    assert len({part["layer"] for part in parts}) < graph.n_layers

    def seconds(layer, kind):
        return 1.0 if kind == "logits" else 10.0 - layer + 5 * (kind == "mlp")

    found = comparison._mean_test(graph, parts, [seconds(part["layer"], part["kind"]) for part in parts])
    by_hand = []
    for destination in (graph.destinations[i] for i in graph.edge_destinations.tolist()):
        kind = {"a": "attention", "m": "mlp", "l": "logits"}[destination[0]]
        by_hand.append(seconds(0 if kind == "logits" else int(destination[1:].partition(".")[0]), kind))
    assert found == pytest.approx(sum(by_hand) / len(by_hand))


def test_an_edge_is_kept_when_the_divergence_rises_by_the_threshold(comparison):
    kept, margin = comparison._decisions([0.1, 0.7, 0.3, 0.75], tau=0.5)
    assert kept == [False, True, False, False]
    assert margin == pytest.approx(0.05)
