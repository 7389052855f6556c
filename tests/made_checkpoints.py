"""Checkpoints of the papers' models in the files that the hub has, with random weights."""

import json
import os
from pathlib import Path

import torch

_ASSETS = os.environ.get("MECHBOARD_ASSETS")  # as it is when tests begin; they unset it


def gpt2(folder, *, small=True):
    """A GPT-2 of 12 layers with 12 heads: files by name, as in openai-community/gpt2.

    The small one is as deep but 48 wide, with positions for 64 tokens. As there, the tensors are named as in the model
    without its head, and the masks of the attention lie among them. Vocabulary and merges are the real ones where
    MECHBOARD_ASSETS has tokenizer-gpt2, else those of single bytes.
    """
    import transformers as hf
    from safetensors.torch import save_file

    vocabulary, merges = _gpt2_tokenizer()
    sizes = {"n_embd": 48, "n_positions": 64} if small else {}
    torch.manual_seed(0)
    end = len(json.loads(vocabulary)) - 1
    config = hf.GPT2Config(vocab_size=end + 1, bos_token_id=end, eos_token_id=end, **sizes)
    model = hf.GPT2LMHeadModel(config)
    tensors = dict(model.transformer.state_dict())
    square = torch.ones(1, 1, config.n_positions, config.n_positions).tril()
    tensors |= {f"h.{layer}.attn.bias": square.clone() for layer in range(config.n_layer)}
    config.architectures = ["GPT2LMHeadModel"]
    config.save_pretrained(folder)
    save_file(tensors, folder / "model.safetensors", {"format": "pt"})
    files = {"vocab.json": vocabulary, "merges.txt": merges, "README.md": b"Random weights."}
    return files | {name: folder / name for name in ("config.json", "model.safetensors")}


def attn_only_4l(folder, *, small=True, **said):
    """An attention-only model of 4 layers with 8 heads as TransformerLens saves it: files by name.

    Args:
        folder: where the state dict is written.
        small: 32 wide instead of 512, with 300 words instead of 48,262.
        said: what the configuration says otherwise.
    """
    model = attn_only_4l_model(small=small)
    cfg = model.cfg
    config = {
        "n_layers": 4, "n_heads": 8, "d_model": cfg.d_model, "d_head": cfg.d_head, "d_mlp": 4 * cfg.d_model, "n_ctx": cfg.n_ctx,
        "d_vocab": cfg.d_vocab, "act_fn": "solu_ln", "attn_only": True, "normalization": "LN", "shortformer_pos": False,
        "ln_eps": 1e-5, "tokenizer_name": "NeelNanda/gpt-neox-tokenizer-digits", "use_bfloat16_matmul": True,
    }  # fmt: skip
    folder.mkdir(parents=True, exist_ok=True)
    torch.save(model.state_dict(), folder / "model_final.pth")
    return {"config.json": json.dumps(config | said).encode(), "model_final.pth": folder / "model_final.pth"}


def attn_only_4l_model(*, small=True):
    """The model itself, with norms and biases that are not the identity."""
    import warnings

    with warnings.catch_warnings():
        warnings.simplefilter("ignore", DeprecationWarning)
        from transformer_lens import HookedTransformer, HookedTransformerConfig

        sizes = {"d_model": 32, "d_head": 4, "d_vocab": 300, "n_ctx": 32}
        real = {"d_model": 512, "d_head": 64, "d_vocab": 48262, "n_ctx": 1024}
        rest = sizes if small else real
        config = HookedTransformerConfig(
            n_layers=4, n_heads=8, attn_only=True, normalization_type="LN", device="cpu", seed=0, **rest
        )  # fmt: skip
        model = HookedTransformer(config)
    generator = torch.Generator().manual_seed(1)
    for parameter in model.parameters():
        parameter.data += 0.1 * torch.randn(parameter.shape, generator=generator)
    return model


def tokenizer_digits():
    """A tokenizer in the three files of NeelNanda/gpt-neox-tokenizer-digits, of a few words."""
    from tokenizers import Tokenizer, models, pre_tokenizers

    words = ["<|EOS|>", "<|PAD|>", "<|BOS|>", "[UNK]", "def", "port", "self", "load", "size"]
    tokenizer = Tokenizer(models.WordLevel({word: i for i, word in enumerate(words)}, unk_token="[UNK]"))
    tokenizer.pre_tokenizer = pre_tokenizers.Whitespace()
    special = {"bos_token": "<|BOS|>", "eos_token": "<|EOS|>", "pad_token": "<|PAD|>"}
    return {
        "tokenizer.json": tokenizer.to_str().encode(),
        "tokenizer_config.json": b'{"tokenizer_class": "PreTrainedTokenizerFast"}',
        "special_tokens_map.json": json.dumps(special).encode(),
    }


def _gpt2_tokenizer():
    real = Path(_ASSETS or "") / "tokenizer-gpt2"
    if _ASSETS and real.is_dir():
        return (real / "vocab.json").read_bytes(), (real / "merges.txt").read_bytes()
    from tokenizers.pre_tokenizers import ByteLevel

    words = [*sorted(ByteLevel.alphabet()), "<|endoftext|>"]
    return json.dumps({word: i for i, word in enumerate(words)}).encode(), b"#version: 0.2\n"
