"""One's own dictionaries: an unranked features task, made by `bench run --model --pairs --dictionaries`.

`dictionaries` is a folder with a sparse autoencoder of sae_lens for each place (`cfg.json`, `sae_weights.safetensors`), or the archive of
Marks et al. 2024; without it, nodes are the neurons of every place. Pairs are read by `own_pairs.py`. Metric: logit(answer) -
logit(wrong) after the last token. A node that is ablated has its value on the corrupt prompt.

Nodes are features at positions if all pairs have one length, else effects are summed over positions. Half of the pairs, drawn by the
data seed, is for discovery; circuits are run on the other half, over whose corrupt prompts means are taken, and are taken apart at every
place that has a dictionary. What features carry is not known, so only circuits and the quality of the estimate are scored.
"""

from __future__ import annotations

import inspect
import sys
from collections import Counter
from dataclasses import dataclass
from pathlib import Path

import torch
from jaxtyping import Int
from torch import Tensor

from mechboard.errors import UsageError
from mechboard.features import Dictionaries, Identity, all_places
from mechboard.features.files import from_folder
from mechboard.graph import Decoder, PromptPairs
from mechboard.graph.hf import load_checkpoint
from mechboard.ground_truth.cards import check_card
from mechboard.hashing import sha256
from mechboard.metrics.answers import logit_difference
from mechboard.metrics.feature_examination import Contexts, FeatureExamination
from mechboard.protocols import FeatureProblem, Instance, Task

from .own_files import content_hashes, task_name
from .own_pairs import VALID, different, halves
from .tokenizers import words_of

_BUFFER_BYTES = 256 * 2**20
_FILES = ("cfg.json", "sae_weights.safetensors", "ae.pt")


@dataclass(frozen=True, kw_only=True)
class OwnFeatures(Task):
    """A local checkpoint, a file of pairs, and a folder of dictionaries, None for neurons."""

    kind: str = "features"
    ranked: bool = False
    model_folder: Path
    pairs_file: Path
    dictionaries: Path | None

    @property
    def description(self) -> str:
        """What was given, and how it is read."""
        of = "neurons" if self.dictionaries is None else f"dictionaries of {self.dictionaries.resolve().name}"
        given = f"Pairs of {self.pairs_file.name} on the checkpoint {self.model_folder.resolve().name}, {of}."
        return f"{given}\n\n{inspect.getdoc(sys.modules[__name__])}"

    def asset_hashes(self) -> dict[str, str]:
        """Hashes of configuration, weights, tokenizer, pairs and dictionaries.

        Raises:
            UsageError: a folder or the file of pairs is missing.
        """
        return _hashes(self.model_folder, self.pairs_file, self.dictionaries)

    def load(self, data_seed: int, device: str) -> Instance[FeatureProblem]:
        """The model with its dictionaries and the discovery half; the other half is held out.

        Raises:
            ModelError: the checkpoint is not supported, or not the one that its card was written for.
            UsageError: a pair or a dictionary is malformed or does not fit the model.
        """
        check_card(self.model_folder)
        decoder = load_checkpoint(self.model_folder)
        discovery, held_out = halves(self.pairs_file, self.model_folder, decoder, data_seed)
        found = _dictionaries(decoder, self.dictionaries)
        lengths = torch.cat([discovery.lengths, held_out.lengths])
        per_prompt = max(found.sizes.values()) * int(lengths.max()) * 4
        problem = FeatureProblem(
            model=decoder.to(device=device),
            dictionaries=found,
            pairs=discovery.to(device),
            metric=logit_difference,
            by_position=int(lengths.min()) == int(lengths.max()),
            batch_size=max(1, min(64, _BUFFER_BYTES // per_prompt)),
        )
        contexts = Contexts(tokens=_of_one_length(discovery), words=_words(self.model_folder, decoder.config.d_vocab))
        examination = FeatureExamination(pairs=held_out.to(device), scope=tuple(found), contexts=contexts)
        return Instance(problem=problem, held_out=examination)


def own_features(model: Path | str, pairs: Path | str, dictionaries: Path | str | None = None) -> OwnFeatures:
    """The task of a checkpoint, a file of pairs and a folder of dictionaries; its name tells their content.

    Nothing but hashes is read until the problem is needed.

    Raises:
        UsageError: a folder or the file of pairs is missing.
    """
    folder, file = Path(model), Path(pairs)
    given = None if dictionaries is None else Path(dictionaries)
    of = "neurons" if given is None else f"features of {given.resolve().name}"
    return OwnFeatures(
        name=task_name(folder, {"--pairs": file}, _hashes(folder, file, given), prefix="own-features"),
        summary=f"{file.name} on {folder.resolve().name}: {of}, logit difference",
        model_folder=folder,
        pairs_file=file,
        dictionaries=given,
    )


def _hashes(model: Path, pairs: Path, dictionaries: Path | None) -> dict[str, str]:
    found = content_hashes(model, {"--pairs": pairs}, VALID)
    if dictionaries is None:
        return found
    if not dictionaries.is_dir():
        raise UsageError(
            f"--dictionaries {str(dictionaries)!r} is no folder; valid: one with a folder per place that holds cfg.json and "
            "sae_weights.safetensors, as sae_lens saves a sparse autoencoder."
        )
    files = sorted(path for name in _FILES for path in dictionaries.rglob(name))
    return found | {f"--dictionaries {path.relative_to(dictionaries).as_posix()}": sha256(path) for path in files}


def _dictionaries(decoder: Decoder, folder: Path | None) -> Dictionaries:
    if folder is not None:
        return from_folder(decoder.config, folder)
    d_model = decoder.config.d_model
    return Dictionaries(decoder.config, {place: Identity(d_model) for place in all_places(decoder.config)})


def _of_one_length(pairs: PromptPairs) -> Int[Tensor, "sequences position"]:
    """Prompts of the commonest length, clean and corrupt ones, each once: no padding is a context."""
    ((length, _),) = Counter(pairs.lengths.tolist()).most_common(1)
    chosen = pairs.lengths == length
    return different(pairs.clean[chosen, :length], pairs.corrupt[chosen, :length])


def _words(folder: Path, n: int) -> tuple[str, ...]:
    try:
        return words_of(folder, n)
    except UsageError:  # whoever gives token ids needs no tokenizer
        return tuple(map(str, range(n)))
