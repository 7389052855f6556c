"""Weight processing: the same function in other weights, as TransformerLens makes by default.

`folded` is four rewritings, each of which leaves the log-probabilities as they are:

    gain and offset of each normalisation go into the weights that read it           fold_ln
    what writes to the stream is centred over d_model; LayerNorm removes the mean     center_writing_weights
    the unembedding is centred over the vocabulary; softmax removes the mean          center_unembed
    value biases go into the output bias; attention patterns add up to one            fold_value_biases

What it changes. Weights, so whatever looks at weights; norms of activations; a logit by itself, though no difference of two
logits and no probability. What it cannot change: the effect of an edge under resample or mean ablation, hence exact
patching, EAP, EAP-IG, ACDC and faithfulness with such a metric. An edge's difference loses its mean over d_model and what is
the same in both runs cancels; its gradient has no mean to meet, since it comes out of a LayerNorm. Under zero ablation
a head's value bias belongs to the head or, folded, to nobody, and there scores do change.

RMSNorm keeps the mean and a model without norms has nothing that removes one, so there nothing that writes is centred.
Source: TransformerLens, `ProcessWeights.process_weights`, `HookedTransformer.from_pretrained`.
"""

from __future__ import annotations

from dataclasses import replace
from typing import Any, Literal, get_args

from jaxtyping import Float
from torch import Tensor

from ..errors import UsageError
from .decoder import Decoder
from .weights import DecoderWeights, LayerWeights, NormWeights

__all__ = ["Processing", "process"]

Processing = Literal["none", "folded"]


def process(decoder: Decoder, processing: str) -> Decoder:
    """The decoder with its weights processed; itself for `none`.

    Raises:
        UsageError: there is no such processing.
    """
    if processing == "none":
        return decoder
    if processing != "folded":
        raise UsageError(f"Weight processing {processing!r} was given; valid: {', '.join(get_args(Processing))}.")
    weights, centred = decoder.weights, decoder.config.norm == "layer"
    unembed, unembed_bias = _read(weights.unembed, weights.unembed_bias, weights.final_norm, centred=centred)
    assert unembed is not None
    folded = DecoderWeights(
        token=_centre(weights.token) if centred else weights.token,
        position=_centre(weights.position) if centred and weights.position is not None else weights.position,
        layers=tuple(_layer(decoder, layer, centred=centred) for layer in weights.layers),
        final_norm=NormWeights(),
        unembed=_centre(unembed),
        unembed_bias=None if unembed_bias is None else _centre(unembed_bias),
        rotary_frequencies=weights.rotary_frequencies,
    )
    return Decoder(decoder.config, folded, architecture=decoder.architecture)


def _layer(decoder: Decoder, layer: LayerWeights, *, centred: bool) -> LayerWeights:
    norm = layer.attention_norm
    q, q_bias = _read(layer.q, layer.q_bias, norm, centred=centred)
    k, k_bias = _read(layer.k, layer.k_bias, norm, centred=centred)
    v, v_bias = _read(layer.v, layer.v_bias, norm, centred=centred)
    mlp_in, mlp_in_bias = _read(layer.mlp_in, layer.mlp_in_bias, layer.mlp_norm, centred=centred)
    mlp_gate, mlp_gate_bias = _read(layer.mlp_gate, layer.mlp_gate_bias, layer.mlp_norm, centred=centred)
    o_bias = layer.o_bias
    if v_bias is not None:
        from_values = decoder.per_query_head(v_bias).flatten() @ layer.o.flatten(0, 1)
        o_bias = from_values if o_bias is None else o_bias + from_values
    written: dict[str, Any] = {
        "o": layer.o,
        "o_bias": o_bias,
        "mlp_out": layer.mlp_out,
        "mlp_out_bias": layer.mlp_out_bias,
    }
    if centred:
        written = {name: None if weight is None else _centre(weight) for name, weight in written.items()}
    read: dict[str, Any] = {
        "q": q, "q_bias": q_bias, "k": k, "k_bias": k_bias, "v": v, "v_bias": None,
        "mlp_in": mlp_in, "mlp_in_bias": mlp_in_bias, "mlp_gate": mlp_gate, "mlp_gate_bias": mlp_gate_bias,
    }  # fmt: skip
    return replace(layer, attention_norm=NormWeights(), mlp_norm=NormWeights(), **read, **written)


def _read(
    matrix: Float[Tensor, "*heads d_model out"] | None,
    bias: Float[Tensor, "*heads out"] | None,
    norm: NormWeights,
    *,
    centred: bool,
) -> tuple[Tensor | None, Tensor | None]:
    """A matrix and bias that read `norm`, such that they read it without its gain and offset."""
    if matrix is None:
        return None, bias
    if norm.offset is not None:
        offset = norm.offset @ matrix
        bias = offset if bias is None else bias + offset
    if norm.gain is not None:
        matrix = matrix * norm.gain[:, None]
    return (matrix - matrix.mean(-2, keepdim=True) if centred else matrix), bias


def _centre(weight: Float[Tensor, "*rows columns"]) -> Float[Tensor, "*rows columns"]:
    return weight - weight.mean(-1, keepdim=True)
