"""What was measured, as a file, and the truths of a task that follow from it.

Of every feature that separates something and is selective the file has AUCs from .6 on, and shares, with standard errors, of the
behaviours in whose prompts it is on; what it leaves out counts as .5 and 0. The hashes of model and dictionaries stand in it, and of others it is refused.
"""

from __future__ import annotations

import hashlib
import json
from collections.abc import Mapping
from importlib.resources import files
from pathlib import Path
from typing import Any, NamedTuple

import torch
from torch import Tensor

from mechboard.errors import ModelError
from mechboard.features import FeatureTruth, Node, Nodes
from mechboard.features.places import named
from mechboard.hashing import sha256

from .. import dictionaries, model
from .rule import SHARES, VARIABLE_OF, Evidence, Share, Thresholds, carried, verdict
from .variables import BEHAVIOURS, CONTRASTS, USES, WORDS

FEWEST = 5
"""Features that must be true, and that must be false, for a truth to be one."""
_AREA = 0.6
_SUFFIX = "-features-mini"


class Stored(NamedTuple):
    """The file's content: what was measured of how many features, and how stable what follows is."""

    evidence: Evidence
    sizes: Mapping[str, int]
    stability: Mapping[str, Mapping[str, Any]]


def path(version: int) -> Path:
    """Where a version of the measurements is; one file serves all tasks."""
    return Path(str(files("mechboard.ground_truth.mini"))) / "carried" / f"features.v{version}.json"


def hashes() -> dict[str, str]:
    """Of the weights that are measured: the small model's, and all of its dictionaries' with their settings."""
    folder, found = dictionaries.folder(), hashlib.sha256()
    for file in sorted([*folder.glob("*/cfg.json"), *folder.glob("*/*.safetensors")]):
        found.update(f"{file.relative_to(folder).as_posix()} {sha256(file)}\n".encode())
    return {"model": sha256(model.folder() / "model.safetensors"), "dictionaries": found.hexdigest()}


def read(version: int, weights: Mapping[str, str]) -> Stored:
    """A version of the measurements, which must be of these weights.

    Raises:
        ModelError: they are of others.
    """
    content = json.loads(path(version).read_text(encoding="utf-8"))
    about = content["about"]
    for what, given in weights.items():
        if about[what] != given:
            raise ModelError(
                f"What features carry (version {version}) was measured with {what} {about[what][:12]} and here it is {given[:12]}; "
                "measure it again with benchmarks/mini_carried.py under a new version."
            )
    return Stored(unpacked(content["features"]), about["sizes"], content["stability"])


def truths(task: str, version: int, nodes: Nodes) -> tuple[FeatureTruth, ...]:
    """Features that carry what a task's behaviour uses, among those that carry anything; a truth for each share, the headline first.

    Args:
        task: its name, such as `ioi-features-mini`.
        version: of the measurements.
        nodes: of the small model's own dictionaries, at some of its places or all.

    Returns:
        None where the behaviour is not known here, or where fewer than five features are true or false.

    Raises:
        ModelError: model or dictionaries are not those that were measured, or the nodes are of others.
    """
    use = USES.get(task.removesuffix(_SUFFIX))
    if use is None:
        return ()
    stored = read(version, hashes())
    for place, size in nodes.sizes.items():
        if stored.sizes.get(str(place)) != size:
            raise ModelError(
                f"{place} has {size} features and {stored.sizes.get(str(place), 0)} were measured; give the small model's own "
                "dictionaries."
            )
    found = []
    for share in SHARES:
        thresholds = Thresholds(share=share)
        true, universe = verdict(stored.evidence, use, thresholds)
        here = _numbers(stored.evidence.features, nodes)
        kept = here >= 0
        if min(int((true & kept).sum()), int((universe & ~true & kept).sum())) < FEWEST:
            continue
        told = labels(stored.evidence, thresholds)
        found.append(
            FeatureTruth(
                name=f"{task}:carried-{share:.0%}",
                carries=_mask(nodes, here[true & kept]),
                universe=_mask(nodes, here[universe & kept]),
                source=_source(stored, task.removesuffix(_SUFFIX), share),
                labels={int(here[i]): label for i, label in enumerate(told) if label and kept[i]},
            )
        )
    return tuple(found) if found and found[0].name.endswith(f"-{SHARES[0]:.0%}") else ()


def _numbers(features: tuple[str, ...], nodes: Nodes) -> Tensor:
    """The number of each feature among the nodes without positions, -1 where its place has none."""
    found = []
    for feature in features:
        place, unit = feature.split("/")
        node = Node(named(place), None, int(unit))
        found.append(nodes.summed.index(node) if node.place in nodes.sizes else -1)
    return torch.tensor(found, dtype=torch.long)


def _mask(nodes: Nodes, chosen: Tensor) -> Tensor:
    mask = torch.zeros(len(nodes.summed), dtype=torch.bool)
    mask[chosen] = True
    return mask


def labels(evidence: Evidence, thresholds: Thresholds) -> list[str]:
    """What each feature carries, in words; empty for nothing."""
    told: list[list[str]] = [[] for _ in evidence.features]
    for contrast in VARIABLE_OF:
        for index in carried(evidence, contrast, thresholds).nonzero().flatten().tolist():
            told[index].append(evidence.words[contrast][index] if contrast in WORDS else contrast)
    return [", ".join(parts) for parts in told]


def _source(stored: Stored, use: str, share: float) -> str:
    stable = stored.stability[use][f"{share:.0%}"]
    return (
        f"features that carry what the behaviour uses ({', '.join(USES[use].contrasts)}), among those that carry any variable: they "
        f"separate its values, touch no other variable, and take {share:.0%} of the behaviour along; "
        f"Jaccard index {stable['bootstrap'][0]:.2f} under resampled texts and prompts, {stable['splits']:.2f} between words that were "
        f"trained on and held out; {stable['undecided']} features within two standard errors of a threshold"
    )


# -- as JSON -------------------------------------------------------------------------------------


def packed(evidence: Evidence) -> dict[str, dict[str, Any]]:
    """What is worth keeping of each feature."""
    found: dict[str, dict[str, Any]] = {}
    for index, feature in enumerate(evidence.features):

        def of(areas: Tensor, index: int = index) -> dict[str, float]:
            column = areas[:, index].tolist()
            return {c.name: round(x, 4) for c, x in zip(CONTRASTS, column, strict=True) if x >= _AREA}

        def shares(given: Mapping[str, Share], index: int = index) -> dict[str, list[float]]:
            return {name: [round(float(x[index]), 4) for x in share] for name, share in given.items()}

        found[feature] = {
            "own": of(evidence.own),
            "anywhere": of(evidence.anywhere),
            "words": {v: [evidence.words[v][index], round(float(evidence.word_areas[v][index]), 4)] for v in WORDS
                      if float(evidence.word_areas[v][index]) >= _AREA},
            "shares": shares({name: share for name, share in evidence.shares.items() if evidence.on[name][index]}),
            "word shares": shares({v: share for v, share in evidence.word_shares.items() if share.mean[index] != 0}),
        }  # fmt: skip
        found[feature] = {part: value for part, value in found[feature].items() if value}
    return found


def unpacked(content: Mapping[str, Mapping[str, Any]]) -> Evidence:
    """The evidence again; what was not worth keeping is .5 and 0."""
    rows = list(content.values())

    def areas(part: str) -> Tensor:
        return torch.tensor([[row.get(part, {}).get(c.name, 0.5) for row in rows] for c in CONTRASTS])

    def shares(part: str, name: str) -> Share:
        return Share(*torch.tensor([row.get(part, {}).get(name, (0.0, 0.0)) for row in rows]).T)

    words = {v: [row.get("words", {}).get(v, ("", 0.5)) for row in rows] for v in WORDS}
    return Evidence(
        tuple(content),
        areas("own"),
        areas("anywhere"),
        {v: tuple(word for word, _ in pairs) for v, pairs in words.items()},
        {v: torch.tensor([area for _, area in pairs]) for v, pairs in words.items()},
        {name: shares("shares", name) for names in BEHAVIOURS.values() for name in names},
        {name: shares("word shares", name) for name in WORDS},
        {
            name: torch.tensor([name in row.get("shares", {}) for row in rows])
            for names in BEHAVIOURS.values()
            for name in names
        },
    )
