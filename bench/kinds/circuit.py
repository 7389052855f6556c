"""Circuits: a model as a graph goes in, a signed score for every edge comes out.

Scored by how well |score| finds the known edges (AUC, average precision), how well the scores agree with exact effects
(correlation), and how much of the behaviour the strongest edges keep (faithfulness, CMD, CPR, completeness).
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import replace
from math import isfinite
from typing import TYPE_CHECKING

from ..contract.kind import Kind
from ..contract.scores import Evaluation, Fact, TruthInfo
from ..errors import InvalidSolution, PluginError, Unsupported
from ..metrics.measures import DEFINITIONS
from .circuit_exhibits import (
    Agreement,
    Circuit,
    Distribution,
    GraphInfo,
    Interpolation,
    OperatingPoints,
    exhibits_of,
    graph_in_words,
)

if TYPE_CHECKING:
    from torch import Tensor

    from ..contract.task import Instance, Task
    from ..graph.problem import CircuitProblem, Circuits, EdgeScores, Truth

_SETTING = "setting: "
_MOST_CIRCUITS = 1000


class CircuitKind(Kind["CircuitProblem", "EdgeScores"]):
    """Which edges carry the behaviour?"""

    name = "circuit"
    question = "Which method finds the circuit?"
    lead = (
        "Each cell says how well a method's edge scores find the known circuit of a task (AUC: 0.5 is chance, 1 is the "
        "circuit itself), or, where no circuit is known, how much of the behaviour its strongest edges miss (CMD, 0 is best)."
    )
    definitions = DEFINITIONS
    shown = ("auc", "average-precision", "correlation", "cmd")
    sees = frozenset({"truth"})
    exhibits = (Circuit, Distribution, Agreement, Interpolation, OperatingPoints)
    trials = "mechboard.conformance.circuit:TRIALS"
    template = "mechboard.plugins.scaffold.templates:CIRCUIT"
    task_trials = "mechboard.conformance.circuit_tasks:TRIALS"

    def check_instance(self, instance: Instance[CircuitProblem]) -> None:
        """See that truths are of the problem's graph.

        Raises:
            PluginError: one has more or fewer edges.
        """
        graph = instance.problem.graph
        sizes = dict.fromkeys(("edges", "effects", "universe"), (graph.n_edges, "edges"))
        for truth in instance.truths:
            for part, (size, of) in (sizes | {"direct": (graph.n_destinations, "destinations")}).items():
                held = getattr(truth, part)
                if held is not None and tuple(held.shape) != (size,):
                    raise PluginError(
                        f"Truth {truth.name!r} holds {part} of shape {tuple(held.shape)} and its graph has {size:,} {of}; "
                        "make it from names, `graph.edge_mask(names)`, of the graph of the same problem."
                    )

    def check(self, solution: object, problem: CircuitProblem) -> EdgeScores:
        """The scores on the CPU in single precision.

        Raises:
            InvalidSolution: they are nothing, of another type or shape, infinite, or without any opinion.
        """
        import torch

        from ..graph.problem import EdgeScores

        n_edges = problem.graph.n_edges
        wanted = f"valid: mechboard.protocols.EdgeScores with one finite score or NaN per edge ({n_edges})"
        if not isinstance(solution, EdgeScores) or not isinstance(solution.scores, torch.Tensor):
            raise InvalidSolution(f"The method returned {type(solution).__name__}; {wanted}.")
        scores = solution.scores.detach().cpu()
        if tuple(scores.shape) != (n_edges,) or not scores.is_floating_point():
            raise InvalidSolution(
                f"The method returned {scores.dtype} scores of shape {tuple(scores.shape)}; {wanted}."
            )
        if bool(scores.isinf().any()):
            raise InvalidSolution(f"The method returned {int(scores.isinf().sum())} infinite scores; {wanted}.")
        if bool(scores.isnan().all()):
            raise InvalidSolution(f"The method returned NaN for every edge; {wanted}.")
        scores = scores.float()
        if bool(scores.isinf().any()):
            raise InvalidSolution(f"The method returned scores beyond single precision; {wanted}.")
        return EdgeScores(scores, _checked(solution.circuits, n_edges))

    def pack(self, solution: EdgeScores) -> dict[str, Tensor]:
        """The scores, the circuits if there are any, and each of their settings."""
        if solution.circuits is None:
            return {"scores": solution.scores}
        import torch

        kept, settings = solution.circuits.kept, solution.circuits.settings
        columns = {f"{_SETTING}{name}": torch.tensor(values, dtype=torch.float64) for name, values in settings.items()}
        return {"scores": solution.scores, "circuits": kept, **columns}

    def unpack(self, tensors: Mapping[str, Tensor]) -> EdgeScores:
        """The scores and the circuits."""
        from ..graph.problem import Circuits, EdgeScores

        if "circuits" not in tensors:
            return EdgeScores(tensors["scores"])
        columns = {name: column for name, column in tensors.items() if name.startswith(_SETTING)}
        settings = {name.removeprefix(_SETTING): tuple(column.tolist()) for name, column in columns.items()}
        return EdgeScores(tensors["scores"], Circuits(kept=tensors["circuits"], settings=settings))

    def reveal(self, instance: Instance[CircuitProblem], sees: frozenset[str]) -> CircuitProblem:
        """The problem, with the first truth for a method that sees it."""
        if "truth" not in sees:
            return instance.problem
        if not instance.truths:
            raise Unsupported("no circuit is known for this task")
        return replace(instance.problem, truth=instance.truths[0].edges)

    def score(self, task: Task, instance: Instance[CircuitProblem], solution: EdgeScores) -> Evaluation:
        """Every measure; the headline is AUC against the first truth, else CMD."""
        from ..metrics.circuit import evaluate_edges

        problem, scores, truths = instance.problem, solution.scores, instance.truths
        evaluation = evaluate_edges(
            problem, scores, instance.held_out, truths, circuits=solution.circuits, chance=task.chance
        )
        return evaluation.model_copy(update={"exhibits": exhibits_of(problem, solution, truths)})

    def facts(self, instance: Instance[CircuitProblem]) -> tuple[Fact, ...]:
        """The size of the graph."""
        return (
            Fact(
                name="graph", text=graph_in_words(GraphInfo.of(instance.problem.graph), instance.problem.graph.n_edges)
            ),
        )

    def truths(self, instance: Instance[CircuitProblem]) -> tuple[TruthInfo, ...]:
        """Sizes and sources of the known circuits."""
        from ..metrics.spoken import spoken_of

        def info(truth: Truth) -> TruthInfo:
            spoken = spoken_of(instance.problem.graph, truth.edges.float(), truth)
            n_true, n_all = int(spoken.true.sum()), len(spoken.true)
            return TruthInfo(name=truth.name, n_true=n_true, n_all=n_all, source=truth.source)

        return tuple(info(truth) for truth in instance.truths)


def _checked(circuits: object, n_edges: int) -> Circuits | None:
    """Circuits as they are scored, on the CPU.

    Raises:
        InvalidSolution: they are of another type or shape, none or too many, or their settings are no finite numbers.
    """
    import torch

    from ..graph.problem import Circuits

    if circuits is None:
        return None
    wanted = f"valid: mechboard.protocols.Circuits with kept edges [circuits, {n_edges}] as booleans"
    if not isinstance(circuits, Circuits) or not isinstance(circuits.kept, torch.Tensor):
        raise InvalidSolution(f"The method returned circuits as {type(circuits).__name__}; {wanted}.")
    kept = circuits.kept.detach().cpu()
    if kept.ndim != 2 or kept.shape[1] != n_edges or kept.dtype != torch.bool or not 1 <= len(kept) <= _MOST_CIRCUITS:
        raise InvalidSolution(
            f"The method returned {kept.dtype} circuits of shape {tuple(kept.shape)}; {wanted}, 1 to {_MOST_CIRCUITS} of them."
        )
    settings = {str(name): tuple(float(value) for value in values) for name, values in circuits.settings.items()}
    if any(len(values) != len(kept) or not all(map(isfinite, values)) for values in settings.values()):
        raise InvalidSolution(f"The settings of {len(kept)} circuits are not one finite number each; {wanted}.")
    return Circuits(kept=kept, settings=settings)


circuit = CircuitKind()
