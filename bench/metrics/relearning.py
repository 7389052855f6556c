"""What an edited model learns again: how much of the behaviour a few steps on the bad discovery samples bring back.

    relearned = (m_edited - m_after) / (m_edited - m_unedited), from 0 to 1

m is the first measure of efficacy, on held-out samples; `after` is the edited model after k steps of AdamW on the mean
cross-entropy of the bad samples, at a rate that the task declares. Edges that were cut stay cut, and all weights train. An edit that only
hid the behaviour gives it back at once; one that took the mechanism away has to grow another.
An edit that had removed under a fifth has little to give back, so the share would be noise, and there is none.

Cost: k forwards and backwards of a batch, and an examination after a quarter, a half and all of the steps.
"""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from dataclasses import replace
from typing import Any, NamedTuple

import torch

from ..contract.scores import Curve
from ..edits import Edited
from .examination import Estimate, Examination, Relearning

LEAST_REMOVED = 0.2


class Relearned(NamedTuple):
    """The share that is back, None with the reason if there is none, and the measure over the steps."""

    share: float | None
    note: str
    curve: Curve | None


def relearned(
    edited: Edited,
    bad: Any,
    batch_size: int,
    held_out: Examination,
    unedited: Mapping[str, Estimate],
    examined: Mapping[str, Estimate],
) -> Relearned:
    """Train an edited model again and examine it.

    Args:
        edited: the edit; stays as it is.
        bad: discovery samples of the behaviour.
        batch_size: most samples of a step.
        held_out: what is measured; declares the steps and their rate.
        unedited: measures of the unedited model.
        examined: measures of the edited one.
    """
    assert held_out.relearning is not None
    axis, steps = held_out.removed[0], held_out.relearning.steps
    before, at = unedited[axis.measure].value, examined[axis.measure].value
    removed = axis.share(unedited=before, edited=at)
    if removed < LEAST_REMOVED:
        return Relearned(
            None, f"the edit removed {removed:.0%} of {axis.measure}, too little to tell what comes back", None
        )
    found = [(0, at)]
    for step, again in relearn(edited, bad, held_out.relearning, batch_size):
        found.append((step, held_out.examine(again)[axis.measure].value))
    share = (at - found[-1][1]) / (at - before)
    curve = Curve(
        x=tuple(float(step) for step, _ in found),
        y=tuple(value for _, value in found),
        x_label="steps on bad samples",
        y_label=axis.measure,
        title=f"{axis.measure} relearned",
        whole=True,
    )
    return Relearned(min(1.0, max(0.0, share)), f"{axis.measure} from {at:.3g} to {found[-1][1]:.3g} after {steps} steps", curve)  # fmt: skip


def relearn(edited: Edited, bad: Any, relearning: Relearning, batch_size: int) -> Iterator[tuple[int, Edited]]:
    """The model after a quarter, a half and all of the steps, with their numbers; each is what it is until the next.

    Batches are consecutive, in turns. Training ends early where a loss or gradient is infinite or NaN.
    """
    weights = {name: tensor.requires_grad_() for name, tensor in edited.weights().items()}
    optimizer = torch.optim.AdamW(weights.values(), lr=relearning.rate, weight_decay=0.0, fused=True)
    batches, trains = list(bad.batches(batch_size)), True
    for step in range(1, relearning.steps + 1):
        if trains:
            loss = edited.losses(batches[(step - 1) % len(batches)], parameters=weights).mean()
            optimizer.zero_grad()
            loss.backward()  # type: ignore[no-untyped-call]
            trains = all(bool(t.grad.isfinite().all()) for t in weights.values() if t.grad is not None)
            trains = trains and bool(loss.isfinite())
        if trains:
            optimizer.step()
        if step in relearning.checkpoints:
            now = {name: tensor.detach() for name, tensor in weights.items()}
            yield step, replace(edited, parameters=now)
