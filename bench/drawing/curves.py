"""Curves as inline SVG: axes, lines that differ in colour and dash, a legend, and a text alternative."""

from __future__ import annotations

from collections.abc import Sequence
from html import escape

from ..contract.scores import Curve
from .axes import Axis, Frame
from .panels import COLOURS, STYLE

_WIDTH, _HEIGHT, _LEFT, _BOTTOM, _TOP = Frame.width, Frame.height, Frame.left, Frame.bottom, Frame.top
_DASHES = ("", "6 3", "2 3", "8 3 2 3", "12 4", "1 4", "5 5", "10 2 2 2")
_COLOURS = len(COLOURS)
_TABLE_POINTS = 12
_LEGEND = 20


def curves_figure(curves: Sequence[tuple[str, Curve]]) -> str:
    """A plot for a page, whose style and script it takes; curves share their axes, y of shares is cut to [-0.5, 1.5]."""
    if not curves:
        return ""
    title = curves[0][1].title
    cursor = f'<line class="cursor" x1="0" x2="0" y1="{_TOP}" y2="{_HEIGHT - _BOTTOM}"/>'
    return (
        f"<figcaption>{escape(title)}</figcaption>"
        f'<svg class="plot curves" viewBox="0 0 {_WIDTH} {_HEIGHT}" role="img" tabindex="0" '
        f'aria-label="{_described(curves)}. Arrow keys read out points.">'
        + _drawn(curves)
        + cursor
        + "</svg>"
        + "<output></output>"
        + _legend([name for name, _ in curves])
        + _table(curves)
    )


def curves_svg(curves: Sequence[tuple[str, Curve]]) -> str:
    """The plot by itself, with its own style: title above, and below it a line per name if there are several."""
    if not curves:
        return ""
    names = [name for name, _ in curves] if len(curves) > 1 else []
    height = _HEIGHT + _LEGEND * len(names)
    legend = (
        f'<line class="line c{index % _COLOURS}" x1="{_LEFT}" x2="{_LEFT + 28}" y1="{y - 4}" y2="{y - 4}"'
        f'{_dash(index)}/><text x="{_LEFT + 36}" y="{y}">{escape(name)}</text>'
        for index, name in enumerate(names)
        for y in [_HEIGHT + _LEGEND * (index + 0.7)]
    )
    return (
        f'<svg xmlns="http://www.w3.org/2000/svg" class="mechboard-plot" viewBox="0 {-_LEGEND} {_WIDTH} '
        f'{height + _LEGEND}" width="{_WIDTH}" height="{height + _LEGEND}" role="img" aria-label="{_described(curves)}">'
        f'<style>{STYLE}</style><text class="title" x="{_LEFT}" y="0">{escape(curves[0][1].title)}</text>'
        f"{_drawn(curves)}{''.join(legend)}</svg>"
    )


def _described(curves: Sequence[tuple[str, Curve]]) -> str:
    lines = "; ".join(f"{name} from {c.y[0]:.2f} to {c.y[-1]:.2f}" for name, c in curves)
    return escape(f"{curves[0][1].title}: {lines}")


def _drawn(curves: Sequence[tuple[str, Curve]]) -> str:
    """Axes and lines."""
    first = curves[0][1]
    across = [x for _, c in curves for x in c.x if x > 0] or [1.0]
    low, high = (0.0, 1.0) if first.chance else _range([y for _, c in curves for y in c.y])
    frame = _whole([c for _, c in curves]) if first.whole else _frame(first, low, high, across)
    parts = [frame.axes()]
    if first.chance:
        parts.append(frame.line([(0, first.chance[0]), (1, first.chance[1])], "chance"))
    for index, (name, curve) in enumerate(curves):
        told = f' data-name="{escape(name)}" data-x="{_numbers(curve.x)}" data-y="{_numbers(curve.y)}"'
        points = zip(curve.x, curve.y, strict=True)
        parts.append(frame.line(points, f"line c{index % _COLOURS}", about=name, extra=_dash(index) + told))
    return "".join(parts)


def _dash(index: int) -> str:
    """The attribute of a line: the first lines differ in dash too, later ones in another pair of colour and dash."""
    dash = _DASHES[(index + index // _COLOURS) % len(_DASHES)]
    return f' stroke-dasharray="{dash}"' if dash else ""


def scatter_svg(points: Sequence[tuple[str, float, float]], *, title: str, x_label: str, y_label: str) -> str:
    """Named points (x on a log axis from 1 up, y from 0 to 1)."""
    if not points:
        return ""
    largest = max(10.0, *(x for _, x, _ in points))
    ticks = tuple((f"{t:g}", t) for t in (1.0, 10.0, 100.0, 1e3, 1e4, 1e5) if t <= largest)
    frame = Frame(x=Axis(1.0, largest, f"{x_label}, log scale", ticks, log=True), y=Axis.of_shares(y_label))
    parts = [frame.axes()]
    for index, (name, x, y) in enumerate(points):
        px, py = frame.at(x, y)
        side, shift = ("end", -9) if px > _WIDTH * 0.7 else ("start", 9)
        parts.append(
            frame.dot(x, y, f"c{index % _COLOURS}", about=f"{name}: {x:.3g}, {y:.3f}", size=5)
            + f'<text class="tick" x="{px + shift:.1f}" y="{py:.1f}" dy="4" text-anchor="{side}">{escape(name)}</text>'
        )
    described = "; ".join(f"{name} {y:.2f} at {x:.3g}" for name, x, y in points)
    return (
        f"<figcaption>{escape(title)}</figcaption>"
        f'<svg class="plot" viewBox="0 0 {_WIDTH} {_HEIGHT}" role="img" aria-label="{escape(title)}: {escape(described)}">'
        + "".join(parts)
        + "</svg>"
    )


def _numbers(values: Sequence[float]) -> str:
    return " ".join(f"{v:.4g}" for v in values)


def _table(curves: Sequence[tuple[str, Curve]]) -> str:
    """The curves as numbers, for those who cannot or will not see the picture; at most a dozen points each."""
    rows = []
    for name, curve in curves:
        step = max(1, -(-len(curve.x) // _TABLE_POINTS))
        pairs = list(zip(curve.x, curve.y, strict=True))
        kept = [*pairs[:-1:step], pairs[-1]]
        rows.append(
            f'<tr><th scope="row">{escape(name)}</th><td>{", ".join(f"({x:.3g}, {y:.3f})" for x, y in kept)}</td></tr>'
        )
    return f'<details class="numbers"><summary>Numbers</summary><table>{"".join(rows)}</table></details>'


def _range(values: Sequence[float]) -> tuple[float, float]:
    return max(min([0.0, *values]), -0.5), min(max([1.05, *values]), 1.5)


def _whole(curves: Sequence[Curve]) -> Frame:
    """Axes that hold all points."""
    x, y = [x for c in curves for x in c.x], [y for c in curves for y in c.y]
    return Frame(x=Axis.around(x, curves[0].x_label, beside=0.0), y=Axis.around(y, curves[0].y_label))


def _frame(curve: Curve, low: float, high: float, across: Sequence[float]) -> Frame:
    """Axes by the first curve: x of shares up to 1, or of sizes as far as they go; a stranger's may have nothing between 0 and 1."""
    y = Axis(low, high, curve.y_label, tuple((f"{v / 4:g}", v / 4) for v in range(-2, 7)))
    if not curve.log_x:
        return Frame(x=Axis.of_shares(curve.x_label), y=y)
    smallest, largest, label = min(across), max(across), f"{curve.x_label}, log scale"
    if largest > 1:
        return Frame(x=Axis.of_sizes(smallest, largest, label), y=y)
    ticks = tuple((f"{100 * t:g} %", t) for t in (0.001, 0.01, 0.1, 1.0) if t >= smallest)
    return Frame(x=Axis(smallest, 1.0, label, ticks, log=True), y=y)


def _legend(names: Sequence[str]) -> str:
    items = []
    for index, name in enumerate(names):
        line = f'<line class="line c{index % _COLOURS}" x1="0" x2="28" y1="6" y2="6"{_dash(index)}/>'
        swatch = f'<svg width="28" height="12" aria-hidden="true">{line}</svg>'
        items.append(f"<li>{swatch} {escape(name)}</li>")
    return f'<ul class="legend">{"".join(items)}</ul>'
