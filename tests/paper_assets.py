"""The folders that the papers' tasks ask for, with random weights and, where they are among the assets, real tokenizers."""

import json

import made_checkpoints
import pytest
import torch
from safetensors.torch import save_file


def gpt2_folder(root, assets):
    """A GPT-2 of 12 layers with 12 heads, 48 wide, with the real vocabulary."""
    if not (assets / "tokenizer-gpt2").is_dir():
        pytest.skip(f"no tokenizer-gpt2 in {assets}")
    folder = root / "gpt2"
    folder.mkdir(parents=True)
    for name, content in made_checkpoints.gpt2(folder).items():
        if isinstance(content, bytes):
            (folder / name).write_bytes(content)
    return folder


def digits_folder(root, assets):
    """Splits text without digits as NeelNanda/gpt-neox-tokenizer-digits does: GPT-NeoX's without its runs of spaces.

    That tokenizer is not among the assets. With it, AutoCircuit has the documented arguments of a prompt without bos at tokens 26
    and 33 and the last word at 39, which is where this one has them and GPT-NeoX's own has not.
    """
    given = assets / "tokenizer-gptneox" / "tokenizer.json"
    if not given.is_file():
        pytest.skip(f"no tokenizer-gptneox in {assets}")
    content = json.loads(given.read_text())
    content["added_tokens"] = [token for token in content["added_tokens"] if token["content"].strip()]
    return _tokenizer_folder(root, json.dumps(content))


def neox_folder(root, assets):
    """GPT-NeoX's own tokenizer in the place of the former."""
    return _tokenizer_folder(root, (assets / "tokenizer-gptneox" / "tokenizer.json").read_text())


def attn_only_4l_folder(root, *, d_vocab=50_277):
    """Four layers of eight heads without MLPs, 16 wide, in TransformerLens' names."""
    folder, d, d_head, heads = root / "attn-only-4l", 16, 2, 8
    folder.mkdir(parents=True)
    generator = torch.Generator().manual_seed(0)
    shapes = {
        "embed.W_E": (d_vocab, d),
        "pos_embed.W_pos": (64, d),
        "unembed.W_U": (d, d_vocab),
        "unembed.b_U": (d_vocab,),
    }
    for layer in range(4):
        attention = f"blocks.{layer}.attn."
        shapes |= {f"{attention}W_{x}": (heads, d, d_head) for x in "QKV"} | {f"{attention}W_O": (heads, d_head, d)}
        shapes |= {f"{attention}b_{x}": (heads, d_head) for x in "QKV"} | {f"{attention}b_O": (d,)}
    state = {name: 0.3 * torch.randn(shape, generator=generator) for name, shape in shapes.items()}
    save_file(state, folder / "model.safetensors")
    config = {
        "n_layers": 4, "n_heads": heads, "d_model": d, "d_head": d_head, "n_ctx": 64, "d_vocab": d_vocab, "attn_only": True,
        "act_fn": None, "normalization_type": "LNPre", "positional_embedding_type": "standard", "eps": 1e-5,
    }  # fmt: skip
    (folder / "config.json").write_text(json.dumps(config))
    return folder


def _tokenizer_folder(root, content):
    folder = root / "tokenizer-neox-digits"
    folder.mkdir(parents=True)
    (folder / "tokenizer.json").write_text(content)
    (folder / "tokenizer_config.json").write_text('{"tokenizer_class": "PreTrainedTokenizerFast"}')
    (folder / "special_tokens_map.json").write_text(json.dumps({"bos_token": "<|endoftext|>"}))
    return folder
