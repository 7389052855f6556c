"""Weights from a TransformerLens-native state dict (`embed.W_E`, `blocks.0.attn.W_Q`, ...).

Reads the arrays alone, so it needs no TransformerLens and serves checkpoints of every version.
"""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any, get_args

from torch import Tensor

from mechboard.errors import ModelError
from mechboard.graph.config import Activation, Norm
from mechboard.graph.decoder import Decoder
from mechboard.graph.weights import DecoderWeights, LayerWeights, NormWeights, config_for

__all__ = ["from_transformer_lens"]

_NORMS: dict[str | None, Norm] = {"LN": "layer", "LNPre": "layer", "RMS": "rms", "RMSPre": "rms", None: "none"}
_NO_MLP: Activation = "relu"  # for a model that names none; nothing reads it


def from_transformer_lens(state: Mapping[str, Tensor], config: Mapping[str, Any]) -> Decoder:
    """A decoder from a native state dict and its configuration.

    Args:
        state: weights by TransformerLens' names.
        config: `HookedTransformerConfig.to_dict()` of the model, or as much of it as says something.

    Raises:
        ModelError: the configuration asks for something that the uniform decoder does not compute.
    """
    norm, activation = config.get("normalization_type"), config.get("act_fn") or _NO_MLP
    positions = config.get("positional_embedding_type", "standard")
    if norm not in _NORMS or positions != "standard" or activation not in get_args(Activation):
        raise ModelError(
            f"A TransformerLens model with normalization_type={norm!r}, positional_embedding_type={positions!r}, "
            f"act_fn={activation!r} cannot be read; valid are {sorted(filter(None, _NORMS))}, 'standard' and "
            f"{sorted(get_args(Activation))}; load it from its Hugging Face checkpoint instead."
        )
    attention_only = bool(config.get("attn_only", False))
    # `_W_K` holds the key heads of a grouped-query model; `W_K` there repeats them.
    grouped = "blocks.0.attn._W_K" in state
    weights = DecoderWeights(
        token=state["embed.W_E"],
        position=state["pos_embed.W_pos"],
        layers=tuple(_layer(state, f"blocks.{i}", attention_only, grouped) for i in range(int(config["n_layers"]))),
        final_norm=_norm(state, "ln_final"),
        unembed=state["unembed.W_U"],
        unembed_bias=state.get("unembed.b_U"),
    )
    divisor = config.get("attn_scale", int(config["d_head"]) ** 0.5) if config.get("use_attn_scale", True) else 1.0
    parallel = bool(config.get("parallel_attn_mlp", False))
    shape = config_for(
        weights,
        n_ctx=len(state["pos_embed.W_pos"]),
        norm=_NORMS[norm],
        norm_eps=float(config.get("eps", 1e-5)),  # what TransformerLens takes where nothing is said
        activation=activation,
        parallel=parallel,
        attention_scale=float(divisor) ** -1,
    )
    return Decoder(shape, weights, architecture="neox" if parallel else "gpt2")


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
