"""An edited model as a Hugging Face checkpoint, which gives the record's numbers in any program that reads it.

What can be written is in `edits/expressed.py`. What was written is read again and must answer a few samples as the edited model does;
nothing counts as written before.
"""

from __future__ import annotations

from pathlib import Path
from typing import TYPE_CHECKING

from ..errors import ModelError, UsageError

if TYPE_CHECKING:
    from torch import Tensor

    from ..contract.task import Instance
    from ..edits import Edit, Edited, RemovalProblem
    from ..graph import Decoder

_CHECKED = 4
# Of the largest logit: far above what float32 loses in another order of sums, far below what a missing edge does.
_TOLERANCE = 2e-4


def write_checkpoint(instance: Instance[RemovalProblem], edit: Edit, point: float | None, folder: Path) -> str:
    """Write the model at one point of an edit into an empty folder, and say which it is.

    Args:
        point: one of the problem's budgets for cuts, one of the scales for a change of weights; the reported one if None.

    Raises:
        Unsupported: weights cannot hold the edit.
        UsageError: the edit has no such point.
        ModelError: the architecture cannot hold the weights, or the checkpoint answers otherwise than the edited model.
    """
    import torch
    from transformers.utils import logging

    from ..edits import EdgeCuts, as_decoder
    from ..graph.export import to_huggingface
    from ..graph.hf import load_checkpoint
    from ..metrics.removal import reported_point

    problem = instance.problem
    points = problem.budgets if isinstance(edit, EdgeCuts) else edit.scales
    if point is not None and point not in points:
        what = "budgets in edges" if isinstance(edit, EdgeCuts) else "scales"
        raise UsageError(f"--point {point:g} was given; valid for this record, {what}: {', '.join(f'{p:g}' for p in points)}.")  # fmt: skip
    chosen = reported_point(problem, edit, instance.held_out) if point is None else points.index(point)
    edited = edit.at(problem.editable, chosen)
    logging.disable_progress_bar()
    to_huggingface(as_decoder(edited)).save_pretrained(folder)
    try:
        written = load_checkpoint(folder)
    except (ModelError, RuntimeError) as error:
        raise ModelError(
            f"What was written does not open again ({error}); this model has no Hugging Face form."
        ) from error
    with torch.no_grad():
        _compare(edited, written, problem)
    if isinstance(edit, EdgeCuts):
        return f"{int(edit.cut[chosen].sum()):,} edges cut, at a budget of {points[chosen]:,}"
    return f"weights changed at scale {points[chosen]:g}"


def _compare(edited: Edited, written: Decoder, problem: RemovalProblem) -> None:
    for samples in (problem.bad[:_CHECKED], problem.keep[:_CHECKED]):
        wanted: Tensor = edited.logits(samples).cpu()
        difference = (written(samples.tokens.cpu()) - wanted).abs().max().item()
        if not difference <= _TOLERANCE * max(1.0, wanted.abs().max().item()):
            raise ModelError(
                f"The checkpoint's logits differ by {difference:.2g} from those of the edited model, so nothing was kept; no Hugging "
                "Face architecture computes this model, as where it has no norms."
            )
