"""Edges on their way from clean to ablated: where the metric leaves the straight line that a first-order score assumes.

Source: Syed et al. 2023, figures 4 and 9.
"""

from __future__ import annotations

from ..kinds.circuit_exhibits import EdgePath, Interpolation
from .axes import Axis, Frame
from .panels import Numbers, Panel, alone, figure


def interpolation_figure(interpolation: Interpolation, *, title: str) -> str:
    """A small plot per edge, for a page."""
    return figure([_panel(path, title) for path in interpolation.paths], _numbers(interpolation))


def interpolation_svg(interpolation: Interpolation, *, title: str) -> str:
    """The same as one picture."""
    return alone([_panel(path, title) for path in interpolation.paths], title=title)


def _panel(path: EdgePath, title: str) -> Panel:
    told = [] if path.score is None else [path.score]
    x = Axis.of_shares("share of the way to ablated")
    frame = Frame(x=x, y=Axis.around([*path.drops, *told], "drop of the metric"), width=300, height=220)
    points = list(zip(path.shares, path.drops, strict=True))
    drawn = [
        frame.line([(0.0, 0.0), (1.0, 0.0)], "zero"),
        *(frame.line([(0.0, 0.0), (1.0, score)], "line guess c1") for score in told),
        frame.line(points, "line c0", about=path.name),
        *(frame.dot(x, y, "c0", about=f"{x:.3g} of the way: {y:.3g}", size=2.5) for x, y in points[:-1]),
        frame.dot(*points[-1], "c0", about=f"ablated: {path.drops[-1]:.4g}", size=5),
        *(frame.dot(1.0, score, "c1", about=f"score: {score:.4g}", size=5) for score in told),
    ]
    return Panel(
        title=path.name + (" (known)" if path.known else ""),
        described=f"{title}, {path.name}: drop {path.drops[-1]:.3g} when ablated, {_score(path)}",
        frame=frame,
        drawn="".join(drawn),
        key=(("line c0", f"measured, {path.drops[-1]:.3g} at the end"), ("line guess c1", _score(path))),
    )


def _score(path: EdgePath) -> str:
    return "no score" if path.score is None else f"score {path.score:.3g}"


def _numbers(interpolation: Interpolation) -> Numbers:
    rows = [
        (
            path.name,
            "none" if path.score is None else f"{path.score:.4g}",
            ", ".join(f"{drop:.3g} at {share:.2g}" for share, drop in zip(path.shares, path.drops, strict=True)),
        )
        for path in interpolation.paths
    ]
    return Numbers(("edge", "score", "drop of the metric at share of the way"), rows)
