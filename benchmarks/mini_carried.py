"""Measure what the features of the small model's dictionaries carry, and how stable the truths are that follow.

    OMP_NUM_THREADS=1 python benchmarks/mini_carried.py [--version 1] [--texts 4096] [--prompts 32]

Writes `ground_truth/mini/carried/features.v<N>.json` and prints how many features carry what at which place. The published
truth is of words that were held out of training. Under `stability`, for every task and share:

- `true`, `universe`  how many features are true, and how many true or false;
- `bootstrap`  texts and prompts drawn again with replacement, 20 times: Jaccard index of the true features with the published ones, mean
               and 5 % quantile; `bootstrap universe` the same of the universe;
- `splits`     Jaccard index with what words that were trained on give, in other texts; `splits universe` alike;
- `thresholds` number of true features and Jaccard index with the published ones, where one threshold is another;
- `undecided`  features that are true, false or neither according to whether the AUCs at own marks, those anywhere, or the shares are two
               standard errors higher or lower.

About ten minutes on one core, 3 GB.
"""

from __future__ import annotations

import argparse
import json
import time
from collections import Counter
from collections.abc import Iterator
from dataclasses import replace
from typing import Any

import torch
from torch import Tensor

from mechboard.ground_truth.mini import dictionaries, model
from mechboard.ground_truth.mini.carried import rule, stored
from mechboard.ground_truth.mini.carried.measure import PlaceMeasures, evidence, measure
from mechboard.ground_truth.mini.carried.rule import SHARES, VARIABLE_OF, Evidence, Share, Thresholds, Verdict
from mechboard.ground_truth.mini.carried.variables import USES, Use

_BOOTSTRAPS = 20
_OTHERS: tuple[dict[str, float], ...] = (
    {"separates": 0.85}, {"separates": 0.95}, {"touches": 0.6}, {"touches": 0.7},
    {"touches_word": 0.75}, {"touches_word": 0.85}, {"elsewhere": 0.125}, {"elsewhere": 0.5},
)  # fmt: skip


def jaccard(a: set[str], b: set[str]) -> float:
    """1 is the same set; two empty sets are."""
    return round(len(a & b) / len(a | b), 4) if a | b else 1.0


def sets(found: Evidence, use: Use, thresholds: Thresholds) -> tuple[set[str], set[str]]:
    """Names of features that are true, and of those that are true or false."""
    verdict = rule.verdict(found, use, thresholds)
    true, universe = (
        {name for name, inside in zip(found.features, mask.tolist(), strict=True) if inside} for mask in verdict
    )
    return true, universe


def resampled(places: list[PlaceMeasures], n_texts: int, n_prompts: int) -> Iterator[Evidence]:
    """The evidence of texts and prompts drawn again."""
    generator = torch.Generator().manual_seed(0)
    for _ in range(_BOOTSTRAPS):
        texts = torch.randint(n_texts, (n_texts,), generator=generator)
        prompts = torch.randint(n_prompts, (n_prompts,), generator=generator)
        yield evidence([place.resampled(texts, prompts) for place in places])


def moved(found: Evidence, again: list[Evidence]) -> Iterator[Evidence]:
    """The evidence with AUCs at own marks, AUCs anywhere, or shares two standard errors higher and lower."""
    own, anywhere = (torch.stack([getattr(e, part) for e in again]).std(0) for part in ("own", "anywhere"))
    words = {v: torch.stack([e.word_areas[v] for e in again]).std(0) for v in found.word_areas}
    for by in (2.0, -2.0):
        areas = {v: area + by * words[v] for v, area in found.word_areas.items()}
        yield replace(found, own=found.own + by * own, word_areas=areas)
        yield replace(found, anywhere=found.anywhere + by * anywhere, word_areas=areas)

        def shift(shares: dict[str, Share], by: float = by) -> dict[str, Share]:
            return {name: Share(share.mean + by * share.error, share.error) for name, share in shares.items()}

        yield replace(found, shares=shift(found.shares), word_shares=shift(found.word_shares))


def stability(found: Evidence, again: list[Evidence], trained: Evidence, use: Use, share: float) -> dict[str, Any]:
    """How the true features of a task, and its universe, change with what they were measured on."""
    thresholds = Thresholds(share=share)
    true, universe = sets(found, use, thresholds)
    drawn = [sets(each, use, thresholds) for each in again]
    resampled_true = torch.tensor([jaccard(each, true) for each, _ in drawn])
    resampled_universe = torch.tensor([jaccard(each, universe) for _, each in drawn])
    of_trained = sets(trained, use, thresholds)
    published = _codes(rule.verdict(found, use, thresholds))
    undecided = torch.stack([_codes(rule.verdict(each, use, thresholds)) != published for each in moved(found, again)])
    return {
        "true": len(true),
        "universe": len(universe),
        "undecided": int(undecided.any(0).sum()),
        "bootstrap": [round(float(x), 4) for x in (resampled_true.mean(), resampled_true.quantile(0.05))],
        "bootstrap universe": [
            round(float(x), 4) for x in (resampled_universe.mean(), resampled_universe.quantile(0.05))
        ],
        "splits": jaccard(of_trained[0], true),
        "splits universe": jaccard(of_trained[1], universe),
        "thresholds": {
            f"{name} {value}": [len(other), jaccard(other, true)]
            for given in _OTHERS
            for name, value in given.items()
            for other in [sets(found, use, replace(thresholds, **given))[0]]
        },
    }


def _codes(verdict: Verdict) -> Tensor:
    return verdict.true.long() + verdict.universe.long()


def worth_keeping(found: Evidence) -> Evidence:
    """Features that separate something and touch nothing else."""
    headline = Thresholds()
    kept = torch.stack([found.separates(c, headline) & found.selective(v, headline) for c, v in VARIABLE_OF.items()])
    every = stored.packed(found)
    return stored.unpacked(
        {name: every[name] for name, keep in zip(found.features, kept.any(0).tolist(), strict=True) if keep}
    )


def table(found: Evidence, places: list[str]) -> str:
    """How many features carry what at which place, from the headline share on."""
    lines = [f"{'':15}" + "".join(f"{place:>8}" for place in places) + f"{'all':>8}"]
    for contrast in VARIABLE_OF:
        carried = rule.carried(found, contrast, Thresholds())
        counts = Counter(
            name.split("/")[0] for name, inside in zip(found.features, carried.tolist(), strict=True) if inside
        )
        lines.append(f"{contrast:15}" + "".join(f"{counts[p] or '.':>8}" for p in places) + f"{counts.total():>8}")
    return "\n".join(lines)


def content(n_texts: int, n_prompts: int) -> dict[str, Any]:
    """Everything that the file says."""
    decoder = model.load()
    held = dictionaries.load(decoder.config)
    in_memory = {place: held[place] for place in held}
    begun = time.process_time()
    with torch.no_grad():
        measured = measure(decoder, in_memory, "test", n_texts=n_texts, n_prompts=n_prompts)
        trained = evidence(measure(decoder, in_memory, "train", n_texts=n_texts, n_prompts=n_prompts, seed=1))
        everything = stored.unpacked(stored.packed(evidence(measured)))  # as it stands in the file
        print(f"measured in {time.process_time() - begun:.0f} s", flush=True)
        again = list(resampled(measured, n_texts, n_prompts))
    published = worth_keeping(everything)
    print(
        f"{len(everything.features)} candidates, {len(published.features)} kept, {time.process_time() - begun:.0f} s\n"
    )
    print(table(published, [str(place) for place in held]), "\n")
    stable = {
        name: {f"{s:.0%}": stability(everything, again, trained, use, s) for s in SHARES} for name, use in USES.items()
    }
    for name, by_share in stable.items():
        print(name, *(f"  {share}: {one}" for share, one in by_share.items()), sep="\n", flush=True)
    about = {
        **stored.hashes(),
        "rule": " ".join((rule.__doc__ or "").split()),
        "words": "held out of training; names of both splits",
        "texts": n_texts,
        "prompts": n_prompts,
        "sizes": {str(place): size for place, size in held.sizes.items()},
        "candidates": len(everything.features),
    }
    return {"about": about, "stability": stable, "features": stored.packed(published)}


def written(found: dict[str, Any]) -> str:
    """JSON with a line for each feature."""
    rows = ",\n".join(
        f"  {json.dumps(name)}: {json.dumps(row, separators=(',', ':'))}" for name, row in found["features"].items()
    )
    head = json.dumps({part: found[part] for part in ("about", "stability")}, indent=1)
    return head.removesuffix("\n}") + ',\n "features": {\n' + rows + "\n }\n}\n"


def main() -> None:
    parser = argparse.ArgumentParser(description=(__doc__ or "").partition("\n")[0])
    parser.add_argument("--version", type=int, default=1)
    parser.add_argument("--texts", type=int, default=4096)
    parser.add_argument("--prompts", type=int, default=32)
    arguments = parser.parse_args()
    torch.set_num_threads(1)
    found = content(arguments.texts, arguments.prompts)
    stored.path(arguments.version).write_text(written(found), encoding="utf-8")


if __name__ == "__main__":
    main()
