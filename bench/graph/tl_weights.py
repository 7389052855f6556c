"""Weights from a TransformerLens-native state dict (`embed.W_E`, `blocks.0.attn.W_Q`, ...).

Reads the arrays alone, so it needs no TransformerLens and serves checkpoints of every version.
"""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

from torch import Tensor

from mechboard.errors import ModelError
from mechboard.graph.config import DecoderConfig
from mechboard.graph.decoder import Decoder
from mechboard.graph.weights import DecoderWeights, LayerWeights, NormWeights

_NORMS = {"LN": "layer", "LNPre": "layer", "RMS": "rms", "RMSPre": "rms", None: "none"}
_ACTIVATIONS = {"gelu": "gelu", "gelu_new": "gelu_new", "relu": "relu", "silu": "silu", None: "relu"}


def from_transformer_lens(state: Mapping[str, Tensor], config: Mapping[str, Any]) -> Decoder:
    """A decoder from a native state dict and its configuration (`HookedTransformerConfig.to_dict()`).

    Raises:
        ModelError: the configuration asks for something that the uniform decoder does not compute.
    """
    norm, activation = config.get("normalization_type"), config.get("act_fn")
    positions = config.get("positional_embedding_type", "standard")
    if norm not in _NORMS or positions != "standard" or activation not in _ACTIVATIONS:
        raise ModelError(
            f"A TransformerLens model with normalization_type={norm!r}, positional_embedding_type={positions!r}, "
            f"act_fn={activation!r} cannot be read; valid are {sorted(filter(None, _NORMS))}, 'standard' and "
            f"{sorted(filter(None, _ACTIVATIONS))}; load it from its Hugging Face checkpoint instead."
        )
    attention_only = bool(config.get("attn_only", False))
    heads, d_head = int(config["n_heads"]), int(config["d_head"])
    scaled = config.get("use_attn_scale", True)
    # `_W_K` holds the key heads of a grouped-query model; `W_K` there repeats them.
    grouped = "blocks.0.attn._W_K" in state
    shape = DecoderConfig(
        n_layers=int(config["n_layers"]),
        n_heads=heads,
        n_kv_heads=state["blocks.0.attn._W_K"].shape[0] if grouped else heads,
        d_model=int(config["d_model"]),
        d_head=d_head,
        d_mlp=0 if attention_only else int(config["d_mlp"]),
        d_vocab=state["embed.W_E"].shape[0],
        d_vocab_out=state["unembed.W_U"].shape[1],
        n_ctx=state["pos_embed.W_pos"].shape[0],
        norm=_NORMS[norm],  # type: ignore[arg-type]
        norm_eps=float(config.get("eps", 1e-5)),
        positions="learned",
        parallel=bool(config.get("parallel_attn_mlp", False)),
        gated=bool(config.get("gated_mlp", False)),
        activation=_ACTIVATIONS[activation],  # type: ignore[arg-type]
        attention_scale=float(config.get("attn_scale", d_head**0.5)) ** -1 if scaled else 1.0,
    )
    weights = DecoderWeights(
        token=state["embed.W_E"],
        position=state["pos_embed.W_pos"],
        layers=tuple(_layer(state, f"blocks.{i}", attention_only, grouped) for i in range(shape.n_layers)),
        final_norm=_norm(state, "ln_final"),
        unembed=state["unembed.W_U"],
        unembed_bias=state.get("unembed.b_U"),
    )
    return Decoder(shape, weights, architecture="neox" if shape.parallel else "gpt2")


def _norm(state: Mapping[str, Tensor], name: str) -> NormWeights:
    return NormWeights(state.get(f"{name}.w"), state.get(f"{name}.b"))


def _layer(state: Mapping[str, Tensor], block: str, attention_only: bool, grouped: bool) -> LayerWeights:
    attention = f"{block}.attn."
    under = "_" if grouped else ""
    weights = LayerWeights(
        attention_norm=_norm(state, f"{block}.ln1"),
        q=state[attention + "W_Q"],
        k=state[f"{attention}{under}W_K"],
        v=state[f"{attention}{under}W_V"],
        o=state[attention + "W_O"],
        q_bias=state.get(attention + "b_Q"),
        k_bias=state.get(f"{attention}{under}b_K"),
        v_bias=state.get(f"{attention}{under}b_V"),
        o_bias=state.get(attention + "b_O"),
    )
    if attention_only:
        return weights
    mlp = f"{block}.mlp."
    gated = mlp + "W_gate" in state
    return LayerWeights(
        **vars(weights)
        | {
            "mlp_norm": _norm(state, f"{block}.ln2"),
            "mlp_in": state[mlp + "W_in"],
            "mlp_in_bias": state.get(mlp + "b_in"),
            "mlp_gate": state[mlp + "W_gate"] if gated else None,
            "mlp_out": state[mlp + "W_out"],
            "mlp_out_bias": state.get(mlp + "b_out"),
        }
    )
