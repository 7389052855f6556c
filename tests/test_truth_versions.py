"""What a truth speaks about decides what scores are held against: its universe, and the direct edges that a source counts."""

import pytest
import torch
from models import random_problem

from mechboard.contract.task import Instance
from mechboard.graph import Graph
from mechboard.kinds.circuit import circuit
from mechboard.kinds.circuit_exhibits import FoundEdge
from mechboard.metrics.circuit import found_circuit
from mechboard.metrics.detection import detection
from mechboard.metrics.spoken import spoken_of
from mechboard.protocols import Truth

GRAPH = Graph(n_layers=2, n_heads=2, has_mlp=True, parallel=False)


def mask(*names):
    return GRAPH.edge_mask(names)


def attention_only():
    return torch.tensor(["m0" not in name and "m1" not in name for name in GRAPH.edges])


def direct(*inputs):
    return torch.tensor([name in inputs for name in GRAPH.destinations])


TRUE = mask("input->a0.h0<q>", "a0.h0->a1.h1<v>", "a1.h1->logits")


def test_edges_that_a_truth_does_not_speak_about_are_neither_true_nor_false():
    universe = attention_only()
    scores = torch.where(universe, 0.0, 9.0) + TRUE  # every edge of an MLP stands above all true ones
    whole, own = (
        detection(GRAPH, scores, Truth(name="t:t", edges=TRUE, source="", universe=u)).measures["auc[t:t]"]
        for u in (None, universe)
    )
    assert own.value == 1.0
    assert whole.value < 0.7
    assert own.of == f"3 / {int(universe.sum())} edges"


def test_a_direct_edge_stands_where_the_strongest_edge_into_its_input_stands():
    scores = torch.zeros(GRAPH.n_edges)
    scores[mask("a0.h1->a1.h1<v>")] = -5.0
    scores[mask("input->a1.h1<v>")] = 2.0
    truth = Truth(name="t:t", edges=TRUE, source="", direct=direct("a1.h1<v>"))
    spoken = spoken_of(GRAPH, scores, truth)
    assert len(spoken.scores) == GRAPH.n_edges + 12  # q, k and v of four heads
    assert spoken.true[GRAPH.n_edges :].tolist().count(True) == 1
    assert spoken.scores[GRAPH.n_edges :][spoken.true[GRAPH.n_edges :]].tolist() == [-5.0]


def test_a_direct_edge_has_no_score_where_no_edge_into_its_input_has_one():
    scores = torch.zeros(GRAPH.n_edges)
    scores[torch.tensor([name.endswith("a1.h1<v>") for name in GRAPH.edges])] = torch.nan
    truth = Truth(name="t:t", edges=TRUE, source="", direct=direct("a1.h1<v>"))
    spoken = spoken_of(GRAPH, scores, truth)
    assert spoken.scores[GRAPH.n_edges :].isnan().tolist() == spoken.true[GRAPH.n_edges :].tolist()


def test_a_record_tells_the_denominators_of_each_truth():
    problem = random_problem("gpt2")
    graph = problem.graph
    edges = graph.edge_mask([graph.edges[0], graph.edges[-1]])
    inputs = torch.tensor(["<" in name for name in graph.destinations])
    one = torch.zeros(graph.n_destinations, dtype=torch.bool).index_fill(0, inputs.nonzero()[0], True)
    truths = (
        Truth(name="t:all", edges=edges, source="s"),
        Truth(name="t:few", edges=edges, source="s", universe=edges | graph.edge_mask([graph.edges[3]])),
        Truth(name="t:direct", edges=edges, source="s", direct=one),
    )
    told = circuit.truths(Instance(problem=problem, held_out=None, truths=truths))
    assert [(t.n_true, t.n_all) for t in told] == [
        (2, graph.n_edges), (2, 3), (3, graph.n_edges + int(inputs.sum())),
    ]  # fmt: skip


@pytest.mark.parametrize(("universe", "verdict"), [(None, "false"), (attention_only(), "unknown")])
def test_a_found_edge_outside_the_universe_is_not_called_false(universe, verdict):
    scores = torch.zeros(GRAPH.n_edges) + mask("m1->logits") + TRUE
    truth = Truth(name="t:t", edges=TRUE | mask("a0.h0->logits"), source="", universe=universe)
    found = FoundEdge(**found_circuit(GRAPH, scores, truth)[3]._asdict())
    assert (found.name, found.verdict) == ("m1->logits", verdict)
