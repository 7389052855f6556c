from dataclasses import replace

import pytest
import torch
import transformers as hf
from models import random_decoder, random_pairs

from mechboard.errors import ModelError
from mechboard.graph import Decoder
from mechboard.graph.export import to_huggingface
from mechboard.graph.hf import from_huggingface, load_checkpoint
from mechboard.graph.weights import NormWeights

SMALL = {"vocab_size": 23, "bos_token_id": None, "eos_token_id": None}
MODERN = SMALL | {"num_hidden_layers": 2, "hidden_size": 32, "intermediate_size": 40, "max_position_embeddings": 32}
GROUPED = MODERN | {"num_attention_heads": 4, "num_key_value_heads": 2}


def _random(model):
    torch.manual_seed(0)
    for parameter in model.parameters():
        parameter.data = torch.randn_like(parameter) * 0.3
    return model


MODELS = {
    "gpt2": lambda: hf.GPT2LMHeadModel(hf.GPT2Config(n_layer=2, n_head=4, n_embd=32, n_positions=32, **SMALL)),
    "neox": lambda: hf.GPTNeoXForCausalLM(hf.GPTNeoXConfig(num_attention_heads=4, **MODERN)),
    "neox-sequential": lambda: hf.GPTNeoXForCausalLM(
        hf.GPTNeoXConfig(num_attention_heads=4, use_parallel_residual=False, **MODERN)
    ),
    "llama": lambda: hf.LlamaForCausalLM(hf.LlamaConfig(**GROUPED)),
    "qwen2": lambda: hf.Qwen2ForCausalLM(hf.Qwen2Config(**GROUPED)),
    "mistral": lambda: hf.MistralForCausalLM(hf.MistralConfig(sliding_window=None, **GROUPED)),
}


@pytest.mark.parametrize("family", MODELS)
def test_a_checkpoint_on_disk_is_read_to_equal_logits(family, tmp_path):
    model = _random(MODELS[family]()).eval()
    model.save_pretrained(tmp_path)
    decoder = load_checkpoint(tmp_path)
    tokens = torch.randint(23, (3, 9))
    with torch.no_grad():
        assert torch.allclose(decoder(tokens), model(tokens).logits, atol=1e-4, rtol=1e-4)


def test_llama3_style_rotary_scaling_is_read(tmp_path):
    rope = {"rope_type": "llama3", "rope_theta": 10000.0, "factor": 8.0, "low_freq_factor": 1.0,
            "high_freq_factor": 4.0, "original_max_position_embeddings": 16}  # fmt: skip
    model = _random(hf.LlamaForCausalLM(hf.LlamaConfig(rope_parameters=rope, **GROUPED))).eval()
    assert from_huggingface(model).config.rotary_dim == 8


REFUSED = {
    "OPTForCausalLM": lambda: hf.OPTForCausalLM(
        hf.OPTConfig(num_hidden_layers=1, hidden_size=16, ffn_dim=16, num_attention_heads=2, vocab_size=23)
    ),
    "MixtralForCausalLM": lambda: hf.MixtralForCausalLM(hf.MixtralConfig(num_local_experts=2, **GROUPED)),
    "sliding window": lambda: hf.MistralForCausalLM(hf.MistralConfig(sliding_window=8, **GROUPED)),
}


@pytest.mark.parametrize("named", REFUSED)
def test_what_the_decoder_does_not_compute_is_refused_by_name(named):
    with pytest.raises(ModelError, match=named):
        from_huggingface(REFUSED[named]())


def test_an_encoder_checkpoint_is_refused_by_name(tmp_path):
    hf.BertModel(
        hf.BertConfig(num_hidden_layers=1, hidden_size=16, intermediate_size=16, num_attention_heads=2, vocab_size=23)
    ).save_pretrained(tmp_path)
    with pytest.raises(ModelError, match="BertModel"):
        load_checkpoint(tmp_path)


def test_a_folder_without_a_checkpoint_says_what_is_valid(tmp_path):
    with pytest.raises(ModelError, match="holds no config.json; valid"):
        load_checkpoint(tmp_path)


def test_a_checkpoint_without_weights_is_one_sentence(tmp_path):
    MODELS["gpt2"]().config.save_pretrained(tmp_path)
    config = (
        (tmp_path / "config.json")
        .read_text()
        .replace('"model_type"', '"architectures": ["GPT2LMHeadModel"], "model_type"')
    )
    (tmp_path / "config.json").write_text(config)
    with pytest.raises(ModelError, match="cannot be opened"):
        load_checkpoint(tmp_path)


def test_logits_that_differ_are_an_error():
    model = _random(MODELS["gpt2"]())
    model.transformer.h[0].register_forward_hook(
        lambda _m, _i, out: out * 1.01 if torch.is_tensor(out) else (out[0] * 1.01,)
    )
    with pytest.raises(ModelError, match="logits of this GPT2LMHeadModel differ"):
        from_huggingface(model)


@pytest.mark.parametrize("family", ["gpt2", "attention-only", "no-norm", "neox", "llama"])
def test_a_decoder_exported_to_hugging_face_computes_the_same(family):
    decoder, tokens = random_decoder(family), random_pairs().clean
    with torch.no_grad():
        assert torch.allclose(to_huggingface(decoder)(tokens).logits, decoder(tokens), atol=1e-4, rtol=1e-6)


@pytest.mark.parametrize("family", ["gpt2", "neox", "llama"])
def test_what_was_exported_is_read_back_to_the_bit(family):
    decoder = random_decoder(family, dtype=torch.float32)
    again = from_huggingface(to_huggingface(decoder))
    assert again.config == decoder.config
    assert all(torch.equal(a, b) for a, b in zip(again.tensors(), decoder.tensors(), strict=True))


def test_a_bias_that_an_architecture_has_no_place_for_is_refused_and_not_dropped():
    decoder = random_decoder("llama")
    shifted = replace(decoder.weights, final_norm=NormWeights(offset=torch.ones(decoder.config.d_model)))
    with pytest.raises(ModelError, match="no place for"):
        to_huggingface(Decoder(decoder.config, shifted, architecture="llama"))


def test_stories260k_is_read_with_grouped_queries(stories):
    decoder = load_checkpoint(stories)
    assert (decoder.config.n_heads, decoder.config.n_kv_heads) == (8, 4)
    assert decoder.graph.n_edges == 2_461
