"""Efficacy against specificity of every edit, with the frontier's staircase."""

from __future__ import annotations

from ..kinds.removal_exhibits import Frontier, FrontierPoint
from .axes import Axis, Frame
from .panels import Numbers, Panel, alone, figure


def frontier_figure(frontier: Frontier, *, title: str) -> str:
    """The plot for a page, whose style it takes, and its numbers."""
    rows = [(p.label, f"{p.efficacy:.3f}", f"{p.specificity:.3f}", "yes" if p.marked else "") for p in frontier.points]
    return figure([_panel(frontier, title)], Numbers(("edit", "efficacy", "specificity", "reported"), rows))


def frontier_svg(frontier: Frontier, *, title: str) -> str:
    """The plot as a file, with its own style."""
    return alone([_panel(frontier, title)], title=title)


def _panel(frontier: Frontier, title: str) -> Panel:
    frame = Frame(Axis.of_shares("efficacy: how much of the behaviour is gone"), Axis.of_shares("specificity: how much else is left"))  # fmt: skip
    dots = [
        frame.dot(p.efficacy, p.specificity, "c0" if not p.marked else "c1", about=_about(p), size=6 if p.marked else 4)
        for p in frontier.points
    ]  # fmt: skip
    drawn = frame.line(_stairs(frontier), "line c0") + "".join(dots)
    best = max(frontier.points, key=lambda p: min(p.efficacy, p.specificity))
    described = f"{title}: {len(frontier.points)} edits; the most even is {_about(best)}"
    return Panel(
        title, described, frame, drawn, (("line c0", "frontier"), ("dot c0", "edit"), ("dot c1", "reported edit"))
    )


def _about(point: FrontierPoint) -> str:
    return f"{point.label}, efficacy {point.efficacy:.3f}, specificity {point.specificity:.3f}"


def _stairs(frontier: Frontier) -> list[tuple[float, float]]:
    """The best specificity at each efficacy, from the right."""
    stairs: list[tuple[float, float]] = []
    best = 0.0
    for p in sorted(frontier.points, key=lambda p: (-p.efficacy, -p.specificity)):
        if p.specificity > best:
            stairs += [(p.efficacy, best), (p.efficacy, p.specificity)]
            best = p.specificity
    return [*stairs, (0.0, best)][::-1]
