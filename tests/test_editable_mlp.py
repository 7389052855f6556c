"""A classifier whose first layer can be masked: against what a plain loop computes, and against finite differences."""

import pytest
import torch

from mechboard.edits import EdgeCuts, EditableMlp, Edited, Labelled
from mechboard.errors import UsageError
from mechboard.graph import counting

N, INPUTS, HIDDEN, CLASSES = 5, 6, 4, 3
GENERATOR = torch.Generator().manual_seed(0)


def drawn(*shape):
    return torch.randn(shape, generator=GENERATOR, dtype=torch.float64)


WEIGHTS = {
    "hidden": drawn(INPUTS, HIDDEN),
    "hidden_bias": drawn(HIDDEN),
    "out": drawn(HIDDEN, CLASSES),
    "out_bias": drawn(CLASSES),
}
MEANS = drawn(INPUTS)
SAMPLES = Labelled(drawn(N, INPUTS), torch.tensor([0, 1, 2, 1, 0]))
ABLATIONS = pytest.mark.parametrize("means", [None, MEANS], ids=["zero", "mean"])


def by_hand(kept, means, weights=WEIGHTS, samples=SAMPLES):
    """Logits edge by edge, from the edges' names."""
    model = EditableMlp(WEIGHTS, means)
    logits = torch.zeros(len(samples), CLASSES, dtype=torch.float64)
    for n in range(len(samples)):
        read = weights["hidden_bias"].tolist()
        for name, w in zip(model.edges, kept.tolist(), strict=True):
            i, j = (int(part[1:]) for part in name.split("->"))
            carried = w * samples.inputs[n, i] + (1 - w) * (0.0 if means is None else means[i])
            read[j] += float(weights["hidden"][i, j] * carried)
        for c in range(CLASSES):
            active = sum(max(read[j], 0.0) * float(weights["out"][j, c]) for j in range(HIDDEN))
            logits[n, c] = active + weights["out_bias"][c]
    return logits


@ABLATIONS
def test_each_edge_carries_its_share_of_input_and_ablation(means):
    model, kept = EditableMlp(WEIGHTS, means), torch.rand(24, generator=GENERATOR, dtype=torch.float64)
    assert model.ablation == ("zero" if means is None else "mean")
    assert torch.allclose(model.logits(SAMPLES, kept=kept), by_hand(kept, means), atol=1e-12)
    losses = torch.nn.functional.cross_entropy(by_hand(kept, means), SAMPLES.labels, reduction="none")
    assert torch.allclose(model.losses(SAMPLES, kept=kept), losses, atol=1e-12)


@ABLATIONS
def test_a_mask_of_ones_is_the_model_to_the_bit(means):
    model = EditableMlp(WEIGHTS, means)
    ones = torch.ones(model.n_edges, dtype=torch.float64)
    assert torch.equal(model.losses(SAMPLES, kept=ones), model.losses(SAMPLES))


@ABLATIONS
def test_gradients_in_mask_and_weights_are_those_of_finite_differences(means):
    model = EditableMlp(WEIGHTS, means)
    kept = torch.rand(model.n_edges, generator=GENERATOR, dtype=torch.float64, requires_grad=True)
    assert torch.autograd.gradcheck(lambda mask: model.losses(SAMPLES, kept=mask), (kept,))
    hidden = WEIGHTS["hidden"].clone().requires_grad_()
    assert torch.autograd.gradcheck(
        lambda w: model.losses(SAMPLES, kept=kept.detach(), parameters={"hidden": w}), (hidden,)
    )


@ABLATIONS
def test_an_input_whose_edges_are_cut_is_not_read(means):
    model = EditableMlp(WEIGHTS, means)
    kept = torch.tensor([0.0 if name.startswith("x2->") else 1.0 for name in model.edges], dtype=torch.float64)
    moved = SAMPLES.inputs.clone()
    moved[:, 2] += 7
    other = Labelled(moved, SAMPLES.labels)
    assert torch.equal(model.logits(SAMPLES, kept=kept), model.logits(other, kept=kept))
    assert not torch.allclose(model.logits(SAMPLES), model.logits(other))


def test_a_cut_edge_is_an_edge_of_its_name():
    model = EditableMlp(WEIGHTS, None)
    cut = torch.zeros(1, model.n_edges, dtype=torch.bool)
    cut[0, model.edges.index("x1->h3")] = True
    without = {**WEIGHTS, "hidden": WEIGHTS["hidden"].clone()}
    without["hidden"][1, 3] = 0
    edited = EdgeCuts(cut=cut).at(model, 0)
    assert torch.allclose(edited.logits(SAMPLES), EditableMlp(without, None).logits(SAMPLES), atol=1e-12)
    assert model.per_input(cut[0]).tolist() == [0, 1, 0, 0, 0, 0]


def test_weights_in_place_of_its_own_leave_its_own_as_they_are():
    model = EditableMlp(WEIGHTS, None)
    held = model.parameters()
    held["out"].zero_()
    changed = Edited(model, parameters={"out": held["out"]}).logits(SAMPLES)
    assert torch.equal(changed, WEIGHTS["out_bias"].expand(N, -1))
    assert torch.equal(model.parameters()["out"], WEIGHTS["out"])
    assert bool(WEIGHTS["out"].any())


def test_samples_are_counted_forward_and_once_more_for_each_gradient():
    model = EditableMlp(WEIGHTS, MEANS)
    kept = torch.ones(model.n_edges, dtype=torch.float64, requires_grad=True)
    with counting() as cost:
        model.losses(SAMPLES)
        model.losses(SAMPLES, kept=kept)
        assert (cost.forward_sequences, cost.backward_sequences) == (2 * N, 0)
        model.losses(SAMPLES, kept=kept).sum().backward()
        weights = {name: tensor.requires_grad_() for name, tensor in model.parameters().items()}
        torch.autograd.grad(model.losses(SAMPLES, parameters=weights).sum(), list(weights.values()))
    assert (cost.forward_sequences, cost.backward_sequences) == (4 * N, 2 * N)


def test_edges_are_counted_as_they_are_named():
    model = EditableMlp(WEIGHTS, None)
    assert (model.n_edges, len(set(model.edges)), model.edges[:2]) == (24, 24, ("x0->h0", "x1->h0"))


@pytest.mark.parametrize(
    ("call", "said"),
    [
        (lambda m: m.losses(SAMPLES, kept=torch.ones(23)), r"A mask of shape \(23,\) .* each of the 24 edges"),
        (lambda m: m.losses(SAMPLES, parameters={"w": MEANS}), "'w' is no weight of this model; valid: hidden, hidden_bias"),
        (lambda m: m.losses(Labelled(drawn(2, 5), torch.zeros(2).long())), "5 inputs were given to a model of 6"),
        (lambda m: EditableMlp({"hidden": MEANS}, None), "The weights are hidden; valid: hidden, hidden_bias, out, out_bias"),
        (lambda m: EditableMlp({**WEIGHTS, "out": drawn(5, 3)}, None), r"'out' has shape \(5, 3\); valid .*: \(4, 3\)"),
        (lambda m: EditableMlp({**WEIGHTS, "hidden_bias": drawn(1)}, None), "'hidden_bias' has shape"),
        (lambda m: EditableMlp(WEIGHTS, drawn(4)), "one for each of the 6 inputs"),
        (lambda m: EditableMlp(WEIGHTS, None, image=(2, 2)), "A picture of 2 x 2 has not the 6 pixels"),
    ],
)  # fmt: skip
def test_what_does_not_fit_is_said_in_a_sentence(call, said):
    with pytest.raises(UsageError, match=said):
        call(EditableMlp(WEIGHTS, MEANS))
