"""Where the Hugging Face architectures keep what a decoder has: one description, for reading and for writing.

Weights are *views* of a model's parameters in the decoder's layout. A decoder is made from them, and what is copied
into them stands in the model, so no layout is stated twice.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping
from dataclasses import dataclass
from typing import Any

from torch import Tensor

from mechboard.graph.config import Norm
from mechboard.graph.weights import DecoderWeights, LayerWeights, NormWeights

__all__ = ["ARCHITECTURES", "Architecture"]


@dataclass(frozen=True, kw_only=True)
class Architecture:
    """One family of models.

    Attributes:
        classes: Hugging Face's classes that are read; the first is the one that is written.
        norm: the family's normalisation.
        names: its names for fields of `DecoderConfig`.
        weights: views of a model's parameters; None where it has no parameter.
    """

    classes: tuple[str, ...]
    norm: Norm
    names: Mapping[str, str]
    weights: Callable[[Any], DecoderWeights]


def _norm(module: Any) -> NormWeights:
    return NormWeights(module.weight, getattr(module, "bias", None))


def _heads_in(matrix: Tensor, d_head: int) -> Tensor:
    """[heads x d_head, d_model] as torch.nn.Linear stores it -> [heads, d_model, d_head]."""
    return matrix.view(-1, d_head, matrix.shape[1]).transpose(1, 2)


def _heads_out(matrix: Tensor, d_head: int) -> Tensor:
    """[d_model, heads x d_head] -> [heads, d_head, d_model]."""
    return matrix.T.view(-1, d_head, matrix.shape[0])


def _bias(vector: Tensor | None, d_head: int) -> Tensor | None:
    """[heads x d_head] -> [heads, d_head]."""
    return None if vector is None else vector.view(-1, d_head)


# -- GPT-2 ---------------------------------------------------------------------------------------


def _gpt2_layer(block: Any, d_head: int) -> LayerWeights:
    d_model = block.attn.c_proj.weight.shape[1]
    # GPT-2 stores a matrix as [in, out], all others as [out, in].
    q, k, v = block.attn.c_attn.weight.T.split(d_model)
    q_bias, k_bias, v_bias = block.attn.c_attn.bias.split(d_model)
    return LayerWeights(
        attention_norm=_norm(block.ln_1),
        q=_heads_in(q, d_head),
        k=_heads_in(k, d_head),
        v=_heads_in(v, d_head),
        q_bias=_bias(q_bias, d_head),
        k_bias=_bias(k_bias, d_head),
        v_bias=_bias(v_bias, d_head),
        o=block.attn.c_proj.weight.view(-1, d_head, d_model),
        o_bias=block.attn.c_proj.bias,
        mlp_norm=_norm(block.ln_2),
        mlp_in=block.mlp.c_fc.weight,
        mlp_in_bias=block.mlp.c_fc.bias,
        mlp_out=block.mlp.c_proj.weight,
        mlp_out_bias=block.mlp.c_proj.bias,
    )


def _gpt2(model: Any) -> DecoderWeights:
    body, head = model.transformer, model.get_output_embeddings()
    d_head = model.config.n_embd // model.config.n_head
    return DecoderWeights(
        token=body.wte.weight,
        position=body.wpe.weight,
        layers=tuple(_gpt2_layer(block, d_head) for block in body.h),
        final_norm=_norm(body.ln_f),
        unembed=head.weight.T,
        unembed_bias=head.bias,
    )


# -- GPT-NeoX ------------------------------------------------------------------------------------


def _neox_layer(block: Any, n_heads: int, d_head: int) -> LayerWeights:
    # Rows of the fused matrix are head-major: each head's q, k and v follow one another.
    fused = block.attention.query_key_value
    q, k, v = fused.weight.view(n_heads, 3, d_head, -1).transpose(2, 3).unbind(1)
    q_bias, k_bias, v_bias = (None,) * 3 if fused.bias is None else fused.bias.view(n_heads, 3, d_head).unbind(1)
    return LayerWeights(
        attention_norm=_norm(block.input_layernorm),
        q=q,
        k=k,
        v=v,
        q_bias=q_bias,
        k_bias=k_bias,
        v_bias=v_bias,
        o=_heads_out(block.attention.dense.weight, d_head),
        o_bias=block.attention.dense.bias,
        mlp_norm=_norm(block.post_attention_layernorm),
        mlp_in=block.mlp.dense_h_to_4h.weight.T,
        mlp_in_bias=block.mlp.dense_h_to_4h.bias,
        mlp_out=block.mlp.dense_4h_to_h.weight.T,
        mlp_out_bias=block.mlp.dense_4h_to_h.bias,
    )


def _neox(model: Any) -> DecoderWeights:
    body, head, n_heads = model.gpt_neox, model.get_output_embeddings(), model.config.num_attention_heads
    d_head = model.config.hidden_size // n_heads
    return DecoderWeights(
        token=body.embed_in.weight,
        layers=tuple(_neox_layer(block, n_heads, d_head) for block in body.layers),
        final_norm=_norm(body.final_layer_norm),
        unembed=head.weight.T,
        unembed_bias=head.bias,
        rotary_frequencies=body.rotary_emb.inv_freq,
    )


# -- Llama, Mistral, Qwen2 -----------------------------------------------------------------------


def _llama_layer(block: Any, d_head: int) -> LayerWeights:
    attention, mlp = block.self_attn, block.mlp
    q, k, v = attention.q_proj, attention.k_proj, attention.v_proj
    return LayerWeights(
        attention_norm=_norm(block.input_layernorm),
        q=_heads_in(q.weight, d_head),
        k=_heads_in(k.weight, d_head),
        v=_heads_in(v.weight, d_head),
        q_bias=_bias(q.bias, d_head),
        k_bias=_bias(k.bias, d_head),
        v_bias=_bias(v.bias, d_head),
        o=_heads_out(attention.o_proj.weight, d_head),
        o_bias=attention.o_proj.bias,
        mlp_norm=_norm(block.post_attention_layernorm),
        mlp_in=mlp.up_proj.weight.T,
        mlp_in_bias=mlp.up_proj.bias,
        mlp_gate=mlp.gate_proj.weight.T,
        mlp_gate_bias=mlp.gate_proj.bias,
        mlp_out=mlp.down_proj.weight.T,
        mlp_out_bias=mlp.down_proj.bias,
    )


def _llama(model: Any) -> DecoderWeights:
    body, head, config = model.model, model.get_output_embeddings(), model.config
    d_head = getattr(config, "head_dim", None) or config.hidden_size // config.num_attention_heads
    return DecoderWeights(
        token=body.embed_tokens.weight,
        layers=tuple(_llama_layer(block, d_head) for block in body.layers),
        final_norm=_norm(body.norm),
        unembed=head.weight.T,
        unembed_bias=head.bias,
        rotary_frequencies=body.rotary_emb.inv_freq,
    )


_MODERN_NAMES = {
    "n_layers": "num_hidden_layers",
    "n_heads": "num_attention_heads",
    "d_model": "hidden_size",
    "d_mlp": "intermediate_size",
    "d_vocab": "vocab_size",
    "n_ctx": "max_position_embeddings",
    "activation": "hidden_act",
}

ARCHITECTURES = {
    "gpt2": Architecture(
        classes=("GPT2LMHeadModel",),
        norm="layer",
        names={
            "n_layers": "n_layer",
            "n_heads": "n_head",
            "d_model": "n_embd",
            "d_mlp": "n_inner",
            "d_vocab": "vocab_size",
            "n_ctx": "n_positions",
            "norm_eps": "layer_norm_epsilon",
            "activation": "activation_function",
        },
        weights=_gpt2,
    ),
    "neox": Architecture(
        classes=("GPTNeoXForCausalLM",),
        norm="layer",
        names=_MODERN_NAMES | {"norm_eps": "layer_norm_eps", "parallel": "use_parallel_residual"},
        weights=_neox,
    ),
    "llama": Architecture(
        classes=("LlamaForCausalLM", "MistralForCausalLM", "Qwen2ForCausalLM"),
        norm="rms",
        names=_MODERN_NAMES | {"n_kv_heads": "num_key_value_heads", "d_head": "head_dim", "norm_eps": "rms_norm_eps"},
        weights=_llama,
    ),
}
"""By the name that `Decoder.architecture` has for them."""
