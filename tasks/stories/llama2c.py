"""Reads a checkpoint in llama2.c's format and writes it as a Hugging Face Llama folder.

The file is seven int32 (dim, hidden dim, layers, heads, key/value heads, vocabulary, positions; a negative
vocabulary means that the output matrix is stored too), then float32 arrays, each kind for all layers:
embedding, attention norms, wq, wk, wv, wo, MLP norms, w1 (gate), w2 (down), w3 (up), final norm, two tables
of rotary cosines and sines. llama2.c rotates neighbouring pairs, Hugging Face halves, so rows of wq and wk
change places.
"""

from __future__ import annotations

import json
import struct
from collections.abc import Iterator
from pathlib import Path

import torch
from safetensors.torch import save_file
from torch import Tensor

from mechboard.errors import ModelError

_HEADER = struct.Struct("7i")


def convert(source: Path, target: Path) -> None:
    """Write `config.json` and `model.safetensors` into `target`.

    Raises:
        ModelError: the file's size does not fit its header.
    """
    raw = source.read_bytes()
    if len(raw) < _HEADER.size:
        raise ModelError(f"{str(source)!r} is too short for a llama2.c checkpoint; fetch it again.")
    dim, hidden, layers, heads, kv_heads, signed_vocabulary, positions = _HEADER.unpack_from(raw)
    vocabulary, tied = abs(signed_vocabulary), signed_vocabulary > 0
    d_head = dim // max(heads, 1)
    kv = kv_heads * d_head
    shapes = {
        "embed": (vocabulary, dim), "norm1": (layers, dim), "q": (layers, dim, dim), "k": (layers, kv, dim),
        "v": (layers, kv, dim), "o": (layers, dim, dim), "norm2": (layers, dim), "gate": (layers, hidden, dim),
        "down": (layers, dim, hidden), "up": (layers, hidden, dim), "norm": (dim,), "cos": (positions, d_head // 2),
        "sin": (positions, d_head // 2),
    }  # fmt: skip
    if not tied:
        shapes["head"] = (vocabulary, dim)
    wanted = _HEADER.size + 4 * sum(torch.Size(shape).numel() for shape in shapes.values())
    if min(dim, hidden, layers, heads, kv_heads, vocabulary, positions) < 1 or len(raw) != wanted:
        raise ModelError(
            f"{str(source)!r} has {len(raw)} bytes, its header asks for {wanted}; it is no llama2.c checkpoint."
        )
    arrays = dict(_split(torch.frombuffer(bytearray(raw[_HEADER.size :]), dtype=torch.float32), shapes))
    tensors = {"model.embed_tokens.weight": arrays["embed"], "model.norm.weight": arrays["norm"]}
    if not tied:
        tensors["lm_head.weight"] = arrays["head"]
    for i in range(layers):
        block = f"model.layers.{i}."
        tensors |= {
            block + "input_layernorm.weight": arrays["norm1"][i],
            block + "post_attention_layernorm.weight": arrays["norm2"][i],
            block + "self_attn.q_proj.weight": _halves(arrays["q"][i], heads),
            block + "self_attn.k_proj.weight": _halves(arrays["k"][i], kv_heads),
            block + "self_attn.v_proj.weight": arrays["v"][i],
            block + "self_attn.o_proj.weight": arrays["o"][i],
            block + "mlp.gate_proj.weight": arrays["gate"][i],
            block + "mlp.down_proj.weight": arrays["down"][i],
            block + "mlp.up_proj.weight": arrays["up"][i],
        }
    config = _config(dim, hidden, layers, heads, kv_heads, vocabulary, positions, tied=tied)
    (target / "config.json").write_text(json.dumps(config, indent=1) + "\n", encoding="utf-8")
    save_file({name: t.contiguous() for name, t in tensors.items()}, target / "model.safetensors", {"format": "pt"})


def _config(
    dim: int, hidden: int, layers: int, heads: int, kv_heads: int, vocabulary: int, positions: int, *, tied: bool
) -> dict[str, object]:
    return {
        "architectures": ["LlamaForCausalLM"], "model_type": "llama", "hidden_size": dim, "intermediate_size": hidden,
        "num_hidden_layers": layers, "num_attention_heads": heads, "num_key_value_heads": kv_heads, "head_dim": dim // heads,
        "vocab_size": vocabulary, "max_position_embeddings": positions, "rms_norm_eps": 1e-5, "hidden_act": "silu",
        "rope_parameters": {"rope_type": "default", "rope_theta": 10000.0}, "tie_word_embeddings": tied,
        "bos_token_id": 1, "eos_token_id": 2, "dtype": "float32",
    }  # fmt: skip


def _split(flat: Tensor, shapes: dict[str, tuple[int, ...]]) -> Iterator[tuple[str, Tensor]]:
    start = 0
    for name, shape in shapes.items():
        size = torch.Size(shape).numel()
        yield name, flat[start : start + size].view(shape)
        start += size


def _halves(matrix: Tensor, heads: int) -> Tensor:
    """Rows of each head from pair order (0, 1), (2, 3), ... to halves (0, 2, ...), (1, 3, ...)."""
    rows, columns = matrix.shape
    return matrix.view(heads, rows // heads // 2, 2, columns).transpose(1, 2).reshape(rows, columns)
