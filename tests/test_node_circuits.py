"""Circuits of features: what is kept, what has its mean, which nodes a set may hold, and the areas."""

from dataclasses import replace

import pytest
import torch
from feature_problems import feature_problem, parts_of, slow_metric, values_at
from models import random_pairs

from mechboard.features import Place
from mechboard.features.kept import circuit_metrics, means_over
from mechboard.metrics.feature_examination import FeatureExamination
from mechboard.metrics.features import evaluate_nodes
from mechboard.metrics.linearity import compared
from mechboard.metrics.node_circuits import Examined, NodeCurve, node_counts
from mechboard.protocols import FeatureScores

SCOPE = (Place("attn", 1), Place("mlp", 1), Place("resid", 1), Place("resid", 2))


def held_out(**changed):
    return FeatureExamination(pairs=random_pairs(prompts=4, seed=7), scope=SCOPE, **changed)


def slow_circuit(problem, pairs, nodes, kept, means_of):
    """One circuit: features read anew from the stream that is already changed, in the order of a pass."""
    parts = nodes.split(kept)
    recorded = values_at(problem, means_of)

    def set_at(place, x):
        if place not in nodes.places:
            return x
        dictionary = problem.dictionaries[place]
        mean_f, mean_e = (part.mean(0) for part in parts_of(dictionary, recorded[place]))
        features, error = parts_of(dictionary, x)
        keep = parts[place]
        value = dictionary.decode(torch.where(keep[:, :-1], features, mean_f), x)
        return value + torch.where(keep[:, -1:], error, mean_e)

    return slow_metric(problem, pairs, set_at).mean()


@pytest.mark.parametrize("family", ["gpt2", "neox", "llama"])
@pytest.mark.parametrize("k", [None, 5])
def test_a_circuit_is_what_one_pass_with_everything_else_at_its_mean_gives(family, k):
    problem, held = feature_problem(family, k=k), held_out()
    examined = Examined(problem, held)
    generator = torch.Generator().manual_seed(0)
    circuits = (
        torch.rand(5, len(examined.nodes), generator=generator) < torch.tensor([0.0, 0.1, 0.5, 0.9, 1.0])[:, None]
    )
    slow = [slow_circuit(problem, held.pairs, examined.nodes, c, held.pairs.corrupt) for c in circuits]
    torch.testing.assert_close(examined.metrics(circuits), torch.stack(slow))


def test_everything_kept_is_the_model_and_nothing_kept_is_empty():
    problem, held = feature_problem(), held_out()
    examined = Examined(problem, held)
    plain = slow_metric(problem, held.pairs, lambda place, x: x).mean()
    assert examined.anchors.model == pytest.approx(float(plain))
    nothing = torch.zeros(len(examined.nodes), dtype=torch.bool)
    slow = slow_circuit(problem, held.pairs, examined.nodes, nothing, held.pairs.corrupt)
    assert examined.anchors.empty == pytest.approx(float(slow))


def test_means_are_of_the_paired_prompts_and_not_of_the_clean_ones():
    problem, held = feature_problem(), held_out()
    examined = Examined(problem, held)
    nothing = torch.zeros(len(examined.nodes), dtype=torch.bool)
    clean_means = slow_circuit(problem, held.pairs, examined.nodes, nothing, held.pairs.clean)
    assert examined.anchors.empty != pytest.approx(float(clean_means), rel=1e-3)


def test_padding_is_in_no_mean():
    problem = replace(feature_problem(), by_position=False)
    pairs = random_pairs(prompts=2, seed=3)
    lengths = torch.tensor([6, 3])
    padded = pairs.corrupt.clone()
    padded[1, 3:] = 0
    place = Place("resid", 1)
    dictionaries = {place: problem.dictionaries[place]}
    found = means_over(problem.model, dictionaries, padded, lengths, by_position=False, batch_size=1)[place]
    x = values_at(problem, padded)[place]
    real = torch.cat([x[0], x[1, :3]])
    features, error = parts_of(problem.dictionaries[place], real)
    torch.testing.assert_close(found.features[0], features.mean(0))
    torch.testing.assert_close(found.error[0], error.mean(0))


def test_places_out_of_scope_run_free():
    problem, held = feature_problem(), held_out()
    nodes = Examined(problem, held).nodes
    assert set(nodes.places) == set(SCOPE)
    everything = torch.ones(1, len(nodes), dtype=torch.bool)
    means = means_over(
        problem.model, {p: problem.dictionaries[p] for p in SCOPE}, held.pairs.corrupt, held.pairs.lengths,
        by_position=True, batch_size=2,
    )  # fmt: skip
    found = circuit_metrics(
        problem.model, {p: problem.dictionaries[p] for p in SCOPE}, nodes, everything, means, problem.metric,
        held.pairs, rows=8,
    )  # fmt: skip
    assert float(found) == pytest.approx(float(slow_metric(problem, held.pairs, lambda place, x: x).mean()))


def allowed(examined, name):
    scores = torch.arange(len(examined.nodes), 0, -1.0)
    seen = []
    examined.metrics = lambda circuits: (seen.append(circuits), torch.zeros(len(circuits)))[1]
    examined.curve(scores, name)
    kept, complement = seen[0].chunk(2)
    assert torch.equal(complement, ~kept)
    return kept[-1]


def test_a_set_without_errors_leaves_them_in_the_complement():
    examined = Examined(feature_problem(), held_out())
    for name, errors in (("features", set(SCOPE)), ("no-attn-mlp-errors", {SCOPE[2], SCOPE[3]}), ("no-errors", set())):
        kept = examined.nodes.split(allowed(examined, name))
        for place, part in kept.items():
            assert bool(part[:, :-1].all())
            assert bool(part[:, -1].all()) == (place in errors)


def test_the_strongest_by_size_are_kept_first_whatever_their_sign():
    examined = Examined(feature_problem(), held_out())
    scores = torch.zeros(len(examined.nodes))
    scores[[5, 9]] = torch.tensor([-3.0, 2.0])
    seen = []
    examined.metrics = lambda circuits: (seen.append(circuits), torch.zeros(len(circuits)))[1]
    examined.curve(scores)
    assert seen[0][0].nonzero().flatten().tolist() == [5]
    assert set(seen[0][1].nonzero().flatten().tolist()) == {5, 9}


def test_a_circuit_that_does_twice_as_much_as_the_model_counts_as_one_that_does_nothing():
    assert NodeCurve((1, 10), (2.0, 2.0), (0.0, 0.0)).area(10)[0] == 0.0
    assert NodeCurve((1, 10), (-1.0, -1.0), (0.0, 0.0)).area(10)[0] == 0.0
    assert NodeCurve((1, 10), (0.0, 0.0), (-0.5, -0.5)).area(10)[1] == 0.5


def test_areas_are_over_the_logarithm_of_the_size():
    curve = NodeCurve((1, 10, 100), (0.0, 1.0, 1.0), (1.0, 0.0, 0.0))
    assert curve.area(100) == pytest.approx((0.75, 0.25))
    assert node_counts(1000)[0] == 1
    assert node_counts(1000)[-1] == 1000
    assert curve.half == 10


def test_scores_that_know_the_model_beat_random_ones_and_all_sets_are_measured():
    from mechboard.methods.ig_features import ig_features
    from mechboard.methods.random_scores import random_scores

    problem = feature_problem(k=6, n=12)
    held = FeatureExamination(pairs=problem.pairs, scope=SCOPE)
    found = evaluate_nodes(problem, ig_features(problem, torch.Generator()), held, ())
    by_chance = evaluate_nodes(problem, random_scores(problem, torch.Generator().manual_seed(0)), held, ())
    assert found.measures["faithfulness"].value > by_chance.measures["faithfulness"].value + 0.1
    assert next(iter(found.measures)) == "faithfulness"
    brackets = {"", "[no-attn-mlp-errors]", "[no-errors]", "[neurons]"}
    assert {f"faithfulness{b}" for b in brackets} | {f"completeness{b}" for b in brackets} <= set(found.measures)
    assert found.measures["linearity"].value > 0.6


def test_neurons_of_a_method_that_is_silent_on_them_are_not_made_up():
    problem = feature_problem(n=3)
    scores = torch.randn(len(problem.nodes), generator=torch.Generator().manual_seed(0))
    found = evaluate_nodes(problem, FeatureScores(scores), held_out(), ())
    assert not any("neurons" in name for name in found.measures)
    assert "the method says nothing of neurons" in found.notes


def test_an_ablation_that_moves_nothing_gives_no_faithfulness():
    problem = feature_problem()
    flat = replace(problem, metric=lambda logits, pairs: logits[:, 0, 0] * 0 + 1)
    scores = FeatureScores(torch.randn(len(flat.nodes), generator=torch.Generator().manual_seed(0)))
    found = evaluate_nodes(flat, scores, held_out(), ())
    assert found.measures["faithfulness"].value is None
    assert "invalid-anchor" in found.measures["faithfulness"].note


def test_the_same_nodes_are_compared_whatever_the_scores():
    problem = feature_problem(k=6, n=4)
    one, other = (
        compared(problem, torch.randn(len(problem.nodes), generator=torch.Generator().manual_seed(seed)))
        for seed in (0, 1)
    )
    assert [part.nodes for part in one] == [part.nodes for part in other]
    assert [part.exact for part in one] == [part.exact for part in other]
