import json
from importlib.resources import files

import pytest

from mechboard.errors import UsageError
from mechboard.graph import Graph

GPT2 = Graph(n_layers=12, n_heads=12, has_mlp=True, parallel=False)
DOCSTRING = Graph(n_layers=4, n_heads=8, has_mlp=False, parallel=False)
TRUTHS = {
    "ioi.acdc": (GPT2, 963),
    "ioi.autocircuit": (GPT2, 739),
    "ioi.autocircuit_mlp0": (GPT2, 242),
    "ioi.attn_core": (GPT2, 182),
    "greaterthan.acdc": (GPT2, 235),
    "greaterthan.autocircuit": (GPT2, 235),
    "docstring.acdc": (DOCSTRING, 24),
    "docstring.autocircuit": (DOCSTRING, 24),
    "docstring.autocircuit_nodes": (DOCSTRING, 588),
}


@pytest.mark.parametrize(
    ("shape", "count"),
    [
        ({"n_layers": 12, "n_heads": 12, "has_mlp": True, "parallel": False}, 32_491),
        ({"n_layers": 4, "n_heads": 8, "has_mlp": False, "parallel": False}, 1_281),
        ({"n_layers": 5, "n_heads": 8, "has_mlp": True, "parallel": False}, 2_461),
    ],
)
def test_edge_counts_are_the_published_ones(shape, count):
    graph = Graph(**shape)
    assert graph.n_edges == count == len(set(graph.edges))


def test_a_parallel_mlp_does_not_see_its_own_layers_heads():
    graph = Graph(n_layers=2, n_heads=2, has_mlp=True, parallel=True)
    assert "a0.h0->m0" not in graph.edges
    assert "a0.h0->m1" in graph.edges


@pytest.mark.parametrize("name", TRUTHS)
def test_published_circuits_are_edges_of_the_graph_with_the_counts_that_papers_state(name):
    graph, count = TRUTHS[name]
    data = json.loads((files("mechboard.ground_truth") / f"{name}.json").read_text())
    edges = [f"{source}->{destination}" for source, destination in data["edges"]]
    assert int(graph.edge_mask(edges).sum()) == count
    assert data["source"]


def test_an_unknown_edge_is_named():
    with pytest.raises(UsageError, match="'m3->a0.h0<q>' is no edge"):
        GPT2.edge_mask(["m3->a0.h0<q>"])
