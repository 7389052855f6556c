"""The models of the paper tier as assets, and how a folder of one becomes a decoder.

`gpt2`                  openai-community/gpt2: config.json, model.safetensors (548 MB), vocab.json, merges.txt. The two files
                        of the vocabulary are all that its tokenizer is; a tokenizer.json would say the same again.
`attn-only-4l`          NeelNanda/Attn_Only_4L512W_C4_Code, a checkpoint in TransformerLens' own format: config.json and a
                        state dict, which TransformerLens takes from the file that ends in `final.pth`
                        (`loading_from_pretrained.get_pretrained_state_dict`, 3.9). Converted to model.safetensors and a
                        config.json that `graph.tl_weights` reads.
`tokenizer-neox-digits` NeelNanda/gpt-neox-tokenizer-digits, the tokenizer that the former's config.json names.

Weights are read as they are: TransformerLens folds norms and centres weights when it loads them by default, which is no
property of a checkpoint but of a task.
"""

from __future__ import annotations

import json
import pickle
from collections.abc import Mapping
from pathlib import Path
from typing import Any

import torch
from safetensors.torch import load_file, save_file
from torch import Tensor

from mechboard.assets import Asset, place
from mechboard.errors import ModelError
from mechboard.graph.decoder import Decoder
from mechboard.graph.hf import load_checkpoint
from mechboard.graph.tl_weights import from_transformer_lens

_MODEL = ("config.json", "model.safetensors")
_CHECKPOINT, _DIGITS = "model_final.pth", "NeelNanda/gpt-neox-tokenizer-digits"
_MASKS = (".mask", ".IGNORE")  # buffers of TransformerLens' attention


def placed(downloaded: Mapping[str, Path], target: Path) -> None:
    """The folder of an asset whose files are those of the hub."""
    for name, path in downloaded.items():
        place(path, target / name)


def convert_native(downloaded: Mapping[str, Path], target: Path) -> None:
    """Write a TransformerLens-native checkpoint as `model.safetensors` and the part of its configuration that is read.

    Raises:
        ModelError: it is no such checkpoint, needs code to be opened, or asks for what the decoder does not compute.
    """
    said = json.loads(downloaded["config.json"].read_text(encoding="utf-8"))
    if said.get("tokenizer_name", _DIGITS) != _DIGITS:
        raise ModelError(f"The checkpoint names the tokenizer {said['tokenizer_name']!r}; valid: {_DIGITS!r}.")
    if said.get("final_rms"):
        raise ModelError("The checkpoint ends in another norm than its blocks have (final_rms); not supported.")
    try:
        loaded = torch.load(downloaded[_CHECKPOINT], map_location="cpu", weights_only=True)
        state = {n: t.float().contiguous() for n, t in loaded.items() if not n.endswith(_MASKS)}
        config = _config(said)
    except (pickle.UnpicklingError, RuntimeError, AttributeError, KeyError, EOFError) as error:
        raise ModelError(
            f"{downloaded[_CHECKPOINT].name!r} is no state dict with a configuration of TransformerLens "
            f"({type(error).__name__}: {error}); update mechboard."
        ) from error
    _native(state, config, "what was fetched")
    save_file(state, target / "model.safetensors", {"format": "pt"})
    (target / "config.json").write_text(json.dumps(config, indent=1) + "\n", encoding="utf-8")


GPT2 = Asset(
    name="gpt2",
    files=(*_MODEL, "vocab.json", "merges.txt"),
    repository="openai-community/gpt2",
    sources=(*_MODEL, "vocab.json", "merges.txt"),
    convert=placed,
)
ATTN_ONLY_4L = Asset(
    name="attn-only-4l",
    files=_MODEL,
    repository="NeelNanda/Attn_Only_4L512W_C4_Code",
    sources=("config.json", _CHECKPOINT),
    convert=convert_native,
)
NEOX_DIGITS = Asset(
    name="tokenizer-neox-digits",
    files=("tokenizer.json", "tokenizer_config.json", "special_tokens_map.json"),
    repository=_DIGITS,
    sources=("tokenizer.json", "tokenizer_config.json", "special_tokens_map.json"),
    convert=placed,
)


def load_gpt2(folder: Path, *, device: str = "cpu") -> Decoder:
    """The decoder of the folder of `gpt2`, weights as they are.

    Raises:
        ModelError: the folder holds no checkpoint that can be read, or one of another shape than 12 layers of 12 heads.
    """
    return shaped(load_checkpoint(folder, device=device), folder, layers=12, heads=12, mlp=True)


def load_attn_only_4l(folder: Path, *, device: str = "cpu") -> Decoder:
    """The decoder of the folder of `attn-only-4l`, weights as they are.

    Raises:
        ModelError: the folder holds no such checkpoint, or one of another shape than 4 layers of 8 heads without MLPs.
    """
    try:
        config = json.loads((folder / "config.json").read_text(encoding="utf-8"))
        state = load_file(folder / "model.safetensors")
    except (OSError, ValueError, RuntimeError) as error:
        raise ModelError(f"The checkpoint in {str(folder)!r} cannot be opened: {error}") from error
    return shaped(_native(state, config, repr(str(folder))), folder, layers=4, heads=8, mlp=False).to(device=device)


def _config(said: Mapping[str, Any]) -> dict[str, Any]:
    """TransformerLens' configuration from the one of its native checkpoints.

    As in its `convert_neel_model_config`. `act_fn` is what an MLP would have; `ln_eps` is not read there either.
    """
    attention_only = bool(said["attn_only"])
    return {
        **{name: said[name] for name in ("n_layers", "n_heads", "d_model", "d_head", "n_ctx", "d_vocab")},
        "attn_only": attention_only,
        "act_fn": None if attention_only else said["act_fn"],
        "normalization_type": said.get("normalization", said.get("normalization_type")),
        "positional_embedding_type": "shortformer" if said.get("shortformer_pos") else "standard",
        "eps": 1e-5,
    }


def _native(state: Mapping[str, Tensor], config: Mapping[str, Any], what: str) -> Decoder:
    try:
        return from_transformer_lens(state, config)
    except (KeyError, IndexError, TypeError) as error:
        raise ModelError(
            f"{what} is no TransformerLens checkpoint: it lacks {error}; valid: a state dict with embed.W_E, "
            "blocks.0.attn.W_Q and so on; pull it again."
        ) from error


def shaped(decoder: Decoder, folder: Path, *, layers: int, heads: int, mlp: bool) -> Decoder:
    """The decoder, if it has the graph on which the task's circuits are drawn."""
    config = decoder.config
    found = (config.n_layers, config.n_heads, config.d_mlp > 0)
    if found != (layers, heads, mlp):

        def said(n_layers: int, n_heads: int, has: bool) -> str:
            return f"{n_layers} layers of {n_heads} heads {'with' if has else 'without'} MLPs"

        raise ModelError(
            f"The checkpoint in {str(folder)!r} has {said(*found)}; valid: {said(layers, heads, mlp)}; fetch it with "
            f"`bench pull {folder.name}`."
        )
    return decoder
