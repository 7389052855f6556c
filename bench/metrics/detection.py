"""How edge scores tell the edges of one known circuit from all others: ROC, precision, and exact effects where they are known.

Each measure is in a module of its own; here it gets its name, `auc[task:truth]`, its denominators and its chance.
"""

from __future__ import annotations

from typing import Any, NamedTuple, TypeVar

from jaxtyping import Float
from torch import Tensor

from mechboard.contract.scores import Curve, Measure
from mechboard.graph.problem import Truth
from mechboard.metrics.correlation import correlation, rank_correlation
from mechboard.metrics.measures import measure
from mechboard.metrics.precision import precision
from mechboard.metrics.roc import roc

T = TypeVar("T")


class Detection(NamedTuple):
    """What scores are worth against one truth; `conventions` are the other two areas of the same ROC."""

    measures: dict[str, Measure]
    conventions: dict[str, Measure]
    curves: dict[str, Curve]


def detection(scores: Float[Tensor, " edges"], truth: Truth) -> Detection:
    """Measures and curves against one truth.

    Raises:
        UsageError: the truth holds no edge or every edge.
    """
    ranked, signed = roc(scores, truth.edges), roc(scores, truth.edges, signed=True)
    precise, prevalence = precision(scores, truth.edges), ranked.n_true / ranked.n_edges
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
    return Detection(_named(measures, truth), _named(conventions, truth), _named(curves, truth))


def _named(values: dict[str, T], truth: Truth) -> dict[str, T]:
    return {f"{name}[{truth.name}]": value for name, value in values.items()}


def _against_effects(scores: Tensor, effects: Float[Tensor, " edges"]) -> dict[str, Measure]:
    of, found = f"exact effects of {len(effects):,} edges", {}
    for name, coefficient in (("correlation", correlation), ("rank-correlation", rank_correlation)):
        r = coefficient(scores, effects)
        found[name] = measure(name, r, of=of, note="all scores or all effects are equal" if r is None else "")
    return found


def _curve(points: tuple[tuple[float, float], ...], **about: Any) -> Curve:
    x, y = zip(*points, strict=True)
    return Curve(x=x, y=y, **about)
