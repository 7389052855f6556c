"""What of a behaviour goes when one feature is set to its mean at every position; its error is untouched, all behind it plain.

    share(feature, behaviour) = mean over prompts of (d - d with the feature at its mean) / mean of d,   d = m(value 1) - m(value 0)

The mean is over all tokens of the behaviour's prompts, as many with one value as with the other. A share of 1 is what is left if
the variable is gone, a negative one a behaviour that has become stronger.
"""

from __future__ import annotations

from collections.abc import Mapping

import torch
from jaxtyping import Float, Int
from torch import Tensor

from mechboard.features.dictionary import Dictionary
from mechboard.features.places import Place
from mechboard.features.stream import beside, record, resume_behind
from mechboard.graph import Decoder

from .flips import Flips

_ROWS = 1024


class Ablations:
    """A behaviour's prompts, run once, on which features are set to their means.

    Args:
        decoder: the model.
        flips: the prompts.
    """

    def __init__(self, decoder: Decoder, flips: Flips) -> None:
        self._decoder, self._flips = decoder, flips
        self._recorded: Mapping[Place, Tensor] = record(decoder, decoder.embed(flips.tokens))
        self._real = torch.arange(flips.tokens.shape[1]) < flips.lengths[:, None]
        final = self._recorded[Place("resid", decoder.config.n_layers - 1)]
        at_last = final.gather(1, flips.last[..., None].expand(-1, -1, final.shape[-1]))
        self.plain: Float[Tensor, " prompts"] = flips.differences(decoder, at_last)

    @torch.no_grad()
    def shares(
        self, place: Place, dictionary: Dictionary, units: Int[Tensor, " units"]
    ) -> Float[Tensor, "units prompts"]:
        """The share of the behaviour that each feature takes along, prompt by prompt. Cost: a forward per feature that varies."""
        x, stream = self._recorded[place], beside(self._recorded, place)
        features = dictionary.encode(x)[..., units]
        mean = features[self._real].mean(0)
        scale = dictionary.scale(x)
        found = torch.zeros(len(units), len(self.plain))
        differs = ((features != mean) & self._real[..., None]).any(0).any(0).nonzero().squeeze(1)
        for part in torch.split(differs, max(1, _ROWS // len(x))) if len(differs) else ():
            change = (mean[part] - features[..., part]).permute(2, 0, 1)[..., None]  # [units, rows, position, 1]
            moved = change * dictionary.decoder[units[part]][:, None, None]
            if scale is not None:
                moved = moved * scale
            n = len(part)
            final = resume_behind(
                self._decoder,
                place,
                (x + moved).flatten(0, 1),
                None if stream is None else stream.repeat(n, 1, 1),
                self._flips.last.repeat(n, 1),
            )
            ablated = self._flips.differences(self._decoder, final.view(n, len(x), *final.shape[1:]))
            found[part] = (self.plain - ablated) / self.plain.mean()
        return found
