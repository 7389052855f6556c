"""What scoring a circuit leaves to look at: the circuit found, how scores distribute, how they agree with exact effects.

`of` makes each of them from what the metrics found; how they are drawn is named, so that a changed picture makes no
score stale.
"""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from typing import TYPE_CHECKING, Annotated, Any, ClassVar, Literal, Self

from pydantic import Field, model_validator

from ..contract.scores import Exhibit, Part
from ..errors import InvalidSolution

if TYPE_CHECKING:
    from torch import Tensor

    from ..graph import Graph
    from ..graph.problem import CircuitProblem, Circuits, EdgeScores, Truth
    from ..metrics.exact import Effects

# Nobody's graph is larger, and a page draws every node.
Nodes = Annotated[int, Field(ge=1, le=1000)]


class GraphInfo(Part):
    """The graph that scores refer to; `mechboard.graph.Graph` rebuilds the names of its edges from these."""

    n_layers: Nodes
    n_heads: Nodes
    has_mlp: bool
    parallel: bool
    level: Literal["qkv", "head"]

    @classmethod
    def of(cls, graph: Graph) -> Self:
        """What rebuilds this graph."""
        return cls(
            n_layers=graph.n_layers,
            n_heads=graph.n_heads,
            has_mlp=graph.has_mlp,
            parallel=graph.parallel,
            level=graph.level,
        )

    def rebuild(self) -> Graph:
        """The graph itself."""
        from ..graph import Graph

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

    @classmethod
    def of(cls, graph: Graph, scores: Tensor, truths: Sequence[Truth]) -> Self:
        """The circuit of some scores against the first truth."""
        from ..metrics.circuit import found_circuit

        found = found_circuit(graph, scores, truths[0] if truths else None)
        return cls(graph=GraphInfo.of(graph), edges=tuple(FoundEdge(**edge._asdict()) for edge in found))

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
        from ..metrics.circuit import strongest_edges

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


class ScoreGroup(Part):
    """Scores of one group of edges: how many in each bin, their number, mean and standard deviation."""

    name: str
    counts: Annotated[tuple[Annotated[int, Field(ge=0, lt=2**63)], ...], Field(strict=False, max_length=1000)]
    n: Annotated[int, Field(ge=1, lt=2**63)]
    mean: float
    deviation: Annotated[float, Field(ge=0)]


class Distribution(Exhibit):
    """Scores inside and outside the known circuit, and those inside by the role of the head that the edge starts from."""

    type: Literal["distribution"] = "distribution"
    bounds: Annotated[tuple[float, ...], Field(strict=False, min_length=2, max_length=1001)]
    groups: Annotated[tuple[ScoreGroup, ...], Field(strict=False)]
    roles: Annotated[tuple[ScoreGroup, ...], Field(strict=False)] = ()

    drawing: ClassVar[str] = "mechboard.drawing.distribution:distribution_figure"
    exports: ClassVar[Mapping[str, str]] = {"svg": "mechboard.drawing.distribution:distribution_svg"}

    @model_validator(mode="after")
    def _every_bin_has_a_count(self) -> Self:
        if any(len(group.counts) != len(self.bounds) - 1 for group in (*self.groups, *self.roles)):
            raise ValueError("a group has other bins than its distribution")
        return self

    @classmethod
    def of(cls, graph: Graph, scores: Tensor, truths: Sequence[Truth]) -> Self:
        """Histograms of some scores, against the first truth."""
        from ..metrics.distribution import distribution

        found = distribution(graph, scores, truths[0] if truths else None)
        groups, roles = (tuple(ScoreGroup(**group._asdict()) for group in each) for each in (found.groups, found.roles))
        return cls(bounds=found.bounds, groups=groups, roles=roles)

    def lines(self) -> Iterator[str]:
        """Mean and spread of every group."""
        for group in (*self.groups, *self.roles):
            yield f"scores {group.name}: {group.n} edges, mean {group.mean:+.4g}, deviation {group.deviation:.4g}"


class ComparedEdge(Part):
    """An edge with its score and its exact effect; `known` is None where no circuit is known or it says nothing of it."""

    name: str
    score: float | None
    effect: float
    known: bool | None


class Agreement(Exhibit):
    """Scores beside exact effects, one point per edge, with the line that fits effects to scores."""

    type: Literal["agreement"] = "agreement"
    measured: str
    n_edges: Annotated[int, Field(ge=1, lt=2**63)]
    r2: Annotated[float | None, Field(ge=0, le=1 + 1e-9)]
    slope: float | None
    intercept: float | None = None
    edges: Annotated[tuple[ComparedEdge, ...], Field(strict=False, max_length=4000)]

    drawing: ClassVar[str] = "mechboard.drawing.agreement:agreement_figure"
    exports: ClassVar[Mapping[str, str]] = {"svg": "mechboard.drawing.agreement:agreement_svg"}

    @classmethod
    def of(cls, graph: Graph, scores: Tensor, effects: Effects, truths: Sequence[Truth]) -> Self:
        """A fit of effects to scores, and the edges worth drawing."""
        from ..metrics.exact import fit

        fitted, effect_of = fit(scores, effects), dict(zip(effects.edges.tolist(), effects.drops.tolist(), strict=True))
        edges = tuple(
            ComparedEdge(
                name=graph.edges[i],
                score=_rounded(float(scores[i])),
                effect=_rounded(effect_of[i]),
                known=_known(truths, i),
            )
            for i in fitted.shown
        )
        return cls(
            measured=effects.measured,
            n_edges=len(effects.edges),
            r2=fitted.r2,
            slope=fitted.slope,
            intercept=fitted.intercept,
            edges=edges,
        )

    def lines(self) -> Iterator[str]:
        """R² and slope."""
        if self.r2 is not None:
            yield f"exact effects {self.measured}: R² {self.r2:.3f}, slope {self.slope:.3g} over {self.n_edges:,} edges"


class EdgePath(Part):
    """One edge on its way from its clean to its ablated value: the share of the way, and the drop of the metric there."""

    name: str
    score: float | None
    known: bool | None
    shares: Annotated[tuple[float, ...], Field(strict=False, min_length=2, max_length=1000)]
    drops: Annotated[tuple[float, ...], Field(strict=False, min_length=2, max_length=1000)]

    @model_validator(mode="after")
    def _every_share_has_a_drop(self) -> Self:
        if len(self.shares) != len(self.drops):
            raise ValueError(f"a path has {len(self.shares)} shares and {len(self.drops)} drops")
        return self


class Interpolation(Exhibit):
    """The edges whose scores are furthest from their effects: the metric's drop on the way, beside the straight line to the score."""

    type: Literal["interpolation"] = "interpolation"
    paths: Annotated[tuple[EdgePath, ...], Field(strict=False, max_length=100)]

    drawing: ClassVar[str] = "mechboard.drawing.interpolation:interpolation_figure"
    exports: ClassVar[Mapping[str, str]] = {"svg": "mechboard.drawing.interpolation:interpolation_svg"}

    @classmethod
    def of(cls, problem: CircuitProblem, scores: Tensor, effects: Effects, truths: Sequence[Truth]) -> Self:
        """Paths of the edges that scores are most wrong about."""
        from ..metrics.exact import worst_paths

        return cls(
            paths=tuple(
                EdgePath(
                    name=problem.graph.edges[path.edge],
                    score=_rounded(float(scores[path.edge])),
                    known=_known(truths, path.edge),
                    shares=path.shares,
                    drops=path.drops,
                )
                for path in worst_paths(problem, scores, effects)
            )
        )


class KeptCircuit(Part):
    """A circuit that a method keeps at settings of its own, and what it keeps of the known one."""

    settings: dict[str, float]
    n_edges: Annotated[int, Field(ge=0, lt=2**63)]
    true_rate: Annotated[float, Field(ge=0, le=1)]
    false_rate: Annotated[float, Field(ge=0, le=1)]

    @property
    def youden(self) -> float:
        """TPR - FPR."""
        return self.true_rate - self.false_rate


class OperatingPoints(Exhibit):
    """The circuits that the method keeps at each of its thresholds: share of the true and of the false edges that each holds."""

    type: Literal["operating-points"] = "operating-points"
    truth: str
    circuits: Annotated[tuple[KeptCircuit, ...], Field(strict=False, min_length=1, max_length=1000)]

    drawing: ClassVar[str] = "mechboard.drawing.operating_points:operating_points_figure"
    exports: ClassVar[Mapping[str, str]] = {"svg": "mechboard.drawing.operating_points:operating_points_svg"}

    @classmethod
    def of(cls, graph: Graph, circuits: Circuits, truth: Truth) -> Self:
        """Rates of every circuit against a truth."""
        from ..metrics.kept import rates

        found = rates(graph, circuits.kept, truth)
        kept = (
            KeptCircuit(
                settings={name: values[i] for name, values in circuits.settings.items()},
                n_edges=each.n_edges,
                true_rate=each.true_rate,
                false_rate=each.false_rate,
            )
            for i, each in enumerate(found)
        )
        return cls(truth=truth.name, circuits=tuple(kept))

    def lines(self) -> Iterator[str]:
        """The best circuit by Youden's J."""
        best = max(self.circuits, key=lambda circuit: circuit.youden)
        at = ", ".join(f"{name} {value:g}" for name, value in best.settings.items())
        yield f"best of {len(self.circuits)} circuits against {self.truth}: J {best.youden:.3f} at {at}, {best.n_edges:,} edges"


def exhibits_of(problem: CircuitProblem, solution: EdgeScores, truths: Sequence[Truth]) -> dict[str, Exhibit]:
    """Everything that there is to look at, the circuit first."""
    from ..metrics.exact import effects_for

    graph, scores = problem.graph, solution.scores
    effects = effects_for(problem, scores, truths)
    exhibits: dict[str, Exhibit] = {
        "circuit": Circuit.of(graph, scores, truths),
        "distribution": Distribution.of(graph, scores, truths),
        "agreement": Agreement.of(graph, scores, effects, truths),
        "interpolation": Interpolation.of(problem, scores, effects, truths),
    }
    if solution.circuits is not None and truths:
        exhibits["operating-points"] = OperatingPoints.of(graph, solution.circuits, truths[0])
    return exhibits


def _rounded(value: float) -> Any:
    """Four digits, which is more than a picture shows; None for no opinion."""
    return None if value != value else float(f"{value:.4g}")


def _known(truths: Sequence[Truth], edge: int) -> bool | None:
    """Whether the first truth calls an edge true; None where it says nothing of it."""
    if not truths or (truths[0].universe is not None and not bool(truths[0].universe[edge])):
        return None
    return bool(truths[0].edges[edge])


def graph_in_words(graph: GraphInfo, n_edges: int) -> str:
    """A graph for people.

    >>> graph_in_words(GraphInfo(n_layers=3, n_heads=4, has_mlp=False, parallel=False, level="head"), 94)
    '3 layers x 4 heads, attention only, 94 edges by head'
    """
    mlp = "" if graph.has_mlp else ", attention only"
    level = "query, key and value" if graph.level == "qkv" else "head"
    return f"{graph.n_layers} layers x {graph.n_heads} heads{mlp}, {n_edges:,} edges by {level}"
