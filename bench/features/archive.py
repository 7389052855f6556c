"""The archive of Marks et al.: dictionaries of Pythia-70m-deduped as their trainer saved them, unpacked or in the released zip.

    {embed, attn_out_layerI, mlp_out_layerI, resid_out_layerI}/10_32768/ae.pt     with config.json beside it

`ae.pt` holds `bias` [d], `encoder.weight` [n, d], `encoder.bias` [n] and `decoder.weight` [d, n]: f = ReLU(W_E (x - b) + b_E),
xhat = W_D f + b. Columns of the decoder have length one; where they have not quite, they are given it and the features the length,
which leaves what they decode to.

Source: saprmarks/pythia-70m-deduped-saes on the hub; saprmarks/dictionary_learning, `AutoEncoder`.
"""

from __future__ import annotations

import io
import pickle
import re
import zipfile
from collections.abc import Callable, Iterator
from functools import partial
from pathlib import Path, PurePosixPath
from typing import Any

import torch
from torch import Tensor

from ..errors import UsageError
from .autoencoder import Autoencoder, Relu
from .places import Part, Place
from .store import Stored

__all__ = ["stored"]

_NAME = "ae.pt"
_FOLDER = re.compile(r"(attn|mlp|resid)_out_layer(\d+)")
_SHAPES = {"bias": "d", "encoder.weight": "nd", "encoder.bias": "n", "decoder.weight": "dn"}


def stored(path: Path) -> list[tuple[str, Place, Stored]]:
    """Every dictionary of the archive below a folder or in a zip: where it is, its place and sizes. Weights are not read.

    Raises:
        UsageError: a file cannot be read, or a folder's name is no place.
    """
    return [(where, _place(inside), _look(where, read)) for where, inside, read in _files(path)]


Read = Callable[[torch.device], Any]
"""Content of a file on a device; on `meta`, names and shapes alone."""


def _files(path: Path) -> Iterator[tuple[str, PurePosixPath, Read]]:
    """What it is called in errors, its path inside, and how it is read."""
    if path.is_dir():
        for file in sorted(path.rglob(_NAME)):
            yield str(file), PurePosixPath(file.absolute().as_posix()), partial(_load, file)
    elif zipfile.is_zipfile(path):
        with zipfile.ZipFile(path) as packed:
            names = sorted(name for name in packed.namelist() if PurePosixPath(name).name == _NAME)
        for name in names:
            yield f"{path}:{name}", PurePosixPath(name), partial(_member, path, name)
    else:
        raise UsageError(
            f"{str(path)!r} is no folder and no zip; give a folder of dictionaries or the released archive."
        )


def _load(file: Any, device: torch.device) -> Any:
    return torch.load(file, map_location=device, weights_only=True)


def _member(path: Path, name: str, device: torch.device) -> Any:
    with zipfile.ZipFile(path) as packed:
        return _load(io.BytesIO(packed.read(name)), device)


def _place(inside: PurePosixPath) -> Place:
    folder = inside.parent.parent.name
    if folder == "embed":
        return Place("embed", -1)
    if found := _FOLDER.fullmatch(folder):
        part: Part = found[1]  # type: ignore[assignment]
        return Place(part, int(found[2]))
    raise UsageError(
        f"{str(inside)!r} does not say what place it is for; valid: embed, attn_out_layer0, mlp_out_layer0, resid_out_layer0 and so "
        "on, each with a folder such as 10_32768 that holds ae.pt."
    )


def _look(where: str, read: Read) -> Stored:
    tensors = _tensors(where, read, torch.device("meta"))
    n_features, d_in = tensors["encoder.weight"].shape
    return Stored(d_in, n_features, True, lambda: _autoencoder(where, read))


def _tensors(where: str, read: Read, device: torch.device) -> dict[str, Tensor]:
    try:
        content = read(device)
    except (OSError, RuntimeError, EOFError, pickle.UnpicklingError, zipfile.BadZipFile) as error:
        raise UsageError(
            f"{where!r} cannot be read ({str(error).splitlines()[0][:120]}); fetch the archive again."
        ) from error
    if not isinstance(content, dict) or content.keys() != _SHAPES.keys():
        raise UsageError(
            f"{where!r} is no dictionary of the archive; valid: a file with the tensors {', '.join(_SHAPES)}."
        )
    n, d = content["encoder.weight"].shape
    sizes = {"n": n, "d": d}
    for name, letters in _SHAPES.items():
        if tuple(content[name].shape) != tuple(sizes[letter] for letter in letters):
            raise UsageError(
                f"{name} in {where!r} has the shape {list(content[name].shape)}, which does not fit the encoder's {[n, d]}."
            )
    return content


def _autoencoder(where: str, read: Read) -> Autoencoder:
    tensors = {name: value.float() for name, value in _tensors(where, read, torch.device("cpu")).items()}
    for name, value in tensors.items():
        if not bool(value.isfinite().all()):
            raise UsageError(f"{name} in {where!r} holds values that are not finite; fetch the archive again.")
    lengths = tensors["decoder.weight"].norm(dim=0).clamp_min(1e-8)
    decoder = (tensors["decoder.weight"] / lengths).T.contiguous()
    encoder = (tensors["encoder.weight"] * lengths[:, None]).T.contiguous()
    return Autoencoder(encoder, tensors["encoder.bias"] * lengths, decoder, tensors["bias"], Relu(), centred=True)
