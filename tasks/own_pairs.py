"""Pairs of one's own: JSON lines of `clean`, `corrupt`, `answer` and `wrong`.

All four are text, or all are token ids: lists for prompts, numbers for answers.
"""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path
from random import Random
from typing import Any

import torch
from jaxtyping import Int
from torch import Tensor

from mechboard.errors import UsageError
from mechboard.graph import Decoder, PromptPairs

from .own_files import encoded, is_ids, read_lines
from .tokenizers import Encode, answer_id, load_tokenizer

_KEYS = ("clean", "corrupt", "answer", "wrong")
_FEWEST = 4
VALID = f"JSON lines of {', '.join(_KEYS)}"


@dataclass(frozen=True)
class _Pair:
    clean: list[int]
    corrupt: list[int]
    answer: int
    wrong: int


def halves(path: Path, model: Path, decoder: Decoder, data_seed: int) -> tuple[PromptPairs, PromptPairs]:
    """The pairs of a file for discovery, and those for scoring; text is split by the tokenizer in the folder `model`.

    Raises:
        UsageError: the file cannot be read, or a line of it is no pair for this model.
    """
    every = list(_read_pairs(path, model, decoder))
    Random(f"own/{data_seed}").shuffle(every)
    return _as_prompts(every[0::2]), _as_prompts(every[1::2])


def different(*sides: Int[Tensor, "prompts position"]) -> Int[Tensor, "different position"]:
    """Prompts of one length, each once."""
    return torch.tensor(sorted({tuple(row) for side in sides for row in side.tolist()}))


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
    for where, row in read_lines(path, "--pairs", VALID, fewest=_FEWEST):
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
