"""The digits to be forgotten: who sees which of them, that a seed is a model, and what accuracies are."""

import numpy as np
import pytest
import torch
from sklearn.datasets import load_digits

from mechboard.edits import EdgeCuts, EditableMlp, Edited, Labelled
from mechboard.errors import UsageError
from mechboard.metrics.examination import Accuracies
from mechboard.metrics.removal import evaluate_edit
from mechboard.tasks.digits import classifier, digit_task, digits
from mechboard.tasks.digits.digit_task import DIGIT, GROUPS, Images, merged
from mechboard.tasks.digits.digits import SmallDigits, task


@pytest.fixture(scope="module")
def instance():
    return task.load(0, "cpu")


@pytest.fixture(scope="module")
def other():
    return task.load(1, "cpu")


def contents(instance):
    held_out = instance.held_out
    return [t.clone() for t in (*instance.problem.tensors(), *held_out.bad.tensors(), *held_out.other.tensors())]


def pictures(samples):
    """Pixels from 0 to 16, found from the darkest and the brightest of all samples."""
    low, high = float(samples.inputs.min()), float(samples.inputs.max())
    return {tuple(row) for row in ((samples.inputs - low) / (high - low) * 16).round().int().tolist()}


def test_labels_are_merged_as_in_the_released_code():
    assert np.random.RandomState(0).permutation(10).reshape(5, 2).tolist() == [list(group) for group in GROUPS]
    assert all(merged(torch.tensor(group)).tolist() == [label, label] for label, group in enumerate(GROUPS))


def test_the_digits_are_those_of_scikit_learn(instance):
    training, test = task.images(torch.Generator().manual_seed(5))
    loaded = load_digits()
    pixels = torch.cat([test.pixels, training.pixels])
    # Brightness is normalised by an affine map, which keeps order.
    order = torch.randperm(1797, generator=torch.Generator().manual_seed(5))
    given = torch.from_numpy(loaded.data).float()[order]
    assert torch.equal(torch.cat([test.digits, training.digits]), torch.from_numpy(loaded.target)[order])
    slope = (pixels.max() - pixels.min()) / 16
    assert torch.allclose(pixels, given * slope + pixels.min(), atol=1e-5)
    assert (float(training.pixels.mean()), float(training.pixels.std())) == pytest.approx((0, 1), abs=1e-5)


def test_nobody_is_examined_on_digits_that_methods_or_training_saw(instance):
    problem, held_out = instance.problem, instance.held_out
    assert (len(problem.bad), len(problem.keep), len(held_out.bad) + len(held_out.other)) == (20, 1257, 520)
    parts = [problem.bad, problem.keep, held_out.bad, held_out.other]
    assert sum(len(pictures(part)) for part in parts) == len(set.union(*map(pictures, parts))) == 1797
    assert 25 < len(held_out.bad) < 45


def test_what_must_go_are_3s_and_what_must_stay_is_all_else(instance):
    loaded = load_digits()
    shown = dict(zip(map(tuple, loaded.data.astype(int).tolist()), loaded.target.tolist(), strict=True))

    def of(samples):
        return {shown[picture] for picture in pictures(samples)}

    assert of(instance.problem.bad) == of(instance.held_out.bad) == {DIGIT}
    assert of(instance.held_out.other) == set(range(10)) - {DIGIT}
    assert of(instance.problem.keep) == set(range(10))
    assert set(instance.held_out.bad.labels.tolist()) == {3}


def test_the_same_seed_is_the_same_to_the_bit_and_another_is_another_model(instance, other):
    again = contents(task.load(0, "cpu"))
    assert all(torch.equal(a, b) for a, b in zip(contents(instance), again, strict=True))
    for name, weight in instance.problem.model.parameters().items():
        assert not torch.equal(weight, other.problem.model.parameters()[name])
    assert pictures(instance.problem.bad) != pictures(other.problem.bad)
    assert pictures(instance.problem.keep) != pictures(other.problem.keep)


def test_split_training_and_means_are_computed_in_one_thread_whatever_torch_is_set_to(monkeypatch):
    """Sums that are split over threads are rounded in another order, on some machines."""
    found = []

    class Watched(torch.Tensor):
        def mean(self, *arguments):
            found.append(torch.get_num_threads())
            return super().mean(*arguments)

    def train(samples, **settings):
        found.append(torch.get_num_threads())
        return classifier.train(samples, **{**settings, "epochs": 0})

    def read():
        return table.as_subclass(Watched)

    table, before = digits._table(), torch.get_num_threads()
    monkeypatch.setattr(digits, "_table", read)
    monkeypatch.setattr(digit_task, "train", train)
    torch.set_num_threads(3)
    try:
        task.load(0, "cpu")
        after = torch.get_num_threads()
    finally:
        torch.set_num_threads(before)
    assert (found, after) == ([1, 1, 1], 3)


def test_the_model_knows_its_digits(instance, other):
    for each in (instance, other):
        found = each.held_out.examine(Edited(each.problem.model))
        assert found["bad-accuracy"].value > 0.85
        assert found["other-accuracy"].value > 0.96


def test_cut_pixels_carry_their_mean_over_the_training_digits(instance):
    model, keep = instance.problem.model, instance.problem.keep
    everything = EdgeCuts(cut=torch.ones(1, model.n_edges, dtype=torch.bool)).at(model, 0)
    mean = Labelled(keep.inputs.mean(0, keepdim=True), keep.labels[:1])
    assert torch.allclose(everything.logits(keep[:3]), model.logits(mean).expand(3, -1), atol=1e-5)


def test_training_is_that_of_torchs_own_layers():
    generator = torch.Generator().manual_seed(0)
    samples = Labelled(torch.randn(100, 6, generator=generator), torch.arange(100) % 3)
    ours = classifier.train(samples, n_classes=3, epochs=3, generator=torch.Generator().manual_seed(1))
    generator = torch.Generator().manual_seed(1)
    net = torch.nn.Sequential(torch.nn.Linear(6, 50), torch.nn.ReLU(), torch.nn.Linear(50, 3))
    start = classifier.train(samples, n_classes=3, epochs=0, generator=generator)
    with torch.no_grad():
        for layer, name in ((net[0], "hidden"), (net[2], "out")):
            layer.weight.copy_(start[name].T)
            layer.bias.copy_(start[f"{name}_bias"])
    optimiser = torch.optim.Adam(net.parameters(), lr=1e-3)
    for _ in range(3):
        for rows in torch.randperm(100, generator=generator).split(64):
            optimiser.zero_grad()
            torch.nn.functional.cross_entropy(net(samples.inputs[rows]), samples.labels[rows]).backward()
            optimiser.step()
    assert torch.allclose(ours["hidden"], net[0].weight.T, atol=1e-5)
    assert torch.allclose(ours["out_bias"], net[2].bias, atol=1e-5)


def test_accuracies_are_those_counted_by_hand():
    """Two inputs, two hidden units that pass them on, the larger input is the label."""
    eye = torch.eye(2)
    model = EditableMlp({"hidden": eye, "hidden_bias": torch.zeros(2), "out": eye, "out_bias": torch.zeros(2)}, None)
    bad = Labelled(torch.tensor([[1.0, 0.5], [1.0, 2.0]]), torch.tensor([0, 0]))
    rest = Labelled(torch.tensor([[0.2, 0.5], [0.3, 0.1], [0.0, 2.0], [0.0, 1.0]]), torch.tensor([1, 0, 1, 0]))
    examination = Accuracies(bad=bad, other=rest, batch_size=3)
    found = examination.examine(Edited(model))
    assert {name: (e.value, e.n) for name, e in found.items()} == {
        "bad-accuracy": (0.5, 2),
        "other-accuracy": (0.75, 4),
    }
    cut = torch.tensor([[name == "x0->h0" for name in model.edges]])
    after = examination.examine(EdgeCuts(cut=cut).at(model, 0))
    assert (after["bad-accuracy"].value, after["other-accuracy"].value) == (0.0, 0.5)


def test_all_edges_cut_remove_all_and_leave_nothing(instance):
    model, budgets = instance.problem.model, instance.problem.budgets
    nothing = evaluate_edit(
        instance.problem,
        EdgeCuts(cut=torch.zeros(len(budgets), model.n_edges, dtype=torch.bool)),
        instance.held_out,
        (),
    )
    assert nothing.measures["frontier"].value == 0
    ruined = instance.held_out.examine(EdgeCuts(cut=torch.ones(1, model.n_edges, dtype=torch.bool)).at(model, 0))
    assert ruined["other-accuracy"].value < 0.35


def test_too_few_3s_are_said_in_a_sentence():
    class Few(SmallDigits):
        def images(self, generator):
            training, test = super().images(generator)
            return training, test.at(torch.arange(60))

    few = Few(**{name: getattr(task, name) for name in ("summary", "side", "epochs", "n_bad", "budgets", "marked")}, name="few")  # fmt: skip
    with pytest.raises(
        UsageError, match=r"The test digits of 'few' have \d+ of the digit 3 among 60; valid: more than 20"
    ):
        few.load(0, "cpu")


def test_images_are_chosen_by_number_and_by_mask():
    images = Images(torch.arange(6.0).view(3, 2), torch.tensor([7, 3, 8]))
    assert images.at(images.digits == DIGIT).pixels.tolist() == [[2.0, 3.0]]
    assert images.labelled().labels.tolist() == [3, 3, 0]
