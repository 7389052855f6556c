"""A small GPT-2-shaped transformer in which every head-level edge can be patched, with gradients.

For training only. It computes what `mechboard.graph.Decoder` computes from the same weights, which
training checks before it saves.
"""

from __future__ import annotations

import math

import torch
import torch.nn.functional as F
from jaxtyping import Float, Int
from torch import Tensor, nn

from mechboard.graph import Decoder, DecoderConfig
from mechboard.graph.weights import DecoderWeights, LayerWeights, NormWeights

Nodes = Float[Tensor, "sources batch position d_model"]


class PatchedTransformer(nn.Module):
    """Layers x heads with MLPs, LayerNorm, learned positions; reads the last position only."""

    def __init__(self, *, vocabulary: int, length: int, layers: int = 3, heads: int = 4, d_model: int = 64) -> None:
        super().__init__()
        self.heads, self.d_head = heads, d_model // heads
        self.config = DecoderConfig(
            n_layers=layers,
            n_heads=heads,
            n_kv_heads=heads,
            d_model=d_model,
            d_head=d_model // heads,
            d_mlp=4 * d_model,
            d_vocab=vocabulary,
            d_vocab_out=vocabulary,
            n_ctx=length,
            norm="layer",
            norm_eps=1e-5,
            positions="learned",
            parallel=False,
            gated=False,
            activation="gelu_new",
            attention_scale=(d_model // heads) ** -0.5,
        )
        self.token = nn.Parameter(torch.randn(vocabulary, d_model) * 0.5)
        self.position = nn.Parameter(torch.randn(length, d_model) * 0.5)
        self._blocks = [_Block(heads, d_model, layers) for _ in range(layers)]
        self.blocks = nn.ModuleList(self._blocks)
        self.final_norm = nn.LayerNorm(d_model)
        self.unembed = nn.Parameter(torch.randn(d_model, vocabulary) / math.sqrt(d_model))

    def forward(
        self,
        tokens: Int[Tensor, "batch position"],
        *,
        ablated: Float[Tensor, "sources *rows d_model"] | None = None,
        patched: Float[Tensor, "sources destinations"] | None = None,
        swap: tuple[int, Tensor] | None = None,
    ) -> tuple[Float[Tensor, "batch vocabulary"], Nodes]:
        """Logits at the last position and every node's output.

        `patched` (1 = carry `ablated`) is a dense head-level edge set; `ablated` is for each prompt and position, or 1 x 1 for all;
        `swap` replaces one node's output.
        """
        nodes = [self._swapped(0, self.token[tokens] + self.position[: tokens.shape[1]], swap)]
        column = 0

        def inputs(count: int) -> Tensor:
            """What the next `count` destinations read, [count, batch, position, d_model]."""
            nonlocal column
            stacked = torch.stack(nodes)
            whole = stacked.sum(0)
            if patched is None or ablated is None:
                return whole.expand(count, *whole.shape)
            chosen = patched[: len(nodes), column : column + count]
            column += count
            return whole + torch.einsum("sc,sbpd->cbpd", chosen, ablated[: len(nodes)] - stacked)

        for block in self._blocks:
            for out in block.attend(inputs(self.heads)):
                nodes.append(self._swapped(len(nodes), out, swap))
            nodes.append(self._swapped(len(nodes), block.mlp(inputs(1)[0]), swap))
        final = inputs(1)[0][:, -1]
        return self.final_norm(final) @ self.unembed, torch.stack(nodes)

    @staticmethod
    def _swapped(row: int, out: Tensor, swap: tuple[int, Tensor] | None) -> Tensor:
        return swap[1] if swap is not None and swap[0] == row else out

    @torch.no_grad()
    def take(self, decoder: Decoder) -> PatchedTransformer:
        """Copy a decoder's weights; words and positions that it has not keep theirs."""
        w = decoder.weights
        assert w.position is not None
        assert w.final_norm is not None
        _copy(
            (self.token[: len(w.token)], w.token),
            (self.position[: len(w.position)], w.position),
            (self.unembed[:, : w.unembed.shape[1]], w.unembed),
            (self.final_norm.weight, w.final_norm.gain),
            (self.final_norm.bias, w.final_norm.offset),
        )
        for block, layer in zip(self._blocks, w.layers, strict=True):
            block.take(layer)
        return self

    def decoder(self) -> Decoder:
        """The same weights in the uniform decoder."""
        weights = DecoderWeights(
            token=self.token,
            position=self.position,
            layers=tuple(block.weights() for block in self._blocks),
            final_norm=NormWeights(self.final_norm.weight, self.final_norm.bias),
            unembed=self.unembed,
        )
        return Decoder(self.config, weights).to(dtype=torch.float32)


class _Block(nn.Module):
    def __init__(self, heads: int, d_model: int, layers: int) -> None:
        super().__init__()
        d_head = d_model // heads
        spread = 1 / math.sqrt(d_model)
        self.norm1, self.norm2 = nn.LayerNorm(d_model), nn.LayerNorm(d_model)
        self.qkv = nn.Parameter(torch.randn(3, heads, d_model, d_head) * spread)
        self.qkv_bias = nn.Parameter(torch.zeros(3, heads, d_head))
        self.o = nn.Parameter(torch.randn(heads, d_head, d_model) * spread / math.sqrt(2 * layers))
        self.o_bias = nn.Parameter(torch.zeros(d_model))
        self.w_in = nn.Linear(d_model, 4 * d_model)
        self.w_out = nn.Linear(4 * d_model, d_model)
        nn.init.normal_(self.w_out.weight, std=0.5 * spread / math.sqrt(2 * layers))

    def attend(self, x: Float[Tensor, "heads batch position d_model"]) -> Tensor:
        x = self.norm1(x)
        q, k, v = (torch.einsum("hbpd,hde->bhpe", x, self.qkv[i]) + self.qkv_bias[i][None, :, None] for i in range(3))
        z = F.scaled_dot_product_attention(q, k, v, is_causal=True)
        return torch.einsum("bhpe,hed->hbpd", z, self.o) + self.o_bias / len(self.o)

    def mlp(self, x: Tensor) -> Tensor:
        out: Tensor = self.w_out(F.gelu(self.w_in(self.norm2(x)), approximate="tanh"))
        return out

    def take(self, layer: LayerWeights) -> None:
        assert layer.mlp_norm is not None
        assert layer.mlp_in is not None
        assert layer.mlp_out is not None
        _copy(
            (self.norm1.weight, layer.attention_norm.gain),
            (self.norm1.bias, layer.attention_norm.offset),
            (self.qkv[0], layer.q),
            (self.qkv[1], layer.k),
            (self.qkv[2], layer.v),
            (self.qkv_bias[0], layer.q_bias),
            (self.qkv_bias[1], layer.k_bias),
            (self.qkv_bias[2], layer.v_bias),
            (self.o, layer.o),
            (self.o_bias, layer.o_bias),
            (self.norm2.weight, layer.mlp_norm.gain),
            (self.norm2.bias, layer.mlp_norm.offset),
            (self.w_in.weight, layer.mlp_in.T),
            (self.w_in.bias, layer.mlp_in_bias),
            (self.w_out.weight, layer.mlp_out.T),
            (self.w_out.bias, layer.mlp_out_bias),
        )

    def weights(self) -> LayerWeights:
        return LayerWeights(
            attention_norm=NormWeights(self.norm1.weight, self.norm1.bias),
            q=self.qkv[0],
            k=self.qkv[1],
            v=self.qkv[2],
            o=self.o,
            q_bias=self.qkv_bias[0],
            k_bias=self.qkv_bias[1],
            v_bias=self.qkv_bias[2],
            o_bias=self.o_bias,
            mlp_norm=NormWeights(self.norm2.weight, self.norm2.bias),
            mlp_in=self.w_in.weight.T,
            mlp_in_bias=self.w_in.bias,
            mlp_out=self.w_out.weight.T,
            mlp_out_bias=self.w_out.bias,
        )


def _copy(*pairs: tuple[Tensor, Tensor | None]) -> None:
    for ours, theirs in pairs:
        assert theirs is not None
        ours.copy_(theirs)
