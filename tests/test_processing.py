"""Weight processing: what it leaves as it is, what it changes, and that it is TransformerLens' own."""

import json
from dataclasses import replace
from pathlib import Path
from types import SimpleNamespace

import pytest
import torch
from models import FAMILIES, random_decoder, random_pairs, random_problem
from safetensors.torch import load_file

from mechboard.errors import UsageError
from mechboard.graph import Ablation, PromptPairs, record_outputs
from mechboard.graph.processing import process
from mechboard.graph.tl_weights import from_transformer_lens
from mechboard.graph.weights import tensors_in
from mechboard.methods.activation_patching import activation_patching
from mechboard.methods.eap import eap
from mechboard.methods.eap_ig import eap_ig
from mechboard.metrics.answers import probability_difference
from mechboard.protocols import CircuitProblem

TINY = Path(__file__).parent / "data" / "tiny"
TOKENS = torch.tensor([[1, 5, 3, 7, 2], [4, 0, 6, 6, 1]])
EXACT_TO = 1e-9


def folded(problem, ablation="resample"):
    model = process(problem.model, "folded")
    return replace(problem, model=model, ablation=Ablation(ablation, model, problem.pairs))


def scores(method, problem):
    return method(problem, torch.Generator(), method.parameters()).scores.detach()


def change(method, problem, ablation="resample"):
    before, after = scores(method, problem), scores(method, folded(problem, ablation))
    return float((before - after).abs().max() / before.abs().max())


@pytest.mark.parametrize("family", FAMILIES)
def test_processing_leaves_log_probabilities_as_they_are_and_changes_the_weights(family):
    decoder = random_decoder(family, biased=True)
    after = process(decoder, "folded")
    assert torch.allclose(decoder(TOKENS).log_softmax(-1), after(TOKENS).log_softmax(-1), atol=EXACT_TO)
    assert (decoder.weights.unembed - after.weights.unembed).abs().max() > 0.01
    assert (decoder(TOKENS) - after(TOKENS)).abs().max() > 0.01  # logits themselves move: the unembedding is centred
    assert process(decoder, "none") is decoder


@pytest.mark.parametrize("family", FAMILIES)
def test_nothing_is_left_to_a_gain_an_offset_or_a_value_bias(family):
    weights = process(random_decoder(family, biased=True), "folded").weights
    norms = [weights.final_norm, *(n for layer in weights.layers for n in (layer.attention_norm, layer.mlp_norm))]
    assert not list(tensors_in(norms))
    assert all(layer.v_bias is None for layer in weights.layers)


@pytest.mark.parametrize("family", FAMILIES)
def test_what_writes_is_centred_exactly_where_a_layer_norm_removes_the_mean(family):
    weights = process(random_decoder(family, biased=True), "folded").weights
    written = [weights.token, *(layer.o for layer in weights.layers)]
    if family not in ("attention-only",):
        written += [layer.mlp_out for layer in weights.layers]
    means = torch.stack([w.mean(-1).abs().max() for w in written])
    centred = family in ("gpt2", "attention-only", "neox")
    assert bool((means < EXACT_TO).all() if centred else (means > 1e-3).all())


@pytest.mark.parametrize("ablation", ["resample", "mean"])
@pytest.mark.parametrize("method", [eap, eap_ig, activation_patching], ids=lambda m: m.name)
@pytest.mark.parametrize("family", ["gpt2", "llama"])
def test_no_score_of_an_edge_changes_under_resample_or_mean_ablation(family, method, ablation):
    assert change(method, random_problem(family, ablation=ablation, n_layers=2), ablation) < EXACT_TO


@pytest.mark.parametrize("method", [eap, activation_patching], ids=lambda m: m.name)
def test_scores_by_probabilities_or_divergence_do_not_change_either(method):
    problem = random_problem("gpt2", n_layers=2)
    readout = torch.randn(5, 1, 19, generator=torch.Generator().manual_seed(3), dtype=torch.float64)
    pairs = PromptPairs(**vars(problem.pairs) | {"targets": {"readout": readout}})
    by_probability = replace(problem, pairs=pairs, metric=probability_difference)
    assert change(method, by_probability) < EXACT_TO
    before, after = problem.measured_by("kl"), folded(problem).measured_by("kl")
    if method is activation_patching:
        drops = scores(method, before)
        assert drops.abs().max() > 1e-3
        assert torch.allclose(drops, scores(method, after), atol=EXACT_TO)


@pytest.mark.parametrize("method", [eap, activation_patching], ids=lambda m: m.name)
def test_scores_change_under_zero_ablation_since_a_value_bias_moves_out_of_its_head(method):
    with_biases = random_problem("gpt2", ablation="zero", n_layers=2)
    assert change(method, with_biases, "zero") > 0.01
    decoder = process(with_biases.model, "folded")  # nothing left to move
    pairs = random_pairs()
    problem = CircuitProblem(
        model=decoder, graph=decoder.graph, pairs=pairs, metric=with_biases.metric,
        ablation=Ablation("zero", decoder, pairs), batch_size=5,
    )  # fmt: skip
    assert change(method, problem, "zero") < EXACT_TO


def test_sizes_of_activations_change_so_a_method_that_looks_at_them_sees_another_model():
    problem = random_problem("gpt2")

    def sizes(model):
        clean, corrupt = (record_outputs(model, model.embed(t)) for t in (problem.pairs.clean, problem.pairs.corrupt))
        return (clean - corrupt).norm(dim=-1).sum((1, 2))

    before, after = sizes(problem.model), sizes(process(problem.model, "folded"))
    assert ((before - after) / before).abs().max() > 0.005


def test_an_unknown_processing_is_refused():
    with pytest.raises(UsageError, match=r"Weight processing 'centred' was given; valid: none, folded\."):
        process(random_decoder("gpt2"), "centred")


@pytest.mark.parametrize("family", ["gpt2", "neox"])
def test_a_processed_model_is_a_bridge_too(family):
    decoder = process(random_decoder(family, biased=True), "folded")
    problem = random_problem("gpt2")
    bridge = replace(problem, model=decoder, ablation=Ablation("resample", decoder, problem.pairs)).bridge()
    with torch.no_grad():
        assert torch.allclose(bridge(TOKENS), decoder(TOKENS), atol=1e-6)


def test_weights_are_those_that_transformer_lens_makes():
    """Its own processing of the same state dict, down to the weights."""
    weights = pytest.importorskip("transformer_lens.weight_processing").ProcessWeights
    config = json.loads((TINY / "config.json").read_text())
    state = {name: tensor.double() for name, tensor in load_file(TINY / "weights.safetensors").items()}
    theirs = weights.process_weights(dict(state), SimpleNamespace(**config))
    ours = process(from_transformer_lens(state, config), "folded")
    theirs = from_transformer_lens(theirs, config | {"normalization_type": "LNPre"})
    for name in ("token", "position", "unembed"):
        assert torch.allclose(getattr(ours.weights, name), getattr(theirs.weights, name), atol=1e-6), name
    for mine, other in zip(ours.weights.layers, theirs.weights.layers, strict=True):
        for name in (
            "q",
            "k",
            "v",
            "o",
            "mlp_in",
            "mlp_out",
            "q_bias",
            "k_bias",
            "o_bias",
            "mlp_in_bias",
            "mlp_out_bias",
        ):
            assert torch.allclose(getattr(mine, name), getattr(other, name), atol=1e-6), name
