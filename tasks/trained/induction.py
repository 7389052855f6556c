"""Induction: "a k b p c m ... b" -> "p", the symbol that followed.

The model (3 layers, 4 heads, 118 head-level edges) was trained to do it through one chain:

    a0.h3   previous token   says at each position which symbol stands before it
    a1.h1   induction        attends to the position whose predecessor is the current symbol and copies it

Circuit: input -> a0.h3 -> a1.h1 <- input, a1.h1 -> logits. Metric: logit(answer) - logit(answer of the corrupt prompt).
Corrupt: other symbols. Ablation: resample.
"""

from __future__ import annotations

import torch
from torch import Tensor

from mechboard.ground_truth.trained.behaviours import INDUCTION, Batch
from mechboard.metrics.answers import logit_difference

from .trained_task import TrainedTask


def corrupt(clean: Batch, generator: torch.Generator) -> Batch:
    """Another prompt, drawn again where its answer is the same."""
    other = INDUCTION.sample(len(clean), generator)
    while bool((same := (other.answer == clean.answer).all(1)).any()):
        again = INDUCTION.sample(len(clean), generator)
        other = Batch(
            torch.where(same[:, None], again.tokens, other.tokens),
            torch.where(same[:, None], again.answer, other.answer),
            other.hidden,
        )
    return other


def targets(clean: Batch, corrupt: Batch) -> dict[str, Tensor]:
    """The answers of both prompts."""
    return {"answer": clean.answer.argmax(1), "wrong": corrupt.answer.argmax(1)}


task = TrainedTask(
    name="trained-induction",
    summary="Induction through a previous-token and an induction head that were trained in (resample)",
    chance={"cmd": 0.679},
    behaviour=INDUCTION,
    corrupt=corrupt,
    metric=logit_difference,
    targets=targets,
    citation={
        "author": "Olsson, Catherine and Elhage, Nelson and Nanda, Neel and others",
        "title": "In-context Learning and Induction Heads",
        "year": "2022",
        "eprint": "2209.11895",
    },
)
