"""One's own model and prompts: an unranked task without a known circuit, made by `bench run --model --pairs`.

Pairs are read by `own_pairs.py`. Metric: logit(answer) - logit(wrong) after the last token. Ablation: resample.
Half of the pairs, drawn by the data seed, are for discovery; the method is scored on the other half,
on faithfulness alone, with CMD as headline.
"""

from __future__ import annotations

from dataclasses import dataclass
from pathlib import Path

from mechboard.graph import Ablation
from mechboard.graph.hf import load_checkpoint
from mechboard.ground_truth.cards import check_card
from mechboard.metrics.answers import logit_difference
from mechboard.protocols import CircuitProblem, Instance, Task

from .own_files import content_hashes, task_name
from .own_pairs import VALID, halves

_BUFFER_BYTES = 256 * 2**20


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
        return content_hashes(self.model_folder, {"--pairs": self.pairs_file}, VALID)

    def load(self, data_seed: int, device: str) -> Instance[CircuitProblem]:
        """The model and the discovery half; the other half is held out.

        Raises:
            ModelError: the checkpoint is not supported, or not the one that its card was written for.
            UsageError: the pairs are malformed or of unequal length.
        """
        check_card(self.model_folder)
        decoder = load_checkpoint(self.model_folder)
        discovery, held_out = halves(self.pairs_file, self.model_folder, decoder, data_seed)
        decoder = decoder.to(device=device)
        graph, pairs = decoder.graph, discovery.to(device)
        per_prompt = graph.n_sources * pairs.clean.shape[1] * decoder.config.d_model * 4
        problem = CircuitProblem(
            model=decoder,
            graph=graph,
            pairs=pairs,
            metric=logit_difference,
            ablation=Ablation("resample", decoder, pairs),
            batch_size=max(1, min(64, _BUFFER_BYTES // per_prompt)),
        )
        return Instance(problem=problem, held_out=held_out.to(device))


def own_task(model: Path | str, pairs: Path | str) -> OwnTask:
    """The task of a checkpoint and a file of pairs; its name tells its content, since two folders can be called alike.

    Nothing but hashes is read until the problem is needed.

    Raises:
        UsageError: the folder or the file of pairs is missing.
    """
    folder, file = Path(model), Path(pairs)
    files = {"--pairs": file}
    return OwnTask(
        name=task_name(folder, files, content_hashes(folder, files, VALID)),
        summary=f"{file.name} on {folder.resolve().name}: logit difference, no circuit known (resample)",
        model_folder=folder,
        pairs_file=file,
    )
