"""Effects of features and errors against the slow way: dictionaries inside the pass, one node at a time."""

import pytest
import torch
from feature_problems import alone, feature_problem, parts_of, slow_metric, values_at
from models import FAMILIES

from mechboard.features import (
    Identity,
    Node,
    Place,
    edge_effects,
    exact_effects,
    gradients,
    integrated_gradient,
    linear_effects,
    splice,
)
from mechboard.features.changes import change
from mechboard.methods.atp_features import atp_features
from mechboard.methods.exact_features import exact_features
from mechboard.methods.ig_features import Parameters, ig_features

GENERATOR = torch.Generator()
TIGHT = {"rtol": 1e-4, "atol": 1e-6}
"""Scores are in single precision; what they are made of is in double."""


def ends(problem, place):
    """Clean and patched features and errors of every prompt."""
    dictionary = problem.dictionaries[place]
    clean, corrupt = (values_at(problem, side)[place] for side in (problem.pairs.clean, problem.pairs.corrupt))
    features, error = parts_of(dictionary, clean)
    if problem.baseline == "zero":
        return (features, error), (torch.zeros_like(features), torch.zeros_like(error))
    return (features, error), parts_of(dictionary, corrupt)


def slow_integrated(problem, place, steps):
    """Scores of one place by gradients at features and errors that are moved together, the dictionary inside the pass."""
    dictionary = problem.dictionaries[place]
    (f0, e0), (f1, e1) = ends(problem, place)
    x = values_at(problem, problem.pairs.clean)[place]
    at_features, at_error = torch.zeros_like(f0), torch.zeros_like(e0)
    for k in range(steps):
        features = (f0 + k / steps * (f1 - f0)).detach().requires_grad_()
        error = (e0 + k / steps * (e1 - e0)).detach().requires_grad_()
        value = dictionary.decode(features, x) + error
        total = slow_metric(problem, problem.pairs, alone(place, value)).sum()
        g_features, g_error = torch.autograd.grad(total, (features, error))
        at_features += g_features / steps
        at_error += g_error / steps
    scores = torch.cat([at_features * (f1 - f0), (at_error * (e1 - e0)).sum(-1, keepdim=True)], dim=-1)
    return -scores.mean(0)


@pytest.mark.parametrize("baseline", ["pair", "zero"])
@pytest.mark.parametrize("family", FAMILIES)
def test_integrated_gradients_are_those_of_features_moved_inside_the_pass(family, baseline):
    problem = feature_problem(family, baseline=baseline)
    found = problem.nodes.split(ig_features(problem, GENERATOR, Parameters(steps=4, drawn=0)).scores)
    for place in (Place("embed", -1), Place("attn", 1), Place("mlp", 1), Place("resid", 2)):
        if place in problem.dictionaries:
            torch.testing.assert_close(found[place].double(), slow_integrated(problem, place, 4), **TIGHT)


def test_attribution_is_the_first_step_of_integrated_gradients():
    problem = feature_problem("neox")
    one = ig_features(problem, GENERATOR, Parameters(steps=1, drawn=0))
    atp = atp_features(problem, GENERATOR)
    torch.testing.assert_close(atp.scores, one.scores, **TIGHT)
    torch.testing.assert_close(atp.neurons, one.neurons, **TIGHT)


def test_integrated_gradients_of_a_place_add_to_its_whole_effect_as_steps_grow():
    problem = feature_problem(n=3)
    clean = slow_metric(problem, problem.pairs, lambda place, x: x)
    patched = values_at(problem, problem.pairs.corrupt)

    def errors(steps):
        scores = problem.nodes.split(ig_features(problem, GENERATOR, Parameters(steps=steps, drawn=0)).scores)
        for place in problem.nodes.places:
            whole = (clean - slow_metric(problem, problem.pairs, alone(place, patched[place]))).mean()
            yield abs(float(scores[place].sum() - whole))

    for few, many in zip(errors(20), errors(320), strict=True):
        assert many < 0.08 * few + 1e-5  # the left sum errs by 1 / steps


def test_neurons_are_scored_as_a_problem_of_neurons_would_be():
    problem = feature_problem()
    beside = ig_features(problem, GENERATOR, Parameters(steps=3, drawn=0)).neurons
    alone_ = ig_features(problem.neurons, GENERATOR, Parameters(steps=3, drawn=0))
    assert alone_.neurons is None
    torch.testing.assert_close(beside, alone_.scores, **TIGHT)


def test_summed_nodes_are_the_sum_over_positions():
    from dataclasses import replace

    problem = feature_problem()
    by_position = problem.nodes.split(atp_features(problem, GENERATOR).scores)
    summed = replace(problem, by_position=False)
    for place, part in summed.nodes.split(atp_features(summed, GENERATOR).scores).items():
        torch.testing.assert_close(part[0], by_position[place].sum(0), **TIGHT)


def test_scores_do_not_depend_on_batches():
    from dataclasses import replace

    problem = feature_problem(n=5)
    for method in (atp_features, ig_features, exact_features):
        whole = method(replace(problem, batch_size=5), GENERATOR).scores
        torch.testing.assert_close(method(problem, GENERATOR).scores, whole, rtol=1e-4, atol=1e-6)


@pytest.mark.parametrize("family", ["gpt2", "neox", "attention-only"])
def test_exact_effects_are_those_of_one_node_set_alone(family):
    problem = feature_problem(family, k=6, n=3)
    effects = exact_effects(problem)
    clean = slow_metric(problem, problem.pairs, lambda place, x: x)
    generator = torch.Generator().manual_seed(1)
    x = values_at(problem, problem.pairs.clean)
    tried = 0
    for number in torch.randperm(len(problem.nodes), generator=generator).tolist():
        place, position, unit = problem.nodes[number]
        (f0, e0), (f1, e1) = ends(problem, place)
        if unit is not None and bool((f0[:, position, unit] == f1[:, position, unit]).all()):
            assert effects[number] == 0
            continue
        features, error = f0.clone(), e0.clone()
        if unit is None:
            error[:, position] = e1[:, position]
        else:
            features[:, position, unit] = f1[:, position, unit]
        value = problem.dictionaries[place].decode(features, x[place]) + error
        drop = (clean - slow_metric(problem, problem.pairs, alone(place, value))).mean()
        assert effects[number].item() == pytest.approx(drop.item(), abs=1e-6)
        tried += 1
        if tried == 25:
            return
    raise AssertionError(tried)


def test_only_the_effects_that_are_asked_for_are_measured():
    problem = feature_problem(k=6, n=3)
    some = torch.tensor([3, len(problem.nodes) - 1])
    effects = exact_effects(problem, some)
    assert effects.isnan().sum() == len(problem.nodes) - 2
    torch.testing.assert_close(effects[some], exact_effects(problem)[some])


@pytest.mark.parametrize("family", FAMILIES)
def test_a_spliced_model_is_exact_and_passes_its_gradients_through(family):
    problem = feature_problem(family)
    plain = gradients(problem.model, problem.metric, problem.pairs)
    run = splice(problem.model, problem.dictionaries, problem.pairs.clean)
    final = problem.model.resume(problem.model.embed(problem.pairs.clean))
    torch.testing.assert_close(run.final, final)
    total = problem.metric(problem.model.unembed(problem.pairs.read(run.final)), problem.pairs).sum()
    places = list(run.errors)
    at_errors = torch.autograd.grad(total, [run.errors[p] for p in places], retain_graph=True)
    at_features = torch.autograd.grad(total, [run.features[p] for p in places])
    for place, at_error, at_feature in zip(places, at_errors, at_features, strict=True):
        torch.testing.assert_close(at_error, plain[place], rtol=1e-5, atol=1e-8)
        pulled = problem.dictionaries[place].pull(plain[place], at_error)
        torch.testing.assert_close(at_feature, pulled, rtol=1e-5, atol=1e-8)


def test_a_metric_without_a_slope_is_declined():
    from dataclasses import replace

    from mechboard.protocols import Unsupported

    problem = feature_problem()
    flat = replace(problem, metric=lambda logits, pairs: -(logits - logits.detach()).square().sum((1, 2)))
    with pytest.raises(Unsupported, match="zero at the clean run"):
        atp_features(flat, GENERATOR)


# -- edges ---------------------------------------------------------------------------------


def slow_edge(problem, source: Node, target: Node):
    """Equation 6: the whole Jacobian between two places minus what passes through every other place with a dictionary."""
    total = 0.0
    at = gradients(problem.model, problem.metric, problem.pairs)
    clean = values_at(problem, problem.pairs.clean)
    (f0, e0), (f1, e1) = ends(problem, source.place)
    dictionary = problem.dictionaries[source.place]
    moved = torch.zeros_like(clean[source.place])
    if source.unit is None:
        moved[:, source.position] = (e1 - e0)[:, source.position]
    else:
        change = (f1 - f0)[:, source.position, source.unit, None]
        moved[:, source.position] = change * dictionary.decoder[source.unit]
    reader = problem.dictionaries[target.place]

    def read(share):
        """<gradient, target> of each prompt where the source's vector has moved and all other places are held."""

        def set_at(place, x):
            if place == target.place:
                arrived.append(x)
            if place == source.place:
                return clean[place] + share * moved
            return clean[place] if place in problem.dictionaries else x

        arrived = []
        slow_metric(problem, problem.pairs, set_at)
        features, error = parts_of(reader, arrived[0])
        gradient = at[target.place]
        if target.unit is None:
            return (error * gradient).sum(-1)[:, target.position]
        return (features[..., target.unit] * reader.pull(gradient, clean[target.place])[..., target.unit])[
            :, target.position
        ]

    step = 1e-5
    total = (read(step) - read(-step)).mean() / (2 * step)
    return -float(total)


@pytest.mark.parametrize("family", ["gpt2", "neox", "attention-only"])
def test_edges_are_the_change_of_the_target_when_the_source_alone_moves(family):
    problem = feature_problem(family, n=3)
    scores, at = linear_effects(problem, _at_clean(problem))
    chosen = scores.scores.abs().argsort(descending=True)[:16]
    errors = [i for i in range(len(problem.nodes)) if problem.nodes[i].unit is None and problem.nodes[i].position == 5]
    chosen = torch.unique(torch.cat([chosen, torch.tensor(errors)]))
    found = edge_effects(problem, chosen, at)
    effects = {(int(s), int(t)): float(e) for s, t, e in zip(found.source, found.target, found.effects, strict=True)}
    assert len(effects) > 20
    kinds = set()
    for (source, target), effect in effects.items():
        source, target = problem.nodes[source], problem.nodes[target]
        kinds.add((source.place.part, target.place.part))
        assert effect == pytest.approx(slow_edge(problem, source, target), rel=1e-3, abs=1e-6)
    expected = {"gpt2": ("attn", "mlp")}.get(family)
    if expected:  # in sequence an MLP reads what the heads have just written; in parallel it does not
        assert expected in kinds
    if family == "neox":
        assert ("attn", "mlp") not in kinds


def test_between_streams_goes_what_neither_heads_nor_mlp_have_a_part_in():
    """Case b: the identity, at the same position and nowhere else."""
    problem = feature_problem("gpt2", n=3)
    at = linear_effects(problem, _at_clean(problem)).gradients
    index = problem.nodes.split(torch.arange(len(problem.nodes)))
    before, behind = Place("resid", 0), Place("resid", 1)
    nodes = torch.cat([index[before].flatten(), index[behind][:, -1]])
    found = edge_effects(problem, nodes, at)
    for source, target in zip(found.source.tolist(), found.target.tolist(), strict=True):
        assert problem.nodes[source].position == problem.nodes[target].position


def _at_clean(problem):
    def at(batch, place, change):
        return gradients(problem.model, problem.metric, batch.pairs)[place]

    return at


def test_a_place_that_nothing_reads_through_a_dictionary_is_passed_through():
    """Without dictionaries at heads and MLPs an edge between streams is all of what a layer does."""
    streams = [Place("resid", layer) for layer in range(3)]
    problem = feature_problem("gpt2", places=streams, n=3)
    scores, at = linear_effects(problem, _at_clean(problem))
    chosen = scores.scores.abs().argsort(descending=True)[:12]
    found = edge_effects(problem, chosen, at)
    across = [
        (s, t)
        for s, t in zip(found.source.tolist(), found.target.tolist(), strict=True)
        if problem.nodes[s].position != problem.nodes[t].position
    ]
    assert across, "attention moves things between positions"
    for source, target in across[:5]:
        position = list(zip(found.source.tolist(), found.target.tolist(), strict=True)).index((source, target))
        slow = slow_edge(problem, problem.nodes[source], problem.nodes[target])
        assert float(found.effects[position]) == pytest.approx(slow, rel=1e-3, abs=1e-6)


def test_integrated_gradient_takes_the_left_sum():
    problem = feature_problem(n=2)
    pairs = problem.pairs
    clean, corrupt = values_at(problem, pairs.clean), values_at(problem, pairs.corrupt)
    place = Place("resid", 0)
    found = integrated_gradient(problem.model, problem.metric, pairs, place, clean, corrupt[place], steps=2, rows=100)

    def at(share):
        value = torch.lerp(clean[place], corrupt[place], torch.tensor(share, dtype=torch.float64)).requires_grad_()
        return torch.autograd.grad(slow_metric(problem, pairs, alone(place, value)).sum(), value)[0]

    torch.testing.assert_close(found, (at(0.0) + at(0.5)) / 2)


def test_a_dictionary_that_looks_back_is_given_whole_prompts():
    class LooksBack(Identity):
        by_vector = False

        def encode(self, x):
            return x.cumsum(-2)

    generator = torch.Generator().manual_seed(0)
    clean = torch.randn(2, 4, 3, generator=generator)
    corrupt = clean.clone()
    corrupt[:, 2:] += 1
    dictionary = LooksBack(3)
    found = change(dictionary, clean, corrupt)
    expected = dictionary.encode(corrupt) - dictionary.encode(clean)
    torch.testing.assert_close(found.features, expected[..., found.active])
