"""Trains the dictionaries of the small GPT with sae_lens: one sparse autoencoder for each of its 13 places.

    python -m mechboard.ground_truth.mini.dictionaries.train --out OUT

Top-k autoencoders by sae_lens' trainer, with its loss for dead features, on what stands at a place while the model reads the training
stream of the corpus; no prompt of a task is read. For training, vectors are scaled to one mean length, which is folded into the weights.
Everything follows from the seed, on one thread. `OUT` gets a folder per place in sae_lens' format; `benchmarks/mini_dictionaries.py`
measures them and writes the card. About 8 minutes on one core.
"""

from __future__ import annotations

import argparse
import json
from collections.abc import Iterator, Sequence
from pathlib import Path
from typing import Any

import torch
from jaxtyping import Float
from torch import Tensor

from mechboard.features.places import Place, all_places
from mechboard.features.stream import record
from mechboard.graph import Decoder

from .. import model
from ..corpus import LENGTH, sequences

N_FEATURES, K, SEED = 512, 16, 0
SEQUENCES, STEPS, BATCH, RATE = 4096, 2000, 512, 2e-3
_DEAD_AFTER = 200  # steps in which a feature was never on


@torch.no_grad()
def activations(
    decoder: Decoder, places: Sequence[Place], stream: str, n: int
) -> dict[Place, Float[Tensor, "tokens d_model"]]:
    """What stands at places on the first `n` sequences of a stream of the corpus."""
    found: dict[Place, list[Tensor]] = {place: [] for place in places}
    for ids in torch.split(sequences(stream, 0, n), 64):
        recorded = record(decoder, decoder.embed(ids))
        for place, parts in found.items():
            parts.append(recorded[place].flatten(0, 1))
    return {place: torch.cat(parts) for place, parts in found.items()}


def batches(rows: Float[Tensor, "tokens d_model"], seed: int) -> Iterator[Float[Tensor, "batch d_model"]]:
    """Endless batches of rows, in a new order each time round."""
    generator = torch.Generator().manual_seed(seed)
    while True:
        for chosen in torch.split(torch.randperm(len(rows), generator=generator), BATCH)[:-1]:
            yield rows[chosen]


def trained(rows: Float[Tensor, "tokens d_model"], place: Place, *, steps: int, seed: int) -> Any:
    """A trained autoencoder of sae_lens for the vectors at a place."""
    from sae_lens import SAETrainer, TopKTrainingSAE, TopKTrainingSAEConfig
    from sae_lens.config import SAETrainerConfig
    from sae_lens.saes.sae import SAEMetadata

    torch.manual_seed(seed)
    about = SAEMetadata(model_name="mini", hook_name=place.hook, context_size=LENGTH, prepend_bos=True)
    sae = TopKTrainingSAE(
        TopKTrainingSAEConfig(
            d_in=rows.shape[1], d_sae=N_FEATURES, k=K, normalize_activations="expected_average_only_in", metadata=about
        )
    )
    training = SAETrainerConfig(
        total_training_samples=steps * BATCH, train_batch_size_samples=BATCH, n_batches_for_norm_estimate=100,
        lr=RATE, lr_end=RATE / 10, lr_warm_up_steps=steps // 20, lr_decay_steps=steps // 5,
        dead_feature_window=_DEAD_AFTER,
    )  # fmt: skip
    return SAETrainer(training, sae, batches(rows, seed)).fit()


def save(sae: Any, folder: Path) -> None:
    """Save what encodes and decodes, as sae_lens does; the settings in an order that is always the same."""
    _, settings = sae.save_inference_model(folder)
    content = json.loads(settings.read_text(encoding="utf-8"))
    settings.write_text(json.dumps(content, indent=1, sort_keys=True) + "\n", encoding="utf-8")


def main() -> None:
    """Train all of them and save them."""
    parser = argparse.ArgumentParser(description=__doc__.partition("\n")[0])
    parser.add_argument("--out", type=Path, required=True)
    parser.add_argument("--steps", type=int, default=STEPS)
    parser.add_argument("--seed", type=int, default=SEED)
    arguments = parser.parse_args()
    torch.set_num_threads(1)
    decoder = model.load()
    places = all_places(decoder.config)
    for place, rows in activations(decoder, places, "train", SEQUENCES).items():
        save(trained(rows, place, steps=arguments.steps, seed=arguments.seed), arguments.out / str(place))


if __name__ == "__main__":
    main()
