"""Folders of dictionaries as sae_lens and the authors' archive lay them out, written without sae_lens."""

import json

import torch
from safetensors.torch import save_file

EXTRA = {"jumprelu": ("threshold",), "gated": ("b_gate", "r_mag", "b_mag")}


def weights(d_in=128, n=6, architecture="standard", seed=0):
    generator = torch.Generator().manual_seed(seed)

    def draw(*shape):
        return torch.randn(*shape, generator=generator)

    found = {"W_enc": draw(d_in, n), "W_dec": draw(n, d_in), "b_dec": draw(d_in)}
    if architecture != "gated":
        found["b_enc"] = draw(n)
    return found | {name: draw(n).abs() for name in EXTRA.get(architecture, ())}


def config(hook="blocks.1.hook_resid_post", d_in=128, n=6, architecture="standard", **more):
    return {"d_in": d_in, "d_sae": n, "architecture": architecture, "dtype": "float32", "apply_b_dec_to_input": True,
            "normalize_activations": "none", "metadata": {"hook_name": hook, "sae_lens_version": "6.54.12"}, **more}  # fmt: skip


def save(folder, about=None, tensors=None):
    folder.mkdir(parents=True, exist_ok=True)
    if about is not None:
        (folder / "cfg.json").write_text(about if isinstance(about, str) else json.dumps(about))
    if tensors is not None:
        save_file(tensors, folder / "sae_weights.safetensors")
    return folder


def authors(d_in=128, n=6, seed=0):
    generator = torch.Generator().manual_seed(seed)
    shapes = {"bias": (d_in,), "encoder.weight": (n, d_in), "encoder.bias": (n,), "decoder.weight": (d_in, n)}
    return {name: torch.randn(*shape, generator=generator) for name, shape in shapes.items()}


def save_authors(root, place, tensors=None, *, trained="10_32768"):
    folder = root / place / trained
    folder.mkdir(parents=True)
    torch.save(authors() if tensors is None else tensors, folder / "ae.pt")
    (folder / "config.json").write_text("{}")
    return folder
