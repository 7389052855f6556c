"""Circuits that a method keeps at its settings: their rates, and Youden's J along one setting or over a grid of two.

Source: Syed et al. 2023, figures 5 (rates) and 8 (J over EAP's and ACDC's thresholds).
"""

from __future__ import annotations

from collections.abc import Sequence
from html import escape

from ..kinds.circuit_exhibits import KeptCircuit, OperatingPoints
from .axes import Axis, Frame, Ticks
from .panels import Numbers, Panel, alone, figure

_MOST_TICKS = 6
_LISTED = 40


def operating_points_figure(points: OperatingPoints, *, title: str) -> str:
    """Rates of every kept circuit and what their settings make of them, for a page."""
    return figure(_panels(points, title), _numbers(points))


def operating_points_svg(points: OperatingPoints, *, title: str) -> str:
    """The same as one picture."""
    return alone(_panels(points, title), title=title)


def _panels(points: OperatingPoints, title: str) -> list[Panel]:
    names = list(dict.fromkeys(name for circuit in points.circuits for name in circuit.settings))
    told = [circuit for circuit in points.circuits if set(circuit.settings) == set(names)]
    panels = [_rates(points, title)]
    if len(names) == 1:
        panels.append(_along(names[0], told, title))
    elif len(names) == 2:
        panels.append(_grid(names[0], names[1], told, title))
    return panels


def _best(circuits: Sequence[KeptCircuit]) -> KeptCircuit:
    return max(circuits, key=lambda circuit: circuit.youden)


def _rates(points: OperatingPoints, title: str) -> Panel:
    frame = Frame(Axis.of_shares("false positive rate"), Axis.of_shares("true positive rate"), width=380, height=320)
    best = _best(points.circuits)
    dots = [frame.dot(c.false_rate, c.true_rate, "c0 faint", about=_said(c), size=4) for c in points.circuits]
    ring = frame.dot(best.false_rate, best.true_rate, "ring c1", about=f"best: {_said(best)}", size=8)
    return Panel(
        title=f"{len(points.circuits)} circuits, best J {best.youden:.3f}",
        described=f"{title}: {len(points.circuits)} circuits against {points.truth}, best {_said(best)}",
        frame=frame,
        drawn=frame.line([(0.0, 0.0), (1.0, 1.0)], "chance") + "".join(dots) + ring,
        key=(("dot c0", "kept circuit"), ("ring c1", f"best: {_settings(best)}"), ("chance", "chance")),
    )


def _along(name: str, circuits: Sequence[KeptCircuit], title: str) -> Panel:
    values = sorted((circuit.settings[name], circuit.youden) for circuit in circuits)
    # Of equally good ones the same as among the rates.
    best = (_best(circuits).settings[name], _best(circuits).youden)
    frame = Frame(_of_setting([x for x, _ in values], name), _of_youden(values), width=380, height=320)
    return Panel(
        title=f"J along {name}",
        described=f"{title}: J from {values[0][1]:.3f} to {values[-1][1]:.3f} along {name}, best at {best[0]:.3g}",
        frame=frame,
        drawn=frame.line(values, "line c0")
        + "".join(frame.dot(x, y, "c0", about=f"{name} {x:.4g}: J {y:.3f}", size=3) for x, y in values)
        + frame.dot(*best, "ring c1", about=f"best: {name} {best[0]:.4g}, J {best[1]:.3f}", size=8),
    )


def _of_setting(values: Sequence[float], name: str) -> Axis:
    """Logarithmic where values span powers of ten, as thresholds do."""
    positive = [x for x in values if x > 0]
    if len(positive) < len(values) or max(positive) / min(positive) < 50 or max(positive) > 1e300:
        return Axis.around(values, name)
    low, high = min(positive), max(positive)
    ticks = tuple((f"{10.0**k:g}", 10.0**k) for k in range(-323, 300) if low <= 10.0**k <= high)
    return Axis(low, high, f"{name}, log scale", _few(ticks), log=True)


def _of_youden(values: Sequence[tuple[float, float]]) -> Axis:
    lowest = min([0.0, *(y for _, y in values)])
    ticks = tuple((f"{t:g}", t) for t in (-1.0, -0.75, -0.5, -0.25, 0.0, 0.25, 0.5, 0.75, 1.0))
    return Axis(lowest, 1.0, "Youden's J", ticks)


def _grid(across: str, up: str, circuits: Sequence[KeptCircuit], title: str) -> Panel:
    """A cell per pair of values; the more colour, the higher J."""
    columns, rows = (sorted({c.settings[name] for c in circuits}) for name in (across, up))
    best = _best(circuits)
    frame = Frame(_of_steps(columns, across), _of_steps(rows, up), width=440, height=320, left=74)

    def cell(circuit: KeptCircuit, kind: str, *, opacity: str = "") -> str:
        column, row = columns.index(circuit.settings[across]), rows.index(circuit.settings[up])
        (left, bottom), (right, top) = frame.at(column, row), frame.at(column + 1, row + 1)
        place = f'x="{left:.1f}" y="{top:.1f}" width="{right - left:.1f}" height="{bottom - top:.1f}"'
        return f'<rect class="{kind}" {place}{opacity}><title>{escape(_said(circuit))}</title></rect>'

    shade = (f' fill-opacity="{max(circuit.youden, 0.0) * 0.9 + 0.02:.2f}"' for circuit in circuits)
    drawn = [cell(circuit, "cell c0", opacity=strength) for circuit, strength in zip(circuits, shade, strict=True)]
    return Panel(
        title=f"J over {len(columns)} x {len(rows)} settings",
        described=f"{title}: J over {across} and {up}, best {best.youden:.3f} at {_settings(best)}",
        frame=frame,
        drawn="".join(drawn) + cell(best, "ring c1"),
        key=(("ring c1", f"best: J {best.youden:.3f}"), ("cell area c0", "the more colour, the higher J")),
    )


def _of_steps(values: Sequence[float], name: str) -> Axis:
    """One step per value, whatever lies between them; ticks in the middle of steps."""
    ticks = tuple((f"{value:.2g}", place + 0.5) for place, value in enumerate(values))
    return Axis(0.0, float(len(values)), name, _few(ticks))


def _few(ticks: Ticks) -> Ticks:
    return ticks[:: -(-len(ticks) // _MOST_TICKS)] if ticks else ticks


def _settings(circuit: KeptCircuit) -> str:
    return ", ".join(f"{name} {value:.3g}" for name, value in circuit.settings.items()) or "no setting"


def _said(circuit: KeptCircuit) -> str:
    rates = f"TPR {circuit.true_rate:.3f}, FPR {circuit.false_rate:.3f}, J {circuit.youden:.3f}"
    return f"{_settings(circuit)}: {rates}, {circuit.n_edges:,} edges"


def _numbers(points: OperatingPoints) -> Numbers:
    ranked = sorted(points.circuits, key=lambda circuit: -circuit.youden)[:_LISTED]
    rows = [
        (_settings(c), f"{c.true_rate:.3f}", f"{c.false_rate:.3f}", f"{c.youden:.3f}", f"{c.n_edges:,}") for c in ranked
    ]
    return Numbers((f"best {len(rows)} of {len(points.circuits)} circuits", "TPR", "FPR", "J", "edges"), rows)
