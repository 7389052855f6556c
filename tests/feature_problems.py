"""Small models written in random features, and what the maths says of them, computed the slow way.

The slow way is a plain loop over layers with dictionaries run inside the pass, one prompt and one node at a time. It shares no
code with `mechboard.features` but dictionaries' own encode and decode.
"""

from collections.abc import Callable

import torch
from models import random_decoder, random_pairs

from mechboard.features import Autoencoder, Dictionaries, FeatureProblem, Place, all_places
from mechboard.features.autoencoder import Relu, TopK
from mechboard.metrics.answers import logit_difference


def random_dictionary(d_in, n_features=40, *, k=None, seed=0, dtype=torch.float64):
    generator = torch.Generator().manual_seed(seed)

    def draw(*shape):
        return torch.randn(*shape, generator=generator, dtype=torch.float64).to(dtype)

    decoder = torch.nn.functional.normalize(draw(n_features, d_in), dim=1)
    activation = Relu() if k is None else TopK(k)
    return Autoencoder(
        decoder.T + 0.1 * draw(d_in, n_features),
        0.1 * draw(n_features),
        decoder,
        0.1 * draw(d_in),
        activation,
        centred=True,
    )


def feature_problem(family="gpt2", *, places=None, seed=0, n=5, k=None, **changed):
    decoder = random_decoder(family, seed=seed)
    chosen = all_places(decoder.config) if places is None else places
    held = {place: random_dictionary(decoder.config.d_model, k=k, seed=i) for i, place in enumerate(chosen)}
    settings = {"pairs": random_pairs(prompts=n), "batch_size": 2} | changed
    return FeatureProblem(
        model=decoder, dictionaries=Dictionaries(decoder.config, held), metric=logit_difference, **settings
    )


Set = Callable[[Place, torch.Tensor], torch.Tensor]


def slow_run(decoder, tokens, set_at: Set):
    """Final stream of a pass with `set_at` applied at each place."""
    x = set_at(Place("embed", -1), decoder.embed(tokens))
    for layer in range(decoder.config.n_layers):
        heads = set_at(Place("attn", layer), decoder.attention(layer, x))
        mid = x + heads
        if decoder.config.has_mlp:
            mid = mid + set_at(Place("mlp", layer), decoder.mlp(layer, x if decoder.config.parallel else x + heads))
        x = set_at(Place("resid", layer), mid)
    return x


def slow_metric(problem, pairs, set_at: Set):
    """Metric of each prompt."""
    final = slow_run(problem.model, pairs.clean, set_at)
    return problem.metric(problem.model.unembed(pairs.read(final)), pairs)


def values_at(problem, tokens):
    """What stands at each place of a plain pass."""
    found = {}

    def keep(place, x):
        found[place] = x.detach()
        return x

    slow_run(problem.model, tokens, keep)
    return found


def parts_of(dictionary, x):
    """Features and error."""
    features = dictionary.encode(x)
    return features, x - dictionary.decode(features, x)


def alone(place, value) -> Set:
    """Set one place, leave the others."""
    return lambda at, x: value if at == place else x
