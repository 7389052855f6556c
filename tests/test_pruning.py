"""Greedy pruning finds exactly the circuits of its definition, with less work."""

from dataclasses import replace

import pytest
import torch
from models import FAMILIES, random_problem
from naive_pruning import mean_metric, pruned

from mechboard.errors import UsageError
from mechboard.graph import Ablation, Graph, PromptPairs, counting
from mechboard.graph.circuit_means import CircuitMeans
from mechboard.graph.pruning import prune, visiting_order
from mechboard.metrics.answers import logit_difference

THRESHOLDS = [0.3, 0.05, 0.01, 0.001]


def small(family="gpt2", *, metric="task", level="qkv", **changed):
    problem = random_problem(family, **{"batch_size": 3, "n_layers": 2} | changed).measured_by(metric)
    return replace(problem, graph=Graph.of(problem.model.config, level))


def in_double(problem, prompts):
    """The problem on a few prompts of its own, in double precision."""
    model, pairs = problem.model.to(dtype=torch.float64), problem.pairs[:prompts]
    targets = {name: t.double() if t.is_floating_point() else t for name, t in pairs.targets.items()}
    pairs = PromptPairs(pairs.clean, pairs.corrupt, pairs.lengths, pairs.positions, targets)
    return replace(problem, model=model, pairs=pairs, ablation=Ablation(problem.ablation.kind, model, pairs))


def assert_same(problem, thresholds, order, **more):
    found = prune(CircuitMeans(problem), thresholds, order, **more)
    for threshold, kept in zip(thresholds, found, strict=True):
        assert torch.equal(kept, pruned(problem, threshold, order, **more)), threshold
    assert len(set(found.sum(1).tolist())) > 1
    return found


@pytest.mark.parametrize("heads", ["descending", "ascending"])
@pytest.mark.parametrize("metric", ["task", "kl"])
@pytest.mark.parametrize("family", FAMILIES)
def test_kept_edges_are_those_of_one_edge_and_one_threshold_at_a_time(family, metric, heads):
    problem = small(family, metric=metric)
    assert_same(problem, THRESHOLDS, visiting_order(problem.graph, heads))


@pytest.mark.parametrize("metric", ["task", "kl"])
def test_kept_edges_on_the_miniature_are_those_of_the_definition(metric):
    from mechboard.plugins.registry import Registry

    problem = Registry().load("task", "agreement-simple-mini").load(0, "cpu").problem
    problem = in_double(problem, 6).measured_by(metric)
    whole = mean_metric(problem, torch.ones(479, dtype=torch.bool)) - mean_metric(problem, torch.zeros(479).bool())
    assert_same(problem, [0.05 * whole, 0.005 * whole], visiting_order(problem.graph, "descending"))


@pytest.mark.parametrize("ablation", ["mean", "mean-global", "zero"])
def test_other_ablations_are_pruned_by_the_definition_too(ablation):
    problem = small("llama", ablation=ablation)
    assert_same(problem, THRESHOLDS, visiting_order(problem.graph, "descending"))


@pytest.mark.parametrize("family", ["gpt2", "neox", "llama"])
def test_a_graph_of_heads_is_pruned_by_the_definition_too(family):
    problem = small(family, level="head")
    assert_same(problem, THRESHOLDS, visiting_order(problem.graph, "descending"))


def test_pruning_starts_from_the_circuit_that_is_given():
    problem = small()
    start = torch.rand(problem.graph.n_edges, generator=torch.Generator().manual_seed(0)) < 0.7
    found = assert_same(problem, THRESHOLDS, visiting_order(problem.graph, "descending"), start=start)
    assert not found[:, ~start].any()


@pytest.mark.parametrize("max_bytes", [0, 50_000])
def test_a_bound_on_memory_changes_no_circuit(max_bytes):
    problem, order = small(), visiting_order(small().graph, "descending")
    expected = prune(CircuitMeans(problem), THRESHOLDS, order)
    assert torch.equal(prune(CircuitMeans(problem, max_bytes=max_bytes), THRESHOLDS, order), expected)


def test_a_sweep_finds_the_circuits_of_single_runs_with_fewer_runs_of_the_model():
    problem = small("attention-only", metric="kl")
    order, thresholds = visiting_order(problem.graph, "descending"), [10 ** (-i / 5) for i in range(20)]
    with counting() as together:
        swept = prune(CircuitMeans(problem), thresholds, order)
    with counting() as alone:
        single = torch.cat([prune(CircuitMeans(problem), [t], order) for t in thresholds])
    assert torch.equal(swept, single)
    assert together.forward_sequences < 0.6 * alone.forward_sequences


@pytest.mark.parametrize("family", FAMILIES)
def test_means_of_any_circuits_are_those_of_plain_patched_runs(family):
    problem = small(family, n_layers=3)
    generator, means = torch.Generator().manual_seed(0), CircuitMeans(problem)
    for share in (0.05, 0.3, 0.9, 0.97):
        kept = torch.rand(6, problem.graph.n_edges, generator=generator) < share
        kept[1] = kept[0]
        kept[1, 3] = ~kept[0, 3]
        expected = [mean_metric(problem, each) for each in kept]
        assert means.of_edges(kept) == pytest.approx(expected, abs=1e-10)


def test_a_circuit_that_was_run_before_costs_nothing():
    problem = small()
    means, everything = CircuitMeans(problem), torch.ones(1, problem.graph.n_edges, dtype=torch.bool)
    first = means.of_edges(everything)
    with counting() as cost:
        assert means.of_edges(everything) == first
    assert cost.forward_sequences == 0


def test_edges_into_nodes_without_a_path_to_the_logits_cost_no_run():
    problem = small()
    graph, n = problem.graph, len(problem.pairs)
    start = torch.tensor([not name.endswith("->logits") or name == "m0->logits" for name in graph.edges])
    means = CircuitMeans(problem)
    means.of_edges(start[None])
    with counting() as cost:
        kept = prune(means, [1e-9], visiting_order(graph, "descending"), start=start)[0]
    alive = [name for name in graph.edges if name == "m0->logits" or name.endswith("->m0") or "->a0" in name]
    assert cost.forward_sequences <= n * len(alive)
    assert not kept[[name not in alive for name in graph.edges]].any()
    assert kept.any()


def test_an_edge_goes_only_if_the_metric_drops_by_less_than_the_threshold():
    problem = small()
    graph = problem.graph
    order = visiting_order(graph, "descending")
    everything = torch.ones(graph.n_edges, dtype=torch.bool)
    without = everything.clone()
    drops = {}
    for edge in order[:9].tolist():
        without[:] = True
        without[edge] = False
        model, ablated = CircuitMeans(problem).of_edges(torch.stack([everything, without]))
        drops[edge] = model - ablated
    edge = max(drops, key=drops.__getitem__)
    assert drops[edge] > 0
    order = torch.cat([torch.tensor([edge]), order[order != edge]])
    exact, above = drops[edge], drops[edge] * (1 + 1e-9)
    kept = prune(CircuitMeans(problem), [exact, above], order)[:, edge]
    assert kept.tolist() == [True, False]


def test_an_edge_against_the_behaviour_goes_and_one_for_it_stays():
    problem = small()
    order = visiting_order(problem.graph, "descending")
    kept = prune(CircuitMeans(problem), [1e-12], order)[0]
    assert mean_metric(problem, kept) > mean_metric(problem, torch.ones_like(kept))


def test_orders_differ_in_heads_alone_and_lead_to_different_circuits():
    problem = small("attention-only")
    graph = problem.graph
    down, up = (visiting_order(graph, heads) for heads in ("descending", "ascending"))
    names = [[graph.edges[i] for i in order.tolist()] for order in (down, up)]
    assert names[0][:2] == ["a1.h3->logits", "a1.h2->logits"]
    assert names[1][:2] == ["a1.h0->logits", "a1.h1->logits"]
    layers = [[(n.partition("->")[2][:2], n[:2]) for n in each] for each in names]
    assert sorted(layers[0]) == sorted(layers[1])
    destinations = [[layer for layer, _ in each] for each in layers]
    assert destinations[0] == destinations[1]
    circuits = [prune(CircuitMeans(problem), [0.05], order)[0] for order in (down, up)]
    assert not torch.equal(*circuits)


@pytest.mark.parametrize("threshold", [0.0, -1.0, float("nan")])
def test_a_threshold_that_is_not_above_zero_is_refused(threshold):
    problem = small()
    with pytest.raises(UsageError, match="valid: numbers above zero"):
        prune(CircuitMeans(problem), [threshold], visiting_order(problem.graph, "descending"))


def test_an_order_that_visits_an_edge_before_what_it_can_move_is_refused():
    problem = small()
    order = visiting_order(problem.graph, "descending")
    for wrong in (order.flip(0), order[:-1], torch.cat([order[:-1], order[:1]])):
        with pytest.raises(UsageError, match="each of the .* edges once, destinations from"):
            prune(CircuitMeans(problem), [0.1], wrong)
    with pytest.raises(UsageError, match="valid: descending, ascending"):
        visiting_order(problem.graph, "sideways")


def test_the_metric_of_the_problem_is_what_is_pruned_by():
    problem = small()
    assert problem.metric.metric is logit_difference
    order = visiting_order(problem.graph, "descending")
    by_task, by_kl = (prune(CircuitMeans(problem.measured_by(m)), [0.01], order)[0] for m in ("task", "kl"))
    assert not torch.equal(by_task, by_kl)
