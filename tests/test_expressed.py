"""Edits as weights: a decoder without masks that computes what the masked one does, or a reason why there is none."""

import pytest
import torch
from models import FAMILIES, random_decoder

from mechboard.edits import (
    EdgeCuts,
    EditableDecoder,
    EditableMlp,
    Edited,
    RemovalProblem,
    Text,
    WeightChange,
    as_decoder,
)
from mechboard.errors import ModelError, Unsupported
from mechboard.graph import Ablation, Graph, PromptPairs
from mechboard.kinds.removal import removal
from mechboard.metrics.examination import Accuracies
from mechboard.protocols import Instance

TOKENS = torch.randint(19, (5, 8), generator=torch.Generator().manual_seed(3))


def editable(family, kind, level, **changed):
    decoder = random_decoder(family, **changed)
    pairs = PromptPairs(TOKENS, TOKENS, torch.full((5,), 8), torch.full((5, 1), 7), {})
    return EditableDecoder(decoder, Graph.of(decoder.config, level), Ablation(kind, decoder, pairs))


def cut(model, chosen):
    """The model without the edges whose name, split into source and destination, is chosen."""
    ends = [name.split("->") for name in model.edges]
    return Edited(model, kept=torch.tensor([not chosen(source, destination) for source, destination in ends]))


def held(edited):
    """Whether weights hold it: they compute what the masks do, and something else than the unedited model."""
    masked, written = edited.logits(Text.whole(TOKENS)), as_decoder(edited)(TOKENS)
    torch.testing.assert_close(written, masked, rtol=1e-9, atol=1e-9)
    return not torch.allclose(masked, edited.model.decoder(TOKENS), atol=1e-3)


@pytest.mark.parametrize("level", ["head", "qkv"])
@pytest.mark.parametrize("kind", ["zero", "mean-global"])
@pytest.mark.parametrize("family", FAMILIES)
def test_silenced_heads_and_mlps_are_weights_of_zero_and_a_bias(family, kind, level):
    model = editable(family, kind, level)
    assert held(cut(model, lambda source, _: source in ("a0.h1", "a0.h2", "a2.h0")))
    if model.graph.has_mlp:
        assert held(cut(model, lambda source, _: source in ("m0", "a1.h1", "m2")))


@pytest.mark.parametrize("kind", ["zero", "mean-global"])
@pytest.mark.parametrize("family", FAMILIES)
def test_a_source_is_silent_when_all_that_is_live_has_no_edge_from_it(family, kind):
    """What a silenced head reads of others is of no consequence, cut or not."""
    model = editable(family, kind, "head")
    readers = {"a2.h0", "a2.h1"}
    assert held(cut(model, lambda s, d: s in readers or (s == "a1.h0" and d not in readers)))


@pytest.mark.parametrize("kind", ["zero", "mean-global"])
@pytest.mark.parametrize("family", FAMILIES)
def test_a_head_or_mlp_whose_input_is_cut_off_reads_a_constant(family, kind):
    model = editable(family, kind, "head")
    assert held(cut(model, lambda _, d: d in ("a1.h0", "a1.h1")))
    if model.graph.has_mlp:
        assert held(cut(model, lambda _, d: d == "m1"))


@pytest.mark.parametrize("kind", ["zero", "mean-global"])
@pytest.mark.parametrize("part", ["<q>", "<k>", "<v>"])
@pytest.mark.parametrize("family", FAMILIES)
def test_queries_keys_or_values_alone_can_be_cut_off(family, part, kind):
    model = editable(family, kind, "qkv")
    assert held(cut(model, lambda _, d: d in (f"a1.h2{part}", f"a1.h3{part}")))


def test_keys_that_two_heads_share_are_cut_off_for_both_or_not_at_all():
    model = editable("llama", "zero", "qkv")
    with pytest.raises(Unsupported, match="share keys and values"):
        as_decoder(cut(model, lambda _, d: d == "a1.h2<k>"))
    assert held(cut(model, lambda s, d: d == "a1.h2<k>" or s == "a1.h3"))  # the other of the pair is silent


@pytest.mark.parametrize("kind", ["zero", "mean-global"])
@pytest.mark.parametrize("family", FAMILIES)
def test_tokens_that_nothing_reads_are_one_token(family, kind):
    assert held(cut(editable(family, kind, "head"), lambda source, _: source == "input"))
    assert held(cut(editable(family, kind, "head"), lambda *_: True))


def test_one_edge_between_nodes_that_go_on_is_refused_by_name():
    model = editable("gpt2", "zero", "head")
    with pytest.raises(Unsupported, match=r"1 of the edges that are cut, such as a0.h1->m1, .* closest to it is"):
        as_decoder(cut(model, lambda s, d: (s, d) == ("a0.h1", "m1") or s == "a0.h0"))
    with pytest.raises(Unsupported, match="of the edges that are cut"):  # all but one of its edges
        as_decoder(cut(model, lambda s, d: s == "a0.h1" and d != "logits"))


def test_a_change_of_weights_and_nothing_at_all_are_held():
    model = editable("gpt2", "zero", "head")
    change = WeightChange(change={"layers.1.mlp_out": torch.eye(24, 32, dtype=torch.float64)}, scales=(0.5, 1.0))
    assert held(change.at(model, 0))
    nothing = EdgeCuts(cut=torch.zeros(1, model.n_edges, dtype=torch.bool)).at(model, 0)
    torch.testing.assert_close(as_decoder(nothing)(TOKENS), model.decoder(TOKENS))


def test_the_model_itself_stays_as_it_is():
    model = editable("gpt2", "mean-global", "head")
    before = [tensor.clone() for tensor in model.tensors()]
    as_decoder(cut(model, lambda source, _: source in ("a0.h1", "m1", "input")))
    assert all(map(torch.equal, before, model.tensors()))


def test_a_classifier_has_no_checkpoint():
    weights = {"hidden": torch.ones(2, 3), "hidden_bias": torch.ones(3), "out": torch.ones(3, 2), "out_bias": torch.ones(2)}  # fmt: skip
    with pytest.raises(Unsupported, match="no transformer"):
        as_decoder(Edited(EditableMlp(weights, None)))


def test_a_checkpoint_that_answers_otherwise_is_refused(tmp_path):
    """GPT-2's architecture is written without norms and read back with them."""
    model = editable("no-norm", "zero", "head", dtype=torch.float32)
    text = Text.whole(TOKENS)
    problem = RemovalProblem(model=model, bad=text, keep=text, budgets=(1,), batch_size=5)
    nothing = EdgeCuts(cut=torch.zeros(1, model.n_edges, dtype=torch.bool))
    held_out = Accuracies(bad=text, other=text)
    with pytest.raises(ModelError, match=r"logits differ by .* so nothing was kept"):
        removal.export(Instance(problem=problem, held_out=held_out), nothing, None, tmp_path)
