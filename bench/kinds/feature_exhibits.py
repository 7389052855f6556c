"""What scoring features leaves to look at: how much circuits explain by their size, and how linear the effects of nodes are.

The circuit itself is in `feature_circuit.py`. How they are drawn, averaged over a family's tasks or logged is named, so that
a changed picture makes no score stale.
"""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Mapping, Sequence
from typing import TYPE_CHECKING, Annotated, Any, ClassVar, Literal, Self

from pydantic import Field, model_validator

from ..contract.scores import Curve, Exhibit, Part
from .feature_circuit import feature_circuit

if TYPE_CHECKING:
    from ..contract.task import Instance
    from ..features.nodes import Nodes
    from ..features.problem import FeatureProblem, FeatureScores
    from ..metrics.features import FeatureEvaluation
    from ..metrics.linearity import Compared
    from ..metrics.node_circuits import NodeCurve

Name = Annotated[str, Field(max_length=120)]
Of = Literal["faithfulness", "completeness"]
Points = Annotated[tuple[float, ...], Field(strict=False, min_length=1, max_length=2000)]
_MOST_CURVES = 64
_MOST_POINTS = 1200


class SetCurve(Part):
    """Faithfulness, or completeness, of one series of sets of nodes, by how many nodes each holds.

    `measured` ones are the method's own, `published` ones are drawn behind them, `chance` is that of random sets.
    """

    of: Of
    name: Name
    origin: Literal["measured", "published", "chance"] = "measured"
    n_nodes: Annotated[tuple[Annotated[float, Field(ge=0)], ...], Field(strict=False, min_length=1, max_length=2000)]
    values: Points

    @model_validator(mode="after")
    def _every_size_has_a_value(self) -> Self:
        if len(self.n_nodes) != len(self.values):
            raise ValueError(f"a curve has {len(self.n_nodes)} numbers of nodes and {len(self.values)} values")
        if any(b < a for a, b in zip(self.n_nodes, self.n_nodes[1:], strict=False)):
            raise ValueError("the numbers of nodes of a curve do not rise")
        return self

    @property
    def key(self) -> tuple[str, str, str]:
        """What is averaged with what."""
        return self.of, self.name, self.origin


class Explanation(Exhibit):
    """How much of the behaviour circuits of the strongest nodes keep (faithfulness), and how much is left without them (completeness).

    `averaged` names the tasks that it is a mean over; there are none where it is of one task. `source` is where published curves
    are from.
    """

    type: Literal["explanation"] = "explanation"
    curves: Annotated[tuple[SetCurve, ...], Field(strict=False, min_length=1, max_length=_MOST_CURVES)]
    source: Annotated[str, Field(max_length=300)] = ""
    averaged: Annotated[tuple[Name, ...], Field(strict=False, max_length=100)] = ()

    drawing: ClassVar[str] = "mechboard.drawing.explanation:explanation_figure"
    exports: ClassVar[Mapping[str, str]] = {"svg": "mechboard.drawing.explanation:explanation_svg"}
    merging: ClassVar[str] = "mechboard.drawing.explanation:averaged"

    @model_validator(mode="after")
    def _no_curve_is_there_twice(self) -> Self:
        if len({curve.key for curve in self.curves}) != len(self.curves):
            raise ValueError("a set of nodes has two curves of one measure")
        return self

    @classmethod
    def of(
        cls,
        sets: Mapping[str, NodeCurve],
        published: Sequence[tuple[str, Curve]] = (),
        chance: Sequence[tuple[str, Curve]] = (),
    ) -> Self:
        """Curves of every set by its name.

        Args:
            sets: what was measured.
            published: by the name of the set; a curve whose y is `faithfulness` is that, any other completeness. Its
                title is its source.
            chance: of random sets, alike.
        """
        curves = [
            SetCurve(of=of, name=name, n_nodes=tuple(map(float, found.counts)), values=tuple(values))
            for name, found in sets.items()
            for of, values in _both(found)
        ]
        for origin, given in (("published", published), ("chance", chance)):
            curves += [_of_curve(name, curve, origin) for name, curve in given]
        return cls(curves=tuple(curves), source="; ".join(dict.fromkeys(curve.title for _, curve in published)))

    def lines(self) -> Iterator[str]:
        """Of every measured set the smallest circuit that keeps half, and what the largest keeps."""
        for curve in self.curves:
            if curve.of == "faithfulness" and curve.origin == "measured":
                half = next((n for n, y in zip(curve.n_nodes, curve.values, strict=True) if y >= 0.5), None)
                said = "no circuit keeps half" if half is None else f"{half:,.0f} nodes keep half"
                yield f"{curve.name}: {said}, {curve.n_nodes[-1]:,.0f} keep {curve.values[-1]:.3f}"


def _both(found: NodeCurve) -> Iterable[tuple[Of, Sequence[float]]]:
    yield "faithfulness", found.faithfulness
    yield "completeness", found.complement


def _of_curve(name: str, curve: Curve, origin: Any) -> SetCurve:
    of: Of = "faithfulness" if curve.y_label == "faithfulness" else "completeness"
    return SetCurve(of=of, name=name, origin=origin, n_nodes=curve.x, values=curve.y)


Effects = Annotated[tuple[float, ...], Field(strict=False, min_length=1, max_length=_MOST_POINTS)]


class PlaceEffects(Part):
    """Estimated effects of some nodes at one place beside exact ones: how they go together, and what all of them add to.

    Correlation and slope, that of exact effects on estimates, are None where all estimates or all effects are equal.
    """

    place: Name
    correlation: Annotated[float | None, Field(ge=-1 - 1e-9, le=1 + 1e-9)]
    slope: float | None
    estimated: float
    exact: float
    nodes: Annotated[tuple[Name, ...], Field(strict=False, min_length=1, max_length=_MOST_POINTS)]
    estimates: Effects
    effects: Effects

    @model_validator(mode="after")
    def _every_node_has_both(self) -> Self:
        if not len(self.nodes) == len(self.estimates) == len(self.effects):
            raise ValueError(
                f"{len(self.nodes)} nodes have {len(self.estimates)} estimates and {len(self.effects)} effects"
            )
        return self


class Basis(Part):
    """Features, or neurons, at every place."""

    name: Name
    places: Annotated[tuple[PlaceEffects, ...], Field(strict=False, min_length=1, max_length=200)]


class Linearity(Exhibit):
    """Estimated effects of single nodes beside exact ones, place by place: how good the linear approximation is."""

    type: Literal["linearity"] = "linearity"
    measured: Name
    bases: Annotated[tuple[Basis, ...], Field(strict=False, min_length=1, max_length=4)]

    drawing: ClassVar[str] = "mechboard.drawing.linearity:linearity_figure"
    exports: ClassVar[Mapping[str, str]] = {"svg": "mechboard.drawing.linearity:linearity_svg"}

    @classmethod
    def of(cls, compared: Mapping[str, tuple[Nodes, Sequence[Compared]]], measured: str) -> Self:
        """Estimates and exact effects by the name of their basis, each with what its nodes are numbered by."""
        return cls(
            measured=measured,
            bases=tuple(
                Basis(name=name, places=tuple(_effects(nodes, part) for part in parts))
                for name, (nodes, parts) in compared.items()
                if parts
            ),
        )

    def lines(self) -> Iterator[str]:
        """A line per place."""
        for basis in self.bases:
            for fit in basis.places:
                told = "no correlation" if fit.correlation is None else f"r {fit.correlation:.3f}"
                yield f"{basis.name} at {fit.place}: {told}, sum {fit.estimated:+.4g} estimated, {fit.exact:+.4g} exact"

    def table(self) -> list[dict[str, Any]]:
        """Every place of every basis."""
        shown = {"place", "correlation", "slope", "estimated", "exact"}
        return [
            {"basis": basis.name, **fit.model_dump(include=shown), "nodes": len(fit.nodes)}
            for basis in self.bases
            for fit in basis.places
        ]


def _effects(nodes: Nodes, part: Compared) -> PlaceEffects:
    import torch

    from ..metrics.exact import Effects, fit

    drops = torch.tensor(part.exact, dtype=torch.float64)
    found = fit(torch.tensor(part.estimates), Effects(torch.arange(len(drops)), drops, ""))
    return PlaceEffects(
        place=str(part.place),
        correlation=part.r,
        slope=found.slope,
        estimated=sum(part.estimates),
        exact=sum(part.exact),
        nodes=tuple(str(nodes[number]) for number in part.nodes),
        estimates=tuple(float(f"{value:.4g}") for value in part.estimates),
        effects=tuple(float(f"{value:.4g}") for value in part.exact),
    )


def exhibits_of(
    instance: Instance[FeatureProblem], solution: FeatureScores, found: FeatureEvaluation
) -> dict[str, Exhibit]:
    """Everything that there is to look at, how much circuits explain first."""
    problem, held_out = instance.problem, instance.held_out
    exhibits: dict[str, Exhibit] = {}
    if found.sets:
        exhibits["explanation"] = Explanation.of(found.sets, held_out.published)
    labels = instance.truths[0].labels if instance.truths else {}
    exhibits["circuit"] = feature_circuit(problem, solution, held_out.contexts, labels=labels)
    compared = {
        name: ((problem.neurons if name == "neurons" else problem).nodes, parts)
        for name, parts in found.linear.items()
        if parts
    }
    if compared:
        exhibits["linearity"] = Linearity.of(
            compared,
            f"of the nodes that move their place furthest and as many others, on {problem.n_prompts:,} prompts",
        )
    return exhibits
