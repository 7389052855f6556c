"""Indirect object: "Anna and Bill went to the park. Bill gave a ball to" -> "Anna".

The model (3 layers, 4 heads, 118 head-level edges) was trained to do it through one chain:

    a0.h1  duplicate token   says at the repeated name which of the two it was
    a1.h2  S-inhibition      takes that to the last position
    a2.h0  name mover        attends to the other name and writes it

Circuit: input -> a0.h1 -> a1.h2 -> a2.h0 <- input, a2.h0 -> logits. Metric: logit(indirect object) - logit(subject).
Corrupt: another prompt with other names. Ablation: resample.
"""

from __future__ import annotations

import torch
from torch import Tensor

from mechboard.ground_truth.trained.behaviours import IOI, Batch
from mechboard.metrics.answers import logit_difference

from .trained_task import TrainedTask


def corrupt(clean: Batch, generator: torch.Generator) -> Batch:
    """Other names, other place and thing."""
    return IOI.sample(len(clean), generator)


def targets(clean: Batch, corrupt: Batch) -> dict[str, Tensor]:
    """The indirect object, and the subject."""
    names, place = clean.hidden["names"], clean.hidden["place"][:, None]
    return {"answer": names.gather(1, 1 - place).squeeze(1), "wrong": names.gather(1, place).squeeze(1)}


task = TrainedTask(
    name="trained-ioi",
    summary="Indirect object through duplicate-token, S-inhibition and name-mover heads that were trained in (resample)",
    chance={"cmd": 0.851},
    behaviour=IOI,
    corrupt=corrupt,
    metric=logit_difference,
    targets=targets,
    citation={
        "author": "Wang, Kevin and Variengien, Alexandre and Conmy, Arthur and Shlegeris, Buck and Steinhardt, Jacob",
        "title": "Interpretability in the Wild: a Circuit for Indirect Object Identification in GPT-2 small",
        "year": "2022",
        "eprint": "2211.00593",
    },
)
