"""A decoder's weights as a Hugging Face model, so that transformers, TransformerLens and nnsight open them too.

What GPT-2's architecture lacks is expressed in it: an attention-only model gets an MLP of zeros, a
model without normalisation gets identity modules in place of its LayerNorms.
"""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import fields
from typing import Any

import torch
from torch import Tensor, nn

from mechboard.errors import ModelError
from mechboard.graph.architectures import ARCHITECTURES
from mechboard.graph.config import DecoderConfig
from mechboard.graph.decoder import Decoder
from mechboard.graph.weights import DecoderWeights, LayerWeights

__all__ = ["to_huggingface"]


@torch.no_grad()
def to_huggingface(decoder: Decoder) -> Any:
    """A Hugging Face causal language model that computes the same logits.

    Args:
        decoder: its `architecture` names the family; precision and device are kept.

    Raises:
        ModelError: no architecture holds this combination of choices.
    """
    if decoder.architecture not in ARCHITECTURES:
        raise ModelError(
            f"No Hugging Face architecture holds a {decoder.architecture!r} decoder; valid: {list(ARCHITECTURES)}."
        )
    model = _untrained(decoder)
    _copy(decoder.weights, ARCHITECTURES[decoder.architecture].weights(model))
    if decoder.config.norm == "none":
        _remove_norms(model)
    return model.to(device=decoder.device).eval()


def _untrained(decoder: Decoder) -> Any:
    """A model of the decoder's shape and precision, with any weights."""
    import transformers

    config, weights = decoder.config, decoder.weights
    architecture = ARCHITECTURES[decoder.architecture]
    named = {theirs: getattr(config, ours) for ours, theirs in architecture.names.items()}
    model_class = getattr(transformers, architecture.classes[0])
    settings = model_class.config_class(
        **named | _EXTRAS[decoder.architecture](config, weights),
        tie_word_embeddings=False,
        bos_token_id=None,
        eos_token_id=None,
    )
    model = model_class(settings).to(decoder.dtype)
    # These architectures have as many logits as tokens and no bias on them; a decoder may differ in both.
    head = nn.Linear(config.d_model, config.d_vocab_out, bias=weights.unembed_bias is not None, dtype=decoder.dtype)
    model.set_output_embeddings(head)
    return model


def _copy(ours: Any, theirs: Any, absent: float = 0.0) -> None:
    """Copy weights into views of a model's parameters, part by part; `absent` is what None stands for."""
    if isinstance(theirs, Tensor):
        theirs.fill_(absent) if ours is None else theirs.copy_(ours)
    elif isinstance(theirs, tuple):
        for layer, view in zip(ours, theirs, strict=True):
            _copy(layer, view)
    elif theirs is not None:
        for f in fields(theirs):
            _copy(getattr(ours, f.name), getattr(theirs, f.name), 1.0 if f.name == "gain" else 0.0)
    elif ours is not None and bool(ours.ne(absent).any()):
        raise ModelError("This decoder has a bias that its Hugging Face architecture has no place for.")


def _remove_norms(model: Any) -> None:
    for block in model.transformer.h:
        block.ln_1 = block.ln_2 = nn.Identity()
    model.transformer.ln_f = nn.Identity()


# -- what a family's configuration says beyond its names for ours; refuses what the family cannot hold -----------------


def _refuse_groups(config: DecoderConfig, family: str) -> None:
    if config.n_kv_heads != config.n_heads:
        raise ModelError(
            f"{family} has as many key/value heads as query heads, and this decoder has {config.n_kv_heads} key/value heads "
            f"for {config.n_heads}; only Llama's architecture holds grouped queries."
        )


def _gpt2(c: DecoderConfig, w: DecoderWeights) -> dict[str, Any]:
    _refuse_groups(c, "GPT-2")
    if c.n_heads * c.d_head != c.d_model or c.norm == "rms" or c.gated or c.parallel or w.position is None:
        raise ModelError(
            "GPT-2 holds sequential, ungated decoders with learned positions and heads x d_head = d_model."
        )
    # GPT-2 takes 0 for "four times d_model"; one neuron of zeros is no MLP either.
    return {"n_inner": max(c.d_mlp, 1), "resid_pdrop": 0.0, "embd_pdrop": 0.0, "attn_pdrop": 0.0}


def _neox(c: DecoderConfig, w: DecoderWeights) -> dict[str, Any]:
    _refuse_groups(c, "GPT-NeoX")
    if c.norm != "layer" or c.gated or not c.has_mlp or w.rotary_frequencies is None:
        raise ModelError("GPT-NeoX holds ungated LayerNorm decoders with MLPs and rotary positions.")
    return {"rotary_pct": c.rotary_dim / c.d_head}


def _llama(c: DecoderConfig, w: DecoderWeights) -> dict[str, Any]:
    if c.norm != "rms" or not (c.gated and c.has_mlp) or c.parallel or w.rotary_frequencies is None:
        raise ModelError("Llama holds sequential, gated RMSNorm decoders with MLPs and rotary positions.")
    return {
        "attention_bias": _any_bias(w.layers, "q_bias", "k_bias", "v_bias", "o_bias"),
        "mlp_bias": _any_bias(w.layers, "mlp_in_bias", "mlp_gate_bias", "mlp_out_bias"),
    }


def _any_bias(layers: tuple[LayerWeights, ...], *names: str) -> bool:
    return any(getattr(layer, name) is not None for layer in layers for name in names)


_EXTRAS: dict[str, Callable[[DecoderConfig, DecoderWeights], dict[str, Any]]] = {
    "gpt2": _gpt2,
    "neox": _neox,
    "llama": _llama,
}
