"""One's own model and prompts: an unranked task without a known circuit, made by `bench run --model --pairs`.

The pairs are JSON lines of `clean`, `corrupt`, `answer` and `wrong`, all text or all token ids (lists
for prompts, numbers for answers). Metric: logit(answer) - logit(wrong) after the last token. Ablation: resample.
Half of the pairs, drawn by the data seed, are for discovery; the method is scored on the other half,
on faithfulness alone, with CMD as headline.
"""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path
from random import Random
from typing import Any

import torch

from mechboard.errors import UsageError
from mechboard.graph import Ablation, Decoder, PromptPairs
from mechboard.graph.hf import load_checkpoint
from mechboard.ground_truth.cards import check_card
from mechboard.metrics.answers import logit_difference
from mechboard.protocols import CircuitProblem, Instance, Task

from .own_files import content_hashes, encoded, is_ids, read_lines, task_name
from .tokenizers import Encode, answer_id, load_tokenizer

_KEYS = ("clean", "corrupt", "answer", "wrong")
_BUFFER_BYTES = 256 * 2**20
_FEWEST = 4
_VALID = f"JSON lines of {', '.join(_KEYS)}"


@dataclass(frozen=True)
class _Pair:
    clean: list[int]
    corrupt: list[int]
    answer: int
    wrong: int


@dataclass(frozen=True, kw_only=True)
class OwnTask(Task):
    """A local checkpoint and a file of pairs."""

    kind: str = "circuit"
    ranked: bool = False
    model_folder: Path
    pairs_file: Path

    @property
    def description(self) -> str:
        """What was given."""
        return (
            f"Pairs of {self.pairs_file.name} on the checkpoint {self.model_folder.resolve().name}.\n"
            "Metric: logit(answer) - logit(wrong) after the last token. Ablation: resample. Half of the pairs are for\n"
            "discovery, half for scoring. No circuit is known, so only faithfulness is measured."
        )

    def asset_hashes(self) -> dict[str, str]:
        """Hashes of configuration, weights, tokenizer and pairs.

        Raises:
            UsageError: the folder or the file of pairs is missing.
        """
        return content_hashes(self.model_folder, {"--pairs": self.pairs_file}, _VALID)

    def load(self, data_seed: int, device: str) -> Instance[CircuitProblem]:
        """The model and the discovery half; the other half is held out.

        Raises:
            ModelError: the checkpoint is not supported, or not the one that its card was written for.
            UsageError: the pairs are malformed or of unequal length.
        """
        check_card(self.model_folder)
        decoder = load_checkpoint(self.model_folder)
        every = list(_read_pairs(self.pairs_file, self.model_folder, decoder))
        Random(f"own/{data_seed}").shuffle(every)
        decoder = decoder.to(device=device)
        graph, pairs = decoder.graph, _as_prompts(every[0::2]).to(device)
        per_prompt = graph.n_sources * pairs.clean.shape[1] * decoder.config.d_model * 4
        problem = CircuitProblem(
            model=decoder,
            graph=graph,
            pairs=pairs,
            metric=logit_difference,
            ablation=Ablation("resample", decoder, pairs),
            batch_size=max(1, min(64, _BUFFER_BYTES // per_prompt)),
        )
        return Instance(problem=problem, held_out=_as_prompts(every[1::2]).to(device))


def own_task(model: Path | str, pairs: Path | str) -> OwnTask:
    """The task of a checkpoint and a file of pairs; its name tells its content, since two folders can be called alike.

    Nothing but hashes is read until the problem is needed.

    Raises:
        UsageError: the folder or the file of pairs is missing.
    """
    folder, file = Path(model), Path(pairs)
    files = {"--pairs": file}
    return OwnTask(
        name=task_name(folder, files, content_hashes(folder, files, _VALID)),
        summary=f"{file.name} on {folder.resolve().name}: logit difference, no circuit known (resample)",
        model_folder=folder,
        pairs_file=file,
    )


def _as_prompts(chosen: list[_Pair]) -> PromptPairs:
    longest = max(len(p.clean) for p in chosen)
    lengths = torch.tensor([len(p.clean) for p in chosen])
    clean, corrupt = (
        torch.tensor([ids + [0] * (longest - len(ids)) for ids in side])
        for side in ([p.clean for p in chosen], [p.corrupt for p in chosen])
    )
    targets = {"answer": torch.tensor([p.answer for p in chosen]), "wrong": torch.tensor([p.wrong for p in chosen])}
    return PromptPairs(clean, corrupt, lengths, (lengths - 1)[:, None], targets)


def _read_pairs(path: Path, model: Path, decoder: Decoder) -> Iterator[_Pair]:
    encode: Encode | None = None
    for where, row in read_lines(path, "--pairs", _VALID, fewest=_FEWEST):
        _check_types(row, where)
        if isinstance(row["clean"], str):
            encode = encode or load_tokenizer(model)
            yield _checked(_tokenised(row, encode, where), where, decoder)
        else:
            yield _checked(_Pair(*(row[key] for key in _KEYS)), where, decoder)


def _check_types(row: dict[str, Any], where: str) -> None:
    if missing := [key for key in _KEYS if key not in row]:
        raise UsageError(f"{where} lacks {', '.join(missing)}; valid: an object with {', '.join(_KEYS)}.")
    is_text = all(isinstance(row[key], str) for key in _KEYS)
    if not (is_text or (all(is_ids(row[k]) for k in _KEYS[:2]) and is_ids([row[k] for k in _KEYS[2:]]))):
        raise UsageError(f"{where} mixes types; valid: four texts, or two lists of token ids and two token ids.")


def _tokenised(row: dict[str, str], encode: Encode, where: str) -> _Pair:
    def ids(text: str) -> list[int]:
        return encoded(encode, text, where)

    answers = [answer_id(ids, row["clean"], row[key], where) for key in ("answer", "wrong")]
    return _Pair(ids(row["clean"]), ids(row["corrupt"]), *answers)


def _checked(pair: _Pair, where: str, decoder: Decoder) -> _Pair:
    if len(pair.clean) != len(pair.corrupt):
        raise UsageError(
            f"{where}: clean is {len(pair.clean)} tokens and corrupt {len(pair.corrupt)}; both must have the same "
            "number of tokens, so that every position has a counterpart; reword one."
        )
    if pair.clean == pair.corrupt:
        raise UsageError(f"{where}: clean and corrupt are the same tokens, so no edge can matter; change one of them.")
    config = decoder.config
    if not 1 <= len(pair.clean) <= config.n_ctx:
        raise UsageError(f"{where}: {len(pair.clean)} tokens; valid for this model: 1 to {config.n_ctx}.")
    worst = max([*pair.clean, *pair.corrupt, pair.answer, pair.wrong])
    if worst >= config.d_vocab or min([*pair.clean, *pair.corrupt, pair.answer, pair.wrong]) < 0:
        raise UsageError(f"{where}: token id {worst} is outside this model's vocabulary of {config.d_vocab}.")
    if pair.answer == pair.wrong:
        raise UsageError(f"{where}: answer and wrong are the same token; valid: two different tokens.")
    return pair
