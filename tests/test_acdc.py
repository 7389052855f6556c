"""ACDC and the hybrid with EAP: thresholds, scores and circuits that belong together."""

from dataclasses import replace

import pytest
import torch
from models import random_problem
from naive_pruning import mean_metric, pruned

from mechboard.graph import Ablation, PromptPairs
from mechboard.graph.pruning import visiting_order
from mechboard.methods.acdc import Parameters, acdc
from mechboard.methods.eap import eap
from mechboard.methods.eap_acdc import Parameters as GridParameters
from mechboard.methods.eap_acdc import eap_acdc
from mechboard.protocols import Unsupported

FEW = {"thresholds": 4, "lowest": 1e-3, "highest": 0.5}


def answer(method, problem, parameters):
    return method(problem, torch.Generator(), parameters)


def whole(problem):
    n = problem.graph.n_edges
    return abs(mean_metric(problem, torch.ones(n).bool()) - mean_metric(problem, torch.zeros(n).bool()))


@pytest.mark.parametrize("metric", ["task", "kl"])
def test_circuits_are_pruned_with_thresholds_in_units_of_the_whole_behaviour(metric):
    problem = random_problem("gpt2", n_layers=2)
    found = answer(acdc, problem, Parameters(metric=metric, **FEW)).circuits
    measured, order = problem.measured_by(metric), visiting_order(problem.graph, "descending")
    assert found.settings["threshold"] == pytest.approx((0.5, 0.5 / 500 ** (1 / 3), 0.5 / 500 ** (2 / 3), 1e-3))
    for threshold, kept in zip(found.settings["threshold"], found.kept, strict=True):
        assert torch.equal(kept, pruned(measured, threshold * whole(measured), order))


def test_a_score_is_the_largest_threshold_that_the_edge_survives():
    found = answer(acdc, random_problem("attention-only"), Parameters(**FEW))
    thresholds = found.circuits.settings["threshold"]
    assert found.circuits.kept.any(1).sum() > 1
    for edge, score in enumerate(found.scores.tolist()):
        survived = [t for t, kept in zip(thresholds, found.circuits.kept[:, edge].tolist(), strict=True) if kept]
        assert score == pytest.approx(max(survived, default=0.0))


def test_a_metric_of_another_scale_is_swept_alike():
    problem = random_problem("gpt2", n_layers=2)
    scaled = replace(problem, metric=lambda logits, pairs: 1000 * problem.metric(logits, pairs))
    ours, theirs = (answer(acdc, p, Parameters(**FEW)) for p in (problem, scaled))
    assert torch.equal(ours.circuits.kept, theirs.circuits.kept)
    assert torch.equal(ours.scores, theirs.scores)


def test_the_order_of_heads_is_honoured():
    problem = random_problem("attention-only")
    down, up = (answer(acdc, problem, Parameters(order=order, **FEW)).circuits for order in ("descending", "ascending"))
    assert not torch.equal(down.kept, up.kept)
    unit = whole(problem)
    expected = pruned(problem, 0.5 * unit, visiting_order(problem.graph, "ascending"))
    assert torch.equal(up.kept[0], expected)


def test_one_threshold_is_the_highest():
    found = answer(acdc, random_problem("attention-only"), Parameters(thresholds=1, highest=0.2))
    assert found.circuits.settings == {"threshold": (0.2,)}
    assert found.circuits.kept.shape == (1, len(found.scores))


def test_an_ablation_that_changes_nothing_is_declined():
    problem = random_problem("gpt2")
    pairs = PromptPairs(**{**vars(problem.pairs), "corrupt": problem.pairs.clean})
    same = replace(problem, pairs=pairs, ablation=Ablation("resample", problem.model, pairs))
    with pytest.raises(Unsupported, match="does not move the metric"):
        answer(acdc, same, Parameters())


@pytest.mark.parametrize(
    ("parameters", "said"),
    [
        ({"metric": "auc"}, "metric=auc was given; valid: task, kl"),
        ({"order": "random"}, "order=random was given; valid: descending, ascending"),
        ({"thresholds": 0}, "thresholds=0 was given; valid: 1 or more"),
        ({"lowest": 0.0}, "valid: 0 < lowest <= highest"),
        ({"lowest": 2.0}, "valid: 0 < lowest <= highest"),
    ],
)
def test_parameters_that_mean_nothing_are_refused(parameters, said):
    for kind in (Parameters, GridParameters):
        with pytest.raises(ValueError, match=said):
            kind(**parameters)


GRID = GridParameters(eap_thresholds=3, eap_lowest=0.01, thresholds=2, lowest=0.01)


def test_the_hybrid_prunes_by_estimates_and_then_greedily():
    problem = random_problem("gpt2", n_layers=2)
    found = answer(eap_acdc, problem, GRID).circuits
    strength, unit = eap(problem, torch.Generator()).scores.abs(), whole(problem)
    order = visiting_order(problem.graph, "descending")
    cells = zip(found.settings["eap threshold"], found.settings["acdc threshold"], found.kept, strict=True)
    seen = set()
    for share, threshold, kept in cells:
        start = strength >= share * strength.max()
        assert torch.equal(kept, pruned(problem, threshold * unit, order, start)), (share, threshold)
        seen.add((round(share, 4), round(threshold, 4)))
    assert len(seen) == len(found.kept) == 6


def test_the_hybrids_score_is_the_share_of_circuits_that_keep_the_edge():
    found = answer(eap_acdc, random_problem("gpt2", n_layers=2), GRID)
    assert torch.allclose(found.scores, found.circuits.kept.double().mean(0).to(found.scores.dtype))
    assert 0 < found.scores.max() <= 1


@pytest.mark.parametrize(
    ("method", "parameters"), [(acdc, Parameters(**FEW)), (eap_acdc, GRID)], ids=["acdc", "eap-acdc"]
)
def test_they_say_how_far_they_are(monkeypatch, method, parameters):
    from mechboard.contract.progress import listening

    monkeypatch.setattr("mechboard.contract.progress._EVERY", 0.0)
    heard = []
    with listening(heard.append):
        answer(method, random_problem("attention-only", n_layers=2), parameters)
    assert [step.done for step in heard] == sorted(step.done for step in heard)
    assert len({step.total for step in heard}) == 1
    assert heard[-1].done == heard[-1].total
