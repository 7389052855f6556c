"""The areas under ROC curves that Syed et al. 2023 print, with how each was made: their conventions differ inside one figure.

ACDC's are steps that take the worst of what lies between two points, over the points of one run per threshold that no other
point beats; EAP's are closer to trapezoids or to the best of what lies between. Where both are given (IOI), part of EAP's
lead over ACDC by KL divergence is convention: .868 is .886 by trapezoids.
"""

from __future__ import annotations

from mechboard.protocols import Quoted

_PAPER = "Syed, Rager, Conmy 2023 (arXiv 2310.10348)"
_ACDC = (
    "pessimistic steps between the Pareto-optimal points of one run per threshold; edges and direct ones are counted, "
    "placeholders are not"
)


def published(
    *,
    headline: str,
    counted: str,
    figure: str,
    eap: tuple[float, str],
    acdc: tuple[float, float],
    patching: tuple[float, str] | None = None,
) -> tuple[Quoted, ...]:
    """The figures of one task.

    Args:
        headline: the truth that EAP's figure is held against.
        counted: the truth with direct edges, which ACDC's figures count.
        figure: where in the paper.
        eap: area of EAP, and how it was made.
        acdc: areas of ACDC by the task's metric and by KL divergence.
        patching: area of activation patching, and how it was made.
    """
    source, area = f"{_PAPER}, {figure}", f"auc-circuits-low[{counted}]"
    figures = [
        ("eap", f"auc[{headline}]", *eap),
        ("acdc", area, acdc[0], _ACDC),
        ("acdc[metric=kl]", area, acdc[1], _ACDC),
    ]
    if patching is not None:
        figures.append(("activation-patching", f"auc[{headline}]", *patching))
    return tuple(
        Quoted(method=method, measure=measure, value=value, convention=convention, source=source)
        for method, measure, value, convention in figures
    )
