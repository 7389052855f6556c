from dataclasses import replace

import pytest
import torch
from models import FAMILIES, random_problem

from mechboard.graph import counting, metric_values, record_outputs, run_patched
from mechboard.methods.activation_patching import activation_patching
from mechboard.methods.eap import eap
from mechboard.methods.eap_ig import Parameters, eap_ig
from mechboard.metrics.answers import linear_readout

G = torch.Generator()
METHODS = [eap, eap_ig, activation_patching]


@pytest.mark.parametrize("family", FAMILIES)
def test_eap_is_the_derivative_of_the_metric_in_each_edges_share(family):
    """Definition: blend one edge by a small amount and take the central difference, in float64."""
    problem = random_problem(family)
    model, graph, pairs = problem.model, problem.graph, problem.pairs
    clean, ablated = model.embed(pairs.clean), problem.ablation.outputs(pairs)
    scores = eap(problem, G).scores
    step = 1e-5

    def value(edge, amount):
        # An edge that carries clean + amount (ablated - clean) is that edge patched with the blended output.
        chosen = torch.zeros(graph.n_edges, dtype=torch.bool)
        chosen[edge] = True
        outputs = record_outputs(model, clean)
        final = run_patched(model, clean, outputs + amount * (ablated - outputs), graph.dense(chosen))
        return metric_values(model, final, problem.metric, pairs).mean().item()

    for edge in range(0, graph.n_edges, 7):
        drop = (value(edge, -step) - value(edge, step)) / (2 * step)
        assert scores[edge].item() == pytest.approx(drop, abs=1e-7, rel=1e-6), graph.edges[edge]


@pytest.mark.parametrize("method", METHODS, ids=lambda m: m.name)
@pytest.mark.parametrize("family", FAMILIES)
def test_scores_do_not_depend_on_batch_size(method, family):
    whole = method(random_problem(family, batch_size=5), G).scores
    parts = method(random_problem(family, batch_size=2), G).scores
    assert torch.allclose(whole, parts, atol=1e-10)


@pytest.mark.parametrize("method", METHODS, ids=lambda m: m.name)
def test_edges_into_the_logits_sum_to_the_whole_change_where_the_head_is_linear(method):
    problem = random_problem("no-norm")
    readout = torch.randn(5, 1, 19, dtype=torch.float64)
    problem = replace(problem, pairs=replace(problem.pairs, targets={"readout": readout}), metric=linear_readout)
    model, pairs = problem.model, problem.pairs
    logits = [model.resume(model.embed(tokens)) for tokens in (pairs.clean, pairs.corrupt)]
    clean, corrupt = (metric_values(model, final, linear_readout, pairs).mean() for final in logits)
    into_logits = [name.endswith("->logits") for name in problem.graph.edges]
    total = method(problem, G).scores[torch.tensor(into_logits)].sum()
    assert total.item() == pytest.approx((clean - corrupt).item(), abs=1e-9)


def test_eap_costs_two_forwards_and_one_backward():
    problem = random_problem("gpt2", batch_size=2)
    with counting() as cost:
        eap(problem, G)
    assert (cost.forward_sequences, cost.backward_sequences) == (10, 5)


def test_eap_ig_costs_two_forwards_and_a_pass_per_step():
    problem = random_problem("gpt2")
    with counting() as cost:
        eap_ig(problem, G, Parameters(steps=7))
    assert (cost.forward_sequences, cost.backward_sequences) == (2 * 5 + 7 * 5, 7 * 5)


def test_methods_leave_the_model_as_it_was():
    problem = random_problem("gpt2")
    before = problem.model(problem.pairs.clean)
    for method in METHODS:
        method(problem, G)
    assert torch.equal(problem.model(problem.pairs.clean), before)


def test_eap_holds_one_buffer_of_node_outputs_and_not_two(monkeypatch):
    import mechboard.graph.ablation
    import mechboard.graph.trace

    made = []
    original = mechboard.graph.trace.new_outputs
    for module in (mechboard.graph.trace, mechboard.graph.ablation):
        monkeypatch.setattr(module, "new_outputs", lambda *a: made.append(1) or original(*a))
    eap(random_problem("gpt2"), G)
    assert len(made) == 1
