"""The shape of a decoder: every choice the uniform decoder knows, and nothing about its weights."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Literal

__all__ = ["Activation", "DecoderConfig", "Norm", "Positions"]

Norm = Literal["layer", "rms", "none"]
Positions = Literal["learned", "rotary", "none"]
Activation = Literal["gelu", "gelu_new", "relu", "silu"]


@dataclass(frozen=True, kw_only=True)
class DecoderConfig:
    """Sizes and choices of one pre-norm decoder.

    `d_mlp = 0` means attention-only. With `parallel`, attention and MLP of a layer both read the
    layer's input (GPT-NeoX); otherwise the MLP reads what attention left (GPT-2, Llama).
    `attention_scale` multiplies q.k. `rotary_dim` is the leading part of each head that rotates.
    """

    n_layers: int
    n_heads: int
    n_kv_heads: int
    d_model: int
    d_head: int
    d_mlp: int
    d_vocab: int
    d_vocab_out: int
    n_ctx: int
    norm: Norm
    norm_eps: float
    positions: Positions
    parallel: bool
    gated: bool
    activation: Activation
    attention_scale: float
    rotary_dim: int = 0

    @property
    def has_mlp(self) -> bool:
        """Whether layers have an MLP."""
        return self.d_mlp > 0
