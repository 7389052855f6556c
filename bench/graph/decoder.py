"""The uniform decoder: one plain pre-norm transformer that all models are read into.

The speed of every method rests on it, so it computes what a method needs and nothing else: no
unembedding except at the positions that a metric reads, no parameter gradients, no hooks.
"""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import replace
from functools import cached_property

import torch
from jaxtyping import Float, Int
from torch import Tensor

from ..errors import UsageError
from .config import DecoderConfig
from .cost import count
from .graph import Graph
from .key_values import KeyValueCache
from .layers import Normalised, activate, apply_gain, attend, normalise
from .weights import DecoderWeights, LayerWeights, NormWeights, cast, tensors_in

__all__ = ["Decoder"]


class Decoder:
    """A model: configuration and weights, in one precision on one device.

    Args:
        config: sizes and choices.
        weights: in the layout of `weights.py`.
        architecture: which family of `architectures.ARCHITECTURES` holds the same weights.

    Example:
        >>> from mechboard.ground_truth.mini import model
        >>> decoder, tokens = model.load(), torch.tensor([[0, 7, 3]])
        >>> final = decoder.resume(decoder.embed(tokens))
        >>> torch.equal(decoder.unembed(final), decoder(tokens))
        True
    """

    def __init__(self, config: DecoderConfig, weights: DecoderWeights, *, architecture: str = "gpt2") -> None:
        self.config = config
        self.architecture = architecture
        self._fused: list[Tensor] = []
        self._fused_bias: list[Tensor | None] = []
        layers = tuple(self._fuse(layer) for layer in weights.layers)
        self.weights = replace(weights, layers=layers)

    def _fuse(self, layer: LayerWeights) -> LayerWeights:
        """One [d_model, (heads + 2 kv_heads) d_head] matrix; q, k and v become views of it."""
        d_model, d_head = self.config.d_model, self.config.d_head
        parts = [layer.q, layer.k, layer.v]
        fused = torch.cat([w.permute(1, 0, 2).reshape(d_model, -1) for w in parts], dim=1)
        heads = fused.view(d_model, -1, d_head).permute(1, 0, 2)  # [heads + 2 kv_heads, d_model, d_head]
        q, k, v = torch.split(heads, [w.shape[0] for w in parts])
        biases = [layer.q_bias, layer.k_bias, layer.v_bias]
        bias = None
        if any(b is not None for b in biases):
            absent = (w.new_zeros(w.shape[0] * d_head) for w in parts)
            # [(heads + 2 kv_heads) d_head]
            bias = torch.cat([z if b is None else b.flatten() for b, z in zip(biases, absent, strict=True)])
        self._fused.append(fused)
        self._fused_bias.append(bias)
        return replace(layer, q=q, k=k, v=v)

    @cached_property
    def graph(self) -> Graph:
        """Its graph at the level of query, key and value inputs, at which everything is computed."""
        return Graph.of(self.config)

    @property
    def device(self) -> torch.device:
        """Where the weights are."""
        return self.weights.token.device

    @property
    def dtype(self) -> torch.dtype:
        """Precision of the weights and of everything computed from them."""
        return self.weights.token.dtype

    def to(self, *, device: torch.device | str | None = None, dtype: torch.dtype | None = None) -> Decoder:
        """A copy of the model, also on its own device: what a method does to it, no later problem sees."""
        weights = cast(self.weights, device=device, dtype=dtype)
        return Decoder(self.config, weights, architecture=self.architecture)

    def tensors(self) -> Iterator[Tensor]:
        """All weights. q, k and v of a layer are views of one tensor, which comes alone."""
        held = (self.weights, self._fused, self._fused_bias)
        yield from {tensor.data_ptr(): tensor for tensor in tensors_in(held)}.values()

    # -- pieces of one pass -------------------------------------------------------------------

    def embed(self, tokens: Int[Tensor, "batch tokens"], start: int = 0) -> Float[Tensor, "batch position d_model"]:
        """The `input` node: token embeddings plus learned positions, of the tokens from position `start` on.

        Raises:
            UsageError: more positions than the model has.
        """
        length = tokens.shape[1]
        if length > self.config.n_ctx:
            raise UsageError(
                f"A prompt of {length} tokens was given to a model of {self.config.n_ctx} positions; shorten it."
            )
        x = self.weights.token[tokens[:, start:]]
        if self.weights.position is not None:
            x = x + self.weights.position[start:length]
        return x

    def norm(self, x: Float[Tensor, "*rows d_model"]) -> Normalised:
        """The model's normalisation, before any gain."""
        return normalise(x, self.config.norm, self.config.norm_eps)

    def project(self, layer: int, x: Float[Tensor, "batch position d_model"]) -> tuple[Tensor, Tensor, Tensor]:
        """q, k and v of every *query* head, [batch, position, heads, d_head] each, from a normalised input."""
        config = self.config
        y = x @ self._fused[layer]  # [batch, position, (heads + 2 kv_heads) d_head]
        bias = self._fused_bias[layer]
        if bias is not None:
            y += bias
        heads = y.view(*y.shape[:-1], -1, config.d_head)
        q, k, v = torch.split(heads, [config.n_heads, config.n_kv_heads, config.n_kv_heads], dim=-2)
        return q, self.per_query_head(k, dim=-2), self.per_query_head(v, dim=-2)

    def project_part(
        self, layer: int, part: int, x: Float[Tensor, "batch position d_model"]
    ) -> Float[Tensor, "batch position heads d_head"]:
        """One of q (0), k (1) and v (2) of every query head, from a normalised input."""
        config, bias = self.config, self._fused_bias[layer]
        counts = (config.n_heads, config.n_kv_heads, config.n_kv_heads)
        columns = slice(sum(counts[:part]) * config.d_head, sum(counts[: part + 1]) * config.d_head)
        y = _affine(x, self._fused[layer][:, columns], None if bias is None else bias[columns])
        heads = y.view(*y.shape[:-1], -1, config.d_head)
        return heads if part == 0 else self.per_query_head(heads, dim=-2)

    def per_query_head(self, kv: Tensor, dim: int = 0) -> Tensor:
        """Repeat key/value heads so that each query head has its own (grouped-query attention)."""
        group = self.config.n_heads // self.config.n_kv_heads
        return kv if group == 1 else kv.repeat_interleave(group, dim=dim)

    def attend(
        self, q: Tensor, k: Tensor, v: Tensor, at: Int[Tensor, "batch query"] | None = None
    ) -> Float[Tensor, "batch query heads d_head"]:
        """Causal attention of queries at positions `at`, or at the last ones, to keys of all positions from the first on."""
        return attend(q, k, v, self.config, self.weights.rotary_frequencies, at)

    def write_heads(
        self, layer: int, z: Float[Tensor, "batch position heads d_head"]
    ) -> Float[Tensor, "batch position d_model"]:
        """Sum of all heads' outputs, with the output bias."""
        weights = self.weights.layers[layer]
        out = z.flatten(-2) @ weights.o.flatten(0, 1)
        return out if weights.o_bias is None else out.add_(weights.o_bias)

    def head_input(self, layer: int, x: Float[Tensor, "*rows d_model"]) -> Float[Tensor, "*rows d_model"]:
        """What a layer's q, k and v are projections of when its heads read `x`: normalised, with gain and offset."""
        return apply_gain(self.norm(x).unit, self.weights.layers[layer].attention_norm)

    def read_heads(self, layer: int, x: Float[Tensor, "batch position d_model"]) -> tuple[Tensor, Tensor, Tensor]:
        """q, k and v of a layer when all of its heads read `x`."""
        return self.project(layer, self.head_input(layer, x))

    def attention(
        self, layer: int, x: Float[Tensor, "batch position d_model"], cache: KeyValueCache | None = None
    ) -> Tensor:
        """What a layer's heads add to the residual stream when all of them read `x`."""
        q, k, v = self.read_heads(layer, x)
        if cache is not None:
            k, v = cache.extended(layer, k, v)
        return self.write_heads(layer, self.attend(q, k, v))

    def mlp_pre(self, layer: int, x: Float[Tensor, "*rows d_model"]) -> tuple[Tensor, Tensor | None]:
        """Pre-activations of an MLP and, if it is gated, what multiplies the activations."""
        weights = self.weights.layers[layer]
        assert weights.mlp_in is not None
        up = _affine(x, weights.mlp_in, weights.mlp_in_bias)
        if weights.mlp_gate is None:
            return up, None
        return _affine(x, weights.mlp_gate, weights.mlp_gate_bias), up

    def mlp_post(self, pre: Tensor, multiplier: Tensor | None) -> Tensor:
        """Activations of an MLP."""
        post = activate(pre, self.config.activation)
        return post if multiplier is None else post * multiplier

    def write_mlp(self, layer: int, post: Float[Tensor, "*rows d_mlp"]) -> Float[Tensor, "*rows d_model"]:
        """Output of an MLP."""
        weights = self.weights.layers[layer]
        assert weights.mlp_out is not None
        return _affine(post, weights.mlp_out, weights.mlp_out_bias)

    def mlp(self, layer: int, x: Float[Tensor, "*rows d_model"]) -> Float[Tensor, "*rows d_model"]:
        """What a layer's MLP adds to the residual stream when it reads `x`."""
        unit = apply_gain(self.norm(x).unit, self.weights.layers[layer].mlp_norm)
        return self.write_mlp(layer, self.mlp_post(*self.mlp_pre(layer, unit)))

    def unembed(self, x: Float[Tensor, "*rows d_model"]) -> Float[Tensor, "*rows d_vocab_out"]:
        """Logits of final residual vectors."""
        final: NormWeights = self.weights.final_norm
        return _affine(apply_gain(self.norm(x).unit, final), self.weights.unembed, self.weights.unembed_bias)

    def after_heads(
        self, layer: int, x: Float[Tensor, "batch position d_model"], written: Float[Tensor, "batch position d_model"]
    ) -> Float[Tensor, "batch position d_model"]:
        """The residual stream behind a layer that reads `x` and whose heads have written `written`."""
        mid = x + written
        return mid + self.mlp(layer, x if self.config.parallel else mid) if self.config.has_mlp else mid

    # -- whole passes -------------------------------------------------------------------------

    def resume(
        self, x: Float[Tensor, "batch position d_model"], layer: int = 0, cache: KeyValueCache | None = None
    ) -> Float[Tensor, "batch position d_model"]:
        """Final residual stream, from the residual stream that enters `layer`. Cost: one forward.

        With a cache, `x` is of the positions behind those in it, to which it is added.
        """
        count(forward=x.shape[0])
        for index in range(layer, self.config.n_layers):
            x = self.after_heads(index, x, self.attention(index, x, cache))
        return x

    @torch.no_grad()
    def __call__(self, tokens: Int[Tensor, "batch position"]) -> Float[Tensor, "batch position d_vocab_out"]:
        """Logits at all positions."""
        return self.unembed(self.resume(self.embed(tokens)))


def _affine(x: Tensor, matrix: Tensor, bias: Tensor | None) -> Tensor:
    y = x @ matrix
    return y if bias is None else y.add_(bias)
