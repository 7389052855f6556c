"""Scores beside exact effects: a point per edge, the fitted line, and the diagonal on which a score is the effect.

Source: Syed et al. 2023, figure 3.
"""

from __future__ import annotations

from ..kinds.circuit_exhibits import Agreement, ComparedEdge
from .axes import Axis, Frame
from .panels import Numbers, Panel, alone, figure

_KINDS = {True: ("dot c2", "known edge"), False: ("dot c1 faint", "other edge"), None: ("dot c0 faint", "edge")}
_LISTED = 20


def agreement_figure(agreement: Agreement, *, title: str) -> str:
    """A scatter plot for a page; a pointer is told the name of an edge."""
    return figure([_panel(agreement, title)], _numbers(agreement))


def agreement_svg(agreement: Agreement, *, title: str) -> str:
    """The same as one picture."""
    return alone([_panel(agreement, title)], title=title)


def _panel(agreement: Agreement, title: str) -> Panel:
    edges = agreement.edges
    frame = Frame(
        x=Axis.around([_score(e) for e in edges], "score"),
        y=Axis.around([e.effect for e in edges], "exact effect"),
        width=420,
        height=320,
    )
    # Known edges are drawn last, so that others do not cover them.
    ordered = sorted(edges, key=lambda e: e.known is True)
    dots = [frame.dot(_score(e), e.effect, _KINDS[e.known][0], about=_said(e), size=3 + bool(e.known)) for e in ordered]
    kinds = [known for known in (True, False, None) if any(e.known is known for e in edges)]
    marks = [_KINDS[known] for known in kinds]
    fitted = _fitted(frame, agreement)
    return Panel(
        title=_fit(agreement),
        described=f"{title}: {_fit(agreement)} over {agreement.n_edges:,} edges, exact effects {agreement.measured}",
        frame=frame,
        drawn=frame.across(0.0, 1.0, "chance") + fitted + "".join(dots),
        key=(*marks, *([("line c3 guess", "fitted line")] if fitted else []), ("chance", "score = effect")),
    )


def _fitted(frame: Frame, agreement: Agreement) -> str:
    if agreement.slope is None or agreement.intercept is None:
        return ""
    return frame.across(agreement.intercept, agreement.slope, "line c3 guess")


def _score(edge: ComparedEdge) -> float:
    return edge.score or 0.0


def _fit(agreement: Agreement) -> str:
    if agreement.r2 is None or agreement.slope is None:
        return "no line fits: all scores or all effects are equal"
    return f"R² {agreement.r2:.3f}, slope {agreement.slope:.3g}"


def _said(edge: ComparedEdge) -> str:
    score = "no opinion" if edge.score is None else f"score {edge.score:.3g}"
    return f"{edge.name}: {score}, effect {edge.effect:.3g}" + (f", {_KINDS[True][1]}" if edge.known else "")


def _numbers(agreement: Agreement) -> Numbers:
    strongest = sorted(agreement.edges, key=lambda e: -abs(e.effect))[:_LISTED]
    said = {True: "yes", False: "no", None: "nothing is said"}
    rows = [
        (e.name, "none" if e.score is None else f"{e.score:.4g}", f"{e.effect:.4g}", said[e.known]) for e in strongest
    ]
    return Numbers((f"strongest {len(rows)} of {agreement.n_edges:,} edges", "score", "exact effect", "known"), rows)
