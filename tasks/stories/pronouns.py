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
from dataclasses import dataclass
from importlib.resources import files
from pathlib import Path

from mechboard.assets import Asset, content_hashes, require
from mechboard.errors import AssetError
from mechboard.protocols import CircuitProblem, Instance, Task

from ..own import OwnTask, own_task
from ..tokenizers import load_tokenizer
from . import llama2c

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


@dataclass(frozen=True, kw_only=True)
class PronounStories(Task):
    """The task; everything but the asset is as in a task of one's own pairs."""

    kind: str = "circuit"
    tier: str = "paper"
    assets: tuple[Asset, ...] = (STORIES,)

    def _task(self) -> OwnTask:
        return own_task(require(STORIES), Path(str(files("mechboard.tasks.stories"))) / "pronouns.jsonl")

    def asset_hashes(self) -> dict[str, str]:
        """Hashes of the model, the tokenizer and the pairs."""
        return self._task().asset_hashes() | dict(content_hashes(STORIES))

    def load(self, data_seed: int, device: str) -> Instance[CircuitProblem]:
        """The model and half of the pairs; the other half is held out.

        Raises:
            AssetError: the asset is not here, has changed, or its tokenizer is read with wrong ids.
        """
        _check_tokenizer(require(STORIES))
        return self._task().load(data_seed, device)


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
    summary="A named girl or boy decides the pronoun in stories260K, a real 260K-parameter Llama (resample)",
    citation={
        "author": "Eldan, Ronen and Li, Yuanzhi",
        "title": "TinyStories: How Small Can Language Models Be and Still Speak Coherent English?",
        "year": "2023",
        "eprint": "2305.07759",
    },
)
