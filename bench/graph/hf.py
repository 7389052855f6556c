"""Hugging Face checkpoints in: weights are read into the uniform decoder and its logits compared with the source's.

A family that the decoder cannot compute exactly (post-norm blocks, mixtures of experts, encoders, windowed
attention) is refused by name.
"""

from __future__ import annotations

from pathlib import Path
from typing import Any

import torch

from mechboard.errors import ModelError
from mechboard.graph.architectures import ARCHITECTURES
from mechboard.graph.config import Activation
from mechboard.graph.decoder import Decoder
from mechboard.graph.weights import config_for

__all__ = ["from_huggingface", "load_checkpoint"]

# Long enough that positions and attention count, short enough that the check is not what loading waits for.
_CHECK_TOKENS = 12
# Of the largest logit: two orders above what float32 loses in another order of sums, far below what a wrong choice does.
_TOLERANCE = 2e-4
# What scales frequencies alone; other kinds change with the length of the prompt or scale attention too.
_ROTARY_TYPES = ("default", "linear", "llama3")
_ACTIVATIONS: dict[str, Activation] = {
    "gelu": "gelu",
    "gelu_new": "gelu_new",
    "gelu_pytorch_tanh": "gelu_new",
    "gelu_fast": "gelu_new",
    "relu": "relu",
    "silu": "silu",
    "swish": "silu",
}
_READABLE = {name: family for family, architecture in ARCHITECTURES.items() for name in architecture.classes}


def load_checkpoint(folder: Path | str, *, device: str = "cpu") -> Decoder:
    """Read a local Hugging Face checkpoint folder.

    Args:
        folder: what `save_pretrained` wrote.
        device: where the decoder is to be.

    Raises:
        ModelError: the folder holds no checkpoint, or one that the decoder does not reproduce.
    """
    folder = Path(folder)
    if not (folder / "config.json").is_file():
        raise ModelError(
            f"{str(folder)!r} holds no config.json; valid: a folder saved by `save_pretrained` "
            f"({', '.join(sorted(_READABLE))})."
        )
    from transformers import AutoConfig, AutoModelForCausalLM
    from transformers.utils import logging

    logging.disable_progress_bar()  # the run has its own
    try:
        config = AutoConfig.from_pretrained(folder)
        _family((config.architectures or ["unnamed"])[0], str(folder))
        model = AutoModelForCausalLM.from_pretrained(folder, dtype=torch.float32)
    except (OSError, ValueError) as error:
        raise ModelError(f"The checkpoint in {str(folder)!r} cannot be opened: {_first_line(error)}") from error
    return from_huggingface(model).to(device=device)


def from_huggingface(model: Any) -> Decoder:
    """A decoder with the weights of a Hugging Face causal language model, checked on a few tokens.

    Args:
        model: an instance of one of the classes that are read, in any precision; the decoder's is float32.

    Raises:
        ModelError: the architecture is not supported, or the logits differ.
    """
    name = type(model).__name__
    decoder = _read(model, _family(name, name))
    _compare_logits(decoder, model, name)
    return decoder


def _family(name: str, given: str) -> str:
    if name not in _READABLE:
        raise ModelError(
            f"{given!r} is a {name}, which the uniform decoder does not compute (it has no post-norm blocks, "
            f"mixtures of experts or encoders); valid: {', '.join(sorted(_READABLE))}."
        )
    return _READABLE[name]


def _first_line(error: Exception) -> str:
    return str(error).strip().partition("\n")[0] or type(error).__name__


def _read(model: Any, family: str) -> Decoder:
    architecture = ARCHITECTURES[family]
    _refuse_other_arithmetic(model)
    weights = architecture.weights(model)

    def said(ours: str) -> Any:
        return getattr(model.config, architecture.names[ours])

    config = config_for(
        weights,
        n_ctx=said("n_ctx"),
        norm=architecture.norm,
        norm_eps=said("norm_eps"),
        activation=_activation(said("activation")),
        parallel=said("parallel") if "parallel" in architecture.names else False,
    )
    return Decoder(config, weights, architecture=family).to(dtype=torch.float32)


def _activation(name: str) -> Activation:
    if name not in _ACTIVATIONS:
        raise ModelError(f"Activation {name!r} is not computed here; valid: {', '.join(sorted(_ACTIVATIONS))}.")
    return _ACTIVATIONS[name]


def _refuse_other_arithmetic(model: Any) -> None:
    """Refuse by name what a family can be configured to do and the decoder does not; logits would only say "differ"."""
    c, name = model.config, type(model).__name__
    if name == "GPT2LMHeadModel" and (
        c.scale_attn_by_inverse_layer_idx or not c.scale_attn_weights or getattr(c, "add_cross_attention", False)
    ):
        raise ModelError(
            "This GPT-2 scales attention by layer, does not scale it, or has cross-attention; not supported."
        )
    # Mistral's window is on wherever it has a size, Qwen2's where a flag says so.
    if getattr(c, "use_sliding_window", False) or (name == "MistralForCausalLM" and c.sliding_window is not None):
        raise ModelError(
            "This checkpoint attends in a sliding window, which the decoder does not compute; not supported."
        )
    rotary = getattr(model.base_model, "rotary_emb", None)
    if rotary is not None:
        kind = (c.rope_parameters or {}).get("rope_type", "default")
        if kind not in _ROTARY_TYPES or getattr(rotary, "attention_scaling", 1.0) != 1.0:
            raise ModelError(
                f"Rotary positions of type {kind!r} are not computed here; valid: {', '.join(_ROTARY_TYPES)}."
            )


@torch.no_grad()
def _compare_logits(decoder: Decoder, model: Any, architecture: str) -> None:
    length = min(_CHECK_TOKENS, decoder.config.n_ctx)
    generator = torch.Generator().manual_seed(0)
    tokens = torch.randint(decoder.config.d_vocab, (2, length), generator=generator)
    theirs = model.eval()(tokens.to(model.device)).logits.to(decoder.dtype).cpu()  # [2, length, d_vocab_out]
    difference = (decoder(tokens.to(decoder.device)).cpu() - theirs).abs().max().item()
    if not difference <= _TOLERANCE * max(1.0, theirs.abs().max().item()):
        raise ModelError(
            f"The logits of this {architecture} differ by {difference:.2g} from the decoder that read its weights; "
            "its configuration asks for something the decoder does not compute, so it cannot be benchmarked."
        )
