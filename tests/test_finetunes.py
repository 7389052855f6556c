"""Fine-tunes that remove a behaviour: what they raise and spare, where they end, and that the model stays as it is."""

from functools import cache

import pytest
import torch
from learned_problems import clusters, rules

from mechboard.errors import InvalidSolution
from mechboard.kinds import kind
from mechboard.methods import _training, gradient_ascent, joint_finetune, npo, task_arithmetic
from mechboard.methods._objectives import Losses, joint, split
from mechboard.methods._training import FineTune
from mechboard.protocols import WeightChange
from mechboard.runs.workers.cell import fingerprint

METHODS = {
    "joint": joint_finetune.joint_finetune,
    "ascent": gradient_ascent.gradient_ascent,
    "arithmetic": task_arithmetic.task_arithmetic,
    "npo": npo.npo,
}
RATES = {"joint": 0.01, "ascent": 0.01, "arithmetic": 0.001, "npo": 0.01}
PROBLEMS = {"clusters": cache(clusters), "rules": cache(rules)}


def generator(seed=0):
    return torch.Generator().manual_seed(seed)


def edit(method, learned, seed=0, **parameters):
    chosen = METHODS[method]
    given = chosen.parameters(**({"rate": RATES[method], "epochs": 25} | parameters))
    return kind("removal").check(chosen(learned.problem, generator(seed), given), learned.problem)


def after(learned, change, point=-1):
    """Held-out losses, bad and other, of one point of an edit."""
    return learned.losses(change.at(learned.problem.model, range(len(change))[point]).parameters)


@pytest.mark.parametrize("name", PROBLEMS)
def test_the_model_has_learned_what_is_to_be_removed(name):
    assert max(PROBLEMS[name]().losses()) < 0.5


@pytest.mark.parametrize("name", PROBLEMS)
@pytest.mark.parametrize("method", ["joint", "npo"])
def test_a_fine_tune_with_samples_to_keep_raises_the_bad_loss_and_spares_the_others(method, name):
    learned = PROBLEMS[name]()
    (bad, other), (new_bad, new_other) = learned.losses(), after(learned, edit(method, learned))
    assert new_bad > bad + 2
    assert new_other < other + 0.4


@pytest.mark.parametrize("name", PROBLEMS)
def test_ascent_raises_the_bad_loss_to_the_end_and_what_joint_training_spares_with_it(name):
    learned = PROBLEMS[name]()
    climbed, spared = (after(learned, edit(method, learned, epochs=60)) for method in ("ascent", "joint"))
    assert climbed[0] > 8
    assert climbed[1] > spared[1] + 0.5


@pytest.mark.parametrize("name", PROBLEMS)
def test_task_arithmetic_goes_where_the_bad_loss_rises_and_its_opposite_is_the_fine_tune_towards_it(name):
    learned = PROBLEMS[name]()
    change = edit("arithmetic", learned)
    opposite = WeightChange(change=change.change, scales=(-1.0,))
    assert after(learned, opposite)[0] < learned.losses()[0] < after(learned, change)[0]


def test_task_arithmetic_subtracts_as_much_as_is_asked():
    learned = PROBLEMS["rules"]()
    once, twice = (edit("arithmetic", learned, scale=scale, epochs=3) for scale in (1.0, 2.0))
    assert (once.scales[-1], twice.scales[-1]) == (1.0, 2.0)
    assert after(learned, once, 9) == after(learned, twice, 4) != after(learned, twice)


def test_a_tuned_scale_has_the_lowest_joint_loss_on_validation_samples():
    learned = PROBLEMS["clusters"]()
    change, problem = edit("arithmetic", learned, scale=0.0), learned.problem
    _, validation = split(problem, generator())

    def objective(scale):
        at = WeightChange(change=change.change, scales=(scale,)).at(problem.model, 0).parameters
        with torch.no_grad():
            bad, keep = (float(problem.losses(s, parameters=at).mean()) for s in (validation.bad, validation.keep))
        return keep - 0.2 * min(bad, 20.0)

    chosen = change.scales[-1]
    assert chosen == min((quarter / 4 for quarter in range(1, 17)), key=objective)
    assert chosen not in (0.25, 1.0)


@pytest.mark.parametrize("method", METHODS)
def test_points_lie_on_the_line_from_the_unedited_weights_to_the_end(method):
    learned = PROBLEMS["clusters"]()
    change, before = edit(method, learned), learned.problem.model.parameters()
    half, end = (change.at(learned.problem.model, point).parameters for point in (4, 9))
    assert change.scales == tuple(tenth / 10 for tenth in range(1, 11))
    for name, start in before.items():
        assert torch.allclose(half[name], (start + end[name]) / 2, atol=1e-5)
    assert any(not torch.allclose(half[name], start, atol=1e-3) for name, start in before.items())


@pytest.mark.parametrize("method", METHODS)
def test_the_same_seed_gives_the_same_weights_another_gives_others_and_the_model_keeps_its_own(method):
    learned = PROBLEMS["rules"]()
    print_of = fingerprint(learned.problem)
    first, second, other = (edit(method, learned, seed, epochs=3) for seed in (0, 0, 1))
    assert all(torch.equal(first.change[name], second.change[name]) for name in first.change)
    assert not all(torch.equal(first.change[name], other.change[name]) for name in first.change)
    assert fingerprint(learned.problem) == print_of


def test_the_joint_loss_is_that_of_what_is_kept_less_a_share_of_the_bad():
    learned = PROBLEMS["clusters"]()
    part = split(learned.problem, generator())[0]
    losses = Losses(learned.problem, part)
    bad, keep = (learned.problem.losses(samples).mean() for samples in (part.bad, part.keep))
    torch.testing.assert_close(joint(0.3)(losses), keep - 0.3 * bad)


def test_without_a_weight_nothing_bad_is_removed_and_with_more_of_it_more():
    learned = PROBLEMS["clusters"]()
    bad = [after(learned, edit("joint", learned, alpha=alpha))[0] for alpha in (0.0, 0.001, 1.0)]
    assert bad[0] < 0.1
    assert bad[0] < bad[1] < bad[2] / 2


@pytest.mark.parametrize("beta", [1.0, 0.5])
def test_npo_begins_as_ascent_with_samples_to_keep_and_is_bounded_where_ascent_is_not(beta):
    """Its gradient vanishes where all bad samples are unlearned; there ascent's is what it was."""
    learned = PROBLEMS["clusters"]()
    part = split(learned.problem, generator())[0]

    def gradient(objective, **shift):
        weights = {name: tensor.requires_grad_() for name, tensor in learned.problem.model.parameters().items()}
        moved = weights | {name: weights[name] + value for name, value in shift.items()}
        objective(Losses(learned.problem, part, moved)).backward()
        return weights["out_bias"].grad

    def kept_apart(losses):
        return npo.preference(beta)(losses) - losses.keep.mean()

    torch.testing.assert_close(gradient(kept_apart), gradient(gradient_ascent.ascent))
    unlearned = torch.tensor([-60.0, 0.0, 0.0])  # the bad class's logit
    assert gradient(kept_apart, out_bias=unlearned).abs().max() < 1e-6
    assert gradient(gradient_ascent.ascent, out_bias=unlearned).abs().max() > 0.5


def test_a_larger_beta_leaves_unlearned_samples_alone_sooner():
    learned = PROBLEMS["clusters"]()
    gentle, far = (after(learned, edit("npo", learned, beta=beta, epochs=60))[0] for beta in (3.0, 0.1))
    assert gentle < far / 2


@pytest.mark.parametrize(("method", "of"), [(joint_finetune, "largest"), (gradient_ascent, "bad")])
def test_training_ends_after_the_first_epoch_in_which_the_bad_loss_passes_twenty_nats(method, of):
    problem, seen = PROBLEMS["clusters"]().problem, []

    def ends(epoch):
        seen.append(getattr(epoch, of))
        return method.passed(epoch)

    objective = gradient_ascent.ascent if method is gradient_ascent else joint(0.2)
    FineTune(problem, *split(problem, generator()), objective, ends).run(generator(), rate=0.01, epochs=1000)
    assert max(seen[:-1]) <= 20 < seen[-1]
    assert len(seen) > 3


def worse_from(epoch, value):
    """An objective that ascends, and is `value` in validation from an epoch on (of one check before training)."""
    checks = iter(range(10**6))

    def objective(losses):
        climbing = -losses.bad.mean()
        if torch.is_grad_enabled() or next(checks) < epoch:
            return climbing
        return climbing * 0 + value

    return objective


@pytest.mark.parametrize("value", [100.0, torch.nan], ids=["worse", "diverged"])
def test_what_is_kept_is_a_copy_of_the_best_epoch_however_training_goes_on(value):
    problem = PROBLEMS["clusters"]().problem
    parts = split(problem, generator())
    best = FineTune(problem, *parts, gradient_ascent.ascent).run(generator(), rate=1e-3, epochs=3)
    longer = FineTune(problem, *parts, worse_from(4, value)).run(generator(), rate=1e-3, epochs=8)
    assert all(torch.equal(best[name], longer[name]) for name in best)


@pytest.mark.parametrize("method", METHODS)
def test_training_that_diverges_at_once_is_invalid_and_says_what_to_do(method):
    with pytest.raises(InvalidSolution, match=r"diverged \(rate=1e\+38\).*use a smaller rate"):
        edit(method, PROBLEMS["rules"](), rate=1e38)


def test_training_ends_after_ten_epochs_without_progress():
    problem, seen = PROBLEMS["clusters"]().problem, []
    tune = FineTune(problem, *split(problem, generator()), worse_from(4, 100.0), lambda epoch: bool(seen.append(epoch)))
    tune.run(generator(), rate=1e-3, epochs=100)
    assert len(seen) == 3 + 10 - 1  # the last is not asked whether it ends


def test_the_rate_is_the_one_that_does_best_in_validation_and_one_that_diverges_is_passed_over(monkeypatch):
    learned = PROBLEMS["clusters"]()
    problem, ran = learned.problem, []
    train = FineTune._train

    def noted(self, generator, rate, epochs, best):
        ran.append((rate, epochs))
        return train(self, generator, rate, epochs, best)

    monkeypatch.setattr(FineTune, "_train", noted)
    monkeypatch.setattr(_training, "RATES", (1e-9, 1e-2, 1e30))
    weights = FineTune(problem, *split(problem, generator()), joint(0.2)).run(generator(), rate=0.0, epochs=20)
    assert ran == [(1e-9, 3), (1e-2, 3), (1e30, 3), (1e-2, 20)]
    assert learned.losses(weights)[0] > 2


def test_a_fifth_of_the_samples_validates_and_is_not_trained_on():
    problem = PROBLEMS["clusters"]().problem
    training, validation = split(problem, generator())
    for of, sort in ((problem.bad, "bad"), (problem.keep, "keep")):
        parts = [getattr(part, sort).inputs.tolist() for part in (training, validation)]
        assert len(parts[1]) == len(of) // 5
        assert sorted(parts[0] + parts[1]) == sorted(of.inputs.tolist())
    torch.testing.assert_close(validation.before, problem.losses(validation.bad))


def test_in_validation_a_bad_loss_beyond_twenty_nats_counts_no_more():
    """So a rate that merely overshoots is no better than the gentler one that got there."""
    problem = PROBLEMS["clusters"]().problem
    tune = FineTune(problem, *split(problem, generator()), joint(0.2))
    lowered = problem.model.parameters()
    lowered["out_bias"] = lowered["out_bias"] - torch.tensor([500.0, 0.0, 0.0])
    epoch = tune._validated(lowered)
    keep = float(problem.losses(tune.validation.keep, parameters=lowered).mean())
    assert epoch.bad > 400
    assert epoch.objective == pytest.approx(keep - 0.2 * 20)


@pytest.mark.parametrize("method", METHODS)
def test_a_sole_bad_sample_is_enough(method):
    learned = clusters(n_bad=1)
    assert after(learned, edit(method, learned))[0] > learned.losses()[0]


@pytest.mark.parametrize(
    ("method", "given", "said"),
    [("joint", {"alpha": -1.0}, "alpha=-1"), ("joint", {"rate": -0.1}, "rate=-0.1"), ("ascent", {"epochs": 0}, "epochs=0"),
     ("arithmetic", {"scale": -1.0}, "scale=-1"), ("npo", {"beta": 0.0}, "beta=0 .*more than 0")],
)  # fmt: skip
def test_a_parameter_that_cannot_be_is_refused(method, given, said):
    with pytest.raises(ValueError, match=said):
        METHODS[method].parameters(**given)
