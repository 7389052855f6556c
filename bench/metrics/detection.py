"""How edge scores tell the edges of one known circuit from all others: ROC, precision, and exact effects where they are known.

Only edges that the truth speaks about count (`spoken.py`). Each measure is in a module of its own; here it gets its name, `auc[task:truth]`, its denominators and its chance.
"""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any, NamedTuple, TypeVar

from jaxtyping import Float
from torch import Tensor

from ..contract.scores import Curve, Measure
from ..graph import Graph
from ..graph.problem import Circuits, Truth
from .correlation import correlation, rank_correlation
from .kept import areas_under, front, rates
from .measures import measure
from .precision import precision
from .roc import roc
from .spoken import spoken_of

T = TypeVar("T")


class Detection(NamedTuple):
    """What scores are worth against one truth; `conventions` are the other two areas of the same ROC."""

    measures: dict[str, Measure]
    conventions: dict[str, Measure]
    curves: dict[str, Curve]


def detection(
    graph: Graph, scores: Float[Tensor, " edges"], truth: Truth, circuits: Circuits | None = None
) -> Detection:
    """Measures and curves against one truth, of scores and of the circuits that a method keeps itself.

    Raises:
        UsageError: the truth holds no edge or every edge.
    """
    spoken = spoken_of(graph, scores, truth)
    ranked, signed = roc(*spoken), roc(*spoken, signed=True)
    precise, prevalence = precision(*spoken), ranked.n_true / ranked.n_edges
    of = f"{ranked.n_true} / {ranked.n_edges:,} edges"
    measures = {
        "auc": measure("auc", ranked.trapezoid, of=of),
        "average-precision": measure("average-precision", precise.average, chance=prevalence, of=of),
        "precision-at-size": measure("precision-at-size", precise.at_size, chance=prevalence, of=of),
        "auc-signed": measure("auc-signed", signed.trapezoid, of=of),
        **({} if truth.effects is None else _against_effects(scores, truth.effects)),
    }
    conventions = {
        "auc-low": measure("auc-low", ranked.pessimistic, of=of),
        "auc-high": measure("auc-high", ranked.optimistic, of=of),
    }
    curves = {
        "roc": _curve(
            ranked.points,
            x_label="false positive rate",
            y_label="true positive rate",
            title=f"ROC against {truth.name}",
            chance=(0.0, 1.0),
        ),
        "precision-recall": _curve(
            precise.points,
            x_label="recall",
            y_label="precision",
            title=f"Precision and recall against {truth.name}",
            chance=(prevalence, prevalence),
        ),
    }
    if circuits is not None:
        of_circuits, curves["roc-circuits"] = _of_circuits(graph, circuits, truth)
        conventions |= of_circuits
    return Detection(_named(measures, truth), _named(conventions, truth), _named(curves, truth))


def _of_circuits(graph: Graph, circuits: Circuits, truth: Truth) -> tuple[dict[str, Measure], Curve]:
    found = rates(graph, circuits.kept, truth)
    drawn = front([(each.false_rate, each.true_rate) for each in found])
    area, low = areas_under(drawn)
    of = f"{len(found)} circuits"
    best = max(each.youden for each in found)
    curve = _curve(
        drawn,
        x_label="false positive rate",
        y_label="true positive rate",
        title=f"ROC of the circuits that methods keep, against {truth.name}",
        chance=(0.0, 1.0),
    )
    return {
        "auc-circuits": measure("auc-circuits", area, of=of),
        "auc-circuits-low": measure("auc-circuits-low", low, of=of),
        "youden": measure("youden", best, of=of, note="the best of them, as the truth would choose"),
    }, curve


def _named(values: dict[str, T], truth: Truth) -> dict[str, T]:
    return {f"{name}[{truth.name}]": value for name, value in values.items()}


def _against_effects(scores: Tensor, effects: Float[Tensor, " edges"]) -> dict[str, Measure]:
    of, found = f"exact effects of {len(effects):,} edges", {}
    for name, coefficient in (("correlation", correlation), ("rank-correlation", rank_correlation)):
        r = coefficient(scores, effects)
        found[name] = measure(name, r, of=of, note="all scores or all effects are equal" if r is None else "")
    return found


def _curve(points: Sequence[tuple[float, float]], **about: Any) -> Curve:
    x, y = zip(*points, strict=True)
    return Curve(x=x, y=y, **about)
