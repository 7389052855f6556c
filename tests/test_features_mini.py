"""The features tasks of the small model: which prompts, which nodes, and that the model does what is explained."""

import re
from random import Random

import pytest
import torch
from test_held_out import prompts

from mechboard.graph import metric_values
from mechboard.ground_truth.mini import corpus, lexicon, model
from mechboard.kinds import kind
from mechboard.methods.atp_features import Parameters, atp_features
from mechboard.plugins.registry import Registry

SUITE = Registry().load("suite", "features")
TASKS = SUITE.tasks
NEW = ("gender-features-mini", "register-features-mini")


def task_of(name):
    return Registry().load("task", name)


def accuracy(task, split):
    decoder, pairs = model.load(), task.pairs(0, part="accuracy", split=split, n=200)
    final = decoder.resume(decoder.embed(pairs.clean))
    return float((metric_values(decoder, final, pairs=pairs, metric=task.behaviour(split).metric) > 0).float().mean())


def examples(task, split, n=200):
    """Each pair as words: clean, corrupt."""
    draw, behaviour = Random("test"), task.behaviour(split)
    drawn = [behaviour.draw(draw) for _ in range(n)]
    return [(re.findall(r"\w+", e.clean), re.findall(r"\w+", e.corrupt)) for e in drawn]


def test_the_suite_holds_every_embedded_features_task():
    tasks = [task_of(name) for name in Registry().plugins("task")]
    assert sorted(SUITE.tasks) == sorted(t.name for t in tasks if t.kind == "features" and t.tier == "embedded")
    assert {task_of(name).kind for name in SUITE.tasks} == {SUITE.kind} == {"features"}


@pytest.mark.parametrize("name", NEW)
@pytest.mark.parametrize("split", ["train", "test"])
def test_the_model_does_what_no_circuit_task_asks_of_it(name, split):
    assert accuracy(task_of(name), split) >= 0.95


@pytest.mark.parametrize("name", TASKS)
def test_no_prompt_that_a_method_is_shown_is_one_that_it_is_scored_on(name):
    discovery, evaluation = task_of(name).halves(0)
    assert not prompts(discovery) & prompts(evaluation)
    assert len(discovery) == 128
    assert len(evaluation) == 64


@pytest.mark.parametrize("name", TASKS)
def test_positions_are_told_apart_where_all_prompts_are_one_short_template_and_nowhere_else(name):
    task = task_of(name)
    lengths = torch.cat([pairs.lengths for seed in range(3) for pairs in task.halves(seed)])
    assert task.by_position == (len(lengths.unique()) == 1 and int(lengths.max()) < 20)


@pytest.mark.parametrize("split", ["train", "test"])
def test_a_biography_is_corrupted_in_its_name_alone_and_by_one_of_the_other_gender_and_split(split):
    for clean, corrupt in examples(task_of("gender-features-mini"), split):
        assert clean[1:] == corrupt[1:]
        assert (clean[0] in lexicon.WOMEN) == (corrupt[0] in lexicon.MEN)
        job = next(word for word in clean if word in lexicon.PROFESSIONS)
        assert {lexicon.held_out("biography", name, job) for name in (clean[0], corrupt[0])} == {split == "test"}


def test_the_pronoun_that_is_right_is_that_of_the_name():
    task = task_of("gender-features-mini")
    draw = Random(0)
    for _ in range(50):
        example = task.behaviour("train").draw(draw)
        is_woman = example.clean.split()[0] in lexicon.WOMEN
        assert (example.answers, example.wrong) == (((" She",), (" He",)) if is_woman else ((" He",), (" She",)))


def test_a_remark_of_one_register_becomes_one_of_the_other_and_what_follows_it_stays():
    for clean, corrupt in examples(task_of("register-features-mini"), "train"):
        assert bool(set(clean) & set(lexicon.RUDE)) != bool(set(corrupt) & set(lexicon.RUDE))
        assert clean[-2:] == corrupt[-2:]


def test_remarks_for_discovery_and_for_scoring_are_different_ones():
    behaviour, draw = task_of("register-features-mini").behaviour, Random(0)
    drawn = {split: [behaviour(split).draw(draw) for _ in range(500)] for split in ("train", "test")}
    remarks = {
        split: {re.match(r"[^.!?]+", text)[0] for e in found for text in (e.clean, e.corrupt)}
        for split, found in drawn.items()
    }
    assert not remarks["train"] & remarks["test"]


@pytest.mark.parametrize("name", TASKS)
def test_a_task_says_which_variables_its_behaviour_uses_and_which_not(name):
    task = task_of(name)
    assert not set(task.uses) & set(task.unused)
    assert f"Uses: {', '.join(task.uses)}. Does not use: {', '.join(task.unused)}." in task.description


@pytest.mark.parametrize("name", ["agreement-simple-features-mini", "greater-than-features-mini"])
def test_the_embedding_and_the_first_layer_run_free(name):
    instance = task_of(name).load(0, "cpu")
    assert [str(place) for place in instance.held_out.scope] == [
        f"{part}_{layer}" for layer in (1, 2, 3) for part in ("attn", "mlp", "resid")
    ]
    assert len(instance.problem.nodes.places) == 13


def test_contexts_are_of_text_that_nothing_was_trained_on_with_a_word_for_every_token():
    contexts = task_of("ioi-features-mini").load(0, "cpu").held_out.contexts
    assert len(contexts.words) == model.load().config.d_vocab
    assert contexts.tokens.shape == (512, 64)
    training = {tuple(row) for row in corpus.sequences("train", 0, 2000).tolist()}
    assert not training & {tuple(row) for row in contexts.tokens.tolist()}


def test_a_method_is_solved_and_scored_from_end_to_end():
    task = task_of("agreement-simple-features-mini")
    instance, of = task.load(0, "cpu"), kind("features")
    of.check_instance(instance)
    solution = of.check(atp_features.function(instance.problem, torch.Generator(), Parameters()), instance.problem)
    found = of.score(task, instance, solution)
    assert found.measures["metric-model"].value > 3
    assert found.measures["faithfulness"].value > 0.5
    assert any(name.startswith("dictionaries/") for name in task.asset_hashes())
