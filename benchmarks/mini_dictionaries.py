"""Measure the dictionaries of the small GPT on text that was held back from their training, and write their card.

    python benchmarks/mini_dictionaries.py

Fails if the model loses more than a tenth of what a place is worth with a dictionary spliced in without its error:

    loss recovered = (loss(mean) - loss(spliced)) / (loss(mean) - loss(model))

where mean puts the mean vector at the place; `from_zero` says the same of zero, which is easier. Variance explained, L0 and dead
features leave `<bos>` out, which is one vector. Behaviours are measured with all places spliced at once, without errors.
"""

from __future__ import annotations

import json
import platform
from collections.abc import Callable, Iterator, Mapping
from random import Random
from typing import Any

import torch

from mechboard.features.dictionary import Dictionary
from mechboard.features.files import FILES, from_folder
from mechboard.features.places import Place, all_places
from mechboard.features.stream import walk
from mechboard.graph import Decoder, metric_values
from mechboard.ground_truth.cards import CARD, hashes
from mechboard.ground_truth.mini import dictionaries, model
from mechboard.ground_truth.mini.corpus import sequences
from mechboard.ground_truth.mini.dictionaries import train
from mechboard.plugins.registry import Registry
from mechboard.tasks.behaviours.examples import as_pairs
from mechboard.tasks.tokenizers import load_tokenizer

ACCEPTED, SEQUENCES, PROMPTS = 0.9, 1024, 300
_BATCH = 32
Replaced = Callable[[Place, torch.Tensor], torch.Tensor]


def spliced(chosen: Mapping[Place, Dictionary]) -> Replaced:
    """What dictionaries decode to, at their places, and no error."""
    return lambda place, x: chosen[place].decode(chosen[place].encode(x), x) if place in chosen else x


def constant(at: Mapping[Place, torch.Tensor]) -> Replaced:
    """One vector everywhere, at some places."""
    return lambda place, x: at[place].expand_as(x) if place in at else x


@torch.no_grad()
def loss(decoder: Decoder, ids: torch.Tensor, visit: Replaced) -> float:
    """Mean cross-entropy of the next token with vectors replaced, in nats."""
    total = 0.0
    for batch in ids.split(_BATCH):
        logits = decoder.unembed(walk(decoder, decoder.embed(batch), visit))[:, :-1]
        total += float(torch.nn.functional.cross_entropy(logits.flatten(0, 1), batch[:, 1:].flatten())) * len(batch)
    return total / len(ids)


@torch.no_grad()
def quality(dictionary: Dictionary, rows: torch.Tensor) -> dict[str, Any]:
    """Variance explained, mean number of features that are on, and features that never are."""
    squared, active, on = 0.0, torch.zeros(dictionary.n_features), 0.0
    for part in rows.split(8192):
        features = dictionary.encode(part)
        squared += float((part - dictionary.decode(features, part)).double().square().sum())
        active += (features != 0).sum(0)
        on += float((features != 0).sum())
    variance = float((rows - rows.mean(0)).double().square().sum())
    return {
        "features": dictionary.n_features,
        "variance_explained": round(1 - squared / variance, 4),
        "l0": round(on / len(rows), 2),
        "dead": int((active == 0).sum()),
    }


def recovered(
    decoder: Decoder, ids: torch.Tensor, visit: Replaced, means: dict[Place, torch.Tensor], plain: float
) -> dict[str, float]:
    """Loss recovered at the places of `means`."""
    with_it = loss(decoder, ids, visit)
    mean = loss(decoder, ids, constant(means))
    zero = loss(decoder, ids, constant({place: torch.zeros_like(vector) for place, vector in means.items()}))
    return {
        "loss": round(with_it, 4),
        "loss_mean": round(mean, 4),
        "loss_recovered": round((mean - with_it) / (mean - plain), 4),
        "from_zero": round((zero - with_it) / (zero - plain), 4),
    }


@torch.no_grad()
def behaviours(decoder: Decoder, chosen: Mapping[Place, Dictionary]) -> Iterator[tuple[str, dict[str, float]]]:
    """The mean metric of each behaviour, in the model and with every place spliced."""
    registry, encode = Registry(), load_tokenizer(model.folder())
    for name in registry.plugins("task"):
        task = registry.load("task", name) if name.endswith("-mini") else None
        if task is None or not hasattr(task, "behaviour"):
            continue
        behaviour, draw = task.behaviour("test"), Random(f"card/{name}")
        examples = [behaviour.draw(draw) for _ in range(PROMPTS)]
        pairs = as_pairs(examples, behaviour.metric, encode, d_vocab=decoder.config.d_vocab)
        sums = torch.zeros(2)
        for batch in pairs.batches(100):
            for i, visit in enumerate((constant({}), spliced(chosen))):
                final = walk(decoder, decoder.embed(batch.clean), visit)
                sums[i] += metric_values(decoder, final, behaviour.metric, batch).sum()
        whole, with_it = (sums / len(pairs)).tolist()
        yield (
            name.removesuffix("-mini"),
            {"model": round(whole, 3), "spliced": round(with_it, 3), "kept": round(with_it / whole, 3)},
        )


def readable(card: dict[str, Any]) -> str:
    """The card for people, in Markdown."""
    training = card["training"]
    lines = [
        "# The dictionaries of the small GPT", "", f"{card['summary']}. Written by `benchmarks/mini_dictionaries.py`; `card.json` has the "
        "same with hashes.", "",
        f"- Top-k autoencoders of {training['features']} features, k = {training['k']}, one for each of {len(card['places'])} places, in "
        f"sae_lens' format. Licence: {card['licence']}.",
        f"- {training['steps']:,} steps of {training['batch']} vectors from {training['tokens']:,} tokens of the training stream, seed "
        f"{training['seed']}, by sae_lens {training['sae_lens']} on one thread.", "",
        f"## Quality on held-back text ({card['measured_on']})", "",
        f"The model's loss is {card['loss']:.4f} nats. Without errors, each place alone, and all at once:", "",
        "| place | variance explained | L0 | dead | loss | with the mean | loss recovered | from zero |", "|---|---|---|---|---|---|---|---|",
    ]  # fmt: skip
    for name, found in (*card["places"].items(), ("all", card["together"])):
        about = (
            (f"{found['variance_explained']:.3f}", f"{found['l0']:.1f}", str(found["dead"]))
            if name != "all"
            else ("",) * 3
        )
        numbers = (f"{found[key]:.3f}" for key in ("loss", "loss_mean", "loss_recovered", "from_zero"))
        lines.append(f"| {' | '.join((name, *about, *numbers))} |")
    lines += ["", "Loss recovered: share of the loss between the mean vector (or zero) at the place and the model that is kept.", "",
              "## Behaviours with every place spliced, without errors", "", "| behaviour | model | spliced | kept |", "|---|---|---|---|",
              *(f"| {name} | {found['model']:.2f} | {found['spliced']:.2f} | {found['kept']:.2f} |"
                for name, found in card["behaviours"].items()),
              "", "## Known gaps", "", *(f"- {gap}" for gap in card["known_gaps"])]  # fmt: skip
    return "\n".join(lines) + "\n"


KNOWN_GAPS = (
    "Position 0 always holds `<bos>`, and features that are on there say no more.",
    "Top-k keeps 16 features on whatever is read; where less is to be said, weak features are on that mean little.",
    "Features of rare words may be on for single tokens only; a feature that is dead here may be on in other text.",
)


def main() -> None:
    folder, decoder = dictionaries.folder(), model.load()
    chosen = from_folder(decoder.config, folder)
    ids = sequences("held back", 0, SEQUENCES)
    rows = train.activations(decoder, all_places(decoder.config), "held back", SEQUENCES)
    behind_bos = torch.arange(ids.numel()) % ids.shape[1] != 0
    plain = loss(decoder, ids, constant({}))
    places = {}
    for place, dictionary in chosen.items():
        mean = {place: rows[place].mean(0)}
        places[str(place)] = quality(dictionary, rows[place][behind_bos]) | recovered(
            decoder, ids, spliced({place: dictionary}), mean, plain
        )
        print(f"{place!s:8} {places[str(place)]}", flush=True)
    together = recovered(decoder, ids, spliced(chosen), {place: rows[place].mean(0) for place in chosen}, plain)
    print(f"together {together}", flush=True)
    worst = min(places, key=lambda name: places[name]["loss_recovered"])
    if places[worst]["loss_recovered"] < ACCEPTED:
        raise SystemExit(
            f"Refused: {worst} recovers {places[worst]['loss_recovered']:.3f} of the loss, under {ACCEPTED}; train longer."
        )
    version = json.loads((folder / worst / "cfg.json").read_text())["metadata"]["sae_lens_training_version"]
    card = {
        "name": "mini-dictionaries",
        "summary": "A sparse autoencoder for the embedding, every attention and MLP output and every residual stream of the small GPT",
        "licence": "MIT, as the project's; trained on generated text alone",
        "model": dictionaries.model_hash(),
        "files": hashes(folder, [f"{place}/{name}" for place in chosen for name in FILES]),
        "training": {"features": train.N_FEATURES, "k": train.K, "steps": train.STEPS, "batch": train.BATCH,
                     "tokens": train.SEQUENCES * ids.shape[1], "seed": train.SEED, "sae_lens": version},
        "measured_on": f"{ids.numel():,} tokens",
        "measured_with": {"torch": torch.__version__, "machine": platform.machine()},
        "loss": round(plain, 4),
        "places": places,
        "together": together,
        "behaviours": dict(behaviours(decoder, chosen)),
        "known_gaps": KNOWN_GAPS,
    }  # fmt: skip
    print(json.dumps(card["behaviours"], indent=1))
    (folder / CARD).write_text(json.dumps(card, indent=1) + "\n", encoding="utf-8")
    (folder / "README.md").write_text(readable(card), encoding="utf-8")


if __name__ == "__main__":
    main()
