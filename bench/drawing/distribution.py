"""How scores distribute: inside and outside the known circuit, and by the role of the head that an edge starts from.

Counts are logarithmic, and panels share their bins, so that they can be held against each other.
Source: Syed et al. 2023, figures 7 and 10.
"""

from __future__ import annotations

from dataclasses import replace

from ..kinds.circuit_exhibits import Distribution, ScoreGroup
from .axes import Axis, Frame, round_ticks
from .panels import Numbers, Panel, alone, cut, figure


def distribution_figure(distribution: Distribution, *, title: str) -> str:
    """Histograms for a page, with number, mean and standard deviation of every group."""
    return figure(_panels(distribution, title), _numbers(distribution))


def distribution_svg(distribution: Distribution, *, title: str) -> str:
    """The same as one picture."""
    return alone(_panels(distribution, title), title=title)


def _panels(distribution: Distribution, title: str) -> list[Panel]:
    bounds = distribution.bounds
    scores = Axis.around(bounds, "score", beside=0.02)
    # The larger group is drawn first, so that it does not cover the other.
    groups = sorted(enumerate(distribution.groups), key=lambda each: -each[1].n)
    frame = Frame(x=scores, y=_counts(distribution.groups), width=420, height=260)
    whole = Panel(
        title="edges by score",
        described=f"{title}: " + ("; ".join(map(_said, distribution.groups)) or "no scores"),
        frame=frame,
        drawn=_zero(frame) + "".join(_steps(frame, bounds, group, f"area c{i % 8}") for i, group in groups),
        key=tuple((f"area c{i % 8}", _said(group)) for i, group in enumerate(distribution.groups)),
    )
    return [whole, *(_role(scores, bounds, group, title) for group in distribution.roles)]


def _role(scores: Axis, bounds: tuple[float, ...], group: ScoreGroup, title: str) -> Panel:
    bare = replace(scores, label="", ticks=round_ticks(scores.low, scores.high, about=3))
    frame = Frame(x=bare, y=replace(_counts([group]), label=""), width=172, height=120, left=30, bottom=22, right=8)
    return Panel(
        title=cut(group.name, 22),
        described=f"{title}, edges from {_said(group)}",
        frame=frame,
        drawn=_zero(frame) + _steps(frame, bounds, group, "area c4"),
        key=(("area c4", f"n {group.n:,}, mean {group.mean:.2g}, sd {group.deviation:.2g}"),),
    )


def _counts(groups: tuple[ScoreGroup, ...] | list[ScoreGroup]) -> Axis:
    return Axis.of_counts(max((count for group in groups for count in group.counts), default=1), "edges")


def _zero(frame: Frame) -> str:
    return frame.line([(0.0, frame.y.low), (0.0, frame.y.high)], "zero")


def _steps(frame: Frame, bounds: tuple[float, ...], group: ScoreGroup, kind: str) -> str:
    """An outline of the bins, down to the axis where a bin is empty."""
    corners = [(bounds[0], frame.y.low)]
    for left, right, count in zip(bounds, bounds[1:], group.counts, strict=False):
        corners += [(left, float(count)), (right, float(count))]
    corners.append((bounds[-1], frame.y.low))
    return frame.line(corners, kind, about=_said(group))


def _said(group: ScoreGroup) -> str:
    return f"{group.name}: {group.n:,} edges, mean {group.mean:.3g}, sd {group.deviation:.3g}"


def _numbers(distribution: Distribution) -> Numbers:
    rows = [
        (group.name, f"{group.n:,}", f"{group.mean:.4g}", f"{group.deviation:.4g}")
        for group in (*distribution.groups, *distribution.roles)
    ]
    return Numbers(("edges", "number", "mean", "sd"), rows)
