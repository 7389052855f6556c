"""Estimated effects of single nodes beside exact ones: a point per node, features and neurons side by side, a table by place.

Source: Marks et al. 2024, appendix C.
"""

from __future__ import annotations

from ..kinds.feature_exhibits import Basis, Linearity, PlaceEffects
from .axes import Axis, Frame
from .panels import Numbers, Panel, alone, figure

_PARTS = {"embed": ("c3", "embedding"), "attn": ("c1", "attention"), "mlp": ("c2", "MLP"), "resid": ("c0", "stream")}
_OTHER = ("c4", "other")


def linearity_figure(linearity: Linearity, *, title: str) -> str:
    """A scatter plot of each basis for a page, and correlation, slope and sums by place."""
    plots = figure([_panel(basis, linearity.measured, title) for basis in linearity.bases], _numbers(linearity))
    return f'<div class="wide">{plots}</div>'


def linearity_svg(linearity: Linearity, *, title: str) -> str:
    """The same as one picture."""
    return alone([_panel(basis, linearity.measured, title) for basis in linearity.bases], title=title)


def _panel(basis: Basis, measured: str, title: str) -> Panel:
    frame = Frame(
        x=Axis.around([value for place in basis.places for value in place.estimates], "estimate"),
        y=Axis.around([value for place in basis.places for value in place.effects], "exact effect"),
        width=420,
    )
    dots = [
        frame.dot(
            estimate,
            exact,
            f"{_part(place)[0]} faint",
            about=f"{node}: estimate {estimate:.3g}, exact {exact:.3g}",
            size=2.5 if "/error" in node else 3.5,
        )
        for place in basis.places
        for node, estimate, exact in zip(place.nodes, place.estimates, place.effects, strict=True)
    ]
    parts = dict.fromkeys(map(_part, basis.places))
    return Panel(
        title=f"{basis.name.capitalize()}: {sum(len(place.nodes) for place in basis.places):,} nodes",
        described=f"{title}, {basis.name}, exact effects {measured}: {'; '.join(_fits(basis))}",
        frame=frame,
        drawn=frame.across(0.0, 1.0, "chance") + "".join(dots),
        key=(*((f"dot {colour} faint", name) for colour, name in parts), ("chance", "estimate = effect")),
    )


def _part(place: PlaceEffects) -> tuple[str, str]:
    return _PARTS.get(place.place.partition("_")[0], _OTHER)


def _fits(basis: Basis) -> list[str]:
    return [f"{fit.place} r {fit.correlation:.2f}" for fit in basis.places if fit.correlation is not None]


def _numbers(linearity: Linearity) -> Numbers:
    rows = [
        (
            f"{basis.name}, {fit.place}",
            f"{len(fit.nodes):,}",
            "none" if fit.correlation is None else f"{fit.correlation:.3f}",
            "none" if fit.slope is None else f"{fit.slope:.3g}",
            f"{fit.estimated:.4g}",
            f"{fit.exact:.4g}",
        )
        for basis in linearity.bases
        for fit in basis.places
    ]
    return Numbers(("place", "nodes", "correlation", "slope", "sum of estimates", "sum of exact effects"), rows)
