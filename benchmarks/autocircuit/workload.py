"""What both sides are given: one random model and one set of random prompt pairs, as files.

Imports torch and safetensors alone, because it is read in two environments. Weights carry TransformerLens' names and
are drawn as its `gpt2` initialisation does (deviation 0.8 / sqrt(d_model)); normalisation is folded, as AutoCircuit's own
loader does it. Clean and corrupt prompts are random tokens; they share their first tokens where the shape says so.
"""

from __future__ import annotations

import json
from collections.abc import Iterator
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import Any

import torch
from safetensors.torch import load_file, save_file
from torch import Tensor


@dataclass(frozen=True, kw_only=True)
class Shape:
    """Sizes of a model and its prompts; `tau` is the threshold at which ACDC is compared."""

    layers: int
    heads: int
    d_model: int
    d_mlp: int
    vocabulary: int
    prompts: int
    tokens: int
    shared: int
    tau: float


_GPT2 = {"layers": 12, "heads": 12, "d_model": 768, "d_mlp": 3072, "vocabulary": 50257, "prompts": 20, "tau": 1e-3}
_DOCSTRING = {"layers": 4, "heads": 8, "d_model": 512, "d_mlp": 0, "vocabulary": 48262, "prompts": 10, "tau": 2e-3}

SHAPES = {
    "docstring": Shape(**_DOCSTRING, tokens=41, shared=0),  # type: ignore[arg-type]
    "docstring-prefix": Shape(**_DOCSTRING, tokens=41, shared=9),  # type: ignore[arg-type]
    "gpt2-small": Shape(**_GPT2, tokens=15, shared=0),  # type: ignore[arg-type]
    "gpt2-small-prefix": Shape(**_GPT2, tokens=12, shared=7),  # type: ignore[arg-type]
    "gpt2-small-mask": Shape(**_GPT2 | {"prompts": 10}, tokens=49, shared=0),  # type: ignore[arg-type]
    "tiny": Shape(
        layers=2, heads=2, d_model=16, d_mlp=32, vocabulary=50, prompts=4, tokens=6, shared=2, tau=1e-3
    ),
}  # fmt: skip


@dataclass(frozen=True)
class Workload:
    """A model and its prompt pairs, read back."""

    shape: Shape
    state: dict[str, Tensor]
    prompts: dict[str, Tensor]

    @property
    def config(self) -> dict[str, Any]:
        """The configuration by TransformerLens' names."""
        shape = self.shape
        return {
            "n_layers": shape.layers,
            "n_heads": shape.heads,
            "d_model": shape.d_model,
            "d_head": shape.d_model // shape.heads,
            "d_mlp": shape.d_mlp or None,
            "d_vocab": shape.vocabulary,
            "n_ctx": 64,
            "act_fn": "gelu_new" if shape.d_mlp else None,
            "attn_only": not shape.d_mlp,
            "normalization_type": "LNPre",
        }


def make(folder: Path, shape: Shape, seed: int) -> None:
    """Draw weights and prompts into `folder`."""
    generator = torch.Generator().manual_seed(seed)
    deviation = 0.8 / shape.d_model**0.5
    state = {name: torch.randn(*size, generator=generator) * deviation for name, size in _weights(shape)}

    def tokens(*size: int) -> Tensor:
        return torch.randint(shape.vocabulary, size, generator=generator)

    clean, corrupt = tokens(shape.prompts, shape.tokens), tokens(shape.prompts, shape.tokens)
    corrupt[:, : shape.shared] = clean[:, : shape.shared]
    prompts = {"clean": clean, "corrupt": corrupt, "answer": tokens(shape.prompts), "wrong": tokens(shape.prompts)}
    save_file(state, folder / "weights.safetensors")
    save_file(prompts, folder / "prompts.safetensors")
    (folder / "shape.json").write_text(json.dumps(asdict(shape)), encoding="utf-8")


def read(folder: Path) -> Workload:
    """What `make` wrote."""
    shape = Shape(**json.loads((folder / "shape.json").read_text(encoding="utf-8")))
    return Workload(shape, load_file(folder / "weights.safetensors"), load_file(folder / "prompts.safetensors"))


def _weights(shape: Shape) -> Iterator[tuple[str, tuple[int, ...]]]:
    d_model, d_head = shape.d_model, shape.d_model // shape.heads
    yield "embed.W_E", (shape.vocabulary, d_model)
    yield "pos_embed.W_pos", (64, d_model)
    for layer in range(shape.layers):
        attention = f"blocks.{layer}.attn."
        for name in "QKV":
            yield f"{attention}W_{name}", (shape.heads, d_model, d_head)
            yield f"{attention}b_{name}", (shape.heads, d_head)
        yield f"{attention}W_O", (shape.heads, d_head, d_model)
        yield f"{attention}b_O", (d_model,)
        if shape.d_mlp:
            mlp = f"blocks.{layer}.mlp."
            yield f"{mlp}W_in", (d_model, shape.d_mlp)
            yield f"{mlp}b_in", (shape.d_mlp,)
            yield f"{mlp}W_out", (shape.d_mlp, d_model)
            yield f"{mlp}b_out", (d_model,)
    yield "unembed.W_U", (d_model, shape.vocabulary)
    yield "unembed.b_U", (shape.vocabulary,)
