"""Hugging Face checkpoints in: weights are read into the uniform decoder and its logits compared with the source's.

One small reader per architecture. A family that the decoder cannot compute exactly (post-norm blocks,
mixtures of experts, encoders, windowed attention) is refused by name.
"""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path
from typing import Any

import torch
from torch import Tensor

from mechboard.errors import ModelError
from mechboard.graph.config import DecoderConfig
from mechboard.graph.decoder import Decoder
from mechboard.graph.weights import DecoderWeights, LayerWeights, NormWeights

_CHECK_TOKENS = 12
_TOLERANCE = 2e-4
_ROTARY_TYPES = ("default", "linear", "llama3")
_ACTIVATIONS = {
    "gelu": "gelu",
    "gelu_new": "gelu_new",
    "gelu_pytorch_tanh": "gelu_new",
    "gelu_fast": "gelu_new",
    "relu": "relu",
    "silu": "silu",
    "swish": "silu",
}


def load_checkpoint(folder: Path | str, *, device: str = "cpu") -> Decoder:
    """Read a local Hugging Face checkpoint folder.

    Raises:
        ModelError: the folder holds no checkpoint, or one that the decoder does not reproduce.
    """
    folder = Path(folder)
    if not (folder / "config.json").is_file():
        raise ModelError(
            f"{str(folder)!r} holds no config.json; valid: a folder saved by `save_pretrained` "
            f"({', '.join(sorted(_READERS))})."
        )
    from transformers import AutoConfig, AutoModelForCausalLM
    from transformers.utils import logging

    logging.disable_progress_bar()  # the run has its own
    try:
        config = AutoConfig.from_pretrained(folder)
        architecture = (config.architectures or ["unnamed"])[0]
        _reader(architecture, str(folder))
        model = AutoModelForCausalLM.from_pretrained(folder, dtype=torch.float32)
    except (OSError, ValueError) as error:
        raise ModelError(f"The checkpoint in {str(folder)!r} cannot be opened: {_first_line(error)}") from error
    return from_huggingface(model).to(device=device)


def from_huggingface(model: Any) -> Decoder:
    """A decoder with the weights of a Hugging Face causal language model, checked on a few tokens.

    Raises:
        ModelError: the architecture is not supported, or the logits differ.
    """
    architecture = type(model).__name__
    decoder = _reader(architecture, architecture)(model)
    _compare_logits(decoder, model, architecture)
    return decoder


def _reader(architecture: str, given: str) -> Callable[[Any], Decoder]:
    if architecture not in _READERS:
        raise ModelError(
            f"{given!r} is a {architecture}, which the uniform decoder does not compute (it has no post-norm blocks, "
            f"mixtures of experts or encoders); valid: {', '.join(sorted(_READERS))}."
        )
    return _READERS[architecture]


def _first_line(error: Exception) -> str:
    return str(error).strip().partition("\n")[0] or type(error).__name__


@torch.no_grad()
def _compare_logits(decoder: Decoder, model: Any, architecture: str) -> None:
    length = min(_CHECK_TOKENS, decoder.config.n_ctx)
    generator = torch.Generator().manual_seed(0)
    tokens = torch.randint(decoder.config.d_vocab, (2, length), generator=generator)
    theirs = model.eval()(tokens.to(model.device)).logits.to(decoder.dtype).cpu()
    difference = (decoder(tokens.to(decoder.device)).cpu() - theirs).abs().max().item()
    if not difference <= _TOLERANCE * max(1.0, theirs.abs().max().item()):
        raise ModelError(
            f"The logits of this {architecture} differ by {difference:.2g} from the decoder that read its weights; "
            "its configuration asks for something the decoder does not compute, so it cannot be benchmarked."
        )


# -- readers, one per architecture ---------------------------------------------------------------


def _norm(module: Any) -> NormWeights:
    return NormWeights(module.weight, getattr(module, "bias", None))


def _heads_in(matrix: Tensor, d_head: int) -> Tensor:
    """[heads x d_head, d_model] as torch.nn.Linear stores it -> [heads, d_model, d_head]."""
    return matrix.view(-1, d_head, matrix.shape[1]).transpose(1, 2)


def _heads_out(matrix: Tensor, d_head: int) -> Tensor:
    """[d_model, heads x d_head] -> [heads, d_head, d_model]."""
    return matrix.T.reshape(-1, d_head, matrix.shape[0])


def _bias(vector: Tensor | None, d_head: int) -> Tensor | None:
    return None if vector is None else vector.view(-1, d_head)


def _activation(name: str) -> Any:
    if name not in _ACTIVATIONS:
        raise ModelError(f"Activation {name!r} is not computed here; valid: {', '.join(sorted(_ACTIVATIONS))}.")
    return _ACTIVATIONS[name]


def _gpt2_layer(block: Any, n_heads: int, d_model: int) -> LayerWeights:
    d_head = d_model // n_heads
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
        o=block.attn.c_proj.weight.view(n_heads, d_head, d_model),
        o_bias=block.attn.c_proj.bias,
        mlp_norm=_norm(block.ln_2),
        mlp_in=block.mlp.c_fc.weight,
        mlp_in_bias=block.mlp.c_fc.bias,
        mlp_out=block.mlp.c_proj.weight,
        mlp_out_bias=block.mlp.c_proj.bias,
    )


def _read_gpt2(model: Any) -> Decoder:
    c = model.config
    if c.scale_attn_by_inverse_layer_idx or not c.scale_attn_weights or getattr(c, "add_cross_attention", False):
        raise ModelError(
            "This GPT-2 scales attention by layer, does not scale it, or has cross-attention; not supported."
        )
    d_head = c.n_embd // c.n_head
    layers = [_gpt2_layer(block, c.n_head, c.n_embd) for block in model.transformer.h]
    config = DecoderConfig(
        n_layers=c.n_layer,
        n_heads=c.n_head,
        n_kv_heads=c.n_head,
        d_model=c.n_embd,
        d_head=d_head,
        d_mlp=layers[0].mlp_in.shape[1],  # type: ignore[union-attr]
        d_vocab=c.vocab_size,
        d_vocab_out=c.vocab_size,
        n_ctx=c.n_positions,
        norm="layer",
        norm_eps=c.layer_norm_epsilon,
        positions="learned",
        parallel=False,
        gated=False,
        activation=_activation(c.activation_function),
        attention_scale=d_head**-0.5,
    )
    weights = DecoderWeights(
        token=model.transformer.wte.weight,
        position=model.transformer.wpe.weight,
        layers=tuple(layers),
        final_norm=_norm(model.transformer.ln_f),
        unembed=model.get_output_embeddings().weight.T,
    )
    return _finish(config, weights, "gpt2")


def _rotary(module: Any, config: Any) -> Tensor:
    kind = (config.rope_parameters or {}).get("rope_type", "default")
    if kind not in _ROTARY_TYPES or getattr(module, "attention_scaling", 1.0) != 1.0:
        raise ModelError(f"Rotary positions of type {kind!r} are not computed here; valid: {', '.join(_ROTARY_TYPES)}.")
    frequencies: Tensor = module.inv_freq
    return frequencies.float()


def _neox_layer(block: Any, n_heads: int, d_model: int) -> LayerWeights:
    d_head = d_model // n_heads
    # Rows of the fused matrix are head-major: each head's q, k and v follow one another.
    fused = block.attention.query_key_value
    qkv = fused.weight.view(n_heads, 3, d_head, d_model)
    bias = None if fused.bias is None else fused.bias.view(n_heads, 3, d_head)
    return LayerWeights(
        attention_norm=_norm(block.input_layernorm),
        q=qkv[:, 0].transpose(1, 2),
        k=qkv[:, 1].transpose(1, 2),
        v=qkv[:, 2].transpose(1, 2),
        q_bias=None if bias is None else bias[:, 0],
        k_bias=None if bias is None else bias[:, 1],
        v_bias=None if bias is None else bias[:, 2],
        o=_heads_out(block.attention.dense.weight, d_head),
        o_bias=block.attention.dense.bias,
        mlp_norm=_norm(block.post_attention_layernorm),
        mlp_in=block.mlp.dense_h_to_4h.weight.T,
        mlp_in_bias=block.mlp.dense_h_to_4h.bias,
        mlp_out=block.mlp.dense_4h_to_h.weight.T,
        mlp_out_bias=block.mlp.dense_4h_to_h.bias,
    )


def _read_neox(model: Any) -> Decoder:
    c = model.config
    d_head = c.hidden_size // c.num_attention_heads
    layers = [_neox_layer(block, c.num_attention_heads, c.hidden_size) for block in model.gpt_neox.layers]
    frequencies = _rotary(model.gpt_neox.rotary_emb, c)
    config = DecoderConfig(
        n_layers=c.num_hidden_layers,
        n_heads=c.num_attention_heads,
        n_kv_heads=c.num_attention_heads,
        d_model=c.hidden_size,
        d_head=d_head,
        d_mlp=c.intermediate_size,
        d_vocab=c.vocab_size,
        d_vocab_out=c.vocab_size,
        n_ctx=c.max_position_embeddings,
        norm="layer",
        norm_eps=c.layer_norm_eps,
        positions="rotary",
        parallel=c.use_parallel_residual,
        gated=False,
        activation=_activation(c.hidden_act),
        attention_scale=d_head**-0.5,
        rotary_dim=2 * len(frequencies),
    )
    weights = DecoderWeights(
        token=model.gpt_neox.embed_in.weight,
        layers=tuple(layers),
        final_norm=_norm(model.gpt_neox.final_layer_norm),
        unembed=model.get_output_embeddings().weight.T,
        rotary_frequencies=frequencies,
    )
    return _finish(config, weights, "neox")


def _llama_layer(block: Any, d_head: int) -> LayerWeights:
    attention, mlp = block.self_attn, block.mlp
    q, k, v = attention.q_proj, attention.k_proj, attention.v_proj
    return LayerWeights(
        attention_norm=NormWeights(block.input_layernorm.weight),
        q=_heads_in(q.weight, d_head),
        k=_heads_in(k.weight, d_head),
        v=_heads_in(v.weight, d_head),
        q_bias=_bias(q.bias, d_head),
        k_bias=_bias(k.bias, d_head),
        v_bias=_bias(v.bias, d_head),
        o=_heads_out(attention.o_proj.weight, d_head),
        o_bias=attention.o_proj.bias,
        mlp_norm=NormWeights(block.post_attention_layernorm.weight),
        mlp_in=mlp.up_proj.weight.T,
        mlp_in_bias=mlp.up_proj.bias,
        mlp_gate=mlp.gate_proj.weight.T,
        mlp_gate_bias=mlp.gate_proj.bias,
        mlp_out=mlp.down_proj.weight.T,
        mlp_out_bias=mlp.down_proj.bias,
    )


def _read_llama(model: Any) -> Decoder:
    c = model.config
    if getattr(c, "use_sliding_window", False) or (
        type(model).__name__ == "MistralForCausalLM" and c.sliding_window is not None
    ):
        raise ModelError(
            "This checkpoint attends in a sliding window, which the decoder does not compute; not supported."
        )
    d_head = getattr(c, "head_dim", None) or c.hidden_size // c.num_attention_heads
    layers = [_llama_layer(block, d_head) for block in model.model.layers]
    frequencies = _rotary(model.model.rotary_emb, c)
    config = DecoderConfig(
        n_layers=c.num_hidden_layers,
        n_heads=c.num_attention_heads,
        n_kv_heads=c.num_key_value_heads,
        d_model=c.hidden_size,
        d_head=d_head,
        d_mlp=c.intermediate_size,
        d_vocab=c.vocab_size,
        d_vocab_out=c.vocab_size,
        n_ctx=c.max_position_embeddings,
        norm="rms",
        norm_eps=c.rms_norm_eps,
        positions="rotary",
        parallel=False,
        gated=True,
        activation=_activation(c.hidden_act),
        attention_scale=d_head**-0.5,
        rotary_dim=2 * len(frequencies),
    )
    weights = DecoderWeights(
        token=model.model.embed_tokens.weight,
        layers=tuple(layers),
        final_norm=NormWeights(model.model.norm.weight),
        unembed=model.get_output_embeddings().weight.T,
        rotary_frequencies=frequencies,
    )
    return _finish(config, weights, "llama")


def _finish(config: DecoderConfig, weights: DecoderWeights, architecture: str) -> Decoder:
    return Decoder(config, weights, architecture=architecture).to(dtype=torch.float32)


_READERS: dict[str, Callable[[Any], Decoder]] = {
    "GPT2LMHeadModel": _read_gpt2,
    "GPTNeoXForCausalLM": _read_neox,
    "LlamaForCausalLM": _read_llama,
    "MistralForCausalLM": _read_llama,
    "Qwen2ForCausalLM": _read_llama,
}
