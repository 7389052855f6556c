"""Random dictionaries in the place of those of the small model, for tests that ask nothing of what features mean."""

from pathlib import Path

import torch

from mechboard.features import Autoencoder, Dictionaries, all_places
from mechboard.features.autoencoder import TopK


def random_dictionary(d_model, n_features, *, seed=0):
    draw = torch.Generator().manual_seed(seed)
    decoder = torch.nn.functional.normalize(torch.randn(n_features, d_model, generator=draw), dim=-1)
    zeros = torch.zeros(n_features), torch.zeros(d_model)
    return Autoencoder(decoder.T.contiguous(), zeros[0], decoder, zeros[1], TopK(8), centred=True)


def load(config):
    return Dictionaries(
        config, {place: random_dictionary(config.d_model, 32, seed=i) for i, place in enumerate(all_places(config))}
    )


def folder():
    return Path(__file__).parent / "data" / "no-dictionaries"
