"""A named girl or boy decides the pronoun, in a real language model.

stories260K is a Llama of 260K parameters with grouped queries (5 layers, 8 query heads, 4 key/value heads,
2,461 edges), trained on TinyStories. 64 pairs such as

    "Lily was a happy girl. When it was time to sleep,"  /  "Tim was a happy boy. When it was time to sleep,"

with equally many tokens. Metric: logit(she) - logit(he) signed by gender. Corrupt: the other child.
Ablation: resample. No circuit is known, so faithfulness alone is measured and CMD is the headline.

The asset is a folder `stories260K`: `config.json` and `model.safetensors` of a Hugging Face Llama and the
sentencepiece model `tok512.model`; `bench pull stories260K` fetches llama2.c's checkpoint and converts it.
"""

from __future__ import annotations

import shutil
from collections.abc import Mapping
from importlib.resources import files
from pathlib import Path
from typing import ClassVar

from mechboard.assets import Asset, content_hashes, require
from mechboard.errors import AssetError
from mechboard.graph import PromptPairs
from mechboard.protocols import CircuitProblem, Kind, Tier, Truth
from mechboard.tasks.own import OwnTask
from mechboard.tasks.stories import llama2c
from mechboard.tasks.tokenizers import load_tokenizer

_CHECKPOINT, _TOKENIZER = "stories260K/stories260K.bin", "stories260K/tok512.model"
# AutoTokenizer refuses this sentencepiece model or, if it is renamed, reads it with wrong ids.
_PROBE = ("Once upon a time", [1, 403, 407, 261, 378])


def _convert(downloaded: Mapping[str, Path], target: Path) -> None:
    llama2c.convert(downloaded[_CHECKPOINT], target)
    shutil.copyfile(downloaded[_TOKENIZER], target / "tok512.model")


STORIES = Asset(
    name="stories260K",
    files=("config.json", "model.safetensors", "tok512.model"),
    repository="karpathy/tinyllamas",
    sources=(_CHECKPOINT, _TOKENIZER),
    convert=_convert,
)


class PronounStories:
    """The task; everything but the asset is as in a task of one's own pairs."""

    version = 1
    ranked = True
    has_truth = False
    oracles = ()
    assets = (STORIES,)
    resolution = 0.0
    citation: ClassVar[Mapping[str, str]] = {
        "author": "Eldan, Ronen and Li, Yuanzhi",
        "title": "TinyStories: How Small Can Language Models Be and Still Speak Coherent English?",
        "year": "2023",
        "eprint": "2305.07759",
    }

    def __init__(self, *, name: str, kind: Kind, tier: Tier, summary: str) -> None:
        self.name, self.kind, self.tier, self.summary = name, kind, tier, summary
        self.description = __doc__ or ""
        self._own: OwnTask | None = None

    def _task(self) -> OwnTask:
        if self._own is None:
            self._own = OwnTask(require(STORIES), Path(str(files("mechboard.tasks.stories"))) / "pronouns.jsonl")
        return self._own

    def asset_hashes(self) -> dict[str, str]:
        """Hashes of the model, the tokenizer and the pairs."""
        return self._task().asset_hashes() | content_hashes(STORIES)

    def load(self, data_seed: int, device: str) -> CircuitProblem:
        """The model and half of the pairs.

        Raises:
            AssetError: the asset is not here, has changed, or its tokenizer is read with wrong ids.
        """
        _check_tokenizer(require(STORIES))
        return self._task().load(data_seed, device)

    def truths(self, problem: CircuitProblem) -> tuple[Truth, ...]:
        """None is known."""
        return ()

    def truth_hashes(self) -> dict[str, str]:
        """Nothing: no circuit is known."""
        return {}

    def held_out(self, problem: CircuitProblem) -> PromptPairs:
        """The other half of the pairs."""
        return self._task().held_out(problem)


def _check_tokenizer(folder: Path) -> None:
    text, ids = _PROBE
    found = load_tokenizer(folder)(text)
    if found != ids:
        raise AssetError(
            f"The tokenizer in {str(folder)!r} reads {text!r} as {found}; valid: {ids}; `bench pull stories260K` fetches "
            "the right one."
        )


task = PronounStories(
    name="pronoun-stories",
    kind="circuit",
    tier="paper",
    summary="A named girl or boy decides the pronoun in stories260K, a real 260K-parameter Llama (resample)",
)
