"""A task of a paper on the model that the paper used: its prompts, its corruption, its metric, and its circuit as published.

The prompts are drawn from this project's own words, as many as in the paper's code and as many tokens long. The data seed
draws 2 x `n_prompts` different ones: the first half is for discovery, the second for scoring. Ablation: resample. Beside the
metric of the task stands the KL divergence to the whole model (`problem.measured_by("kl")`).

Processing of the weights is part of the task: `none` takes the checkpoint as it is, as the code of Syed et al. 2023 does;
`folded` is what TransformerLens does by default, as in AutoCircuit and MIB. Under resample ablation no score of an edge
depends on it (`mechboard.graph.processing`).

What random scores reach in CMD is not stated: it is measured on the model, and the package does not hold these models.
"""

from __future__ import annotations

import inspect
from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path
from random import Random

from mechboard.assets import content_hashes, require
from mechboard.errors import UsageError
from mechboard.graph import Ablation, Decoder
from mechboard.graph.processing import Processing, process
from mechboard.ground_truth.published import CIRCUITS, explained
from mechboard.protocols import CircuitProblem, Instance, Task

from ..behaviours.examples import Behaviour, Example, as_pairs
from ..tokenizers import Encode, load_tokenizer


@dataclass(frozen=True, kw_only=True)
class PaperTask(Task):
    """A behaviour on a fetched model; the circuit is the one that `mechboard.ground_truth.published` has under its name.

    Args:
        assets: the folder of the model first, that with its tokenizer last; they can be one.
        opened: makes a decoder of the model's folder.
        behaviour: the behaviour, whose words may depend on how the tokenizer splits them.
        n_prompts: how many pairs for discovery, and as many for scoring.
        n_tokens: how long every prompt must be.
        bos: whether the tokenizer's first token stands in front.
        processing: of the weights, `none` or `folded`.
        batch_size: how many prompts at a time; bounds memory.
    """

    kind: str = "circuit"
    tier: str = "paper"
    opened: Callable[[Path], Decoder]
    behaviour: Callable[[Encode], Behaviour]
    n_prompts: int
    n_tokens: int
    bos: bool = False
    processing: Processing = "none"
    batch_size: int = 50

    @property
    def description(self) -> str:
        """The docstring of the module that defines the task, what all such tasks share, and its circuits."""
        own = inspect.getdoc(inspect.getmodule(self.behaviour)) or ""
        shared = inspect.getdoc(inspect.getmodule(PaperTask)) or ""
        return f"{own}\n\n{shared}\n\nProcessing of the weights here: {self.processing}.\n\n{explained(CIRCUITS[self.name])}"

    def asset_hashes(self) -> dict[str, str]:
        """Hashes of the model and the tokenizer."""
        return {name: value for asset in self.assets for name, value in content_hashes(asset).items()}

    def truth_hashes(self) -> dict[str, str]:
        """Hashes of the published edges."""
        return CIRCUITS[self.name].hashes()

    def load(self, data_seed: int, device: str) -> Instance[CircuitProblem]:
        """The model, its discovery prompts and others for scoring, and every version of the circuit.

        Raises:
            AssetError: the model is not here or has changed.
            ModelError: it is not the model of the paper, or a file of edges does not fit it.
            UsageError: the tokenizer splits a word that must be one token.
        """
        decoder = process(self.opened(require(self.assets[0])), self.processing).to(device=device)
        encode = load_tokenizer(require(self.assets[-1]), bos=self.bos)
        behaviour, d_vocab = self.behaviour(encode), decoder.config.d_vocab_out
        examples = self.examples(data_seed, behaviour, encode)
        halves = examples[: self.n_prompts], examples[self.n_prompts :]
        discovery, evaluation = (as_pairs(h, behaviour.metric, encode, d_vocab=d_vocab).to(device) for h in halves)
        problem = CircuitProblem(
            model=decoder,
            graph=decoder.graph,
            pairs=discovery,
            metric=behaviour.metric,
            ablation=Ablation("resample", decoder, discovery),
            batch_size=self.batch_size,
        )
        return Instance(problem=problem, held_out=evaluation, truths=CIRCUITS[self.name].truths(problem.graph))

    def examples(self, data_seed: int, behaviour: Behaviour, encode: Encode) -> list[Example]:
        """As many different prompts as are needed, in words; the second half is for scoring.

        Raises:
            UsageError: a prompt has another number of tokens than in the paper.
        """
        draw, drawn = Random(f"{self.name}@{self.version}/{data_seed}"), dict[str, Example]()
        while len(drawn) < 2 * self.n_prompts:
            example = behaviour.draw(draw)
            drawn.setdefault(example.clean, example)
        for text in drawn:
            if (found := len(encode(text))) != self.n_tokens:
                raise UsageError(
                    f"{text!r} is {found} tokens of the tokenizer {self.assets[-1].name!r}; valid: {self.n_tokens}, as in the "
                    "paper, each word being one token; choose other words, or fetch the model's own tokenizer."
                )
        return list(drawn.values())
