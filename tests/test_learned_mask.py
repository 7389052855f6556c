"""Masks that are trained: their loss, their bounds, the budgets they meet, and the planted edges that they find."""

from dataclasses import replace

import pytest
import torch
from models import random_decoder, random_pairs, random_problem

from mechboard.edits import EdgeCuts
from mechboard.errors import Unsupported
from mechboard.graph import Ablation, Graph
from mechboard.methods import learned_mask as module
from mechboard.methods._cuts import Cuts, Run
from mechboard.methods._masked_loss import CircuitLoss, RemovalLoss, passes
from mechboard.methods.hard_concrete import Parameters as Concrete
from mechboard.methods.hard_concrete import expected_cuts, hard_concrete, stretched
from mechboard.methods.learned_mask import Parameters, learned_mask, train
from mechboard.protocols import EditableDecoder, EditableMlp, Labelled, RemovalProblem, Text

SHORT = Parameters(steps=60, batch=8, runs=2)
METHODS = {"learned-mask": (learned_mask, SHORT), "hard-concrete": (hard_concrete, Concrete(steps=40, batch=8))}


def generator(seed=0):
    return torch.Generator().manual_seed(seed)


def planted(budgets=(1, 2, 6)):
    """Two classes by the sign of x0; the bad behaviour is that x5 says class 1, by x5->h2 alone, with x6->h3 of no account."""
    hidden = torch.zeros(8, 4)
    hidden[0, 0], hidden[0, 1], hidden[5, 2], hidden[6, 3] = 1.0, -1.0, 6.0, 1e-3
    out = torch.tensor([[0.0, 3.0], [3.0, 0.0], [0.0, 3.0], [0.0, 3.0]])
    model = EditableMlp({"hidden": hidden, "hidden_bias": torch.zeros(4), "out": out, "out_bias": torch.zeros(2)}, None)
    inputs = torch.randn(64, 8, generator=generator(3))
    inputs[:, 5:] = 0.0
    keep = Labelled(inputs, (inputs[:, 0] > 0).long())
    triggered = -inputs[:16].abs()
    triggered[:, 5] = 1.0
    bad = Labelled(triggered, torch.ones(16, dtype=torch.long))
    return RemovalProblem(model=model, bad=bad, keep=keep, budgets=budgets, batch_size=64)


def spoken(budgets=(2, 5, 20), **changed):
    """A decoder with random weights and two sets of random sequences; small, as every shape is checked in tests."""
    decoder, pairs = random_decoder("gpt2", n_layers=1), random_pairs(prompts=6)
    model = EditableDecoder(decoder, Graph.of(decoder.config, "head"), Ablation("mean-global", decoder, pairs))
    settings = {
        "bad": Text.whole(pairs.clean[:3]),
        "keep": Text.whole(pairs.corrupt),
        "budgets": budgets,
        "batch_size": 4,
    }
    return RemovalProblem(model=model, **settings | changed)


PROBLEMS = {"classifier": planted, "decoder": spoken}


@pytest.mark.parametrize("of", PROBLEMS)
def test_the_gradient_is_that_of_keep_minus_alpha_bad(of):
    problem, alpha, step = PROBLEMS[of](), 0.7, 1e-4
    if of == "classifier":
        problem.model._weights = {name: weight.double() for name, weight in problem.model._weights.items()}
        problem = replace(problem, bad=as_double(problem.bad), keep=as_double(problem.keep))
    w = torch.rand(problem.model.n_edges, generator=generator(), dtype=torch.float64)

    def value(kept):
        return problem.losses(problem.keep, kept=kept).mean() - alpha * problem.losses(problem.bad, kept=kept).mean()

    found = RemovalLoss(problem, alpha, 1000, generator()).gradient(w)
    for edge in range(0, len(w), 7):
        moved = torch.zeros_like(w).index_fill(0, torch.tensor([edge]), step)
        assert found[edge].item() == pytest.approx(
            ((value(w + moved) - value(w - moved)) / (2 * step)).item(), abs=1e-6
        )
    assert found.abs().max() > 1e-3


def as_double(samples):
    return Labelled(samples.inputs.double(), samples.labels)


def test_a_step_sees_equal_shares_of_both_sets_whatever_the_batch_size():
    problem = spoken()
    w = torch.rand(problem.model.n_edges, generator=generator(), dtype=torch.float64)
    whole, parts = (
        RemovalLoss(replace(problem, batch_size=size), 0.3, 2, generator(5)).gradient(w) for size in (100, 1)
    )
    assert torch.allclose(whole, parts, atol=1e-12)


def test_a_pass_sees_every_sample_once():
    drawn = passes(7, 3, generator())
    first = [next(drawn) for _ in range(3)]
    assert [len(part) for part in first] == [3, 3, 1]
    assert torch.cat(first).sort().values.tolist() == list(range(7))


def test_a_circuit_loss_falls_by_one_when_everything_is_ablated():
    problem = random_problem("gpt2")
    loss = CircuitLoss(problem, 8, generator())
    nothing = torch.zeros(loss.n_edges, dtype=torch.bool)
    assert abs(loss.of_cut(nothing) - loss.of_cut(~nothing)) == pytest.approx(1)


def test_a_metric_that_no_ablation_moves_is_declined():
    problem = random_problem("gpt2")
    same = replace(problem.pairs, corrupt=problem.pairs.clean)
    with pytest.raises(Unsupported, match="nothing to be cut"):
        CircuitLoss(replace(problem, pairs=same), 8, generator())


@pytest.mark.parametrize("changed", [{}, {"regulariser": "sum", "round_every": 7}])
def test_a_mask_begins_at_one_and_stays_between_zero_and_one(changed):
    p = replace(SHORT, rate=0.9, **changed)
    masks = [w.clone() for w in train(RemovalLoss(planted(), 0.3, 8, generator()), p, 1.0)]
    assert len(masks) == p.steps
    assert all(float(w.min()) >= 0 and float(w.max()) <= 1 for w in masks)
    assert any(float(w.min()) == 0 for w in masks)
    if p.round_every:
        assert set(masks[6].unique().tolist()) <= {0.0, 1.0}


def test_lambda_is_zero_at_first_and_rises_to_its_strength():
    p = Parameters(steps=10, start=0.2, full=0.6, strength=2.0)
    assert [p.weight(step) for step in range(10)] == pytest.approx([0, 0, 0.5, 1, 1.5, 2, 2, 2, 2, 2])


@pytest.mark.parametrize("regulariser", ["sum", "sqrt"])
def test_the_slope_is_the_derivative_of_the_regulariser(regulariser):
    w = torch.tensor([0.0, 0.3, 1.0], dtype=torch.float64, requires_grad=True)
    (1 - w if regulariser == "sum" else (1.01 - w).sqrt()).sum().backward()
    assert torch.allclose(Parameters(regulariser=regulariser).slope(w.detach()), w.grad)


@pytest.mark.parametrize("name", METHODS)
def test_the_planted_edge_is_cut_first(name):
    method, parameters = METHODS[name]
    problem = planted()
    edit = method(problem, generator(), parameters)
    edge = problem.model.edges.index("x5->h2")
    assert edit.cut[0].nonzero().flatten().tolist() == [edge]
    assert int(edit.scores.argmax()) == edge
    assert edit.cut[:, edge].all()


@pytest.mark.parametrize("of", PROBLEMS)
@pytest.mark.parametrize("name", METHODS)
def test_budgets_are_met_and_the_model_is_bit_identical_afterwards(name, of):
    method, parameters = METHODS[name]
    problem = PROBLEMS[of]()
    before = [tensor.clone() for tensor in problem.tensors()]
    if of == "decoder":
        parameters = replace(parameters, steps=8)
    edit = method(problem, generator(), parameters)
    sizes = edit.cut.sum(1).tolist()
    assert all(0 < size <= budget for size, budget in zip(sizes, problem.budgets, strict=True))
    assert sizes == sorted(sizes)
    assert all(torch.equal(old, new) for old, new in zip(before, problem.tensors(), strict=True))
    again = method(problem, generator(), parameters)
    assert torch.equal(again.cut, edit.cut)
    assert torch.equal(again.scores, edit.scores)


@pytest.mark.parametrize("name", METHODS)
def test_a_loss_that_is_no_number_is_declined(name):
    method, parameters = METHODS[name]
    problem = planted()
    problem.model._weights["hidden"][0, 0] = torch.nan
    with pytest.raises(Unsupported, match="no finite gradient"):
        method(problem, generator(), parameters)


@pytest.mark.parametrize("name", METHODS)
@pytest.mark.parametrize("level", ["qkv", "head"])
def test_circuit_tasks_get_a_score_for_each_edge_whatever_the_batch_size(name, level):
    method, parameters = METHODS[name]
    problem = random_problem("gpt2", batch_size=2, n_layers=1)
    problem = replace(problem, graph=Graph.of(problem.model.config, level))
    scores = method(problem, generator(), replace(parameters, steps=6)).scores
    assert scores.shape == (problem.graph.n_edges,)
    assert 0 <= float(scores.min()) < float(scores.max()) <= 1
    whole = method(replace(problem, batch_size=5), generator(), replace(parameters, steps=6)).scores
    assert torch.allclose(whole, scores, atol=1e-6)


class Counted:
    """A loss by the number of edges that are cut."""

    def __init__(self, of):
        self.of_cut = lambda cut: of[int(cut.sum())]


def of_size(n):
    return torch.arange(10) < n


def test_the_best_set_within_a_budget_is_taken_and_never_fewer_edges_at_a_larger_one():
    cuts = Cuts((3, 5, 8))
    for n in (2, 3, 5, 7):
        cuts.add(of_size(n))
    scores = torch.arange(10.0).flip(0)
    edit = cuts.best(Counted({2: -1.0, 3: 0.0, 5: -3.0, 7: -2.0, 8: 9.0}), scores)
    assert edit.cut.sum(1).tolist() == [2, 5, 5]


def test_the_edges_of_the_highest_scores_stand_in_where_no_set_was_met():
    edit = Cuts((2,)).best(Counted({2: 0.0}), torch.arange(10.0))
    assert torch.equal(edit.cut, EdgeCuts.of_scores(torch.arange(10.0), (2,)).cut)


@pytest.mark.parametrize(
    ("runs", "wanted"),
    [
        ([Run(1.0, 9, 8)], 4.0),  # never fell to the budget: a higher price
        ([Run(1.0, 9, 0)], 0.25),  # fell past it: a slower rise
        ([Run(1.0, 9, 8), Run(4.0, 9, 0)], 2.0),  # between the two
        ([Run(1.0, 3, 0)], None),  # no price wants so many
    ],
)
def test_a_missed_budget_is_searched_by_bisection(runs, wanted):
    cuts = Cuts((4,))
    for run in runs:
        cuts.ran(run)
    assert cuts.next_multiplier() == wanted
    cuts.add(of_size(4))
    assert cuts.next_multiplier() is None


def test_the_search_raises_lambda_until_the_smallest_budget_is_met():
    weak = replace(SHORT, strength=1e-3, steps=40)
    one, three = (learned_mask(planted((1,)), generator(), replace(weak, runs=runs)) for runs in (1, 6))
    assert three.cut.sum() == one.cut.sum() == 1
    assert not torch.equal(one.scores, three.scores)


@pytest.mark.parametrize(
    "wrong", [{"regulariser": "l2"}, {"steps": 0}, {"runs": 0}, {"start": 0.5, "full": 0.5}, {"full": 2.0}]
)
def test_parameters_that_mean_nothing_are_refused(wrong):
    with pytest.raises(ValueError, match="valid"):
        module.Parameters(**wrong)


def test_the_expected_number_of_cuts_is_that_of_draws():
    a = torch.tensor([-3.0, 0.0, 1.0])
    u = torch.rand(200_000, 3, generator=generator())
    drawn = stretched(torch.sigmoid((u.logit() + a) * 1.5)) == 0
    assert float(expected_cuts(a)) == pytest.approx(float(drawn.float().mean(0).sum()), abs=0.01)
