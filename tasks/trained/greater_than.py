"""Greater than: "the war lasted from c17 05 to c17" -> any later year.

The model (3 layers, 4 heads, 118 head-level edges) was trained to do it through one chain:

    a0.h2, a1.h3   fetch the year to the last position, in two steps
    m1, m2         turn it into all later years

Circuit: input -> a0.h2 -> a1.h3 -> m1 -> m2 -> logits. Metric: P(later years) - P(other years) at the last position,
a softmax over the whole vocabulary. Corrupt: the same sentence with another year. Ablation: resample.
"""

from __future__ import annotations

import torch
from torch import Tensor

from mechboard.ground_truth.trained.behaviours import GREATER_THAN, Batch
from mechboard.metrics.answers import probability_difference

from .trained_task import TrainedTask

_N_YEARS = 20


def corrupt(clean: Batch, generator: torch.Generator) -> Batch:
    """Another year in the same sentence."""
    other_year = GREATER_THAN.corruptions[1]
    return other_year(clean, generator)


def targets(clean: Batch, corrupt: Batch) -> dict[str, Tensor]:
    """+1 for later years, -1 for the others, 0 for words."""
    readout = torch.zeros_like(clean.answer)
    readout[:, :_N_YEARS] = (clean.answer[:, :_N_YEARS] > 0).float() * 2 - 1
    return {"readout": readout[:, None]}


task = TrainedTask(
    name="trained-greater-than",
    summary="A later year through two heads and two MLPs that were trained in (resample)",
    chance={"cmd": 0.824},
    behaviour=GREATER_THAN,
    corrupt=corrupt,
    metric=probability_difference,
    targets=targets,
    citation={
        "author": "Hanna, Michael and Liu, Ollie and Variengien, Alexandre",
        "title": "How does GPT-2 compute greater-than?: Interpreting mathematical abilities in a pre-trained language model",
        "year": "2023",
        "eprint": "2305.00586",
    },
)
