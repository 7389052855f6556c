"""Tokens made with a cache of keys and values are those of running every text anew."""

import pytest
import torch
from models import FAMILIES, random_decoder, random_pairs

from mechboard.edits import EditableDecoder
from mechboard.errors import UsageError
from mechboard.graph import Ablation, Graph
from mechboard.graph.cost import counting
from mechboard.graph.key_values import KeyValueCache
from mechboard.graph.masked_evaluation import MaskedModel

PROMPTS = random_pairs(length=4).clean
N_NEW = 4
every_family = pytest.mark.parametrize("family", FAMILIES)


def _editable(family, level="head", ablation="mean-global", **changed):
    decoder = random_decoder(family, **changed)
    ablated = Ablation(ablation, decoder, random_pairs())
    return EditableDecoder(decoder, Graph.of(decoder.config, level), ablated)


def _masks(model):
    """None, a cut of few edges, a cut of most, a soft mask."""
    edges = torch.arange(model.n_edges)
    soft = torch.rand(model.n_edges, generator=torch.Generator().manual_seed(2), dtype=torch.float64)
    return [None, edges % 29 != 0, (edges % 3 == 0).double(), soft]


def _anew(model, kept, parameters):
    tokens = PROMPTS
    for _ in range(N_NEW):
        decoder, final = model.final(tokens, kept=kept, parameters=parameters)
        tokens = torch.cat([tokens, decoder.unembed(final[:, -1]).argmax(-1, keepdim=True)], 1)
    return tokens[:, PROMPTS.shape[1] :]


@pytest.mark.parametrize("level", ["head", "qkv"])
@every_family
def test_tokens_equal_those_of_running_every_text_anew(family, level):
    model = _editable(family, level)
    changed = {name: tensor * 1.1 for name, tensor in model.parameters().items() if name.startswith("layers.1")}
    none, few, most, soft = _masks(model)
    for kept, parameters in ((none, None), (few, None), (most, None), (soft, None), (none, changed), (few, changed)):
        expected = _anew(model, kept, parameters)
        assert torch.equal(model.generate(PROMPTS, N_NEW, kept=kept, parameters=parameters), expected)


@pytest.mark.parametrize("n_kv_heads", [1, 2, 4])
@every_family
def test_streams_of_new_positions_equal_those_of_whole_texts(family, n_kv_heads):
    model = _editable(family, n_kv_heads=n_kv_heads)
    decoder, tokens = model.decoder, random_pairs(length=9).clean
    for kept in _masks(model)[1:]:
        masked = MaskedModel(decoder, model.graph, model.graph.dense(kept), model.ablated_by.everywhere())
        cache = KeyValueCache(tokens.shape[1])
        parts = [masked(decoder.embed(tokens[:, :end], start), cache) for start, end in ((0, 4), (4, 5), (5, 9))]
        assert torch.allclose(torch.cat(parts, 1), masked(decoder.embed(tokens)), atol=1e-10)


def test_a_mask_and_other_weights_change_what_is_said():
    model = _editable("gpt2")
    plain = model.generate(PROMPTS, N_NEW)
    assert not torch.equal(model.generate(PROMPTS, N_NEW, kept=torch.zeros(model.n_edges)), plain)
    other = {"unembed": model.parameters()["unembed"].roll(1, dims=1)}
    assert not torch.equal(model.generate(PROMPTS, N_NEW, parameters=other), plain)


def test_one_text_is_continued_as_it_is_among_others():
    model = _editable("gpt2")
    kept = _masks(model)[1]
    together = model.generate(PROMPTS, N_NEW, kept=kept)
    for row in range(len(PROMPTS)):
        assert torch.equal(model.generate(PROMPTS[row : row + 1], N_NEW, kept=kept)[0], together[row])


def test_each_new_token_is_one_pass_forward_and_none_backward():
    model = _editable("gpt2")
    for kept in (None, _masks(model)[1]):
        with counting() as cost:
            model.generate(PROMPTS, N_NEW, kept=kept)
        assert (cost.forward_sequences, cost.backward_sequences) == (N_NEW * len(PROMPTS), 0)


def test_no_token_is_made_of_a_full_text_and_longer_ones_are_refused():
    model = _editable("gpt2")
    room = model.decoder.config.n_ctx - PROMPTS.shape[1]
    assert model.generate(PROMPTS, room).shape == (len(PROMPTS), room)
    assert model.generate(PROMPTS, 0).shape == (len(PROMPTS), 0)
    with pytest.raises(UsageError, match="positions"):
        model.generate(PROMPTS, room + 1)
