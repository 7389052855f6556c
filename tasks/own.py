"""One's own model and prompts: an unranked task without a known circuit, made by `bench run --model --pairs`.

The pairs are JSON lines of `clean`, `corrupt`, `answer` and `wrong`, all text or all token ids (lists
for prompts, numbers for answers). Metric: logit(answer) - logit(wrong) after the last token. Ablation: resample.
Half of the pairs, drawn by the data seed, are for discovery; the method is scored on the other half,
on faithfulness alone, with CMD as headline.
"""

from __future__ import annotations

import hashlib
import json
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path
from random import Random
from typing import Any

import torch

from mechboard.errors import ModelError, UsageError
from mechboard.graph import Ablation, Decoder, PromptPairs
from mechboard.graph.hf import load_checkpoint
from mechboard.ground_truth.cards import check_card
from mechboard.hashing import sha256
from mechboard.metrics.answers import logit_difference
from mechboard.protocols import CircuitProblem, Instance, Task
from mechboard.tasks.tokenizers import Encode, answer_id, load_tokenizer

_KEYS = ("clean", "corrupt", "answer", "wrong")
_BUFFER_BYTES = 256 * 2**20
_FEWEST = 4
# What decides about the problem: configuration, weights, and what makes token ids of text.
_CONTENT = (
    "config.json", "*.safetensors", "*.bin",
    "tokenizer*.json", "vocab.*", "merges.txt", "special_tokens_map.json", "added_tokens.json", "*.model",
)  # fmt: skip


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
        return _content_hashes(self.model_folder, self.pairs_file)

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
    called = folder.resolve().name
    content = hashlib.sha256(repr(sorted(_content_hashes(folder, file).items())).encode()).hexdigest()
    return OwnTask(
        name=f"own-{_plain(called)}-{_plain(file.stem)}-{content[:8]}",
        summary=f"{file.name} on {called}: logit difference, no circuit known (resample)",
        model_folder=folder,
        pairs_file=file,
    )


def _content_hashes(folder: Path, pairs: Path) -> dict[str, str]:
    if not pairs.is_file():
        raise UsageError(f"--pairs {str(pairs)!r} is no file; valid: JSON lines of {', '.join(_KEYS)}.")
    if not (folder / "config.json").is_file():
        raise ModelError(f"{str(folder)!r} holds no config.json; valid: the folder of a Hugging Face checkpoint.")
    files = {path for pattern in _CONTENT for path in folder.glob(pattern)}
    return {path.name: sha256(path) for path in [*sorted(files), pairs]}


def _as_prompts(chosen: list[_Pair]) -> PromptPairs:
    longest = max(len(p.clean) for p in chosen)
    lengths = torch.tensor([len(p.clean) for p in chosen])
    clean, corrupt = (
        torch.tensor([ids + [0] * (longest - len(ids)) for ids in side])
        for side in ([p.clean for p in chosen], [p.corrupt for p in chosen])
    )
    targets = {"answer": torch.tensor([p.answer for p in chosen]), "wrong": torch.tensor([p.wrong for p in chosen])}
    return PromptPairs(clean, corrupt, lengths, (lengths - 1)[:, None], targets)


def _plain(name: str) -> str:
    return "".join(c if c.isalnum() or c in ".-" else "-" for c in name)


def _read_pairs(path: Path, model: Path, decoder: Decoder) -> Iterator[_Pair]:
    try:
        lines = path.read_text(encoding="utf-8").splitlines()
    except (OSError, UnicodeDecodeError) as error:
        raise UsageError(
            f"--pairs {str(path)!r} cannot be read ({error}); valid: JSON lines of {', '.join(_KEYS)}."
        ) from error
    rows = [(number, line) for number, line in enumerate(lines, 1) if line.strip()]
    if len(rows) < _FEWEST:
        raise UsageError(
            f"--pairs {str(path)!r} holds {len(rows)} pairs; valid: {_FEWEST} or more, half of them for scoring."
        )
    encode: Encode | None = None
    for number, line in rows:
        where = f"{path.name} line {number}"
        row = _parse(line, where)
        if isinstance(row["clean"], str):
            encode = encode or load_tokenizer(model)
            yield _checked(_tokenised(row, encode, where), where, decoder)
        else:
            yield _checked(_Pair(*(row[key] for key in _KEYS)), where, decoder)


def _parse(line: str, where: str) -> dict[str, Any]:
    try:
        row = json.loads(line)
    except ValueError as error:
        raise UsageError(f"{where} is not JSON ({error}); valid: an object with {', '.join(_KEYS)}.") from error
    if not isinstance(row, dict) or set(_KEYS) - set(row):
        raise UsageError(f"{where} lacks {', '.join(k for k in _KEYS if not isinstance(row, dict) or k not in row)}; "
                         f"valid: an object with {', '.join(_KEYS)}.")  # fmt: skip
    is_text = all(isinstance(row[key], str) for key in _KEYS)
    # `true` is an int to isinstance and no token id to anybody.
    is_ids = all(isinstance(row[k], list) and all(type(i) is int for i in row[k]) for k in _KEYS[:2]) and all(
        type(row[k]) is int for k in _KEYS[2:]
    )
    if not (is_text or is_ids):
        raise UsageError(f"{where} mixes types; valid: four texts, or two lists of token ids and two token ids.")
    return row


def _tokenised(row: dict[str, str], encode: Encode, where: str) -> _Pair:
    def ids(text: str) -> list[int]:
        try:
            return encode(text)
        except UsageError as error:
            raise UsageError(f"{where}: {error}") from error

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
