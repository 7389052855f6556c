import math
from dataclasses import replace

import numpy as np
import pytest
import torch
from hypothesis import assume, given
from hypothesis import strategies as st
from scipy.stats import spearmanr
from sklearn.metrics import average_precision_score, roc_auc_score

from mechboard.contract.scores import Evaluation
from mechboard.errors import PluginError, ScoringError, UsageError
from mechboard.metrics.circuit import circuit_metrics, evaluate_edges, found_circuit
from mechboard.metrics.correlation import rank_correlation
from mechboard.metrics.faithfulness import Anchors, areas, edge_counts, mib_counts, nested_circuits
from mechboard.metrics.measures import DEFINITIONS, measure
from mechboard.metrics.precision import precision
from mechboard.metrics.ranking import ranking
from mechboard.metrics.roc import roc
from mechboard.protocols import Instance, Truth
from mechboard.runs.identity import scorer_id


@given(st.lists(st.tuples(st.integers(-4, 4), st.booleans()), min_size=3, max_size=60))
def test_trapezoid_auc_equals_scikit_learns_with_any_ties(rows):
    scores, truth = torch.tensor([float(s) for s, _ in rows]), torch.tensor([t for _, t in rows])
    if 0 < truth.sum() < len(truth):
        expected = roc_auc_score(truth.numpy(), scores.abs().numpy())
        result = roc(scores, truth)
        assert result.trapezoid == pytest.approx(expected, abs=1e-12)
        assert result.pessimistic <= result.trapezoid <= result.optimistic


# Powers of two apart, so that no map below can make two strengths one by rounding.
SCORES = st.one_of(
    st.builds(lambda sign, power: sign * 2.0**power, st.sampled_from((-1, 1)), st.integers(-30, 7)),
    st.sampled_from((0.0, float("nan"))),
)
MAPS = st.one_of(
    st.floats(0.1, 3.0).map(lambda p: lambda strength: strength**p),
    st.floats(0.1, 3.0).map(lambda p: lambda strength: torch.expm1(p * strength)),
    st.floats(0.1, 3.0).map(lambda p: lambda strength: torch.log1p(p * strength)),
)


@given(st.lists(st.tuples(SCORES, st.booleans()), min_size=3, max_size=40), MAPS)
def test_auc_and_precision_depend_on_the_order_of_strengths_and_on_nothing_else(rows, increasing):
    scores, truth = torch.tensor([s for s, _ in rows]).double(), torch.tensor([t for _, t in rows])
    assume(0 < truth.sum() < len(truth))
    # One value after the other: vectorised, equal strengths at the end of a tensor may map to others.
    mapped = scores.sign() * torch.stack([increasing(strength) for strength in scores.abs()])
    assert mapped.isfinite().equal(scores.isfinite())
    assert roc(mapped, truth) == roc(scores, truth)
    assert precision(mapped, truth) == precision(scores, truth)


def test_conventions_differ_only_where_scores_tie():
    truth = torch.tensor([True, False, True, False])
    tied = roc(torch.tensor([1.0, 1.0, 0.0, 0.0]), truth)
    assert (tied.pessimistic, tied.trapezoid, tied.optimistic) == (0.25, 0.5, 0.75)
    strict = roc(torch.tensor([4.0, 3.0, 2.0, 1.0]), truth)
    assert strict.pessimistic == strict.trapezoid == strict.optimistic == 0.75


def test_edges_without_an_opinion_rank_last_and_together():
    truth = torch.tensor([True, True, False, False])
    nan = float("nan")
    # A true edge without an opinion ties with a false one without: half a hit, after everything scored.
    assert roc(torch.tensor([1.0, nan, nan, 0.0]), truth).trapezoid == pytest.approx(1 - 1.5 / 4)
    assert ranking(torch.tensor([nan, -5.0, 1.0]), signed=True).tolist() == [2, 1, 0]


def test_denominators_are_reported():
    result = roc(torch.rand(50), torch.arange(50) < 7)
    assert (result.n_true, result.n_edges) == (7, 50)


def test_a_truth_without_edges_is_refused():
    with pytest.raises(UsageError, match="0 of 3 edges has no ROC"):
        roc(torch.rand(3), torch.zeros(3, dtype=torch.bool))


def test_a_picture_of_the_curve_has_the_points_where_it_turns_and_its_ends():
    truth = torch.tensor([True, True, False, True, False, False, True, False])
    curve = roc(torch.arange(8, 0, -1.0), truth)
    assert curve.points == ((0, 0), (0, 0.5), (0.25, 0.5), (0.25, 0.75), (0.75, 0.75), (0.75, 1.0), (1.0, 1.0))
    diagonal = roc(torch.tensor([4.0, 4.0, 3.0, 3.0, 1.0, 1.0]), torch.tensor([True, False] * 3))
    assert diagonal.points == ((0, 0), (1, 1))
    bent = roc(torch.tensor([2.0, 2.0, 2.0, 1.0, 1.0, 1.0]), torch.tensor([True, True, False, True, False, False]))
    assert bent.points == ((0, 0), (pytest.approx(1 / 3), pytest.approx(2 / 3)), (1, 1))


def test_a_signed_curve_ranks_by_the_score_itself():
    truth = torch.tensor([True, False, False])
    scores = torch.tensor([1.0, -3.0, 0.5])
    assert roc(scores, truth, signed=True).trapezoid == 1.0
    assert roc(scores, truth).trapezoid == 0.5


def test_a_truth_of_all_edges_is_refused():
    with pytest.raises(UsageError, match="3 of 3 edges has no ROC"):
        roc(torch.rand(3), torch.ones(3, dtype=torch.bool))


def test_random_scores_have_mean_auc_one_half():
    generator = torch.Generator().manual_seed(0)
    truth = torch.arange(400) < 14
    aucs = torch.tensor([roc(torch.randn(400, generator=generator), truth).trapezoid for _ in range(300)])
    assert aucs.mean().item() == pytest.approx(0.5, abs=3 * aucs.std().item() / math.sqrt(300))
    assert 0.06 < aucs.std().item() < 0.1


def test_the_oracle_has_auc_one():
    truth = torch.rand(300) < 0.1
    truth[0] = True
    assert roc(truth.float(), truth).trapezoid == 1.0


@given(st.lists(st.tuples(st.integers(-4, 4), st.booleans()), min_size=3, max_size=60))
def test_average_precision_equals_scikit_learns_and_the_area_of_its_curve_with_any_ties(rows):
    scores, truth = torch.tensor([float(s) for s, _ in rows]), torch.tensor([t for _, t in rows])
    assume(0 < truth.sum() < len(truth))
    found = precision(scores, truth)
    assert found.average == pytest.approx(average_precision_score(truth.numpy(), scores.abs().numpy()), abs=1e-12)
    x, y = zip(*found.points, strict=True)
    assert np.trapezoid(y, x) == pytest.approx(found.average, abs=1e-12)
    assert (x[0], x[-1]) == (0, 1)


@given(st.lists(st.tuples(st.integers(-2, 2), st.booleans()), min_size=3, max_size=12), st.randoms())
def test_precision_at_size_is_what_orders_of_the_ties_give_on_average(rows, random):
    scores, truth = torch.tensor([float(s) for s, _ in rows]), torch.tensor([t for _, t in rows])
    assume(0 < truth.sum() < len(truth))
    size, strength = int(truth.sum()), scores.abs()
    border = strength.sort(descending=True).values[size - 1]
    above, tied = strength > border, strength == border
    # Each edge of the tie is as likely to be taken as another.
    expected = (truth[above].sum() + (size - above.sum()) * truth[tied].double().mean()) / size
    shuffled = torch.tensor(random.sample(range(len(rows)), len(rows)))
    assert precision(scores, truth).at_size == pytest.approx(float(expected))
    assert precision(scores[shuffled], truth[shuffled]).at_size == pytest.approx(float(expected))


def test_precision_ranks_edges_without_an_opinion_last_and_together():
    nan, truth = float("nan"), torch.tensor([True, True, False, False, True])
    scores = torch.tensor([-2.0, nan, nan, 0.0, 1.0])
    found = precision(scores, truth)
    assert found.at_size == pytest.approx(2 / 3)
    assert found.average == pytest.approx((1 + 1 + 3 / 5) / 3)
    assert precision(torch.tensor([nan, nan, 1.0, nan, nan]), truth).at_size == pytest.approx(2 * 3 / 4 / 3)


def test_precision_is_one_for_the_truth_and_the_prevalence_for_scores_that_tell_nothing():
    truth = torch.arange(50) < 7
    assert (precision(truth.float(), truth).average, precision(truth.float(), truth).at_size) == (1.0, 1.0)
    assert precision(torch.ones(50), truth).average == pytest.approx(7 / 50)
    assert precision(torch.ones(50), truth).at_size == pytest.approx(7 / 50)
    assert precision(torch.full((50,), float("nan")), truth).at_size == pytest.approx(7 / 50)


def test_precision_of_a_random_order_is_what_its_docstring_says():
    generator = torch.Generator().manual_seed(0)
    truth = torch.arange(400) < 14
    found = [precision(torch.randn(400, generator=generator), truth) for _ in range(400)]
    for values, expected in (([p.at_size for p in found], 14 / 400),
                             ([p.average for p in found], 14 / 400 + (math.log(400) + 0.6) / 400)):  # fmt: skip
        error = float(np.std(values)) / math.sqrt(len(values))
        assert np.mean(values) == pytest.approx(expected, abs=3 * error)


@pytest.mark.parametrize("n_true", [0, 3])
def test_a_truth_of_no_edges_or_of_all_has_no_precision(n_true):
    with pytest.raises(UsageError, match=f"{n_true} of 3 edges"):
        precision(torch.rand(3), torch.arange(3) < n_true)


@given(st.lists(st.tuples(st.integers(-3, 3), st.integers(-3, 3)), min_size=2, max_size=40))
def test_rank_correlation_equals_scipys_with_any_ties(rows):
    scores, effects = (torch.tensor(column, dtype=torch.float32) for column in zip(*rows, strict=True))
    found = rank_correlation(scores, effects)
    if len(scores.unique()) == 1 or len(effects.unique()) == 1:
        assert found is None
    else:
        assert found == pytest.approx(spearmanr(scores.numpy(), effects.numpy()).statistic, abs=1e-9)


def test_rank_correlation_counts_signs_and_takes_no_opinion_for_zero():
    effects = torch.tensor([3.0, 0.1, -0.2, 1.0, 0.0])
    silent = torch.tensor([9.0, float("nan"), -1.0, 2.0, float("nan")])
    assert rank_correlation(silent, effects) == rank_correlation(silent.nan_to_num(0.0), effects)
    assert rank_correlation(effects**3, effects) == 1.0
    assert rank_correlation(-effects, effects) == -1.0


def test_counts_cover_mibs_percentages_and_every_count_on_small_graphs():
    assert edge_counts(150) == list(range(1, 151))
    assert edge_counts(200) == list(range(1, 201))
    assert len(edge_counts(201)) < 40
    counts = edge_counts(32_491)
    assert set(mib_counts(32_491)) <= set(counts)
    assert mib_counts(32_491) == [32, 65, 162, 325, 650, 1625, 3249, 6498, 16246, 32491]
    assert counts == sorted(set(counts))
    assert set(counts) == {*mib_counts(32_491), *np.geomspace(1, 32_491, 20).round().astype(int).tolist()}
    assert counts[0] == 1


def test_circuits_are_nested_and_have_the_size_asked():
    order = ranking(torch.randn(60), signed=False)
    circuits = nested_circuits(order, [1, 5, 60])
    assert [int(c.sum()) for c in circuits] == [1, 5, 60]
    assert bool((circuits[0] <= circuits[1]).all())


def test_areas_are_what_they_are_on_known_curves():
    perfect = areas([0.0, 1.0], [1.0, 1.0])
    assert (perfect.deviation, perfect.raw, perfect.clipped) == (0.0, 1.0, 1.0)
    gamed = areas([0.0, 0.5, 1.0], [3.0, 3.0, 1.0])
    assert gamed.raw == pytest.approx(2.5)
    assert gamed.clipped == pytest.approx(1.0)
    assert gamed.deviation == pytest.approx(1.5)


def test_an_ablation_that_hardly_moves_the_metric_is_an_invalid_anchor():
    assert not Anchors(model=10.0, empty=9.6).valid
    assert Anchors(model=10.0, empty=9.4).valid
    assert not Anchors(model=0.0, empty=0.0).valid
    assert Anchors(model=100.0, empty=95.0).valid  # the threshold itself
    assert not Anchors(model=-10.0, empty=-9.6).valid
    assert Anchors(model=-10.0, empty=-9.4).valid
    assert Anchors(model=1.0, empty=30.0).valid


def test_a_circuit_keeps_the_share_of_the_way_from_nothing_to_the_model():
    assert Anchors(model=6.0, empty=2.0).faithfulness(3.0) == 0.25
    assert Anchors(model=-6.0, empty=-2.0).faithfulness(-7.0) == 1.25


@pytest.fixture(scope="module")
def compiled():
    from mechboard.tasks.compiled.reverse import task

    instance = task.load(0, "cpu")

    problem = instance.problem
    return instance, problem, task.pairs(0, part="evaluation", n=32)


@pytest.fixture
def quick(compiled, monkeypatch):
    """The same problem, but its metric is the number of true edges that a circuit keeps, and no model is run."""
    instance, _, _ = compiled
    truth = instance.truths[0].edges
    monkeypatch.setattr(
        "mechboard.metrics.circuit.circuit_metrics", lambda problem, pairs, sets: [float(truth[s].sum()) for s in sets]
    )
    return compiled


def test_the_known_circuit_is_faithful_and_its_complement_is_not(compiled):
    instance, problem, pairs = compiled
    truth = instance.truths[0].edges
    everything = torch.ones_like(truth)
    model, empty, kept, rest = circuit_metrics(problem, pairs, [everything, ~everything, truth, ~truth])
    anchors = Anchors(model, empty)
    assert anchors.faithfulness(kept) == pytest.approx(1.0, abs=1e-3)
    assert anchors.faithfulness(rest) == pytest.approx(0.0, abs=1e-3)


def test_metrics_do_not_depend_on_batch_size(compiled):
    instance, problem, pairs = compiled
    kept = instance.truths[0].edges
    small = circuit_metrics(replace(problem, batch_size=5), pairs, [kept])
    assert small[0] == pytest.approx(circuit_metrics(problem, pairs, [kept])[0], abs=1e-6)


def test_small_values_are_not_lost_among_large_ones(compiled):
    _, problem, pairs = compiled
    values = torch.ones(len(pairs))
    values[0] = 2.0**24  # single precision can not add 1 to it
    pairs = replace(pairs, targets={"value": values})
    problem = replace(problem, batch_size=1, metric=lambda logits, pairs: pairs.targets["value"])
    kept = torch.ones(problem.graph.n_edges, dtype=torch.bool)
    assert circuit_metrics(problem, pairs, [kept]) == [(2**24 + len(pairs) - 1) / len(pairs)]


def test_every_measure_of_the_oracle_is_at_its_best(compiled):
    instance, problem, pairs = compiled
    truths = instance.truths
    result = evaluate_edges(problem, truths[0].edges.float(), pairs, truths)
    value = {name: m.value for name, m in result.measures.items()}
    assert result.headline == "auc[compiled-reverse:program]"
    assert value[result.headline] == 1.0
    assert value["completeness"] < 0.01
    assert value["cmd"] < 0.05
    assert result.measures[result.headline].of == "12 / 370 edges"
    circuit = found_circuit(problem.graph, truths[0].edges.float(), truths[0])
    assert [e.found and e.known for e in circuit] == [True] * 12


def test_an_invalid_anchor_gives_no_numbers_but_says_why(compiled):
    instance, problem, pairs = compiled
    same = replace(pairs, corrupt=pairs.clean)
    result = evaluate_edges(problem, torch.randn(370), same, instance.truths)
    assert result.measures["cmd"].value is None
    assert "invalid-anchor" in result.measures["cmd"].note
    assert result.measures[result.headline].value is not None


def test_a_measure_without_a_value_has_the_direction_that_it_has_with_one(compiled):
    instance, problem, pairs = compiled
    truths, scores = instance.truths, torch.randn(370)
    absent = evaluate_edges(problem, scores, replace(pairs, corrupt=pairs.clean), truths).measures
    present = evaluate_edges(problem, scores, pairs, truths).measures
    assert absent["cpr"].value is None
    assert set(absent) == set(present)
    for name, found in present.items():
        fields = ("direction", "chance", "oracle")
        assert [getattr(found, f) for f in fields] == [getattr(absent[name], f) for f in fields], name


def test_each_measure_is_better_in_the_direction_that_it_declares(compiled):
    """By value: what the circuit itself has more of than its opposite is better higher."""
    instance, problem, pairs = compiled
    truth = replace(instance.truths[0], effects=instance.truths[0].edges.float() + torch.rand(370) / 9)
    best = evaluate_edges(problem, truth.effects, pairs, (truth,)).measures
    # Positive everywhere and least on the circuit, so that rankings with and without sign have it last.
    worst = evaluate_edges(problem, 2 - truth.effects, pairs, (truth,)).measures
    directions = {}
    for name, good in best.items():
        bad = worst[name].value
        if good.value != bad:
            directions[name.partition("[")[0]] = "higher" if good.value > bad else "lower"
    assert directions == {
        "auc": "higher", "auc-low": "higher", "auc-high": "higher", "auc-signed": "higher", "correlation": "higher",
        "rank-correlation": "higher", "average-precision": "higher", "precision-at-size": "higher", "cmd": "lower",
        "cmd-mib": "lower", "cpr": "higher", "cpr-clipped": "higher", "completeness": "lower",
    }  # fmt: skip
    for name, good in best.items():
        family = name.partition("[")[0]
        assert good.direction == directions.get(family, good.direction), name


@pytest.mark.parametrize("value", [0.0, 0.7, -2.0])
def test_scores_that_tell_no_edge_from_another_leave_a_note(compiled, value):
    instance, problem, pairs = compiled
    result = evaluate_edges(problem, torch.full((370,), value), pairs, instance.truths)
    assert result.notes == (f"every score is {value:g}: the method tells no edge from another",)


def test_zeros_beside_no_opinion_leave_a_note_and_a_set_of_edges_does_not(compiled):
    _, problem, pairs = compiled
    scores = torch.full((370,), float("nan"))
    scores[:9] = 0.0
    assert evaluate_edges(problem, scores, pairs, ()).notes
    scores[:9] = 1.0
    assert not evaluate_edges(problem, scores, pairs, ()).notes


def test_a_metric_that_is_no_number_is_an_error_and_no_score(compiled):
    instance, problem, pairs = compiled
    broken = replace(problem, metric=lambda logits, pairs: logits[:, 0, 0] * float("nan"))
    with pytest.raises(ScoringError, match="metric-model is nan; valid: a finite number"):
        evaluate_edges(broken, torch.randn(370), pairs, instance.truths)


@pytest.mark.parametrize(
    ("name", "value", "said"),
    [
        ("auc[a:b]", 7.5, "is 7.5; valid: 0 to 1"),
        ("auc-low[a:b]", -0.1, "valid: 0 to 1"),
        ("auc-signed[a:b]", 1.1, "valid: 0 to 1"),
        ("average-precision[a:b]", 1.1, "valid: 0 to 1"),
        ("precision-at-size[a:b]", -0.1, "valid: 0 to 1"),
        ("correlation[a:b]", -1.01, "valid: -1 to 1"),
        ("rank-correlation[a:b]", 1.01, "valid: -1 to 1"),
        ("cmd", -0.2, "valid: 0 or more"),
        ("cpr-clipped", 1.2, "valid: 0 to 1"),
        ("coverage", 2.0, "valid: 0 to 1"),
        ("cpr", float("inf"), "valid: a finite number"),
    ],
)
def test_a_measure_outside_of_its_range_is_refused(name, value, said):
    with pytest.raises(ScoringError, match=said):
        measure(name, value)


@pytest.mark.parametrize(
    ("name", "chance", "said"),
    [
        ("auc[a:b]", 0.4, "chance 0.4; valid: 0.5"),
        ("correlation[a:b]", 0.1, "chance 0.1; valid: 0.0"),
        ("cpr", 0.1, "chance 0.1; valid: None"),
        ("average-precision[a:b]", None, "chance None; valid: 0 or more and under 1"),
        ("average-precision[a:b]", 1.0, "chance 1.0; valid: 0 or more and under 1"),
        ("precision-at-size[a:b]", -0.1, "chance -0.1; valid: 0 or more and under 1"),
        ("precision-at-size[a:b]", float("nan"), "chance nan; valid: 0 or more and under 1"),
        ("cmd", 0.0, "chance 0.0; valid: over 0"),
        ("cmd", -1.0, "chance -1.0; valid: over 0"),
        ("cmd", float("inf"), "chance inf; valid: over 0"),
        ("completeness", 0.5, "chance 0.5; valid: None"),
    ],
)
def test_a_chance_that_a_measure_cannot_have_is_refused(name, chance, said):
    assert said in DEFINITIONS.wrong_chance(name, chance)
    if chance is not None or name.startswith("average"):
        with pytest.raises(ScoringError, match=said):
            measure(name, 0.5, chance=chance)


@pytest.mark.parametrize(
    ("name", "given", "taken"),
    [
        ("auc[a:b]", None, 0.5),
        ("auc[a:b]", 0.5, 0.5),
        ("average-precision[a:b]", 0.0, 0.0),
        ("precision-at-size[a:b]", 0.99, 0.99),
        ("cmd", None, None),
        ("cmd", 1.5, 1.5),
        ("coverage", None, None),
    ],
)
def test_a_measure_has_the_chance_of_its_definition_its_truth_or_its_task(name, given, taken):
    assert measure(name, 0.5, chance=given).chance == taken
    assert DEFINITIONS.wrong_chance(name, taken) == ""


def test_a_headline_that_is_no_measure_is_refused():
    with pytest.raises(PluginError, match="headline is 'auc'; valid: cmd"):
        Evaluation(headline="auc", measures={"cmd": measure("cmd", 0.1)})


def test_coverage_is_stated(quick):
    _, problem, pairs = quick
    scores = torch.randn(370)
    scores[:70] = float("nan")
    result = evaluate_edges(problem, scores, pairs, ())
    assert result.headline == "cmd"
    assert result.measures["coverage"].of == "300 / 370 edges"


def test_a_second_truth_gets_its_own_auc(quick):
    instance, problem, pairs = quick
    truth = instance.truths[0]
    other = Truth(name="other:set", edges=~truth.edges, source="the complement")
    result = evaluate_edges(problem, truth.edges.float(), pairs, (truth, other))
    assert result.measures["auc[other:set]"].value == 0.0


def test_scores_are_compared_with_exact_effects_where_a_truth_has_them(quick):
    instance, problem, pairs = quick
    truth = replace(instance.truths[0], effects=torch.randn(370))
    name = f"correlation[{truth.name}]"
    assert evaluate_edges(problem, 3 * truth.effects, pairs, (truth,)).measures[name].value == pytest.approx(1.0)
    assert evaluate_edges(problem, -truth.effects, pairs, (truth,)).measures[name].value == pytest.approx(-1.0)
    silent = torch.full((370,), float("nan"))
    silent[0] = 1.0
    assert abs(evaluate_edges(problem, silent, pairs, (truth,)).measures[name].value) < 0.3
    equal = evaluate_edges(problem, torch.ones(370), pairs, (truth,)).measures
    assert [equal[n].value for n in (name, f"rank-{name}")] == [None, None]
    assert equal[f"rank-{name}"].note == "all scores or all effects are equal"
    without = evaluate_edges(problem, truth.effects, pairs, instance.truths).measures
    assert not {name, f"rank-{name}"} & set(without)


def test_other_effects_make_another_scorer(compiled):
    from mechboard.tasks.compiled.reverse import task

    instance, _, _ = compiled
    (truth,) = instance.truths
    with_effects = replace(truth, effects=torch.ones(370))
    others = ([truth], [with_effects], [replace(truth, effects=torch.zeros(370))])
    assert len({scorer_id(task, Instance(problem=None, held_out=None, truths=t)) for t in others}) == 3


def test_a_curve_says_where_chance_lies_and_what_it_is(quick):
    instance, problem, pairs = quick
    (truth,) = instance.truths
    curves = evaluate_edges(problem, torch.randn(370), pairs, (truth,)).curves
    prevalence = int(truth.edges.sum()) / 370
    assert curves[f"roc[{truth.name}]"].chance == (0.0, 1.0)
    assert curves[f"precision-recall[{truth.name}]"].chance == (prevalence, prevalence)
    assert curves["faithfulness"].chance is None
    assert curves["faithfulness"].log_x
    assert len({curve.title for curve in curves.values()} - {""}) == len(curves)
