"""A masked pass against a plain one that copies the stream for every edge, and against finite differences."""

import naive_masked
import pytest
import torch
from models import FAMILIES, random_decoder, random_pairs

from mechboard.errors import UsageError
from mechboard.graph import Decoder, Graph, run_patched
from mechboard.graph.cost import counting
from mechboard.graph.masked_run import run_masked
from mechboard.graph.token_losses import token_losses
from mechboard.graph.weights import named, with_tensors

TOKENS = random_pairs().clean
every_family = pytest.mark.parametrize("family", FAMILIES)
every_level = pytest.mark.parametrize("level", ["head", "qkv"])
every_kind_of_heads = pytest.mark.parametrize(
    ("n_kv_heads", "biased"), [(4, False), (2, True)], ids=["plain", "grouped-and-biased"]
)
every_ablation = pytest.mark.parametrize("rows", [(1, 1), TOKENS.shape], ids=["global", "each-prompt"])


class _Setting:
    """A random model with a random mask on its edges and something random that ablated sources carry."""

    def __init__(self, family, level, rows=(1, 1), **changed):
        self.decoder = random_decoder(family, **changed)
        self.graph = Graph.of(self.decoder.config, level)
        generator = torch.Generator().manual_seed(4)
        size = (self.graph.n_sources, *rows, self.decoder.config.d_model)
        self.ablated = torch.randn(size, generator=generator).to(self.decoder.dtype)
        self.kept = torch.rand(self.graph.n_edges, generator=generator).to(self.decoder.dtype)

    def trained(self, names=None):
        """The decoder with weights to be trained, and these by name."""
        weights = dict(named(self.decoder.weights))
        leaves = {name: weights[name].clone().requires_grad_() for name in names or weights}
        return Decoder(self.decoder.config, with_tensors(self.decoder.weights, leaves)), leaves

    def run(self, run, kept=None, decoder=None, x=None):
        decoder = decoder or self.decoder
        x = decoder.embed(TOKENS) if x is None else x
        return run(decoder, self.graph, x, self.graph.dense(self.kept if kept is None else kept), self.ablated)

    def gradients(self, run):
        """Final stream, and gradients of something that depends on all of it."""
        kept = self.kept.clone().requires_grad_()
        decoder, leaves = self.trained()
        x = decoder.embed(TOKENS)
        x.retain_grad()
        final = self.run(run, kept, decoder, x)
        _value(final).backward()
        return {"final": final.detach(), "kept": kept.grad, "x": x.grad} | {n: t.grad for n, t in leaves.items()}


def _value(final):
    return (final * torch.linspace(-1, 1, final.numel(), dtype=final.dtype).view_as(final)).sin().sum()


def _assert_equal(found, expected):
    assert found.keys() == expected.keys()
    for name, value in expected.items():
        assert (value is None) == (found[name] is None), name
        if value is not None:
            assert torch.allclose(found[name], value, atol=1e-10), name


@every_kind_of_heads
@every_ablation
@every_level
@every_family
def test_values_and_gradients_of_mask_input_and_weights_equal_plain_autograd(family, level, rows, n_kv_heads, biased):
    setting = _Setting(family, level, rows, n_kv_heads=n_kv_heads, biased=biased)
    found = setting.gradients(run_masked)
    _assert_equal(found, setting.gradients(naive_masked.run_masked))
    assert found["kept"].all()


@every_level
@every_family
def test_gradient_of_the_mask_is_a_finite_difference(family, level):
    setting = _Setting(family, level)
    kept = setting.kept.clone().requires_grad_()
    _value(setting.run(run_masked, kept)).backward()
    for edge in range(0, setting.graph.n_edges, 41):
        step = torch.zeros_like(setting.kept)
        step[edge] = 1e-6
        up, down = (_value(setting.run(run_masked, setting.kept + sign * step)) for sign in (1, -1))
        assert kept.grad[edge].item() == pytest.approx((up - down).item() / 2e-6, rel=1e-4, abs=1e-6)


@every_ablation
@every_level
@every_family
def test_an_evaluation_equals_a_differentiable_pass_whatever_the_mask(family, level, rows):
    setting = _Setting(family, level, rows)
    few = (torch.arange(setting.graph.n_edges) % 23 != 0).to(setting.kept)
    for kept in (setting.kept, few, few.bool(), 1 - few, torch.ones_like(few), torch.zeros_like(few)):
        expected = setting.run(naive_masked.run_masked, kept.to(setting.kept))
        assert torch.allclose(setting.run(run_masked, kept), expected, atol=1e-10)
        with torch.no_grad():
            found = setting.run(run_masked, kept.to(setting.kept).requires_grad_())
        assert torch.allclose(found, expected, atol=1e-10)


@every_level
@every_family
def test_a_mask_of_ones_is_the_model_and_one_of_zeros_and_ones_a_patched_run(family, level):
    setting = _Setting(family, level, TOKENS.shape)
    decoder, graph, x = setting.decoder, setting.graph, setting.decoder.embed(TOKENS)
    ones = torch.ones_like(setting.kept).requires_grad_()
    assert torch.allclose(setting.run(run_masked, ones), decoder.resume(x), atol=1e-10)
    kept = setting.kept > 0.3
    patched = run_patched(decoder, x, setting.ablated, graph.to_qkv(graph.dense(~kept)))
    assert torch.allclose(setting.run(run_masked, kept.double().requires_grad_()), patched, atol=1e-10)


@pytest.mark.parametrize(
    "names",
    [["layers.1.q"], ["layers.1.o"], ["layers.1.mlp_in"], ["layers.2.mlp_out_bias"], ["token"], ["layers.0.k_bias"]],
    ids=lambda names: names[0],
)
@pytest.mark.parametrize("family", ["gpt2", "neox"])
def test_one_weight_may_be_trained_alone(family, names):
    setting = _Setting(family, "head")
    found = []
    for run in (run_masked, naive_masked.run_masked):
        decoder, leaves = setting.trained(names)
        found.append(torch.autograd.grad(_value(setting.run(run, decoder=decoder)), list(leaves.values()))[0])
    assert torch.allclose(*found, atol=1e-10)


def test_the_gradient_of_a_weight_in_the_middle_is_the_same_when_the_mask_is_trained_too():
    setting = _Setting("gpt2", "head")
    found = []
    for run in (run_masked, naive_masked.run_masked):
        decoder, leaves = setting.trained(["layers.1.mlp_in"])
        value = _value(setting.run(run, setting.kept.clone().requires_grad_(), decoder))
        found.append(torch.autograd.grad(value, list(leaves.values()))[0])
    assert torch.allclose(*found, atol=1e-10)


def test_single_precision_stays_single_and_close():
    double, single = (_Setting("gpt2", "head", dtype=dtype) for dtype in (torch.float64, torch.float32))
    found = single.gradients(run_masked)
    expected = double.gradients(naive_masked.run_masked)["kept"].float()
    assert found["kept"].dtype == torch.float32
    assert torch.allclose(found["kept"], expected, atol=1e-3 * expected.abs().max().item())


@pytest.mark.parametrize("trained", ["mask", "weights"])
def test_a_pass_is_counted_once_forward_and_once_backward(trained):
    setting = _Setting("gpt2", "head")
    with counting() as cost:
        decoder, _ = setting.trained() if trained == "weights" else (None, None)
        kept = setting.kept.clone().requires_grad_(trained == "mask")
        final = setting.run(run_masked, kept, decoder)
        assert (cost.forward_sequences, cost.backward_sequences) == (len(TOKENS), 0)
        _value(final).backward()
        assert (cost.forward_sequences, cost.backward_sequences) == (len(TOKENS), len(TOKENS))
        with torch.no_grad():
            setting.run(run_masked)
    assert (cost.forward_sequences, cost.backward_sequences) == (2 * len(TOKENS), len(TOKENS))


def test_two_passes_may_be_open_at_once_but_one_is_not_differentiated_twice():
    setting = _Setting("gpt2", "head")
    kept = setting.kept.clone().requires_grad_()
    first, second = (_value(setting.run(run_masked, kept)) for _ in range(2))
    (of_second,) = torch.autograd.grad(second, kept)
    (of_first,) = torch.autograd.grad(first, kept, retain_graph=True)
    assert torch.equal(of_first, of_second)
    with pytest.raises(UsageError, match="twice"):
        torch.autograd.grad(first, kept)


def test_a_backward_gives_its_memory_back_although_the_loss_is_kept():
    import gc
    import weakref

    from mechboard.graph import masked_run

    made = []

    class Watched(masked_run.MaskedPass):
        def __init__(self, *given):
            super().__init__(*given)
            made.extend(weakref.ref(tensor) for tensor in (self.changes, self.inputs))

    setting = _Setting("gpt2", "head")
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(masked_run, "MaskedPass", Watched)
        loss = _value(setting.run(run_masked, setting.kept.clone().requires_grad_()))
        assert all(tensor() is not None for tensor in made)
        loss.backward()
    gc.collect()
    assert len(made) == 2
    assert all(tensor() is None for tensor in made)


@pytest.mark.parametrize("bias", [False, True])
@pytest.mark.parametrize("trained", ["layers.0.q", "unembed"])
def test_losses_of_tokens_equal_those_of_all_logits_at_once(monkeypatch, bias, trained):
    from dataclasses import replace

    monkeypatch.setattr("mechboard.graph.token_losses._LOGITS_AT_ONCE", 3 * 19)
    setting = _Setting("gpt2", "head")
    if bias:
        setting.decoder = Decoder(
            setting.decoder.config,
            replace(setting.decoder.weights, unembed_bias=torch.linspace(-1, 1, 19, dtype=torch.float64)),
        )
    tokens = TOKENS.flatten()
    found = []
    for loss in (
        token_losses,
        lambda model, rows, target: -model.unembed(rows).log_softmax(-1)[range(len(rows)), target],
    ):
        decoder, leaves = setting.trained([trained, "final_norm.gain"])
        losses = loss(decoder, decoder.resume(decoder.embed(TOKENS)).flatten(0, 1), tokens)
        (losses * torch.linspace(0, 1, len(losses), dtype=torch.float64)).sum().backward()
        found.append([losses.detach(), *(leaf.grad for leaf in leaves.values())])
    for ours, plain in zip(*found, strict=True):
        assert torch.allclose(ours, plain, atol=1e-12)
