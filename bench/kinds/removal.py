"""Removal: a model and a few samples of a bad behaviour go in, edits that cut it out come out, gentle to thorough.

Scored by the frontier of efficacy (how much of the behaviour is gone) against specificity (how much of all else is left), on
samples that no method saw; by how well the cut finds the edges that are known; and by what a little training brings back.
"""

from __future__ import annotations

import json
from collections.abc import Mapping
from dataclasses import replace
from math import isfinite
from pathlib import Path
from typing import TYPE_CHECKING, Any

from ..contract.kind import Adapter, Kind
from ..contract.scores import Evaluation, Fact, TruthInfo
from ..errors import InvalidSolution, PluginError, Unsupported
from ..metrics.removal_measures import DEFINITIONS
from .circuit import circuit
from .removal_exhibits import Columns, Completions, Cut, CutPixels, Frontier, exhibits_of

if TYPE_CHECKING:
    from torch import Tensor

    from ..contract.task import Instance, Task
    from ..edits import EdgeCuts, Edit, RemovalProblem, WeightChange
    from ..graph.problem import CircuitProblem, EdgeScores
    from ..metrics.removal import Removal

_CHANGE = "change: "
_MOST_POINTS = 64


def _down(problem: RemovalProblem) -> CircuitProblem:
    from ..edits import circuit_problem

    return circuit_problem(problem)


def _up(solution: EdgeScores, problem: RemovalProblem) -> EdgeCuts:
    from ..edits import EdgeCuts

    return EdgeCuts.of_scores(solution.scores, problem.budgets)


class RemovalKind(Kind["RemovalProblem", "Edit"]):
    """What has to be cut, and what breaks with it?"""

    name = "removal"
    question = "Which method cuts a behaviour out and breaks nothing else?"
    lead = (
        "Each cell is the area under a method's frontier: how much of all else is left of the model (specificity), averaged over "
        "how much of the bad behaviour must be gone (efficacy). 0 is the unedited model, 1 removes all of it and breaks nothing."
    )
    definitions = DEFINITIONS
    shown = ("frontier", "efficacy", "specificity", "relearned", "auc")
    sees = frozenset({"truth"})
    exhibits = (Frontier, Columns, Completions, Cut, CutPixels)
    adapters = (Adapter(name="cut", inner=circuit, down=_down, up=_up),)
    trials = "mechboard.conformance.removal:TRIALS"
    template = "mechboard.plugins.scaffold.templates:REMOVAL"

    def check_instance(self, instance: Instance[RemovalProblem]) -> None:
        """See that truths are of the problem's graph and the marked budget is one of its budgets.

        Raises:
            PluginError: they are not.
        """
        problem, marked = instance.problem, instance.held_out.marked
        for truth in instance.truths:
            if tuple(truth.edges.shape) != (problem.model.n_edges,):
                raise PluginError(
                    f"Truth {truth.name!r} holds edges of shape {tuple(truth.edges.shape)} and the model has "
                    f"{problem.model.n_edges:,} edges; make it from their names."
                )
        if marked is not None and marked not in problem.budgets:
            raise PluginError(f"The marked budget is {marked}; valid: one of {problem.budgets}.")

    def check(self, solution: object, problem: RemovalProblem) -> Edit:
        """The edit on the CPU in single precision.

        Raises:
            InvalidSolution: it is nothing, of another shape, over budget, or holds numbers that are none.
        """
        from ..edits import EdgeCuts, WeightChange

        if isinstance(solution, EdgeCuts):
            return _checked_cuts(solution, problem)
        if isinstance(solution, WeightChange):
            return _checked_change(solution, problem)
        raise InvalidSolution(
            f"The method returned {type(solution).__name__}; valid: mechboard.protocols.EdgeCuts or WeightChange."
        )

    def pack(self, solution: Edit) -> dict[str, Tensor]:
        """Cuts with their scores if there are any, or changes with their scales."""
        import torch

        from ..edits import EdgeCuts

        if isinstance(solution, EdgeCuts):
            return {"cut": solution.cut} | ({} if solution.scores is None else {"scores": solution.scores})
        scales = torch.tensor(solution.scales, dtype=torch.float64)
        return {f"{_CHANGE}{name}": tensor for name, tensor in solution.change.items()} | {"scales": scales}

    def unpack(self, tensors: Mapping[str, Tensor]) -> Edit:
        """Cuts or changes."""
        from ..edits import EdgeCuts, WeightChange

        if "cut" in tensors:
            return EdgeCuts(cut=tensors["cut"], scores=tensors.get("scores"))
        change = {name.removeprefix(_CHANGE): part for name, part in tensors.items() if name.startswith(_CHANGE)}
        return WeightChange(change=change, scales=tuple(tensors["scales"].tolist()))

    def reveal(self, instance: Instance[RemovalProblem], sees: frozenset[str]) -> RemovalProblem:
        """The problem, with the first truth for a method that sees it."""
        if "truth" not in sees:
            return instance.problem
        if not instance.truths:
            raise Unsupported("no edges of the behaviour are known for this task")
        return replace(instance.problem, truth=instance.truths[0].edges)

    def score(self, task: Task, instance: Instance[RemovalProblem], solution: Edit) -> Evaluation:
        """Every measure; the headline is the area under the frontier."""
        from ..metrics.removal import evaluate_edit

        found = evaluate_edit(instance.problem, solution, instance.held_out, instance.truths)
        return Evaluation(
            headline="frontier",
            measures=found.measures,
            curves=found.curves,
            exhibits=exhibits_of(instance, solution, found),
            notes=found.notes,
            files=_texts(found),
        )

    def export(self, instance: Instance[RemovalProblem], solution: Edit, point: float | None, folder: Path) -> str:
        """Write the edited model, where weights can hold the edit."""
        from .removal_export import write_checkpoint

        return write_checkpoint(instance, solution, point, folder)

    def facts(self, instance: Instance[RemovalProblem]) -> tuple[Fact, ...]:
        """What may be cut and what methods are given."""
        problem = instance.problem
        budgets = ", ".join(f"{budget:,}" for budget in problem.budgets)
        return (
            Fact(name="edges", text=f"{problem.model.n_edges:,}, by {problem.model.ablation} ablation"),
            Fact(name="budgets", text=f"{budgets} edges"),
            Fact(
                name="methods see",
                text=f"{len(problem.bad):,} samples of the behaviour and {len(problem.keep):,} of all else",
            ),
        )

    def truths(self, instance: Instance[RemovalProblem]) -> tuple[TruthInfo, ...]:
        """Sizes and sources of the known edges."""
        return tuple(
            TruthInfo(name=t.name, n_true=int(t.edges.sum()), n_all=len(t.edges), source=t.source)
            for t in instance.truths
        )


def _texts(found: Removal) -> dict[str, str]:
    """Every completion, also those that a record does not show."""
    lines = [json.dumps(each._asdict(), ensure_ascii=False) for each in found.completions]
    return {"completions.jsonl": "\n".join(lines) + "\n"} if lines else {}


def _checked_cuts(edit: EdgeCuts, problem: RemovalProblem) -> EdgeCuts:
    import torch

    from ..edits import EdgeCuts

    shape = (len(problem.budgets), problem.model.n_edges)
    wanted = f"valid: cuts as booleans {shape}, a set for each of the budgets {problem.budgets}"
    if not isinstance(edit.cut, torch.Tensor) or tuple(edit.cut.shape) != shape or edit.cut.dtype != torch.bool:
        given = getattr(edit.cut, "shape", type(edit.cut).__name__)
        raise InvalidSolution(f"The method returned cuts of shape {given}; {wanted}.")
    cut, scores = edit.cut.detach().cpu(), edit.scores
    for budget, size in zip(problem.budgets, cut.sum(1).tolist(), strict=True):
        if size > budget:
            raise InvalidSolution(f"The method cut {size:,} edges at a budget of {budget:,}; {wanted}.")
    if scores is not None:
        if not isinstance(scores, torch.Tensor) or tuple(scores.shape) != shape[1:] or bool(scores.isinf().any()):
            raise InvalidSolution(
                f"The scores of the cuts are not one finite number or NaN for each of {shape[1]:,} edges."
            )
        scores = None if bool(scores.isnan().all()) else scores.detach().cpu().float()
    return EdgeCuts(cut=cut, scores=scores)


def _checked_change(edit: WeightChange, problem: RemovalProblem) -> WeightChange:

    from ..edits import WeightChange

    own = {name: tuple(tensor.shape) for name, tensor in problem.model.parameters().items()}
    change: dict[str, Any] = {}
    for name, tensor in edit.change.items():
        if own.get(name) != tuple(getattr(tensor, "shape", ())):
            raise InvalidSolution(
                f"The method changed {name!r} by a tensor of shape {tuple(getattr(tensor, 'shape', ()))}; valid: names and shapes "
                f"of problem.model.parameters(), such as {next(iter(own))!r}."
            )
        change[name] = tensor.detach().cpu().float()
        if not bool(change[name].isfinite().all()):
            raise InvalidSolution(
                f"The change of {name!r} holds infinities or NaN: training diverged; use a smaller rate."
            )
    scales = tuple(float(scale) for scale in edit.scales)
    if not 1 <= len(scales) <= _MOST_POINTS or not all(map(isfinite, scales)) or list(scales) != sorted(set(scales)):
        raise InvalidSolution(f"The scales are {scales}; valid: 1 to {_MOST_POINTS} rising finite numbers.")
    return WeightChange(change=change, scales=scales)


removal = RemovalKind()
