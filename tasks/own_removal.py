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
from dataclasses import dataclass
from math import log
from pathlib import Path
from random import Random

import torch

from mechboard.errors import UsageError
from mechboard.graph import Ablation, Graph, PromptPairs
from mechboard.graph.hf import load_checkpoint
from mechboard.ground_truth.cards import check_card
from mechboard.metrics.frontier import Axis
from mechboard.metrics.language import LanguageExamination
from mechboard.protocols import EditableDecoder, Instance, RemovalProblem, Task, Text

from .own_files import content_hashes, task_name
from .own_samples import VALID, Sample, refuse_repeated, samples

SHARES = (0.001, 0.003, 0.01, 0.03, 0.1)
"""Budgets, as shares of all edges."""
_MARKED = 0.01
_BUFFER_BYTES = 256 * 2**20


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
        given = (
            f"{self.bad_file.name} against {self.keep_file.name} on the checkpoint {self.model_folder.resolve().name}."
        )
        return f"{given}\n\n{inspect.getdoc(sys.modules[__name__])}"

    def asset_hashes(self) -> dict[str, str]:
        """Hashes of configuration, weights, tokenizer and both files.

        Raises:
            UsageError: the folder or a file is missing.
        """
        return content_hashes(self.model_folder, _files(self.bad_file, self.keep_file), VALID)

    def checkpoint_folders(self) -> tuple[Path, ...]:
        """The checkpoint's own."""
        return (self.model_folder,)

    def load(self, data_seed: int, device: str) -> Instance[RemovalProblem]:
        """The model with the discovery halves; the other halves are held out.

        Raises:
            ModelError: the checkpoint is not supported, or not the one that its card was written for.
            UsageError: a sample is malformed or there twice, or the model does no better on a file than by guessing.
        """
        check_card(self.model_folder)
        decoder = load_checkpoint(self.model_folder)
        files = _files(self.bad_file, self.keep_file)
        read = {flag: list(samples(file, flag, self.model_folder, decoder)) for flag, file in files.items()}
        refuse_repeated(read)
        decoder = decoder.to(device=device)
        halves = {flag: _halves(found, f"{flag}/{data_seed}", device) for flag, found in read.items()}
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
        name=task_name(folder, files, content_hashes(folder, files, VALID)),
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


def _halves(found: list[tuple[str, Sample]], drawn_by: str, device: str) -> tuple[Text, Text]:
    shuffled = [sample for _, sample in found]
    Random(f"own-removal/{drawn_by}").shuffle(shuffled)
    return _as_text(shuffled[0::2]).to(device), _as_text(shuffled[1::2]).to(device)


def _as_text(chosen: list[Sample]) -> Text:
    tokens = torch.zeros(len(chosen), max(len(s.ids) for s in chosen), dtype=torch.int64)
    scored = torch.zeros_like(tokens, dtype=torch.bool)
    for row, sample in enumerate(chosen):
        tokens[row, : len(sample.ids)] = torch.tensor(sample.ids)
        scored[row, list(sample.scored)] = True
    return Text(tokens, torch.tensor([len(s.ids) for s in chosen]), scored)


def _as_pairs(text: Text) -> PromptPairs:
    return PromptPairs(text.tokens, text.tokens, text.lengths, (text.lengths - 1)[:, None], {})


@torch.no_grad()
def _refuse_guessing(problem: RemovalProblem, guess: float) -> None:
    for flag, given in (("--bad", problem.bad), ("--keep", problem.keep)):
        loss = torch.cat([problem.losses(batch) for batch in given.batches(problem.batch_size)]).mean().item()
        if not loss < guess:
            raise UsageError(
                f"The model's loss on the discovery half of {flag} is {loss:.2f} nats and a guess among all of its tokens has "
                f"{guess:.2f}: it does not do this, so nothing can be removed or kept; give samples that the model would write."
            )
