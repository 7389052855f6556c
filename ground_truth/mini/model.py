"""Opens the small GPT, and refuses weights that are not those of its card."""

from __future__ import annotations

from functools import lru_cache
from importlib.resources import files
from pathlib import Path

from mechboard.graph import Decoder
from mechboard.graph.hf import load_checkpoint

from ..cards import read_card


def folder() -> Path:
    """Where weights, configuration, tokenizer, card and loss curve are."""
    return Path(str(files("mechboard.ground_truth.mini"))) / "model"


def load() -> Decoder:
    """The model.

    Raises:
        ModelError: a file differs from the one that the card was written for.
    """
    read_card(folder())
    return _decoder(str(folder()))


@lru_cache(maxsize=1)
def _decoder(path: str) -> Decoder:
    return load_checkpoint(path)
