"""The weights of a decoder, in the one layout that the rest of `mechboard.graph` reads, and the sizes they imply.

__all__ = ["DecoderWeights", "LayerWeights", "NormWeights", "cast", "config_for", "named", "tensors_in", "with_tensors"]

Layout: every matrix maps rows to columns of `x @ W`, heads come first where a matrix is per head.
A bias or norm parameter that a model lacks is None, so that absence costs nothing.
"""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from dataclasses import dataclass, fields, replace
from typing import Any, TypeVar

import torch
from jaxtyping import Float
from torch import Tensor

from ..errors import UsageError
from .config import Activation, DecoderConfig, Norm

_T = TypeVar("_T", "LayerWeights", "DecoderWeights", "NormWeights")


@dataclass(frozen=True)
class NormWeights:
    """Gain and offset of one normalisation; None for 1 and 0."""

    gain: Float[Tensor, " d_model"] | None = None
    offset: Float[Tensor, " d_model"] | None = None


@dataclass(frozen=True)
class LayerWeights:
    """One block. `q`, `k`, `v` are [heads, d_model, d_head]; `o` is [heads, d_head, d_model]."""

    attention_norm: NormWeights
    q: Float[Tensor, "heads d_model d_head"]
    k: Float[Tensor, "kv_heads d_model d_head"]
    v: Float[Tensor, "kv_heads d_model d_head"]
    o: Float[Tensor, "heads d_head d_model"]
    q_bias: Float[Tensor, "heads d_head"] | None = None
    k_bias: Float[Tensor, "kv_heads d_head"] | None = None
    v_bias: Float[Tensor, "kv_heads d_head"] | None = None
    o_bias: Float[Tensor, " d_model"] | None = None
    mlp_norm: NormWeights = NormWeights()
    mlp_in: Float[Tensor, "d_model d_mlp"] | None = None
    mlp_gate: Float[Tensor, "d_model d_mlp"] | None = None
    mlp_out: Float[Tensor, "d_mlp d_model"] | None = None
    mlp_in_bias: Float[Tensor, " d_mlp"] | None = None
    mlp_gate_bias: Float[Tensor, " d_mlp"] | None = None
    mlp_out_bias: Float[Tensor, " d_model"] | None = None


@dataclass(frozen=True)
class DecoderWeights:
    """All weights. `position` is the learned table; `rotary_frequencies` the rotary ones (radians per token)."""

    token: Float[Tensor, "d_vocab d_model"]
    layers: tuple[LayerWeights, ...]
    final_norm: NormWeights
    unembed: Float[Tensor, "d_model d_vocab_out"]
    unembed_bias: Float[Tensor, " d_vocab_out"] | None = None
    position: Float[Tensor, "n_ctx d_model"] | None = None
    rotary_frequencies: Float[Tensor, " half_rotary_dim"] | None = None


def config_for(
    weights: DecoderWeights,
    *,
    n_ctx: int,
    norm: Norm,
    norm_eps: float,
    activation: Activation,
    parallel: bool = False,
    attention_scale: float | None = None,
) -> DecoderConfig:
    """The configuration of a decoder with these weights: sizes are theirs, the rest is said.

    Args:
        weights: all weights; of the layers, the first speaks for all.
        n_ctx: most tokens of a prompt.
        norm: the normalisation, which the weights do not tell.
        norm_eps: what it adds to the variance.
        activation: of the MLP; any where there is none.
        parallel: whether attention and MLP of a layer both read the layer's input.
        attention_scale: what multiplies q.k; 1 / sqrt(d_head) unless given.
    """
    layer, frequencies = weights.layers[0], weights.rotary_frequencies
    d_head = layer.q.shape[2]
    return DecoderConfig(
        n_layers=len(weights.layers),
        n_heads=layer.q.shape[0],
        n_kv_heads=layer.k.shape[0],
        d_model=layer.q.shape[1],
        d_head=d_head,
        d_mlp=0 if layer.mlp_in is None else layer.mlp_in.shape[1],
        d_vocab=weights.token.shape[0],
        d_vocab_out=weights.unembed.shape[1],
        n_ctx=n_ctx,
        norm=norm,
        norm_eps=norm_eps,
        positions="learned" if weights.position is not None else "none" if frequencies is None else "rotary",
        parallel=parallel,
        gated=layer.mlp_gate is not None,
        activation=activation,
        attention_scale=d_head**-0.5 if attention_scale is None else attention_scale,
        rotary_dim=0 if frequencies is None else 2 * len(frequencies),
    )


def tensors_in(value: Any) -> Iterator[Tensor]:
    """Every tensor in weights, or in lists and tuples of them."""
    if isinstance(value, Tensor):
        yield value
    elif isinstance(value, list | tuple):
        for item in value:
            yield from tensors_in(item)
    elif isinstance(value, DecoderWeights | LayerWeights | NormWeights):
        for f in fields(value):
            yield from tensors_in(getattr(value, f.name))


def cast(weights: _T, *, device: torch.device | str | None, dtype: torch.dtype | None) -> _T:
    """A copy of the weights, contiguous and detached, on another device or in another precision."""

    def convert(value: Any) -> Any:
        if isinstance(value, Tensor):
            return value.detach().to(device=device, dtype=dtype, copy=True).contiguous()
        if isinstance(value, NormWeights):
            return cast(value, device=device, dtype=dtype)
        if isinstance(value, LayerWeights):
            return cast(value, device=device, dtype=dtype)
        if isinstance(value, tuple):
            return tuple(convert(item) for item in value)
        return value

    return replace(weights, **{f.name: convert(getattr(weights, f.name)) for f in fields(weights)})


def named(weights: Any, prefix: str = "") -> Iterator[tuple[str, Tensor]]:
    """Every weight by name, such as `layers.0.attention_norm.gain`; rotary frequencies are no weights.

    >>> norm = NormWeights(gain=torch.ones(2))
    >>> [name for name, _ in named(norm)]
    ['gain']
    """
    for f in fields(weights):
        value, name = getattr(weights, f.name), prefix + f.name
        if isinstance(value, tuple):
            for index, layer in enumerate(value):
                yield from named(layer, f"{name}.{index}.")
        elif isinstance(value, NormWeights):
            yield from named(value, f"{name}.")
        elif isinstance(value, Tensor) and f.name != "rotary_frequencies":
            yield name, value


def with_tensors(weights: DecoderWeights, tensors: Mapping[str, Tensor]) -> DecoderWeights:
    """The weights with others in place of those that are named.

    Raises:
        UsageError: a name is none of theirs, or its tensor has another shape.
    """
    shapes = {name: tensor.shape for name, tensor in named(weights)}
    for name, tensor in tensors.items():
        if shapes.get(name) != tensor.shape:
            raise UsageError(
                f"Weight {name!r} of shape {tuple(tensor.shape)} was given; valid: "
                + (f"shape {tuple(shapes[name])}." if name in shapes else f"{', '.join(list(shapes)[:3])}, ...")
            )

    def put(part: _T, prefix: str) -> _T:
        changed: dict[str, Any] = {}
        for f in fields(part):
            value, name = getattr(part, f.name), prefix + f.name
            if isinstance(value, tuple):
                changed[f.name] = tuple(put(layer, f"{name}.{index}.") for index, layer in enumerate(value))
            elif isinstance(value, NormWeights):
                changed[f.name] = put(value, f"{name}.")
            elif name in tensors:
                changed[f.name] = tensors[name]
        return replace(part, **changed)

    return put(weights, "")
