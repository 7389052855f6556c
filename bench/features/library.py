"""Dictionaries through sae_lens: architectures that it alone computes, and pretrained releases by name.

A dictionary of another architecture keeps its own encoder. Its decoder is taken to be linear, which is checked: features write their
rows, and what else its forward pass would add, such as what a temporal one predicts from the tokens before, is left to the error.
sae_lens takes seconds to import and is optional (`pip install 'mechboard[features]'`), so it is imported where it is needed.
"""

from __future__ import annotations

import logging
import warnings
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from functools import partial
from pathlib import Path
from typing import Any

import torch
from jaxtyping import Float
from torch import Tensor

from ..errors import FetchError, UsageError
from ..graph.config import DecoderConfig
from .autoencoder import Normalise, Normalised
from .dictionary import Dictionary
from .places import Place
from .saved import Settings, autoencoder
from .store import Dictionaries, Stored

__all__ = ["Wrapped", "from_release", "through_library"]

_ROWS = 1024  # features that are decoded at a time
HELD_BYTES = 256 * 2**20
"""Dictionaries that are larger together are read one at a time."""


class Wrapped(Normalised):
    """An autoencoder of sae_lens that encodes as it does there.

    Args:
        sae: of sae_lens.
        normalise: what it does to a vector before it encodes it.

    Raises:
        UsageError: its decoder is not linear, or its weights are not finite.
    """

    by_vector = False

    def __init__(self, sae: Any, normalise: Normalise) -> None:
        self._sae = sae.eval()
        for parameter in sae.parameters():
            parameter.requires_grad_(False)
            if not bool(parameter.isfinite().all()):
                raise UsageError(
                    "its weights hold values that are not finite; save the dictionary again from sound ones."
                )
        decoder, bias = _decoder(sae, normalise)
        super().__init__(decoder, bias, normalise)

    def encode(self, x: Float[Tensor, "*rows d_in"]) -> Float[Tensor, "*rows features"]:
        """Features of vectors; the last axis but one are the positions of a prompt, to architectures that look back."""
        prompts = x.reshape(-1, x.shape[-2] if x.dim() > 1 else 1, x.shape[-1])
        features: Tensor = self._sae.encode(prompts)
        return features.reshape(*x.shape[:-1], -1)

    def tensors(self) -> Iterator[Tensor]:
        """All of its weights."""
        yield from self._sae.parameters()
        yield from super().tensors()


@torch.no_grad()
def _decoder(sae: Any, normalise: Normalise) -> tuple[Float[Tensor, "features d_in"], Float[Tensor, " d_in"]]:
    """Rows and bias of a decoder, found by decoding one feature after another; what undoes a normalisation left out."""
    n = int(sae.cfg.d_sae)
    undo = sae.run_time_activation_norm_fn_out
    if normalise != "none":
        sae.run_time_activation_norm_fn_out = lambda x: x
    logging.disable(
        logging.WARNING
    )  # temporal ones say each time that this is not all they reconstruct, which is known here
    try:
        bias = sae.decode(torch.zeros(1, 1, n)).view(-1)
        eye = torch.eye(min(n, _ROWS))
        rows = []
        for start in range(0, n, _ROWS):
            width = min(_ROWS, n - start)
            each = torch.zeros(width, 1, n)
            each[:, 0, start : start + width] = eye[:width, :width]
            rows.append(sae.decode(each)[:, 0] - bias)
        decoder = torch.cat(rows)
        probe = torch.rand(4, 1, n, generator=torch.Generator().manual_seed(0))
        decoded, expected = sae.decode(probe), probe @ decoder + bias
    finally:
        logging.disable(logging.NOTSET)
        sae.run_time_activation_norm_fn_out = undo
    if not torch.allclose(decoded, expected, rtol=1e-3, atol=1e-3 * float(expected.abs().max())):
        raise UsageError(
            "its decoder is not linear in features, and effects of features rest on that; valid: linear decoders."
        )
    return decoder, bias


def through_library(folder: Path) -> Dictionary:
    """A dictionary of an architecture that sae_lens alone computes.

    Raises:
        UsageError: sae_lens is not there, does not know it either, or it cannot be written as features and an error.
    """
    with _library() as sae_lens:
        try:
            sae = sae_lens.SAE.load_from_disk(folder, dtype="float32")
        except Exception as error:  # of many kinds: names of tensors, unknown architectures, settings
            raise UsageError(f"sae_lens cannot read it ({_line(error)}); valid: what sae_lens saves.") from error
    return _of_library(sae)


def from_release(config: DecoderConfig, release: str, ids: Sequence[str]) -> Dictionaries:
    """Pretrained dictionaries of a release that sae_lens knows by name; fetched from the hub unless they are there.

    Args:
        config: the model that they are of.
        release: the release's name, `pythia-70m-deduped-res-sm`.
        ids: which of its dictionaries, by the names that they have there; one per place.

    Raises:
        UsageError: sae_lens is not there, knows no such release or dictionary, or two are for one place.
        FetchError: they cannot be fetched.
    """
    held: dict[Place, Dictionary | Stored] = {}
    size = 0
    for sae_id in ids:
        settings, dictionary = _released(release, sae_id)
        if settings.place in held:
            raise UsageError(
                f"Two dictionaries of {release} are for {settings.place}, the second is {sae_id!r}; give one for each place."
            )
        size += 8 * settings.d_in * settings.n_features
        held[settings.place] = dictionary
        if size > HELD_BYTES:
            read = partial(_dictionary, release, sae_id)
            held[settings.place] = Stored(dictionary.d_in, dictionary.n_features, True, read)
    return Dictionaries(config, held)


def _dictionary(release: str, sae_id: str) -> Dictionary:
    return _released(release, sae_id)[1]


def _released(release: str, sae_id: str) -> tuple[Settings, Dictionary]:
    with _library() as sae_lens:
        from sae_lens.loading.pretrained_saes_directory import get_pretrained_saes_directory

        known = get_pretrained_saes_directory()
        if release not in known:
            raise UsageError(f"sae_lens knows no release {release!r}; valid: such as {', '.join(list(known)[:3])}.")
        if sae_id not in known[release].saes_map:
            valid = ", ".join(list(known[release].saes_map)[:8])
            raise UsageError(f"The release {release} has no dictionary {sae_id!r}; valid: such as {valid}.")
        try:
            sae = sae_lens.SAE.from_pretrained(release, sae_id)
        except (OSError, ConnectionError) as error:
            raise FetchError(
                f"{sae_id} of {release} cannot be fetched ({_line(error)}); connect to the hub, or fetch it elsewhere and give the folder."
            ) from error
    try:
        return Settings.of(sae.cfg.to_dict()), _of_library(sae)
    except UsageError as error:
        raise UsageError(f"{sae_id} of {release} cannot be used: {error}") from error


def _of_library(sae: Any) -> Dictionary:
    settings = Settings.of(sae.cfg.to_dict())
    if settings.is_ours:
        return autoencoder(settings, sae.state_dict())
    return Wrapped(sae, settings.undone)


@contextmanager
def _library() -> Iterator[Any]:
    """sae_lens, quiet about what it deprecates of others."""
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")
        try:
            import sae_lens
        except ImportError as error:
            raise UsageError(
                f"This needs sae_lens, which cannot be imported ({_line(error)}); pip install 'mechboard[features]'."
            ) from error
        yield sae_lens


def _line(error: BaseException) -> str:
    return f"{type(error).__name__}: {error}".splitlines()[0][:160]
