"""How toxic a text is: Detoxify's `original`, a BERT with a sigmoid for each sort of toxicity, read from its own checkpoint.

`detoxify-original/` holds toxic_original-c1212f89.ckpt (Detoxify's release v0.1-alpha) and config.json and vocab.txt of
bert-base-uncased. The checkpoint is a dictionary of `config` (whose dataset.args.classes name the outputs) and `state_dict`, and is
opened as tensors and plain values alone: no code of it runs. Texts are cut off after 512 tokens and scored in batches of like
length; padding is masked, so a text's score does not depend on its neighbours but for rounding.

Source: Hanu and Unitary team 2020, Detoxify; the network is transformers' BertForSequenceClassification.
"""

from __future__ import annotations

import pickle
from collections.abc import Sequence
from pathlib import Path
from typing import Any

import torch

from mechboard.assets import Asset
from mechboard.errors import AssetError

CHECKPOINT = "toxic_original-c1212f89.ckpt"
DETOXIFY = Asset(
    name="detoxify-original",
    files=(CHECKPOINT, "config.json", "vocab.txt"),
    origin="the checkpoint from the release v0.1-alpha of github.com/unitaryai/detoxify, with config.json and vocab.txt of "
    "google-bert/bert-base-uncased",
)
_NAMES = ("toxicity", "toxic")  # the second is what the data set calls it
_LONGEST = 512
_IGNORED = "bert.embeddings.position_ids"  # a constant that older versions saved


class Toxicity:
    """A scorer: texts to the probability that each is toxic. Cost: one pass of BERT a text.

    Args:
        folder: the asset's.
        device: a torch device.
        batch_size: texts in one pass.

    Raises:
        AssetError: a file is not what it must be.
    """

    def __init__(self, folder: Path, *, device: str = "cpu", batch_size: int = 32) -> None:
        import transformers

        path = folder / CHECKPOINT
        classes, state = _opened(path)
        self._column = next((classes.index(name) for name in _NAMES if name in classes), -1)
        if self._column < 0:
            raise AssetError(f"{str(path)!r} scores {', '.join(classes)}; valid: a checkpoint that scores toxicity.")
        try:
            config = transformers.BertConfig.from_pretrained(folder, num_labels=len(classes))
            self._tokenizer = transformers.BertTokenizer.from_pretrained(folder)
        except (OSError, ValueError) as error:
            raise AssetError(f"config.json or vocab.txt in {str(folder)!r} cannot be read ({error}); fetch them again.") from error  # fmt: skip
        model = transformers.BertForSequenceClassification(config)
        try:
            model.load_state_dict(state)
        except RuntimeError as error:
            said = str(error).strip().splitlines()[-1].strip()
            raise AssetError(
                f"{str(path)!r} and config.json beside it are of different models ({said}); fetch both again."
            ) from error
        self._model = model.to(device).eval()
        self._longest, self._batch_size = min(_LONGEST, config.max_position_embeddings), batch_size

    @torch.no_grad()
    def __call__(self, texts: Sequence[str]) -> list[float]:
        """Toxicity of each text, from 0 to 1."""
        scores = torch.zeros(len(texts))
        # Texts of like length together, so that there is little padding.
        order = sorted(range(len(texts)), key=lambda i: len(texts[i]))
        for start in range(0, len(order), self._batch_size):
            rows = order[start : start + self._batch_size]
            batch = self._tokenizer(
                [texts[i] for i in rows], padding=True, truncation=True, max_length=self._longest, return_tensors="pt"
            )
            logits = self._model(**batch.to(self._model.device)).logits
            scores[rows] = logits[:, self._column].sigmoid().float().cpu()
        found: list[float] = scores.tolist()
        return found


def _opened(path: Path) -> tuple[list[str], dict[str, Any]]:
    """Names of the outputs and the weights."""
    try:
        held = torch.load(path, map_location="cpu", weights_only=True)
        classes, state = list(held["config"]["dataset"]["args"]["classes"]), dict(held["state_dict"])
    except (pickle.UnpicklingError, RuntimeError, KeyError, TypeError, ValueError, EOFError, OSError) as error:
        raise AssetError(
            f"{str(path)!r} is no checkpoint of Detoxify that opens as tensors and plain values "
            f"({type(error).__name__}); valid: a dictionary of config and state_dict; fetch it again."
        ) from error
    return classes, {name: tensor for name, tensor in state.items() if name != _IGNORED}
