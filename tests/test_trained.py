"""Circuits that were trained in: the shipped weights keep what their cards promise."""

import json
import shutil

import pytest
import torch
from models import patched_transformer

from mechboard.errors import ModelError
from mechboard.graph import Graph, run_patched
from mechboard.ground_truth.trained.behaviours import BEHAVIOURS
from mechboard.ground_truth.trained.fitting import ACCEPTED
from mechboard.ground_truth.trained.train import check, outside_edges
from mechboard.methods.activation_patching import activation_patching
from mechboard.methods.eap import eap
from mechboard.methods.eap_ig import eap_ig
from mechboard.metrics.correlation import correlation
from mechboard.metrics.roc import roc
from mechboard.plugins.registry import Registry
from mechboard.runs.identity import evaluation_id
from mechboard.tasks.own import own_task

NAMES = [name for name in Registry().plugins("task") if name.startswith("trained-")]


@pytest.fixture(scope="module", params=NAMES)
def task(request):
    return Registry().load("task", request.param)


def test_behaviour_interchange_and_strictness_are_what_the_card_says(task):
    found = check(task.behaviour, patched_transformer(task.load(0, "cpu").problem.model), seed=99)
    card = json.loads((task.folder / "card.json").read_text())
    assert set(found) == set(card["accuracy"])
    assert min(found.values()) >= ACCEPTED
    assert tuple(card["edges"]) == task.behaviour.edges


def test_exact_patching_tells_the_declared_circuit_from_everything_else(task):
    instance = task.load(1, "cpu")
    problem = instance.problem
    scores = activation_patching(problem, torch.Generator()).scores
    truth = instance.truths[0].edges
    assert roc(scores, truth).trapezoid >= 0.99
    assert scores[truth].min() > 0


def test_the_published_effects_are_the_effects(task):
    published = json.loads((task.folder / "effects.json").read_text())["effects"]
    instance = task.load(2, "cpu")
    problem = instance.problem
    assert set(published) == set(problem.graph.edges)
    scores = activation_patching(problem, torch.Generator()).scores
    largest = max(published.values())
    for edge in task.behaviour.edges:
        index = problem.graph.edges.index(edge)
        assert scores[index].item() == pytest.approx(published[edge], abs=0.2 * largest), edge


def test_scores_are_compared_with_the_published_effects(task):
    published = json.loads((task.folder / "effects.json").read_text())["effects"]
    instance = task.load(0, "cpu")
    problem = instance.problem
    (truth,) = instance.truths
    assert truth.effects.tolist() == pytest.approx([published[edge] for edge in problem.graph.edges])


def test_exact_effects_tell_a_method_that_finds_the_circuit_from_one_that_knows_what_edges_do():
    task = Registry().load("task", "trained-ioi")
    instance = task.load(0, "cpu")
    problem = instance.problem
    effects = instance.truths[0].effects
    found = {m.name: correlation(m(problem, torch.Generator()).scores.detach(), effects) for m in (eap, eap_ig)}
    assert found == {"eap": pytest.approx(0.025, abs=0.005), "eap-ig": pytest.approx(0.927, abs=0.005)}


@pytest.fixture
def copied(tmp_path, monkeypatch):
    """A task whose files may be changed, and what changes the published effects."""
    task = Registry().load("task", "trained-ioi")
    copy = tmp_path / "ioi"
    shutil.copytree(task.folder, copy)
    monkeypatch.setattr(type(task), "folder", copy)

    def write(change):
        content = json.loads((copy / "effects.json").read_text())
        change(content["effects"])
        (copy / "effects.json").write_text(json.dumps(content))

    return task, write


def test_other_effects_make_scores_stale(copied):
    task, write = copied
    hashes, evaluation = task.truth_hashes(), evaluation_id("solution", task)
    write(lambda effects: effects.update({"input->m0": 9.0}))
    assert set(hashes) == {"effects.json"}
    assert task.truth_hashes() != hashes
    assert evaluation_id("solution", task) != evaluation


@pytest.mark.parametrize("change", [lambda e: e.pop("input->m0"), lambda e: e.update({"input->m9": 1.0})])
def test_effects_of_other_edges_are_refused(copied, change):
    task, write = copied
    write(change)
    with pytest.raises(
        ModelError, match=r"of other edges than the model has \('input->m[09]' is in one .* restore effects"
    ):
        task.load(0, "cpu")


@pytest.mark.parametrize("text", ["", "[]", "{}", '{"effects": 1}', '{"effects": {"input->m0": "much"}}'])
def test_effects_that_cannot_be_read_are_refused(copied, text):
    task, _ = copied
    (task.folder / "effects.json").write_text(text)
    with pytest.raises(ModelError, match="effects in .* cannot be read .* restore effects.json"):
        task.load(0, "cpu")


def test_effects_are_found_by_the_names_of_edges_and_not_by_their_place(copied):
    task, write = copied
    before = task.load(0, "cpu").truths[0].effects
    write(lambda effects: effects.update({"input->m0": effects.pop("input->m0")}))
    assert task.load(0, "cpu").truths[0].effects.equal(before)


def test_the_training_model_patches_as_the_engine_does(task):
    model, behaviour = patched_transformer(task.load(0, "cpu").problem.model), task.behaviour
    decoder = model.decoder()
    graph = Graph.of(decoder.config, level="head")
    generator = torch.Generator().manual_seed(0)
    base = behaviour.sample(16, generator)
    corrupt = behaviour.corruptions[0](base, generator)
    outside = outside_edges(behaviour, graph)
    with torch.no_grad():
        ablated = model(corrupt.tokens)[1]
        theirs, _ = model(base.tokens, ablated=ablated, patched=outside)
    final = run_patched(decoder, decoder.embed(base.tokens), ablated, graph.to_qkv(outside.bool()))
    assert torch.allclose(decoder.unembed(final[:, -1]), theirs, atol=1e-3)


@pytest.mark.parametrize("behaviour", BEHAVIOURS.values(), ids=lambda b: b.name)
def test_interchange_with_the_same_prompt_changes_nothing(behaviour):
    base = behaviour.sample(64, torch.Generator().manual_seed(0))
    for counterfactual in behaviour.interchange.values():
        assert torch.equal(counterfactual(base, base), base.answer)


def test_the_induction_corruption_never_has_the_same_answer():
    from mechboard.tasks.trained.induction import task

    targets = task.pairs(0, part="x", n=500).targets
    assert not (targets["answer"] == targets["wrong"]).any()


def test_training_reduces_the_loss(capsys):
    from mechboard.ground_truth.trained.train import train

    train(BEHAVIOURS["greater-than"], steps=12, seed=0, log_every=11)
    first, last = (float(line.split()[2]) for line in capsys.readouterr().out.splitlines())
    assert last < first


def test_weights_and_configuration_are_part_of_the_identity(task):
    assert set(task.asset_hashes()) == {"model.safetensors", "config.json"}


def test_weights_that_differ_from_their_card_are_refused(tmp_path, monkeypatch):
    task = Registry().load("task", "trained-ioi")
    copy = tmp_path / "ioi"
    shutil.copytree(task.folder, copy)
    with (copy / "config.json").open("a") as file:
        file.write(" ")
    monkeypatch.setattr(type(task), "folder", copy)
    with pytest.raises(ModelError, match=r"config.json in .* differ from what card.json was written for"):
        task.load(0, "cpu")
    with pytest.raises(ModelError, match="config.json"):
        own_task(copy, copy / "card.json").load(0, "cpu")
