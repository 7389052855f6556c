"""Every measure of a removal: the frontier over all edits, and the columns of the one that is reported.

Reported is the cut at the task's marked budget, or the method's own full change of weights, which comes last.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import NamedTuple

from ..contract.progress import progress
from ..contract.scores import Curve, Measure
from ..edits import EdgeCuts, Edit, Edited, RemovalProblem
from ..graph.problem import Truth
from .examination import Completion, Estimate, Examination
from .frontier import Point, area, point
from .relearning import relearned
from .removal_measures import DEFINITIONS
from .roc import roc


class Examined(NamedTuple):
    """One edit with all that was measured of it."""

    label: str
    size: float
    found: Mapping[str, Estimate]
    at: Point


class Removal(NamedTuple):
    """What scoring found: measures, curves, and every edit, the unedited model first; `reported` is one of them."""

    measures: dict[str, Measure]
    curves: dict[str, Curve]
    examined: Sequence[Examined]
    reported: int
    completions: Sequence[Completion]
    may_show: float
    notes: tuple[str, ...]


def evaluate_edit(problem: RemovalProblem, edit: Edit, held_out: Examination, truths: Sequence[Truth]) -> Removal:
    """Examine the unedited model and every edit. Cost: one examination each."""
    unedited = held_out.examine(Edited(problem.editable))
    before = {name: estimate.value for name, estimate in unedited.items()}
    examined = [Examined("unedited", 0.0, unedited, Point(0.0, 1.0))]
    for index in range(len(edit)):
        found = held_out.examine(edit.at(problem.editable, index))
        after = {name: estimate.value for name, estimate in found.items()}
        label, size = _named(edit, index)
        examined.append(Examined(label, size, found, point(held_out.removed, held_out.kept, before, after)))
        progress(index + 1, len(edit), "edits")
    reported = 1 + reported_point(problem, edit, held_out)
    notes = (
        f"An edit of {'edges' if isinstance(edit, EdgeCuts) else 'weights'}; reported at {examined[reported].label}.",
    )
    measures, curves = _measures(edit, examined, reported, truths), _curves(edit, held_out, examined)
    chosen = edit.at(problem.editable, reported - 1)
    if held_out.relearning is not None:
        back = relearned(chosen, problem.bad, problem.batch_size, held_out, unedited, examined[reported].found)
        measures["relearned"] = DEFINITIONS.make("relearned", back.share, of=examined[reported].label, note=back.note)
        if back.curve is not None:
            curves["relearning"] = back.curve
    said = held_out.completions(Edited(problem.editable), chosen)
    return Removal(measures, curves, examined, reported, said, held_out.may_show, notes)


def reported_point(problem: RemovalProblem, edit: Edit, held_out: Examination) -> int:
    """Which of an edit's points stands in columns."""
    if not isinstance(edit, EdgeCuts) or held_out.marked is None:
        return len(edit) - 1
    return problem.budgets.index(held_out.marked)


def _named(edit: Edit, index: int) -> tuple[str, float]:
    if isinstance(edit, EdgeCuts):
        n = int(edit.cut[index].sum())
        return f"{n:,} edges", float(n)
    return f"scale {edit.scales[index]:g}", edit.scales[index]


def _measures(edit: Edit, examined: Sequence[Examined], reported: int, truths: Sequence[Truth]) -> dict[str, Measure]:
    make, at = DEFINITIONS.make, examined[reported]
    measures = {
        "frontier": make("frontier", area([each.at for each in examined]), of=f"{len(edit)} edits"),
        "efficacy": make("efficacy", at.at.efficacy, of=at.label),
        "specificity": make("specificity", at.at.specificity, of=at.label),
    }
    if isinstance(edit, EdgeCuts):
        measures["edges"] = make("edges", at.size)
        if edit.scores is not None:
            for truth in truths:
                found = roc(edit.scores, truth.edges, signed=True)
                of = f"{found.n_true} / {found.n_edges:,} edges"
                measures[f"auc[{truth.name}]"] = make("auc", found.trapezoid, of=of)
    for name, (value, error, n) in at.found.items():
        measures[name] = make(name, value, of=f"{n:,} samples", note=f"standard error {error:.2g}")
    return measures


def _curves(edit: Edit, held_out: Examination, examined: Sequence[Examined]) -> dict[str, Curve]:
    """Each measure of the axes over the edits."""
    edges = isinstance(edit, EdgeCuts)
    return {
        f"{axis.measure} by {'edges' if edges else 'scale'}": Curve(
            x=tuple(each.size for each in examined),
            y=tuple(each.found[axis.measure].value for each in examined),
            x_label="edges cut" if edges else "scale of the change",
            y_label=axis.measure,
            title=f"{axis.measure} by {'edges cut' if edges else 'scale'}",
            whole=True,
        )
        for axis in (*held_out.removed, *held_out.kept)
    }
