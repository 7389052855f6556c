"""A decoder's weights as a Hugging Face model, so that transformers, TransformerLens and nnsight open them too.

What GPT-2's architecture lacks is expressed in it: an attention-only model gets an MLP of zeros, a
model without normalisation gets identity modules in place of its LayerNorms.
"""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import torch
from torch import Tensor, nn

from mechboard.errors import ModelError
from mechboard.graph.config import DecoderConfig
from mechboard.graph.decoder import Decoder
from mechboard.graph.weights import LayerWeights, NormWeights

_GPT2_ACTIVATIONS = {"gelu": "gelu", "gelu_new": "gelu_new", "relu": "relu", "silu": "silu"}


@torch.no_grad()
def to_huggingface(decoder: Decoder) -> Any:
    """A Hugging Face causal language model that computes the same logits.

    Raises:
        ModelError: no architecture holds this combination of choices.
    """
    if decoder.architecture not in _WRITERS:
        raise ModelError(
            f"No Hugging Face architecture holds a {decoder.architecture!r} decoder; valid: {list(_WRITERS)}."
        )
    model = _WRITERS[decoder.architecture](decoder)
    return model.to(device=decoder.device).eval()


def _set(parameter: Any, value: Tensor | None, fill: float = 0.0) -> None:
    if parameter is None:
        if value is not None and bool(value.ne(fill).any()):
            raise ModelError("This decoder has a bias that its Hugging Face architecture has no place for.")
        return
    parameter.data.fill_(fill) if value is None else parameter.data.copy_(value)


def _set_norm(module: Any, norm: NormWeights) -> None:
    _set(module.weight, norm.gain, 1.0)
    _set(getattr(module, "bias", None), norm.offset)


def _matrix_in(heads: Tensor) -> Tensor:
    """[heads, d_model, d_head] -> [d_model, heads x d_head]."""
    return heads.permute(1, 0, 2).flatten(1)


def _flat(bias: Tensor | None) -> Tensor | None:
    return None if bias is None else bias.flatten()


def _set_linear(linear: Any, matrix: Tensor, bias: Tensor | None) -> None:
    """`matrix` maps rows: x @ matrix."""
    _set(linear.weight, matrix.T)
    _set(linear.bias, bias)


def _set_unembedding(model: Any, decoder: Decoder) -> None:
    config, weights = decoder.config, decoder.weights
    head = nn.Linear(config.d_model, config.d_vocab_out, bias=weights.unembed_bias is not None, dtype=decoder.dtype)
    _set_linear(head, weights.unembed, weights.unembed_bias)
    model.set_output_embeddings(head)


def _any_bias(layers: tuple[LayerWeights, ...], *names: str) -> bool:
    return any(getattr(layer, name) is not None for layer in layers for name in names)


def _refuse_groups(config: DecoderConfig, family: str) -> None:
    if config.n_kv_heads != config.n_heads:
        raise ModelError(
            f"{family} has as many key/value heads as query heads, and this decoder has {config.n_kv_heads} key/value heads "
            f"for {config.n_heads}; only Llama's architecture holds grouped queries."
        )


def _write_gpt2(decoder: Decoder) -> Any:
    from transformers import GPT2Config, GPT2LMHeadModel

    c, w = decoder.config, decoder.weights
    _refuse_groups(c, "GPT-2")
    if c.n_heads * c.d_head != c.d_model or c.norm == "rms" or c.gated or c.parallel or w.position is None:
        raise ModelError(
            "GPT-2 holds sequential, ungated decoders with learned positions and heads x d_head = d_model."
        )
    model = GPT2LMHeadModel(
        GPT2Config(
            n_layer=c.n_layers,
            n_head=c.n_heads,
            n_embd=c.d_model,
            n_inner=max(c.d_mlp, 1),
            n_positions=c.n_ctx,
            vocab_size=c.d_vocab,
            layer_norm_epsilon=c.norm_eps,
            activation_function=_GPT2_ACTIVATIONS[c.activation],
            tie_word_embeddings=False,
            bos_token_id=None,
            eos_token_id=None,
            resid_pdrop=0.0,
            embd_pdrop=0.0,
            attn_pdrop=0.0,
        )
    ).to(decoder.dtype)
    body = model.transformer
    _set(body.wte.weight, w.token)
    _set(body.wpe.weight, w.position)
    for block, layer in zip(body.h, w.layers, strict=True):
        _write_gpt2_block(block, layer, identity_norms=c.norm == "none")
    if c.norm == "none":
        body.ln_f = nn.Identity()
    else:
        _set_norm(body.ln_f, w.final_norm)
    _set_unembedding(model, decoder)
    return model


def _write_gpt2_block(block: Any, layer: LayerWeights, *, identity_norms: bool) -> None:
    qkv = (layer.q, layer.k, layer.v)
    biases = (layer.q_bias, layer.k_bias, layer.v_bias)
    _set(block.attn.c_attn.weight, torch.cat([_matrix_in(m) for m in qkv], 1))
    zeros = [m.new_zeros(m.shape[0] * m.shape[2]) for m in qkv]
    _set(
        block.attn.c_attn.bias, torch.cat([z if b is None else b.flatten() for b, z in zip(biases, zeros, strict=True)])
    )
    _set(block.attn.c_proj.weight, layer.o.flatten(0, 1))
    _set(block.attn.c_proj.bias, layer.o_bias)
    _set(block.mlp.c_fc.weight, layer.mlp_in)
    _set(block.mlp.c_fc.bias, layer.mlp_in_bias)
    _set(block.mlp.c_proj.weight, layer.mlp_out)
    _set(block.mlp.c_proj.bias, layer.mlp_out_bias)
    if identity_norms:
        block.ln_1 = block.ln_2 = nn.Identity()
    else:
        _set_norm(block.ln_1, layer.attention_norm)
        _set_norm(block.ln_2, layer.mlp_norm)


def _write_neox(decoder: Decoder) -> Any:
    from transformers import GPTNeoXConfig, GPTNeoXForCausalLM

    c, w = decoder.config, decoder.weights
    _refuse_groups(c, "GPT-NeoX")
    if c.norm != "layer" or c.gated or not c.has_mlp or w.rotary_frequencies is None:
        raise ModelError("GPT-NeoX holds ungated LayerNorm decoders with MLPs and rotary positions.")
    model = GPTNeoXForCausalLM(
        GPTNeoXConfig(
            num_hidden_layers=c.n_layers,
            num_attention_heads=c.n_heads,
            hidden_size=c.d_model,
            intermediate_size=c.d_mlp,
            vocab_size=c.d_vocab,
            max_position_embeddings=c.n_ctx,
            layer_norm_eps=c.norm_eps,
            hidden_act=c.activation,
            use_parallel_residual=c.parallel,
            rotary_pct=c.rotary_dim / c.d_head,
            tie_word_embeddings=False,
            bos_token_id=None,
            eos_token_id=None,
        )
    ).to(decoder.dtype)
    body = model.gpt_neox
    _set(body.embed_in.weight, w.token)
    body.rotary_emb.inv_freq.copy_(w.rotary_frequencies)
    for block, layer in zip(body.layers, w.layers, strict=True):
        heads = torch.stack([layer.q, layer.k, layer.v], 1)  # [heads, 3, d_model, d_head]
        fused = block.attention.query_key_value
        _set(fused.weight, heads.transpose(2, 3).reshape(-1, c.d_model))
        parts = [(b, m) for b, m in ((layer.q_bias, layer.q), (layer.k_bias, layer.k), (layer.v_bias, layer.v))]
        bias = [m.new_zeros(m.shape[0], m.shape[2]) if b is None else b for b, m in parts]
        _set(fused.bias, torch.stack(bias, 1).flatten())
        _set_linear(block.attention.dense, layer.o.flatten(0, 1), layer.o_bias)
        assert layer.mlp_in is not None
        assert layer.mlp_out is not None
        _set_linear(block.mlp.dense_h_to_4h, layer.mlp_in, layer.mlp_in_bias)
        _set_linear(block.mlp.dense_4h_to_h, layer.mlp_out, layer.mlp_out_bias)
        _set_norm(block.input_layernorm, layer.attention_norm)
        _set_norm(block.post_attention_layernorm, layer.mlp_norm)
    _set_norm(body.final_layer_norm, w.final_norm)
    _set_unembedding(model, decoder)
    return model


def _write_llama(decoder: Decoder) -> Any:
    from transformers import LlamaConfig, LlamaForCausalLM

    c, w = decoder.config, decoder.weights
    if c.norm != "rms" or not (c.gated and c.has_mlp) or c.parallel or w.rotary_frequencies is None:
        raise ModelError("Llama holds sequential, gated RMSNorm decoders with MLPs and rotary positions.")
    model = LlamaForCausalLM(
        LlamaConfig(
            num_hidden_layers=c.n_layers,
            num_attention_heads=c.n_heads,
            num_key_value_heads=c.n_kv_heads,
            head_dim=c.d_head,
            hidden_size=c.d_model,
            intermediate_size=c.d_mlp,
            vocab_size=c.d_vocab,
            max_position_embeddings=c.n_ctx,
            rms_norm_eps=c.norm_eps,
            hidden_act=c.activation,
            attention_bias=_any_bias(w.layers, "q_bias", "k_bias", "v_bias", "o_bias"),
            mlp_bias=_any_bias(w.layers, "mlp_in_bias", "mlp_gate_bias", "mlp_out_bias"),
            tie_word_embeddings=False,
            bos_token_id=None,
            eos_token_id=None,
        )
    ).to(decoder.dtype)
    body = model.model
    _set(body.embed_tokens.weight, w.token)
    body.rotary_emb.inv_freq.copy_(w.rotary_frequencies)
    for block, layer in zip(body.layers, w.layers, strict=True):
        attention, mlp = block.self_attn, block.mlp
        _set_linear(attention.q_proj, _matrix_in(layer.q), _flat(layer.q_bias))
        _set_linear(attention.k_proj, _matrix_in(layer.k), _flat(layer.k_bias))
        _set_linear(attention.v_proj, _matrix_in(layer.v), _flat(layer.v_bias))
        _set_linear(attention.o_proj, layer.o.flatten(0, 1), layer.o_bias)
        assert layer.mlp_in is not None
        assert layer.mlp_gate is not None
        assert layer.mlp_out is not None
        _set_linear(mlp.up_proj, layer.mlp_in, layer.mlp_in_bias)
        _set_linear(mlp.gate_proj, layer.mlp_gate, layer.mlp_gate_bias)
        _set_linear(mlp.down_proj, layer.mlp_out, layer.mlp_out_bias)
        _set(block.input_layernorm.weight, layer.attention_norm.gain, 1.0)
        _set(block.post_attention_layernorm.weight, layer.mlp_norm.gain, 1.0)
    _set(body.norm.weight, w.final_norm.gain, 1.0)
    _set_unembedding(model, decoder)
    return model


_WRITERS: dict[str, Callable[[Decoder], Any]] = {"gpt2": _write_gpt2, "neox": _write_neox, "llama": _write_llama}
