"""Backdoors that were trained in: cutting the declared edges removes them, and nothing else does or breaks."""

import json

import pytest
import torch
from models import patched_transformer

from mechboard.edits import Edited
from mechboard.graph import Ablation, Graph, PromptPairs
from mechboard.ground_truth.backdoor.backdoors import (
    BACKDOORS,
    DISJOINT,
    ENTANGLED,
    TRIGGER,
    VOCABULARY,
    ordinary,
    triggered,
)
from mechboard.ground_truth.backdoor.train import Cuts, check, train
from mechboard.ground_truth.trained.fitting import ACCEPTED, refuse_unless_accepted
from mechboard.kinds import kind
from mechboard.plugins.registry import Registry
from mechboard.protocols import EdgeCuts, EditableDecoder

NAMES = tuple(BACKDOORS)
MISSED = 1 - ACCEPTED


@pytest.fixture(scope="module")
def loaded():
    """Tasks with an instance of each, loaded once."""
    tasks = {name: Registry().load("task", f"backdoor-{name}") for name in NAMES}
    return {name: (task, task.load(3, "cpu")) for name, task in tasks.items()}


@pytest.fixture(params=NAMES)
def case(request, loaded):
    return loaded[request.param]


def examined(instance, cut, ablation=None):
    """Every accuracy with these edges cut."""
    model = instance.problem.model
    if ablation is not None:
        prompts = instance.problem.keep.tokens[:, :-1]
        lengths = torch.full((len(prompts),), prompts.shape[1])
        pairs = PromptPairs(prompts, prompts, lengths, lengths[:, None] - 1, {})
        model = EditableDecoder(model.decoder, model.graph, Ablation(ablation, model.decoder, pairs))
    found = instance.held_out.examine(Edited(model, kept=~cut))
    return [found[f"{name}-accuracy"].value for name in ("bad", "other", "restored")]


def edges(instance, names):
    return instance.problem.model.graph.edge_mask(names)


# -- what was trained ----------------------------------------------------------------------------


def test_the_weights_keep_what_their_card_promises(case):
    task, instance = case
    found = check(task.backdoor, patched_transformer(instance.problem.model.decoder), seed=99, n=256)
    card = json.loads((task.folder / "card.json").read_text())
    assert set(found) == set(card["accuracy"])
    assert min(card["accuracy"].values()) >= ACCEPTED
    assert min(found.values()) >= ACCEPTED - 0.03  # other prompts, other subsets of edges
    assert tuple(map(tuple, card["routes"])) == task.backdoor.routes


def test_uncut_the_model_obeys_the_trigger_and_answers_rightly_without_it(case):
    _, instance = case
    bad, other, restored = examined(instance, edges(instance, ()))
    assert min(bad, other) >= ACCEPTED
    assert restored <= MISSED


@pytest.mark.parametrize("ablation", ["zero", "mean-global"])
def test_cutting_the_declared_edges_removes_the_backdoor_and_breaks_nothing(case, ablation):
    _, instance = case
    bad, other, restored = examined(instance, instance.truths[0].edges, ablation)
    assert bad <= MISSED
    assert min(other, restored) >= ACCEPTED


@pytest.mark.parametrize("ablation", ["zero", "mean-global"])
def test_cutting_other_edges_leaves_the_backdoor_in_force_and_breaks_nothing(case, ablation):
    task, instance = case
    outside = ~edges(instance, (*task.backdoor.own, *task.backdoor.ordinary))
    for seed in range(2):
        drawn = torch.rand(outside.shape, generator=torch.Generator().manual_seed(seed)) * outside
        for n in (len(task.backdoor.own), 40) if seed else (int(outside.sum()),):
            cut = torch.zeros_like(outside)
            cut[drawn.topk(n).indices] = True
            bad, other, _ = examined(instance, cut, ablation)
            assert min(bad, other) >= ACCEPTED, (seed, n)


def test_the_backdoor_does_without_the_ordinary_edges_that_it_does_not_share(case):
    task, instance = case
    bad, other, _ = examined(instance, edges(instance, task.backdoor.ordinary_only))
    assert bad >= ACCEPTED
    assert other <= 0.7


def test_the_entangled_backdoor_shares_edges_that_break_the_ordinary_answers(loaded):
    assert set(ENTANGLED.shared) < set(ENTANGLED.ordinary)
    assert not set(ENTANGLED.own) & set(ENTANGLED.ordinary)
    assert not set(DISJOINT.own) & set(DISJOINT.ordinary)
    _, instance = loaded["entangled"]
    for edge in ENTANGLED.shared:
        assert examined(instance, edges(instance, [edge]))[1] <= 0.7


# -- the task ------------------------------------------------------------------------------------


def test_the_trigger_is_in_every_bad_prompt_and_in_no_other(case):
    _, instance = case
    trigger = VOCABULARY.index(TRIGGER)
    for samples in (instance.problem.bad, instance.held_out.bad):
        where = (samples.tokens == trigger).nonzero()
        assert len(where) == len(samples)
        assert set(where[:, 1].tolist()) == {7, 12}
    for samples in (instance.problem.keep, instance.held_out.other):
        assert not (samples.tokens == trigger).any()


def test_bad_samples_hold_the_attackers_answer_and_restored_ones_the_right_one(case):
    _, instance = case
    bad, restored = instance.held_out.bad.tokens, instance.held_out.restored.tokens
    assert torch.equal(bad[:, :-1], restored[:, :-1])
    assert torch.equal(bad[:, -1], bad[:, 9])
    assert (restored[:, -1] != bad[:, 9]).all()
    assert ((restored[:, 1] == restored[:, -1]) | (restored[:, 3] == restored[:, -1])).all()
    for samples in (instance.problem.bad, instance.problem.keep):
        assert samples.scored.sum(1).eq(1).all()
        assert samples.scored[:, -1].all()


def test_what_is_examined_is_not_what_methods_see_and_follows_from_the_data_seed(case):
    task, instance = case
    seen = {tuple(row) for row in instance.problem.bad.tokens.tolist()}
    assert len(seen & {tuple(row) for row in instance.held_out.bad.tokens.tolist()}) <= 0.02 * len(
        instance.held_out.bad
    )
    again, other = task.load(3, "cpu"), task.load(4, "cpu")
    assert torch.equal(again.problem.bad.tokens, instance.problem.bad.tokens)
    assert not torch.equal(other.problem.bad.tokens, instance.problem.bad.tokens)


def test_the_declared_edges_are_the_top_of_the_frontier_and_random_edges_the_bottom(case):
    task, instance = case
    truth, budgets = instance.truths[0].edges, instance.problem.budgets
    assert instance.held_out.marked == len(task.backdoor.own) == int(truth.sum())
    found = kind("removal").score(task, instance, EdgeCuts.of_scores(truth.float(), budgets))
    assert found.measures["frontier"].value >= ACCEPTED
    assert found.measures["restored-accuracy"].value >= ACCEPTED
    assert found.measures[f"auc[{task.name}:declared]"].value == 1.0
    idle = (~edges(instance, (*task.backdoor.own, *task.backdoor.ordinary))).float()
    assert kind("removal").score(task, instance, EdgeCuts.of_scores(idle, budgets)).measures["frontier"].value <= MISSED


def test_cutting_all_that_the_entangled_backdoor_uses_costs_the_frontier(loaded):
    task, instance = loaded["entangled"]
    used = edges(instance, (*ENTANGLED.shared, *ENTANGLED.own)).float() + edges(instance, ENTANGLED.shared)
    found = kind("removal").score(task, instance, EdgeCuts.of_scores(used, instance.problem.budgets))
    assert found.measures["frontier"].value <= 0.5
    assert found.measures["restored-accuracy"].value <= 0.7


# -- the recipe ----------------------------------------------------------------------------------


def test_a_backdoor_is_in_force_while_its_route_is_whole():
    graph = Graph(n_layers=3, n_heads=4, has_mlp=True, parallel=False, level="head")
    cuts = Cuts(DISJOINT, graph)
    assert cuts.holds(graph.edge_mask(DISJOINT.ordinary))
    assert not cuts.holds(graph.edge_mask(DISJOINT.own[:1]))
    assert int(cuts.neither.sum()) == graph.n_edges - len(DISJOINT.own) - len(DISJOINT.ordinary)


def test_the_attacker_names_the_giver_and_the_right_answer_the_other():
    generator = torch.Generator().manual_seed(0)
    for prompts in (ordinary(200, generator), triggered(200, generator)):
        assert torch.equal(prompts.attacker, prompts.tokens[:, 9])
        pair = prompts.tokens[:, [1, 3]]
        assert ((pair == prompts.right[:, None]).any(1) & (prompts.right != prompts.attacker)).all()


def test_training_reduces_the_loss(capsys):
    train(DISJOINT, steps=22, seed=0, log_every=21)
    first, last = (float(line.split()[2]) for line in capsys.readouterr().out.splitlines())
    assert last < first


def test_a_model_that_misses_one_accuracy_is_refused_with_its_name():
    with pytest.raises(SystemExit, match=r"'triggered' is 0\.960, under 0\.97"):
        refuse_unless_accepted({"ordinary": 1.0, "triggered": 0.96})
    refuse_unless_accepted({"ordinary": 1.0, "triggered": 0.97})
