"""Dictionaries in folders: sae_lens' format, one folder per dictionary, and the archive of Marks et al. (`archive.py`).

A dictionary's place is what its `cfg.json` calls `hook_name`. A folder that holds dictionaries, at any depth, is those of a model: at most one
per place, and other files beside them, such as `sparsity.safetensors`, say nothing. If they are large together they stay where they
are and are read one at a time, whenever they are asked for.
"""

from __future__ import annotations

import json
from collections.abc import Callable
from pathlib import Path
from typing import Any, TypeVar

from safetensors import SafetensorError, safe_open
from safetensors.torch import load_file

from ..errors import UsageError
from ..graph.config import DecoderConfig
from . import archive
from .dictionary import Dictionary
from .library import HELD_BYTES, through_library
from .places import Place
from .saved import Settings, autoencoder
from .store import Dictionaries, Stored

__all__ = ["FILES", "from_folder", "read", "stored"]

_Found = TypeVar("_Found")
FILES = _CONFIG, _WEIGHTS = "cfg.json", "sae_weights.safetensors"
"""What sae_lens makes a dictionary of."""


def read(folder: Path) -> Dictionary:
    """The dictionary in a folder.

    Raises:
        UsageError: a file is missing, cannot be read or does not fit the other; it is a transcoder, or for a place that is none.
    """
    return _about(folder, lambda: _read(folder))


def stored(folder: Path) -> tuple[Place, Stored]:
    """Place and sizes of the dictionary in a folder, of which names and shapes are looked at and no weights.

    Raises:
        UsageError: as `read`, but for what the weights hold.
    """

    def look() -> tuple[Place, Stored]:
        settings = _settings(folder)
        with safe_open(_weights(folder), framework="pt") as file:
            shapes = {name: tuple(file.get_slice(name).get_shape()) for name in file.keys()}  # noqa: SIM118
        if settings.is_ours:
            settings.check(shapes)
        return settings.place, Stored(settings.d_in, settings.n_features, True, lambda: read(folder))

    return _about(folder, look)


def from_folder(config: DecoderConfig, path: Path) -> Dictionaries:
    """The dictionaries of a model in a folder, or in the released archive as one file.

    Args:
        config: the model that they are of.
        path: a folder with a folder per dictionary, in sae_lens' format or the authors'; or the authors' zip.

    Raises:
        UsageError: there is none, two are for one place, or one does not fit the model or cannot be read.

    Example:
        >>> from mechboard.ground_truth.mini import dictionaries, model
        >>> found = from_folder(model.load().config, dictionaries.folder())
        >>> len(found), found.sizes[Place("embed", -1)]
        (13, 512)
    """
    if not path.exists():
        raise UsageError(
            f"There is no folder of dictionaries {str(path)!r}; give one that holds a folder for each place."
        )
    found = [(str(folder), *stored(folder)) for folder in _folders(path)] if path.is_dir() else []
    found += archive.stored(path)
    if not found:
        raise UsageError(
            f"There is no dictionary in {str(path)!r}; valid: folders with {_CONFIG} and {_WEIGHTS} as sae_lens saves them, "
            "or the archive of Marks et al."
        )
    held: dict[Place, tuple[str, Stored]] = {}
    for where, place, one in found:
        if place in held:
            raise UsageError(
                f"Two dictionaries are for {place}, in {held[place][0]!r} and {where!r}; leave one for each place."
            )
        held[place] = (where, one)
    lazy = Dictionaries(config, {place: one for place, (_, one) in held.items()})
    if sum(8 * one.d_in * one.n_features for _, one in held.values()) > HELD_BYTES:
        return lazy
    return Dictionaries(config, dict(lazy.items()))


def _folders(path: Path) -> list[Path]:
    return sorted({file.parent for name in FILES for file in path.rglob(name)})


def _read(folder: Path) -> Dictionary:
    settings = _settings(folder)
    weights = _weights(folder)
    return autoencoder(settings, load_file(weights)) if settings.is_ours else through_library(folder)


def _settings(folder: Path) -> Settings:
    try:
        config: Any = json.loads((folder / _CONFIG).read_text(encoding="utf-8"))
    except FileNotFoundError as error:
        raise UsageError(f"it has no {_CONFIG}; restore it, or save the dictionary again.") from error
    except ValueError as error:
        raise UsageError(f"its {_CONFIG} is no JSON ({error}); save the dictionary again.") from error
    if not isinstance(config, dict):
        raise UsageError(f"its {_CONFIG} is no JSON object; save the dictionary again.")
    return Settings.of(config)


def _weights(folder: Path) -> Path:
    if not (folder / _WEIGHTS).is_file():
        raise UsageError(f"it has no {_WEIGHTS}; restore it, or save the dictionary again.")
    return folder / _WEIGHTS


def _about(folder: Path, what: Callable[[], _Found]) -> _Found:
    """What is found in a folder; errors say of which."""
    try:
        return what()
    except (OSError, SafetensorError) as error:
        raise UsageError(f"The dictionary in {str(folder)!r} cannot be read ({error}); restore its files.") from error
    except UsageError as error:
        raise UsageError(f"The dictionary in {str(folder)!r} cannot be used: {error}") from error
