"""The dictionaries of a model: one per place, held in memory or read when they are needed and forgotten again.

Nineteen dictionaries of Pythia-70m are 2.5 GB, and whoever goes through places one after another needs one at a time.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator, Mapping
from dataclasses import dataclass

import torch
from torch import Tensor

from ..errors import UsageError
from ..graph.config import DecoderConfig
from .dictionary import Dictionary, Identity
from .places import Place, all_places


@dataclass(frozen=True)
class Stored:
    """A dictionary that is not in memory: its sizes are known, `read` brings it."""

    d_in: int
    n_features: int
    errors: bool
    read: Callable[[], Dictionary]


class Dictionaries(Mapping[Place, Dictionary]):
    """Dictionaries by place, in the order of a pass; what is stored is read anew whenever it is asked for.

    Args:
        config: the model that they are of.
        held: a dictionary, or where to read it, for each place.

    Raises:
        UsageError: there is none, a place is not in the model, or a width is not the model's.

    Example:
        >>> from mechboard.ground_truth.mini import model
        >>> config = model.load().config
        >>> list(Dictionaries(config, {Place("resid", 1): Identity(128)}))
        [Place(part='resid', layer=1)]
        >>> Dictionaries(config, {Place("resid", 9): Identity(128)})
        Traceback (most recent call last):
        ...
        mechboard.errors.UsageError: A dictionary is for resid_9 and the model has no such place; valid: embed to resid_3.
    """

    def __init__(self, config: DecoderConfig, held: Mapping[Place, Dictionary | Stored]) -> None:
        places = all_places(config)
        if not held:
            raise UsageError(
                f"No dictionary was given; valid: one for each of some of the places {places[0]} to {places[-1]}."
            )
        for place, dictionary in held.items():
            if place not in places:
                raise UsageError(
                    f"A dictionary is for {place} and the model has no such place; valid: {places[0]} to {places[-1]}."
                )
            if dictionary.d_in != config.d_model:
                raise UsageError(
                    f"The dictionary of {place} reads vectors of width {dictionary.d_in} and the model's have {config.d_model}; "
                    "it is of another model."
                )
        self._config = config
        self._held = {place: held[place] for place in places if place in held}

    def __getitem__(self, place: Place) -> Dictionary:
        found = self._held[place]
        return found.read() if isinstance(found, Stored) else found

    def __iter__(self) -> Iterator[Place]:
        return iter(self._held)

    def __len__(self) -> int:
        return len(self._held)

    @property
    def sizes(self) -> dict[Place, int]:
        """How many features each place has; nothing is read."""
        return {place: found.n_features for place, found in self._held.items()}

    @property
    def errors(self) -> frozenset[Place]:
        """Places whose dictionary leaves an error; nothing is read."""
        return frozenset(place for place, found in self._held.items() if found.errors)

    def neurons(self, *, device: torch.device, dtype: torch.dtype) -> Dictionaries:
        """The identity at the same places."""
        identity = Identity(self._config.d_model, device=device, dtype=dtype)
        return Dictionaries(self._config, dict.fromkeys(self, identity))

    def tensors(self) -> Iterator[Tensor]:
        """Weights that are held in memory; what is stored is read anew and cannot be changed."""
        for found in self._held.values():
            if not isinstance(found, Stored):
                yield from found.tensors()
