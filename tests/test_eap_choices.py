"""Where EAP takes its gradient and of which metric, where EAP-IG has its points, and what is refused."""

from dataclasses import replace

import pytest
import torch
from models import FAMILIES, random_decoder, random_problem

from mechboard.errors import Unsupported
from mechboard.graph import Ablation, MetricGradient, counting, metric_values, record_outputs, run_patched
from mechboard.methods import eap as eap_module
from mechboard.methods import eap_ig as eap_ig_module
from mechboard.methods.eap import eap
from mechboard.methods.eap_ig import eap_ig

G = torch.Generator()


def scores(problem, **parameters):
    return eap(problem, G, eap_module.Parameters(**parameters)).scores


def ig(problem, **parameters):
    return eap_ig(problem, G, eap_ig_module.Parameters(**parameters)).scores


@pytest.mark.parametrize("metric", ["task", "kl"])
@pytest.mark.parametrize("family", FAMILIES)
def test_at_the_corrupt_run_a_score_is_the_derivative_in_the_share_of_the_clean_value(family, metric):
    problem = random_problem(family)
    found, problem = scores(problem, at="corrupt", metric=metric), problem.measured_by(metric)
    model, graph, pairs = problem.model, problem.graph, problem.pairs
    start = model.embed(pairs.corrupt)
    clean, corrupt = (record_outputs(model, model.embed(tokens)) for tokens in (pairs.clean, pairs.corrupt))
    step = 1e-5

    def value(edge, amount):
        chosen = torch.zeros(graph.n_edges, dtype=torch.bool)
        chosen[edge] = True
        final = run_patched(model, start, corrupt + amount * (clean - corrupt), graph.dense(chosen))
        return metric_values(model, final, problem.metric, pairs).mean().item()

    for edge in range(0, graph.n_edges, 11):
        rise = (value(edge, step) - value(edge, -step)) / (2 * step)
        assert found[edge].item() == pytest.approx(rise, abs=1e-7, rel=1e-6), graph.edges[edge]


@pytest.mark.parametrize("family", FAMILIES)
def test_the_rules_are_riemann_sums_of_one_integral(family):
    problem = random_problem(family)
    at_clean, at_corrupt = scores(problem), scores(problem, at="corrupt")
    left, right, midpoint = (ig(problem, steps=3, rule=rule) for rule in ("left", "right", "midpoint"))
    assert torch.allclose(ig(problem, steps=1), at_corrupt, atol=1e-12)
    assert torch.allclose(ig(problem, steps=1, rule="right"), at_clean, atol=1e-12)
    # Left and right have all points but one in common; left and midpoint are every other point of left.
    assert torch.allclose(3 * (right - left), at_clean - at_corrupt, atol=1e-12)
    assert torch.allclose((left + midpoint) / 2, ig(problem, steps=6), atol=1e-12)


@pytest.mark.parametrize("settings", [{"at": "corrupt"}, {"at": "corrupt", "metric": "kl"}])
def test_scores_at_the_corrupt_run_do_not_depend_on_batch_size(settings):
    whole, parts = (scores(random_problem("gpt2", batch_size=n), **settings) for n in (5, 2))
    assert torch.allclose(whole, parts, atol=1e-12)


@pytest.mark.parametrize("rule", ["right", "midpoint"])
def test_sums_by_a_rule_do_not_depend_on_batch_size(rule):
    whole, parts = (ig(random_problem("gpt2", batch_size=n), rule=rule) for n in (5, 2))
    assert torch.allclose(whole, parts, atol=1e-12)


def test_the_gradient_at_the_corrupt_run_costs_as_much_and_kl_one_forward_more():
    for settings, forwards in (({"at": "corrupt"}, 10), ({"at": "corrupt", "metric": "kl"}, 15)):
        with counting() as cost:
            scores(random_problem("gpt2", batch_size=2), **settings)
        assert (cost.forward_sequences, cost.backward_sequences) == (forwards, 5)


@pytest.mark.parametrize("ablation", ["mean", "mean-global", "zero"])
def test_ablations_that_run_no_corrupt_prompt_have_no_gradient_there(ablation):
    problem = random_problem("gpt2", ablation=ablation)
    with pytest.raises(Unsupported, match=rf"under {ablation} ablation there is none, use at=clean\."):
        scores(problem, at="corrupt")


@pytest.mark.parametrize(
    ("make", "message"),
    [
        (lambda: eap_module.Parameters(at="middle"), "at=middle was given; valid: clean, corrupt."),
        (lambda: eap_module.Parameters(metric="loss"), "metric=loss was given; valid: task, kl."),
        (lambda: eap_ig_module.Parameters(rule="trapezoid"), "rule=trapezoid was given; valid: left, right, midpoint."),
    ],
)
def test_a_choice_that_does_not_exist_names_those_that_do(make, message):
    with pytest.raises(ValueError, match=message):
        make()


# -- zero gradients ---------------------------------------------------------------------------------


def confident(problem, scale):
    """The same problem with a model that is `scale` times as sure of its answers."""
    model = random_decoder("gpt2", dtype=problem.model.dtype)
    model.weights.unembed.mul_(scale)
    return replace(problem, model=model, ablation=Ablation("resample", model, problem.pairs))


@pytest.mark.parametrize("scale", [1, 10, 30], ids=["unsure", "sure", "saturated"])
@pytest.mark.parametrize("dtype", [torch.float32, torch.float64])
@pytest.mark.parametrize("batch_size", [5, 2])
def test_kl_at_the_clean_run_is_refused_and_not_answered_with_noise(dtype, batch_size, scale):
    problem = confident(random_problem("gpt2", dtype=dtype, batch_size=batch_size), scale)
    with pytest.raises(Unsupported, match=r"metric=kl is zero at the clean run.*at=corrupt.*acdc\[metric=kl\]\.$"):
        scores(problem, metric="kl")
    with pytest.raises(Unsupported, match="zero at every point of the path"):
        ig(problem.measured_by("kl"), steps=1, rule="right")
    assert scores(problem, metric="kl", at="corrupt").any()
    assert ig(problem.measured_by("kl"), rule="right").any()


def distance_to_clean(logits, pairs):
    return -(logits - pairs.targets["clean"]).square().sum((1, 2))


def accuracy(logits, pairs):
    return (logits[:, 0].argmax(1) == pairs.targets["answer"]).to(logits.dtype)


def constant(logits, pairs):
    return 0 * logits.sum((1, 2)) + 1


@pytest.mark.parametrize("metric", [distance_to_clean, accuracy, constant])
@pytest.mark.parametrize("dtype", [torch.float32, torch.float64])
def test_anybodys_metric_with_zero_gradient_is_refused(metric, dtype):
    problem = random_problem("gpt2", dtype=dtype)
    clean = problem.model(problem.pairs.clean)[:, -1:]
    pairs = replace(problem.pairs, targets=problem.pairs.targets | {"clean": clean})
    with pytest.raises(Unsupported, match="metric=task is zero at the clean run"):
        scores(replace(problem, metric=metric, pairs=pairs))


@pytest.mark.parametrize("dtype", [torch.float32, torch.float64])
@pytest.mark.parametrize("scale", [4, 20])
def test_a_small_gradient_of_a_saturated_probability_is_a_gradient(dtype, scale):
    problem = random_problem("gpt2", dtype=dtype)
    least = problem.model(problem.pairs.clean)[:, -1].argmin(1)

    def probability(logits, pairs):
        return (scale * logits[:, 0]).softmax(1).gather(1, least[:, None])[:, 0]

    problem = replace(problem, metric=probability)
    logits = problem.model(problem.pairs.clean)[:, -1:].requires_grad_()
    (gradient,) = torch.autograd.grad(probability(logits, problem.pairs).sum(), logits)
    assert 0 < gradient.abs().max() < 1e-5
    assert scores(problem).any()


def test_one_prompt_with_a_gradient_is_enough():
    problem = random_problem("gpt2", dtype=torch.float32)
    gradient = MetricGradient(problem.model, lambda logits, pairs: pairs.targets["weight"] * logits[:, 0, 0])
    final = problem.model.resume(problem.model.embed(problem.pairs.clean))
    for weight, vanishes in ((0.0, True), (1e-6, False), (0.0, False)):
        pairs = replace(problem.pairs, targets={"weight": torch.full((5,), weight)})
        gradient.at(final, pairs)
        assert gradient.vanishes is vanishes
