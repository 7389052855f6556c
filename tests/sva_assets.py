"""The folders that the agreement tasks of features ask for: a small random GPT-NeoX, small random dictionaries, real prompts."""

import json
import os
import shutil
from pathlib import Path

import pytest
import torch

D_MODEL, N_FEATURES, LAYERS = 16, 24, 6
_ASSETS = os.environ.get("MECHBOARD_ASSETS")  # as it is when tests begin; they unset it
PLACES = ("embed", *(f"{part}_out_layer{layer}" for layer in range(LAYERS) for part in ("attn", "mlp", "resid")))


def real(name):
    """A folder of the real assets."""
    folder = Path(_ASSETS or "") / name
    if not _ASSETS or not folder.is_dir():
        pytest.skip(f"no {name} among MECHBOARD_ASSETS")
    return folder


def pythia_folder(root):
    """A GPT-NeoX of 6 layers with 8 heads, 16 wide, with the real tokenizer."""
    import transformers as hf

    tokenizer = real("tokenizer-gptneox") / "tokenizer.json"
    folder = root / "pythia-70m-deduped"
    torch.manual_seed(0)
    model = hf.GPTNeoXForCausalLM(
        hf.GPTNeoXConfig(
            vocab_size=50304, hidden_size=D_MODEL, num_hidden_layers=LAYERS, num_attention_heads=8, intermediate_size=32,
            max_position_embeddings=16,
        )
    )  # fmt: skip
    for parameter in model.parameters():
        parameter.data = torch.randn_like(parameter) * 0.3
    model.save_pretrained(folder)
    shutil.copy(tokenizer, folder)
    (folder / "tokenizer_config.json").write_text('{"tokenizer_class": "GPTNeoXTokenizer"}')
    (folder / "special_tokens_map.json").write_text(json.dumps({"bos_token": "<|endoftext|>"}))
    return folder


def archive_tensors(seed, *, d_model=D_MODEL):
    """What one `ae.pt` holds."""
    draw = torch.Generator().manual_seed(seed)
    decoder = torch.randn(d_model, N_FEATURES, generator=draw)
    return {
        "bias": 0.1 * torch.randn(d_model, generator=draw),
        "encoder.weight": 0.3 * torch.randn(N_FEATURES, d_model, generator=draw),
        "encoder.bias": torch.zeros(N_FEATURES),
        "decoder.weight": decoder / decoder.norm(dim=0),
    }


def archive_files(root):
    """The 19 dictionaries of the archive, by their names in it."""
    made = {}
    for seed, place in enumerate(PLACES):
        path = root / place / "10_32768" / "ae.pt"
        path.parent.mkdir(parents=True)
        torch.save(archive_tensors(seed), path)
        made[path.relative_to(root).as_posix()] = path
    return made


def everything(root):
    """All three folders, below `root`."""
    shutil.copytree(real("sva-feature-circuits"), root / "sva-feature-circuits")
    pythia_folder(root)
    archive_files(root / "pythia-70m-deduped-saes")
    return root
