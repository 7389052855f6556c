"""The dictionaries of the small GPT: a sparse autoencoder for each of its places, in sae_lens' format, and their card.

`train` makes them, `benchmarks/mini_dictionaries.py` measures them and writes the card; they are opened only as they were measured, and for the
weights that they were measured on.
"""

from __future__ import annotations

from functools import lru_cache
from importlib.resources import files
from pathlib import Path

from mechboard.errors import ModelError
from mechboard.features.files import from_folder
from mechboard.features.store import Dictionaries
from mechboard.graph import DecoderConfig
from mechboard.hashing import sha256

from ...cards import read_card
from .. import model


def folder() -> Path:
    """Where the dictionaries and their card are."""
    return Path(str(files("mechboard.ground_truth.mini"))) / "dictionaries"


def model_hash() -> str:
    """Hash of the weights that they are of."""
    return sha256(model.folder() / "model.safetensors")


def load(config: DecoderConfig) -> Dictionaries:
    """The dictionaries.

    Args:
        config: of the small model.

    Raises:
        ModelError: a file differs from the one that the card was written for, or the model's weights do.
        UsageError: it is the configuration of another model.
    """
    about = read_card(folder())["model"]
    if about != model_hash():
        raise ModelError(
            f"The dictionaries were trained on weights {about[:12]} and the small model's are {model_hash()[:12]}; train them again "
            "with mechboard.ground_truth.mini.dictionaries.train."
        )
    return _read(config, str(folder()))


@lru_cache(maxsize=1)
def _read(config: DecoderConfig, path: str) -> Dictionaries:
    return from_folder(config, Path(path))
