"""One's own complaint: an unranked removal task of any checkpoint, made by `bench run --model --bad --keep`.

`bad` holds what the model should no longer say, `keep` what it should go on saying. Both are JSON lines, each of one form:

    {"text": "..."}                          all tokens but the first count
    {"prompt": "...", "completion": "..."}   the completion's tokens count
    {"tokens": [ids], "scored": [places]}    the tokens at these places count, 1 the second; all but the first without `scored`

A token counts with its cross-entropy given all tokens before it; a sample's loss is the mean over its own. Text is split by the
checkpoint's tokenizer, with the first token (bos) that this puts in front and no other.

Half of each file, drawn by the data seed, is for discovery and half for scoring. Ablation: an edge that is cut carries its
source's mean over all tokens of the discovery half of `keep`. One mask value for all that a head reads from a source. Budgets:
from 1/1000 to 1/10 of the edges; columns report 1/100. Goal and ruin are both ln(vocabulary), the loss of a guess that knows
nothing: efficacy is how far the loss on `bad` has risen there, 1 - specificity how far the loss on `keep` has.
"""

from __future__ import annotations

import inspect
import sys
from collections.abc import Iterator
from dataclasses import dataclass
from math import log
from pathlib import Path
from random import Random
from typing import Any

import torch

from mechboard.errors import UsageError
from mechboard.graph import Ablation, Decoder, Graph, PromptPairs
from mechboard.graph.hf import load_checkpoint
from mechboard.ground_truth.cards import check_card
from mechboard.metrics.frontier import Axis
from mechboard.metrics.language import LanguageExamination
from mechboard.protocols import EditableDecoder, Instance, RemovalProblem, Task, Text

from .own_files import content_hashes, encoded, is_ids, read_lines, task_name
from .tokenizers import Encode, load_tokenizer

SHARES = (0.001, 0.003, 0.01, 0.03, 0.1)
"""Budgets, as shares of all edges."""
_MARKED = 0.01
_FEWEST = 4
_BUFFER_BYTES = 256 * 2**20
_VALID = (
    'JSON lines, each {"text": "..."}, {"prompt": "...", "completion": "..."} or {"tokens": [ids], "scored": [places]}'
)
_FORMS: tuple[tuple[set[str], set[str]], ...] = (
    ({"text"}, {"text"}),
    ({"prompt", "completion"}, {"prompt", "completion"}),
    ({"tokens"}, {"tokens", "scored"}),
)


@dataclass(frozen=True)
class _Sample:
    ids: tuple[int, ...]
    scored: tuple[int, ...]


@dataclass(frozen=True, kw_only=True)
class OwnRemoval(Task):
    """A local checkpoint, a file of what it should no longer say, and one of what it should go on saying."""

    kind: str = "removal"
    ranked: bool = False
    model_folder: Path
    bad_file: Path
    keep_file: Path

    @property
    def description(self) -> str:
        """What was given, and how it is read."""
        given = f"{self.bad_file.name} against {self.keep_file.name} on the checkpoint {self.model_folder.resolve().name}."
        return f"{given}\n\n{inspect.getdoc(sys.modules[__name__])}"

    def asset_hashes(self) -> dict[str, str]:
        """Hashes of configuration, weights, tokenizer and both files.

        Raises:
            UsageError: the folder or a file is missing.
        """
        return content_hashes(self.model_folder, _files(self.bad_file, self.keep_file), _VALID)

    def load(self, data_seed: int, device: str) -> Instance[RemovalProblem]:
        """The model with the discovery halves; the other halves are held out.

        Raises:
            ModelError: the checkpoint is not supported, or not the one that its card was written for.
            UsageError: a sample is malformed or there twice, or the model does no better on a file than by guessing.
        """
        check_card(self.model_folder)
        decoder = load_checkpoint(self.model_folder)
        encode = _Once(self.model_folder)
        files = _files(self.bad_file, self.keep_file)
        read = {flag: list(_samples(file, flag, encode, decoder)) for flag, file in files.items()}
        _refuse_repeated(read)
        decoder = decoder.to(device=device)
        halves = {flag: _halves(samples, f"{flag}/{data_seed}", device) for flag, samples in read.items()}
        bad, keep = halves["--bad"][0], halves["--keep"][0]
        graph = Graph.of(decoder.config, "head")
        per_sample = graph.n_sources * max(bad.tokens.shape[1], keep.tokens.shape[1]) * decoder.config.d_model * 4
        problem = RemovalProblem(
            model=EditableDecoder(decoder, graph, Ablation("mean-global", decoder, _as_pairs(keep))),
            bad=bad,
            keep=keep,
            budgets=budgets(graph.n_edges, SHARES),
            batch_size=max(1, min(64, _BUFFER_BYTES // per_sample)),
        )
        guess = log(decoder.config.d_vocab_out)
        _refuse_guessing(problem, guess)
        held_out = LanguageExamination(
            texts={"bad-loss": halves["--bad"][1], "incoherence": halves["--keep"][1]},
            batch_size=problem.batch_size,
            removed=(Axis("bad-loss", guess),),
            kept=(Axis("incoherence", guess),),
            marked=budgets(graph.n_edges, (_MARKED,))[0],
        )
        return Instance(problem=problem, held_out=held_out)


def own_removal(model: Path | str, bad: Path | str, keep: Path | str) -> OwnRemoval:
    """The task of a checkpoint and two files; its name tells its content. Nothing but hashes is read until it is loaded.

    Raises:
        UsageError: the folder or a file is missing.
    """
    folder, files = Path(model), _files(Path(bad), Path(keep))
    return OwnRemoval(
        name=task_name(folder, files, content_hashes(folder, files, _VALID)),
        summary=f"{files['--bad'].name} removed from {folder.resolve().name}, {files['--keep'].name} kept (mean ablation)",
        model_folder=folder,
        bad_file=files["--bad"],
        keep_file=files["--keep"],
    )


def budgets(n_edges: int, shares: tuple[float, ...]) -> tuple[int, ...]:
    """Numbers of edges that are these shares of all, each once and at least 1.

    >>> budgets(11_611, SHARES), budgets(30, SHARES)
    ((12, 35, 116, 348, 1161), (1, 3))
    """
    return tuple(sorted({max(1, round(share * n_edges)) for share in shares}))


def _files(bad: Path, keep: Path) -> dict[str, Path]:
    return {"--bad": bad, "--keep": keep}


class _Once:
    """The checkpoint's tokenizer, opened when the first text is met: token ids need none."""

    def __init__(self, folder: Path) -> None:
        self._folder, self._encode = folder, None

    def __call__(self, text: str) -> list[int]:
        self._encode: Encode | None = self._encode or load_tokenizer(self._folder)
        return self._encode(text)


def _samples(path: Path, flag: str, encode: Encode, decoder: Decoder) -> Iterator[tuple[str, _Sample]]:
    for where, row in read_lines(path, flag, _VALID, fewest=_FEWEST):
        yield where, _checked(_sample(row, encode, where), where, decoder)


def _sample(row: dict[str, Any], encode: Encode, where: str) -> _Sample:
    if not any(needed <= set(row) <= known for needed, known in _FORMS):
        raise UsageError(f"{where} has {', '.join(map(repr, row)) or 'no keys'}; valid: {_VALID}.")
    if "tokens" in row:
        ids = row["tokens"]
        scored = row.get("scored", list(range(1, len(ids))) if isinstance(ids, list) else None)
        if not is_ids(ids) or not is_ids(scored):
            raise UsageError(f"{where} has `tokens` or `scored` that are no lists of whole numbers; valid: {_VALID}.")
        return _Sample(tuple(ids), tuple(sorted(set(scored))))
    if not all(isinstance(text, str) for text in row.values()):
        raise UsageError(f"{where} has a value that is no text; valid: {_VALID}.")
    if "text" in row:
        ids = encoded(encode, row["text"], where)
        return _Sample(tuple(ids), tuple(range(1, len(ids))))
    before, ids = (encoded(encode, text, where) for text in (row["prompt"], row["prompt"] + row["completion"]))
    if ids[: len(before)] != before:
        raise UsageError(
            f"{where}: the completion {row['completion'][:20]!r} changes how the prompt's end {row['prompt'][-20:]!r} is split "
            "into tokens; put the space at the beginning of the completion, or end the prompt at a word."
        )
    return _Sample(tuple(ids), tuple(range(max(1, len(before)), len(ids))))


def _checked(sample: _Sample, where: str, decoder: Decoder) -> _Sample:
    config, n = decoder.config, len(sample.ids)
    if not 2 <= n <= config.n_ctx:
        raise UsageError(f"{where}: {n} tokens; valid for this model: 2 to {config.n_ctx}.")
    if not sample.scored or sample.scored[0] < 1 or sample.scored[-1] >= n:
        raise UsageError(f"{where}: the places that count are {list(sample.scored)[:5]} of {n} tokens; valid: 1 to {n - 1}, "
                         "one or more, where 0 is the first token, which nothing predicts.")  # fmt: skip
    if outside := [i for i in sample.ids if not 0 <= i < config.d_vocab]:
        raise UsageError(f"{where}: token id {outside[0]} is outside this model's vocabulary of {config.d_vocab}.")
    return sample


def _refuse_repeated(read: dict[str, list[tuple[str, _Sample]]]) -> None:
    """A sample that is there twice could be shown to methods and scored, or be wanted and unwanted."""
    first: dict[tuple[int, ...], str] = {}
    repeated = [
        (where, first[sample.ids])
        for samples in read.values()
        for where, sample in samples
        if first.setdefault(sample.ids, where) != where
    ]
    if repeated:
        raise UsageError(
            f"{len(repeated)} samples are there twice, such as {repeated[0][0]}, which repeats {repeated[0][1]}; valid: each once in "
            "both files together, so that none is shown to methods and scored too; remove the copies."
        )


def _halves(samples: list[tuple[str, _Sample]], drawn_by: str, device: str) -> tuple[Text, Text]:
    shuffled = [sample for _, sample in samples]
    Random(f"own-removal/{drawn_by}").shuffle(shuffled)
    return _as_text(shuffled[0::2]).to(device), _as_text(shuffled[1::2]).to(device)


def _as_text(samples: list[_Sample]) -> Text:
    tokens = torch.zeros(len(samples), max(len(s.ids) for s in samples), dtype=torch.int64)
    scored = torch.zeros_like(tokens, dtype=torch.bool)
    for row, sample in enumerate(samples):
        tokens[row, : len(sample.ids)] = torch.tensor(sample.ids)
        scored[row, list(sample.scored)] = True
    return Text(tokens, torch.tensor([len(s.ids) for s in samples]), scored)


def _as_pairs(text: Text) -> PromptPairs:
    return PromptPairs(text.tokens, text.tokens, text.lengths, (text.lengths - 1)[:, None], {})


@torch.no_grad()
def _refuse_guessing(problem: RemovalProblem, guess: float) -> None:
    for flag, samples in (("--bad", problem.bad), ("--keep", problem.keep)):
        loss = torch.cat([problem.losses(batch) for batch in samples.batches(problem.batch_size)]).mean().item()
        if not loss < guess:
            raise UsageError(
                f"The model's loss on the discovery half of {flag} is {loss:.2f} nats and a guess among all of its tokens has "
                f"{guess:.2f}: it does not do this, so nothing can be removed or kept; give samples that the model would write."
            )
