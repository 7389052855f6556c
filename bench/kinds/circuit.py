"""Circuits: a model as a graph goes in, a signed score for every edge comes out.

Scored by how well |score| finds the known edges (AUC, average precision), how well the scores agree with exact effects
(correlation), and how much of the behaviour the strongest edges keep (faithfulness, CMD, CPR, completeness).
"""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from dataclasses import replace
from typing import TYPE_CHECKING, Annotated, Any, ClassVar, Literal

from pydantic import Field

from mechboard.contract.kind import Kind
from mechboard.contract.scores import Evaluation, Exhibit, Fact, Part, TruthInfo
from mechboard.errors import InvalidSolution, Unsupported
from mechboard.metrics.measures import DEFINITIONS

if TYPE_CHECKING:
    from torch import Tensor

    from mechboard.contract.task import Instance, Task
    from mechboard.graph import Graph
    from mechboard.graph.problem import CircuitProblem, EdgeScores

# Nobody's graph is larger, and a page draws every node.
Nodes = Annotated[int, Field(ge=1, le=1000)]


class GraphInfo(Part):
    """The graph that scores refer to; `mechboard.graph.Graph` rebuilds the names of its edges from these."""

    n_layers: Nodes
    n_heads: Nodes
    has_mlp: bool
    parallel: bool
    level: Literal["qkv", "head"]

    def rebuild(self) -> Graph:
        """The graph itself."""
        from mechboard.graph import Graph

        return Graph(**self.model_dump())


class FoundEdge(Part):
    """An edge of the found or of the known circuit; `known` is None where no circuit is known."""

    name: str
    score: float | None
    found: bool
    known: bool | None

    @property
    def verdict(self) -> str:
        """`hit`, `false`, `missed`, or `unknown` where no circuit is known."""
        if self.known is None:
            return "unknown"
        return ("hit" if self.found else "missed") if self.known else "false"


class Circuit(Exhibit):
    """The strongest edges, as many as the known circuit has, and the known edges that are not among them."""

    type: Literal["circuit"] = "circuit"
    graph: GraphInfo
    edges: Annotated[tuple[FoundEdge, ...], Field(strict=False)]

    drawing: ClassVar[str] = "mechboard.drawing.circuit:circuit_figure"
    exports: ClassVar[Mapping[str, str]] = {
        "svg": "mechboard.drawing.circuit:circuit_svg",
        "dot": "mechboard.drawing.circuit:circuit_dot",
    }

    def document(self) -> dict[str, Any]:
        """The edges."""
        edges = [{"edge": e.name, "score": e.score, "found": e.found, "known": e.known} for e in self.edges]
        return {"edges": edges}

    def lines(self) -> Iterator[str]:
        """One line per edge: score, name, and whether it is of the known circuit."""
        for edge in self.edges:
            score = "no opinion" if edge.score is None else f"{edge.score:+.4g}"
            yield f"{score:>11}  {edge.name:<24} {edge.verdict if edge.known is not None else ''}".rstrip()

    def strongest(self, solution: EdgeScores, top: int) -> Circuit:
        """The `top` strongest edges of all."""
        from mechboard.metrics.circuit import strongest_edges

        graph = self.graph.rebuild()
        if len(solution.scores) != graph.n_edges:
            raise InvalidSolution(
                f"There are {len(solution.scores)} scores for a graph of {graph.n_edges} edges; run the cell again "
                "with --fresh."
            )
        known = {edge.name: edge.known for edge in self.edges}
        # A circuit holds every known edge, so an edge that is not in it is not known, if any is.
        default = False if any(verdict is not None for verdict in known.values()) else None
        found = strongest_edges(graph, solution.scores, top)
        edges = tuple(FoundEdge(name=n, score=s, found=True, known=known.get(n, default)) for n, s in found)
        return Circuit(graph=self.graph, edges=edges)

    def _repr_svg_(self) -> str:
        return self.export("svg", "circuit")


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
    exhibits = (Circuit,)
    trials = "mechboard.conformance.circuit:TRIALS"
    task_trials = "mechboard.conformance.circuit_tasks:TRIALS"

    def check(self, solution: object, problem: CircuitProblem) -> EdgeScores:
        """The scores on the CPU in single precision.

        Raises:
            InvalidSolution: they are nothing, of another type or shape, infinite, or without any opinion.
        """
        import torch

        from mechboard.graph.problem import EdgeScores

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
        return EdgeScores(scores)

    def pack(self, solution: EdgeScores) -> dict[str, Tensor]:
        """The scores."""
        return {"scores": solution.scores}

    def unpack(self, tensors: Mapping[str, Tensor]) -> EdgeScores:
        """The scores."""
        from mechboard.graph.problem import EdgeScores

        return EdgeScores(tensors["scores"])

    def reveal(self, instance: Instance[CircuitProblem], sees: frozenset[str]) -> CircuitProblem:
        """The problem, with the first truth for a method that sees it."""
        if "truth" not in sees:
            return instance.problem
        if not instance.truths:
            raise Unsupported("no circuit is known for this task")
        return replace(instance.problem, truth=instance.truths[0].edges)

    def score(self, task: Task, instance: Instance[CircuitProblem], solution: EdgeScores) -> Evaluation:
        """Every measure; the headline is AUC against the first truth, else CMD."""
        from mechboard.metrics.circuit import evaluate_edges, found_circuit

        problem, scores, truths = instance.problem, solution.scores, instance.truths
        evaluation = evaluate_edges(problem, scores, instance.held_out, truths, chance=task.chance)
        found = found_circuit(problem, scores, truths[0].edges if truths else None)
        edges = tuple(FoundEdge(**edge._asdict()) for edge in found)
        circuit = Circuit(graph=_info(problem.graph), edges=edges)
        return evaluation.model_copy(update={"exhibits": {"circuit": circuit}})

    def facts(self, instance: Instance[CircuitProblem]) -> tuple[Fact, ...]:
        """The size of the graph."""
        return (Fact(name="graph", text=graph_in_words(_info(instance.problem.graph), instance.problem.graph.n_edges)),)

    def truths(self, instance: Instance[CircuitProblem]) -> tuple[TruthInfo, ...]:
        """Sizes and sources of the known circuits."""
        return tuple(
            TruthInfo(name=t.name, n_true=int(t.edges.sum()), n_all=len(t.edges), source=t.source)
            for t in instance.truths
        )


def _info(graph: Any) -> GraphInfo:
    return GraphInfo(
        n_layers=graph.n_layers,
        n_heads=graph.n_heads,
        has_mlp=graph.has_mlp,
        parallel=graph.parallel,
        level=graph.level,
    )


def graph_in_words(graph: GraphInfo, n_edges: int) -> str:
    """A graph for people.

    >>> graph_in_words(GraphInfo(n_layers=3, n_heads=4, has_mlp=False, parallel=False, level="head"), 94)
    '3 layers x 4 heads, attention only, 94 edges by head'
    """
    mlp = "" if graph.has_mlp else ", attention only"
    level = "query, key and value" if graph.level == "qkv" else "head"
    return f"{graph.n_layers} layers x {graph.n_heads} heads{mlp}, {n_edges:,} edges by {level}"


circuit = CircuitKind()
