"""Samples of one's own: lines of text, of a prompt with its completion, or of token ids, as tokens of which some count."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from mechboard.errors import UsageError
from mechboard.graph import Decoder

from .own_files import encoded, is_ids, read_lines
from .tokenizers import Encode, load_tokenizer

_FEWEST = 4
VALID = (
    'JSON lines, each {"text": "..."}, {"prompt": "...", "completion": "..."} or {"tokens": [ids], "scored": [places]}'
)
_FORMS: tuple[tuple[set[str], set[str]], ...] = (
    ({"text"}, {"text"}),
    ({"prompt", "completion"}, {"prompt", "completion"}),
    ({"tokens"}, {"tokens", "scored"}),
)


@dataclass(frozen=True)
class Sample:
    """Token ids, and the places of those whose prediction counts."""

    ids: tuple[int, ...]
    scored: tuple[int, ...]


def samples(path: Path, flag: str, model: Path, decoder: Decoder) -> Iterator[tuple[str, Sample]]:
    """Every sample of a file, with the line that it stands on; text is split by the tokenizer in the folder `model`.

    Raises:
        UsageError: the file cannot be read, or a line of it is no sample for this model.
    """
    opened: list[Encode] = []

    def encode(text: str) -> list[int]:
        opened[:] = opened or [load_tokenizer(model)]  # token ids need none
        return opened[0](text)

    for where, row in read_lines(path, flag, VALID, fewest=_FEWEST):
        yield where, _checked(_sample(row, encode, where), where, decoder)


def _sample(row: dict[str, Any], encode: Encode, where: str) -> Sample:
    if not any(needed <= set(row) <= known for needed, known in _FORMS):
        raise UsageError(f"{where} has {', '.join(map(repr, row)) or 'no keys'}; valid: {VALID}.")
    if "tokens" in row:
        given = row["tokens"], row.get("scored", [])
        if not all(map(is_ids, given)):
            raise UsageError(f"{where} has `tokens` or `scored` that are no lists of whole numbers; valid: {VALID}.")
        scored = sorted(set(row["scored"])) if "scored" in row else range(1, len(row["tokens"]))
        return Sample(tuple(row["tokens"]), tuple(scored))
    if not all(isinstance(text, str) for text in row.values()):
        raise UsageError(f"{where} has a value that is no text; valid: {VALID}.")
    if "text" in row:
        ids = encoded(encode, row["text"], where)
        return Sample(tuple(ids), tuple(range(1, len(ids))))
    before, ids = (encoded(encode, text, where) for text in (row["prompt"], row["prompt"] + row["completion"]))
    if ids[: len(before)] != before:
        raise UsageError(
            f"{where}: the completion {row['completion'][:20]!r} changes how the prompt's end {row['prompt'][-20:]!r} is split "
            "into tokens; put the space at the beginning of the completion, or end the prompt at a word."
        )
    return Sample(tuple(ids), tuple(range(max(1, len(before)), len(ids))))


def _checked(sample: Sample, where: str, decoder: Decoder) -> Sample:
    config, n = decoder.config, len(sample.ids)
    if not 2 <= n <= config.n_ctx:
        raise UsageError(f"{where}: {n} tokens; valid for this model: 2 to {config.n_ctx}.")
    if not sample.scored or sample.scored[0] < 1 or sample.scored[-1] >= n:
        raise UsageError(f"{where}: the places that count are {list(sample.scored)[:5]} of {n} tokens; valid: 1 to {n - 1}, "
                         "one or more, where 0 is the first token, which nothing predicts.")  # fmt: skip
    if outside := [i for i in sample.ids if not 0 <= i < config.d_vocab]:
        raise UsageError(f"{where}: token id {outside[0]} is outside this model's vocabulary of {config.d_vocab}.")
    return sample


def refuse_repeated(read: dict[str, list[tuple[str, Sample]]]) -> None:
    """Refuse a sample that is there twice: it could be shown to methods and scored, or be wanted and unwanted.

    Raises:
        UsageError: one is.
    """
    first: dict[tuple[int, ...], str] = {}
    repeated = [
        (where, first[sample.ids])
        for found in read.values()
        for where, sample in found
        if first.setdefault(sample.ids, where) != where
    ]
    if repeated:
        raise UsageError(
            f"{len(repeated)} samples are there twice, such as {repeated[0][0]}, which repeats {repeated[0][1]}; valid: each once in "
            "both files together, so that none is shown to methods and scored too; remove the copies."
        )
