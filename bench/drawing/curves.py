"""Curves as inline SVG: axes, lines that differ in colour and dash, a legend, and a text alternative."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from html import escape
from math import log

from mechboard.contract.scores import Curve

_WIDTH, _HEIGHT, _LEFT, _BOTTOM, _TOP, _RIGHT = 460, 320, 48, 44, 12, 26
_DASHES = ("", "6 3", "2 3", "8 3 2 3", "12 4", "1 4", "5 5", "10 2 2 2")
_COLOURS = 8
_TABLE_POINTS = 12
_LEGEND = 20
_STYLE = """
svg.mechboard-curves{background:#fff;font:12px system-ui,sans-serif}.mechboard-curves text{fill:#4b5563}
.mechboard-curves .title{fill:#111;font-weight:600}.mechboard-curves .frame{fill:none;stroke:#d1d5db}
.mechboard-curves .grid{stroke:#e5e7eb;stroke-width:.6}
.mechboard-curves .chance{fill:none;stroke:#9ca3af;stroke-dasharray:2 4}
.mechboard-curves .line{fill:none;stroke-width:2}
""" + "".join(
    f".mechboard-curves .c{index}{{stroke:{colour}}}"
    for index, colour in enumerate(
        ("#0b57b8", "#b45309", "#15803d", "#a21caf", "#0e7490", "#b91c1c", "#4d7c0f", "#6d28d9")
    )
)

Place = Callable[[float, float], str]


def curves_figure(curves: Sequence[tuple[str, Curve]]) -> str:
    """A plot for a page, whose style and script it takes; curves share their axes, y is cut to [-0.5, 1.5]."""
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
        f'<line class="line c{index % _COLOURS}" x1="{_LEFT}" x2="{_LEFT + 28}" y1="{y - 4}" y2="{y - 4}" '
        f'stroke-dasharray="{_DASHES[index % len(_DASHES)]}"/><text x="{_LEFT + 36}" y="{y}">{escape(name)}</text>'
        for index, name in enumerate(names)
        for y in [_HEIGHT + _LEGEND * (index + 0.7)]
    )
    return (
        f'<svg xmlns="http://www.w3.org/2000/svg" class="mechboard-curves" viewBox="0 {-_LEGEND} {_WIDTH} '
        f'{height + _LEGEND}" width="{_WIDTH}" height="{height + _LEGEND}" role="img" aria-label="{_described(curves)}">'
        f'<style>{_STYLE}</style><text class="title" x="{_LEFT}" y="0">{escape(curves[0][1].title)}</text>'
        f"{_drawn(curves)}{''.join(legend)}</svg>"
    )


def _described(curves: Sequence[tuple[str, Curve]]) -> str:
    lines = "; ".join(f"{name} from {c.y[0]:.2f} to {c.y[-1]:.2f}" for name, c in curves)
    return escape(f"{curves[0][1].title}: {lines}")


def _drawn(curves: Sequence[tuple[str, Curve]]) -> str:
    """Axes and lines."""
    first = curves[0][1]
    smallest = min((x for _, c in curves for x in c.x if x > 0), default=1.0)
    low, high = (0.0, 1.0) if first.chance else _range([y for _, c in curves for y in c.y])

    def place(x: float, y: float) -> str:
        across = _log_share(x, smallest) if first.log_x else min(max(x, 0.0), 1.0)
        up = (min(max(y, low), high) - low) / (high - low)
        px = _LEFT + across * (_WIDTH - _LEFT - _RIGHT)
        return f"{px:.1f},{_HEIGHT - _BOTTOM - up * (_HEIGHT - _BOTTOM - _TOP):.1f}"

    parts = [_frame(first, low, high, smallest if first.log_x else None, place)]
    if first.chance:
        parts.append(f'<polyline class="chance" points="{place(0, first.chance[0])} {place(1, first.chance[1])}"/>')
    for index, (name, curve) in enumerate(curves):
        points = " ".join(place(x, y) for x, y in zip(curve.x, curve.y, strict=True))
        dash = f' stroke-dasharray="{_DASHES[index % len(_DASHES)]}"' if _DASHES[index % len(_DASHES)] else ""
        parts.append(
            f'<polyline class="line c{index % _COLOURS}" points="{points}"{dash} data-name="{escape(name)}" '
            f'data-x="{_numbers(curve.x)}" data-y="{_numbers(curve.y)}"><title>{escape(name)}</title></polyline>'
        )
    return "".join(parts)


def scatter_svg(points: Sequence[tuple[str, float, float]], *, title: str, x_label: str, y_label: str) -> str:
    """Named points (x on a log axis from 1 up, y from 0 to 1)."""
    if not points:
        return ""
    largest = max(10.0, *(x for _, x, _ in points))

    def place(x: float, y: float) -> str:
        px = _LEFT + log(max(x, 1.0)) / log(largest) * (_WIDTH - _LEFT - _RIGHT)
        return f"{px:.1f},{_HEIGHT - _BOTTOM - min(max(y, 0.0), 1.0) * (_HEIGHT - _BOTTOM - _TOP):.1f}"

    ticks = [(f"{t:g}", t) for t in (1.0, 10.0, 100.0, 1e3, 1e4, 1e5) if t <= largest]
    parts = [_axes(x_label + ", log scale", y_label, 0.0, 1.0, ticks, place)]
    for index, (name, x, y) in enumerate(points):
        px, py = place(x, y).split(",")
        side = "end" if float(px) > _WIDTH * 0.7 else "start"
        shift = -9 if side == "end" else 9
        parts.append(
            f'<circle class="dot c{index % _COLOURS}" cx="{px}" cy="{py}" r="5"><title>{escape(name)}: {x:.3g}, {y:.3f}</title></circle>'
            f'<text class="tick" x="{float(px) + shift:.1f}" y="{py}" dy="4" text-anchor="{side}">{escape(name)}</text>'
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


def _log_share(x: float, smallest: float) -> float:
    """Where x stands on an axis from `smallest` to 1; a stranger's curve may have nothing below 1."""
    if x <= smallest or smallest >= 1:
        return 0.0 if x <= smallest else 1.0
    return min(1 - log(x) / log(smallest), 1.0)


def _frame(curve: Curve, low: float, high: float, smallest: float | None, place: Place) -> str:
    if smallest is None:
        ticks = [(f"{t:.3g}", t) for t in (0.0, 0.25, 0.5, 0.75, 1.0)]
    else:
        ticks = [(f"{100 * t:g} %", t) for t in (0.001, 0.01, 0.1, 1.0) if t >= smallest]
    x_label = curve.x_label + (", log scale" if smallest else "")
    return _axes(x_label, curve.y_label, low, high, ticks, place)


def _axes(x_label: str, y_label: str, low: float, high: float, ticks: Sequence[tuple[str, float]], place: Place) -> str:
    left, right = _LEFT, _WIDTH - _RIGHT
    parts = [f'<rect class="frame" x="{left}" y="{_TOP}" width="{right - left}" height="{_HEIGHT - _BOTTOM - _TOP}"/>']
    for y in (v / 4 for v in range(-2, 7)):
        if low <= y <= high:
            at = place(0, y).partition(",")[2]
            parts.append(f'<line class="grid" x1="{left}" x2="{right}" y1="{at}" y2="{at}"/>')
            parts.append(f'<text class="tick" x="{left - 6}" y="{at}" dy="4" text-anchor="end">{y:g}</text>')
    for text, x in ticks:
        at = place(x, low).partition(",")[0]
        parts.append(f'<text class="tick" x="{at}" y="{_HEIGHT - _BOTTOM + 16}" text-anchor="middle">{text}</text>')
    middle = (left + right) / 2
    parts.append(f'<text class="label" x="{middle}" y="{_HEIGHT - 8}" text-anchor="middle">{escape(x_label)}</text>')
    turned = f'transform="rotate(-90 12 {_HEIGHT / 2 - 16})"'
    parts.append(
        f'<text class="label" x="12" y="{_HEIGHT / 2 - 16}" text-anchor="middle" {turned}>{escape(y_label)}</text>'
    )
    return "".join(parts)


def _legend(names: Sequence[str]) -> str:
    items = []
    for index, name in enumerate(names):
        dash = _DASHES[index % len(_DASHES)]
        line = f'<line class="line c{index % _COLOURS}" x1="0" x2="28" y1="6" y2="6" stroke-dasharray="{dash}"/>'
        swatch = f'<svg width="28" height="12" aria-hidden="true">{line}</svg>'
        items.append(f"<li>{swatch} {escape(name)}</li>")
    return f'<ul class="legend">{"".join(items)}</ul>'
