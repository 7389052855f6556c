"""The graph at the level of heads: one input per head, which stands for its q, k and v."""

import pytest
import torch
from models import FAMILIES, random_decoder, random_pairs, random_problem
from naive import rerun

from mechboard.graph import Ablation, Graph, patch_each_edge, run_patched
from mechboard.methods.eap import eap
from mechboard.protocols import CircuitProblem


def _at_head_level(problem: CircuitProblem) -> CircuitProblem:
    from dataclasses import replace

    return replace(problem, graph=Graph.of(problem.model.config, level="head"))


def _qkv_names(graph, chosen):
    names = set()
    for name, on in zip(graph.edges, chosen, strict=True):
        if on:
            source, _, destination = name.partition("->")
            parts = ("<q>", "<k>", "<v>") if destination.startswith("a") else ("",)
            names |= {f"{source}->{destination}{part}" for part in parts}
    return names


@pytest.mark.parametrize(
    ("shape", "count"), [((12, 12, True), 11_611), ((4, 8, False), 449), ((3, 4, True), 118)], ids=str
)
def test_edge_counts_are_the_published_ones(shape, count):
    layers, heads, mlp = shape
    assert Graph(n_layers=layers, n_heads=heads, has_mlp=mlp, parallel=False, level="head").n_edges == count


@pytest.mark.parametrize("family", FAMILIES)
def test_patching_edge_sets_and_single_edges_equals_a_plain_rerun(family):
    decoder, pairs = random_decoder(family), random_pairs()
    graph, full = Graph.of(decoder.config, level="head"), decoder.graph
    ablated = Ablation("resample", decoder, pairs).outputs(pairs)
    named = {name: ablated[row] for row, name in enumerate(full.sources)}
    clean = decoder.embed(pairs.clean)
    chosen = torch.rand(graph.n_edges, generator=torch.Generator().manual_seed(5)) < 0.4
    final = run_patched(decoder, clean, ablated, graph.to_qkv(graph.dense(chosen)))
    _, logits = rerun(decoder, full, pairs.clean, named, _qkv_names(graph, chosen))
    assert torch.allclose(decoder.unembed(final), logits, atol=1e-9)
    seen = 0
    for destination, sources, finals in patch_each_edge(decoder, clean, ablated, pairs.positions, graph=graph):
        for source, final in zip(range(sources.start, sources.stop), finals, strict=True):
            seen += 1
            if seen % 5 == 0:
                edge = graph.edge_mask([f"{graph.sources[source]}->{graph.destinations[destination]}"])
                _, logits = rerun(decoder, full, pairs.clean, named, _qkv_names(graph, edge))
                assert torch.allclose(decoder.unembed(final), pairs.read(logits), atol=1e-9)
    assert seen == graph.n_edges


def test_first_order_scores_of_a_head_are_the_sum_of_its_q_k_and_v():
    problem = random_problem("gpt2")
    full, heads = problem.graph, _at_head_level(problem).graph
    by_part = dict(zip(full.edges, eap(problem, torch.Generator()).scores.tolist(), strict=True))
    by_head = eap(_at_head_level(problem), torch.Generator()).scores
    for name, score in zip(heads.edges, by_head.tolist(), strict=True):
        parts = [f"{name}<{part}>" for part in "qkv"]
        expected = sum(by_part[p] for p in parts) if parts[0] in by_part else by_part[name]
        assert score == pytest.approx(expected, abs=1e-10)
